"""`manage.py tasks`: what it prints for people and for scripts, and its exit codes."""

import json
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.tasks.models import BulkRetry, OperatorAction, PausedQueue, TaskAttempt, TaskBatch, TaskRun, Worker
from scheduler.models import Schedule
from tests.runs import a_run, an_old_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def tasks(*arguments: object, code: int = 0) -> str:
    """Run the command and return what it prints; it must end with the code."""
    output, ended_with = StringIO(), 0
    try:
        call_command("tasks", *map(str, arguments), stdout=output)
    except SystemExit as end:
        ended_with = int(end.code or 0)
    except CommandError as error:
        output.write(str(error))
        # Django's parser raises when it is called from Python, and exits with 2 at the command line.
        ended_with = error.returncode if error.returncode != 1 or not str(error).startswith("Error:") else 2
    assert ended_with == code, output.getvalue()
    return output.getvalue()


def answer(*arguments: object, code: int = 0) -> Any:
    return json.loads(tasks(*arguments, "--json", code=code))


def test_list_shows_the_newest_runs_in_columns() -> None:
    an_old_run("succeeded", age=timedelta(hours=3))
    newest = a_run()
    header, first, second = tasks("list").splitlines()
    assert header.split() == ["ID", "STATE", "TASK", "QUEUE", "SENT", "TOOK", "ATTEMPTS", "ERROR"]
    assert first.startswith(f"{newest.id}  dead       tests.add")
    assert "ValueError: broken" in first
    assert "3 h ago" in second


def test_list_is_filtered() -> None:
    an_old_run("dead", age=timedelta(hours=3))
    a_run(queue="other")
    a_run("succeeded")
    wanted = a_run()
    rows = answer("list", "--state", "dead", "--queue", "default", "--since", "2h", "--task", "tests.add")
    assert [row["id"] for row in rows] == [str(wanted.id)]


def test_list_says_so_when_nothing_matches() -> None:
    assert tasks("list").strip() == "No run matches."
    assert answer("list") == []


def test_list_takes_one_query(django_assert_num_queries: Any) -> None:
    for _ in range(25):
        a_run()
    with django_assert_num_queries(1):
        assert len(answer("list")) == 20


def test_show_has_everything_about_a_run() -> None:
    run = a_run(request_id="req-1")
    TaskAttempt.objects.create(run=run, number=1, error_type="OSError", traceback="Traceback:\n  here")
    shown = tasks("show", run.id)
    for text in (str(run.id), '{"left": 1}', "ValueError: broken", "req-1", "    here"):
        assert text in shown
    assert answer("show", run.id)["failed_attempts"][0]["error_type"] == "OSError"


def test_why_explains_a_run() -> None:
    run = a_run("pending")
    assert "No living worker consumes queue 'default'" in tasks("why", run.id)
    assert [reason["code"] for reason in answer("why", run.id)["reasons"]] == ["no_worker", "not_published"]


@pytest.mark.parametrize("action", ["show", "why"])
def test_a_run_that_does_not_exist_is_a_failure(action: str) -> None:
    assert "There is no such run" in tasks(action, uuid4(), code=1)


def test_queues_tell_what_waits() -> None:
    a_run("queued", run_after=timezone.now() - timedelta(minutes=5))
    (row,) = [row for row in answer("queues") if row["queue"] == "default"]
    assert (row["waiting"], row["state"]) == (1, "no worker")
    assert "5 min" in tasks("queues")


def test_no_worker_is_a_finding() -> None:
    assert "No worker" in tasks("workers", code=1)
    Worker.objects.create(kind="worker", hostname="host", pid=7, queues=["default"])
    assert "host:7" in tasks("workers")


def test_send_turns_text_into_what_the_task_takes() -> None:
    sent = answer("send", "tests.add", "left=1", "right=2", "--reason", "try")
    run = TaskRun.objects.get(id=sent["id"])
    assert (run.arguments, run.source, run.state) == ({"left": 1, "right": 2}, "command", "queued")
    assert OperatorAction.objects.get().action == "send"


def test_send_takes_json_where_an_argument_is_no_plain_value() -> None:
    sent = answer("send", "tests.double", 'value={"total": 4}', "--delay", "1h", "--queue", "other")
    run = TaskRun.objects.get(id=sent["id"])
    assert (run.arguments, run.queue, run.state) == ({"value": {"total": 4}}, "other", "pending")


def test_send_waits_for_the_result(worker: DramatiqWorker) -> None:
    assert answer("send", "tests.add", "left=1", "--wait", "10s")["result"] == {"total": 2}
    assert "never" in tasks("send", "tests.refuse", "--wait", "10s", code=1)


