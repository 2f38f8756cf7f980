"""The database connections of one process: few, alive, and none as its last user left it.

Not `psycopg_pool`: it pauses one second, then two, then four after each connection that it finds broken, so that
after a restart of the server the first requests of an idle process fail; it reconnects with the same growing pauses
in threads of its own, so that callers wait for it though the server is back; and what it takes back it only rolls
back. Here whoever needs a connection makes it, and a broken one is known by its socket, without asking the server.
"""

from __future__ import annotations

import select
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from project.database.sessions import BEGIN, IS_PREPARED, RESET, Session

#: How long a connection is kept that nobody needs.
LONGEST_IDLE = timedelta(minutes=10)
#: How long any connection is kept, so that servers may be replaced.
LONGEST_LIFE = timedelta(hours=1)


@dataclass(eq=False)
class Held:
    """A connection and how its session is set.

    Args:
        raw: The driver's connection.
        session: How it is set.
    """

    raw: psycopg.Connection[Any]
    session: Session
    born: float = field(default_factory=time.monotonic)
    idle_since: float = 0.0

    def is_alive(self) -> bool:
        """Tell whether the server still listens; it is asked only if it said something unasked, as when it hangs up."""
        poll = select.poll()
        try:
            poll.register(self.raw.pgconn.socket, select.POLLIN)
            return not poll.poll(0) or self.raw.pgconn.exec_(b"").status == ExecStatus.EMPTY_QUERY
        except psycopg.Error:
            return False

    def set_to(self, session: Session, *, resets: bool) -> bool:
        """Set the session; tell whether it is now as asked.

        Args:
            session: How.
            resets: Undo first what its last user may have left; a new one had none.
        """
        self.session = session
        if not resets:
            return self._ask("; ".join(filter(None, [BEGIN, session.to_sql()]))) is not None
        statements = [RESET, session.to_sql(), IS_PREPARED]
        return self._ask("; ".join(filter(None, statements))) == b"f"

    def _ask(self, sql: str) -> bytes | None:
        """Return the only value of the last statement, nothing if it has none, or None if the server refuses."""
        try:
            answer = self.raw.pgconn.exec_(sql.encode())
        except psycopg.Error:
            return None
        if answer.status == ExecStatus.TUPLES_OK:
            return answer.get_value(0, 0)
        return b"" if answer.status == ExecStatus.COMMAND_OK else None


class Pool:
    """The connections of one process to one database.

    Args:
        max_size: How many there may be.
        timeout: Seconds to wait for one while all are used.
        keeps_sessions: Whether a session is one's own from one statement to the next; behind PgBouncer in
            transaction mode it is not, and is left alone.
    """

    def __init__(self, *, max_size: int, timeout: float, keeps_sessions: bool) -> None:
        self.max_size, self.timeout, self._keeps_sessions = max_size, timeout, keeps_sessions
        self._changed = threading.Condition()
        self._idle: list[Held] = []
        self._count = 0
        self._places: WeakKeyDictionary[Held, weakref.finalize[..., Held]] = WeakKeyDictionary()
        self._closed_at = 0.0

    def take(self, session: Session, connect: Callable[[], psycopg.Connection[Any]]) -> Held:
        """Return a connection whose session is set like that.

        Args:
            session: How it is to be set.
            connect: Makes a new one.

        Raises:
            psycopg.OperationalError: If the server cannot be reached, or none is free in time.
        """
        deadline = time.monotonic() + self.timeout
        while (held := self._find(session, deadline)) is not None:
            if held.is_alive() and (held.session == session or self._is_set(held, session)):
                return held
            self._drop(held)
        return self._connect(session, connect)

    def give_back(self, held: Held, *, is_spoilt: bool = False) -> None:
        """Keep a connection for the next user, or close it if it is not what it was.

        Args:
            held: What was taken.
            is_spoilt: Close it in any case.
        """
        if is_spoilt or not self._is_worth_keeping(held):
            self._drop(held)
            return
        with self._changed:
            held.idle_since = time.monotonic()
            self._idle.append(held)
            oldest = (
                self._idle.pop(0) if held.idle_since - self._idle[0].idle_since > LONGEST_IDLE.total_seconds() else None
            )
            self._changed.notify()
        if oldest is not None:
            self._drop(oldest)

    def close(self) -> None:
        """Close the connections that are idle now, and each that is used when it comes back."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._closed_at = time.monotonic()
        for held in idle:
            self._drop(held)

    def _find(self, session: Session, deadline: float) -> Held | None:
        """Return an idle connection, the one used last first, or None once there is room for a new one."""
        with self._changed:
            while True:
                # What was lent to a task is never used by the machinery: whatever the task did must not harm it.
                fit = [held for held in self._idle if held.session.is_lent == session.is_lent]
                best = next((held for held in reversed(fit) if held.session == session), fit[-1] if fit else None)
                if best is not None:
                    self._idle.remove(best)
                    return best
                while self._count >= self.max_size and self._idle:
                    self._drop(self._idle.pop(0))
                if self._count < self.max_size:
                    self._count += 1
                    return None
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise psycopg.OperationalError(
                        f"No database connection was free within {self.timeout:g} s; raise DATABASE_POOL_SIZE."
                    )

    def _connect(self, session: Session, connect: Callable[[], psycopg.Connection[Any]]) -> Held:
        try:
            held = Held(connect(), session)
        except BaseException:
            self._make_room()
            raise
        # The place of a connection whose thread ended without closing it is free again.
        self._places[held] = weakref.finalize(held, self._make_room)
        self._places[held].atexit = False
        if not self._is_set(held, session):
            self._drop(held)
            raise psycopg.OperationalError(f"The server refuses the session: {session.to_sql()}")
        return held

    def _is_set(self, held: Held, session: Session) -> bool:
        if not self._keeps_sessions:
            held.session = session
            return True
        return held.set_to(session, resets=held.session != session)

    def _is_worth_keeping(self, held: Held) -> bool:
        raw = held.raw.pgconn
        if raw.transaction_status != TransactionStatus.IDLE:
            return False
        if held.born <= self._closed_at or time.monotonic() - held.born > LONGEST_LIFE.total_seconds():
            return False
        if held.session.is_lent and self._keeps_sessions:
            return held.set_to(held.session, resets=True)
        return True

    def _drop(self, held: Held) -> None:
        held.raw.close()
        self._places.pop(held)()

    def _make_room(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify()
