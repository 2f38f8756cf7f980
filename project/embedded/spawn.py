"""Child processes that never outlive their use.

On Linux the kernel tells a child when its parent dies. Everywhere, each child holds a lock on a file
for as long as it or anything it forked lives, so that a later run can tell, and end, what an earlier
one left behind: a process id alone may by then belong to somebody else.
"""

import contextlib
import ctypes
import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

#: How long a process that an earlier run left may take to end, after SIGTERM and again after SIGKILL.
TAKE_OVER_SECONDS = 10.0
#: The number of the option in Linux's <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1


class LeftoverError(Exception):
    """A process of an earlier run does not go away."""


class Identity(TypedDict):
    """Who a child process is, as `subprocess` wants to know it."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def spawn(
    command: Sequence[str], *, lock: Path, parent_died: signal.Signals, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a child in a process group of its own, once nothing of an earlier run holds its lock.

    Args:
        command: The program and its arguments.
        lock: The file that the child holds while it lives.
        parent_died: What the kernel sends it when this process dies.
        options: Passed on to `subprocess.Popen`.

    Raises:
        LeftoverError: If what an earlier run left does not go away.
    """
    descriptor = take_over(lock)
    try:
        child = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            start_new_session=True,
            pass_fds=[descriptor],
            preexec_fn=signal_when_parent_dies(parent_died),  # noqa: PLW1509 - one system call
            **options,
        )
        os.pwrite(descriptor, str(child.pid).encode(), 0)
    finally:
        os.close(descriptor)
    return child


def take_over(lock: Path) -> int:
    """Lock a file, after ending the process group that holds it, and return its descriptor.

    Raises:
        LeftoverError: If the group survives SIGKILL or is unknown.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    for number in (signal.SIGTERM, signal.SIGKILL, None):
        if _locked_in_time(descriptor, seconds=0 if number is signal.SIGTERM else TAKE_OVER_SECONDS):
            os.ftruncate(descriptor, 0)
            return descriptor
        holder = os.pread(descriptor, 20, 0).decode()
        if number and holder:
            signal_group(int(holder), number)
            # A stopped process ends only when it goes on.
            signal_group(int(holder), signal.SIGCONT)
    os.close(descriptor)
    raise LeftoverError(
        f"A process of an earlier run still uses {lock.parent}: end it ({holder or 'id unknown'}) first."
    )


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal a process group, if any of it is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def signal_when_parent_dies(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs before its program, so that the kernel signals it when its parent dies.

    Only Linux can do that; elsewhere there is nothing to run.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(number))


def identity(user: str | None) -> Identity:
    """Return what makes a child process run as a user and as nothing else, or as this one."""
    if user is None:
        return {"user": None, "group": None, "extra_groups": None}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _locked_in_time(descriptor: int, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True
