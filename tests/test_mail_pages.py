"""What developers see of the mails that became files."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from project.mail.delivery import deliver
from project.mail.letters import Letter
from tests.people import signed_in
from tests.test_settings import setting

pytestmark = pytest.mark.django_db

EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def directory(settings: Any, tmp_path: Path) -> Path:
    """Where the mails of this test are."""
    settings.EMAIL_BACKEND, settings.MAIL_DIRECTORY = "project.mail.files.EmailBackend", tmp_path / "mail"
    return tmp_path / "mail"


def a_mail(subject: str = "Hello", **content: str) -> str:
    run_id = uuid4()
    content = {"text": "See https://example.com/x", "html": "<p>Hi"} | content
    deliver(Letter(to="ada@example.com", subject=subject, **content), run_id=run_id)
    return str(run_id)


def test_a_developer_lists_and_reads_mails() -> None:
    name = a_mail("Grüße")
    browser = signed_in("view_user")
    listed, mail = browser.get("/admin/mail/").content.decode(), browser.get(f"/admin/mail/{name}/").content.decode()
    assert "Grüße" in listed
    assert f"/admin/mail/{name}/" in listed
    assert "ada@example.com" in mail
    assert '<a href="https://example.com/x"' in mail


def test_a_mail_runs_nothing_on_the_page() -> None:
    name = a_mail(EVIL, text=EVIL, html=EVIL)
    browser = signed_in("view_user")
    for address in ("/admin/mail/", f"/admin/mail/{name}/"):
        page = browser.get(address).content.decode()
        assert EVIL not in page
        assert "&lt;script&gt;alert(1)" in page


def test_the_admin_leads_to_the_mails_whoever_may_read_them() -> None:
    assert 'href="/admin/mail/"' in signed_in("view_user").get("/admin/").content.decode()
    assert 'href="/admin/mail/"' not in signed_in("view_todo").get("/admin/").content.decode()


def test_mails_are_for_staff_who_may_view_users() -> None:
    name = a_mail()
    for address in ("/admin/mail/", f"/admin/mail/{name}/"):
        assert signed_in("view_todo").get(address).status_code == 403
        assert "/admin/login/" in Client().get(address)["Location"]


def test_a_mail_that_is_not_there_is_not_found() -> None:
    browser = signed_in("view_user")
    assert "No mail yet" in browser.get("/admin/mail/").content.decode()
    addresses = ("/admin/mail/nothing/", "/admin/mail/..%2F..%2Fetc%2Fpasswd/")
    assert [browser.get(address).status_code for address in addresses] == [404, 404]


def test_where_people_depend_on_it_mails_go_to_a_server_and_there_is_no_such_page() -> None:
    from_urls = "[str(p.pattern) for p in __import__('project.urls').urls.urlpatterns]"
    assert setting("[settings.EMAIL_BACKEND, settings.MAIL_DIRECTORY, settings.SITE_URL]") == [
        "django.core.mail.backends.smtp.EmailBackend",
        None,
        "https://example.com",
    ]
    program = f"(__import__('django').setup(), {from_urls})[1]"
    patterns = setting(program, DJANGO_SETTINGS_MODULE="project.settings")
    assert isinstance(patterns, list)
    assert "admin/mail/" not in patterns