@pytest.mark.parametrize(
    "arguments", [("tests.none",), ("tests.add",), ("tests.add", "left=x"), ("tests.add", "left=1", "more=2")]
)
def test_what_cannot_be_sent_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    tasks("send", *arguments, code=2)
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("retry", "dead", "queued"), ("discard", "dead", "discarded"), ("cancel", "queued", "cancelled")],
)
def test_runs_are_repaired_and_recorded(action: str, before: str, after: str) -> None:
    runs = [a_run(before), a_run(before)]
    rows = answer(action, *(run.id for run in runs), "--reason", "because")
    assert [row["state"] for row in rows] == [after, after]
    recorded = OperatorAction.objects.all()
    assert {(each.action, each.source, each.reason) for each in recorded} == {(action, "command", "because")}


def test_what_cannot_be_repaired_is_a_failure_and_the_others_are_repaired() -> None:
    good, bad = a_run(), a_run("succeeded")
    printed = tasks("retry", bad.id, uuid4(), good.id, code=1)
    assert "is succeeded" in printed
    assert "There is no such run" in printed
    good.refresh_from_db()
    assert good.state == "queued"


def test_a_run_is_retried_with_other_arguments() -> None:
    run = a_run()
    tasks("retry", run.id, "--arguments", '{"left": 8}')
    run.refresh_from_db()
    assert run.arguments == {"left": 8}


def test_all_that_match_are_retried_in_bulk() -> None:
    tasks("retry", "--all", "--task", "tests.add", "--rate", "5", "--max-error-percent", "10", "--reason", "fixed")
    bulk = BulkRetry.objects.get()
    assert (bulk.filter["state"], bulk.filter["task"]) == ("dead", "tests.add")
    assert (bulk.rate, bulk.max_error_share) == (5, 0.1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("retry",),
        ("retry", "--all", str(uuid4())),
        ("retry", "--all", "--rate", "0"),
        ("retry", "--all", "--state", "running"),
        ("retry", str(uuid4()), str(uuid4()), "--arguments", "{}"),
        ("retry", str(uuid4()), "--arguments", "[]"),
        ("retry", "not-an-id"),
        ("list", "--since", "soon"),
        ("list", "--state", "lost"),
        ("list", "--limit", "-1"),
        ("pause", "default"),
        ("send", "tests.add", "left"),
        ("nothing",),
        (),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    tasks(*arguments, code=2)


def test_a_queue_is_paused_for_a_while_and_resumed() -> None:
    tasks("pause", "default", "--reason", "peer down", "--for", "2h")
    paused = PausedQueue.objects.get()
    assert paused.resume_at is not None
    assert timedelta(minutes=119) < paused.resume_at - timezone.now() <= timedelta(hours=2)
    assert "is resumed" in tasks("resume", "default")
    assert "was not paused" in tasks("resume", "default")
    assert "no queue 'other'" in tasks("pause", "other", "--reason", "x", code=1)


def test_check_finds_whatever_this_code_cannot_execute() -> None:
    assert "fits this code" in tasks("check")
    gone = a_run("queued", task="tests.gone")
    unfit = a_run("pending", arguments={"left": "x"})
    chained = a_run("running", next_steps=[{"id": str(uuid4()), "task": "tests.gone"}])
    batch = TaskBatch.objects.create(total=1, then={"task": "tests.add", "arguments": {}})
    Schedule.objects.create(name="broken", task="tests.gone", cron="* * * * *")
    Schedule.objects.create(name="off", task="tests.gone", cron="* * * * *", enabled=False)
    a_run("dead", task="tests.gone")
    found = {row["where"] for row in answer("check", code=1)}
    assert found == {
        f"run {gone.id}",
        f"run {unfit.id}",
        f"run {chained.id}, next step",
        f"batch {batch.id}, then",
        "schedule 'broken'",
    }


def test_prune_deletes_history_and_is_recorded() -> None:
    an_old_run("succeeded", age=timedelta(days=20))
    an_old_run("dead", age=timedelta(days=20))
    assert answer("prune") == {"runs": 1, "batches": 0}
    assert answer("prune", "--others-days", "10") == {"runs": 1, "batches": 0}
    assert OperatorAction.objects.filter(action="prune").count() == 2


@pytest.mark.parametrize(("arguments", "code"), [(["list", "--state", "lost"], 2), (["show", str(uuid4())], 1)])
def test_at_the_command_line_errors_go_to_stderr(arguments: list[str], code: int) -> None:
    command = [sys.executable, "-W", "ignore", "manage.py", "tasks", *arguments]
    ended = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr
