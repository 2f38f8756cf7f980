"""The schedules of `project/schedules.py` and the rows made from them.

Each row keeps what code declared last. A field that still holds that value follows the code; one that does not was
changed by an operator, in the admin or with SQL, and stays. A schedule that code no longer declares is declared
disabled, so that its ledger stays and a rollback brings it back.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import connections, transaction

from project import schedules
from project.tasks.models import OperatorAction
from project.tasks.repair.audit import Operator, record
from scheduler.models import Schedule

#: Who changes a schedule when a release declares it otherwise.
CODE: Final = Operator("code", "system")
log = structlog.get_logger(__name__)


def sync_declared() -> None:
    """Create and update the rows of declared schedules; running it again changes nothing."""
    declared = {schedule.name: schedule.values() for schedule in schedules.SCHEDULES}
    for name, values in declared.items():
        _sync(name, values)
    for schedule in Schedule.objects.exclude(name__in=declared).exclude(declaration=None):
        if schedule.declaration is not None and schedule.declaration["enabled"]:
            log.warning("schedule_withdrawn", schedule=schedule.name, cure="code no longer declares it; delete it")
            _sync(schedule.name, schedule.declaration | {"enabled": False})


def sync_after_migrate(using: str, **_: Any) -> None:
    """Sync once the tables are there; `migrate scheduler zero` has just removed them."""
    needed = {Schedule._meta.db_table, OperatorAction._meta.db_table}
    if needed.issubset(connections[using].introspection.table_names()):
        sync_declared()


def is_declared(schedule: Schedule) -> bool:
    """Whether the code of this process declares it."""
    return any(declared.name == schedule.name for declared in schedules.SCHEDULES)


def reset_overrides(schedule: Schedule) -> list[str]:
    """Give a declared schedule back to the code; return the fields that were overridden."""
    overridden = schedule.overridden
    if overridden and schedule.declaration is not None:
        _write(schedule, {name: schedule.declaration[name] for name in overridden})
    return overridden


def record_change(
    before: Mapping[str, Any], after: Mapping[str, Any], *, by: Operator, action: str = "change schedule"
) -> None:
    """Record what is different now about a schedule; nothing if nothing is.

    Args:
        before: What its `recorded_values` were.
        after: What they are.
        by: Who changed it.
        action: What they did.
    """
    changed = [name for name, value in after.items() if value != before[name]]
    if changed:
        old, new = ({name: values[name] for name in changed} for values in (before, after))
        record(action, target=str(after["name"]), by=by, before=old, after=new)


def _sync(name: str, values: dict[str, Any]) -> None:
    with transaction.atomic():
        Schedule.objects.bulk_create(
            [Schedule(name=name, **_columns(values), declaration=values)], ignore_conflicts=True
        )
        schedule = Schedule.objects.select_for_update().get(name=name)
        if schedule.declaration == values:
            return
        overridden = schedule.overridden if schedule.declaration is not None else list(values)
        following = {field: value for field, value in values.items() if field not in overridden}
        _write(schedule, following | {"declaration": values})
        record_change(schedule.recorded_values(), schedule.recorded_values() | following, by=CODE)


def _write(schedule: Schedule, values: dict[str, Any]) -> None:
    Schedule.objects.filter(id=schedule.id).update(**_columns(values))


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    lateness = values.get("max_lateness")
    return values | {"max_lateness": timedelta(seconds=lateness)} if lateness is not None else dict(values)
