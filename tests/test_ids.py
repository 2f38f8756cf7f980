"""Ids that sort by the time they were made, alone and many at once."""

import os
from datetime import UTC, datetime, timedelta

from project.broker.outgoing import stamp
from project.values.ids import uuid7, uuid7_of, uuid7s
from tests.brokers import make_message


def test_many_are_distinct_and_as_those_made_alone() -> None:
    made = [uuid7(), *uuid7s(1000), uuid7()]
    assert len(set(made)) == len(made)
    assert {each.version for each in made} == {7}
    assert [each.int >> 64 for each in made] == sorted(each.int >> 64 for each in made)


def test_no_id_is_made_for_nobody() -> None:
    assert uuid7s(0) == []


def test_a_name_has_one_id_at_a_time() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    assert str(uuid7_of("todo.cleanup", at=at)) == "019b7ca9-8c88-7d87-b7ae-da174348b552"
    assert uuid7_of("todo.cleanup", at=at + timedelta(milliseconds=1)) > uuid7_of("todo.cleanup", at=at)


def test_a_fork_gives_its_messages_other_ids_than_its_parent() -> None:
    def drawn() -> bytes:
        return str(stamp(make_message(), None).options["redis_message_id"])[16:].encode()

    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, drawn())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) != drawn()


def test_a_message_sent_twice_has_two_ids_and_a_run_published_twice_has_one() -> None:
    plain, published = make_message(), make_message()
    published.options["redis_message_id"] = f"{published.message_id}:0"
    assert stamp(plain, None).options != stamp(plain, None).options
    assert "redis_message_id" not in plain.options
    assert stamp(published, None).options == published.options
