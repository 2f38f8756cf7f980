"""Runs of a task that may start only so often: they wait in PostgreSQL, and each starts when the window lets it."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from dramatiq.worker import Worker as DramatiqWorker

from project.broker.broker import ServiceBroker
from project.desk.facts import run_facts
from project.desk.why import explain
from project.tasks import rate
from project.tasks.declaration import declaration_of
from project.tasks.models import Limit, Start, TaskAttempt, TaskRun
from project.tasks.rate import Rate
from project.tasks.repair.audit import Operator
from project.tasks.repair.pauses import pause_queue, resume_queue
from project.tasks.sending import looks
from project.tasks.sending.outbox import admit, publish_on_commit
from project.tasks.sending.starts import FORGOTTEN_AFTER, TakenStart, forget_starts, lock_limit, renew_start, take_start
from project.tasks.upkeep.duties import Duties, what_is_due
from project.values.text import utc
from tests import tasks_for_tests as tasks
from tests.eventually import eventually
from tests.locks import in_a_thread
from tests.runs import a_run

pytestmark = pytest.mark.django_db(transaction=True)

GRACE = Operator("grace", "command")
KEY = "tests.rated"
AN_HOUR = declaration_of(KEY).policy.rate.counts_for  # type: ignore[union-attr]


@pytest.fixture(autouse=True)
def empty(broker: ServiceBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with an empty broker, and with the first of the limits under which runs wait."""
    monkeypatch.setattr(looks.walk, "_after", "")


def send(count: int, **options: Any) -> list[TaskRun]:
    calls = [tasks.rated.call(number=2 * number) for number in range(count)]
    return [TaskRun.objects.get(id=message.run_id) for message in tasks.rated.using(**options).send_many(calls)]


def states(runs: list[TaskRun]) -> str:
    """Return the first letter of each run's state."""
    found = {run.id: run.state for run in TaskRun.objects.all()}
    return "".join(found[run.id][0] for run in runs)


def let_time_pass(how_long: timedelta) -> None:
    """Make everything that limits have recorded or planned so much older."""
    Start.objects.update(at=F("at") - how_long)
    Limit.objects.update(look_at=F("look_at") - how_long)


def take(key: str, rate: Rate) -> TakenStart | None:
    with transaction.atomic():
        lock_limit(key)
        return take_start(key, rate)


def test_no_more_are_published_than_may_start(broker: ServiceBroker) -> None:
    runs = send(5)
    Duties().do_what_is_due()
    assert states(runs) == "qqqpp"
    assert broker.client.llen(f"{broker.namespace}:default") == 3


def test_the_next_start_when_the_window_has_passed_and_not_before(worker: DramatiqWorker) -> None:
    runs = send(7)
    other = tasks.add.send(1)
    eventually(lambda: states(runs) == "ssspppp")
    assert other.result(timeout=10).total == 2
    let_time_pass(AN_HOUR - timedelta(minutes=1))
    Duties().do_what_is_due()
    assert states(runs) == "ssspppp"
    let_time_pass(timedelta(minutes=1))
    Duties().do_what_is_due()
    eventually(lambda: states(runs) == "ssssssp")


def test_each_attempt_counts_as_a_start(worker: DramatiqWorker) -> None:
    (message,) = tasks.rated.send_many([tasks.rated.call(number=1)])
    eventually(lambda: TaskRun.objects.get(id=message.run_id).failures == 3)
    Duties().do_what_is_due()
    assert message.status == TaskRun.State.RETRYING
    assert tasks.notes == ["1", "1", "1"]
    assert Start.objects.count() == 3


def test_of_many_threads_that_start_at_once_only_so_many_may(transactional_db: None) -> None:
    taken: list[TakenStart | None] = []
    with ExitStack() as threads:
        for _ in range(12):
            threads.enter_context(in_a_thread(lambda: taken.append(take("k", Rate(5, timedelta(hours=1))))))
    assert (len(taken), taken.count(None)) == (12, 7)
    assert {one.number for one in taken if one} == {1, 2, 3, 4, 5}


