"""Exports to test with: people who have todos, their files, and a real S3 server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen
from uuid import UUID

import boto3
from django.conf import settings
from django.db import connection

from project.embedded.server import free_port
from project.values.ids import uuid7
from reports.schemas import ExportFormat, ExportResult
from reports.services import export_todos
from tests.eventually import eventually
from tests.people import a_user
from users.models import User

ACCESS_KEY, SECRET_KEY, BUCKET = "key", "secret-of-the-test", "exports-of-test"

_FILL = """
    INSERT INTO todo_todo (title, description, completed, created_at, updated_at, user_id)
    SELECT 'todo ' || n, repeat('some words ', 10), n %% 2 = 0, now() - n / 3 * interval '1 minute', now(), %s
    FROM generate_series(1, %s) n
"""


def fill(user: User, *, todos: int) -> None:
    """Write down that many todos of a user; some have the same time."""
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [user.pk, todos])


def a_busy_user(*, todos: int) -> User:
    """Create a user with so many todos."""
    user = a_user()
    fill(user, todos=todos)
    return user


def made(
    user: User,
    kind: ExportFormat = "csv",
    *,
    export_id: UUID | None = None,
    report: Callable[[float, str], None] = lambda fraction, note: None,
) -> ExportResult:
    """Export a user's todos here and now."""
    return export_todos(user_id=user.pk, kind=kind, export_id=export_id or uuid7(), report=report)


def directory() -> Path:
    """Where this test run keeps exports."""
    return Path(settings.EXPORTS_DIRECTORY)


def names() -> set[str]:
    """Return the names of all files there."""
    return {path.name for path in directory().iterdir()} if directory().exists() else set()


class Bucket:
    """A server that speaks S3, with one bucket in it, which is a directory.

    Args:
        root: Where it keeps its buckets.
    """

    def __init__(self, root: Path) -> None:
        self.port, self._root = free_port(), root
        self.objects = root / BUCKET / "exports"
        (root / BUCKET).mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        """What the service's processes must know to keep exports there."""
        return {
            "EXPORTS_S3_BUCKET": BUCKET,
            "EXPORTS_S3_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "EXPORTS_S3_ACCESS_KEY": ACCESS_KEY,
            "EXPORTS_S3_SECRET_KEY": SECRET_KEY,
        }

    @property
    def names(self) -> set[str]:
        """The names of all objects."""
        return {path.name for path in self.objects.iterdir()} if self.objects.exists() else set()

    def delete(self, name: str) -> None:
        """Delete an object, as its owner might."""
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        server = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1", **keys)
        server.delete_object(Bucket=BUCKET, Key=f"exports/{name}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer while the block runs."""
        rclone = Path(sys.executable).parent / "rclone"
        key, address = f"{ACCESS_KEY},{SECRET_KEY}", f"127.0.0.1:{self.port}"
        command: list[str | Path] = [rclone, "serve", "s3", "--auth-key", key, "--addr", address, self._root]
        with subprocess.Popen([*command, "--config", os.devnull], stderr=subprocess.DEVNULL) as server:
            try:
                eventually(lambda: _listens(self.port))
                yield
            finally:
                server.kill()


def _listens(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}", timeout=1):
            return True
    except OSError as error:
        return hasattr(error, "code")  # it answers, though it refuses
