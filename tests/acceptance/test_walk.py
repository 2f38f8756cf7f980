"""A person's walk over HTTP on real processes, with the broker there and away."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from project.embedded.server import Server
from tests.acceptance.processes import Service
from tests.eventually import eventually

PASSWORD = "a quite unusual sentence"


class Person:
    """Somebody who signs up and calls the API.

    Args:
        url: Where the service answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = ""
        names = {"first_name": "Ada", "last_name": "Lovelace"}
        self.call("POST", "/v1/users/", username="ada", email="ada@example.com", password=PASSWORD, **names)
        self.tokens = self.call("POST", "/v1/auth/token", username="ada", password=PASSWORD)
        self.token = self.tokens["access_token"]

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Call the API and return the answer's JSON."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def complete_two_of_three_todos(self) -> None:
        """Write down three todos and complete two."""
        ids = [self.call("POST", "/v1/todos", title=title)["id"] for title in ("wash", "cook", "rest")]
        for todo_id in ids[:2]:
            self.call("PATCH", f"/v1/todos/{todo_id}", completed=True)

    def result_of(self, sent: dict[str, str]) -> dict[str, Any]:
        """Poll a run until it has succeeded and return its result."""
        run: dict[str, Any] = {}

        def has_succeeded() -> bool:
            run.update(self.call("GET", sent["status_url"]))
            return bool(run["state"] == "succeeded")

        eventually(has_succeeded, timeout=30, every=0.1)
        return dict(run["result"])


def test_a_person_completes_todos_and_has_them_cleaned_up(service: Service) -> None:
    service.scheduler()
    service.worker()
    ada = Person(service.web().url)
    ada.complete_two_of_three_todos()

    assert ada.result_of(ada.call("POST", "/v1/todos/cleanup"))["todos_deleted"] == 2
    assert [todo["title"] for todo in ada.call("GET", "/v1/todos")["todos"]] == ["rest"]

    rotated = ada.call("POST", "/v1/auth/token/refresh", refresh_token=ada.tokens["refresh_token"])
    ada.call("POST", "/v1/auth/token/revoke", refresh_token=rotated["refresh_token"])
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ada.call("POST", "/v1/auth/token/refresh", refresh_token=rotated["refresh_token"])


def test_what_was_sent_while_the_broker_was_dead_runs_when_it_is_back(service: Service, private_valkey: Server) -> None:
    service.scheduler()
    service.worker()
    ada = Person(service.web().url)
    ada.complete_two_of_three_todos()
    private_valkey.kill()

    sent = ada.call("POST", "/v1/todos/cleanup")
    assert ada.call("GET", sent["status_url"])["state"] == "pending"

    private_valkey.start()
    private_valkey.wait_until_ready()
    assert ada.result_of(sent)["todos_deleted"] == 2
