"""A real browser for the tests in this directory.

Without a browser they are skipped, saying how to get one; with `REQUIRE_BROWSER=1` they fail instead.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
HINT = (
    "No browser found. Install one (Debian: apt-get install -y --no-install-recommends chromium; "
    "elsewhere: .venv/bin/playwright install chromium, and name it in BROWSER_PATH)."
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser, without a window."""
    program = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        (pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip)(HINT)
    # Playwright's own event loop runs in this thread, and Django would take the tests for async code.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--disable-dev-shm-usage"])
            yield browser
            browser.close()


@pytest.fixture
def page(browser: Browser, live_server: object) -> Iterator[Page]:
    """A page of a fresh profile; no script on it may fail, and nothing may come from another host."""
    complaints: list[str] = []
    context = browser.new_context(base_url=str(live_server), viewport={"width": 1280, "height": 800})
    page = context.new_page()

    def note_error(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def note_foreign(request: Request) -> None:
        if not request.url.startswith((str(live_server), "data:")):
            complaints.append(f"asked another host: {request.url}")

    page.on("console", note_error)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", note_foreign)
    yield page
    context.close()
    assert not complaints
