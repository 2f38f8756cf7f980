"""The list of runs in the admin: filters, search, pages, and how much it asks of the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from project.desk.admin import listing
from project.tasks.models import TaskBatch, TaskRun
from tests.people import a_user, a_viewer, signed_in
from tests.runs import a_run, an_old_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

RUNS = "/admin/tasks/taskrun/"


def listed(client: Client, **query: str) -> list[TaskRun]:
    response = client.get(RUNS, query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


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
