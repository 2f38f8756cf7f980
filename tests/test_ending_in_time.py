"""A process ends soon, and with its own exit code, though a thread is left that the interpreter would wait for."""

import os
from contextlib import suppress
from datetime import timedelta

import pytest

from project.pool import stop_requests
from project.pool.stop_requests import ending_in_time
from tests.eventually import eventually


@pytest.mark.parametrize(
    ("end", "code"),
    [(None, 0), (SystemExit(3), 3), (SystemExit("what went wrong"), 1), (RuntimeError("a defect"), 1)],
)
def test_a_process_that_is_held_up_ends_with_the_code_it_wanted_to_end_with(
    monkeypatch: pytest.MonkeyPatch, end: BaseException | None, code: int
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(stop_requests, "LEFT_BEHIND", timedelta(seconds=0.01))
    with suppress(SystemExit, RuntimeError), ending_in_time():
        if end is not None:
            raise end
    eventually(lambda: codes == [code], timeout=5)
