"""The choice of runs: the list, its file, the question before a bulk retry, its work, the API and the shell agree."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.tasks.models import BulkRetry, TaskBatch, TaskRun
from project.tasks.repair.bulk_steps import step_bulk_retries
from project.tasks.repair.filters import RunFilter
from tests.people import Api, an_operator, staff
from tests.runs import a_run, an_old_run

pytestmark = pytest.mark.django_db

RUNS = "/admin/tasks/taskrun/"
PACE = {"rate": "500", "max_error_percent": "100", "reason": "fixed"}
BULK, PARENT = str(uuid4()), str(uuid4())
#: A value for each filter, and the columns of a run that it finds.
GIVEN: dict[str, tuple[str, dict[str, Any]]] = {
    "task": ("tests.add_async", {"task": "tests.add_async"}),
    "queue": ("rare", {"queue": "rare"}),
    "schedule": ("nightly", {"schedule": "nightly"}),
    "fingerprint": ("f2", {"fingerprint": "f2"}),
    "error_type": ("KeyError", {"error_type": "KeyError"}),
    "bulk_id": (BULK, {"bulk_id": BULK}),
    "request_id": ("r1", {"request_id": "r1"}),
    "parent_id": (PARENT, {"parent_id": PARENT}),
}


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


@pytest.fixture
def operator() -> Client:
    return an_operator()


def listed(client: Client, **query: str) -> list[TaskRun]:
    response = client.get(RUNS, query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def confirmed(client: Client, **query: str) -> tuple[str, str]:
    """Ask for a bulk retry; return how many runs the question speaks of, and where its answer goes."""
    asked = client.get(f"{RUNS}retry-all/", query)
    return dict(asked.context["facts"])["Runs"], f"{RUNS}retry-all/{asked.context['action']}"


def retried(client: Client, address: str) -> set[TaskRun]:
    """Confirm, let the bulk retry do all of its work, and return what it has retried."""
    client.post(address, PACE)
    bulk = BulkRetry.objects.get()
    BulkRetry.objects.update(stepped_at=timezone.now() - timedelta(seconds=2))
    step_bulk_retries()
    return set(TaskRun.objects.filter(bulk_id=bulk.id))


@pytest.mark.parametrize("name", GIVEN)
def test_what_the_list_shows_is_what_is_exported_counted_and_retried(name: str, operator: Client) -> None:
    value, columns = GIVEN[name]
    a_run()
    wanted = {a_run(**columns), a_run(**columns)}
    assert set(listed(operator, **{name: value})) == wanted
    exported: Any = operator.get(f"{RUNS}export/", {name: value})
    assert len(b"".join(exported.streaming_content).splitlines()) == 1 + len(wanted)
    count, address = confirmed(operator, **{name: value})
    assert count == "2"
    assert retried(operator, address) == wanted


def test_every_filter_can_be_given_in_the_admin_over_http_and_in_the_shell(operator: Client, capsys: Any) -> None:
    batch = TaskBatch.objects.create(total=1)
    an_old_run("dead", age=timedelta(days=3))
    columns = {name: value for name, (value, _) in GIVEN.items()}
    wanted = an_old_run("dead", age=timedelta(hours=2), batch=batch, **columns)
    hour, day = timezone.now() - timedelta(hours=1), timezone.now() - timedelta(days=1)
    given = columns | {"state": "dead", "batch": str(batch.id)}
    times = {"since": day.isoformat(), "until": hour.isoformat(), "ended_before": hour.isoformat()}
    assert set(given) | set(times) == set(RunFilter.model_fields)
    assert listed(operator, **given, **times) == [wanted]
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    call_command("tasks", "list", *options, "--since=1d", "--until=1h", "--ended-before=1h")
    assert str(wanted.id) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["bulk", "error__contains", "attempts__gt", "user", "State", "o"])
def test_a_filter_that_does_not_exist_is_refused_and_not_ignored(name: str, operator: Client) -> None:
    run = a_run()
    for page in ("", "export/", "retry-all/"):
        answer = operator.get(f"{RUNS}{page}", {name: "1"}, follow=True)
        assert f"There is no filter {name!r}" in answer.content.decode().replace("&#x27;", "'")
    operator.post(f"{RUNS}retry-all/?{name}=1", PACE)
    assert not BulkRetry.objects.exists()
    with pytest.raises(CommandError):
        call_command("tasks", "retry", "--all", f"--{name}=1")
    run.refresh_from_db()
    assert run.state == "dead"


def test_a_filter_that_is_given_twice_is_refused(operator: Client) -> None:
    a_run()
    for page in ("", "export/", "retry-all/"):
        answer = operator.get(f"{RUNS}{page}?task=ping&task=tests.add", follow=True)
        assert "task is given twice" in answer.content.decode()
    twice = operator.get(RUNS, {"sent": "hour", "since": timezone.now().isoformat()}, follow=True)
    assert "Give sent or since" in twice.content.decode()


def test_what_dies_between_the_question_and_the_answer_is_not_retried(operator: Client) -> None:
    wanted = a_run()
    count, address = confirmed(operator)
    later = a_run()
    assert count == "1"
    assert retried(operator, address) == {wanted}
    later.refresh_from_db()
    assert later.state == "dead"


def test_the_past_hour_of_the_question_is_that_of_the_answer(operator: Client) -> None:
    a_run()
    _, address = confirmed(operator, sent="hour")
    bounds = parse_qs(urlsplit(address).query)
    assert "sent" not in bounds
    hour_ago = timezone.now() - timedelta(hours=1)
    assert hour_ago - timedelta(minutes=1) < datetime.fromisoformat(bounds["since"][0]) < hour_ago


def test_old_runs_of_a_queue_are_counted_as_they_are_retried(operator: Client) -> None:
    wanted = {an_old_run("dead", age=timedelta(days=2), queue="rare") for _ in range(3)}
    for _ in range(3):
        a_run()
    assert set(listed(operator, queue="rare")) == wanted
    count, address = confirmed(operator, queue="rare")
    assert (count, retried(operator, address)) == ("3", wanted)


def test_runs_that_cannot_be_retried_are_not_asked_about(operator: Client) -> None:
    a_run("succeeded")
    answer = operator.get(f"{RUNS}retry-all/", {"state": "succeeded"}, follow=True)
    assert "Runs that are succeeded cannot be retried" in answer.content.decode()


def test_a_filter_that_does_not_exist_is_refused_over_http() -> None:
    user = staff("view_taskrun")
    a_run()
    assert len(Api(user).get("/v1/tasks?state=dead&limit=1").json()["tasks"]) == 1
    answer = Api(user).get("/v1/tasks?bulk=1")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "bulk"])


def test_a_bulk_retry_leads_to_the_runs_that_it_retried(operator: Client) -> None:
    wanted = a_run()
    _, address = confirmed(operator)
    assert retried(operator, address) == {wanted}
    a_run()
    bulk = BulkRetry.objects.get()
    page = operator.get(f"/admin/tasks/bulkretry/{bulk.id}/change/").content.decode()
    assert f"?bulk_id={bulk.id}" in page
    assert f"ended_before={bulk.filter['ended_before'][:19]}Z" in page
    assert listed(operator, bulk_id=str(bulk.id)) == [wanted]
