"""The virtual environments that the other systems live in, as one lock file says."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.benchmarks.system import System

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / ".bench"
PEERS_PYTHON = BENCH / "venv" / "bin" / "python"
NEWER_PYTHON = BENCH / "venv-newer" / "bin" / "python"
REQUIREMENTS = ROOT / "requirements-bench.txt"
#: What a system may need at most, and the second environment has.
NEWER = (3, 12)
_UV = [sys.executable, "-m", "uv"]
_VERSION = "import sys; print(*sys.version_info[:2])"


class NotMeasurableError(Exception):
    """A system cannot be measured here; the message says why and what to do."""


def python_of(system: System) -> Path:
    """Give the interpreter that a system runs in: this one for ours.

    Raises:
        NotMeasurableError: If there is none that is new enough.
    """
    if system.is_ours:
        return Path(sys.executable)
    if system.needs <= sys.version_info[:2]:
        return PEERS_PYTHON
    if newer_interpreter() is None:
        raise NotMeasurableError(f"needs Python {'.'.join(map(str, system.needs))}, and none is installed")
    return NEWER_PYTHON


def install_peers() -> None:
    """Make the peers' virtual environments, unless they are as the lock file says already."""
    _install(PEERS_PYTHON, interpreter=sys.executable)
    if sys.version_info[:2] < NEWER and (newer := newer_interpreter()):
        _install(NEWER_PYTHON, interpreter=newer)


@cache
def newer_interpreter() -> str | None:
    """Find a Python that is as new as a system may need; names like python3.13 may be there without running."""
    return next((each for each in _candidates() if NEWER <= _version(each) < (3, 15)), None)


def _candidates() -> Iterator[str]:
    for minor in (12, 13, 14):
        if found := shutil.which(f"python3.{minor}"):
            yield found
        yield from map(str, sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python")))


def _version(interpreter: str | Path) -> tuple[int, ...]:
    """Give an interpreter's version, (0,) if it does not run."""
    try:
        told = subprocess.run([interpreter, "-c", _VERSION], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return (0,)
    return tuple(map(int, told.stdout.split()))


def _install(python: Path, *, interpreter: str) -> None:
    directory = python.parent.parent
    installed = directory / "installed"
    wanted = f"{_version(interpreter)}\n{REQUIREMENTS.read_text()}"
    if installed.exists() and installed.read_text() == wanted and _version(python) != (0,):
        return
    print(f"Installing the other systems into {directory}; this takes a minute, once.", flush=True)
    subprocess.run([*_UV, "venv", "--quiet", "--clear", "--python", interpreter, str(directory)], check=True)
    subprocess.run([*_UV, "pip", "sync", "--quiet", "--python", str(python), str(REQUIREMENTS)], check=True)
    installed.write_text(wanted)
