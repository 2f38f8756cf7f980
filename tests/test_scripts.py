"""The scripts by name: run one by one, or as commands of a pipelined connection."""

import pytest
import redis
from dramatiq.errors import ConnectionClosed

from project.broker.addresses import connect
from project.broker.broker import ServiceBroker
from project.broker.pipeline import PipelinedConnection
from project.broker.scripts import TEXTS, Scripts
from tests.brokers import make_message


@pytest.fixture
def scripts(own_broker: ServiceBroker) -> Scripts:
    return own_broker.lua


def test_every_script_says_what_it_takes() -> None:
    assert [name for name, text in TEXTS.items() if f"\n-- {name}(namespace" not in text] == []


def test_a_loaded_script_runs_in_a_pipeline(own_broker: ServiceBroker, scripts: Scripts) -> None:
    sent = own_broker.enqueue(make_message()).options["redis_message_id"]
    scripts.load()
    connection = PipelinedConnection(scripts.client)

    replies = connection.send(
        scripts.command("missing", "default", sent), scripts.command("missing", "default", f"unknown {sent}")
    )

    assert replies == [[], [b"unknown"]]
    connection.close()


def test_a_heartbeat_is_sent_at_most_once_in_a_while(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    now = [0.0]
    monkeypatch.setattr("project.broker.scripts.time.monotonic", lambda: now[0])
    monkeypatch.setattr(scripts, "run", lambda script, *_: sent.append(script))
    for now[0] in (0.0, 0.5, 0.9, 1.1, 1.2):
        scripts.beat()

    assert sent == ["beat", "beat"]


def test_a_server_that_is_away_is_a_closed_connection() -> None:
    scripts = Scripts(connect("redis://127.0.0.1:1"), namespace="test", broker_id="me")

    with pytest.raises(ConnectionClosed):
        scripts.run("beat", "me")
    with pytest.raises(ConnectionClosed):
        scripts.load()


def test_what_a_script_refuses_is_not_taken_for_a_lost_connection(scripts: Scripts) -> None:
    with pytest.raises(redis.ResponseError):
        scripts.run("settle", "me", "default", "not a number")
