"""`manage.py schedule`: one instant per line, exit code 2 and a reason for whatever is rejected."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from project.tasks.models import TaskRun
from scheduler.models import Schedule


def schedule(*arguments: str) -> str:
    output = io.StringIO()
    call_command("schedule", *arguments, stdout=output)
    return output.getvalue()


BERLIN = ("--tz", "Europe/Berlin", "--after", "2025-03-28T12:00Z")


def test_preview_prints_one_instant_per_line() -> None:
    printed = schedule("preview", "0 2 * * *", *BERLIN, "--until", "2025-03-31T12:00Z")
    assert printed == "2025-03-29T01:00Z\n2025-03-30T01:00Z\n2025-03-31T00:00Z\n"


def test_preview_prints_as_many_as_were_asked_for() -> None:
    assert schedule("preview", "0 2 * * *", *BERLIN, "--count", "2") == "2025-03-29T01:00Z\n2025-03-30T01:00Z\n"


def test_preview_prints_ten_unless_told_otherwise() -> None:
    assert len(schedule("preview", "* * * * *").splitlines()) == 10


def test_until_includes_its_instant_and_after_does_not() -> None:
    printed = schedule(
        "preview", "0 2 * * *", "--tz", "UTC", "--after", "2025-01-01T02:00Z", "--until", "2025-01-02T02:00Z"
    )
    assert printed == "2025-01-02T02:00Z\n"


def test_preview_as_json_has_local_times_and_marks() -> None:
    answer = json.loads(schedule("preview", "30 2 * * *", *BERLIN, "--count", "2", "--json"))
    assert answer["reading"] == "at 02:30, every day, Europe/Berlin"
    assert answer["fires"][1] == {
        "at": "2025-03-30T01:00Z",
        "local": "2025-03-30T03:00:00+02:00",
        "mark": "gap",
        "note": "clocks jump from 02:00 to 03:00, so 02:30 does not exist that day; it fires at 03:00",
    }


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["preview", "* * * *"], "five fields"),
        (["preview", "60 * * * *"], "minute: 60"),
        (["preview", "0 0 30 2 *"], "never fires"),
        (["preview", "* * * * *", "--tz", "Mars/X"], "unknown time zone"),
    ],
)
def test_what_is_rejected_exits_with_two(arguments: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason) as rejected:
        schedule(*arguments)
    assert rejected.value.returncode == 2


@pytest.mark.django_db
@pytest.mark.parametrize("action", ["run", "enable", "disable", "reset"])
def test_an_unknown_schedule_exits_with_two(action: str) -> None:
    with pytest.raises(CommandError, match="No schedule is named 'nobody'") as rejected:
        schedule(action, "nobody")
    assert rejected.value.returncode == 2


@pytest.mark.django_db
def test_list_shows_every_schedule() -> None:
    printed = schedule("list")
    assert "ping" in printed
    assert "todo.cleanup" in printed
    assert "0 2 * * *" in printed


@pytest.mark.django_db
def test_list_as_json_has_every_field() -> None:
    rows: list[dict[str, Any]] = json.loads(schedule("list", "--json"))
    ping = next(row for row in rows if row["name"] == "ping")
    assert (ping["task"], ping["cron"], ping["enabled"], ping["max_lateness"]) == ("ping", "* * * * *", True, 60.0)


@pytest.mark.django_db
def test_list_shows_what_is_overridden_and_what_failed() -> None:
    Schedule.objects.filter(name="ping").update(time_zone="Asia/Tokyo")
    Schedule.objects.filter(name="ping").update(error="it broke")
    printed = schedule("list")
    assert "(overridden: time_zone)" in printed
    assert "it broke" in printed


@pytest.mark.django_db
def test_disable_and_enable_switch_it() -> None:
    assert "disabled" in schedule("disable", "ping")
    assert not Schedule.objects.get(name="ping").enabled
    assert json.loads(schedule("enable", "ping", "--json"))["enabled"] is True
    assert Schedule.objects.get(name="ping").next_fire_at is not None


@pytest.mark.django_db
def test_run_sends_it_now_and_prints_the_run(broker: object) -> None:
    run_id = schedule("run", "ping").strip()
    run = TaskRun.objects.get(id=run_id)
    assert (run.task, run.source, run.schedule) == ("ping", "command", "ping")


@pytest.mark.django_db
def test_run_of_a_task_that_is_gone_exits_with_two() -> None:
    Schedule.objects.filter(name="ping").update(task="gone")
    with pytest.raises(CommandError, match="No task is named 'gone'") as rejected:
        schedule("run", "ping")
    assert rejected.value.returncode == 2


@pytest.mark.django_db
def test_reset_drops_an_operators_changes() -> None:
    Schedule.objects.filter(name="todo cleanup").update(cron="0 5 * * *")
    assert "0 2 * * *" in schedule("reset", "todo cleanup")


@pytest.mark.django_db
def test_reset_of_what_code_does_not_declare_exits_with_two() -> None:
    Schedule.objects.create(name="mine", task="ping", cron="@daily")
    with pytest.raises(CommandError, match="not declared in code"):
        schedule("reset", "mine")
