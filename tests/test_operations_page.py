"""The operations page tells what ended lately, what died last, and which schedules keep their promise."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.desk.failures import failure_groups
from project.tasks.models import TaskRun, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue
from scheduler.models import Schedule, Tick
from tests.people import signed_in
from tests.runs import a_run, an_old_run

pytestmark = pytest.mark.django_db

PAGE = "/admin/operations/"


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker, and without the schedules that code declares."""
    Schedule.objects.all().delete()


def shown(*permissions: str) -> Any:
    return signed_in(*(permissions or ("view_taskrun",))).get(PAGE)


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


def test_queues_show_what_waits_and_why_nothing_starts() -> None:
    a_run("queued", run_after=timezone.now() - timedelta(minutes=10))
    pause_queue("maintenance", by=Operator("grace", "admin"), reason="moving house")
    page = shown().content.decode()
    for text in ("10 min ago", "no worker", "moving house (grace)"):
        assert text in page


def test_buttons_are_for_those_who_may_press_them() -> None:
    a_run()
    assert "Retry all" not in shown("view_taskrun").content.decode()
    page = shown("change_taskrun").content.decode()
    assert "Retry all" in page
    assert "/admin/tasks/pausedqueue/pause/?queue=default" in page


def test_tasks_show_what_they_did_in_the_past_hour() -> None:
    started = timezone.now()
    a_run("succeeded", started_at=started, finished_at=started + timedelta(milliseconds=40))
    a_run(failures=3)
    ((task, median, _),) = shown().context["tasks"]
    assert (task.task, task.sent, task.succeeded, task.dead, task.failing) == ("tests.add", 2, 1, 1, 1)
    assert median == "40 ms"


def test_schedules_show_whether_they_are_late() -> None:
    Schedule.objects.all().delete()
    late = Schedule.objects.create(name="late", task="ping", cron="* * * * *")
    Schedule.objects.filter(id=late.id).update(next_fire_at=timezone.now() - timedelta(minutes=5))
    assert [row.is_late for row, _, _ in shown().context["schedules"]] == [True]


def test_the_page_takes_as_many_queries_for_many_rows_as_for_few(django_assert_num_queries: Any) -> None:
    client = signed_in("view_taskrun")
    a_run()
    queries = 12
    with django_assert_num_queries(queries):
        client.get(PAGE)
    for number in range(10):
        a_run(fingerprint=str(number), task=f"tests.{number}", queue=str(number))
        a_run("queued", queue=f"q{number}")
        Worker.objects.create(kind="worker", hostname="host", pid=number, queues=["default"])
        Schedule.objects.create(name=str(number), task="ping", cron="* * * * *")
    with django_assert_num_queries(queries):
        client.get(PAGE)


def test_the_page_is_for_those_who_may_see_runs() -> None:
    assert shown("view_user").status_code == 403
    assert "/admin/login/" in Client().get(PAGE)["Location"]


def test_the_admin_leads_to_the_page() -> None:
    assert PAGE in signed_in("view_taskrun").get("/admin/").content.decode()
    assert PAGE not in signed_in("view_user").get("/admin/").content.decode()
