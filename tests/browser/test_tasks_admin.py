"""Operating in a real browser: from a dead run to a result, and pages that keep themselves up to date."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker
from playwright.sync_api import Page, expect

from project.tasks.models import BulkRetry, PausedQueue, TaskRun, Worker
from tests import tasks_for_tests as tasks
from tests.browser.people import sign_in
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = "/admin/tasks/taskrun/"


def test_a_dead_run_is_retried_with_other_arguments_and_succeeds_before_our_eyes(
    page: Page, worker: DramatiqWorker
) -> None:
    run = a_run(arguments={"left": "x"})
    sign_in(page)
    page.goto(RUNS)
    page.locator("#result_list").get_by_role("link", name="tests.add").click()
    expect(page.get_by_text("Traceback: secret")).to_be_visible()
    page.get_by_role("link", name="Edit arguments and retry").click()
    page.get_by_label("Arguments:").fill('{"left": "y"}')
    page.get_by_role("button", name="Retry with these arguments").click()
    expect(page.get_by_text("left: Input should be a valid integer")).to_be_visible()
    page.get_by_label("Arguments:").fill('{"left": 41}')
    page.get_by_label("Reason:").fill("typo")
    page.get_by_role("button", name="Retry with these arguments").click()
    expect(page.get_by_text(f"Run {run.id} will be tried again.")).to_be_visible()
    expect(page.get_by_role("heading", name="Result")).to_be_visible(timeout=10_000)
    expect(page.locator("#run-live")).to_contain_text('"total": 42')


def test_the_page_of_a_running_task_follows_it_without_a_reload(page: Page, worker: DramatiqWorker) -> None:
    run_id = tasks.wait.send().run_id
    sign_in(page)
    page.goto(f"{RUNS}{run_id}/change/")
    expect(page.get_by_text("half way")).to_be_visible(timeout=10_000)
    tasks.gate.set()
    expect(page.get_by_role("status").get_by_text("succeeded")).to_be_visible(timeout=10_000)
    expect(page.locator("[data-refresh-seconds]")).to_have_count(0)


def test_selected_runs_are_discarded_after_a_question(page: Page) -> None:
    for _ in range(3):
        a_run()
    sign_in(page)
    page.goto(f"{RUNS}?state=dead")
    page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option("Discard selected runs")
    page.get_by_role("button", name=re.compile("Go|Run")).click()
    expect(page.get_by_role("heading", name="Discard 3 runs")).to_be_visible()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("3 runs: is discarded.")).to_be_visible()
    assert set(TaskRun.objects.values_list("state", flat=True)) == {"discarded"}


def test_from_the_operations_page_a_kind_of_failure_is_retried_and_seen_to_succeed(
    page: Page, worker: DramatiqWorker
) -> None:
    for _ in range(5):
        a_run()
    sign_in(page)
    page.get_by_role("link", name="Operations", exact=True).click()
    page.get_by_role("link", name="Retry all").click()
    page.get_by_label("Reason:").fill("fixed")
    page.get_by_role("button", name="Retry all").click()
    expect(page.get_by_role("status").get_by_text("all retried")).to_be_visible(timeout=15_000)
    expect(page.locator(".run-tiles")).to_contain_text(re.compile(r"5\s*succeeded"), timeout=10_000)
    assert BulkRetry.objects.get().retried == 5


def test_a_queue_is_paused_and_resumed_from_the_operations_page(page: Page) -> None:
    Worker.objects.create(
        kind="worker", hostname="host", pid=1, queues=["default"], beat_at=timezone.now() + timedelta(hours=1)
    )
    sign_in(page)
    page.goto("/admin/operations/")
    page.get_by_role("row", name=re.compile("^default")).get_by_role("link", name="Pause").click()
    page.get_by_label("Reason:").fill("the peer is down")
    page.get_by_role("button", name="Pause it").click()
    expect(page.get_by_text("Queue default is paused.")).to_be_visible()
    page.goto("/admin/operations/")
    row = page.get_by_role("row", name=re.compile("^default"))
    expect(row).to_contain_text("the peer is down")
    row.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume it").click()
    expect(page.get_by_text("Queue default is resumed.")).to_be_visible()
    assert not PausedQueue.objects.exists()
