"""One process of the web server: what it reads, what it refuses, and whom it lets go."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from project.web.server import server as web
from project.web.server.server import Server
from tests.eventually import eventually

MOST_BODY = 1000


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with what was sent, or with what the address asks for."""
    asked = {"/large": b"x" * 2**24, "/scheme": environ["wsgi.url_scheme"].encode()}
    body = asked.get(environ["PATH_INFO"]) or environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that runs in a thread of the test's process; it stops within no time."""
    monkeypatch.setattr(web, "DRAIN_SECONDS", 0.2)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(echo, listener, threads=2, most_connections=20, most_body_bytes=MOST_BODY)
    stopped = threading.Event()
    thread = threading.Thread(target=server.answer, kwargs={"goes_on": lambda: not stopped.is_set()})
    thread.start()
    yield server
    stopped.set()
    server.pull_trigger()
    thread.join()


def port(server: Server) -> int:
    assert server.socket is not None
    number: int = server.socket.getsockname()[1]
    return number


def client(server: Server, said: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port(server)), timeout=5)
    with contextlib.suppress(ConnectionError):  # it may be refused before it has said all
        made.sendall(said)
    return made


def answer_to(server: Server, said: bytes) -> bytes:
    """Return all that is answered until the server hangs up."""
    with client(server, said) as made, contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: made.recv(65536), b""))
    return b""


def echoed(server: Server, body: bytes | Iterable[bytes]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port(server), timeout=5)
    connection.request("POST", "/", body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_body_in_chunks_is_read(server: Server) -> None:
    assert echoed(server, iter([b"one, ", b"two, ", b"three"])) == (200, b"one, two, three")


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(server: Server) -> None:
    assert echoed(server, b"x" * MOST_BODY) == (200, b"x" * MOST_BODY)
    sizes = b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"
    for size in sizes:
        answer = answer_to(server, b"POST / HTTP/1.1\r\n" + size + b"x" * (MOST_BODY + 1))
        assert b" 413 " in answer
        assert answer.endswith(b'{"detail": "Request Entity Too Large"}')


@pytest.mark.parametrize("headers", [[("Content-Length", "4")], []], ids=["length known", "streamed"])
def test_head_is_answered_with_the_headers_alone(server: Server, headers: list[tuple[str, str]]) -> None:
    def answer(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", headers)
        yield b"body"

    server.application = answer
    status_and_headers, _, body = answer_to(server, b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").partition(
        b"\r\n\r\n"
    )
    assert (status_and_headers[:15], body) == (b"HTTP/1.1 200 OK", b"")


@pytest.mark.parametrize(
    ("header", "status"), [(b"Content-Length: 1001", b"413"), (b"X-Large: " + b"a" * 40_000, b"431")]
)
def test_a_head_that_is_refused_has_no_body_either(server: Server, header: bytes, status: bytes) -> None:
    head, _, body = answer_to(server, b"HEAD / HTTP/1.1\r\n" + header + b"\r\n\r\n").partition(b"\r\n\r\n")
    assert (head[9:12], body) == (status, b"")


def test_a_client_that_asks_before_it_sends_too_much_is_refused_and_not_told_to_go_on(server: Server) -> None:
    asks = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1000000000000\r\n\r\n"
    assert answer_to(server, asks).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "Bad Request"),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 400, "Bad Request"),
        (b"GET / HTTP/1.1\r\nX-Large: " + b"a" * 40_000 + b"\r\n\r\n", 431, "Request Header Fields Too Large"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "Not Implemented"),
    ],
)
def test_what_is_no_request_is_refused_in_the_shape_of_all_errors(
    server: Server, said: bytes, status: int, reason: str
) -> None:
    head, _, body = answer_to(server, said).partition(b"\r\n\r\n")
    assert f" {status} {reason}\r\n".encode() in head
    assert b"nosniff" in head
    assert json.loads(body) == {"detail": reason}
    assert b"waitress" not in head


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_when_there_are_too_many_the_connection_that_was_silent_longest_is_closed(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(client(server, b"GET / HTTP/1.1\r\n")) for _ in range(25)]
        assert echoed(server, b"still here") == (200, b"still here")
        eventually(lambda: sum(map(is_closed, silent[:10])) >= 5)
        assert not any(map(is_closed, silent[20:]))


def looked_after(server: Server) -> bool:
    """Have silent connections looked for, and tell whether none is left."""
    server.look_at = 0
    server.pull_trigger()
    return not server.channels


def test_who_does_not_read_the_answer_is_let_go(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(server, b"GET /large HTTP/1.1\r\n\r\n"):
        eventually(lambda: any(channel.total_outbufs_len for channel in server.channels))
        monkeypatch.setattr(web, "SILENCE_SECONDS", -1)
        eventually(lambda: looked_after(server))


def test_a_client_cannot_say_that_it_came_over_tls(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port(server), timeout=5)
    connection.request("GET", "/scheme", headers={"X-Forwarded-Proto": "https"})
    assert connection.getresponse().read() == b"http"
