"""The pages as people use them, with scripts and without."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from dramatiq.worker import Worker
from playwright.sync_api import Browser, Page, expect

from tests.people import PASSWORD, a_user
from todo.models import Todo
from todo.services import create_todo
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def any_page(request: pytest.FixtureRequest, browser: Browser, live_server: object) -> Iterator[Page]:
    """A page in a browser that runs scripts, and in one that does not."""
    if request.param:
        yield request.getfixturevalue("page")
        return
    context = browser.new_context(base_url=str(live_server), java_script_enabled=False)
    yield context.new_page()
    context.close()


def sign_in(page: Page, name: str = "ada") -> User:
    """Sign in without the form, of which a minute has only so many."""
    user = User.objects.filter(username=name).first() or a_user(name)
    client = Client()
    client.force_login(user)
    page.goto("/")
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": page.url}])
    page.goto("/")
    return user


def add(page: Page, title: str) -> None:
    page.get_by_label("New todo").fill(title)
    page.get_by_label("New todo").press("Enter")
    expect(page.get_by_role("link", name=title, exact=True)).to_be_visible()


def test_somebody_signs_up_writes_down_a_todo_and_signs_out(any_page: Page) -> None:
    any_page.goto("/")
    any_page.get_by_role("main").get_by_role("link", name="Sign up").click()
    any_page.get_by_label("Name").fill("grace")
    any_page.get_by_label("E-mail address").fill("grace@example.com")
    any_page.get_by_label("Password").fill("12345")
    any_page.get_by_role("button", name="Sign up").click()
    expect(any_page.get_by_text("This password is too short")).to_be_visible()
    any_page.get_by_label("Password").fill(PASSWORD)
    any_page.get_by_role("button", name="Sign up").click()
    expect(any_page.get_by_text("Nothing to do yet.")).to_be_visible()
    add(any_page, "Read the manual")
    any_page.get_by_role("button", name="Sign out").click()
    any_page.get_by_role("main").get_by_role("link", name="Sign in").click()
    any_page.get_by_label("Name").fill("Grace")
    any_page.get_by_label("Password").fill("wrong")
    any_page.get_by_role("button", name="Sign in").click()
    expect(any_page.get_by_text("do not belong together")).to_be_visible()
    any_page.get_by_label("Password").fill(PASSWORD)
    any_page.get_by_role("button", name="Sign in").click()
    expect(any_page.get_by_role("link", name="Read the manual")).to_be_visible()


def test_a_todo_is_edited_ticked_off_deleted_and_brought_back(any_page: Page) -> None:
    sign_in(any_page)
    add(any_page, "Milk")
    any_page.get_by_role("link", name="Milk").click()
    any_page.get_by_label("Title").fill("")
    any_page.get_by_role("button", name="Save").click()
    expect(any_page.get_by_text("This field is required.")).to_be_visible()
    any_page.get_by_label("Title").fill("Oat milk")
    any_page.get_by_role("button", name="Save").click()
    any_page.get_by_role("button", name="Done: Oat milk").click()
    expect(any_page.get_by_role("button", name="Done: Oat milk")).to_have_attribute("aria-pressed", "true")
    any_page.get_by_role("button", name="Delete Oat milk").click()
    expect(any_page.get_by_text("Deleted “Oat milk”.")).to_be_visible()
    any_page.get_by_role("button", name="Undo").click()
    expect(any_page.get_by_role("link", name="Oat milk")).to_be_visible()
    assert list(Todo.objects.values_list("title", "completed")) == [("Oat milk", True)]


def test_todos_are_found_by_state_and_by_words(any_page: Page) -> None:
    user = sign_in(any_page)
    for title, completed in (("Buy milk", False), ("Call Bob", True), ("Milk the cow", True)):
        create_todo(user=user, title=title, completed=completed)
    any_page.goto("/")
    any_page.get_by_role("link", name="Done", exact=True).click()
    expect(any_page.locator("li.todo")).to_have_count(2)
    any_page.get_by_label("Search your todos").fill("MILK")
    any_page.get_by_label("Search your todos").press("Enter")
    expect(any_page.locator("li.todo")).to_have_count(1)
    expect(any_page).to_have_url(re.compile(r"q=MILK"))
    any_page.goto("/?q=nothing+like+it")
    expect(any_page.get_by_text("Nothing is called “nothing like it”.")).to_be_visible()


def test_a_cleanup_is_watched_until_it_is_done(page: Page, worker: Worker) -> None:
    user = sign_in(page)
    for number in range(2):
        create_todo(user=user, title=f"Done {number}", completed=True)
    page.goto("/")
    page.get_by_role("button", name="Clean up completed (2)").click()
    expect(page.get_by_text("2 todos deleted")).to_be_visible()
    expect(page.get_by_text("Nothing to do yet.")).to_be_visible()
    page.get_by_role("link", name="My tasks").click()
    expect(page.get_by_text("2 todos deleted")).to_be_visible()


def test_a_task_that_waits_is_cancelled(any_page: Page) -> None:
    user = sign_in(any_page)
    create_todo(user=user, title="Done", completed=True)
    any_page.goto("/")
    any_page.get_by_role("button", name="Clean up completed (1)").click()
    any_page.get_by_role("button", name="Cancel Clean up").click()
    expect(any_page.get_by_text("It is being cancelled.")).to_be_visible()
    expect(any_page.locator(".run .badge")).to_have_text("cancelled")


def test_the_keyboard_alone_is_enough_and_keeps_its_place(page: Page) -> None:
    sign_in(page)
    expect(page.get_by_label("New todo")).to_be_focused()
    for title in ("One", "Two"):  # without looking up in between
        page.keyboard.type(title)
        page.keyboard.press("Enter")
    for title in ("One", "Two"):
        expect(page.get_by_role("link", name=title, exact=True)).to_be_visible()
    expect(page.get_by_label("New todo")).to_be_focused()
    page.get_by_role("button", name="Done: One", exact=True).focus()
    page.keyboard.press("Space")
    tick = page.get_by_role("button", name="Done: One", exact=True)
    expect(tick).to_have_attribute("aria-pressed", "true")
    expect(tick).to_be_focused()


def test_an_account_is_changed_and_signed_out_everywhere(any_page: Page, browser: Browser, live_server: object) -> None:
    sign_in(any_page)
    elsewhere = browser.new_context(base_url=str(live_server)).new_page()
    sign_in(elsewhere)
    any_page.get_by_role("link", name="Account").click()
    any_page.get_by_label("First name").fill("Ada")
    any_page.get_by_role("button", name="Save").click()
    expect(any_page.get_by_text("Saved.")).to_be_visible()
    any_page.get_by_label("Old password").fill("wrong")
    any_page.get_by_role("button", name="Change password").click()
    expect(any_page.get_by_text("Your old password was entered incorrectly.")).to_be_visible()
    any_page.get_by_role("button", name="Sign out everywhere").click()
    expect(any_page.get_by_text("You are signed out everywhere.")).to_be_visible()
    elsewhere.goto("/")
    expect(elsewhere.get_by_role("heading", name="Write it down")).to_be_visible()
    elsewhere.context.close()


def test_what_was_typed_is_kept_when_the_server_is_away(browser: Browser, live_server: object) -> None:
    context = browser.new_context(base_url=str(live_server))
    page = context.new_page()
    sign_in(page)
    context.set_offline(True)
    page.get_by_label("New todo").fill("Do not lose me")
    page.get_by_label("New todo").press("Enter")
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    expect(page.get_by_label("New todo")).to_have_value("Do not lose me")
    context.close()
