"""Users to test with, and the HTTP client each of them would use."""

import os
from itertools import count
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from users.models import User
from users.tokens import create_access_token

PASSWORD = "correct horse battery"

_numbers = count(1)


def a_user(username: str = "", **fields: Any) -> User:
    """Create a user whose password is `PASSWORD`."""
    username = username or f"user{next(_numbers)}"
    return User.objects.create_user(username, f"{username}@example.com", PASSWORD, **fields)


def staff(*permissions: str) -> User:
    """Create a user who may sign in to the admin and has these permissions, by their codenames."""
    user = a_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def signed_in(*permissions: str) -> Client:
    """Sign somebody in to the admin who has these permissions, by their codenames."""
    client = Client()
    client.force_login(staff(*permissions))
    return client


def an_operator() -> Client:
    """Sign somebody in to the admin who may repair runs and look at everything about them."""
    tables = ("taskrun", "bulkretry", "pausedqueue", "worker", "taskbatch", "operatoraction")
    return signed_in("change_taskrun", *(f"view_{table}" for table in tables))


def a_viewer() -> Client:
    """Sign somebody in to the admin who may look at runs, and change nothing."""
    return signed_in("view_taskrun", "view_bulkretry", "view_pausedqueue")


class Api:
    """A client of the HTTP API, at an address of its own, so that no test uses up another's throttle.

    Args:
        user: Who signs the requests; nobody by default.
        headers: Sent with each request.
    """

    def __init__(self, user: User | None = None, /, **headers: str) -> None:
        number = next(_numbers)
        self.address = f"10.{_worker()}.{number // 256 % 256}.{number % 256}"
        self.headers = headers
        if user is not None:
            self.headers["Authorization"] = f"Bearer {create_access_token(user_id=user.pk)}"
        # As a client sees it: a crash is an answer, and there is no exception from the CSRF check.
        self._client = Client(REMOTE_ADDR=self.address, raise_request_exception=False, enforce_csrf_checks=True)

    def get(self, path: str, **query: Any) -> Any:
        """Send a GET request."""
        return self._client.get(path, query, headers=self.headers)

    def post(self, path: str, body: Any = None) -> Any:
        """Send a POST request with ``body``: as it is when it is bytes, otherwise as JSON."""
        return self._client.post(path, body, content_type="application/json", headers=self.headers)

    def patch(self, path: str, body: Any) -> Any:
        """Send a PATCH request with ``body`` as JSON."""
        return self._client.patch(path, body, content_type="application/json", headers=self.headers)

    def delete(self, path: str) -> Any:
        """Send a DELETE request."""
        return self._client.delete(path, headers=self.headers)


def _worker() -> int:
    """Return a number that differs between runs and parallel workers: they share one Valkey."""
    return os.getpid() % 256
