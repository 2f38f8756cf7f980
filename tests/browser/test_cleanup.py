"""The cleanup as an admin sees it: from the button to the result."""

import json

import pytest
from dramatiq.worker import Worker
from playwright.sync_api import Page, expect

from project.tasks.models import TaskRun
from tests.browser.people import sign_in
from tests.eventually import eventually
from tests.people import PASSWORD, a_user
from todo.models import Todo
from todo.services import create_todo

pytestmark = pytest.mark.django_db(transaction=True)


def succeeded() -> bool:
    return TaskRun.objects.filter(state=TaskRun.State.SUCCEEDED).exists()


def test_run_cleanup_now_leads_to_a_run_that_succeeds(page: Page, worker: Worker) -> None:
    ada = a_user("ada")
    for number in range(5):
        create_todo(user=ada, title=f"todo {number}", completed=number < 3)
    sign_in(page)

    page.goto("/admin/todo/todo/")
    page.get_by_role("link", name="Run cleanup now").click()
    expect(page.get_by_text("3 completed todos of active users will be deleted")).to_be_visible()
    page.get_by_role("button", name="Yes, run it").click()
    expect(page.get_by_text("The cleanup was sent; this is its run.")).to_be_visible()

    eventually(succeeded)
    page.reload()
    main = page.locator("#content")
    expect(main).to_contain_text("succeeded")
    expect(main).to_contain_text("todos_deleted")
    assert Todo.objects.count() == 2


def test_selected_users_are_cleaned_up(page: Page, worker: Worker) -> None:
    ada = a_user("ada")
    create_todo(user=ada, title="done", completed=True)
    sign_in(page)

    page.goto("/admin/users/user/")
    page.get_by_role("row", name="ada").get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option("Clean up completed todos")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("ada: 1 completed")).to_be_visible()
    page.get_by_role("button", name="Yes, clean up").click()
    expect(page.get_by_text("The cleanup was sent; this is its run.")).to_be_visible()

    eventually(succeeded)
    assert not Todo.objects.exists()


def test_the_documentation_lists_the_operations_without_the_internet(page: Page) -> None:
    page.goto("/docs")
    expect(page.get_by_text("/v1/auth/token", exact=True)).to_be_visible()
    expect(page.get_by_text("/v1/todos/cleanup", exact=True)).to_be_visible()


def test_an_operation_is_tried_out_in_the_documentation(page: Page) -> None:
    page.goto("/docs")
    page.get_by_text("/v1/users/", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    ada = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
    page.locator(".body-param__text").fill(json.dumps(ada))
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.get_by_role("heading", name="Available authorizations")).to_be_visible()
