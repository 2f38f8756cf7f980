"""Where exports are kept: a directory by default, a bucket of an S3-compatible server by setting."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, cast
from uuid import uuid4

from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage
from django.utils.functional import SimpleLazyObject

#: For each of connecting and each answer; an export is tried again, a download is answered with 503.
_PATIENCE = timedelta(seconds=10)
_COPIED_AT_ONCE = 1024 * 1024  # bytes


class ExportDirectory(FileSystemStorage):
    """A directory in which each file is complete, whatever dies while it is written."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Return the name: a file of that name is one of the same run, and is replaced."""
        return name

    def _save(self, name: str, content: "File[Any]") -> str:
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left_over in path.parent.glob(f"{name}.*.part"):  # of an attempt that was killed
            left_over.unlink(missing_ok=True)
        with _part_of(path) as part:
            for chunk in content.chunks(_COPIED_AT_ONCE):
                part.write(chunk)
        return name


@contextmanager
def _part_of(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of another one when all of it is on the disk, and is gone if that fails."""
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def open_bucket(**options: Any) -> Storage:
    """Return the storage of a bucket; its library is loaded when it is used first.

    Args:
        options: Those of `S3Storage` of django-storages.
    """
    return cast("Storage", SimpleLazyObject(lambda: _bucket(**options)))


def _bucket(**options: Any) -> Any:
    # A fifth of a second and 29 MB, for those who have a bucket.
    from boto3.s3.transfer import TransferConfig  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from storages.backends.s3 import S3Storage  # noqa: PLC0415

    seconds = _PATIENCE.total_seconds()
    client = Config(
        connect_timeout=seconds,
        read_timeout=seconds,
        retries={"mode": "standard", "max_attempts": 2},  # the run is retried anyway, with longer pauses
        s3={"addressing_style": "path"},
    )
    # Without threads of its own an upload ends with the run that was cancelled.
    transfer = TransferConfig(use_threads=False)
    return S3Storage(client_config=client, transfer_config=transfer, file_overwrite=True, location="exports", **options)
