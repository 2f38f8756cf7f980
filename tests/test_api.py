"""What holds for every address of the API: one shape of errors, limits, and a truthful schema."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from tests.eventually import eventually
from tests.people import Api, a_user

pytestmark = pytest.mark.django_db


def attempt(api: Api) -> Any:
    return api.post("/v1/auth/token/refresh", {"refresh_token": "wrong"})


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 200_000, b"nul", b'{"a":' + b"9" * 5000 + b"}"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    response = Api(a_user()).post("/v1/todos", body)
    assert response.status_code == 400
    assert response.json()["detail"].startswith("Cannot parse request body")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"7", b"{}", b'{"title": NaN}'])
def test_json_of_the_wrong_shape_is_refused_with_the_fields(body: bytes) -> None:
    response = Api(a_user()).post("/v1/todos", body)
    assert response.status_code == 422
    assert {"type", "loc", "msg"} <= set(response.json()["detail"][0])


def test_a_body_that_is_too_large_is_refused() -> None:
    response = Api(a_user()).post("/v1/todos", b" " * 2**20 + b"{}")
    assert (response.status_code, response.json()) == (413, {"detail": "Request body is too large"})


@pytest.mark.parametrize("path", ["/v1/", "/v1/nothing", "/v1/todos/", "/v1/users", "/v1/todos/1/2"])
def test_an_unknown_address_is_not_found_in_the_same_shape(path: str) -> None:
    for response in (Api().get(path), Api().post(path, {})):
        assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


def test_a_wrong_method_is_refused_in_the_same_shape() -> None:
    response = Api().post("/v1/users/me", {})
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
    assert "GET" in response["Allow"]


def test_a_wrong_host_is_refused_in_the_same_shape() -> None:
    response = Api(Host="evil.example").get("/v1/todos")
    assert (response.status_code, response.json()) == (400, {"detail": "Bad Request"})


def test_a_crash_is_answered_in_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(**_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("todo.services.list_todos", crash)
    response = Api(a_user()).get("/v1/todos")
    assert (response.status_code, response.json()) == (500, {"detail": "Internal Server Error"})


def test_the_eleventh_attempt_of_a_minute_is_refused_and_told_when_to_come_back() -> None:
    api = Api()
    statuses = [attempt(api).status_code for _ in range(10)]
    refused = attempt(api)
    assert statuses == [401] * 10
    assert (refused.status_code, refused.json()) == (429, {"detail": "Too many requests"})
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_exactly_the_limit_passes_when_many_come_at_once() -> None:
    api = Api()

    def attempted(_: int) -> int:
        status: int = api.post("/v1/auth/token/refresh", {}).status_code
        connections.close_all()
        return status

    with ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(attempted, range(40)))
    assert statuses.count(429) == 30


@pytest.mark.parametrize("path", ["/v1/auth/token", "/v1/auth/token/refresh", "/v1/users/"])
def test_what_costs_us_is_throttled(path: str, settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "1/minute"
    api = Api()
    assert [api.post(path, {}).status_code for _ in range(2)] == [422, 429]


def test_revocations_are_throttled_by_user_as_well_as_by_address(settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "1/minute"
    user = a_user()
    assert [Api(user).post("/v1/auth/token/revoke", {}).status_code for _ in range(2)] == [422, 429]


def test_the_window_moves_on(settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "1/second"
    api = Api()
    eventually(lambda: attempt(api).status_code == 429)
    eventually(lambda: attempt(api).status_code == 401)


def test_a_forwarded_address_is_not_believed_by_default() -> None:
    api = Api()
    for number in range(10):
        api.headers["X-Forwarded-For"] = f"192.0.2.{number}"
        attempt(api)
    assert attempt(api).status_code == 429


def test_behind_a_proxy_its_entry_counts_and_what_the_client_claims_does_not(settings: Any) -> None:
    settings.PROXY_HOPS, settings.AUTH_RATE_LIMIT = 1, "1/minute"
    ada, bob = Api().address, Api().address
    claims = [f"1.1.1.1, {ada}", f"2.2.2.2, {ada}", f"2.2.2.2, {bob}"]
    assert [attempt(Api(**{"X-Forwarded-For": claim})).status_code for claim in claims] == [401, 429, 401]


@pytest.mark.parametrize("header", ["", "nonsense", "fe80::1%eth0", "1.2.3.4:", "[1.2.3.4", ",", "\u00e4"])
def test_a_forwarded_address_that_is_none_does_no_harm(header: str, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    assert attempt(Api(**{"X-Forwarded-For": header})).status_code == 401


def test_an_ipv6_customer_is_one_client(settings: Any) -> None:
    settings.PROXY_HOPS, settings.AUTH_RATE_LIMIT = 1, "1/minute"
    prefix = f"2001:db8:{time.time_ns() >> 20 & 0xFFFF:x}:{time.time_ns() >> 4 & 0xFFFF:x}"
    addresses = [f"{prefix}::1", f"{prefix}::2"]
    assert [attempt(Api(**{"X-Forwarded-For": address})).status_code for address in addresses] == [401, 429]


def test_without_redis_the_limit_still_holds_and_nothing_crashes(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    api = Api()
    assert [attempt(api).status_code for _ in range(11)] == [401] * 10 + [429]


def test_a_request_keeps_a_plausible_id_and_gets_a_new_one_for_any_other() -> None:
    assert Api(**{"X-Request-ID": "abc-12345678"}).get("/v1/todos")["X-Request-ID"] == "abc-12345678"
    for bad in ("", "short", "x" * 65, 'a"b{c}12345', "ä" * 10):
        assert Api(**{"X-Request-ID": bad}).get("/v1/todos")["X-Request-ID"] not in ("", bad)


def test_the_schema_names_every_operation_once_and_the_errors_it_answers() -> None:
    schema = Api().get("/openapi.json").json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    names = [operation["operationId"] for operation in operations.values()]
    assert len(names) == len(set(names))
    assert all("_api_" not in name for name in names), names
    for address, operation in operations.items():
        expected = {"401"} if operation.get("security") else set()
        expected |= {"422"} if operation.get("requestBody") or operation["parameters"] else set()
        assert expected <= set(operation["responses"]), address


def test_the_documentation_needs_no_other_host() -> None:
    page = Api().get("/docs").content.decode()
    assert "swagger-ui-bundle.js" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_first_page_leads_to_the_documentation() -> None:
    assert 'href="/docs"' in Api().get("/").content.decode()


def test_in_production_the_documentation_is_for_staff() -> None:
    script = "from tests.people import Api; print(Api().get('/docs')['Location'])"
    environment = {
        **os.environ,
        "ENVIRONMENT": "production",
        "SECRET_KEY": "x" * 50,
        "ALLOWED_HOSTS": "testserver",
        "SECURE_SSL_REDIRECT": "false",
        "ENV_FILE": os.devnull,
    }
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "/admin/login/?next=/docs" in printed
