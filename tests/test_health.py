"""What load balancers, orchestrators and people are told about the service's health."""

import socket
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from project.health import probes
from project.health.tasks import PingResult, ping
from project.names import TaskName
from project.tasks.models import TaskRun, Worker
from scheduler.models import Schedule

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _no_kept_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_answer", None)


def ran_a_ping(*, ago: timedelta = timedelta()) -> None:
    finished = timezone.now() - ago
    TaskRun.objects.create(
        id=uuid4(), task=TaskName.PING, queue="default", state=TaskRun.State.SUCCEEDED, finished_at=finished
    )


def beat(kind: str, *, ago: timedelta = timedelta(), hostname: str = "") -> None:
    when = timezone.now() - ago
    Worker.objects.create(kind=kind, hostname=hostname or socket.gethostname(), pid=1, beat_at=when)


def test_ping_answers() -> None:
    assert ping() == PingResult(result="pong")


def test_livez_depends_on_nothing(client: Client, settings: Settings) -> None:
    # No database: pytest-django would refuse a query here.
    settings.REDIS_URL = NOBODY_LISTENS
    assert client.get("/livez").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.django_db(transaction=True)
def test_probes_answer_by_address_and_without_tls(client: Client, settings: Settings, path: str) -> None:
    settings.ALLOWED_HOSTS = ["example.com"]
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path, headers={"host": "10.0.0.7:8000"}).status_code in {200, 503}


@pytest.mark.django_db(transaction=True)
def test_readyz_is_ok_when_a_ping_ran_lately(client: Client) -> None:
    ran_a_ping()
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db(transaction=True)
def test_readyz_tells_of_a_late_schedule_and_stays_ready(client: Client) -> None:
    ran_a_ping()
    Schedule.objects.create(name="nightly", task=TaskName.PING, cron="0 2 * * *")
    Schedule.objects.filter(name="nightly").update(next_fire_at=timezone.now() - timedelta(minutes=2))
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["alarms"] == ["schedule nightly is overdue by 120 s"]


@pytest.mark.django_db(transaction=True)
def test_readyz_names_a_ping_that_is_too_old(client: Client) -> None:
    ran_a_ping(ago=timedelta(minutes=4))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["failing"] == {"ping": "the last ping succeeded 240 seconds ago"}


@pytest.mark.django_db(transaction=True)
def test_readyz_says_that_no_ping_has_ever_run(client: Client) -> None:
    assert "no ping has succeeded yet" in client.get("/readyz").json()["failing"]["ping"]


@pytest.mark.django_db(transaction=True)
def test_readyz_names_a_broker_that_does_not_answer(client: Client, settings: Settings) -> None:
    ran_a_ping()
    settings.REDIS_URL = NOBODY_LISTENS
    response = client.get("/readyz")
    assert response.status_code == 503
    assert list(response.json()["failing"]) == ["broker"]


@pytest.mark.django_db(transaction=True)
def test_readyz_names_a_database_that_does_not_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"host": "127.0.0.1", "port": 1, "dbname": "nothing"}
    monkeypatch.setattr("django.db.connection.get_connection_params", lambda: dict(parameters), raising=False)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert set(response.json()["failing"]) == {"database", "ping"}


@pytest.mark.django_db(transaction=True)
def test_health_is_the_same_answer_without_details(client: Client) -> None:
    response = client.get("/v1/health")
    assert (response.status_code, response.json()) == (503, {"detail": "Service is unavailable"})


@pytest.mark.django_db(transaction=True)
def test_health_is_ok_and_sends_nothing(client: Client) -> None:
    ran_a_ping()
    response = client.get("/v1/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert TaskRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_flood_of_requests_is_one_question(client: Client) -> None:
    ran_a_ping()
    assert client.get("/readyz").status_code == 200
    TaskRun.objects.all().delete()
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v1/health"])
def test_health_can_only_be_read(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("kind", ["worker", "scheduler"])
@pytest.mark.django_db
def test_the_command_finds_a_process_that_beats(kind: str) -> None:
    beat(kind)
    said = StringIO()
    call_command("health", kind, stdout=said)
    assert said.getvalue() == f"{kind} lives\n"


@pytest.mark.parametrize("kind", ["worker", "scheduler"])
@pytest.mark.django_db
def test_the_command_fails_when_the_last_beat_is_old(kind: str) -> None:
    beat(kind, ago=timedelta(seconds=20))
    with pytest.raises(CommandError, match=f"no {kind} of this machine"):
        call_command("health", kind)


@pytest.mark.django_db
def test_the_command_does_not_count_another_machine_or_kind() -> None:
    beat("worker", hostname="elsewhere")
    beat("scheduler")
    with pytest.raises(CommandError):
        call_command("health", "worker")


def test_the_command_fails_when_the_web_process_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.health.management.commands.health.TIMEOUT_SECONDS", 0.1)
    with pytest.raises(CommandError, match="does not answer"):
        call_command("health", "web")
