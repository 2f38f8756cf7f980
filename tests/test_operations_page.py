"""The operations page tells what ended lately, what died last, and which schedules keep their promise."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.desk.failures import failure_groups
from project.tasks.models import TaskRun
from scheduler.models import Schedule, Tick
from tests.people import a_user
from tests.runs import a_run, an_old_run

pytestmark = pytest.mark.django_db

PAGE = "/admin/operations/"


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker, and without the schedules that code declares."""
    Schedule.objects.all().delete()


def shown() -> Any:
    user = a_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_taskrun"))
    client = Client()
    client.force_login(user)
    return client.get(PAGE)


def tiles() -> dict[str, int]:
    return {label: value for value, label, _ in shown().context["tiles"]}


def test_what_ended_in_the_past_hour_counts_whenever_it_was_sent() -> None:
    now = timezone.now()
    for state in ("dead", "succeeded"):
        run = an_old_run(state, age=timedelta(hours=5), failures=1)
        TaskRun.objects.filter(id=run.id).update(started_at=now - timedelta(seconds=2), finished_at=now)
        an_old_run(state, age=timedelta(hours=2))
    a_run("queued")
    counted = tiles()
    assert (counted["dead (past hour)"], counted["succeeded (past hour)"]) == (1, 1)
    ((task, median, _),) = shown().context["tasks"]
    assert (task.sent, task.succeeded, task.dead, task.failing, median) == (1, 1, 1, 2, "2.0 s")


def test_the_kind_of_failure_that_died_last_comes_first() -> None:
    now = timezone.now()
    first = a_run(fingerprint="a", error_type="KeyError", finished_at=now)
    a_run(fingerprint="b", error_type="OSError", finished_at=now - timedelta(minutes=1))
    a_run(fingerprint="a", error_type="KeyError", finished_at=now - timedelta(minutes=5))
    groups = failure_groups()
    assert [(group.error_type, group.runs) for group in groups] == [("KeyError", 2), ("OSError", 1)]
    assert (groups[0].newest, groups[0].died_at) == (first.id, now)


def a_schedule(*, outcome: str = "", run: TaskRun | None = None, **columns: Any) -> Schedule:
    now = timezone.now()
    schedule = Schedule.objects.create(name="nightly", task="ping", cron="* * * * *")
    columns = {"next_fire_at": now + timedelta(minutes=1)} | columns
    if outcome:
        columns |= {"last_fire_at": now}
        ids = {"run_id": run.id if run else None}
        Tick.objects.create(schedule=schedule, fire_time=now, outcome=outcome, lateness=timedelta(0), **ids)
    Schedule.objects.filter(id=schedule.id).update(**columns)
    return schedule


def word() -> str:
    response = shown()
    ((row, _, _),) = response.context["schedules"]
    assert f">{row.word}</" in response.content.decode()
    return str(row.word)


def test_a_schedule_is_on_time_when_it_fired_and_its_run_did_not_fail() -> None:
    a_schedule(outcome="on_time", run=a_run("succeeded"))
    assert word() == "on time"


def test_a_schedule_that_never_fired_is_not_on_time() -> None:
    a_schedule()
    assert word() == "not yet fired"


def test_a_schedule_that_no_scheduler_has_planned_is_not_on_time() -> None:
    a_schedule(next_fire_at=None)
    assert word() == "not planned"


@pytest.mark.parametrize("state", ["dead", "discarded", "expired", "cancelled", "retrying"])
def test_a_schedule_whose_last_run_failed_is_not_on_time(state: str) -> None:
    run = a_run(state)
    a_schedule(outcome="on_time", run=run)
    assert word() == f"run {state}"
    assert f"/admin/tasks/taskrun/{run.id}/change/" in shown().content.decode()


@pytest.mark.parametrize(("outcome", "said"), [("skipped", "skipped"), ("late", "late"), ("caught_up", "caught up")])
def test_a_schedule_whose_last_tick_was_not_on_time_says_so(outcome: str, said: str) -> None:
    a_schedule(outcome=outcome, run=a_run("succeeded"))
    assert word() == said


def test_a_schedule_that_is_overdue_off_or_broken_says_so_first() -> None:
    schedule = a_schedule(outcome="on_time", next_fire_at=timezone.now() - timedelta(minutes=5))
    assert (word(), tiles()["schedules late"]) == ("overdue", 1)
    Schedule.objects.filter(id=schedule.id).update(error="no such task")
    assert word() == "broken"
    Schedule.objects.filter(id=schedule.id).update(enabled=False)
    assert word() == "off"
