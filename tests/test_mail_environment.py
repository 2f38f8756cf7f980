"""Variables about mail are right, or the service says which one is not."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.environment import Environment
from project.mail_environment import site_url
from tests.test_environment import read
from tests.test_settings import setting


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variables", "wrong"),
    [
        ({"EMAIL_HOST": "mail.example.com", "EMAIL_USER": "a", "EMAIL_PASSWORD": "hunter2"}, "EMAIL_SECURITY"),
        ({"EMAIL_USER": "a"}, "EMAIL_PASSWORD: EMAIL_USER and it"),
        ({"EMAIL_FROM": "todos"}, "EMAIL_FROM"),
        ({"EMAIL_FROM": "a@example.com\nBcc: b@example.com"}, "EMAIL_FROM"),
        ({"EMAIL_SECURITY": "ssl"}, "EMAIL_SECURITY"),
        ({"EMAIL_PORT": "0"}, "EMAIL_PORT"),
        ({"EMAIL_TIMEOUT": "0"}, "EMAIL_TIMEOUT"),
        ({"EMAIL_RATE_LIMIT": "many"}, "EMAIL_RATE_LIMIT"),
        ({"SITE_URL": "example.com"}, "SITE_URL"),
        ({"SITE_URL": "https://example.com/path"}, "SITE_URL"),
    ],
)
def test_what_cannot_send_mail_is_refused_without_showing_a_password(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wrong: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=wrong) as refused:
        read(monkeypatch, variables)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("security", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_the_mail_servers_port_follows_from_its_security(
    monkeypatch: pytest.MonkeyPatch, security: str, port: int
) -> None:
    assert read(monkeypatch, {"EMAIL_SECURITY": security}).email_port_used == port
    assert read(monkeypatch, {"EMAIL_SECURITY": security, "EMAIL_PORT": "26"}).email_port_used == 26


@pytest.mark.parametrize(
    ("given", "hosts", "is_production", "url"),
    [
        ("https://todos.example.com/", ["x"], True, "https://todos.example.com"),
        ("", [".example.com", "b.example.com"], True, "https://example.com"),
        ("", ["*"], True, "https://localhost"),
        ("", ["example.com"], False, "http://127.0.0.1:8000"),
    ],
)
def test_links_in_mails_lead_to_the_service(given: str, hosts: list[str], is_production: bool, url: str) -> None:
    assert site_url(given, hosts=hosts, port=8000, is_production=is_production) == url


@pytest.mark.parametrize(
    ("security", "expected"),
    [("none", [False, False, 25]), ("starttls", [True, False, 587]), ("tls", [False, True, 465])],
)
def test_the_connection_to_the_mail_server_is_as_secure_as_asked_for(security: str, expected: list[object]) -> None:
    expression = "[settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL, settings.EMAIL_PORT]"
    assert setting(expression, EMAIL_SECURITY=security) == expected
