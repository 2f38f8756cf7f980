"""What a worker process makes of signals: one request drains it, however many signals say so; the next one ends it."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from dramatiq.cli import RET_KILLED

PROGRAM = """
import os, signal, sys, threading, time
from dramatiq.cli import try_block_signals
from project.pool.stop_requests import StopRequests, ending_in_time

try_block_signals()
requests = StopRequests()
print("blocked", flush=True)
sys.stdin.readline()
requests.listen()
print("listens", flush=True)
requests.asked.wait()
print("asked", flush=True)
sys.stdin.readline()
with ending_in_time():
    sys.exit(3)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A process that waits to be told to stop, and then for a line."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield started
    started.kill()
    started.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def listening(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert said(process) == "blocked"
    go_on(process)
    assert said(process) == "listens"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_signal_asks_the_process_to_drain(listening: subprocess.Popen[str], number: signal.Signals) -> None:
    listening.send_signal(number)
    assert said(listening) == "asked"
    go_on(listening)
    assert listening.wait(10) == 3


def test_sigterm_and_any_number_of_sighups_are_one_request(listening: subprocess.Popen[str]) -> None:
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        listening.send_signal(number)
    assert said(listening) == "asked"
    go_on(listening)
    assert listening.wait(10) == 3


def test_a_second_sigterm_ends_the_process_whatever_it_is_doing(listening: subprocess.Popen[str]) -> None:
    listening.send_signal(signal.SIGTERM)
    assert said(listening) == "asked"
    listening.send_signal(signal.SIGTERM)
    assert listening.wait(10) == RET_KILLED
    assert listening.stderr
    assert "Told to stop a second time" in listening.stderr.read()


def test_ctrl_c_is_left_to_the_supervisor(listening: subprocess.Popen[str]) -> None:
    listening.send_signal(signal.SIGINT)
    listening.send_signal(signal.SIGHUP)
    assert said(listening) == "asked"


def test_a_signal_that_comes_before_the_process_listens_is_a_request(process: subprocess.Popen[str]) -> None:
    assert said(process) == "blocked"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    go_on(process)
    assert said(process) == "listens"
    assert said(process) == "asked"
    go_on(process)
    assert process.wait(10) == 3
