"""Guessing a password: from many addresses, through every door, and while Redis is away or full."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connections
from django.test import Client

from project.broker.broker import ServiceBroker
from project.embedded.valkey import valkey
from tests.eventually import eventually
from tests.people import PASSWORD, Api, a_user, staff

NEW_PASSWORD = "staple battery correct"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted(broker: ServiceBroker) -> None:
    """Start with an empty Valkey: it keeps what earlier tests counted."""


def sign_in(username: str, password: str = "wrong", api: Api | None = None) -> Any:
    return (api or Api()).post("/v1/auth/token", {"username": username, "password": password})


def guess(username: str, *, times: int = 12) -> list[int]:
    return [sign_in(username).status_code for _ in range(times)]


class Door:
    """A browser at an address of its own, in front of the admin."""

    def __init__(self, address: str = "") -> None:
        self._client = Client(REMOTE_ADDR=address or Api().address)

    def sign_in(self, username: str, password: str = "wrong") -> Any:
        form = {"username": username, "password": password, "next": "/admin/"}
        return self._client.post("/admin/login/", form)


def test_of_forty_guesses_from_forty_networks_ten_are_looked_at() -> None:
    a_user("ada")
    assert guess("ada", times=40) == [401] * 10 + [429] * 30


def test_a_name_that_nobody_has_is_answered_alike() -> None:
    assert guess("nobody") == [401] * 10 + [429] * 2


def test_a_name_is_one_account_however_it_is_written() -> None:
    a_user("Ada")
    names = ("ada", "ADA", "Ada", "\uff21da", "aDA") * 3
    assert [sign_in(name).status_code for name in names] == [401] * 10 + [429] * 5


def test_who_guesses_is_told_when_to_come_back_and_the_right_password_does_not_help() -> None:
    a_user("ada")
    guess("ada")
    refused = sign_in("ada", PASSWORD)
    assert (refused.status_code, refused.json()) == (429, {"detail": "Too many requests"})
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_the_owner_signs_in_from_where_they_have_been_before_whatever_others_do() -> None:
    a_user("ada")
    home = Api()
    assert sign_in("ada", PASSWORD, home).status_code == 200
    assert guess("ada").count(401) == 10
    assert sign_in("ada", PASSWORD, home).status_code == 200
    assert Door(home.address).sign_in("ada", PASSWORD).status_code == 200  # let in, and told that it is for staff


def test_somebody_where_the_owner_has_been_before_guesses_no_more_often(settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "1000/minute"
    a_user("ada")
    home = Api()
    sign_in("ada", PASSWORD, home)
    assert [sign_in("ada", api=home).status_code for _ in range(12)] == [401] * 10 + [429] * 2


def test_an_account_that_was_guessed_at_is_open_again_soon(settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMIT = "2/second"
    a_user("ada")
    eventually(lambda: sign_in("ada").status_code == 429)
    eventually(lambda: sign_in("ada", PASSWORD).status_code == 200)


def test_sign_ins_that_succeed_fill_nothing() -> None:
    a_user("ada")
    for _ in range(3):
        assert [sign_in("ada").status_code for _ in range(4)] == [401] * 4
        assert [sign_in("ada", PASSWORD).status_code for _ in range(4)] == [200] * 4


@pytest.mark.django_db(transaction=True)
def test_no_more_guesses_are_looked_at_when_they_all_come_at_once() -> None:
    a_user("ada")

    def attempt(_: int) -> int:
        status: int = sign_in("ada").status_code
        connections.close_all()
        return status

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(attempt, range(24)))
    assert sorted(statuses) == [401] * 10 + [429] * 14


def test_the_admins_door_counts_with_the_apis() -> None:
    staff_member = staff()
    for _ in range(5):
        assert sign_in(staff_member.username).status_code == 401
        assert Door().sign_in(staff_member.username).status_code == 200  # the form again, with its error
    refused = Door().sign_in(staff_member.username, PASSWORD)
    assert (refused.status_code, sign_in(staff_member.username, PASSWORD).status_code) == (429, 429)
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert "Too many attempts" in refused.content.decode()


def test_an_address_is_counted_at_the_admins_door_too() -> None:
    door = Door()
    statuses = [door.sign_in(f"somebody{number}").status_code for number in range(12)]
    assert statuses == [200] * 10 + [429] * 2


def test_staff_sign_in_to_the_admin() -> None:
    assert Door().sign_in(staff().username, PASSWORD)["Location"] == "/admin/"
    assert Door().sign_in("", "").status_code == 200


def test_the_old_password_is_not_guessed_where_a_new_one_is_set() -> None:
    client = Client()
    client.force_login(staff())
    form = {
        "old_password": "wrong",
        "new_password1": "staple battery correct",
        "new_password2": "staple battery correct",
    }
    statuses = [client.post("/admin/password_change/", form).status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2
    assert client.get("/admin/password_change/").status_code == 200


def test_a_password_is_changed_in_the_admin() -> None:
    user, client = staff(), Client()
    client.force_login(user)
    new = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    assert client.post("/admin/password_change/", {"old_password": PASSWORD, **new}).status_code == 302
    assert client.get("/admin/").status_code == 200
    assert "/admin/login/" in Client().get("/admin/password_change/")["Location"]


def test_while_redis_is_full_guesses_are_counted_all_the_same(settings: Any, server_directory: Path) -> None:
    server = valkey(server_directory / "valkey", durable=False)
    server.start()
    try:
        server.wait_until_ready()
        redis.Redis.from_url(server.url).config_set("maxmemory", 1)
        settings.REDIS_URL = server.url
        a_user("ada")
        assert guess("ada") == [401] * 10 + [429] * 2
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/1", "redis+sentinel://127.0.0.1:1/primary/0", "unix:///nowhere/redis.sock"]
)
def test_while_redis_is_away_guesses_are_counted_all_the_same(settings: Any, url: str) -> None:
    settings.REDIS_URL = url
    user = a_user()
    assert guess(user.username) == [401] * 10 + [429] * 2


def test_a_redis_that_hangs_holds_up_one_request_and_not_each(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        assert [sign_in(a_user().username, PASSWORD).status_code for _ in range(4)] == [200] * 4
        silent.accept()
        with pytest.raises(BlockingIOError):
            silent.accept()
