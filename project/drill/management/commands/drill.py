"""`manage.py drill`: sends runs, lets everything go wrong, and tells whether the promises were kept."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from project.drill.options import Options, add_arguments


class Command(BaseCommand):
    """Check that the drill may be run here and become it: it needs settings of its own."""

    help = (
        "Sends durable runs while it kills workers and schedulers and, on servers of its own, stops, flushes and "
        "restarts them; reports what was lost or executed twice, and exits with 1 if a promise was broken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse production; everywhere else, go."""
        if settings.ENVIRONMENT_NAME == "production":
            raise CommandError("A drill kills workers: it is not run in production. Run it in a copy of it.")
        command = [sys.executable, "-m", "project.drill", *Options.of(options).arguments()]
        os.execv(sys.executable, command)  # noqa: S606 - this very interpreter
