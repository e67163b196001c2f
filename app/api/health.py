"""Whether the service is well, and what it takes: /livez, /readyz, /v1/limits, /v1/models."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app.api.problems import Problem
from app.errors import ServiceError
from app.service import CurrentService
from model.controls import MAX_STYLE_SIZE, MIN_SIZE, MIN_STYLE_SIZE
from model.formats import DEEP_FORMATS, READ_FORMATS, WRITE_FORMATS

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
    max_requests: int = Field(description="requests with pictures at a time")
    max_saved_styles: int = Field(description="styles in the library")
    deadline_seconds: float = Field(description="from a request to its answer")
    decode_seconds: int = Field(description="of CPU time, to decode one picture")
    min_size: int = Field(description="least longest side of a result in pixels")
    style_size: tuple[int, int] = Field(description="least and largest style_size")
    reads: tuple[str, ...] = Field(description="formats of pictures that are sent")
    writes: tuple[str, ...] = Field(description="formats of results")
    writes_16_bits: tuple[str, ...] = Field(description="those of them that take depth=16")


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
        max_requests=settings.max_requests,
        max_saved_styles=settings.max_saved_styles,
        deadline_seconds=settings.deadline_seconds,
        decode_seconds=settings.decode_seconds,
        min_size=MIN_SIZE,
        style_size=(MIN_STYLE_SIZE, MAX_STYLE_SIZE),
        reads=tuple(name.lower() for name in READ_FORMATS),
        writes=WRITE_FORMATS,
        writes_16_bits=DEEP_FORMATS,
    )


class ModelView(BaseModel):
    """A model that the service runs."""

    id: str = Field(description="the weights' fingerprint, which recipes name")
    device: str = Field(examples=["cpu"])
    precision: str = Field(examples=["bfloat16"])
    modulation: int = Field(description="numbers by which a style modulates the decoder")


class Models(BaseModel):
    """The models that the service runs: one."""

    models: list[ModelView]


@router.get("/v1/models", summary="Which model this service runs")
async def models(service: CurrentService) -> Models:
    """Return the model, its device and its precision."""
    model = service.model
    view = ModelView(
        id=model.weights,
        device=model.device,
        precision=model.precision,
        modulation=model.layout.modulation,
    )
    return Models(models=[view])


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
