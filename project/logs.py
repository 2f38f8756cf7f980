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
#: Without one of these, in lower case, a text has nothing to hide; looking is much faster than matching.
_SIGNS = ("bearer", "://", "eyj", "passw", "secret", "token", "authori", "cookie", "api", "credential")


def hide_secrets(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Replace the values of secret-sounding names, and tokens and passwords inside texts, at any depth."""
    return cast("EventDict", _without_secrets(line))


def _without_secrets(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        named = ((*_shown_name(str(name)), inner) for name, inner in value.items())
        return {name: HIDDEN if is_secret else _without_secrets(inner) for name, is_secret, inner in named}
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    # Whatever else it is, its text is what would be written: that of a request has its query, an error's its reason.
    return _shown(str(value))


@lru_cache(maxsize=1000)
def _shown_name(name: str) -> tuple[str, bool]:
    return _shown(name), _SECRET_NAME.search(name) is not None


def _shown(text: str) -> str:
    lowered = text.lower()
    for sign in _SIGNS:
        if sign in lowered:
            return _SECRET_TEXT.sub(_hidden, text)
    return text


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
                "()": structlog.stdlib.ProcessorFormatter,
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
    return structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
