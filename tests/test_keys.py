"""Options of a task that limit its runs are checked when it is declared."""

from typing import Any

import pytest

from project.tasks.errors import TaskDefinitionError
from project.tasks.policy import Policy
from project.tasks.rate import Rate
from project.tasks.signature import TaskSignature


def send_mail(to: str, *, subject: str = "") -> None:
    """Have a parameter that a call must give and one that it may leave out."""


def declare(**options: Any) -> None:
    TaskSignature(name="tests.mail", fn=send_mail).check_keys(Policy(**options).key_functions())


@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [("1/second", 1, 1), ("100/minute", 100, 60), ("5/hour", 5, 3600), ("7/day", 7, 86400)],
)
def test_a_rate_is_read_as_it_is_written(text: str, limit: int, seconds: int) -> None:
    rate = Rate.parse(text)
    assert (rate.limit, rate.period.total_seconds(), str(rate)) == (limit, seconds, text)


@pytest.mark.parametrize("text", ["", "100", "0/minute", "-1/minute", "100/week", "100 / minute", "1.5/second", 100])
def test_another_way_to_write_a_rate_is_refused_with_an_example(text: Any) -> None:
    with pytest.raises(TaskDefinitionError, match='as in "100/minute"'):
        Policy(rate_limit=text)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"concurrency_key": lambda to: to}, "give that, too"),
        ({"rate_limit_key": lambda to: to}, "give that, too"),
        ({"rate_limit": "1/hour", "max_concurrency": 1, "rate_limit_key": lambda to: to}, "one function"),
        ({"rate_limit": "1/hour", "durable": False}, "durable"),
    ],
)
def test_options_that_cannot_go_together_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(TaskDefinitionError, match=reason):
        Policy(**options)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (lambda whom: whom, r"asks for 'whom'; the task takes to, subject"),
        (lambda to, subject: subject, "asks for 'subject', which a call may leave out"),
    ],
)
def test_a_key_function_that_does_not_fit_the_task_is_refused(key: Any, reason: str) -> None:
    for options in ({"unique": key}, {"max_concurrency": 1, "concurrency_key": key}):
        with pytest.raises(TaskDefinitionError, match=reason):
            declare(**options)


@pytest.mark.parametrize("key", [lambda to: to, lambda: "x", lambda to, subject="": to, lambda **given: given["to"]])
def test_a_key_function_gets_the_arguments_that_it_asks_for(key: Any) -> None:
    declare(unique=key)
    by_key = Policy(max_concurrency=1, concurrency_key=key)
    assert by_key.limit_key("tests.mail", {"to": "x", "subject": "y"}) == "tests.mail:x"


def test_the_same_key_of_two_limits_is_one() -> None:
    def key(to: str) -> str:
        return to

    both = Policy(max_concurrency=1, concurrency_key=key, rate_limit="1/hour", rate_limit_key=key)
    assert both.limit_key("tests.mail", {"to": "x"}) == "tests.mail:x"
