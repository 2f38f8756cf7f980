"""Workers, batches and the record of actions in the admin: to look at, and at nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from project.tasks.models import OperatorAction, TaskBatch, Worker
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue
from tests.people import a_user, an_operator
from tests.runs import a_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

GRACE = Operator("grace", "admin")


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


def test_the_record_is_listed_and_searched() -> None:
    pause_queue("default", by=GRACE, reason="peer down")
    client = an_operator()
    assert "peer down" in client.get("/admin/tasks/operatoraction/", {"q": "grace"}).content.decode()
    assert "peer down" not in client.get("/admin/tasks/operatoraction/", {"action": "retry"}).content.decode()
    (action,) = OperatorAction.objects.all()
    assert client.get(f"/admin/tasks/operatoraction/{action.pk}/change/").status_code == 200


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
