"""What a run says: of each result, and at its end; for people, or as JSON for machines."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

from model.errors import AdainError


class Report:
    """The report of one run.

    Attributes:
        counts: results that are painted, skipped and failed.
    """

    def __init__(self, *, as_json: bool, listed: bool) -> None:
        """Begin a run.

        Args:
            as_json: whether each result is one JSON object on a line, and nothing else is printed.
            listed: whether each result's name is printed as soon as it is written.
        """
        self.counts: Counter[str] = Counter()
        self._as_json, self._listed = as_json, listed
        self._errors: list[str] = []
        self._started = time.monotonic()

    def painted(self, output: str, **facts: Any) -> None:
        """Report a result that is written."""
        self.counts["painted"] += 1
        self._print({"output": output, **facts}, output)

    def skipped(self, output: str, reason: str) -> None:
        """Report a result that was there already, or a file that is no picture."""
        self.counts["skipped"] += 1
        self._print({"output": output, "skipped": reason}, None)

    def failed(self, content: str, error: Exception) -> None:
        """Report a result that could not be made."""
        self.counts["failed"] += 1
        message = str(error)
        self._errors.append(message)
        code = error.code if isinstance(error, AdainError) else "unreadable-file"
        self._print({"input": content, "error": message, "code": code}, None)

    def end(self, where: str | None) -> int:
        """Print what was done, unless there was one result alone; return the exit code."""
        seconds = time.monotonic() - self._started
        for error in self._errors:
            print(f"adain: error: {error}", file=sys.stderr)
        if where is not None and not self._as_json:
            painted = self.counts["painted"]
            said = [f"{painted} painted"]
            said += [f"{self.counts[n]} {n}" for n in ("skipped", "failed") if self.counts[n]]
            rate = f"{painted / seconds:.2f} pictures a second" if painted else "none painted"
            print(f"{', '.join(said)}, to {where}, in {seconds:.1f} s: {rate}")
        return 1 if self.counts["failed"] else 0

    def _print(self, facts: dict[str, Any], line: str | None) -> None:
        if self._as_json:
            print(json.dumps(facts, ensure_ascii=False), flush=True)
        elif line is not None and self._listed:
            print(line, flush=True)
