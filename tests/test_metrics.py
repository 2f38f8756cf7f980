"""The metrics: for whom, what they say, and what they ask of the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from project.tasks.models import TaskRun, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue
from tests.people import a_user, signed_in
from tests.runs import a_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

TOKEN = "a token that is long enough"


def metrics(**headers: str) -> Any:
    return Client().get("/metrics", headers=headers)


def values(text: str) -> dict[tuple[str, ...], float]:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer"}]
)
def test_metrics_are_never_public(headers: dict[str, str], settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert metrics(**headers).status_code == 403
    settings.METRICS_TOKEN = ""
    assert metrics(**headers).status_code == 403


def test_metrics_are_for_staff_who_may_view_runs_and_for_the_token(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert metrics(Authorization=f"Bearer {TOKEN}").status_code == 200
    assert signed_in("view_taskrun").get("/metrics").status_code == 200
    assert signed_in("view_user").get("/metrics").status_code == 403
    client = Client()
    client.force_login(a_user())
    assert client.get("/metrics").status_code == 403


def test_metrics_tell_queues_runs_processes_and_schedules(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    a_run("queued", run_after=timezone.now() - timedelta(minutes=1))
    a_run("succeeded")
    a_run()
    Worker.objects.create(kind="worker", hostname="host", pid=1, queues=["default"])
    pause_queue("maintenance", by=Operator("grace", "admin"), reason="x")
    got = values(metrics(Authorization=f"Bearer {TOKEN}").content.decode())
    assert got["tasks_waiting", "default"] == 1
    assert 60 <= got["tasks_oldest_waiting_seconds", "default"] < 90
    assert got["tasks_processes", "worker"] == 1
    assert got["tasks_queue_paused", "maintenance"] == 1
    assert got["tasks_recent_succeeded", "tests.add"] == 1
    assert got["tasks_dead", "tests.add"] == 1
    assert got[("schedules_overdue",)] == 0


def test_metrics_take_as_many_queries_for_many_runs_as_for_few(django_assert_num_queries: Any) -> None:
    client = signed_in("view_taskrun")
    a_run()
    with django_assert_num_queries(13):
        client.get("/metrics")
    for number in range(10):
        a_run(fingerprint=str(number), task=f"tests.{number}", queue=str(number))
    with django_assert_num_queries(13):
        client.get("/metrics")
    assert TaskRun.objects.count() == 11
