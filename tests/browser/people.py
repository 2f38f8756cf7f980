"""Somebody who works in the admin with a browser."""

from playwright.sync_api import Page, expect

from tests.people import PASSWORD, a_user


def sign_in(page: Page) -> None:
    """Sign in to the admin as somebody who may do everything, through the form."""
    a_user("root", is_staff=True, is_superuser=True)
    page.goto("/admin/")
    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Site administration")).to_be_visible()
