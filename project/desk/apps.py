"""The apps in which operators see and repair."""

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig


class DeskConfig(AppConfig):
    default = True
    name = "project.desk"


class AdminConfig(SimpleAdminConfig):
    """Django's admin with a site of ours, which loads the apps' admins when they are needed."""

    default_site = "project.admin.Site"

    def ready(self) -> None:
        """Make the site at once: Django's checks look at those that there are."""
        super().ready()
        admin.site.index_template = "desk/admin_index.html"
