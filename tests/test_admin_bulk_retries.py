"""Retrying all runs that match, in the admin: asked, started, watched and stopped."""

import pytest

from project.tasks.models import BulkRetry
from project.tasks.repair.audit import Operator
from project.tasks.repair.bulk import start_bulk_retry
from project.tasks.repair.filters import RunFilter
from tests.people import a_viewer, an_operator
from tests.runs import a_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

RUNS = "/admin/tasks/taskrun/"
GRACE = Operator("grace", "admin")


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
