"""What the broker has lost is published again, and finding out costs the same however much waits."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from project.broker.broker import ServiceBroker
from project.tasks.models import TaskRun
from project.tasks.sending.outbox import redis_message_id
from project.tasks.upkeep.reconcile import SLICE, reconcile_in_turn
from tests import tasks_for_tests as tasks
from tests.runs import a_run

LONG_AGO = timezone.now() - timedelta(hours=1)
STATE = "dramatiq:__reconcile__"

_INSERT = """
    INSERT INTO tasks_taskrun (id, task, queue, priority, arguments, state, created_at, run_after, published_at, source,
                               request_id, schedule, next_steps)
    SELECT ('0190a1b2-c3d4-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'tests.add', 'default', 0, '{"left": 1}',
           'queued', %(then)s, %(then)s, %(then)s, 'code', '', '', '[]'
      FROM generate_series(1, %(count)s) AS n RETURNING id
"""


def queued_runs(count: int) -> list[UUID]:
    """Insert runs that were published long ago."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, {"count": count, "then": LONG_AGO})
        return [run_id for (run_id,) in cursor.fetchall()]


def publish(broker: ServiceBroker, run_ids: list[UUID]) -> None:
    """Have the broker store a message for each."""
    ids = [redis_message_id(run_id, 0) for run_id in run_ids]
    broker.client.hset("dramatiq:default.msgs", mapping=dict.fromkeys(ids, "{}"))
    broker.client.rpush("dramatiq:default", *ids)


def take_a_turn(broker: ServiceBroker) -> bool:
    """Reconcile now, without waiting for the turn; tell whether there is more to do at once."""
    broker.client.hset(STATE, "at", 0)
    return reconcile_in_turn() is not None


def settle_down(broker: ServiceBroker) -> None:
    """Let the broker be known, as it is a moment after the first start."""
    while take_a_turn(broker):
        pass
    broker.client.hset(STATE, "hurry_until", 0)


def waiting(broker: ServiceBroker) -> list[str]:
    return [each.decode() for each in broker.client.lrange("dramatiq:default", 0, -1)]


def test_runs_whose_messages_the_broker_lost_are_published_again(transactional_db: None, broker: ServiceBroker) -> None:
    message = tasks.add.send(1)
    TaskRun.objects.update(published_at=LONG_AGO)
    settle_down(broker)
    assert waiting(broker) == [f"{message.run_id}:0"]
    broker.client.delete("dramatiq:default", "dramatiq:default.msgs")
    take_a_turn(broker)
    assert waiting(broker) == [f"{message.run_id}:0"]
    assert TaskRun.objects.get().state == TaskRun.State.QUEUED


def test_an_emptied_broker_gets_everything_back_at_once_and_in_order(
    transactional_db: None, broker: ServiceBroker
) -> None:
    runs = queued_runs(2 * SLICE + 100)
    broker.client.flushdb()
    assert reconcile_in_turn() or len(waiting(broker)) > SLICE
    settle_down(broker)
    assert waiting(broker) == [f"{run_id}:0" for run_id in runs]


def test_another_server_under_the_same_address_is_compared_at_once(
    transactional_db: None, broker: ServiceBroker
) -> None:
    settle_down(broker)
    runs = queued_runs(2 * SLICE)
    publish(broker, runs[:SLICE])
    # What a replica that took over has from its primary.
    broker.client.hset(STATE, "server", "the primary")
    while reconcile_in_turn():
        pass
    assert len(waiting(broker)) == 2 * SLICE


def test_a_run_that_was_queued_without_a_time_is_published_again(transactional_db: None, broker: ServiceBroker) -> None:
    settle_down(broker)
    run = a_run("queued", attempts=0, published_at=None)
    TaskRun.objects.update(created_at=LONG_AGO)
    take_a_turn(broker)
    assert waiting(broker) == [f"{run.id}:0"]


def test_a_run_whose_sender_may_still_publish_it_is_left_to_him(transactional_db: None, broker: ServiceBroker) -> None:
    settle_down(broker)
    a_run("queued", attempts=0, published_at=timezone.now())
    take_a_turn(broker)
    assert waiting(broker) == []


def test_one_process_at_a_time_has_the_turn(transactional_db: None, broker: ServiceBroker) -> None:
    reconcile_in_turn()
    with CaptureQueriesContext(connection) as queries:
        assert reconcile_in_turn() is None
    assert not queries.captured_queries


def test_a_turn_costs_the_same_however_many_runs_wait(transactional_db: None, broker: ServiceBroker) -> None:
    settle_down(broker)
    publish(broker, queued_runs(20_000))
    for _ in range(3):
        broker.client.config_resetstat()
        with CaptureQueriesContext(connection) as queries:
            assert not take_a_turn(broker)
        calls = {name: stats["calls"] for name, stats in broker.client.info("commandstats").items()}
        assert len(queries.captured_queries) == 6  # four of them copy the pauses
        # The server counts what other tests ask it meanwhile, too; without a bound it would be 20,000.
        assert sum(calls.values()) < 2 * SLICE + 2_000


def test_a_turn_begins_where_the_last_one_ended(transactional_db: None, broker: ServiceBroker) -> None:
    settle_down(broker)
    runs = queued_runs(3 * SLICE)
    lost = runs[SLICE + 7]
    publish(broker, [run_id for run_id in runs if run_id != lost])
    take_a_turn(broker)
    assert f"{lost}:0" not in waiting(broker)[-1:]
    take_a_turn(broker)
    assert waiting(broker)[-1] == f"{lost}:0"
    for _ in range(3):
        take_a_turn(broker)
    assert len(waiting(broker)) == len(runs)


def test_a_new_run_that_was_never_published_does_not_wait_for_the_end_of_a_backlog(
    transactional_db: None, broker: ServiceBroker
) -> None:
    settle_down(broker)
    publish(broker, queued_runs(4 * SLICE))
    unpublished = a_run("queued", attempts=0, published_at=LONG_AGO)
    take_a_turn(broker)
    assert waiting(broker)[-1] == f"{unpublished.id}:0"


@pytest.mark.parametrize("keys", [["dramatiq:default"], ["dramatiq:default.msgs"]])
def test_half_of_a_queue_that_was_deleted_comes_back(
    transactional_db: None, broker: ServiceBroker, keys: list[str]
) -> None:
    messages = tasks.add.send_many([tasks.add.call(number) for number in range(100)])
    TaskRun.objects.update(published_at=LONG_AGO)
    settle_down(broker)
    broker.client.delete(*keys)
    take_a_turn(broker)
    expected = [f"{message.run_id}:0" for message in messages]
    assert waiting(broker) == expected
    assert broker.missing("default", expected) == []
