"""What a worker process makes sure of before it takes messages: what the command that starts a pool cannot know.

That command does not load Django, so that the processes can be started a second sooner.
"""

from __future__ import annotations

import io
import sys

from django.core.management.base import BaseCommand, CommandError

from project.database.checks import refuse_shared_sessions
from project.pool.management.commands.rundramatiq import Command


def check_worker() -> None:
    """End the process if its tasks are not declared as they must be, or its sessions would be shared with others."""
    try:
        BaseCommand().check(tags=["tasks"])
        refuse_shared_sessions()
    except CommandError as error:
        sys.exit(str(error))


def discover_modules() -> list[str]:
    """Name the modules of all apps in which there are tasks."""
    # It tells what it finds; each process would.
    modules: list[str] = Command(stdout=io.StringIO()).discover_tasks_modules()
    return modules
