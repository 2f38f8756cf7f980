#!/usr/bin/env python
"""Run a management command of the service."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from project.loading import loading


def main() -> None:
    """Point Django at the settings and hand over the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        if sys.argv[1:2] == ["up"]:
            # Starts the servers whose addresses the settings are made from, so it must come before them.
            from project.up.command import main as up  # noqa: PLC0415

            up(sys.argv[2:])
        if sys.argv[1:2] == ["rundramatiq"]:
            # Becomes the supervisor of processes that load Django themselves.
            from project.pool.management.commands.rundramatiq import Command  # noqa: PLC0415

            Command().run_from_argv(sys.argv)
        with loading():
            django.setup()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as mistake:
        sys.exit(str(mistake))


if __name__ == "__main__":
    main()
