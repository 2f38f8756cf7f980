"""When a failed run is tried again, and which runs are unique."""

from datetime import timedelta
from typing import Any

import pytest

from project.tasks.errors import (
    Misfit,
    PermanentError,
    Postponed,
    RetryLater,
    TaskDefinitionError,
    TimeLimitExceeded,
)
from project.tasks.policy import ROLL_OUT, Policy

MINUTE = timedelta(minutes=1)


def waits(policy: Policy, *, failures: int) -> list[timedelta]:
    waits = [policy.retry_in(ValueError(), failures=failures) for _ in range(300)]
    return sorted(wait for wait in waits if wait is not None)


def test_backoff_doubles_is_capped_and_spread_over_its_whole_range() -> None:
    policy = Policy(max_retries=99, min_backoff=MINUTE, max_backoff=8 * MINUTE)
    for failures, ceiling in ((1, 1), (2, 2), (3, 4), (4, 8), (50, 8)):
        spread = waits(policy, failures=failures)
        assert spread[-1] <= ceiling * MINUTE
        assert spread[-1] > ceiling * MINUTE * 0.8
        assert spread[0] < ceiling * MINUTE * 0.2


def test_retries_end_after_max_retries() -> None:
    assert Policy(max_retries=2).retry_in(ValueError(), failures=2) is not None
    assert Policy(max_retries=2).retry_in(ValueError(), failures=3) is None


def test_a_run_that_needs_other_code_is_not_tried_again_at_once() -> None:
    waits = [Policy().postpone_for(Misfit("new"), times=1, so_far=timedelta(0)) for _ in range(300)]
    assert min(wait for wait in waits if wait is not None) >= timedelta(seconds=2)


def test_an_error_may_carry_its_own_delay() -> None:
    later = RetryLater(after=timedelta(days=2))
    assert Policy().postpone_for(later, times=1, so_far=timedelta(0)) == timedelta(days=2)


def test_what_asks_for_a_retry_later_must_say_when_as_a_timedelta() -> None:
    with pytest.raises(TypeError, match="timedelta"):
        RetryLater(after=2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "bound"),
    [(RetryLater(after=MINUTE), Policy(max_postponement=2 * MINUTE).max_postponement), (Misfit("new"), ROLL_OUT)],
)
def test_a_run_is_put_off_for_a_bounded_time(error: Postponed, bound: timedelta) -> None:
    policy = Policy(max_retries=0, max_postponement=2 * MINUTE)
    assert policy.postpone_for(error, times=1, so_far=bound) is not None
    assert policy.postpone_for(error, times=1, so_far=bound + timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [(KeyError(), True), (OSError(), False), (FileNotFoundError(), False), (PermanentError(), False)],
)
def test_only_errors_that_the_task_names_are_retried(error: Exception, *, is_retried: bool) -> None:
    policy = Policy(retry_on=(LookupError, OSError), dont_retry_on=(OSError,))
    assert (policy.retry_in(error, failures=1) is not None) is is_retried


def test_a_used_up_time_limit_is_worth_a_retry() -> None:
    assert Policy(retry_on=()).retry_in(TimeLimitExceeded(), failures=1) is not None


def test_a_unique_key_depends_on_the_arguments_and_not_on_their_order() -> None:
    policy = Policy(unique=True)
    assert policy.unique_key("t", {"a": 1, "b": 2}) == policy.unique_key("t", {"b": 2, "a": 1})
    assert policy.unique_key("t", {"a": 1}) != policy.unique_key("t", {"a": 2})
    assert Policy(unique=lambda user_id: f"user {user_id}").unique_key("t", {"user_id": 7}) == "t:user 7"


def test_a_backoff_that_cannot_be_is_refused() -> None:
    with pytest.raises(TaskDefinitionError, match="min_backoff"):
        Policy(min_backoff=2 * MINUTE, max_backoff=MINUTE)


def test_a_unique_key_of_any_length_and_any_characters_stays_unique() -> None:
    policy = Policy(unique=lambda name: name)
    keys = [policy.unique_key("t", {"name": name}) for name in ("x" * 300 + "1", "x" * 300 + "2", "\x00", "\\x00")]
    assert len({*keys}) == 4
    assert all(key is not None and len(key) <= 200 and "\x00" not in key for key in keys)


@pytest.mark.parametrize("options", [{"queue": "a b"}, {"queue": "q" * 101}, {"priority": 2**15}])
def test_what_no_row_has_room_for_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TaskDefinitionError):
        Policy(**options)
