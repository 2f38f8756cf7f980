"""The supervisor's log lines in the form of all others: an event and its fields, readable or as JSON.

What writes the others, structlog, is not in the standard library, and nothing else is imported here.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

#: What every record has; the rest was passed as `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

#: A text with one of these could be taken for something else than one value.
_QUOTED = set(" \t=\r\n\"'")


class EventFormatter(logging.Formatter):
    """Writes a record's message as an event and what was passed as `extra` as its fields.

    Args:
        as_json: One JSON object a line, for machines; otherwise readable lines.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="microseconds")  # noqa: UP017
        timestamp, level = time.replace("+00:00", "Z"), record.levelname.lower()
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if self._as_json:
            line = {"event": record.getMessage(), "logger": record.name, "level": level, "timestamp": timestamp}
            return json.dumps(fields | line)
        written = "".join(f" {name}={_shown(value)}" for name, value in sorted(fields.items()))
        return f"{timestamp} [{level:<9}] {record.getMessage()} [{record.name}]{written}"


def _shown(value: object) -> str:
    text = str(value)
    return repr(value) if set(text) & _QUOTED or not isinstance(value, str) else text
