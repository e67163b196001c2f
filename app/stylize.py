"""POST /v1/stylize: decode, encode the styles, stylize, encode."""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response, UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.engine import Model
from app.form import StylizeForm, decode_picture, refuse_repeated
from app.gate import STYLIZE_PATH
from app.job import Job, Refinement, Timed
from app.logs import request_id
from app.metrics import Metrics
from app.negotiation import choose_format
from app.openapi import DESCRIPTION, RESPONSES
from app.progress import Entry, Progress
from app.settings import Settings
from app.sources import StyleSource, Wanted, read_saved_style, read_style
from model.errors import ParameterError
from model.image import encode_image, resize_longest
from model.optimization import refinement
from model.painting import Painting
from model.parameters import MIN_SIZE, check_count, check_range, normalize_weights

router = APIRouter()

# By device type: what a request may cost, about ten seconds on two CPU cores.
DEFAULT_MAX_SIZE = {"cuda": 4096, "cpu": 2048}


@router.post(
    STYLIZE_PATH,
    summary="Stylize a picture",
    description=DESCRIPTION,
    responses=RESPONSES,
    response_class=Response,
)
async def stylize(
    request: Request, form: Annotated[StylizeForm, Form(media_type="multipart/form-data")]
) -> Response:
    """Answer a stylization; every error is raised as an AdainError."""
    settings: Settings = request.app.state.settings
    name = form.format or choose_format(request.headers.get("accept", ""))
    max_size = largest(settings, request.app.state.model)
    refuse_repeated(name for name, _ in (await request.form()).multi_items())
    check_form(form, settings, max_size)

    progress: Progress = request.app.state.progress
    with progress.follow(request_id(request.scope)) as entry:
        return await paint(request, form, name, max_size, entry)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a request brought: the content with its controls, and the styles."""

    painting: Painting
    styles: list[StyleSource]


async def paint(
    request: Request, form: StylizeForm, name: str, max_size: int, entry: Entry
) -> Response:
    """Decode the pictures of a checked form, stylize, and encode; `entry` is told each stage."""
    started = time.perf_counter()
    inputs = await decode(request, form, max_size)
    decoded = time.perf_counter()
    entry.painting = inputs.painting
    entry.enter("queued")
    timed: Timed = await request.app.state.engine.stylize(job_of(form, inputs), entry)
    painted = timed.painted
    entry.enter("encoding")
    begun = time.perf_counter()

    def encode() -> bytes:
        picture = inputs.painting.finish(painted.pixels)
        return encode_image(picture, name, form.quality)

    body = await run_in_threadpool(encode)
    stages = {
        "read": started - request.state.started,
        "decode": decoded - started,
        "queue": timed.queue_seconds,
        "style": painted.style_seconds,
        "model": timed.model_seconds - painted.style_seconds - (painted.refine_seconds or 0),
        "encode": time.perf_counter() - begun,
    }
    if painted.refine_seconds is not None:
        stages["refine"] = painted.refine_seconds
    for source, style in zip(inputs.styles, painted.styles, strict=True):
        if not source.known and source.keep is not None:
            await source.keep(style)
    width, height = inputs.painting.content.size
    meters: Metrics = request.app.state.metrics
    count(meters, stages, inputs.styles, width * height)
    meters.batch_size.observe(timed.batch)
    milliseconds = {name: round(1000 * seconds, 1) for name, seconds in stages.items()}
    request.state.log.update(
        {f"{name}_ms": value for name, value in milliseconds.items()},
        size=f"{width}x{height}",
        styles=len(inputs.styles),
        format=name,
        bytes=len(body),
    )
    timing = ", ".join(f"{name};dur={value}" for name, value in milliseconds.items())
    headers = {"Server-Timing": timing, "Vary": "Accept"}
    return Response(body, media_type=f"image/{name}", headers=headers)


async def decode(request: Request, form: StylizeForm, max_size: int) -> Inputs:
    """Read the pictures of a form, all at once."""
    settings: Settings = request.app.state.settings
    content, masks, styles = await asyncio.gather(
        read_content(form, settings, max_size),
        asyncio.gather(*(read_mask(i, file, settings) for i, file in enumerate(form.mask))),
        read_styles(request, form),
    )
    # Before the queue: a mask that does not fit must not cost the model's time.
    plan = functools.partial(
        Painting.plan,
        content,
        len(styles),
        weights=form.weight or None,
        alpha=form.alpha,
        masks=masks or None,
        preserve_color=form.preserve_color,
        detail=form.detail,
    )
    return Inputs(await run_in_threadpool(plan), styles)


def job_of(form: StylizeForm, inputs: Inputs) -> Job:
    """Return what the model is to do: encode the styles that are not known, stylize and refine."""
    how = None
    if form.refine:
        pictures = [style.picture for style in inputs.styles if style.picture is not None]
        how = Refinement(refinement(form.refine, form.style_size), pictures)
    return Job(inputs.painting, [style.source for style in inputs.styles], form.style_size, how)


def count(
    metrics: Metrics, stages: dict[str, float], styles: list[StyleSource], pixels: int
) -> None:
    """Count a stylization that succeeded."""
    for stage, seconds in stages.items():
        metrics.stage_seconds.labels(stage).observe(seconds)
    for style in styles:
        metrics.styles.labels("known" if style.known else "computed").inc()
    metrics.pixels.inc(pixels)


def largest(settings: Settings, model: Model) -> int:
    """Return the longest side that a result may have, in pixels."""
    return settings.max_size or DEFAULT_MAX_SIZE.get(model.device.partition(":")[0], 2048)


def check_form(form: StylizeForm, settings: Settings, max_size: int) -> None:
    """Check what depends on settings and on other fields, before any picture is decoded.

    Raises:
        ParameterError: no style or too many, weights or masks that do not match, size too large.
    """
    styles = len(form.style) + len(form.style_id)
    if styles == 0:
        raise ParameterError(
            "style is missing: send one, as in curl -F style=@file.jpg, or a style_id", limit=1
        )
    check_range("the number of styles", styles, 1, settings.max_styles)
    normalize_weights(form.weight or None, styles)
    if form.mask:
        check_count("masks", len(form.mask), styles)
    if form.size is not None:
        check_range("size", form.size, MIN_SIZE, max_size)
    if form.refine and not settings.max_refine_seconds:
        raise ParameterError("refine is not offered by this service: leave it out", limit=0)
    check_range("refine", form.refine, 0, settings.max_refine_seconds)


async def read_content(form: StylizeForm, settings: Settings, max_size: int) -> Image.Image:
    """Return the content in the size of the result."""
    data = await form.content.read()

    def decode() -> Image.Image:
        image = decode_picture("content", data, settings)
        return resize_longest(image, form.size or min(max(image.size), max_size))

    return await run_in_threadpool(decode)


async def read_mask(index: int, file: UploadFile, settings: Settings) -> Image.Image:
    """Return the picture of a mask."""
    data = await file.read()
    return await run_in_threadpool(decode_picture, f"mask {index + 1}", data, settings)


async def read_styles(request: Request, form: StylizeForm) -> list[StyleSource]:
    """Return the styles of a form: the files, then those of the library, in the order sent."""
    state = request.app.state
    wanted = Wanted(form.style_size, form.refine > 0, state.model.layout)
    files = [
        read_style(i, x, wanted, state.cache, state.settings) for i, x in enumerate(form.style)
    ]
    saved = [read_saved_style(i, x, wanted, state.library) for i, x in enumerate(form.style_id)]
    return await asyncio.gather(*files, *saved)
