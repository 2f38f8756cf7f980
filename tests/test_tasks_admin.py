"""What operators see and do in the admin, who may, and how much it asks of the database."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.desk.admin import listing, repair
from project.tasks.models import BulkRetry, OperatorAction, PausedQueue, TaskAttempt, TaskBatch, TaskRun, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.bulk import start_bulk_retry
from project.tasks.repair.filters import RunFilter
from project.tasks.repair.pauses import pause_queue
from tests.people import a_user
from tests.runs import a_run, an_old_run

#: An id that no run has; the same in each process of a parallel test run.
NOBODYS_RUN = "05eb3675-2496-416e-8d23-2664334bbe08"

pytestmark = pytest.mark.django_db

RUNS = "/admin/tasks/taskrun/"
GRACE = Operator("grace", "admin")


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def signed_in(*permissions: str) -> Client:
    user = a_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def an_operator() -> Client:
    tables = ("taskrun", "bulkretry", "pausedqueue", "worker", "taskbatch", "operatoraction")
    return signed_in("change_taskrun", *(f"view_{table}" for table in tables))


def a_viewer() -> Client:
    return signed_in("view_taskrun", "view_bulkretry", "view_pausedqueue")


def listed(client: Client, **query: str) -> list[TaskRun]:
    response = client.get(RUNS, query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def page(client: Client, run: TaskRun) -> str:
    return client.get(f"{RUNS}{run.id}/change/").content.decode()


# The list


def test_the_list_shows_the_newest_first() -> None:
    old = an_old_run("succeeded", age=timedelta(hours=2))
    new = an_old_run("succeeded", age=timedelta(hours=1))
    assert listed(a_viewer()) == [new, old]


def test_the_list_is_filtered_by_state_task_queue_and_time() -> None:
    an_old_run("dead", age=timedelta(days=2))
    a_run("succeeded")
    a_run(task="ping")
    a_run(queue="other")
    wanted = a_run()
    query = {"state": "dead", "task": "tests.add", "queue": "default", "sent": "day"}
    assert listed(a_viewer(), **query) == [wanted]


@pytest.mark.parametrize("column", ["schedule", "fingerprint", "error_type"])
def test_other_pages_link_to_more_filters(column: str) -> None:
    wanted = a_run(**{column: "x"})
    a_run(**{column: "y"})
    assert listed(a_viewer(), **{column: "x"}) == [wanted]


@pytest.mark.parametrize("query", [{"state": "lost"}, {"sent": "ever"}, {"batch": "x"}])
def test_a_filter_that_makes_no_sense_shows_no_runs_as_if_they_matched(query: dict[str, str]) -> None:
    a_run()
    response = a_viewer().get(RUNS, query)
    assert response["Location"].endswith("?e=1")


def test_search_finds_a_run_its_children_and_its_batch_by_id() -> None:
    parent = a_run()
    child = a_run(parent_id=parent.id)
    batch = TaskBatch.objects.create(total=1)
    member = a_run(batch=batch)
    client = a_viewer()
    assert set(listed(client, q=f" {parent.id} ")) == {parent, child}
    assert listed(client, q=str(batch.id)) == [member]


def test_search_finds_runs_by_task_schedule_request_and_user() -> None:
    user = a_user("ada")
    runs = [a_run(task="ping"), a_run(schedule="nightly"), a_run(request_id="abc"), a_run(user=user)]
    client = a_viewer()
    assert [listed(client, q=term) for term in ("ping", "nightly", "abc", "ada")] == [[run] for run in runs]
    assert listed(client, q="nothing like that") == []


def test_paging_ends_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_PAGED", 3)
    for _ in range(5):
        a_run()
    assert a_viewer().get(RUNS).context["cl"].result_count == 3


def test_the_list_takes_as_many_queries_for_many_as_for_few(django_assert_num_queries: Any) -> None:
    client = a_viewer()
    a_run(user=a_user())
    client.get(RUNS)
    with django_assert_num_queries(6):
        client.get(RUNS)
    for _ in range(30):
        a_run(user=a_user())
    with django_assert_num_queries(6):
        client.get(RUNS, {"state": "dead", "queue": "default"})


def test_nobody_without_permission_sees_runs() -> None:
    run = a_run()
    client = signed_in("view_user")
    paths = (RUNS, f"{RUNS}{run.id}/change/", f"{RUNS}failures/", f"{RUNS}export/")
    assert {client.get(path).status_code for path in paths} == {403}


# A run's page


def test_the_page_of_a_dead_run_shows_its_error_every_failed_attempt_and_its_cause() -> None:
    run = a_run(user=a_user("ada"), request_id="req-1", schedule="nightly", parent_id=a_run().id)
    TaskAttempt.objects.create(run=run, number=1, error_type="OSError", error="first <b>", traceback="tb 1")
    shown = page(a_viewer(), run)
    for text in ("ValueError", "Traceback: secret", "OSError", "first &lt;b&gt;", "tb 1", "ada", "req-1", "nightly"):
        assert text in shown
    assert str(run.parent_id) in shown


def test_the_page_of_a_waiting_run_says_what_it_waits_for_and_refreshes() -> None:
    pause_queue("default", by=GRACE, reason="peer down")
    shown = page(a_viewer(), a_run("queued"))
    assert "paused by grace" in shown
    assert 'data-refresh-seconds="2"' in shown


def test_the_page_of_a_run_that_has_ended_stays_as_it_is() -> None:
    shown = page(a_viewer(), a_run("succeeded", result={"total": 2}))
    assert "&quot;total&quot;: 2" in shown
    assert "data-refresh-seconds" not in shown


def test_the_page_shows_progress_and_children() -> None:
    run = a_run("running", progress=0.42, progress_note="21 of 50", started_at=timezone.now())
    child = a_run("succeeded", parent_id=run.id)
    shown = page(a_viewer(), run)
    assert "42% 21 of 50" in shown
    assert str(child.id) in shown


def test_the_page_tells_who_did_what_to_the_run() -> None:
    run = a_run()
    an_operator().post(f"{RUNS}{run.id}/discard/", {"reason": "duplicate"})
    assert "duplicate" in page(a_viewer(), run)


def test_the_page_takes_as_many_queries_for_a_long_story_as_for_a_short_one(django_assert_num_queries: Any) -> None:
    client, short, long = a_viewer(), a_run(), a_run(user=a_user())
    for number in range(20):
        TaskAttempt.objects.create(run=long, number=number, error_type="E", worker="w")
        a_run("succeeded", parent_id=long.id)
    for run in (short, long):
        with django_assert_num_queries(8):
            page(client, run)


@pytest.mark.parametrize("run_id", ["7", NOBODYS_RUN])
def test_a_run_that_does_not_exist_has_no_page(run_id: str) -> None:
    assert a_viewer().get(f"{RUNS}{run_id}/change/").status_code == 404


# Repairing


@pytest.mark.parametrize("action", ["retry", "edit", "cancel", "discard"])
def test_who_may_only_look_may_not_repair(action: str) -> None:
    run = a_run()
    client = a_viewer()
    assert f'href="../{action}/"' not in page(client, run)
    assert client.get(f"{RUNS}{run.id}/{action}/").status_code == 403
    assert client.post(f"{RUNS}{run.id}/{action}/", {"reason": "x"}).status_code == 403


@pytest.mark.parametrize("action", ["retry", "edit", "discard"])
def test_repairs_ask_first(action: str) -> None:
    run = a_run()
    client = an_operator()
    assert f'href="../{action}/"' in page(client, run)
    assert client.get(f"{RUNS}{run.id}/{action}/").status_code == 200
    run.refresh_from_db()
    assert run.state == "dead"


def test_another_site_cannot_repair() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(a_user(is_staff=True, is_superuser=True))
    assert client.post(f"{RUNS}{a_run().id}/retry/", {"reason": ""}).status_code == 403


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("retry", "dead", "queued"), ("discard", "dead", "discarded"), ("cancel", "queued", "cancelled")],
)
def test_a_confirmed_repair_is_done_and_recorded_with_its_reason(action: str, before: str, after: str) -> None:
    run = a_run(before)
    response = an_operator().post(f"{RUNS}{run.id}/{action}/", {"reason": "because"})
    assert response["Location"] == f"{RUNS}{run.id}/change/"
    run.refresh_from_db()
    assert run.state == after
    recorded = OperatorAction.objects.get()
    assert (recorded.action, recorded.source, recorded.reason) == (action, "admin", "because")


def test_a_run_is_retried_with_edited_arguments() -> None:
    run = a_run()
    an_operator().post(f"{RUNS}{run.id}/edit/", {"arguments": '{"left": 9}', "reason": "typo"})
    run.refresh_from_db()
    assert (run.state, run.arguments) == ("queued", {"left": 9})


@pytest.mark.parametrize("arguments", ['{"left": "x"}', '{"left": 1, "more": 2}', "[]", "{", ""])
def test_edited_arguments_that_do_not_fit_are_shown_with_the_reason(arguments: str) -> None:
    run = a_run()
    response = an_operator().post(f"{RUNS}{run.id}/edit/", {"arguments": arguments})
    assert response.context["form"].errors["arguments"]
    run.refresh_from_db()
    assert run.state == "dead"


def test_a_repair_that_is_not_possible_any_more_says_why() -> None:
    run = a_run("succeeded")
    response = an_operator().post(f"{RUNS}{run.id}/retry/", {"reason": ""})
    assert "is succeeded" in response.content.decode()


def select(action: str, *runs: TaskRun, **more: str) -> dict[str, Any]:
    return {"action": action, "_selected_action": [str(run.id) for run in runs], **more}


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("retry_selected", "dead", "queued"),
        ("discard_selected", "dead", "discarded"),
        ("cancel_selected", "queued", "cancelled"),
    ],
)
def test_selected_runs_are_repaired_after_a_question(action: str, before: str, after: str) -> None:
    runs = [a_run(before), a_run(before)]
    client = an_operator()
    assert "2 runs" in client.post(RUNS, select(action, *runs)).content.decode()
    assert set(TaskRun.objects.values_list("state", flat=True)) == {before}
    client.post(RUNS, select(action, *runs, confirmed="1", reason="all of them"))
    assert set(TaskRun.objects.values_list("state", flat=True)) == {after}
    assert OperatorAction.objects.filter(reason="all of them").count() == 2


def test_what_cannot_be_repaired_is_left_and_counted() -> None:
    runs = [a_run(), a_run("succeeded")]
    response = an_operator().post(RUNS, select("retry_selected", *runs, confirmed="1"), follow=True)
    shown = response.content.decode()
    assert "1 run: will be tried again" in shown
    assert "1 left as they are" in shown


def test_more_than_a_browser_waits_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "MOST_SELECTED", 1)
    runs = [a_run(), a_run()]
    response = an_operator().post(RUNS, select("retry_selected", *runs, confirmed="1"), follow=True)
    assert "Select at most 1 runs" in response.content.decode()
    assert TaskRun.objects.filter(state="dead").count() == 2


def test_who_may_only_look_gets_no_actions() -> None:
    run = a_run()
    client = a_viewer()
    assert "retry_selected" not in client.get(RUNS).content.decode()
    client.post(RUNS, select("retry_selected", run, confirmed="1"))
    run.refresh_from_db()
    assert run.state == "dead"


# Retrying all that match


def test_all_that_match_are_retried_in_bulk() -> None:
    a_run(task="tests.double")
    run = a_run()
    client = an_operator()
    asked = client.get(f"{RUNS}retry-all/", {"task": "tests.add"})
    assert ("Runs", "1") in asked.context["facts"]
    sent = {"rate": "5", "max_error_percent": "10", "reason": "fixed"}
    response = client.post(f"{RUNS}retry-all/?task=tests.add", sent)
    bulk = BulkRetry.objects.get()
    assert response["Location"] == f"/admin/tasks/bulkretry/{bulk.id}/change/"
    assert (bulk.filter["state"], bulk.filter["task"]) == ("dead", "tests.add")
    assert (bulk.rate, bulk.max_error_share) == (5, 0.1)
    run.refresh_from_db()
    assert run.state == "dead"


def test_a_bulk_retry_needs_the_permission_and_numbers_that_make_sense() -> None:
    assert a_viewer().post(f"{RUNS}retry-all/", {"rate": "5", "max_error_percent": "10"}).status_code == 403
    response = an_operator().post(f"{RUNS}retry-all/", {"rate": "0", "max_error_percent": "200"})
    assert set(response.context["form"].errors) == {"rate", "max_error_percent"}
    an_operator().post(f"{RUNS}retry-all/?state=lost", {"rate": "5", "max_error_percent": "10"})
    assert not BulkRetry.objects.exists()


def test_what_a_search_finds_is_not_retried_in_bulk_with_all_that_it_does_not_find() -> None:
    a_run()
    client = an_operator()
    assert "retry-all" not in client.get(RUNS, {"q": "ping"}).content.decode()
    client.post(f"{RUNS}retry-all/?q=ping", {"rate": "5", "max_error_percent": "10"})
    assert not BulkRetry.objects.exists()


def test_a_bulk_retry_shows_how_far_it_is_and_is_stopped() -> None:
    bulk = start_bulk_retry(RunFilter(), rate=10, max_error_share=0.2, by=GRACE, reason="mail is back")
    a_run("succeeded", bulk_id=bulk.id)
    client = an_operator()
    shown = client.get(f"/admin/tasks/bulkretry/{bulk.id}/change/").content.decode()
    assert "mail is back" in shown
    assert "<b>1</b> succeeded" in shown
    client.post(f"/admin/tasks/bulkretry/{bulk.id}/stop/", {"reason": "enough"})
    bulk.refresh_from_db()
    assert bulk.outcome == "stopped"
    assert client.get("/admin/tasks/bulkretry/").status_code == 200


# Failures and export


def test_failures_are_grouped_by_kind() -> None:
    for _ in range(3):
        a_run(fingerprint="aaa", error="smtp is down")
    a_run(fingerprint="bbb", error_type="KeyError")
    shown = a_viewer().get(f"{RUNS}failures/")
    assert [(group.error_type, group.runs) for group, _, _ in shown.context["groups"]] == [
        ("KeyError", 1),
        ("ValueError", 3),
    ]
    assert "smtp is down" in shown.content.decode()
    _, address, _ = shown.context["groups"][1]
    assert len(a_viewer().get(f"{RUNS}?{address}").context["cl"].result_list) == 3


def lines(client: Client, **query: str) -> str:
    body: Any = client.get(f"{RUNS}export/", query)
    content: Iterator[bytes] = body.streaming_content
    return b"".join(content).decode()


def test_runs_are_exported_as_csv_and_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.desk.admin.export._CHUNK", 2)
    for _ in range(5):
        a_run(error="=1+1")
    a_run("succeeded")
    rows = list(csv.DictReader(io.StringIO(lines(a_viewer(), state="dead"))))
    assert [row["error"] for row in rows] == ["'=1+1"] * 5
    assert json.loads(rows[0]["arguments"]) == {"left": 1}
    assert len(lines(a_viewer(), q="nothing like that").splitlines()) == 1
    exported = [json.loads(line) for line in lines(a_viewer(), **{"as": "jsonl"}).splitlines()]
    assert [row["id"] for row in exported] == [str(run.id) for run in TaskRun.objects.order_by("-id")]


# Queues, workers, batches, the record


def test_a_queue_is_paused_with_a_reason_and_resumed() -> None:
    client = an_operator()
    missing = client.post("/admin/tasks/pausedqueue/pause/", {"queue": "default"})
    assert set(missing.context["form"].errors) == {"reason"}
    sent = {"queue": "default", "reason": "peer down", "resume_at_0": "2030-01-01", "resume_at_1": "12:00"}
    client.post("/admin/tasks/pausedqueue/pause/", sent)
    paused = PausedQueue.objects.get()
    assert (paused.queue, paused.reason, paused.resume_at is not None) == ("default", "peer down", True)
    assert "peer down" in client.get("/admin/tasks/pausedqueue/").content.decode()
    client.post("/admin/tasks/pausedqueue/default/resume/", {"reason": ""})
    assert not PausedQueue.objects.exists()
    assert list(OperatorAction.objects.order_by("id").values_list("action", flat=True)) == ["pause", "resume"]


@pytest.mark.parametrize("path", ["pause/", "default/resume/"])
def test_who_may_only_look_may_not_pause(path: str) -> None:
    assert a_viewer().post(f"/admin/tasks/pausedqueue/{path}", {"queue": "default", "reason": "x"}).status_code == 403
    assert "Pause a queue" not in a_viewer().get("/admin/tasks/pausedqueue/").content.decode()


def test_workers_show_what_they_run_and_whether_they_are_silent() -> None:
    worker = Worker.objects.create(kind="worker", hostname="host", pid=1, queues=["default"])
    Worker.objects.create(kind="worker", hostname="gone", pid=2, beat_at=timezone.now() - timedelta(minutes=1))
    a_run("running", worker_id=worker.id, started_at=timezone.now())
    shown = an_operator().get("/admin/tasks/worker/").content.decode()
    assert "host:1" in shown
    assert shown.count("silent") == 1


def test_batches_show_their_progress(django_assert_num_queries: Any) -> None:
    batch = TaskBatch.objects.create(total=3, name="invoices", then={"task": "ping", "arguments": {}})
    for state in ("succeeded", "dead", "queued"):
        a_run(state, batch=batch)
    client = an_operator()
    with django_assert_num_queries(6):
        listed = client.get("/admin/tasks/taskbatch/").content.decode()
    assert "2 of 3" in listed
    shown = client.get(f"/admin/tasks/taskbatch/{batch.id}/change/").content.decode()
    assert "2 of 3 have ended" in shown
    assert f"batch={batch.id}&amp;state=dead" in shown


@pytest.mark.parametrize("table", ["taskrun", "worker", "taskbatch", "operatoraction", "bulkretry", "pausedqueue"])
def test_nothing_is_added_changed_or_deleted_past_the_operations(table: str) -> None:
    client = Client()
    client.force_login(a_user(is_staff=True, is_superuser=True))
    run = a_run()
    assert client.get(f"/admin/tasks/{table}/add/").status_code == 403
    client.post(f"/admin/tasks/taskrun/{run.id}/change/", {"state": "succeeded"})
    assert client.post(f"/admin/tasks/taskrun/{run.id}/delete/", {"post": "yes"}).status_code == 403
    run.refresh_from_db()
    assert run.state == "dead"


def test_the_record_is_listed_and_searched() -> None:
    pause_queue("default", by=GRACE, reason="peer down")
    client = an_operator()
    assert "peer down" in client.get("/admin/tasks/operatoraction/", {"q": "grace"}).content.decode()
    assert "peer down" not in client.get("/admin/tasks/operatoraction/", {"action": "retry"}).content.decode()
    (action,) = OperatorAction.objects.all()
    assert client.get(f"/admin/tasks/operatoraction/{action.pk}/change/").status_code == 200
