"""The supervisor writes its log as the service does, though with the standard library alone."""

import io
import json
import logging
import re

import structlog

from project.logs import logging_config
from project.pool.log_format import EventFormatter

FIELDS = {
    "pid": 4711,
    "exit_code": -9,
    "restart_in_seconds": 0.5,
    "cure": "read the lines before",
    "why": "it-ended",
    "x": "a=b",
}


def a_record() -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "project.pool.supervisor", "msg": "process_died", "levelname": "ERROR"})
    record.__dict__.update(FIELDS)
    return record


def as_the_service_writes(record: logging.LogRecord, *, as_json: bool) -> str:
    """Return the line that the service's own formatter makes of a record."""
    config = logging_config(json=as_json, level="INFO")["formatters"]["structlog"]
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=config["processors"], foreign_pre_chain=config["foreign_pre_chain"]
    )
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.handle(record)
    return stream.getvalue().strip()


def without_time(line: str) -> str:
    written, _ = re.subn(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME", line)
    assert "TIME" in written
    return written


def test_a_readable_line_looks_like_those_of_the_service() -> None:
    line = EventFormatter(as_json=False).format(a_record())
    assert without_time(line) == without_time(as_the_service_writes(a_record(), as_json=False))


def test_a_json_line_has_what_those_of_the_service_have() -> None:
    line = EventFormatter(as_json=True).format(a_record())
    theirs = as_the_service_writes(a_record(), as_json=True)
    assert json.loads(without_time(line)) == json.loads(without_time(theirs))
