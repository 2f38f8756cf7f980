"""Keep the clock: send each enabled schedule's task when it is due."""

from typing import Any

from django.core.management.base import BaseCommand

from project.database.checks import refuse_shared_sessions
from scheduler.process import SchedulerProcess


class Command(BaseCommand):
    """`manage.py runscheduler`; run as many as you like, each tick is sent once."""

    help = "Send scheduled tasks when they are due. Run as many as you like: each tick is sent once."

    def handle(self, *_: Any, **__: Any) -> None:
        """Run until SIGTERM."""
        refuse_shared_sessions()
        SchedulerProcess().run()
