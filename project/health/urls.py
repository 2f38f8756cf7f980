"""The public health address; `/livez` and `/readyz` are answered by `ProbeMiddleware`."""

from django.urls import path

from project.health.views import health

urlpatterns = [path("v1/health", health, name="health")]
