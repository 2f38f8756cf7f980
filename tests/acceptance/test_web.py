"""The web server as its clients see it: those that hang, those that wait, and those that ask for too much."""

import http.client
import json
import os
import select
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import psycopg
from django.db import connection
from django.utils import timezone

from project.tasks.models import TaskRun
from tests.acceptance.processes import Running, Service
from tests.eventually import eventually
from tests.people import a_user
from tests.runs import a_run
from users.tokens import create_access_token

MANY = 200


def port(web: Running) -> int:
    return int(web.url.rpartition(":")[2])


def client(web: Running, said: bytes, *, buffer: int = 0) -> socket.socket:
    """Connect and say something; what is answered is never read."""
    made = socket.socket()
    if buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.settimeout(5)
    made.connect(("127.0.0.1", port(web)))
    made.sendall(said)
    return made


def waiting_for(run: TaskRun, *, token: str) -> bytes:
    asked = f"GET /v1/tasks/{run.id}?wait=30 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    return asked.encode()


def http_answer(asked: socket.socket) -> str:
    """Read the answer to what was asked on a connection."""
    response = http.client.HTTPResponse(asked)
    response.begin()
    return response.read().decode()


def every(number: int, ready: list[socket.socket]) -> list[socket.socket]:
    return ready if len(ready) == number else []


def seconds_of(url: str, token: str = "") -> float:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    return time.monotonic() - started


def processes_of(web: Running) -> list[int]:
    return [child.pid for child in psutil.Process(web.pid).children()]


@contextmanager
def table_locked(name: str) -> Iterator[None]:
    """Let everybody wait who wants to read a table."""
    with psycopg.connect(**connection.get_connection_params()) as locking:
        locking.execute(f'LOCK TABLE "{name}"')
        yield


HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = (
    b"POST /v1/auth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{"
)
LARGE = b"GET /static/ninja/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_clients_that_hang_keep_nobody_else_waiting(service: Service) -> None:
    web, token = service.web(), create_access_token(user_id=a_user().pk)
    seconds_of(f"{web.url}/v1/users/me", token)
    with ExitStack() as stack:
        for said in (HEAD, BODY, LARGE):
            for _ in range(MANY):
                stack.enter_context(client(web, said, buffer=4096))
            # Answering 200 at once takes its time; after that they only hang.
            eventually(lambda: seconds_of(f"{web.url}/livez") < 1, timeout=20)
            assert min(seconds_of(f"{web.url}/v1/users/me", token) for _ in range(3)) < 1, said


def test_a_hundred_who_wait_for_a_run_slow_nobody(service: Service) -> None:
    web, ada = service.web(threads=8), a_user()
    token, run = create_access_token(user_id=ada.pk), a_run("running", user=ada)
    with ExitStack() as stack:
        waiting = [stack.enter_context(client(web, waiting_for(run, token=token))) for _ in range(100)]
        answered = eventually(lambda: every(100 - 4, select.select(waiting, [], [], 0)[0]), timeout=20)
        still = [one for one in waiting if one not in answered]
        assert all("running" in http_answer(one) for one in answered)
        assert min(seconds_of(f"{web.url}/v1/users/me", token) for _ in range(3)) < 1
        TaskRun.objects.filter(id=run.id).update(state="succeeded", result=7, finished_at=timezone.now())
        assert all("succeeded" in http_answer(one) for one in still)


def test_who_waits_for_a_run_is_answered_when_the_server_is_told_to_stop(service: Service) -> None:
    web, ada = service.web(threads=4), a_user()
    asked = waiting_for(a_run("running", user=ada), token=create_access_token(user_id=ada.pk))
    with ExitStack() as stack:
        waiting = [stack.enter_context(client(web, asked)) for _ in range(3)]
        # Half of the threads are for those who wait, so one is not waited for.
        (refused,) = eventually(lambda: every(1, select.select(waiting, [], [], 0)[0]))
        os.kill(web.pid, signal.SIGTERM)
        assert all("running" in http_answer(one) for one in waiting if one is not refused)
    assert web.wait() == 0


def test_a_process_that_dies_is_replaced_and_nothing_outlives_a_server_that_is_killed(service: Service) -> None:
    service.environment["WEB_PROCESSES"] = "2"
    web = service.web()
    first = processes_of(web)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    eventually(lambda: len(processes_of(web)) == 2 and first[0] not in processes_of(web))
    assert seconds_of(f"{web.url}/livez") < 1
    left = processes_of(web)
    web.kill()
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in left))


def test_requests_under_way_are_answered_before_the_server_ends(service: Service) -> None:
    web, token = service.web(), create_access_token(user_id=a_user().pk)
    waiting = http.client.HTTPConnection("127.0.0.1", port(web), timeout=20)
    with table_locked("todo_todo"):
        waiting.request("GET", "/v1/todos", headers={"Authorization": f"Bearer {token}"})
        eventually(waits_for_lock)
        for pid in [web.pid, *processes_of(web)]:  # as systemd does
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: not accepts(web))
    assert json.load(waiting.getresponse()) == {"todos": [], "count": 0}
    assert web.wait() == 0


def waits_for_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def accepts(web: Running) -> bool:
    try:
        seconds_of(f"{web.url}/livez")
    except OSError:
        return False
    return True
