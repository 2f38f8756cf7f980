"""The service's tasks and those of acceptance tests."""

from project.registry import TasksRegistry
from tests.acceptance import tasks


class AcceptanceRegistry(TasksRegistry):
    """One attribute for each task."""

    note = tasks.note
    wait = tasks.wait
    wait_and_fail = tasks.wait_and_fail
    linger = tasks.linger
    crash = tasks.crash
    single = tasks.single
    by_the_second = tasks.by_the_second
    by_the_minute = tasks.by_the_minute
    member = tasks.member
    double = tasks.double
    brief = tasks.brief
    stuck = tasks.stuck
    stuck_fast = tasks.stuck_fast
    sleep_async = tasks.sleep_async
    linger_async = tasks.linger_async
    block = tasks.block
    only_one = tasks.only_one
    break_thread = tasks.break_thread


registry = AcceptanceRegistry()
