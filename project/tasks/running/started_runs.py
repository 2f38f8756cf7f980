"""Which of the claimed runs had begun when their process died, so that a death counts for no other.

Each process writes the ids of the runs that it executes into a small file in memory (`/dev/shm`, where there is one),
which outlives it however it ends. Whoever frees its runs on the same host reads there which of them can be to blame.
On another host nobody can: then all that it had claimed count a death, as the one that took the host down must.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import structlog

log = structlog.get_logger(__name__)

#: Bytes of a run's id.
_ID_SIZE = 16
#: How many runs a process can execute at once; of those beyond, a death counts for all that it had claimed.
MOST_AT_ONCE = 4096
_NOBODY = bytes(_ID_SIZE)
#: Written when the file does not have all that has begun.
_INCOMPLETE = b"\xff" * _ID_SIZE


class StartedRuns:
    """The runs that this process executes, as others can read it."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._ids: mmap.mmap | None = None
        self._free = list(reversed(range(1, MOST_AT_ONCE)))

    def open(self, worker_id: UUID) -> None:
        """Tell of this process under this id from now on.

        Args:
            worker_id: The id under which it claims runs.
        """
        try:
            self._move_to(_path(worker_id))
        except OSError as error:
            cure = "let the process write there; until then a dead process counts a death for all that it had claimed"
            log.warning("started_runs_not_kept", path=str(_path(worker_id)), error=str(error), cure=cure)

    def close(self) -> None:
        """Remove the file: this process holds nothing any more."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._path = self._ids = None

    @contextmanager
    def marked(self, run_id: UUID) -> Iterator[None]:
        """Say that a run has begun, until the block ends."""
        if self._ids is None:
            yield
            return
        slot = self._free.pop() if self._free else 0
        self._write(slot, run_id.bytes if slot else _INCOMPLETE)
        try:
            yield
        finally:
            if slot:
                self._write(slot, _NOBODY)
                self._free.append(slot)

    def _write(self, slot: int, id_: bytes) -> None:
        if self._ids is not None:
            self._ids[slot * _ID_SIZE : (slot + 1) * _ID_SIZE] = id_

    def _move_to(self, path: Path) -> None:
        """Go on in a file of that name; others may have removed the one of before, because they thought us dead."""
        before, was = self._path, self._ids
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, MOST_AT_ONCE * _ID_SIZE)
            ids = mmap.mmap(descriptor, MOST_AT_ONCE * _ID_SIZE)
        finally:
            os.close(descriptor)
        if was is not None:
            ids[:] = was[:]
        self._path, self._ids = path, ids
        if before is not None and before != path:
            before.unlink(missing_ok=True)


def runs_begun_by(worker_id: UUID) -> set[UUID] | None:
    """Return the runs that a process was executing when it died; None if nobody here can tell."""
    try:
        ids = _path(worker_id).read_bytes()
    except OSError:
        return None
    begun = {ids[start : start + _ID_SIZE] for start in range(0, len(ids), _ID_SIZE)} - {_NOBODY}
    return None if _INCOMPLETE in begun else {UUID(bytes=id_) for id_ in begun}


def forget(worker_id: UUID) -> None:
    """Remove what a dead process has left."""
    with suppress(OSError):
        _path(worker_id).unlink(missing_ok=True)


def _path(worker_id: UUID) -> Path:
    memory = Path("/dev/shm")  # noqa: S108 - the name is nobody's to guess
    directory = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    return directory / f"runs-of-{worker_id}"


#: This process's.
started_runs = StartedRuns()
