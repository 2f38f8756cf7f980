"""What a drill does to its servers: each of these ends, and what was out in between is written down."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from project.broker.service import broker
from project.drill import executions
from project.drill.tasks import QUEUE
from project.embedded.server import Server
from project.tasks.models import TaskRun

#: Seconds, from and to: longer than it takes until a silent process is presumed dead, which is 10 s.
_LONG = (12.0, 16.0)
#: Seconds, from and to: short enough that nobody is presumed dead, long enough for every connection to notice.
_SHORT = (1.0, 4.0)


@dataclass(frozen=True)
class Outage:
    """A while in which a server did not answer, or not to everybody.

    Args:
        began_at: Seconds since 1970 on the database's clock.
        ended_at: The same.
    """

    began_at: float
    ended_at: float


class Outages:
    """Everything that goes wrong with the servers.

    Args:
        database: The drill's own server.
        valkey: The same.
        chance: How long each lasts.
    """

    def __init__(self, *, database: Server, valkey: Server, chance: random.Random) -> None:
        self.past: list[Outage] = []
        self._database, self._valkey = database, valkey
        self._chance = chance
        self._clock_ahead = executions.clock_ahead()

    def flush_broker(self) -> None:
        """Make the broker forget everything."""
        with self._out():
            broker().client.flushall()

    def lose_list(self) -> None:
        """Take the queue's list from the broker, but not the messages, as one that evicts keys does."""
        with self._out():
            broker().client.delete(f"{broker().namespace}:{QUEUE}")

    def fill_broker(self) -> None:
        """Have the broker refuse whatever takes memory, for some seconds."""
        with self._out():
            broker().client.config_set("maxmemory", 1)
            self._wait(_SHORT)
            broker().client.config_set("maxmemory", 0)

    def stall_broker(self) -> None:
        """Let the broker hang for some seconds."""
        with self._out():
            os.kill(self._valkey.pid, signal.SIGSTOP)
            self._wait(_SHORT)
            os.kill(self._valkey.pid, signal.SIGCONT)

    def restart_broker(self) -> None:
        """Kill the broker and start it again."""
        with self._out():
            self._valkey.kill()
            _start(self._valkey)

    def restart_database(self) -> None:
        """Stop the database and start it again."""
        with self._out():
            self._database.stop()
            _start(self._database)

    def crash_database(self) -> None:
        """Kill the database and start it again."""
        with self._out():
            self._database.kill()
            _start(self._database)

    def take_database_away(self) -> None:
        """Stop the database for longer than a process may be silent."""
        with self._out():
            self._database.stop()
            self._wait(_LONG)
            _start(self._database)

    def lock_table(self) -> None:
        """Lock the table of runs for longer than a process may be silent."""
        with self._out(), psycopg.connect(self._database.url) as session:
            session.execute("SET statement_timeout = 0")
            session.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(TaskRun._meta.db_table)))
            self._wait(_LONG)

    def lock_row(self) -> None:
        """Lock a run that waits, as a transaction that somebody forgot does."""
        with psycopg.connect(self._database.url) as session:
            session.execute("SELECT id FROM tasks_taskrun WHERE state = 'queued' LIMIT 1 FOR UPDATE SKIP LOCKED")
            self._wait(_LONG)

    def make_database_read_only(self) -> None:
        """Have the database refuse every change for some seconds, as one that is about to fail over does."""
        with self._out(), psycopg.connect(self._database.url, autocommit=True) as session:
            session.execute("SET default_transaction_read_only = off")
            session.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            session.execute("SELECT pg_reload_conf()")
            self._wait(_SHORT)
            session.execute("ALTER SYSTEM RESET default_transaction_read_only")
            session.execute("SELECT pg_reload_conf()")

    def _wait(self, seconds: tuple[float, float]) -> None:
        time.sleep(self._chance.uniform(*seconds))

    @contextmanager
    def _out(self) -> Iterator[None]:
        began = time.time()
        yield
        self.past.append(Outage(began + self._clock_ahead, time.time() + self._clock_ahead))


def _start(server: Server) -> None:
    server.start()
    server.wait_until_ready()
