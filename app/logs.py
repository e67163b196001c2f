"""Logs: each record as one JSON line."""

from __future__ import annotations

import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Any

STANDARD_FIELDS = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "color_message"}


REPEAT_SECONDS = 10.0
MAX_KINDS = 1000


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, message, and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line without a line break."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({k: v for k, v in vars(record).items() if k not in STANDARD_FIELDS})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class Repetitions(logging.Filter):
    """Passes a warning or an error once in `REPEAT_SECONDS`, and then says how often it came.

    A hostile client must not be able to fill a disk with them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to print a record."""
        if record.levelno < logging.WARNING:
            return True
        kind = (record.name, str(record.msg))
        printed, suppressed = self._last.get(kind, (-math.inf, 0))
        if record.created - printed < REPEAT_SECONDS:
            self._last[kind] = printed, suppressed + 1
            return False
        # The messages of the program are few; those with text of a client's own could be many.
        if len(self._last) >= MAX_KINDS:
            self._last.clear()
        self._last[kind] = record.created, 0
        if suppressed:
            record.repeated = suppressed
        return True


def configure(level: str) -> None:
    """Print the records of this process as JSON lines on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(Repetitions())
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
