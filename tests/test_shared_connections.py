"""Connections for whoever has something to send: of any thread, after a fork, and after the server has hung up."""

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from dramatiq.errors import ConnectionClosed
from dramatiq.threading import Interrupt

from project.broker.addresses import connect
from project.broker.broker import ServiceBroker
from project.broker.pipeline import PipelinedConnection
from project.broker.shared_connections import SharedConnections
from tests.brokers import make_message, stored


@pytest.fixture
def connections() -> Iterator[SharedConnections]:
    with connect(os.environ["REDIS_URL"]) as client:
        yield SharedConnections(client)


def own_id(connections: SharedConnections) -> int:
    """Return what Redis calls the connection that is used next."""
    return int(connections.send(("CLIENT", "ID"))[0])


def test_one_thread_sends_on_one_connection(connections: SharedConnections) -> None:
    assert own_id(connections) == own_id(connections)


def test_many_threads_get_the_replies_to_what_they_sent(connections: SharedConnections) -> None:
    def echo(number: int) -> bool:
        return connections.send(("ECHO", number), ("ECHO", -number)) == [b"%d" % number, b"%d" % -number]

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(echo, range(1000)))


def test_a_send_after_redis_hung_up_goes_through(own_broker: ServiceBroker) -> None:
    own_broker.enqueue(make_message())
    own_broker.client.client_kill_filter(_id=own_id(own_broker.lua.connections))

    own_broker.enqueue(make_message())

    assert stored(own_broker) == 2


def test_a_fork_uses_no_connection_of_its_parent(connections: SharedConnections) -> None:
    theirs = own_id(connections)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"%d" % own_id(connections))
        os._exit(0)
    os.waitpid(child, 0)

    assert int(os.read(reading, 100)) != theirs
    assert own_id(connections) == theirs


def test_a_redis_that_stalls_fails_a_send_in_time_and_is_told_nothing_twice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        connections = SharedConnections(connect(f"redis://127.0.0.1:{port}?protocol=2", socket_timeout=0.1))
        started = time.monotonic()
        with pytest.raises(ConnectionClosed):
            connections.send(("ECHO", "once"))
        assert time.monotonic() - started < 2
        accepted, _ = silent.accept()
        with accepted:
            assert accepted.recv(10_000).count(b"once") <= 1
            silent.settimeout(0)
            with pytest.raises(BlockingIOError):
                silent.accept()


def test_a_connection_whose_reply_was_lost_answers_nobody_else(connections: SharedConnections) -> None:
    connections.send(("DEL", "nothing"))
    lost = own_id(connections)

    with pytest.raises(redis.ResponseError):
        connections.send(("NO-SUCH-COMMAND",), ("ECHO", "left unread"))

    assert connections.send(("ECHO", "mine")) == [b"mine"]
    assert own_id(connections) != lost


def test_a_redis_without_the_scripts_is_given_them(own_broker: ServiceBroker) -> None:
    own_broker.client.script_flush()

    own_broker.enqueue(make_message())

    assert stored(own_broker) == 1


def test_whoever_is_interrupted_before_they_give_a_connection_back_leaves_none_behind(
    connections: SharedConnections,
) -> None:
    class Interrupted(list[PipelinedConnection]):
        def append(self, connection: PipelinedConnection) -> None:
            raise Interrupt

    pool = connections._client.connection_pool
    connections._idle = Interrupted()
    for _ in range(3):
        with pytest.raises(Interrupt):
            connections.send(("PING",))
    assert len(pool._in_use_connections) == 0
