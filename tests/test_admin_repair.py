"""What operators do to runs in the admin: asked first, done, recorded, and refused to those who may only look."""

from typing import Any

import pytest
from django.test import Client

from project.desk.admin import repair
from project.tasks.models import OperatorAction, TaskRun
from tests.people import a_user, a_viewer, an_operator
from tests.runs import a_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

RUNS = "/admin/tasks/taskrun/"


def page(client: Client, run: TaskRun) -> str:
    return client.get(f"{RUNS}{run.id}/change/").content.decode()


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
