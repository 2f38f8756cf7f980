"""A schedule as an operator sees it: typed, previewed with its DST mark, fired, disabled."""

import re
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from playwright.sync_api import Page, expect

from scheduler.models import Schedule, Tick
from tests.acceptance.conftest import service  # noqa: F401 - a fixture
from tests.acceptance.processes import Service
from tests.browser.people import sign_in
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def make_due(name: str) -> None:
    """Bring a schedule's next fire time forward, so that nobody waits for the full minute."""
    Schedule.objects.filter(name=name).update(next_fire_at=Now() - timedelta(milliseconds=1))


def ticks(name: str) -> int:
    return Tick.objects.filter(name=name).count()


def test_a_schedule_is_created_previewed_fires_and_stops(page: Page, service: Service) -> None:  # noqa: F811
    Schedule.objects.create(name="witness", task="ping", cron="0 0 1 1 *")
    service.scheduler()
    sign_in(page)

    page.goto("/admin/scheduler/schedule/add/")
    page.get_by_label("Name:").fill("early")
    page.get_by_label("Task:").select_option("ping")
    page.get_by_label("Time zone:").fill("Europe/Berlin")
    page.get_by_label("Cron:").fill("30 2 * 3 sun")
    preview = page.locator("#schedule-preview")
    expect(preview).to_contain_text("at 02:30, on Sunday in March, Europe/Berlin")
    expect(preview.locator("tbody tr")).to_have_count(10)
    marked = preview.locator("tr.marked")
    expect(marked.first).to_contain_text("02:30 does not exist that day; it fires at 03:00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("was added successfully")

    make_due("early")
    eventually(lambda: ticks("early"))
    page.reload()
    row = page.get_by_role("row", name="early")
    expect(row).to_contain_text(re.compile("on time|late"))
    expect(row).to_contain_text("at 02:30, on Sunday in March, Europe/Berlin")

    row.get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option("Disable selected schedules")
    page.get_by_title("Run the selected action").click()
    expect(page.locator(".messagelist")).to_contain_text("1 schedule disabled.")
    for name in ("early", "witness"):
        make_due(name)
    eventually(lambda: ticks("witness"))
    assert ticks("early") == 1

    page.goto("/admin/scheduler/tick/")
    expect(page.get_by_role("row", name="early")).to_have_count(1)


def test_what_is_wrong_is_said_while_typing_and_refused_on_save(page: Page) -> None:
    sign_in(page)
    page.goto("/admin/scheduler/schedule/add/")
    page.get_by_label("Name:").fill("wrong")
    page.get_by_label("Task:").select_option("cleanup_sessions")
    page.get_by_label("Arguments:").fill('{"days": 3}')
    page.get_by_label("Cron:").fill("0 0 30 2 *")
    expect(page.locator("#schedule-preview")).to_contain_text("never fires")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".field-cron .errorlist")).to_contain_text("never fires")
    expect(page.locator(".field-arguments .errorlist")).to_contain_text("do not fit task 'cleanup_sessions'")
    assert not Schedule.objects.filter(name="wrong").exists()


def test_a_schedule_is_run_now_from_its_page(page: Page) -> None:
    row = Schedule.objects.create(name="by hand", task="ping", cron="0 0 1 1 *")
    sign_in(page)
    page.goto(f"/admin/scheduler/schedule/{row.id}/change/")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator(".messagelist")).to_contain_text("The task of by hand was sent")


def test_an_overridden_schedule_says_so_and_goes_back_to_the_code(page: Page) -> None:
    Schedule.objects.filter(name="todo cleanup").update(cron="0 5 * * *")
    sign_in(page)
    page.goto("/admin/scheduler/schedule/")
    row = page.get_by_role("row", name="todo cleanup")
    expect(row).to_contain_text("overridden: cron")
    row.get_by_role("link", name="todo cleanup").click()
    expect(page.locator(".field-overrides")).to_contain_text("cron: the code declares 0 2 * * *")
    page.get_by_role("button", name="Reset to the code").click()
    expect(page.locator(".messagelist")).to_contain_text("follows the code again: cron")
    assert Schedule.objects.get(name="todo cleanup").cron == "0 2 * * *"
