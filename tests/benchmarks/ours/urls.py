"""What HTTP reaches, and beside it the list of todos as it was answered before."""

from project.api import api
from tests.benchmarks.ours.old_todos import router

api.add_router("/v1/old-todos", router)
from project.urls import urlpatterns  # noqa: E402 - it takes the routes that the API has by then

__all__ = ["urlpatterns"]
