"""Everything that is logged goes through one renderer, and no secret gets through it."""

import json
import logging
import logging.config
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.test import Client, RequestFactory

from project.logs import LineHandler, logging_config
from tests.people import Api, a_user

Lines = Callable[[], list[dict[str, Any]]]


@contextmanager
def written(*, json: bool) -> Iterator[StringIO]:
    """Write what is logged into a text instead of the standard error stream."""
    logging.config.dictConfig(logging_config(json=json, level="INFO"))
    text = StringIO()
    for output in logging.getLogger().handlers:
        assert isinstance(output, logging.StreamHandler)
        output.setStream(text)
    yield text
    logging.config.dictConfig(settings.LOGGING)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return what was logged in the test, as production would write it."""
    structlog.contextvars.clear_contextvars()
    with written(json=True) as text:
        yield lambda: [json.loads(line) for line in text.getvalue().splitlines()]


@pytest.mark.parametrize("name", ["django.request", "dramatiq.worker", "waitress", "anything"])
def test_lines_of_the_standard_library_are_json_too(lines: Lines, name: str) -> None:
    logging.getLogger(name).warning("%s happened", "it", extra={"status": 500})
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"], line["status"]) == ("it happened", "warning", name, 500)


def test_a_line_has_a_time_in_utc(lines: Lines) -> None:
    structlog.get_logger("x").info("now")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", lines()[0]["timestamp"])


def test_lines_carry_the_context_they_were_written_in(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(run_id="r", request_id="q"):
        structlog.get_logger("x").info("ours")
        logging.getLogger("y").info("theirs")
    assert [(line["run_id"], line["request_id"]) for line in lines()] == [("r", "q"), ("r", "q")]


def test_our_own_lines_have_only_what_we_said(lines: Lines) -> None:
    structlog.get_logger("x").info("done", count=1)
    assert set(lines()[0]) == {"event", "count", "level", "logger", "timestamp"}


def log_the_failure_of(error: Exception) -> None:
    def fail() -> None:
        raise error

    try:
        fail()
    except type(error):
        structlog.get_logger("x").exception("failed")


def test_an_exception_is_part_of_its_line(lines: Lines) -> None:
    log_the_failure_of(RuntimeError("broken"))
    (line,) = lines()
    assert "RuntimeError: broken" in line["exception"]


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "hunter2-hunter2"},
        {"headers": {"Authorization": "hunter2-hunter2"}},
        {"refresh_token": "hunter2-hunter2"},
        {"attempts": [{"api_key": "hunter2-hunter2"}]},
        {"header": "Bearer hunter2-hunter2"},
        {"address": "redis://:hunter2-hunter2@broker:6379/0"},
        {"body": "token is eyJhbGciOiJIUzI1NiJ9.hunter2-hunter2.x"},
        {"path": "/v1/todos?page=1&access_token=hunter2-hunter2&x=2"},
        {"path": "/v1/todos?api-key=hunter2-hunter2"},
        {"form": "username=ada&password=hunter2-hunter2"},
        {"request": RequestFactory().get("/v1/todos?token=hunter2-hunter2")},
        {"error": ValueError({"user": "ada", "password": "hunter2-hunter2"})},
        {"error": 'cannot read {"refresh_token": "hunter2-hunter2"}'},
        {"addresses": {"redis://:hunter2-hunter2@broker:6379/0": 1}},
    ],
)
def test_secrets_are_hidden_wherever_they_are(lines: Lines, fields: dict[str, object]) -> None:
    structlog.get_logger("x").info("sign in", **fields)
    (line,) = lines()
    assert "hunter2" not in json.dumps(line)
    assert "***" in json.dumps(line)


def test_a_refused_request_is_logged_with_its_query_but_without_the_secrets_in_it(lines: Lines) -> None:
    for path in ("/v1/nothing?page=7&token=hunter2", "/v1/users/me?password=hunter2", "/v1/todos?api_key=hunter2"):
        Client().post(path)
    Client().get("/admin/", {"token": "hunter2"}, headers={"Host": "evil.example"})
    written = json.dumps(lines())
    assert "page=7" in written
    assert "hunter2" not in written


@pytest.mark.django_db
def test_what_a_thread_logs_after_a_request_no_longer_names_its_user(lines: Lines) -> None:
    user = a_user()
    Api(user).get("/v1/users/me")
    structlog.get_logger("x").info("later")
    about_the_request, later = lines()
    assert about_the_request["user_id"] == user.pk
    assert not {"user_id", "request_id"} & set(later)


@pytest.mark.django_db
def test_what_an_earlier_request_left_behind_does_not_reach_the_next(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(user_id=7)
    Api().get("/v1/nothing")
    assert all("user_id" not in line for line in lines())


def test_secrets_in_a_traceback_are_hidden(lines: Lines) -> None:
    log_the_failure_of(ConnectionError("postgres://service:hunter2-hunter2@db/name does not answer"))
    assert "hunter2" not in json.dumps(lines())


def test_ordinary_words_are_left_alone(lines: Lines) -> None:
    structlog.get_logger("x").info("The bearer of bad news: https://example.com/a@b has no secret")
    assert lines()[0]["event"] == "The bearer of bad news: https://example.com/a@b has no secret"


def test_people_get_readable_lines() -> None:
    with written(json=False) as text:
        logging.getLogger("x").info("hello")
    assert "hello" in text.getvalue()
    assert not text.getvalue().startswith("{")


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/a b", "quoted": 'x"y', "empty": "", "pair": "a=b", "lines": "a\nb", "none": None, "last": ""},
        {"status": HTTPStatus.NOT_FOUND, "ratio": 0.5, "many": [1, "two"], "inner": {"a": "b c"}, "é": "ü"},
        {"exception": "Traceback: broken", "x": 1},
        {"stack": "Stack", "x": 1},
        {"event": ""},
        {"level": "critical"},
    ],
)
def test_readable_lines_are_those_of_structlog(fields: dict[str, object]) -> None:
    line = {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "event": "it happened", "logger": "x", **fields}
    *_, render = logging_config(json=False, level="INFO")["formatters"]["structlog"]["processors"]
    theirs = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)(None, "info", line.copy())
    assert render(None, "info", line) == theirs


def test_numbers_stay_numbers(lines: Lines) -> None:
    structlog.get_logger("x").info("answered", status=HTTPStatus.NOT_FOUND, is_late=True, seconds=0.5)
    assert {"status": 404, "is_late": True, "seconds": 0.5}.items() <= lines()[0].items()


def test_lines_of_threads_stay_whole_and_none_is_lost(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("a+", buffering=1) as stream:
        output = LineHandler(stream)
        lines = [f"{number} {'x' * (number % 7) * 1000}" for number in range(200)]
        with ThreadPoolExecutor(8) as threads:
            for line in lines:
                threads.submit(output.handle, logging.LogRecord("any", logging.INFO, "", 0, line, None, None))
        stream.seek(0)
        assert sorted(stream.read().splitlines()) == sorted(lines)


def test_a_line_that_cannot_be_written_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stream = StringIO()
    stream.close()
    assert LineHandler(stream).handle(logging.LogRecord("any", logging.INFO, "", 0, "line", None, None))
    assert "ValueError" in capsys.readouterr().err
