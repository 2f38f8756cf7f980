"""`manage.py health worker|scheduler|web`: does that process of this machine or container live?"""

import socket
import urllib.error
import urllib.request
from argparse import ArgumentParser
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db.models.functions import Now

from project.environment import environment
from project.tasks.models import Worker

#: Shorter than the time that compose and orchestrators give a check.
TIMEOUT_SECONDS = 3
#: A process beats every two seconds; after ten of silence it is presumed dead, and this is somewhat longer.
BEAT_MAX_AGE = timedelta(seconds=15)


class Command(BaseCommand):
    """Exits with 0 when the process lives, and with 1 and the reason when it does not."""

    help = "Tell whether a process of this machine or container lives; for health checks of containers."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the kind of process."""
        parser.add_argument("kind", choices=["web", "worker", "scheduler"])

    def handle(self, *, kind: str, **_options: object) -> None:
        """Look for a sign of life, and say what was found.

        Raises:
            CommandError: If the process does not live.
        """
        if kind == "web":
            check_web()
        else:
            check_beat(kind)
        self.stdout.write(f"{kind} lives")


def check_web() -> None:
    """Ask the web process of this machine for a sign of life.

    Raises:
        CommandError: If it gives none.
    """
    bound = environment.bind_address.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104
    address = f"http://{f'[{host}]' if ':' in host else host}:{environment.port}/livez"
    try:
        urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS).close()
    except (urllib.error.URLError, OSError) as error:
        raise CommandError(f"{address} does not answer: {error}") from error


def check_beat(kind: str) -> None:
    """Look for a process of this machine that has beaten lately.

    Raises:
        CommandError: If there is none, or the database cannot tell.
    """
    beats = Worker.objects.filter(kind=kind, hostname=socket.gethostname(), beat_at__gt=Now() - BEAT_MAX_AGE)
    try:
        lives = beats.exists()
    except DatabaseError as error:
        raise CommandError(f"the database does not answer: {error}") from error
    if not lives:
        age = int(BEAT_MAX_AGE.total_seconds())
        raise CommandError(f"no {kind} of this machine has given a sign of life in the last {age} seconds")
