"""Runs, queues and workers over HTTP: what their owners see, what staff see, and what staff may do."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.tasks.models import OperatorAction, PausedQueue, TaskAttempt, TaskRun, Worker
from project.tasks.sending.cause import Cause, caused_by
from tests import tasks_for_tests as tasks
from tests.people import Api, a_user, staff
from users.models import User

#: An id that no run has; the same in each process of a parallel test run.
NOBODYS_RUN = "05eb3675-2496-416e-8d23-2664334bbe08"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def a_run(user: User | None = None, **columns: Any) -> TaskRun:
    """Create a run of `add` that ended as the columns say; dead by default."""
    now = timezone.now()
    dead = {"state": "dead", "error_type": "ValueError", "error": "broken", "traceback": "Traceback: secret"}
    ended = {"task": "tests.add", "queue": "default", "arguments": {"left": 1}, "finished_at": now, "attempts": 3}
    return TaskRun.objects.create(user=user, **{**ended, **dead, **columns})


def an_operator() -> User:
    return staff("change_taskrun")


def test_you_see_how_your_own_run_stands() -> None:
    ada = a_user()
    with caused_by(Cause(source="api", user_id=ada.pk)):
        run_id = tasks.add.send(1).run_id
    body = Api(ada).get(f"/v1/tasks/{run_id}").json()
    assert (body["id"], body["task"], body["attempts"]) == (str(run_id), "tests.add", 0)
    assert (body["result"], body["error"], body["finished_at"]) == (None, None, None)


def test_the_error_of_your_run_is_shown_without_its_traceback() -> None:
    ada = a_user()
    response = Api(ada).get(f"/v1/tasks/{a_run(ada).id}")
    assert response.json()["error"] == {"type": "ValueError", "message": "broken"}
    assert "secret" not in response.content.decode()


@pytest.mark.parametrize("owner", ["another user", "nobody"])
def test_a_run_that_is_not_yours_is_not_found(owner: str) -> None:
    run = a_run(a_user() if owner == "another user" else None)
    response = Api(a_user()).get(f"/v1/tasks/{run.id}")
    assert (response.status_code, response.json()) == (404, {"detail": "Task not found"})


def test_staff_see_every_run() -> None:
    assert Api(staff("view_taskrun")).get(f"/v1/tasks/{a_run(a_user()).id}").status_code == 200


def test_what_is_no_run_is_not_found() -> None:
    assert Api(staff("view_taskrun")).get(f"/v1/tasks/{uuid4()}").status_code == 404


@pytest.mark.parametrize("run_id", ["7", "not-an-id", "%00"])
def test_what_is_no_id_is_refused(run_id: str) -> None:
    assert Api(staff("view_taskrun")).get(f"/v1/tasks/{run_id}").status_code == 422


@pytest.mark.parametrize("path", ["", "/queues", "/workers", f"/{NOBODYS_RUN}", f"/{NOBODYS_RUN}/details"])
def test_nobody_sees_anything_without_a_token(path: str) -> None:
    assert Api().get(f"/v1/tasks{path}").status_code == 401


@pytest.mark.parametrize("path", ["/queues", "/workers", "/{run}/details"])
def test_only_staff_look_behind_the_scenes(path: str) -> None:
    ada = a_user()
    assert Api(ada).get(f"/v1/tasks{path.format(run=a_run(ada).id)}").status_code == 403


@pytest.mark.parametrize("path", ["/{run}/retry", "/{run}/cancel", "/{run}/discard", "/queues/default/resume"])
def test_repairs_need_the_permission_to_change_runs(path: str) -> None:
    run = a_run()
    api = Api(staff("view_taskrun"))
    assert api.post(f"/v1/tasks{path.format(run=run.id)}", {}).status_code == 403
    assert not OperatorAction.objects.exists()


def test_the_list_is_filtered_and_paged_newest_first() -> None:
    a_run(state="succeeded")
    runs = sorted((a_run() for _ in range(5)), key=lambda run: run.id)
    api = Api(staff("view_taskrun"))
    first = api.get("/v1/tasks", state="dead", task="tests.add", limit=3).json()
    assert [UUID(row["id"]) for row in first["tasks"]] == [run.id for run in runs[4:1:-1]]
    second = api.get("/v1/tasks", state="dead", limit=3, before=first["next"]).json()
    assert [UUID(row["id"]) for row in second["tasks"]] == [run.id for run in runs[1::-1]]
    assert second["next"] is None


def test_the_list_is_filtered_by_time_and_queue() -> None:
    a_run(queue="other")
    api = Api(staff("view_taskrun"))
    later = (timezone.now() + timedelta(minutes=1)).isoformat()
    assert len(api.get("/v1/tasks", queue="other", until=later).json()["tasks"]) == 1
    assert api.get("/v1/tasks", queue="default").json()["tasks"] == []
    assert api.get("/v1/tasks", since=later).json()["tasks"] == []


@pytest.mark.parametrize("query", [{"state": "lost"}, {"limit": 1000}, {"before": "x"}, {"since": "2026-01-01T00:00"}])
def test_a_filter_that_makes_no_sense_is_refused(query: dict[str, Any]) -> None:
    assert Api(staff("view_taskrun")).get("/v1/tasks", **query).status_code == 422


def test_details_hold_what_a_repair_needs_to_know() -> None:
    run = a_run()
    TaskAttempt.objects.create(run=run, number=1, error_type="ValueError", error="first", traceback="where")
    body = Api(staff("view_taskrun")).get(f"/v1/tasks/{run.id}/details").json()
    assert (body["arguments"], body["traceback"]) == ({"left": 1}, "Traceback: secret")
    assert [attempt["error"] for attempt in body["failed_attempts"]] == ["first"]


def test_a_dead_run_is_retried_with_other_arguments_and_recorded() -> None:
    run, grace = a_run(), an_operator()
    response = Api(grace).post(f"/v1/tasks/{run.id}/retry", {"arguments": {"left": 5}, "reason": "typo"})
    assert (response.status_code, response.json()["state"]) == (202, "queued")
    run.refresh_from_db()
    assert run.arguments == {"left": 5}
    action = OperatorAction.objects.get()
    assert (action.who, action.source, action.action, action.reason) == (grace.username, "api", "retry", "typo")


def test_arguments_that_do_not_fit_are_refused_with_the_field() -> None:
    run = a_run()
    response = Api(an_operator()).post(f"/v1/tasks/{run.id}/retry", {"arguments": {"left": "one"}})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "arguments", "left"]
    run.refresh_from_db()
    assert run.state == "dead"


def test_a_run_of_a_task_that_is_gone_is_not_retried() -> None:
    run = a_run(task="tests.gone")
    response = Api(an_operator()).post(f"/v1/tasks/{run.id}/retry", {})
    assert response.status_code == 409
    assert "No task is named 'tests.gone'" in response.json()["detail"]


@pytest.mark.parametrize(("action", "state"), [("retry", "succeeded"), ("cancel", "dead"), ("discard", "queued")])
def test_what_is_not_possible_in_a_state_is_a_conflict(action: str, state: str) -> None:
    response = Api(an_operator()).post(f"/v1/tasks/{a_run(state=state).id}/{action}", {})
    assert response.status_code == 409
    assert f"is {state}" in response.json()["detail"]


@pytest.mark.parametrize("action", ["retry", "cancel", "discard"])
def test_an_action_on_no_run_is_not_found(action: str) -> None:
    assert Api(an_operator()).post(f"/v1/tasks/{uuid4()}/{action}", {}).status_code == 404


def test_a_waiting_run_is_cancelled_and_a_dead_one_discarded() -> None:
    api = Api(an_operator())
    waiting, dead = a_run(state="queued"), a_run()
    assert api.post(f"/v1/tasks/{waiting.id}/cancel", {}).json()["state"] == "cancelled"
    assert api.post(f"/v1/tasks/{dead.id}/discard", {}).json()["state"] == "discarded"


def test_queues_tell_what_waits_and_since_when() -> None:
    a_run(state="queued", queue="busy", run_after=timezone.now() - timedelta(minutes=2))
    queues = {row["name"]: row for row in Api(staff("view_taskrun")).get("/v1/tasks/queues").json()}
    assert queues["busy"]["waiting"] == 1
    assert 120 <= queues["busy"]["oldest_seconds"] < 180
    assert queues["default"]["waiting"] == 0


def test_a_queue_is_paused_and_resumed() -> None:
    api = Api(an_operator())
    paused = api.post("/v1/tasks/queues/default/pause", {"reason": "the peer is down"})
    assert paused.json()["paused"] == "the peer is down"
    assert api.post("/v1/tasks/queues/default/resume", {}).json()["paused"] is None
    assert not PausedQueue.objects.exists()


@pytest.mark.parametrize(("queue", "body", "status"), [("none", {"reason": "x"}, 404), ("default", {}, 422)])
def test_a_pause_needs_a_queue_and_a_reason(queue: str, body: Any, status: int) -> None:
    assert Api(an_operator()).post(f"/v1/tasks/queues/{queue}/pause", body).status_code == status


def test_workers_are_those_that_live() -> None:
    Worker.objects.create(kind="worker", hostname="gone", pid=1, beat_at=timezone.now() - timedelta(minutes=1))
    Worker.objects.create(kind="worker", hostname="here", pid=1, queues=["default"], threads=4)
    (row,) = Api(staff("view_taskrun")).get("/v1/tasks/workers").json()
    assert (row["queues"], row["threads"]) == (["default"], 4)
