"""Look at runs and repair them: `manage.py tasks list|show|why|send|retry|discard|cancel|pause|resume|…`.

Exits with 0; with 1 for a finding or a failure; with 2 for wrong usage. Errors are one line on stderr.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from project.desk.console import read, repair
from project.desk.console.arguments import argument, days, duration, json_object, run_id, whole_number
from project.desk.console.output import Answer
from project.desk.console.repair import UsageError
from project.tasks.errors import TaskError
from project.tasks.models import TaskRun

ACTIONS: Final[dict[str, tuple[Callable[[dict[str, Any]], Answer], str]]] = {
    "list": (read.list_runs, "runs, newest first"),
    "show": (read.show_run, "everything about one run"),
    "why": (read.why, "why a run is not running"),
    "queues": (read.list_queues, "what waits in each queue"),
    "workers": (read.list_workers, "which processes are alive; exits with 1 if none is"),
    "check": (read.check, "whether this code can execute every stored run; exits with 1 if not"),
    "send": (repair.send, "send a task"),
    "retry": (repair.retry, "try runs again that have ended without a result"),
    "discard": (repair.discard, "take dead runs off the list of what needs attention"),
    "cancel": (repair.cancel, "keep runs from starting, or stop them"),
    "pause": (repair.pause, "start no more runs of a queue"),
    "resume": (repair.resume, "start runs of a queue again"),
    "prune": (repair.prune, "delete history that is old enough"),
}
#: Exit codes: a finding or a failure, and, as of argparse, what makes no sense.
FOUND, WRONG_USAGE = 1, 2


class Command(BaseCommand):
    """An operator's tool for scripts and shells."""

    help = "Look at task runs, queues and workers, and repair them."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One sub-command for each thing one may want."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
        parsers = {name: actions.add_parser(name, help=about) for name, (_, about) in ACTIONS.items()}
        for each in parsers.values():
            each.add_argument("--json", action="store_true", help="print JSON, for scripts")
        for name in ("show", "why"):
            parsers[name].add_argument("id", type=run_id)
        _add_filter(parsers["list"])
        parsers["list"].add_argument("--limit", type=whole_number, default=20, help="how many at most (20)")
        _add_send(parsers["send"])
        _add_repairs(parsers)
        _add_queues(parsers)
        _add_prune(parsers["prune"])
        for name in ("send", "retry", "discard", "cancel", "resume", "prune"):
            parsers[name].add_argument("--reason", default="", help="kept in the record")

    def handle(self, *, action: str, **options: Any) -> None:
        """Do what was asked.

        Raises:
            CommandError: With exit code 1 or 2.
        """
        try:
            answer = ACTIONS[action][0](options)
        except UsageError as error:
            raise CommandError(str(error), returncode=WRONG_USAGE) from error
        except TaskRun.DoesNotExist:
            raise CommandError("There is no such run; its row may have been pruned.", returncode=FOUND) from None
        except TaskError as error:
            raise CommandError(str(error), returncode=FOUND) from error
        self._print(answer, as_json=options["json"])
        if answer.is_bad:
            sys.exit(FOUND)

    def _print(self, answer: Answer, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(answer.data, cls=DjangoJSONEncoder, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(answer.lines))


def _add_filter(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=TaskRun.State.values)
    parser.add_argument("--since", type=duration, metavar="AGE", help="sent in the past 90s, 15m, 2h, 7d …")
    parser.add_argument("--until", type=duration, metavar="AGE", help="sent longer ago than 90s, 15m, 2h, 7d …")
    parser.add_argument("--ended-before", type=duration, metavar="AGE", help="not ended in the past 90s, 15m …")
    for name in ("batch", "bulk_id", "parent_id"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=run_id, metavar="ID")
    for name in ("task", "queue", "schedule", "fingerprint", "error_type", "request_id"):
        parser.add_argument(f"--{name.replace('_', '-')}")


def _add_send(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="the task's name")
    parser.add_argument("arguments", nargs="*", type=argument, metavar="name=value")
    parser.add_argument("--delay", type=duration, metavar="TIME", help="not before 90s, 15m, 2h … from now")
    parser.add_argument("--queue", help="another queue")
    parser.add_argument("--wait", type=duration, metavar="TIME", help="wait for the result, for at most 90s, 15m …")


def _add_repairs(parsers: dict[str, ArgumentParser]) -> None:
    for name in ("retry", "discard", "cancel"):
        parsers[name].add_argument("ids", nargs="*", type=run_id, metavar="id")
    retry = parsers["retry"]
    retry.add_argument("--arguments", type=json_object, metavar="JSON", help="other arguments, by name")
    retry.add_argument("--all", action="store_true", help="all dead runs that match the filter, in bulk")
    retry.add_argument("--rate", type=float, default=10.0, help="with --all: runs a second (10)")
    retry.add_argument(
        "--max-error-percent", type=float, default=20.0, help="with --all: stop when more fail again (20)"
    )
    _add_filter(retry)


def _add_queues(parsers: dict[str, ArgumentParser]) -> None:
    for name in ("pause", "resume"):
        parsers[name].add_argument("queue")
    parsers["pause"].add_argument("--reason", required=True, help="why; everybody sees it")
    parsers["pause"].add_argument("--for", type=duration, metavar="TIME", help="resumed by itself after 15m, 2h …")


def _add_prune(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--succeeded-days",
        type=days,
        help="delete runs that succeeded more days ago than this (default: HISTORY_DAYS_SUCCEEDED)",
    )
    parser.add_argument(
        "--others-days",
        type=days,
        help="delete other runs that ended more days ago than this (default: HISTORY_DAYS_FAILED)",
    )
