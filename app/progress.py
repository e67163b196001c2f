"""Which stage each stylization in work has reached: GET /v1/requests/{id}, and its events."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app.job import Refined, Stage, Watch
from app.openapi import problem_responses
from app.problems import ServiceError
from model.image import encode_image, resize_longest
from model.painting import Painting

REQUESTS_PATH = "/v1/requests"
router = APIRouter()
# How often watchers are told, and the longest side of what they are shown.
EVENT_SECONDS = 0.25
PREVIEW_SIDE = 512
UNKNOWN = {404: "No stylization of this X-Request-ID is in work."}


class Status(BaseModel):
    """Where a request is."""

    stage: Stage = Field(examples=["queued"])
    ahead: int = Field(examples=[1], description="requests that the model paints before this one")


class Refinement(BaseModel):
    """Where a refinement is."""

    step: int = Field(examples=[12])
    seconds: float = Field(examples=[3.4], description="since it began")
    fraction: float = Field(examples=[0.34], description="of the seconds that it was given")
    content: float = Field(examples=[0.21], description="content loss of the best picture so far")
    style: float = Field(examples=[0.05], description="its style loss")
    preview: str = Field(description="that picture, a small JPEG in base64")


class Entry(Watch):
    """One request in work.

    Attributes:
        painting: what is painted, once it is decoded.
        ended: whether the request is answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.painting: Painting | None = None
        self.ended = False


class Progress:
    """All requests in work, in the order of their arrival."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    @contextmanager
    def follow(self, id: str) -> Iterator[Entry]:
        """Know a request for as long as it lasts."""
        entry = self._entries[id] = Entry()
        try:
            yield entry
        finally:
            entry.ended = True
            self._entries.pop(id, None)

    def queued(self) -> int:
        """Return how many wait for the model."""
        return sum(entry.stage == "queued" for entry in list(self._entries.values()))

    def all(self) -> int:
        """Return how many are in work."""
        return len(self._entries)

    def entry(self, id: str) -> Entry:
        """Return a request.

        Raises:
            ServiceError: unknown-request, where none of this id is in work.
        """
        if id not in self._entries:
            raise ServiceError(
                "unknown-request",
                "no stylization of this X-Request-ID is in work: it has not begun, or has ended",
            )
        return self._entries[id]

    def status(self, entry: Entry) -> Status:
        """Return where a request is."""
        if entry.stage != "queued":
            return Status(stage=entry.stage, ahead=0)
        entries = list(self._entries.values())
        before = entries[: entries.index(entry)] if entry in entries else []
        ahead = sum(each.stage in ("queued", "painting", "refining") for each in before)
        return Status(stage="queued", ahead=ahead)


def progress_of(request: Request) -> Progress:
    """Return the service's requests in work."""
    progress: Progress = request.app.state.progress
    return progress


def entry_of(request: Request, id: str) -> Entry:
    """Return the request that the path names."""
    return progress_of(request).entry(id)


Named = Annotated[Entry, Depends(entry_of)]


@router.get(
    REQUESTS_PATH + "/{id}",
    summary="The stage of a stylization in work",
    responses=problem_responses(UNKNOWN),
)
async def status(request: Request, entry: Named) -> Status:
    """Tell how far the stylization is whose X-Request-ID is `id`; its sender may choose that id."""
    return progress_of(request).status(entry)


@router.get(
    REQUESTS_PATH + "/{id}/events",
    summary="The same as it changes, and the pictures of a refinement",
    response_class=EventSourceResponse,
    responses=problem_responses(UNKNOWN),
)
async def events(request: Request, entry: Named) -> AsyncIterator[ServerSentEvent]:
    """Send `status` and `refinement` events until the request is answered, and then `end`."""
    told: Status | None = None
    shown: Refined | None = None
    while not entry.ended:
        status = progress_of(request).status(entry)
        if status != told:
            told = status
            yield ServerSentEvent(event="status", data=status)
        if entry.refined is not shown and entry.refined and entry.painting:
            shown = entry.refined
            data = await run_in_threadpool(describe, shown, entry.painting)
            yield ServerSentEvent(event="refinement", data=data)
        await asyncio.sleep(EVENT_SECONDS)
    yield ServerSentEvent(event="end", data={})


@router.delete(
    REQUESTS_PATH + "/{id}",
    status_code=204,
    summary="End a refinement with the picture so far",
    responses=problem_responses(UNKNOWN),
    response_class=Response,
)
async def end(entry: Named) -> None:
    """Let the request be answered with the best picture so far; without a refinement, as it is."""
    entry.enough.set()


def describe(refined: Refined, painting: Painting) -> Refinement:
    """Return what watchers are told of a step."""
    picture = painting.finish(refined.painted.pixels)
    if max(picture.size) > PREVIEW_SIDE:
        picture = resize_longest(picture, PREVIEW_SIDE)
    return Refinement(
        step=refined.step,
        seconds=round(refined.painted.refine_seconds or 0, 2),
        fraction=round(refined.fraction, 3),
        content=refined.content,
        style=refined.style,
        preview=base64.b64encode(encode_image(picture, "jpeg")).decode(),
    )
