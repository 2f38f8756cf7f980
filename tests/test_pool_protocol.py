"""What a supervisor and its processes say to each other, and what they make of what nobody ever said."""

import signal
import socket
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from project.pool.connection import SupervisorConnection
from project.pool.protocol import (
    LONGEST_LINE,
    MOST_KINDS_TOLD,
    Freed,
    FreeRunsOf,
    FromWorker,
    LastChancesWait,
    Names,
    Reader,
    Ready,
    ReplaceMe,
    RunFork,
    UnknownLineError,
    format_line,
    parse_from_supervisor,
    parse_from_worker,
)
from tests.eventually import eventually

WRITTEN = "01234567-89ab-7def-8123-456789abcdef/1f3e5d7c"
NAMES = Names(UUID("01234567-89ab-7def-8123-456789abcdef"), "1f3e5d7c")
FROM_WORKER: dict[str, FromWorker] = {
    "ready": Ready(),
    f"ready {WRITTEN}": Ready(NAMES),
    "replace me": ReplaceMe(),
    "last chances": LastChancesWait(),
    f"buried {WRITTEN}": Freed(NAMES),
    "fork some.module:function": RunFork("some.module:function"),
}
MALFORMED = [
    "",
    " ",
    "READY",
    "ready ",
    "ready yesterday",
    "ready /",
    f"ready {NAMES.worker_id}",
    f"ready {NAMES.worker_id}/",
    f"ready /{NAMES.broker_id}",
    f"ready {WRITTEN}/third",
    f"ready {WRITTEN} more",
    f"ready {WRITTEN}{'x' * LONGEST_LINE}",
    f"buried{WRITTEN}",
    "buried",
    "fork",
    "fork some.module",
    "fork some.module:function --option",
    "replace",
    "replace me now",
    "last  chances",
    "drain",
    "\0",
]


def told_by(reader_of: str, *pieces: bytes) -> tuple[list[object], list[str]]:
    """Return the messages that a reader makes of the pieces, and the lines it does not know."""
    reported: list[str] = []
    parse = {"worker": parse_from_worker, "supervisor": parse_from_supervisor}[reader_of]
    reader: Reader[object] = Reader(parse, report=lambda error: reported.append(str(error)))
    return [message for piece in pieces for message in reader.read(piece)], reported


@pytest.mark.parametrize("line", FROM_WORKER)
def test_what_a_process_says_is_written_and_read_as_every_release_has_done(line: str) -> None:
    assert format_line(FROM_WORKER[line]) == f"{line}\n".encode()
    assert parse_from_worker(line.encode()) == FROM_WORKER[line]


def test_what_the_supervisor_says_is_written_and_read_as_every_release_has_done() -> None:
    assert format_line(FreeRunsOf(NAMES)) == f"bury {WRITTEN}\n".encode()
    assert parse_from_supervisor(f"bury {WRITTEN}".encode()) == FreeRunsOf(NAMES)


@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_line_is_told_and_ignored_on_both_sides(line: str) -> None:
    for side in ("worker", "supervisor"):
        messages, reported = told_by(side, f"{line}\n".encode())
        assert not messages
        assert len(reported) == 1


def test_neither_side_takes_its_own_lines_for_the_others() -> None:
    assert told_by("worker", format_line(FreeRunsOf(NAMES)))[0] == []
    assert told_by("supervisor", *map(format_line, FROM_WORKER.values()))[0] == []


def test_lines_may_arrive_in_any_pieces() -> None:
    sent = b"".join(map(format_line, FROM_WORKER.values()))
    assert told_by("worker", sent)[0] == list(FROM_WORKER.values())
    assert told_by("worker", *(bytes([byte]) for byte in sent))[0] == list(FROM_WORKER.values())


def test_a_line_that_has_not_ended_says_nothing_yet() -> None:
    assert told_by("worker", b"replace me") == ([], [])


def test_bytes_that_are_no_text_do_not_keep_the_next_line_from_being_read() -> None:
    assert told_by("worker", b"\xff\xfe\xff\nreplace me\n")[0] == [ReplaceMe()]


def test_each_kind_of_unknown_line_is_told_once() -> None:
    _, reported = told_by("worker", b"ready yesterday\nready tomorrow\nresize 4\nready\nresize 5\n")
    assert reported == ["ready yesterday", "resize 4"]


def test_noise_is_not_told_for_ever() -> None:
    _, reported = told_by("worker", *(f"noise{number}\n".encode() for number in range(1000)))
    assert len(reported) == MOST_KINDS_TOLD


def test_an_endless_line_is_neither_kept_nor_understood_at_its_end() -> None:
    messages, (reported,) = told_by("worker", *[b"x" * 4096] * 100, b"\nreplace me\nreplace", b" me\n")
    assert messages == [ReplaceMe(), ReplaceMe()]
    assert len(reported) < 100


def test_an_unknown_line_is_shown_with_what_it_is() -> None:
    with pytest.raises(UnknownLineError, match="resize 4"):
        parse_from_worker(b"resize 4")


class Ends:
    """Both ends of a real pair of sockets: a process's connection, and the supervisor's socket."""

    def __init__(self) -> None:
        self.supervisor, theirs = socket.socketpair()
        self.process = SupervisorConnection(theirs)
        self.heard: list[object] = []


@pytest.fixture
def hung_up(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the process would have been drained."""
    event = threading.Event()

    def kill(_pid: int, number: int) -> None:
        assert number == signal.SIGHUP
        event.set()

    monkeypatch.setattr("project.pool.connection.os.kill", kill)
    return event


@pytest.fixture
def ends(hung_up: threading.Event) -> Iterator[Ends]:
    ends = Ends()
    ends.process.listen(ends.heard.append)
    yield ends
    ends.supervisor.close()
    assert hung_up.wait(5)


def test_a_process_hears_and_is_heard_over_a_pair_of_sockets(ends: Ends) -> None:
    ends.supervisor.sendall(format_line(FreeRunsOf(NAMES)))
    eventually(lambda: ends.heard == [FreeRunsOf(NAMES)])
    ends.process.say(Freed(NAMES))
    assert told_by("worker", ends.supervisor.recv(4096))[0] == [Freed(NAMES)]


def test_a_process_that_hears_what_it_does_not_know_goes_on_listening(
    ends: Ends, hung_up: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    ends.supervisor.sendall(b"\xff\xfe\nbury nobody\nresize 4\nresize 5\n" + format_line(FreeRunsOf(NAMES)))
    eventually(lambda: ends.heard == [FreeRunsOf(NAMES)])
    assert not hung_up.is_set()
    told = [record.getMessage() for record in caplog.records]
    assert sum("resize" in line for line in told) == 1


def test_a_process_drains_when_the_connection_ends_within_a_line(ends: Ends, hung_up: threading.Event) -> None:
    ends.supervisor.sendall(f"bury {WRITTEN}".encode())
    ends.supervisor.close()
    assert hung_up.wait(5)
    assert not ends.heard


def test_what_is_said_to_a_supervisor_that_has_ended_is_lost_in_silence(ends: Ends, hung_up: threading.Event) -> None:
    ends.supervisor.close()
    assert hung_up.wait(5)
    ends.process.say(ReplaceMe())
