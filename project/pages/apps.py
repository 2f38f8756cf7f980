"""The app of the pages."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """Templates, the stylesheet and the little script that goes with them."""

    name = "project.pages"
    label = "pages"
