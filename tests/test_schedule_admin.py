"""The admin's pages for schedules and ticks: who may do what, and what a form may not undo."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from project.tasks.models import TaskRun
from scheduler.clock import Clock
from scheduler.models import Schedule, Tick
from tests.people import a_user
from users.models import User

pytestmark = pytest.mark.django_db

LIST = "/admin/scheduler/schedule/"
FORM = {
    "name": "one",
    "task": "ping",
    "arguments": "{}",
    "cron": "0 2 * * *",
    "time_zone": "Europe/Berlin",
    "enabled": "on",
    "misfire": "run_once",
    "max_lateness": "",
}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root(broker: object) -> Client:
    """Somebody who may do everything."""
    return client_of(a_user("root", is_staff=True, is_superuser=True))


def staff(*permissions: str) -> Client:
    """Somebody who may do only this."""
    user = a_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return client_of(user)


def a_schedule(**values: Any) -> Schedule:
    return Schedule.objects.create(**{"name": "one", "task": "ping", "cron": "0 2 * * *", "time_zone": "UTC"} | values)


def page(schedule: Schedule) -> str:
    return f"{LIST}{schedule.id}/change/"


def test_a_saved_schedule_knows_its_next_fire_time_at_once(root: Client) -> None:
    assert root.post(f"{LIST}add/", FORM).status_code == 302
    assert Schedule.objects.get(name="one").next_fire_at is not None


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"cron": "0 0 30 2 *"}, "cron", "never fires"),
        ({"cron": "* * * *"}, "cron", "five fields"),
        ({"time_zone": "Mars/X"}, "time_zone", "Europe/Berlin"),
        ({"arguments": "[1]"}, "arguments", "by name"),
        ({"arguments": "{"}, "arguments", "valid JSON"),
        ({"arguments": '{"days": 1}'}, "arguments", "do not fit"),
        ({"task": "cleanup_sessions", "arguments": '{"days_old": "x"}'}, "arguments", "days_old"),
        ({"task": "no.such"}, "task", "valid choice"),
        ({"name": ""}, "name", "required"),
        ({"max_lateness": "soon"}, "max_lateness", "valid duration"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(
    root: Client, change: dict[str, str], field: str, reason: str
) -> None:
    response = root.post(f"{LIST}add/", FORM | change)
    assert response.status_code == 200
    assert reason in " ".join(response.context["adminform"].form.errors[field])


def test_a_form_that_was_open_for_a_while_rewinds_nothing(root: Client) -> None:
    row = a_schedule()
    Schedule.objects.filter(id=row.id).update(next_fire_at=Now(), last_fire_at=Now(), task="cleanup_sessions")
    before = Schedule.objects.get(id=row.id)
    form = FORM | {"time_zone": "UTC", "max_lateness": "00:01:00", "task": "cleanup_sessions"}
    assert root.post(page(row), form).status_code == 302
    after = Schedule.objects.get(id=row.id)
    assert after.max_lateness == timedelta(minutes=1)
    assert (after.next_fire_at, after.last_fire_at) == (before.next_fire_at, before.last_fire_at)


def test_an_edit_of_the_cron_text_moves_the_next_fire_time(root: Client) -> None:
    row = a_schedule()
    root.post(page(row), FORM | {"time_zone": "UTC", "cron": "0 5 * * *"})
    after = Schedule.objects.get(id=row.id).next_fire_at
    assert after is not None
    assert after.hour == 5


def test_schedules_are_disabled_and_enabled_from_the_list(root: Client) -> None:
    row = a_schedule()
    select = {"_selected_action": [str(row.id)]}
    root.post(LIST, select | {"action": "disable"})
    assert not Schedule.objects.get(id=row.id).enabled
    root.post(LIST, select | {"action": "enable"})
    after = Schedule.objects.get(id=row.id)
    assert after.enabled
    assert after.next_fire_at is not None


def test_run_now_records_who_did_it(root: Client) -> None:
    row = a_schedule()
    assert root.post(f"{LIST}{row.id}/run/").status_code == 302
    run = TaskRun.objects.get()
    assert run.user is not None
    assert (run.source, run.schedule, run.user.username) == ("admin", "one", "root")
    assert Schedule.objects.get(id=row.id).last_fire_at is None


def test_run_now_of_a_broken_schedule_says_why_not(root: Client) -> None:
    row = a_schedule(task="no.such")
    response = root.post(f"{LIST}{row.id}/run/", follow=True)
    assert "No task is named" in response.content.decode()
    assert not TaskRun.objects.exists()


def test_run_now_needs_a_post(root: Client) -> None:
    assert root.get(f"{LIST}{a_schedule().id}/run/").status_code == 405


@pytest.mark.parametrize("button", ["run", "reset"])
def test_a_button_needs_its_permission(button: str, broker: object) -> None:
    row = a_schedule()
    client = staff("view_schedule")
    assert client.post(f"{LIST}{row.id}/{button}/").status_code == 403
    assert not TaskRun.objects.exists()


def test_who_may_only_run_sees_no_other_action(broker: object) -> None:
    client = staff("view_schedule", "run_schedule")
    row = a_schedule()
    response = client.get(LIST)
    assert [name for name, _ in response.context["action_form"].fields["action"].choices if name] == ["run_now"]
    assert client.post(f"{LIST}{row.id}/run/").status_code == 302
    assert TaskRun.objects.count() == 1


def test_the_preview_marks_daylight_saving(root: Client) -> None:
    answer = root.get(f"{LIST}preview/", {"cron": "30 2 * 3 sun", "time_zone": "Europe/Berlin"}).json()
    assert answer["reading"] == "at 02:30, on Sunday in March, Europe/Berlin"
    assert len(answer["fires"]) == 10
    assert {fire["mark"] for fire in answer["fires"]} == {"", "gap"}


def test_the_preview_says_what_is_wrong(root: Client) -> None:
    answer = root.get(f"{LIST}preview/", {"cron": "61 * * * *", "time_zone": "UTC"}).json()
    assert answer == {"error": "minute: 61 is not within 0-59"}


def test_the_preview_is_for_those_who_may_see_schedules() -> None:
    assert staff().get(f"{LIST}preview/", {"cron": "* * * * *", "time_zone": "UTC"}).status_code == 403
    assert Client().get(f"{LIST}preview/").status_code == 302


def test_a_declared_schedule_cannot_be_deleted(root: Client) -> None:
    row = Schedule.objects.get(name="ping")
    assert root.post(f"{LIST}{row.id}/delete/", {"post": "yes"}).status_code == 403
    root.post(LIST, {"action": "delete_selected", "_selected_action": [str(row.id)], "post": "yes"})
    assert Schedule.objects.filter(name="ping").exists()


def test_a_deleted_schedule_leaves_its_ledger(root: Client) -> None:
    row = a_schedule()
    Schedule.objects.filter(id=row.id).update(next_fire_at=Now())
    Clock(sender="test:1").sweep()
    assert root.post(f"{LIST}{row.id}/delete/", {"post": "yes"}).status_code == 302
    assert Tick.objects.get(name="one").schedule is None


def test_a_row_that_sql_broke_does_not_break_the_pages(root: Client) -> None:
    row = a_schedule(
        cron="mon#1", time_zone="Mars/X", next_fire_at="2026-01-01T00:00Z", last_fire_at="2026-01-01T00:00Z"
    )
    Clock(sender="test:1").sweep()
    assert "unknown time zone" in root.get(LIST).content.decode() or "five fields" in root.get(LIST).content.decode()
    assert root.get(page(row)).status_code == 200


def test_the_lists_take_a_constant_number_of_queries(root: Client) -> None:
    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert root.get(path).status_code == 200
        return len(captured)

    root.get(LIST)
    before = queries(LIST), queries("/admin/scheduler/tick/")
    for number in range(20):
        a_schedule(name=f"schedule {number}", next_fire_at=Now())
    Clock(sender="test:1").sweep()
    assert Tick.objects.count() == 20
    assert (queries(LIST), queries("/admin/scheduler/tick/")) == before


def test_the_ledger_is_to_look_at_only(root: Client) -> None:
    a_schedule(next_fire_at=Now())
    Clock(sender="test:1").sweep()
    tick = Tick.objects.get()
    assert root.get(f"/admin/scheduler/tick/{tick.id}/change/").status_code == 200
    assert root.post(f"/admin/scheduler/tick/{tick.id}/change/", {}).status_code == 403
    assert root.post(f"/admin/scheduler/tick/{tick.id}/delete/", {"post": "yes"}).status_code == 403
    assert root.get("/admin/scheduler/tick/add/").status_code == 403
