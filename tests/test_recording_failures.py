"""Whatever a task raises, its run says so, on a real database."""

from typing import Any
from uuid import uuid4

import pytest

from project.tasks.errors import PermanentError, TaskDefinitionError
from project.tasks.models import TaskRun
from project.tasks.policy import Policy
from project.tasks.running.outcomes import record_failure, record_success
from tests.runs import a_claim


class MuteError(Exception):
    """Cannot say what went wrong."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class EndlessError(Exception):
    """Never stops saying it."""

    def __str__(self) -> str:
        return str(self)


class PickyMeta(type):
    """A class that cannot tell whether something is an instance of it."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("cannot tell")


class PickyError(Exception, metaclass=PickyMeta):
    """Makes a policy raise."""


def long_chain() -> BaseException:
    error: BaseException = ValueError("first")
    for number in range(3000):
        error.__cause__, error = None, _caused(ValueError(f"cause {number}"), error)
    return error


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def deep_group() -> BaseException:
    error: Exception = ValueError("innermost")
    for _ in range(2000):
        error = ExceptionGroup("group", [error])
    return error


ERRORS = {
    "a lone surrogate": ValueError("caf\ud800"),
    "a NUL": ValueError("a\x00b"),
    "no message": MuteError(),
    "an endless message": EndlessError(),
    "a class name of 300 characters": type("E" * 300, (Exception,), {})("long"),
    "a class name with a surrogate": type("Odd", (Exception,), {"__qualname__": "Odd\udfff"})("odd"),
    "a huge message": ValueError("x" * 20_000_000),
    "a long chain of causes": long_chain(),
    "groups in groups": deep_group(),
    "a mute one in a group": ExceptionGroup("several", [MuteError(), ValueError("\udc80")]),
    "notes that are none": _caused(ValueError("x"), MuteError()),
}


def test_an_error_is_recorded_whatever_it_looks_like(transactional_db: None) -> None:
    for what, error in ERRORS.items():
        claim = a_claim()
        assert record_failure(claim, error, policy=Policy(max_retries=0)) == "dead", what
        run = TaskRun.objects.get(id=claim.run_id)
        assert (run.state, run.failures, run.deaths) == ("dead", 1, 0), what
        assert run.error_type == run.failed_attempts.get().error_type
        assert run.error_type.startswith(type(error).__name__[:1]), what
        assert len(run.error) + len(run.traceback) < 200_000, what


def test_an_ordinary_error_is_recorded_as_it_is(transactional_db: None) -> None:
    claim = a_claim()
    record_failure(claim, ValueError("größer als 😀"), policy=Policy(max_retries=0))
    run = TaskRun.objects.get(id=claim.run_id)
    assert (run.error_type, run.error) == ("ValueError", "größer als 😀")
    assert "ValueError: größer als 😀" in run.traceback


def test_a_policy_that_raises_makes_the_run_dead_and_is_named_beside_the_error(transactional_db: None) -> None:
    claim = a_claim()
    assert record_failure(claim, KeyError("k"), policy=Policy(retry_on=(PickyError,))) == "dead"
    run = TaskRun.objects.get(id=claim.run_id)
    assert run.error_type == "KeyError"
    assert "cannot tell" in run.error
    assert run.failed_attempts.count() == 1


def test_a_next_step_that_cannot_be_sent_is_a_dead_run_that_says_why(transactional_db: None) -> None:
    step_id = uuid4()
    step = {"id": str(step_id), "task": "tests.undecided"}
    later = {"id": str(uuid4()), "task": "tests.add"}
    claim = a_claim(next_steps=[step, later])
    record_success(claim, "1", policy=Policy())
    assert TaskRun.objects.get(id=claim.run_id).state == "succeeded"
    next_run = TaskRun.objects.get(id=step_id)
    assert (next_run.state, next_run.error_type, next_run.error) == (
        "dead",
        "RuntimeError",
        "It could not be sent: RuntimeError: no key",
    )
    assert (next_run.arguments, next_run.next_steps) == ({"number": 1}, [later])


@pytest.mark.parametrize("option", ["retry_on", "dont_retry_on"])
@pytest.mark.parametrize("value", [ValueError, [ValueError], ("ValueError",), (int,), (ValueError(),)])
def test_a_policy_that_names_no_exceptions_is_refused_when_it_is_declared(option: str, value: Any) -> None:
    with pytest.raises(TaskDefinitionError, match=rf"{option}=\(ValueError,\)"):
        Policy(**{option: value})


def test_a_permanent_error_with_text_that_cannot_be_stored_is_dead_once(transactional_db: None) -> None:
    claim = a_claim()
    assert record_failure(claim, PermanentError("\ud800"), policy=Policy()) == "dead"
    assert TaskRun.objects.get(id=claim.run_id).error == "\\ud800"


def test_a_run_that_fails_while_it_is_told_to_stop_is_not_tried_again(transactional_db: None) -> None:
    claim = a_claim()
    TaskRun.objects.update(cancel_requested=True)
    assert record_failure(claim, ValueError("in the way"), policy=Policy()) == "cancelled"
    assert TaskRun.objects.get().error == "in the way"
