"""Whether the service is well, and what it takes: /livez, /readyz and /v1/limits."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app.api.problems import Problem
from app.errors import ServiceError
from app.service import CurrentService

router = APIRouter()


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Whether the process answers")
async def livez() -> JSONResponse:
    """Answer as long as the event loop runs."""
    return JSONResponse({"status": "alive"})


class Limits(BaseModel):
    """The limits that clients may want to know; see the settings of the same names."""

    max_size: int = Field(description="longest side of a result in pixels")
    max_styles: int = Field(description="styles of one request")
    max_body_bytes: int = Field(description="a request body")
    max_pixels: int = Field(description="pixels of a picture that is sent")
    max_refine_seconds: float = Field(description="a refinement; 0: there is none")


@router.get("/v1/limits", summary="What this service takes and gives at most")
async def limits(service: CurrentService) -> Limits:
    """Return the limits in force."""
    settings = service.settings
    return Limits(
        max_size=service.max_size,
        max_styles=settings.max_styles,
        max_body_bytes=settings.max_body_bytes,
        max_pixels=settings.max_pixels,
        max_refine_seconds=settings.max_refine_seconds,
    )


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Whether the model is warm",
    responses={503: {"model": Problem, "description": "The model is still warming up."}},
)
async def readyz(service: CurrentService) -> JSONResponse:
    """Answer 200 once a warm-up stylization is done, and 503 before."""
    if not service.engine.ready:
        raise ServiceError("not-ready", "the model is warming up; try again in a second")
    return JSONResponse({"status": "ready"})
