"""Signing in, staying signed in, and what tokens are refused."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone
from structlog.testing import capture_logs

from tests.eventually import eventually
from tests.locks import waiting_for_locks
from tests.people import PASSWORD, Api, a_user
from users.models import RefreshSession
from users.passwords import Argon2

pytestmark = pytest.mark.django_db


class CountingHasher(Argon2):
    hashes = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.hashes += 1
        return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        CountingHasher.hashes += 1
        return super().verify(password, encoded)


def sign_in(username: str, api: Api | None = None) -> dict[str, str]:
    response = (api or Api()).post("/v1/auth/token", {"username": username, "password": PASSWORD})
    assert response.status_code == 200, response.content
    pair: dict[str, str] = response.json()
    return pair


def refresh(token: str, api: Api | None = None) -> Any:
    return (api or Api()).post("/v1/auth/token/refresh", {"refresh_token": token})


def claims(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    values = {"sub": "1", "iat": now, "exp": now + timedelta(minutes=5), "typ": "at+jwt", **changes}
    return {name: value for name, value in values.items() if value is not None}


def signed(key: str = settings.SECRET_KEY, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def test_a_user_signs_in_and_is_known_by_the_access_token() -> None:
    a_user("ada")
    access = sign_in("ada")["access_token"]
    me = Api(Authorization=f"Bearer {access}").get("/v1/users/me")
    assert (me.status_code, me.json()["username"]) == (200, "ada")


def test_the_access_token_is_good_for_15_minutes_and_says_what_it_is() -> None:
    user = a_user("ada")
    payload = jwt.decode(sign_in("ada")["access_token"], settings.SECRET_KEY, algorithms=["HS256"])
    assert payload["exp"] - payload["iat"] == 15 * 60
    assert (payload["sub"], payload["typ"]) == (str(user.pk), "at+jwt")


def test_a_name_signs_in_whatever_its_case() -> None:
    a_user("Ada")
    assert sign_in("aDA")


def test_a_session_remembers_where_it_came_from_and_only_hashes_of_its_token() -> None:
    a_user("ada")
    api = Api(**{"User-Agent": "curl/8"})
    token = sign_in("ada", api)["refresh_token"]
    session = RefreshSession.objects.get()
    assert (session.user_agent, session.ip_address) == ("curl/8", api.address)
    assert session.expires_at - session.created_at == pytest.approx(timedelta(days=30), abs=timedelta(seconds=5))
    assert token not in str(RefreshSession.objects.values().get())


@pytest.mark.parametrize("username", ["ada", "nobody"])
def test_a_wrong_password_and_an_unknown_name_get_one_answer(username: str) -> None:
    a_user("ada")
    response = Api().post("/v1/auth/token", {"username": username, "password": "wrong"})
    assert response.status_code == 401
    assert response.json() == {"detail": "Invalid username or password"}
    assert response["WWW-Authenticate"] == "Bearer"


def test_an_unknown_name_and_an_inactive_user_cost_a_hash_like_a_wrong_password(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["tests.test_auth.CountingHasher"]
    a_user("ada")
    a_user("bob", is_active=False)
    spent = {}
    for username in ("ada", "bob", "nobody"):
        CountingHasher.hashes = 0
        Api().post("/v1/auth/token", {"username": username, "password": "wrong"})
        spent[username] = CountingHasher.hashes
    assert spent == {"ada": 1, "bob": 1, "nobody": 1}


def test_an_inactive_user_gets_no_token() -> None:
    a_user("ada", is_active=False)
    response = Api().post("/v1/auth/token", {"username": "ada", "password": PASSWORD})
    assert (response.status_code, response.json()["detail"]) == (401, "Invalid username or password")


def test_a_refresh_token_is_exchanged_for_a_new_pair() -> None:
    a_user("ada")
    old = sign_in("ada")
    new = refresh(old["refresh_token"]).json()
    assert new["refresh_token"] != old["refresh_token"]
    assert Api(Authorization=f"Bearer {new['access_token']}").get("/v1/users/me").status_code == 200
    assert refresh(new["refresh_token"]).status_code == 200
    assert RefreshSession.objects.get().rotations == 2


def test_a_token_that_was_rotated_away_ends_the_whole_session_and_is_logged() -> None:
    user = a_user("ada")
    first = sign_in("ada")["refresh_token"]
    second = refresh(first).json()["refresh_token"]
    with capture_logs() as lines:
        replayed = refresh(first)
    assert (replayed.status_code, replayed.json()["detail"]) == (401, "Refresh token expired or revoked")
    assert [(line["log_level"], line["user_id"]) for line in lines if "session_id" in line] == [("warning", user.pk)]
    assert refresh(second).status_code == 401


def test_one_session_ends_and_the_users_others_stay() -> None:
    a_user("ada")
    phone, laptop = sign_in("ada")["refresh_token"], sign_in("ada")["refresh_token"]
    refresh(phone)
    assert refresh(phone).status_code == 401
    assert refresh(laptop).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_many_exchanges_of_one_token_at_once_one_succeeds() -> None:
    a_user("ada")
    token = sign_in("ada")["refresh_token"]

    def attempt(_: int) -> int:
        status: int = refresh(token).status_code
        connections.close_all()
        return status

    with ThreadPoolExecutor(4) as threads:
        with transaction.atomic():
            RefreshSession.objects.select_for_update().get()
            statuses = threads.map(attempt, range(4))
            eventually(lambda: waiting_for_locks() == 4)
        assert sorted(statuses) == [200, 401, 401, 401]


@pytest.mark.parametrize("token", ["", "x", "ä", "A" * 43, "A" * 199, "a\u0000b", "=" * 40])
def test_a_made_up_refresh_token_is_refused(token: str) -> None:
    response = refresh(token)
    assert response.status_code in (401, 422)


def test_an_expired_session_is_over() -> None:
    a_user("ada")
    token = sign_in("ada")["refresh_token"]
    RefreshSession.objects.update(expires_at=timezone.now())
    assert refresh(token).json() == {"detail": "Refresh token expired or revoked"}


def test_a_user_who_became_inactive_cannot_refresh() -> None:
    user = a_user("ada")
    token = sign_in("ada")["refresh_token"]
    user.is_active = False
    user.save()
    assert refresh(token).status_code == 401


def test_a_revoked_token_is_no_longer_good() -> None:
    user = a_user("ada")
    token = sign_in("ada")["refresh_token"]
    revoked = Api(user).post("/v1/auth/token/revoke", {"refresh_token": token})
    assert revoked.status_code == 200
    assert refresh(token).json() == {"detail": "Refresh token expired or revoked"}
    assert Api(user).post("/v1/auth/token/revoke", {"refresh_token": token}).status_code == 401


def test_nobody_revokes_anothers_token() -> None:
    a_user("ada")
    token = sign_in("ada")["refresh_token"]
    response = Api(a_user("eve")).post("/v1/auth/token/revoke", {"refresh_token": token})
    assert (response.status_code, response.json()["detail"]) == (401, "Invalid refresh token")
    assert refresh(token).status_code == 200


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (signed(exp=datetime.now(UTC) - timedelta(seconds=1)), "Token has expired"),
        (signed(sub=None), "Token payload missing 'sub' field"),
        (signed(exp=None), "Token payload missing 'exp' field"),
        (signed(typ=None), "Token payload missing 'typ' field"),
        (signed(typ="refresh"), "Invalid token"),
        (signed(sub="ada"), "Invalid token"),
        (signed(sid="ada"), "Invalid token"),
        (signed(sid="05eb3675-2496-416e-8d23-2664334bbe08"), "User not found"),
        (signed(sub="9" * 30), "User not found"),
        (signed(sub="²"), "Invalid token"),
        (signed(key="another key that is long enough for HS256"), "Invalid token"),
        (signed(algorithm="HS512"), "Invalid token"),
        (jwt.encode(claims(), None, algorithm="none"), "Invalid token"),
        (signed()[:-4] + "AAAA", "Invalid token"),
        ("not.a.token", "Invalid token"),
        ("", "Invalid token"),
        ("a b", "Invalid token"),
    ],
)
def test_a_bad_access_token_is_refused_with_the_reason(token: str, reason: str) -> None:
    response = Api(Authorization=f"Bearer {token}").get("/v1/users/me")
    assert (response.status_code, response.json()) == (401, {"detail": reason})
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}])
def test_a_missing_access_token_is_asked_for(header: dict[str, str]) -> None:
    response = Api(**header).get("/v1/users/me")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("gone", ["deleted", "inactive"])
def test_an_access_token_dies_with_its_user(gone: str) -> None:
    user = a_user()
    api = Api(user)
    if gone == "deleted":
        user.delete()
    else:
        type(user).objects.update(is_active=False)
    assert api.get("/v1/users/me").json() == {"detail": "User not found"}