def test_no_window_ever_has_more_starts_than_the_limit(transactional_db: None) -> None:
    three = Rate(3, timedelta(minutes=1))
    at, times = 0, []
    for step in (0, 1, 50, 9, 0, 1, 1, 48, 5, 6, 70, 0, 0, 0, 30, 31, 1, 1):
        let_time_pass(timedelta(seconds=step))
        at += step
        if take("k", three) is not None:
            times.append(at)
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[3:], strict=False))
    assert len(times) > 9


@pytest.mark.parametrize(("before", "after"), [(5, 2), (2, 5)])
def test_a_limit_that_is_changed_counts_what_has_started(transactional_db: None, before: int, after: int) -> None:
    for _ in range(before):
        assert take("k", Rate(before, timedelta(hours=1))) is not None
    taken = [take("k", Rate(after, timedelta(hours=1))) for _ in range(after)]
    assert sum(one is not None for one in taken) == max(after - before, 0)


def test_what_was_published_too_often_keeps_its_place_and_is_no_attempt(worker: DramatiqWorker) -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    columns = {"task": KEY, "limit_key": KEY, "arguments": {"number": 0}, "attempts": 0, "run_after": an_hour_ago}
    runs = [a_run("queued", **columns) for _ in range(5)]
    publish_on_commit(runs)
    eventually(lambda: sorted(states(runs)) == ["p", "p", "s", "s", "s"])
    eventually(lambda: Limit.objects.get(key=KEY).look_at)
    for run in TaskRun.objects.filter(state=TaskRun.State.PENDING):
        assert (run.run_after, run.attempts) == (an_hour_ago, 0)
    assert not TaskAttempt.objects.exists()
    let_time_pass(AN_HOUR)
    Duties().do_what_is_due()
    eventually(lambda: states(runs) == "sssss")


def test_runs_that_were_sent_before_their_task_was_limited_count_too(worker: DramatiqWorker) -> None:
    runs = [a_run("queued", task=KEY, arguments={"number": 0}, attempts=0) for _ in range(5)]
    publish_on_commit(runs)
    eventually(lambda: tasks.notes == ["0", "0", "0"] and states(runs).count("p") == 2)


def test_code_that_cannot_begin_in_time_for_its_start_does_not(
    worker: DramatiqWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "LONGEST_GRACE", timedelta(seconds=-1))
    message = tasks.rated.send(number=0)
    eventually(lambda: Start.objects.count() == 3)
    eventually(lambda: message.status == TaskRun.State.RETRYING)
    assert tasks.notes == []
    run = TaskRun.objects.get(id=message.run_id)
    assert (run.failures, run.postponements, run.failed_attempts.count()) == (0, 0, 0)


def test_a_start_that_comes_late_is_counted_anew_as_long_as_nobody_has_its_place(transactional_db: None) -> None:
    two = Rate(2, timedelta(hours=1))
    first, second = take("k", two), take("k", two)
    assert first is not None
    assert second is not None
    let_time_pass(timedelta(minutes=30))
    renewed = renew_start(second)
    assert renewed is not None
    assert renewed.number == second.number
    let_time_pass(timedelta(minutes=40))
    assert take("k", two) is not None
    assert (take("k", two), renew_start(first)) == (None, None)


def test_a_paused_queue_and_one_without_workers_hold_up_no_other_queue() -> None:
    pause_queue("default", by=GRACE, reason="the peer is down")
    paused, elsewhere = send(4), send(4, queue="nobody")
    here = send(4, queue="maintenance")
    assert states(paused) + states(elsewhere) + states(here) == "pppp" + "qqqp" + "qqqp"
    resume_queue("default", by=GRACE)
    Duties().do_what_is_due()
    assert states(paused) == "qqqp"


def test_each_key_has_a_limit_of_its_own(worker: DramatiqWorker) -> None:
    calls = [tasks.rated_by_user.call(user_id=user_id) for user_id in (1, 1, 1, 2, 1, 2, 2)]
    tasks.rated_by_user.send_many(calls)
    eventually(lambda: sorted(tasks.notes) == ["1", "1", "2", "2"])
    eventually(lambda: Limit.objects.exclude(look_at=None).count() == 2)
    assert set(Limit.objects.values_list("key", "started")) == {
        ("tests.rated_by_user:1", 2),
        ("tests.rated_by_user:2", 2),
    }


