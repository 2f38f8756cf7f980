"""A process of a pool that does no work: `python tests/pool_member.py DIRECTORY`.

It leaves a file with its id in the directory, and does what the file `orders` there says.
"""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

directory = Path(sys.argv[1])
orders = (directory / "orders").read_text().split() if (directory / "orders").exists() else []


def stop(number: int, frame: FrameType | None) -> NoReturn:
    (directory / f"{os.getpid()}.drained").touch()
    sys.exit(0)


def stop_at_second(number: int, frame: FrameType | None) -> None:
    (directory / f"{os.getpid()}.{'hung up' if number == signal.SIGHUP else 'told'}").touch()
    if number == signal.SIGTERM:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def report() -> None:
    while True:
        line.sendall(b"last chances\n")
        time.sleep(0.1)


for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop_at_second if "stay" in orders else stop)
if "fail" in orders:
    sys.exit(7)
line = socket.socket(fileno=0)
if sys.argv[2:] == ["--alone"]:
    (directory / f"{os.getpid()}.alone").touch()
    if "leave" in orders:
        sys.exit(0)
line.sendall(f"ready id-{os.getpid()}\n".encode())
(directory / f"{os.getpid()}.ready").touch()
if "replace" in orders:
    (directory / "orders").unlink()
    line.sendall(b"replace me\n")
if "last-chances" in orders and sys.argv[2:] != ["--alone"]:
    threading.Thread(target=report, daemon=True).start()
try:
    for words in line.makefile("rb"):
        with (directory / f"{os.getpid()}.heard").open("ab") as heard:
            heard.write(words)
        if "forget" not in orders:
            line.sendall(words.replace(b"bury", b"buried"))
except ConnectionError:  # what it had said was not heard
    pass
stop(0, None)
