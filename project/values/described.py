"""An exception in words that can be stored: its own methods may fail, or say far too much."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

from django.conf import settings

from project.values.storable import excerpt, storable

#: Characters that are kept, at the most, of what an exception says and of its traceback.
_LONGEST_ERROR, _LONGEST_TRACEBACK = 10_000, 50_000


@dataclass(frozen=True, kw_only=True)
class Described:
    """An exception in words.

    Args:
        error_type: The class.
        error: What it says.
        traceback: Where it was raised.
        fingerprint: A short hash that is the same for failures of one kind.
    """

    error_type: str
    error: str
    traceback: str
    fingerprint: str

    def adding(self, remark: str) -> Described:
        """Return the same with a remark behind what the exception says."""
        return replace(self, error=f"{self.error}\n{storable(remark, 1000)}".strip())


def describe(error: BaseException, *, task: str) -> Described:
    """Put an exception into words; this never fails.

    Args:
        error: Any exception.
        task: The name of the task that raised it.
    """
    return Described(
        error_type=storable(type(error).__qualname__, 200),
        error=message_in(error),
        traceback=_words(lambda: excerpt(_traceback(error), _LONGEST_TRACEBACK), of="traceback"),
        fingerprint=_words(lambda: _fingerprint(error, task=task), of="place")[:16],
    )


def message_in(error: BaseException) -> str:
    """Return what an exception says; this never fails."""
    return _words(lambda: excerpt(str(error), _LONGEST_ERROR), of="message")


def _words(speak: Callable[[], str], *, of: str) -> str:
    try:
        return speak()
    except BaseException as broken:  # even then the failure itself must be recorded
        return f"(its {of} cannot be shown: {type(broken).__qualname__})"


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _fingerprint(error: BaseException, *, task: str) -> str:
    """Hash the task, the type and the innermost frame of our own code."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    place = f"{own[-1].filename}:{own[-1].name}" if own else ""
    kind = f"{task}|{type(error).__qualname__}|{place}"
    return hashlib.sha256(kind.encode(errors="backslashreplace")).hexdigest()[:16]


def _is_own(filename: str) -> bool:
    return filename.startswith(str(settings.BASE_DIR)) and "site-packages" not in filename
