"""An export as people see it: from the button to the file, with scripts and without."""

import csv
from pathlib import Path

import pytest
from dramatiq.worker import Worker
from playwright.sync_api import Page, expect

from project.tasks.models import TaskRun
from tests.browser.test_pages import any_page, sign_in
from tests.eventually import eventually
from tests.exports import fill

__all__ = ["any_page"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_todos_are_exported_and_downloaded(any_page: Page, worker: Worker) -> None:
    fill(sign_in(any_page), todos=3)
    any_page.reload()
    any_page.get_by_label("Export all my todos as").select_option("CSV")
    any_page.get_by_role("button", name="Export").click()
    expect(any_page.get_by_text("Export todos").first).to_be_visible()
    eventually(lambda: TaskRun.objects.filter(state="succeeded").exists())
    any_page.goto("/tasks/")
    expect(any_page.get_by_text("3 todos exported, ")).to_be_visible()
    with any_page.expect_download() as downloading:
        any_page.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename.endswith(".csv")
    with Path(downloading.value.path()).open(encoding="utf-8-sig", newline="") as file:
        assert [row["title"] for row in csv.DictReader(file)] == ["todo 2", "todo 1", "todo 3"]


def test_an_export_moves_by_itself_and_can_be_cancelled(page: Page) -> None:
    fill(sign_in(page), todos=3)
    page.reload()
    page.get_by_label("Export all my todos as").select_option("PDF")
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Cancel Export todos").click()
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()
    assert TaskRun.objects.get().arguments["format"] == "pdf"
