"""Nothing on the pages keeps anybody out: axe-core finds nothing serious, in light and dark, on phones and desks."""

from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Browser, Page

from tests.browser.test_pages import sign_in
from tests.runs import a_run
from todo.models import Todo
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)
SERIOUS = {"serious", "critical"}


def findings(page: Page) -> list[str]:
    """Say what is seriously wrong with a page."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {violation['help']}: {node['html']} {node.get('failureSummary', '')}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


def fill(user: User) -> Todo:
    """Have some of everything that the pages show."""
    now = timezone.now()
    for title, due_at, completed in (("Late", now - timedelta(hours=1), False), ("Done", None, True)):
        Todo.objects.create(user=user, title=title, due_at=due_at, completed=completed)
    for state in ("queued", "running", "succeeded", "dead", "cancelled"):
        a_run(state, user=user, task="todo.cleanup_for_user", result={"todos_deleted": 2})
    return Todo.objects.create(user=user, title="Today", description="In detail", due_at=now + timedelta(minutes=1))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_serious_stands_in_anybodys_way(browser: Browser, live_server: object, scheme: Any, width: int) -> None:
    context = browser.new_context(
        base_url=str(live_server), color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    page, found = context.new_page(), []
    for address in ("/", "/sign-up/", "/sign-in/"):
        page.goto(address)
        found += findings(page)
    todo = fill(sign_in(page))
    for address in ("/", f"/?edit={todo.pk}", "/?q=nothing", "/tasks/", "/account/"):
        page.goto(address)
        found += findings(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            f"{address} is wider than {width} px"
        )
    context.close()
    assert not found, "\n".join(found)
