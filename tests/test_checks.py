"""System checks name tasks that were forgotten or cannot work."""

from collections.abc import Iterator

import pytest

from project.tasks import declaration, task
from project.tasks.checks import check_tasks
from project.tasks.errors import TaskDefinitionError
from users.models import User


@pytest.fixture(autouse=True)
def only_tasks_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test declare tasks of its own."""
    monkeypatch.setattr(declaration, "_tasks", {})
    monkeypatch.setattr(declaration, "_twice", {})


def ids() -> set[str | None]:
    return {message.id for message in check_tasks()}


def texts() -> str:
    return "\n".join(f"{message.msg} {message.hint} {message.obj}" for message in check_tasks())


def test_a_name_declared_twice_is_named_with_both_functions() -> None:
    @task("tests.check_twice")
    def first() -> None: ...

    @task("tests.check_twice")
    def second() -> None: ...

    assert "tasks.E001" in ids()
    assert "first" in texts()
    assert "second" in texts()


@pytest.mark.parametrize("name", ["Tests.Check", "tests..check", "tests.check-dash", ".tests"])
def test_a_name_that_breaks_the_pattern_is_named(name: str) -> None:
    task(name)(returns_nothing)
    assert "tasks.E002" in ids()


def test_a_name_that_is_no_member_of_taskname_is_named() -> None:
    task("tests.check_no_member")(returns_nothing)
    assert "tasks.E003" in ids()


def test_a_task_that_is_not_in_the_registry_is_named() -> None:
    task("tests.check_forgotten")(returns_nothing)
    assert "'tests.check_forgotten' is declared but not in the registry" in texts()


def test_a_model_instance_as_an_argument_is_named() -> None:
    @task("tests.check_model")
    def with_model(*, users: list[User]) -> None: ...

    assert "tasks.E005" in ids()
    assert "users" in texts()


def test_a_type_that_json_cannot_hold_is_named() -> None:
    @task("tests.check_type")
    def with_object(*, thing: Iterator[int], other: "Opaque") -> None: ...

    assert "tasks.E006" in ids()


def test_a_parameter_without_annotation_is_named() -> None:
    @task("tests.check_annotation")
    def without_annotation(number) -> None:  # type: ignore[no-untyped-def]
        ...

    assert "must annotate its parameter 'number'" in texts()


def test_options_that_contradict_each_other_are_refused_at_once() -> None:
    with pytest.raises(TaskDefinitionError, match="durable"):
        task("tests.check_options", durable=False, unique=True)


class Opaque:
    """Nothing that pydantic knows."""


def returns_nothing() -> None:
    """Do nothing."""
