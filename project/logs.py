"""One way to write logs: structlog, the standard library, Dramatiq and APScheduler through one renderer."""

import json as json_encoder
import logging
import re
from collections.abc import Mapping
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, cast

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

HIDDEN = "***"
#: Characters. What is longer may be written in pieces, between which another thread's line must not come.
_WRITTEN_AT_ONCE = 4096
_NAMES = r"(?:passw|secret|token|authori[sz]ation|cookie|api[_-]?key|credential)"
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
# Every repetition is bounded or ends at its first match: texts may be long, and may be an attacker's.
_SECRET_TEXT = re.compile(
    r"(?P<before>\bBearer\s+)[\w.~+/=-]{8,}"
    r"|(?P<url>://[^\s:/@]{0,100}:)[^\s/@]+(?=@)"
    # name=value in a query, a form or a call; "name": value in JSON or a printed dictionary
    rf"|(?P<name>{_NAMES}[\w.%\[\]-]{{0,40}}(?:=|\\?[\"']\s?:\s?))(?:\\?\"[^\"]*\"|'[^']*'|[^\s&;,\"'<>]+)"
    r"|(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*",
    re.IGNORECASE,
)
#: What hides nothing, whatever it is.
_HARMLESS = frozenset({type(None), bool, int, float})


def hide_secrets(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Replace the values of secret-sounding names, and tokens and passwords inside texts, at any depth."""
    return _fields_without_secrets(line)


def _fields_without_secrets(fields: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {}
    for name, value in fields.items():
        shown_name, is_secret = _shown_name(name if type(name) is str else str(name))
        shown[shown_name] = HIDDEN if is_secret else _without_secrets(value)
    return shown


def _without_secrets(value: Any) -> Any:
    # Almost every value is of one of these types; to ask whether it is a mapping costs more than to look through it.
    kind = type(value)
    if kind is str:
        return _shown(value)
    if kind in _HARMLESS:
        return value
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return _fields_without_secrets(value)
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    # Whatever else it is, its text is what would be written: that of a request has its query, an error's its reason.
    return _shown(str(value))


@lru_cache(maxsize=1000)
def _shown_name(name: str) -> tuple[str, bool]:
    return _shown(name), _SECRET_NAME.search(name) is not None


def _shown(text: str) -> str:
    return _SECRET_TEXT.sub(_hidden, text) if _may_hide_something(text.lower()) else text


def _may_hide_something(text: str) -> bool:
    """Tell whether a text, in lower case, has any sign of a secret: much faster than matching, and than a loop."""
    return (
        "://" in text
        or "token" in text
        or "api" in text
        or "eyj" in text
        or "passw" in text
        or "secret" in text
        or "bearer" in text
        or "authori" in text
        or "cookie" in text
        or "credential" in text
    )


def _hidden(found: re.Match[str]) -> str:
    return (found["before"] or found["url"] or found["name"] or "") + HIDDEN


def _processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        hide_secrets,
    ]


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """Makes lines of records; of structlog's own without a copy of the record, which costs as much as the line.

    With what else is written for speed here, a line takes 15 µs instead of 27 as JSON, and 16 instead of 43 readable.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields, method = record.msg, getattr(record, "_name", None)
        if method is None or type(fields) is not dict:
            return super().format(record)
        line: Any = {**fields, "_record": record, "_from_structlog": True}
        for process in self.processors:
            line = process(None, method, line)
        return cast("str", line)


class LineHandler(logging.StreamHandler[Any]):
    """Writes whole lines to a stream; threads that log wait for each other no longer than a long line takes.

    The standard library's formats each line under its lock, which is where eight threads of short tasks spend most of
    their time. A line that is written with one system call needs no lock.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a line unless a filter holds it back."""
        if not self.filter(record):
            return False
        try:
            line = self.format(record) + self.terminator
            if len(line) < _WRITTEN_AT_ONCE:
                self.stream.write(line)
            else:
                with self.lock or nullcontext():
                    self.stream.write(line)
            self.stream.flush()
        except Exception:  # as the standard library's: a line that cannot be written stops nobody
            self.handleError(record)
        return True


def configure_structlog() -> None:
    """Send what `structlog.get_logger()` writes through the standard library's logging."""
    # No line says where it was written in the code, nor in which thread: to find out costs more than to write it.
    logging._srcfile = None  # as "Optimization" in its documentation says
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logging_config(*, json: bool, level: str) -> dict[str, Any]:
    """Return Django's `LOGGING`: one stream, one format.

    Args:
        json: One JSON object a line, for machines; otherwise readable lines.
        level: The least severe level that is written.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": LineFormatter,
                # What other libraries pass as `extra`; structlog's own lines carry theirs already.
                "foreign_pre_chain": [structlog.stdlib.ExtraAdder()],
                "processors": [*_processors(), _renderer(json=json)],
            },
        },
        "handlers": {"stream": {"class": "project.logs.LineHandler", "formatter": "structlog"}},
        "root": {"handlers": ["stream"], "level": level},
        "loggers": {
            # Left to themselves these would print lines of their own form.
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # It would tell of each request that waits for a thread.
            "waitress.queue": {"level": "ERROR"},
            # "Running job …" once a second says nothing; what went wrong does.
            "apscheduler": {"level": "WARNING"},
            # Each use of the connection pool is an INFO line.
            "psycopg": {"level": "ERROR" if level == "ERROR" else "WARNING"},
        },
    }


def _renderer(*, json: bool) -> Processor:
    if json:
        # One encoder for all lines: to make it costs as much as to use it.
        encode = json_encoder.JSONEncoder(default=str).encode
        return structlog.processors.JSONRenderer(serializer=lambda line, **_: encode(line))
    return _readable


_render_anything = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
#: With one of these a line is out of the ordinary.
_RARE = frozenset({"exception", "stack", "exc_info", "logger_name"})
#: A text with one of these could be taken for something else than one value.
_QUOTED = re.compile("[ \t=\r\n\"']")


def _readable(logger: WrappedLogger, method: str, line: EventDict) -> str:
    """Write what structlog's `ConsoleRenderer` writes, an ordinary line in a fifth of its time."""
    if not _RARE.isdisjoint(line) or not line.get("event"):
        return _render_anything(logger, method, line)
    time, level, event, name = line.pop("timestamp"), line.pop("level"), line.pop("event"), line.pop("logger")
    fields = [f" {field}={_quoted(line[field])}" for field in sorted(line)]
    return f"{time} [{level:<9}] {event} [{name}]{''.join(fields)}".rstrip(" ")


def _quoted(value: object) -> str:
    if type(value) is str:
        return repr(value) if _QUOTED.search(value) else value
    return repr(value)
