"""Who changed which schedule is in the record of operator actions, and so is what resumed by itself."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from project import schedules
from project.broker.broker import ServiceBroker
from project.names import TaskName
from project.schedules import DeclaredSchedule
from project.tasks.models import OperatorAction, PausedQueue, TaskRun
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue, resume_due_queues
from scheduler.models import Schedule
from scheduler.sync import sync_declared
from tests.people import a_user

pytestmark = pytest.mark.django_db

LIST = "/admin/scheduler/schedule/"
FORM = {
    "name": "one", "task": "ping", "arguments": "{}", "cron": "0 2 * * *", "time_zone": "UTC", "enabled": "on",
    "misfire": "run_once", "max_lateness": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


@pytest.fixture
def grace() -> Client:
    client = Client()
    client.force_login(a_user("grace", is_staff=True, is_superuser=True))
    return client


def a_schedule(**values: Any) -> Schedule:
    return Schedule.objects.create(**{"name": "one", "task": "ping", "cron": "0 2 * * *", "time_zone": "UTC"} | values)


def recorded() -> list[tuple[str, str, str, str]]:
    rows = OperatorAction.objects.order_by("id").values_list("who", "source", "action", "target")
    return [(str(who), str(source), str(action), str(target)) for who, source, action, target in rows]


def the_change() -> tuple[dict[str, Any], dict[str, Any]]:
    action = OperatorAction.objects.get()
    return action.before, action.after


def test_a_new_schedule_is_recorded(grace: Client) -> None:
    grace.post(f"{LIST}add/", FORM)
    assert recorded() == [("grace", "admin", "create schedule", "one")]
    before, after = the_change()
    assert (before, after["cron"], after["enabled"]) == ({}, "0 2 * * *", True)


def test_an_edit_is_recorded_with_what_it_changed(grace: Client) -> None:
    schedule = a_schedule()
    grace.post(f"{LIST}{schedule.id}/change/", FORM | {"cron": "0 3 * * *", "max_lateness": "00:10:00"})
    assert recorded() == [("grace", "admin", "change schedule", "one")]
    assert the_change() == (
        {"cron": "0 2 * * *", "max_lateness": None},
        {"cron": "0 3 * * *", "max_lateness": 600.0},
    )


def test_a_new_name_is_recorded(grace: Client) -> None:
    grace.post(f"{LIST}{a_schedule().id}/change/", FORM | {"name": "two"})
    assert the_change() == ({"name": "one"}, {"name": "two"})


def test_what_changes_nothing_is_not_recorded(grace: Client) -> None:
    schedule = a_schedule()
    grace.post(f"{LIST}{schedule.id}/change/", FORM)
    grace.post(LIST, {"action": "enable", "_selected_action": [str(schedule.id)]})
    grace.post(f"{LIST}{schedule.id}/reset/")
    call_command("schedule", "enable", "one")
    assert recorded() == []


@pytest.mark.parametrize("where", ["the page", "the list"])
def test_a_deletion_is_recorded_with_what_was_deleted(where: str, grace: Client) -> None:
    schedule = a_schedule()
    if where == "the page":
        grace.post(f"{LIST}{schedule.id}/delete/", {"post": "yes"})
    else:
        grace.post(LIST, {"action": "delete_selected", "_selected_action": [str(schedule.id)], "post": "yes"})
    assert not Schedule.objects.filter(name="one").exists()
    assert recorded() == [("grace", "admin", "delete schedule", "one")]
    assert the_change()[0]["cron"] == "0 2 * * *"


def test_switching_and_running_from_the_list_are_recorded(grace: Client) -> None:
    selected = {"_selected_action": [str(a_schedule().id)]}
    for action in ("disable", "enable", "run_now"):
        grace.post(LIST, {"action": action} | selected)
    actions = ["disable schedule", "enable schedule", "run schedule"]
    assert recorded() == [("grace", "admin", action, "one") for action in actions]
    run = OperatorAction.objects.latest("id").after["run_id"]
    assert str(TaskRun.objects.get(schedule="one").id) == run


def test_a_reset_is_recorded_with_what_it_undid(grace: Client) -> None:
    sync_declared()
    Schedule.objects.filter(name="ping").update(cron="5 5 * * *")
    grace.post(f"{LIST}{Schedule.objects.get(name='ping').id}/reset/")
    assert recorded() == [("grace", "admin", "reset schedule", "ping")]
    assert the_change() == ({"cron": "5 5 * * *"}, {"cron": "* * * * *"})


def test_what_the_shell_does_is_recorded() -> None:
    sync_declared()
    Schedule.objects.filter(name="ping").update(cron="5 5 * * *")
    for action in ("disable", "enable", "run", "reset"):
        call_command("schedule", action, "ping")
    me = Operator.at_the_command_line().name
    actions = ["disable schedule", "enable schedule", "run schedule", "reset schedule"]
    assert recorded() == [(me, "command", action, "ping") for action in actions]


def test_what_a_deployment_changes_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    sync_declared()
    sync_declared()
    assert recorded() == []
    hourly = DeclaredSchedule(name="ping", task=TaskName.PING, cron="0 * * * *")
    monkeypatch.setattr(schedules, "SCHEDULES", (hourly,))
    Schedule.objects.exclude(name__in=["ping", "todo cleanup"]).delete()
    sync_declared()
    sync_declared()
    assert recorded() == [
        ("code", "system", "change schedule", "ping"),
        ("code", "system", "change schedule", "todo cleanup"),
    ]
    first, second = OperatorAction.objects.order_by("id")
    assert (first.before["cron"], first.after["cron"]) == ("* * * * *", "0 * * * *")
    assert (second.before, second.after) == ({"enabled": True}, {"enabled": False})


def test_a_queue_that_resumes_by_itself_is_recorded() -> None:
    pause_queue("default", by=Operator("grace", "admin"), reason="peer down", resume_at=timezone.now())
    pause_queue("mail", by=Operator("grace", "admin"), reason="x", resume_at=timezone.now() + timedelta(hours=1))
    PausedQueue.objects.filter(queue="default").update(resume_at=timezone.now() - timedelta(minutes=1))
    assert (resume_due_queues(), resume_due_queues()) == (1, 0)
    assert recorded()[2:] == [("clock", "system", "resume", "default")]
    last = OperatorAction.objects.latest("id")
    assert last.before["paused_by"] == "grace"


def test_the_record_is_filtered_by_what_is_done_to_schedules(grace: Client) -> None:
    grace.post(f"{LIST}add/", FORM)
    pause_queue("default", by=Operator("ada", "admin"), reason="peer down")
    shown = grace.get("/admin/tasks/operatoraction/", {"action": "create schedule"})
    assert [action.target for action in shown.context["cl"].result_list] == ["one"]
