"""How many requests a second one web process answers, and how many while clients hang."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import django
import psutil
from django.core.management import call_command
from django.utils.module_loading import import_string

from project.embedded.server import free_port

CONNECTIONS = 8
TODOS = 25
HANGING = 200
ROUNDS = 3
OLD_WAY = "v1/old-todos"
ADDRESSES = ("livez", "v1/users/me", "v1/todos", OLD_WAY)
COMMAND = [sys.executable, "-m", "project.web.server"]
START_SECONDS = 30.0


def run(*, quick: bool = False) -> dict[str, float]:
    """Measure with some connections that each send one request after the other.

    Args:
        quick: One round of half a second for each address instead of three of two seconds.

    Returns:
        Medians by address: requests a second and milliseconds of the server's CPU for one; requests a second for
        `/livez` while as many clients have sent half a request; and how many times faster todos are than before.
    """
    # Read below, and by the web server.
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.ours.web_settings"
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    token, seconds, rounds = _somebody(), 0.5 if quick else 2.0, 1 if quick else ROUNDS
    with _web() as (port, web):
        measured = [_in_turn(port, web, token, seconds) for _ in range(rounds)]
        with _hanging(port):
            beside = _rate(port, _request("/livez"), seconds)
    figures = {name: round(median(one[name] for one in measured), 2) for name in measured[0]}
    times = round(figures["v1/todos"] / figures[OLD_WAY], 2)
    return {**figures, f"livez beside {HANGING} that hang": round(beside), "v1/todos, times the old way": times}


def _in_turn(port: int, web: psutil.Process, token: str, seconds: float) -> dict[str, float]:
    """Return each address's requests a second, and the milliseconds of CPU that one costs."""
    figures: dict[str, float] = {}
    for address in ADDRESSES:
        before = _cpu_seconds(web)
        rate = _rate(port, _request(f"/{address}", token), seconds)
        cpu = (_cpu_seconds(web) - before) / max(rate * seconds, 1)
        figures |= {address: rate, f"{address}, ms of CPU": 1000 * cpu}
    return figures


def _cpu_seconds(web: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in (web, *web.children(recursive=True)))


def _somebody() -> str:
    """Return the access token of a user with some todos."""
    name = f"user-{time.time_ns()}"
    user = import_string("users.models.User").objects.create(username=name, email=f"{name}@example.com")
    for number in range(TODOS):
        import_string("todo.services.create_todo")(user=user, title=f"todo {number}")
    token: str = import_string("users.tokens.create_access_token")(user_id=user.pk)
    return token


@contextmanager
def _web() -> Iterator[tuple[int, psutil.Process]]:
    """Run the web server; give its port and its process."""
    port = free_port()
    web = subprocess.Popen(COMMAND, env={**os.environ, "PORT": str(port), "WEB_PROCESSES": "1"})
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not _listens(port):
            time.sleep(0.05)
        yield port, psutil.Process(web.pid)
    finally:
        web.terminate()
        web.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _hanging(port: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(HANGING):
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(b"GET /livez HTTP/1.1\r\n")
        yield


def _request(address: str, token: str = "") -> bytes:
    signature = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {address} HTTP/1.1\r\nHost: localhost\r\n{signature}\r\n".encode()


def _rate(port: int, request: bytes, seconds: float) -> float:
    """Return how many times a second the request is answered."""
    answered: list[int] = []
    deadline = time.monotonic() + seconds
    threads = [
        threading.Thread(target=lambda: answered.append(_ask(port, request, deadline))) for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered) / seconds


def _ask(port: int, request: bytes, deadline: float) -> int:
    """Send a request again and again over one connection; return how many were answered."""
    answered = 0
    with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as client:
        while time.monotonic() < deadline:
            client.sendall(request)
            _read_answer(client)
            answered += 1
    return answered


def _read_answer(client: socket.socket) -> None:
    """Read one answer, which must be a good one, to its end."""
    head, _, body = client.recv(65536).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
    while left:
        left -= len(client.recv(left))
