"""A process of a pool that does no work: `python -m tests.pool_member DIRECTORY`.

It leaves a file with its id in the directory, and does what the file `orders` there says.
"""

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn
from uuid import UUID

from project.pool.protocol import (
    Freed,
    FromWorker,
    LastChancesWait,
    Names,
    Reader,
    Ready,
    ReplaceMe,
    format_line,
    parse_from_supervisor,
)

directory = Path(sys.argv[1])
orders = (directory / "orders").read_text().split() if (directory / "orders").exists() else []
is_for_last_chances = sys.argv[2:] == ["--alone"]


def leave(kind: str) -> None:
    (directory / f"{os.getpid()}.{kind}").touch()


def stop(number: int, frame: FrameType | None) -> NoReturn:
    leave("drained")
    sys.exit(0)


def stop_at_second(number: int, frame: FrameType | None) -> None:
    leave("hung up" if number == signal.SIGHUP else "told")
    if number == signal.SIGTERM:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def say(message: FromWorker) -> None:
    connection.sendall(format_line(message))


def report() -> None:
    while True:
        say(LastChancesWait())
        time.sleep(0.1)


def note(names: Names) -> None:
    with (directory / f"{os.getpid()}.heard").open("a") as heard:
        heard.write(f"{names.worker_id.int}\n")


def listen() -> None:
    reader = Reader(parse_from_supervisor, report=lambda error: sys.exit(str(error)))
    while received := connection.recv(4096):
        for message in reader.read(received):
            note(message.names)
            if "forget" not in orders:
                say(Freed(message.names))


for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop_at_second if "stay" in orders else stop)
if "fail" in orders:
    sys.exit(7)
connection = socket.socket(fileno=0)
if is_for_last_chances:
    leave("alone")
    if "leave" in orders:
        sys.exit(0)
if "babble" in orders:
    connection.sendall(b"\xff\xfe babble\nburied nobody\nready yesterday\n\nready yesterday\n")
say(Ready(Names(UUID(int=os.getpid()), "broker")))
leave("ready")
if "replace" in orders:
    (directory / "orders").unlink()
    say(ReplaceMe())
if "last-chances" in orders and not is_for_last_chances:
    threading.Thread(target=report, daemon=True).start()
with suppress(ConnectionError):  # what it had said was not heard
    listen()
stop(0, None)
