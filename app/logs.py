"""Logs: each record as one line, of JSON for machines or of text for people."""

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


class TextFormatter(logging.Formatter):
    """Formats a record as a line for people: time, level, message, and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text; an exception takes further lines."""
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        fields = {k: v for k, v in vars(record).items() if k not in STANDARD_FIELDS}
        said = [f"{name}={value}" for name, value in fields.items()]
        line = " ".join([time, record.levelname.lower(), record.getMessage(), *said])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str, format: str = "auto") -> None:
    """Print the records of this process on standard output.

    Args:
        level: the least severe to print.
        format: json, text, or auto: text on a terminal, else one JSON object a line.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(Repetitions())
    as_text = format == "text" or (format == "auto" and sys.stdout.isatty())
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
