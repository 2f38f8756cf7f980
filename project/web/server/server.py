"""One process of the web server: waitress, told to let go of clients that hang.

waitress hands a request to a thread only when all of it has arrived, and takes the whole answer from the thread before
the client has read it. So a client that sends half a request or does not read costs a connection, and never a thread.
"""

import json
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Seconds after which a connection is closed on which nothing moves: no request, no answer that is being read. As long
#: as proxies keep an idle connection by default.
SILENCE_SECONDS = 60
#: Requests under way when the server is told to stop get as many seconds to end. Kubernetes waits for 30 s by default.
DRAIN_SECONDS = 10.0
#: Bytes, as other servers have it (gunicorn's default): no address of ours comes near.
LONGEST_REQUEST_LINE = 4094
#: Of all headers of a request together: a few cookies and a token, and what proxies add.
MOST_HEADER_BYTES = 32 * 1024
#: What waitress counts as connections besides those of clients: the socket that listens and its own alarm clock.
_OWN_FILES = 2
#: Silent connections are looked for as often; looking takes a moment for each connection.
_LOOK_SECONDS = 10.0
#: In bytes. What is larger waits in a file, so that a thousand clients together cannot fill the memory.
_MOST_IN_MEMORY = {"inbuf_overflow": 64 * 1024, "outbuf_overflow": 256 * 1024}


class _Parser(HTTPRequestParser):
    #: Known also of a request that is refused before its headers are read.
    is_head = False

    def received(self, data: bytes) -> int:
        self.is_head = self.is_head or (not self.header_bytes_received and data.lstrip().startswith(b"HEAD "))
        consumed: int = super().received(data)
        # A client that asks before it sends what is too large is refused, and not told to go on.
        self.expect_continue = self.expect_continue and not self.error
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        if header_plus.find(b"\r\n") > LONGEST_REQUEST_LINE:
            raise ParsingError("Request line is too long")
        super().parse_header(header_plus)


class _Answer(WSGITask):
    """Answers HEAD with the headers alone: the client would take a body for the beginning of the next answer."""

    def write(self, data: bytes) -> None:
        super().write(b"" if self._is_head else data)

    def build_response_header(self) -> bytes:
        header: bytes = super().build_response_header()
        # Otherwise the last, empty chunk would follow.
        self.chunked_response = self.chunked_response and not self._is_head
        return header

    @property
    def _is_head(self) -> bool:
        request: Any = self.request
        return bool(request.command == "HEAD")


class _Refusal(ErrorTask):
    """Answers what is not an HTTP request, or too large, in the form of every other error."""

    def execute(self) -> None:
        request: Any = self.request
        body = json.dumps({"detail": request.error.reason}).encode()
        self.status = f"{request.error.code} {request.error.reason}"
        self.response_headers = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if request.is_head else body)


class _Channel(HTTPChannel):
    """A client's connection."""

    parser_class = _Parser
    task_class = _Answer
    error_task_class = _Refusal
    server: "Server"

    def readable(self) -> bool:
        return not self.server.is_draining and bool(super().readable())

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or an answer that has not been sent."""
        return bool(self.requests or self.total_outbufs_len)

    def close_if_silent(self, *, since: float) -> None:
        """Close the connection if nothing has moved since then and it is the client who is waited for."""
        # A thread that writes holds the lock, and then it is not the client.
        if self.outbuf_lock.acquire(blocking=False):
            try:
                if self.last_activity <= since and (self.total_outbufs_len or not self.requests):
                    self.handle_close()
            finally:
                self.outbuf_lock.release()


class Server(TcpWSGIServer):
    """Answers the requests of one process.

    Args:
        application: What answers.
        listener: Where clients connect; other processes may listen to the same.
        threads: How many requests are answered at once.
        most_connections: For one more, the one that has been silent longest is closed.
        most_body_bytes: Larger bodies are refused.
    """

    channel_class = _Channel
    is_draining = False
    #: When silent connections are looked for again.
    look_at = 0.0

    def __init__(
        self,
        application: "WSGIApplication",
        listener: socket.socket,
        *,
        threads: int,
        most_connections: int,
        most_body_bytes: int,
    ) -> None:
        adjustments = Adjustments(
            threads=threads,
            ident="",
            log_socket_errors=False,
            # Which of them are believed is decided where they are read.
            clear_untrusted_proxy_headers=False,
            connection_limit=most_connections + _OWN_FILES,
            recv_bytes=64 * 1024,
            max_request_header_size=MOST_HEADER_BYTES,
            # waitress refuses what is as large as this.
            max_request_body_size=most_body_bytes + 1,
            **_MOST_IN_MEMORY,
        )
        self._connections: dict[int, Any] = {}
        address = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            application, self._connections, _sock=listener, adj=adjustments, sockinfo=address, bind_socket=False
        )

    @property
    def channels(self) -> list[_Channel]:
        """All open connections."""
        return [channel for channel in self._connections.values() if isinstance(channel, _Channel)]

    @property
    def alarm(self) -> int:
        """A file: what is written to it ends the wait for something to happen."""
        alarm: int = cast("Any", self.trigger).trigger
        os.set_blocking(alarm, False)
        return alarm

    def answer(self, *, goes_on: Callable[[], bool], at_stop: Callable[[], object] = lambda: None) -> None:
        """Answer requests until told to stop, and then those that are under way.

        Args:
            goes_on: Asked at least once a second.
            at_stop: Called then, so that requests which wait for something are answered.
        """
        while goes_on():
            self._wait(seconds=1.0)
            self._let_go()
        self.is_draining = True
        at_stop()
        wasyncore.dispatcher.close(self)
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline and self._drain():
            self._wait(seconds=0.1)

    def maintenance(self, now: float) -> None:
        """Leave it to `_let_go`: waitress would only mark connections, and never close one whose client hangs."""

    def _let_go(self) -> None:
        """Make room for another connection, and now and then look for those that are silent.

        Between two waits only: within one, a number that is closed may already be a new connection's.
        """
        if len(self._connections) >= self.adj.connection_limit:
            waiting = [channel for channel in self.channels if not channel.requests]
            if waiting:
                min(waiting, key=lambda channel: channel.last_activity).handle_close()
        if time.monotonic() >= self.look_at:
            self.look_at = time.monotonic() + _LOOK_SECONDS
            for channel in self.channels:
                channel.close_if_silent(since=time.time() - SILENCE_SECONDS)

    def _drain(self) -> bool:
        """Close what is idle, and tell whether anything is not."""
        for channel in self.channels:
            if not channel.is_busy:
                channel.handle_close()
        return bool(self.channels)

    def _wait(self, *, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._connections, count=1)
