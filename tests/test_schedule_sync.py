"""Schedules that code declares: created and updated by code, with an operator's changes kept."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from project import schedules
from project.names import TaskName
from project.schedules import DeclaredSchedule
from scheduler.checks import check_declared_schedules
from scheduler.models import Schedule
from scheduler.sync import reset_overrides, sync_declared

NIGHTLY = DeclaredSchedule(name="nightly", task=TaskName.PING, cron="0 2 * * *", time_zone="UTC")


def declare(monkeypatch: pytest.MonkeyPatch, *declared: DeclaredSchedule) -> None:
    monkeypatch.setattr(schedules, "SCHEDULES", list(declared))


def sync(monkeypatch: pytest.MonkeyPatch, *declared: DeclaredSchedule) -> Schedule:
    declare(monkeypatch, *declared)
    sync_declared()
    return Schedule.objects.get(name="nightly")


@pytest.mark.django_db
def test_migrating_creates_what_code_declares() -> None:
    Schedule.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert {"ping", "todo cleanup", "session cleanup"} <= set(Schedule.objects.values_list("name", flat=True))


@pytest.mark.django_db
def test_the_service_pings_every_minute_and_cleans_up_at_two() -> None:
    rows = {row.name: row for row in Schedule.objects.all()}
    assert (rows["ping"].cron, rows["ping"].max_lateness) == ("* * * * *", timedelta(minutes=1))
    assert (rows["todo cleanup"].task, rows["todo cleanup"].cron) == ("todo.cleanup", "0 2 * * *")


@pytest.mark.django_db
def test_a_row_follows_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    sync(monkeypatch, NIGHTLY)
    row = sync(monkeypatch, replace(NIGHTLY, cron="0 3 * * *", max_lateness=timedelta(hours=1)))
    assert (row.cron, row.max_lateness, row.overridden) == ("0 3 * * *", timedelta(hours=1), [])


@pytest.mark.django_db
def test_a_second_sync_keeps_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    sync(monkeypatch, NIGHTLY)
    Schedule.objects.update(next_fire_at=Now())
    before = Schedule.objects.get(name="nightly").next_fire_at
    assert sync(monkeypatch, NIGHTLY).next_fire_at == before


@pytest.mark.django_db
def test_an_operators_change_stays_while_the_rest_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    sync(monkeypatch, NIGHTLY)
    Schedule.objects.filter(name="nightly").update(cron="0 5 * * *", enabled=False)
    row = sync(monkeypatch, replace(NIGHTLY, cron="0 3 * * *", misfire="skip"))
    assert (row.cron, row.enabled, row.misfire) == ("0 5 * * *", False, "skip")
    assert row.overridden == ["cron", "enabled"]


@pytest.mark.django_db
def test_overrides_are_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    sync(monkeypatch, replace(NIGHTLY, max_lateness=timedelta(hours=1)))
    Schedule.objects.filter(name="nightly").update(cron="0 5 * * *", max_lateness=None)
    assert reset_overrides(Schedule.objects.get(name="nightly")) == ["cron", "max_lateness"]
    row = Schedule.objects.get(name="nightly")
    assert (row.cron, row.max_lateness, row.overridden) == ("0 2 * * *", timedelta(hours=1), [])


@pytest.mark.django_db
def test_an_operators_schedule_of_the_same_name_is_an_override(monkeypatch: pytest.MonkeyPatch) -> None:
    Schedule.objects.create(name="nightly", task="ping", cron="0 9 * * *", time_zone="UTC")
    row = sync(monkeypatch, NIGHTLY)
    assert (row.cron, row.overridden) == ("0 9 * * *", ["cron"])


@pytest.mark.django_db
def test_what_code_no_longer_declares_is_disabled_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sync(monkeypatch, NIGHTLY)
    assert not sync(monkeypatch).enabled
    assert sync(monkeypatch, NIGHTLY).enabled


@pytest.mark.django_db
def test_what_an_operator_enabled_stays_although_code_dropped_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sync(monkeypatch, NIGHTLY)
    sync(monkeypatch)
    Schedule.objects.filter(name="nightly").update(enabled=True)
    assert sync(monkeypatch).enabled


def test_the_service_declares_nothing_impossible() -> None:
    assert check_declared_schedules() == []


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (replace(NIGHTLY, cron="0 0 30 2 *"), "never fires"),
        (replace(NIGHTLY, time_zone="Mars/X"), "unknown time zone"),
        (replace(NIGHTLY, arguments={"user_id": 1}), "do not fit"),
        (replace(NIGHTLY, task="gone"), "No task is named"),  # type: ignore[arg-type]
    ],
)
def test_an_impossible_declaration_is_named_by_a_check(
    monkeypatch: pytest.MonkeyPatch, declared: DeclaredSchedule, reason: str
) -> None:
    declare(monkeypatch, declared)
    (message,) = check_declared_schedules()
    assert message.id == "scheduler.E002"
    assert reason in message.msg


def test_a_name_declared_twice_is_named_by_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, NIGHTLY, NIGHTLY)
    assert [message.id for message in check_declared_schedules()] == ["scheduler.E001"]
