"""What people are told when the database goes away in the middle of a request."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from tests.people import Api, a_user
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)


def _lost_at(table: str) -> Callable[..., Any]:
    """Let the database be gone when rows of a table are read, as late as the request reads them."""

    def execute(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if f'FROM "{table}"' in sql and "COUNT(" not in sql:
            raise OperationalError("the connection is lost")
        return execute(sql, params, many, context)

    return execute


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/v1/todos", "todo_todo"),
        ("/v1/tasks", "tasks_taskrun"),
        ("/v1/tasks/queues", "tasks_pausedqueue"),
        ("/v1/tasks/workers", "tasks_worker"),
        ("/v1/tasks/{run}", "tasks_taskrun"),
        ("/v1/tasks/{run}/details", "tasks_taskattempt"),
        ("/v1/users/me", "users_user"),
    ],
)
def test_a_database_that_is_lost_in_any_part_of_a_request_is_a_503(path: str, table: str) -> None:
    api, run = Api(a_user(is_staff=True, is_superuser=True)), a_run()
    with connection.execute_wrapper(_lost_at(table)):
        response = api.get(path.format(run=run.id))
    assert (response.status_code, response.json()) == (503, {"detail": "Service is unavailable"})
