"""Every answer tells browsers what they may do with it."""

from typing import Any

import pytest
from django.test import Client

from tests.people import Api, a_user

pytestmark = pytest.mark.django_db

ADDRESSES = [
    "/livez",
    "/docs",
    "/openapi.json",
    "/admin/login/",
    "/static/ninja/swagger-ui.css",
    "/nothing",
    "/v1/todos",
    "/v1/nothing",
]


def policy(response: Any) -> dict[str, str]:
    parts = response["Content-Security-Policy"].split("; ")
    return dict(part.split(" ", 1) for part in parts)


def secured(response: Any) -> bool:
    return (
        policy(response)["default-src"] == "'self'"
        and "unsafe" not in response["Content-Security-Policy"]
        and "camera=()" in response["Permissions-Policy"]
        and response["X-Content-Type-Options"] == "nosniff"
        and response["X-Frame-Options"] == "DENY"
        and response["Referrer-Policy"] == "same-origin"
        and response["Cross-Origin-Opener-Policy"] == "same-origin"
    )


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_runs_only_our_own_files(address: str) -> None:
    response = Api().get(address)
    assert secured(response)
    assert response.streaming or int(response["Content-Length"]) == len(response.content)


def test_a_refusal_is_as_secure_as_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(**_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("todo.services.list_todos", crash)
    refused = [Api(a_user()).get("/v1/todos"), Api().post("/v1/users/me", {}), Api(Host="evil.example").get("/v1/x")]
    refused += [Api(Host="evil.example").get("/admin/"), Client(enforce_csrf_checks=True).post("/admin/login/")]
    assert [response.status_code for response in refused] == [500, 405, 400, 400, 403]
    for response in refused:
        assert secured(response)
        assert int(response["Content-Length"]) == len(response.content)


def test_pages_have_neither_styles_nor_scripts_in_them() -> None:
    client = Client()
    client.force_login(a_user(is_staff=True, is_superuser=True))
    pages = [client.get(path) for path in ("/admin/", "/docs", "/admin/tasks/taskrun/", "/admin/operations/")]
    pages.append(Client(enforce_csrf_checks=True).post("/admin/login/"))
    for page in pages:
        text = page.content.decode()
        assert "<style" not in text
        assert " style=" not in text
        assert "<script>" not in text
