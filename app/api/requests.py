"""The stage of a stylization in work, and its events: /v1/requests/{id}."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app.api.problem_examples import problem_responses
from app.api.scope import REQUESTS_PATH
from app.engine.interface import EVENT_SECONDS, RefinementStep
from app.registry import Entry, Status
from app.service import CurrentService
from model.deep import shallow
from model.images import encode_image
from model.painting import Painting
from model.scaling import resize_longest

router = APIRouter()
# The longest side of the picture of a refinement, in pixels.
PREVIEW_SIDE = 512


class RefinementView(BaseModel):
    """The progress of a refinement."""

    step: int = Field(examples=[12])
    seconds: float = Field(examples=[3.4], description="since it began")
    fraction: float = Field(examples=[0.34], description="how much of its time is used")
    content: float = Field(examples=[0.21], description="content loss of the best picture so far")
    style: float = Field(examples=[0.05], description="its style loss")
    preview: str = Field(description="that picture, a small JPEG in base64")


def entry_of(service: CurrentService, id: str) -> Entry:
    """Return the request that the path names."""
    return service.requests.entry(id)


Named = Annotated[Entry, Depends(entry_of)]


@router.get(
    REQUESTS_PATH + "/{id}",
    summary="The stage of a stylization in work",
    responses=problem_responses("unknown-request"),
)
async def status(service: CurrentService, entry: Named) -> Status:
    """Tell how far the stylization is whose X-Request-ID is `id`; its sender may choose that id."""
    return service.requests.status(entry)


@router.get(
    REQUESTS_PATH + "/{id}/events",
    summary="The same as it changes, and the pictures of a refinement",
    response_class=EventSourceResponse,
    responses=problem_responses("unknown-request"),
)
async def events(service: CurrentService, entry: Named) -> AsyncIterator[ServerSentEvent]:
    """Send `status` and `refinement` events until the request is answered, and then `end`."""
    told: Status | None = None
    shown: RefinementStep | None = None
    while not entry.ended:
        status = service.requests.status(entry)
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
    responses=problem_responses("unknown-request"),
    response_class=Response,
)
async def end(entry: Named) -> None:
    """End the refinement: the request is answered with the best picture so far."""
    entry.enough.set()


def describe(refined: RefinementStep, painting: Painting) -> RefinementView:
    """Return a step as clients see it."""
    picture = shallow(painting.finish(refined.result.pixels))
    if max(picture.size) > PREVIEW_SIDE:
        picture = resize_longest(picture, PREVIEW_SIDE)
    return RefinementView(
        step=refined.step,
        seconds=round(refined.result.refine_seconds or 0, 2),
        fraction=round(refined.fraction, 3),
        content=refined.content,
        style=refined.style,
        preview=base64.b64encode(encode_image(picture, "jpeg")).decode(),
    )
