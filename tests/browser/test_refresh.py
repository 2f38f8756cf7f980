"""Pages that keep themselves up to date do so while somebody works in them, and say when they do not."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from project.tasks.models import TaskRun
from tests.browser.people import sign_in
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

OPERATIONS = "/admin/operations/"
SOON = 12_000


def test_a_click_into_a_table_does_not_stop_it(page: Page) -> None:
    sign_in(page)
    page.goto(OPERATIONS)
    table = page.locator(".run-scroll").first
    expect(page.get_by_text("No run is dead.")).to_be_visible()
    table.click(position={"x": 5, "y": 5})
    expect(table).to_be_focused()
    a_run(error="the mail server is down")
    expect(page.get_by_text("the mail server is down")).to_be_visible(timeout=SOON)
    expect(table).to_be_focused()


def test_what_has_the_focus_keeps_it_when_rows_come_before_it(page: Page) -> None:
    a_run("queued", queue="zebra")
    sign_in(page)
    page.goto(OPERATIONS)
    row = page.get_by_role("row", name=re.compile("^zebra"))
    row.get_by_role("link", name="Pause").focus()
    a_run("queued", queue="aardvark")
    expect(page.get_by_role("row", name=re.compile("^aardvark"))).to_be_visible(timeout=SOON)
    expect(row.get_by_role("link", name="Pause")).to_be_focused()
    assert str(page.evaluate("document.activeElement.href")).endswith("queue=zebra")


def test_selected_text_stays_and_the_page_says_what_waits_for_it(page: Page) -> None:
    run = a_run("running", error_type="OSError", error="disk full", progress=0.1)
    sign_in(page)
    page.goto(f"/admin/tasks/taskrun/{run.id}/change/")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.run-error'))")
    TaskRun.objects.filter(id=run.id).update(error="disk on fire", progress=0.7)
    expect(page.get_by_text("70%")).to_be_visible(timeout=SOON)
    expect(page.get_by_text(re.compile("Not up to date since .* selected text"))).to_be_visible(timeout=SOON)
    assert page.evaluate("getSelection().toString()") == "OSError disk full"
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.get_by_text("disk on fire")).to_be_visible(timeout=SOON)
    expect(page.get_by_text(re.compile("^Up to date at"))).to_be_visible()


def test_a_server_that_does_not_answer_is_named(page: Page) -> None:
    run = a_run("running")
    sign_in(page)
    page.goto(f"/admin/tasks/taskrun/{run.id}/change/")
    expect(page.get_by_text(re.compile("^Up to date at"))).to_be_visible()

    def refuse(route: Route) -> None:
        route.fulfill(status=200, body="<html></html>", content_type="text/html")

    page.route("**/change/", refuse)
    expect(page.get_by_text(re.compile("Not up to date since .*: the page has changed"))).to_be_visible(timeout=SOON)
    page.unroute("**/change/")
    expect(page.get_by_text(re.compile("^Up to date at"))).to_be_visible(timeout=SOON)
