"""The operations page and the metrics: what they show, to whom, and what they ask of the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from project.broker.broker import ServiceBroker
from project.tasks.models import TaskRun, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue
from scheduler.models import Schedule
from tests.people import a_user
from tests.runs import a_run

pytestmark = pytest.mark.django_db

PAGE = "/admin/operations/"
TOKEN = "a token that is long enough"


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker) -> None:
    """Start with an empty broker."""


def signed_in(*permissions: str) -> Client:
    user = a_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def shown(*permissions: str) -> Any:
    return signed_in(*(permissions or ("view_taskrun",))).get(PAGE)


def test_queues_show_what_waits_and_why_nothing_starts() -> None:
    a_run("queued", run_after=timezone.now() - timedelta(minutes=10))
    pause_queue("maintenance", by=Operator("grace", "admin"), reason="moving house")
    page = shown().content.decode()
    for text in ("10 min ago", "no worker", "moving house (grace)"):
        assert text in page


def test_buttons_are_for_those_who_may_press_them() -> None:
    a_run()
    assert "Retry all" not in shown("view_taskrun").content.decode()
    page = shown("change_taskrun").content.decode()
    assert "Retry all" in page
    assert "/admin/tasks/pausedqueue/pause/?queue=default" in page


def test_tasks_show_what_they_did_in_the_past_hour() -> None:
    started = timezone.now()
    a_run("succeeded", started_at=started, finished_at=started + timedelta(milliseconds=40))
    a_run(failures=3)
    ((task, median, _),) = shown().context["tasks"]
    assert (task.task, task.sent, task.succeeded, task.dead, task.failing) == ("tests.add", 2, 1, 1, 1)
    assert median == "40 ms"


def test_schedules_show_whether_they_are_late() -> None:
    Schedule.objects.all().delete()
    late = Schedule.objects.create(name="late", task="ping", cron="* * * * *")
    Schedule.objects.filter(id=late.id).update(next_fire_at=timezone.now() - timedelta(minutes=5))
    assert [row.is_late for row, _, _ in shown().context["schedules"]] == [True]


def test_the_page_takes_as_many_queries_for_many_rows_as_for_few(django_assert_num_queries: Any) -> None:
    client = signed_in("view_taskrun")
    a_run()
    queries = 12
    with django_assert_num_queries(queries):
        client.get(PAGE)
    for number in range(10):
        a_run(fingerprint=str(number), task=f"tests.{number}", queue=str(number))
        a_run("queued", queue=f"q{number}")
        Worker.objects.create(kind="worker", hostname="host", pid=number, queues=["default"])
        Schedule.objects.create(name=str(number), task="ping", cron="* * * * *")
    with django_assert_num_queries(queries):
        client.get(PAGE)


def test_the_page_is_for_those_who_may_see_runs() -> None:
    assert shown("view_user").status_code == 403
    assert "/admin/login/" in Client().get(PAGE)["Location"]


def test_the_admin_leads_to_the_page() -> None:
    assert PAGE in signed_in("view_taskrun").get("/admin/").content.decode()
    assert PAGE not in signed_in("view_user").get("/admin/").content.decode()


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
