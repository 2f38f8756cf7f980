"""Exports on real processes: cancelled and killed half way, with a full disk, and with a bucket that is away."""

import os
import resource
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from project.registry import registry
from project.tasks import Message
from project.tasks.models import TaskRun, Worker
from reports.models import Export
from reports.schemas import ExportFormat, ExportResult
from tests.acceptance.processes import Running, Service
from tests.eventually import eventually
from tests.exports import Bucket, a_busy_user
from users.models import User
from users.tokens import create_access_token

#: In bytes: more than a worker logs, less than the export that meets it.
FULL = 1_000_000
#: Twenty pages.
TODOS = 100_000


@pytest.fixture
def directory(service: Service, tmp_path: Path) -> Path:
    """Where the service's processes keep exports."""
    service.environment["EXPORTS_DIRECTORY"] = str(tmp_path / "exports")
    return tmp_path / "exports"


def send(user: User, kind: ExportFormat = "csv") -> Message[ExportResult]:
    return registry.reports_export_todos.send(user_id=user.pk, format=kind)


def run_of(run_id: UUID) -> TaskRun:
    return TaskRun.objects.get(id=run_id)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@contextmanager
def held_half_way(message: Message[ExportResult]) -> Iterator[None]:
    """Let an export read some of its pages, and no more of them while the block runs."""
    eventually(lambda: (run_of(message.run_id).progress or 0) > 0)
    values = connection.settings_dict
    where = {"dbname": values["NAME"], "host": values["HOST"], "port": values["PORT"] or None, "user": values["USER"]}
    with psycopg.connect(**where, password=values["PASSWORD"] or None) as holder:
        holder.execute("LOCK TABLE todo_todo IN ACCESS EXCLUSIVE MODE")
        run = run_of(message.run_id)
        assert (run.state, 0 < (run.progress or 0) < 1) == (TaskRun.State.RUNNING, True)
        yield


def wait_for_beats(count: int) -> None:
    for _ in range(count):
        last = Worker.objects.latest("beat_at").beat_at
        eventually(lambda last=last: Worker.objects.filter(beat_at__gt=last).exists())  # type: ignore[misc]


def workers() -> list[int]:
    return list(Worker.objects.filter(kind=Worker.Kind.WORKER).values_list("pid", flat=True))


def test_an_export_that_is_cancelled_half_way_leaves_nothing(service: Service, directory: Path) -> None:
    service.worker()
    message = send(a_busy_user(todos=TODOS))
    with held_half_way(message):
        message.cancel()
        wait_for_beats(2)  # as often as a process beats, it asks which of its runs are cancelled
    eventually(lambda: run_of(message.run_id).state == TaskRun.State.CANCELLED)
    assert (names(directory), Export.objects.count()) == ([], 0)


def test_an_export_that_is_killed_half_way_is_one_whole_file_afterwards(service: Service, directory: Path) -> None:
    service.worker()
    message = send(a_busy_user(todos=TODOS))
    with held_half_way(message):
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: run_of(message.run_id).state != TaskRun.State.RUNNING)
        assert names(directory) == []
    result = message.result(timeout=60)
    assert (result.rows, run_of(message.run_id).attempts, Export.objects.count()) == (TODOS, 2, 1)
    assert names(directory) == [f"{message.run_id}.csv"]
    content = (directory / f"{message.run_id}.csv").read_bytes()
    assert (len(content), content.count(b"\r\n")) == (result.bytes, TODOS + 1)


@pytest.mark.long
def test_an_export_waits_for_room_on_the_disk(service: Service, directory: Path) -> None:
    service.worker()
    before = [(pid, resource.prlimit(pid, resource.RLIMIT_FSIZE)) for pid in workers()]
    for pid, (_, most) in before:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL, most))
    message = send(a_busy_user(todos=20_000))
    eventually(lambda: run_of(message.run_id).state == TaskRun.State.RETRYING)
    assert run_of(message.run_id).error_type == "OSError"
    assert (names(directory), Export.objects.count()) == ([], 0)
    for pid, limits in before:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    assert message.result(timeout=30).rows == 20_000
    assert names(directory) == [f"{message.run_id}.csv"]


def test_too_many_todos_for_a_pdf_are_a_dead_letter_at_once(service: Service, directory: Path) -> None:
    service.worker()
    message = send(a_busy_user(todos=5_001), "pdf")
    eventually(lambda: run_of(message.run_id).state == TaskRun.State.DEAD)
    run = run_of(message.run_id)
    assert (run.attempts, run.error_type) == (1, "PermanentError")
    assert "at most 5,000 todos" in run.error


@pytest.mark.long
def test_an_export_waits_for_its_bucket_and_is_downloaded_from_it(
    service: Service, directory: Path, tmp_path: Path
) -> None:
    bucket = Bucket(tmp_path / "buckets")
    service.environment |= bucket.environment
    service.worker()
    web = service.web()
    user = a_busy_user(todos=100_000)  # more than one part of an upload
    message = send(user)
    eventually(lambda: run_of(message.run_id).state == TaskRun.State.RETRYING, timeout=30)
    assert (names(directory), Export.objects.count()) == ([], 0)
    with bucket.listening():
        result = message.result(timeout=60)
        assert (bucket.names, names(directory)) == ({f"{message.run_id}.csv"}, [])
        status, content = download(web, result.url, user)
        assert (status, len(content), content.count(b"\r\n")) == (200, result.bytes, 100_001)
        bucket.delete(f"{message.run_id}.csv")
        assert download(web, result.url, user)[0] == 410
    assert download(web, result.url, user)[0] == 503


def test_a_file_is_downloaded_from_the_directory(service: Service, directory: Path) -> None:
    service.worker()
    web = service.web()
    user = a_busy_user(todos=20_000)
    result = send(user, "jsonl").result(timeout=30)
    status, content = download(web, result.url, user)
    assert (status, len(content), content.count(b"\n")) == (200, result.bytes, 20_000)


def download(web: Running, url: str, user: User) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {create_access_token(user_id=user.pk)}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(web.url + url, headers=headers), timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
