"""The API answers what its schema says, whatever the schema allows to be sent, and whatever it does not."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from project.wsgi import application
from tests.people import Api, a_user
from tests.runs import a_run
from todo.services import create_todo
from users.models import User

pytestmark = pytest.mark.django_db

SCHEMA = openapi.from_wsgi("/openapi.json", application)
OPERATIONS: dict[str, Any] = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}  # type: ignore[union-attr]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PEOPLE: dict[str, dict[str, Any]] = {"a user": {}, "staff": {"is_staff": True, "is_superuser": True}}


@pytest.fixture(autouse=True)
def _in_one_transaction(settings: Any) -> Iterator[None]:
    """Answer requests in the test's transaction, as Django's own test client does, and without limits."""
    settings.AUTH_RATE_LIMIT = settings.ACCOUNT_RATE_LIMIT = "1000000/minute"
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def try_out(name: str, mode: GenerationMode, person: User, *, examples: int, **known: Any) -> None:
    """Call an operation with that many examples, and check the answers."""
    signature = Api(person).headers

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(OPERATIONS[name].as_strategy(mode, **known))
    def call(case: Any) -> None:
        response = case.call(headers=signature)
        case.validate_response(response, checks=CHECKS)

    try:
        call()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # there is nothing in it to send wrongly


LONG = [pytest.param(person, 60, marks=pytest.mark.long) for person in PEOPLE]


@pytest.mark.parametrize(("person", "examples"), [("staff", 2), *LONG])
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_an_operation_answers_as_documented(name: str, person: str, examples: int) -> None:
    user = a_user(**PEOPLE[person])
    for mode in GenerationMode:
        try_out(name, mode, user, examples=examples)
    for key, value in _rows_of(user).items():
        if f"{{{key}}}" in name:
            try_out(name, GenerationMode.POSITIVE, user, examples=examples, path_parameters={key: value})


def _rows_of(user: User) -> dict[str, Any]:
    return {"todo_id": create_todo(user=user, title="wash").pk, "run_id": str(a_run(user=user).id)}
