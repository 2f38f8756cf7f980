"""What HTTP reaches."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from notifications import pages as notification_pages
from notifications.subscriptions import PATH as UNSUBSCRIBE
from project.api import api
from project.desk.metrics import metrics
from project.desk.views import operations
from project.mail import pages as mail_pages
from project.web.errors import API_PREFIX, no_such_page
from users import pages

urlpatterns = [
    path("", include("project.pages.urls")),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}pages/icon.svg")),
    path("admin/operations/", admin.site.admin_view(operations), name="operations"),
    *([path("admin/mail/", include(mail_pages.urlpatterns))] if settings.MAIL_DIRECTORY else []),
    path("admin/login/", pages.sign_in),
    path("admin/password_change/", admin.site.admin_view(pages.change_password, cacheable=True)),
    path("admin/", admin.site.urls),
    path("metrics", metrics),
    path(UNSUBSCRIBE, notification_pages.unsubscribe_page, name="unsubscribe"),
    path("", include("project.health.urls")),
    path("", api.urls),
    # Django's own 404 page is HTML, and a missing slash would be answered with a redirect.
    re_path(rf"^{API_PREFIX.lstrip('/')}", no_such_page),
]
