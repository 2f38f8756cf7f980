"""`python -m project.web.server`: serve the service over HTTP with as many processes and threads as the settings say.

SIGTERM and SIGINT end it once the requests under way are answered.
"""

import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable

import structlog

from project.environment import environment
from project.web.server.processes import Processes, WebProcess
from project.web.server.server import DRAIN_SECONDS, Server
from project.web.stopping import stopping

log = structlog.get_logger("project.web.server")

#: Connections that one process keeps open, if the system lets it: many more than it has threads, because those of
#: clients that are slow or silent cost little.
MOST_CONNECTIONS = 1000
#: Open files for each: the connection, the file of a long body, the file that is sent.
_FILES_PER_CONNECTION = 3


def main() -> None:
    """Serve until told to stop."""
    from django.conf import settings  # noqa: PLC0415 - the settings are named by wsgi

    from project.wsgi import application  # noqa: PLC0415 - loads everything, once for all processes

    most_connections = _allow_files(MOST_CONNECTIONS * _FILES_PER_CONNECTION) // _FILES_PER_CONNECTION
    listener = _listen(environment.bind_address, environment.port)
    log.info("web_server_listens", address=environment.bind_address, port=environment.port)
    # What is loaded by now is never collected, so the processes go on sharing it.
    gc.freeze()

    def work(goes_on: Callable[[], bool]) -> None:
        server = Server(
            application,
            listener,
            threads=environment.web_threads,
            most_connections=most_connections,
            most_body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        )
        signal.set_wakeup_fd(server.alarm, warn_on_full_buffer=False)
        server.answer(goes_on=goes_on, at_stop=stopping.set)

    processes = [WebProcess(work) for _ in range(environment.web_processes)]
    Processes(processes, listener=listener, drain_seconds=DRAIN_SECONDS).run()


def _allow_files(wanted: int) -> int:
    """Raise this process's own limit of open files, which many systems set low, and return it."""
    soft, hard = (
        wanted if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    if soft < min(wanted, hard):
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return min(wanted, soft)


def _listen(address: str, port: int) -> socket.socket:
    """Return a socket that all processes accept connections from."""
    try:
        found = socket.getaddrinfo(address.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, resolved = found[0]
        is_any = family == socket.AF_INET6 and resolved[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(resolved[:2], family=family, backlog=1024, dualstack_ipv6=is_any)
    except OSError as error:
        sys.exit(f"The web server cannot listen on {address} port {port}: {error.strerror}.")


if __name__ == "__main__":
    main()
