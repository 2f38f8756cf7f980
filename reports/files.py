"""The files of exports, wherever they are kept; what goes wrong there is a `StorageAwayError` or an `OSError`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages

from reports.errors import StorageAwayError

log = structlog.get_logger(__name__)
#: Nothing else is touched in a directory or bucket that others may use too.
_OURS = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?:csv|jsonl|pdf)(?:\.[0-9a-f]{32}\.part)?")


def name_of(export_id: UUID, kind: str) -> str:
    """Return the name of an export's file: always the same, so that a second attempt replaces what the first left."""
    return f"{export_id}.{kind}"


def export_of(name: str) -> UUID | None:
    """Return the id of the export that a file, or a part of one, belongs to; None if it is no file of ours."""
    found = _OURS.fullmatch(name)
    return UUID(found[1]) if found else None


@contextmanager
def draft() -> Iterator[IO[bytes]]:
    """Open a file without a name, which is gone as soon as nobody has it open: not even `kill -9` leaves it."""
    directory = Path(settings.EXPORTS_DIRECTORY)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=directory) as file:
        yield file


def save(name: str, file: IO[bytes]) -> int:
    """Keep a file under a name, all of it or nothing, and return its length in bytes."""
    length = file.seek(0, 2)
    file.seek(0)
    _storage().save(name, File(file))
    return length


def open_file(name: str) -> IO[bytes]:
    """Open a file to read it from its beginning to its end.

    Raises:
        FileNotFoundError: If it is not there.
        StorageAwayError: If that cannot be found out.
    """
    storage = _storage()
    try:
        # django-storages would copy all of an object into a file of the web process before the first byte is sent.
        return _read_object(storage, name) if settings.EXPORTS_IN_BUCKET else cast("IO[bytes]", storage.open(name))
    except FileNotFoundError:
        raise
    except storage_errors() as error:
        cure = "see whether the server of EXPORTS_S3_BUCKET answers, or the disk of EXPORTS_DIRECTORY"
        log.warning("export_storage_away", error=str(error), cure=cure)
        raise StorageAwayError from error


def delete(name: str) -> None:
    """Delete a file; one that is not there is no error."""
    _storage().delete(name)


def names() -> list[str]:
    """Return the names of all files, parts of files included."""
    try:
        return _storage().listdir("")[1]
    except FileNotFoundError:  # no directory before the first export
        return []


def written_at(name: str) -> datetime:
    """Return when a file was written."""
    return _storage().get_modified_time(name)


def storage_errors() -> tuple[type[Exception], ...]:
    """Return what a storage raises that is away or full."""
    if not settings.EXPORTS_IN_BUCKET:
        return (OSError,)
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - see storage.py
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    return (OSError, Boto3Error, BotoCoreError, ClientError)


def _read_object(storage: Any, name: str) -> IO[bytes]:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - see storage.py

    try:
        body: IO[bytes] = storage.bucket.Object(f"{storage.location}/{name}").get()["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004
            raise FileNotFoundError(name) from error
        raise
    return body


def _storage() -> Storage:
    return storages["exports"]
