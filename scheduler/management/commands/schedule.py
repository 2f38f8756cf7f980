"""Look at schedules, try cron text, and act on one: `manage.py schedule list|preview|run|enable|disable|reset`."""

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from project.tasks import Cause, TaskError
from project.tasks.repair.audit import Operator
from scheduler import changes
from scheduler.errors import ScheduleError
from scheduler.models import Schedule
from scheduler.preview import Fire, preview, utc_text
from scheduler.reading import describe

#: The exit code for what is rejected, as of argparse.
REJECTED = 2
#: Fire times that a preview prints unless it is told how many: a screenful.
COUNT = 10


class Command(BaseCommand):
    """Exits with 2 and the reason on stderr for whatever is rejected."""

    help = "Look at schedules, preview cron text, and run, enable, disable or reset a schedule."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One sub-command for each thing one may want."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="list|preview|run|enable|disable|reset")
        listing = actions.add_parser("list", help="all schedules")
        _add_preview(actions.add_parser("preview", help="the next fire times of cron text, in UTC"))
        for name, does in (
            ("run", "send its task now"),
            ("enable", "let it fire from now on"),
            ("disable", "stop it"),
            ("reset", "drop an operator's changes to a schedule that code declares"),
        ):
            action = actions.add_parser(name, help=does)
            action.add_argument("name", help="the schedule's name")
            action.add_argument("--json", action="store_true")
        listing.add_argument("--json", action="store_true")

    def handle(self, *, action: str, **options: Any) -> None:
        """Do what was asked.

        Raises:
            CommandError: With exit code 2, for what is rejected.
        """
        try:
            for line in ACTIONS[action](options):
                self.stdout.write(line)
        except BrokenPipeError:  # the reader, such as `head`, has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (ScheduleError, TaskError, OverflowError) as error:
            raise CommandError(str(error), returncode=REJECTED) from error


def _add_preview(parser: ArgumentParser) -> None:
    parser.add_argument("cron", help='five fields such as "0 2 * * *", or a macro such as @daily')
    parser.add_argument("--tz", default=settings.TIME_ZONE, help="a time zone such as Europe/Berlin")
    parser.add_argument("--after", type=_instant, help="fire times later than this instant; default now")
    parser.add_argument("--until", type=_instant, help="fire times up to this instant")
    parser.add_argument("--count", type=_count, help=f"how many at most; default {COUNT} without --until")
    parser.add_argument("--json", action="store_true", help="with local times and marks")


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    return instant


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError(text)
    return count


_instant.__name__ = "instant with a UTC offset, such as 2025-03-28T12:00Z"
_count.__name__ = "count, at least 1"


def _preview(options: dict[str, Any]) -> Iterator[str]:
    count = options["count"] or (None if options["until"] else COUNT)
    after = options["after"] or datetime.now(UTC)
    fires = preview(options["cron"], options["tz"], after=after, count=count, until=options["until"])
    if options["json"]:
        yield _json({"reading": describe(options["cron"], options["tz"]), "fires": [fire_values(f) for f in fires]})
        return
    for fire in fires:
        yield utc_text(fire.at)


def fire_values(fire: Fire) -> dict[str, str]:
    """A fire time for JSON."""
    return {"at": utc_text(fire.at), "local": fire.local.isoformat(), "mark": fire.mark, "note": fire.note}


def _list(options: dict[str, Any]) -> Iterator[str]:
    schedules = Schedule.objects.all()
    if options["json"]:
        yield _json([_values(schedule) for schedule in schedules])
        return
    for schedule in schedules:
        yield _line(schedule)
        if schedule.error:
            yield f"    {schedule.error}"


def _line(schedule: Schedule) -> str:
    next_fire = utc_text(schedule.next_fire_at) if schedule.next_fire_at else "-"
    state = next_fire if schedule.enabled else "disabled"
    overridden = f"  (overridden: {', '.join(schedule.overridden)})" if schedule.overridden else ""
    return f"{schedule.name:24} {state:18} {schedule.task:28} {schedule.cron} {schedule.time_zone}{overridden}"


def _values(schedule: Schedule) -> dict[str, Any]:
    names = ("name", *Schedule.DECLARED_FIELDS, *Schedule.CURSOR_FIELDS)
    values = {name: getattr(schedule, name) for name in names}
    return values | schedule.declared_values() | {"overridden": schedule.overridden}


def _run(options: dict[str, Any]) -> Iterator[str]:
    schedule = _named(options["name"])
    cause = Cause(source="command", schedule=schedule.name)
    message = changes.run_now(schedule, cause=cause, by=Operator.at_the_command_line())
    yield _json({"name": schedule.name, "run_id": message.run_id}) if options["json"] else str(message.run_id)


def _switch(*, enabled: bool) -> Callable[[dict[str, Any]], Iterator[str]]:
    def switch(options: dict[str, Any]) -> Iterator[str]:
        schedule = _named(options["name"])
        changes.switch(Schedule.objects.filter(id=schedule.id), enabled=enabled, by=Operator.at_the_command_line())
        yield _report(schedule, options)

    return switch


def _reset(options: dict[str, Any]) -> Iterator[str]:
    schedule = _named(options["name"])
    if schedule.declaration is None:
        raise ScheduleError(f"Schedule {schedule.name!r} is not declared in code, so there is nothing to go back to.")
    changes.reset(schedule, by=Operator.at_the_command_line())
    yield _report(schedule, options)


def _report(schedule: Schedule, options: dict[str, Any]) -> str:
    schedule.refresh_from_db()
    return _json(_values(schedule)) if options["json"] else _line(schedule)


def _named(name: str) -> Schedule:
    schedule = Schedule.objects.filter(name=name).first()
    if schedule is None:
        raise ScheduleError(f"No schedule is named {name!r}; `manage.py schedule list` shows those there are.")
    return schedule


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder)


ACTIONS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "list": _list,
    "preview": _preview,
    "run": _run,
    "enable": _switch(enabled=True),
    "disable": _switch(enabled=False),
    "reset": _reset,
}
