"""The requests in work, and the stage of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, Field

from app.engine.interface import JobStatus, Stage
from app.errors import ServiceError
from model.painting import Painting


class Status(BaseModel):
    """The stage of a request."""

    stage: Stage = Field(examples=["queued"])
    ahead: int = Field(
        examples=[1], description="requests that came before this one and are not painted yet"
    )


class Entry(JobStatus):
    """One request in work.

    Attributes:
        id: its X-Request-ID; others may have the same.
        painting: what is painted, once it is decoded.
        ended: whether the request is answered.
    """

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id = id
        self.painting: Painting | None = None
        self.ended = False


class RequestRegistry:
    """All requests in work, in the order of their arrival."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    @contextmanager
    def follow(self, id: str) -> Iterator[Entry]:
        """Register a request until the context ends."""
        entry = Entry(id)
        self._entries.append(entry)
        try:
            yield entry
        finally:
            entry.ended = True
            self._entries.remove(entry)

    def queued(self) -> int:
        """Return how many wait for the model."""
        return sum(entry.stage == "queued" for entry in list(self._entries))

    def all(self) -> int:
        """Return how many are in work."""
        return len(self._entries)

    def entry(self, id: str) -> Entry:
        """Return a request, the newest one where several have one id.

        Raises:
            ServiceError: unknown-request, where none of this id is in work.
        """
        for entry in reversed(self._entries):
            if entry.id == id:
                return entry
        raise ServiceError(
            "unknown-request",
            "no stylization of this X-Request-ID is in work: it has not begun, or has ended",
        )

    def status(self, entry: Entry) -> Status:
        """Return a request's stage, and how many are ahead of it."""
        if entry.stage != "queued":
            return Status(stage=entry.stage, ahead=0)
        entries = list(self._entries)
        before = entries[: entries.index(entry)] if entry in entries else []
        ahead = sum(each.stage in ("queued", "painting", "refining") for each in before)
        return Status(stage="queued", ahead=ahead)