def test_of_each_key_so_many_run_at_once(worker: DramatiqWorker) -> None:
    tasks.alone_by_user.send_many([tasks.alone_by_user.call(user_id=user_id) for user_id in (1, 1, 1, 2)])
    eventually(lambda: sorted(tasks.notes) == ["start 1", "start 2"])
    tasks.gate.set()
    eventually(lambda: TaskRun.objects.filter(state=TaskRun.State.SUCCEEDED).count() == 4)


def test_a_process_looks_again_when_the_next_may_start(worker: DramatiqWorker) -> None:
    runs = send(4)
    eventually(lambda: states(runs) == "sssp")
    eventually(lambda: Limit.objects.get(key=KEY).look_at)
    let_time_pass(AN_HOUR - timedelta(seconds=30))
    _, until_next = what_is_due()
    assert until_next is not None
    assert timedelta(seconds=10) < until_next < timedelta(seconds=31)


def test_a_delayed_run_is_looked_at_when_it_is_due() -> None:
    send(1, delay=timedelta(minutes=10))
    look_at = Limit.objects.get(key=KEY).look_at
    assert look_at is not None
    assert timedelta(minutes=9) < look_at - timezone.now() <= timedelta(minutes=10)


def test_a_planned_look_keeps_nobody_from_what_an_operator_lets_go() -> None:
    pause_queue("default", by=GRACE, reason="the peer is down")
    (waiting,) = send(1)
    send(1, delay=timedelta(hours=1), queue="maintenance")
    assert Limit.objects.exclude(look_at=None).count() == 1
    resume_queue("default", by=GRACE)
    Duties().do_what_is_due()
    assert states([waiting]) == "q"


def test_a_planned_look_is_brought_forward_for_what_may_start_before(worker: DramatiqWorker) -> None:
    send(1, delay=timedelta(hours=9))
    runs = send(4)
    eventually(lambda: states(runs) == "sssp")
    eventually(lambda: Limit.objects.filter(look_at__lt=timezone.now() + 2 * AN_HOUR).exists())
    send(1)
    look_at = Limit.objects.get(key=KEY).look_at
    assert look_at is not None
    assert look_at < timezone.now() + 2 * AN_HOUR


def test_a_run_says_how_many_may_start_and_when_the_next_one_does(worker: DramatiqWorker) -> None:
    runs = send(4)
    eventually(lambda: states(runs) == "sssp")
    (reason,) = [reason for reason in explain(runs[3]) if reason.code == "rate_limit"]
    first = Start.objects.get(number=1).at
    assert reason.text.startswith("3/hour of 'tests.rated' may start, and have;")
    assert reason.text.endswith(f"starts at {utc(first + AN_HOUR)}.")


def test_a_run_shows_its_limit() -> None:
    (message,) = tasks.rated_by_user.send_many([tasks.rated_by_user.call(user_id=7)])
    facts = run_facts(TaskRun.objects.get(id=message.run_id))
    assert facts["limit"] == "2/hour, counted by tests.rated_by_user:7"


def test_what_counts_no_longer_is_forgotten() -> None:
    for key in ("old", "new"):
        take(key, Rate(3, timedelta(hours=1)))
    Start.objects.filter(limit_key="old").update(at=timezone.now() - 2 * FORGOTTEN_AFTER)
    assert forget_starts() == 1
    assert list(Limit.objects.values_list("key", flat=True)) == ["new"]
    assert Start.objects.count() == 1


def test_no_more_starts_are_kept_than_may_be() -> None:
    for _ in range(9):
        assert take("k", Rate(3, timedelta(hours=1))) is not None
        let_time_pass(timedelta(hours=1))
    assert Start.objects.count() == 3


def test_a_removed_limit_lets_everything_go() -> None:
    columns = {"task": "tests.add", "limit_key": "tests.add", "run_after": timezone.now() - timedelta(minutes=1)}
    runs = [a_run("pending", **columns) for _ in range(3)]
    admit("tests.add")
    assert states(runs) == "qqq"
