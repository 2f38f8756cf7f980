"""One's own runs over HTTP: listed, waited for, cancelled; nobody else's."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.utils import timezone

from project.desk import waiting
from project.tasks.models import OperatorAction, TaskRun
from tests.eventually import eventually
from tests.people import Api, a_user, staff
from tests.runs import a_run

pytestmark = pytest.mark.django_db


def state(run: TaskRun) -> str:
    return str(TaskRun.objects.get(id=run.id).state)


def end(run: TaskRun) -> None:
    TaskRun.objects.filter(id=run.id).update(state="succeeded", result=7, finished_at=timezone.now())


@contextmanager
def every_seat_taken() -> Iterator[None]:
    with ExitStack() as stack:
        while waiting._seats.acquire(blocking=False):
            stack.callback(waiting._seats.release)
        yield


def test_you_list_your_own_runs_newest_first_and_choose_among_them() -> None:
    ada = a_user()
    dead, other = a_run("dead", user=ada), a_run("succeeded", user=ada, task="tests.other")
    a_run("dead", user=a_user())
    listed = [UUID(run["id"]) for run in Api(ada).get("/v1/tasks").json()["tasks"]]
    assert listed == [other.id, dead.id]
    for query, expected in (({"state": "dead"}, dead), ({"task": "tests.other"}, other), ({"limit": 1}, other)):
        assert [run["id"] for run in Api(ada).get("/v1/tasks", **query).json()["tasks"]] == [str(expected.id)]


def test_staff_list_everybodys_runs_or_their_own() -> None:
    viewer = staff("view_taskrun")
    a_run("dead")
    own = a_run("dead", user=viewer)
    assert len(Api(viewer).get("/v1/tasks").json()["tasks"]) == 2
    assert [run["id"] for run in Api(viewer).get("/v1/tasks", own="true").json()["tasks"]] == [str(own.id)]


@pytest.mark.parametrize("before", ["queued", "running"])
def test_you_cancel_your_own_run_and_that_is_recorded(before: str) -> None:
    ada = a_user("ada")
    run = a_run(before, user=ada)
    assert Api(ada).post(f"/v1/tasks/{run.id}/cancel", {}).status_code == 202
    run.refresh_from_db()
    assert run.state == "cancelled" or run.cancel_requested
    assert OperatorAction.objects.get().who == "ada"


def test_what_has_ended_is_not_cancelled() -> None:
    ada = a_user()
    assert Api(ada).post(f"/v1/tasks/{a_run('succeeded', user=ada).id}/cancel", {}).status_code == 409


def test_nobody_cancels_somebody_elses_run() -> None:
    run = a_run("queued", user=a_user())
    assert Api(a_user()).post(f"/v1/tasks/{run.id}/cancel", {}).status_code == 404
    assert Api(staff("view_taskrun")).post(f"/v1/tasks/{run.id}/cancel", {}).status_code == 403
    assert state(run) == "queued"


def test_a_run_that_has_ended_is_not_waited_for() -> None:
    ada = a_user()
    with every_seat_taken():
        response = Api(ada).get(f"/v1/tasks/{a_run('succeeded', user=ada).id}", wait=30)
    assert response.json()["state"] == "succeeded"
    assert "Retry-After" not in response


def test_who_finds_no_seat_is_answered_at_once_and_told_when_to_ask_again() -> None:
    ada = a_user()
    with every_seat_taken():
        response = Api(ada).get(f"/v1/tasks/{a_run('running', user=ada).id}", wait=30)
    assert (response.json()["state"], response["Retry-After"]) == ("running", "1")


@pytest.mark.parametrize("wait", ["-1", "31", "nan", "soon"])
def test_a_wait_that_makes_no_sense_is_refused(wait: str) -> None:
    assert Api(a_user()).get(f"/v1/tasks/{uuid4()}", wait=wait).status_code == 422


def test_the_answer_comes_with_the_end_of_the_run(transactional_db: None) -> None:
    ada = a_user()
    run = a_run("running", user=ada)
    answers: list[str] = []

    def ask() -> None:
        answers.append(Api(ada).get(f"/v1/tasks/{run.id}", wait=30).json()["state"])
        connections.close_all()

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: waiting._seats._value < waiting._seats._initial_value)  # type: ignore[attr-defined]
    end(run)
    asking.join(timeout=10)
    assert answers == ["succeeded"]
