"""What type checkers must accept, refuse and know about tasks; `make check` runs mypy and pyright over it.

Both are told to complain about an ignore comment that is not needed, so a wrong call that is accepted is an error.
"""

from datetime import timedelta
from typing import assert_type
from uuid import UUID

from project.health.tasks import PingResult
from project.registry import registry
from project.tasks import Batch, Message, Outcome, chain, outcomes_of, task
from todo.schemas import CleanupResult
from users.schemas import CleanupSessionsResult


def results_have_the_type_the_task_declares() -> None:
    assert_type(registry.ping.send(), Message[PingResult])
    assert_type(registry.todo_cleanup.send().result(timeout=30), CleanupResult)
    assert_type(registry.cleanup_sessions(days_old=7), CleanupSessionsResult)
    assert_type(
        registry.cleanup_sessions.using(delay=timedelta(hours=1)).send(days_old=7).result(), CleanupSessionsResult
    )
    calls = [registry.todo_cleanup_for_user.call(user_id=number) for number in range(3)]
    assert_type(registry.todo_cleanup_for_user.send_many(calls), list[Message[CleanupResult]])


def a_run_is_found_again_by_its_id_with_its_type(run_id: UUID) -> None:
    assert_type(registry.todo_cleanup.message(run_id), Message[CleanupResult])
    assert_type(registry.todo_cleanup.message(str(run_id)).result(timeout=30), CleanupResult)
    assert_type(registry.ping.message(run_id).ready, bool)


async def results_are_awaited_with_their_type() -> None:
    message = await registry.todo_cleanup_for_user.asend(user_id=1)
    assert_type(await message.aresult(timeout=30), CleanupResult)


@task("tests.typed_callback")
def _todos_are_clean(outcomes: list[Outcome[CleanupResult]], week: int = 0) -> None:
    assert_type(outcomes[0].value, CleanupResult)


def a_callback_gets_what_the_members_return() -> None:
    calls = [registry.todo_cleanup_for_user.call(user_id=number) for number in range(3)]
    batch = Batch.send(calls, then=_todos_are_clean)
    assert_type(batch, Batch[CleanupResult])
    assert_type(batch.results(timeout=30)[0].value, CleanupResult)
    Batch.send(calls, on_failure=_todos_are_clean.call(outcomes_of(calls), week=46))
    pings = [registry.ping.call()]
    Batch.send(pings, then=_todos_are_clean)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _todos_are_clean.call(outcomes_of(pings))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_calls_are_refused() -> None:
    registry.todo_cleanup_for_user.send(user_id="one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    registry.todo_cleanup_for_user.send()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    registry.ping.send(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    registry.cleanup_sessions.using().send(days=7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    registry.ping.call(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    registry.ping.using(delay=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    registry.ping.using(prio=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    task("tests.misspelt", queu="mail")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    task("tests.no_number", max_retries="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    registry.pong.send()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def a_step_must_take_what_the_one_before_returns() -> None:
    chain(registry.ping.call(), registry.cleanup_sessions)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def ways_around_the_row_are_refused() -> None:
    registry.cleanup_sessions.send_with_options(args=(7,))  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    registry.ping.message(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    registry.ping.message_with_options()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    registry.ping.delay()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    registry.ping.apply_async()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    registry.ping.s()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    registry.ping.send().get_result()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    _ = registry.ping.send() | registry.ping.send()  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue]
