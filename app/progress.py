"""Which stage each stylization in work has reached: GET /v1/requests/{id}."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from app.openapi import problem_responses
from app.problems import ServiceError

REQUESTS_PATH = "/v1/requests"
router = APIRouter()
Stage = Literal["decoding", "queued", "painting", "encoding"]


class Status(BaseModel):
    """Where a request is."""

    stage: Stage = Field(examples=["queued"])
    ahead: int = Field(examples=[1], description="requests that the model paints before this one")


class Progress:
    """The stages of all requests in work, in the order of their arrival."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}

    @contextmanager
    def follow(self, id: str) -> Iterator[Callable[[Stage], None]]:
        """Know a request for as long as it lasts; what this yields tells its next stage."""

        def enter(stage: Stage) -> None:
            self._stages[id] = stage

        enter("decoding")
        try:
            yield enter
        finally:
            self._stages.pop(id, None)

    def queued(self) -> int:
        """Return how many wait for the model."""
        return list(self._stages.values()).count("queued")

    def all(self) -> int:
        """Return how many are in work."""
        return len(self._stages)

    def status(self, id: str) -> Status:
        """Return where a request is.

        Raises:
            ServiceError: unknown-request, where none of this id is in work.
        """
        stages = dict(self._stages)
        if id not in stages:
            raise ServiceError(
                "unknown-request",
                "no stylization of this X-Request-ID is in work: it has not begun, or has ended",
            )
        before = list(stages.values())[: list(stages).index(id)]
        ahead = sum(stage in ("queued", "painting") for stage in before)
        return Status(stage=stages[id], ahead=ahead if stages[id] == "queued" else 0)


@router.get(
    REQUESTS_PATH + "/{id}",
    summary="The stage of a stylization in work",
    responses=problem_responses({404: "No stylization of this X-Request-ID is in work."}),
)
async def status(request: Request, id: str) -> Status:
    """Tell how far the stylization is whose X-Request-ID is `id`; its sender may choose that id."""
    progress: Progress = request.app.state.progress
    return progress.status(id)
