"""POST /v1/stylize: read the request, run the model, respond with the picture."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.api.accept import choose_format
from app.api.forms import StylizeForm, refuse_repeated
from app.api.multipart import PictureRoute
from app.api.openapi import DESCRIPTION, RESPONSES
from app.api.scope import STYLIZE_PATH, client_of, request_id
from app.api.sources import StyleReader, StyleSource, digest_of
from app.decoding import readers
from app.decoding.pool import Decoded
from app.engine.interface import Job, Refinement, Result
from app.metrics import Metrics
from app.service import CurrentService, Service
from model.controls import MIN_SIZE, check_count, check_range, normalize_weights
from model.errors import ParameterError
from model.formats import check_depth, check_writable
from model.images import encode_image
from model.metadata import Metadata, metadata_of_result
from model.optimization.optimize import refinement
from model.painting import Painting
from model.recipe import DIGITS, recipe_of

router = APIRouter(route_class=PictureRoute)


@router.post(
    STYLIZE_PATH,
    summary="Stylize a picture",
    description=DESCRIPTION,
    responses=RESPONSES,
    response_class=Response,
)
async def stylize(
    request: Request,
    service: CurrentService,
    form: Annotated[StylizeForm, Form(media_type="multipart/form-data")],
) -> Response:
    """Answer a stylization; every error is raised as an AdainError."""
    name = form.format or choose_format(request.headers.get("accept", ""))
    refuse_repeated(name for name, _ in (await request.form()).multi_items())
    check_form(form, service)
    check_depth(form.depth, name)
    with service.requests.follow(request_id(request.scope)) as entry:
        watch = Stopwatch(request.state.started)
        watch.lap("read")
        job, sources, metadata = await read(form, service)
        watch.lap("decode")
        check_writable(job.painting.content.size, name)
        entry.painting = job.painting
        entry.enter("queued")
        job = replace(job, client=client_of(request.scope))
        result = await service.engine.stylize(job, entry)
        entry.enter("encoding")
        watch.take(result)
        recipe = await describe(form, job, sources, service)
        if form.color_profile == "srgb":
            metadata = replace(metadata, profile=b"")
        size = job.painting.content.size
        metadata = metadata_of_result(metadata, size, recipe, keep_gps=form.keep_gps)
        body = await run_in_threadpool(
            lambda: encode_image(job.painting.finish(result.pixels), name, form.quality, metadata)
        )
        watch.lap("encode")
        for source, style in zip(sources, result.styles, strict=True):
            if not source.known and source.keep is not None:
                await source.keep(style)
    count(service.metrics, watch.seconds, job, result, sources)
    milliseconds = {stage: round(1000 * seconds, 1) for stage, seconds in watch.seconds.items()}
    width, height = job.painting.content.size
    request.state.log.update(
        {f"{stage}_ms": value for stage, value in milliseconds.items()},
        size=f"{width}x{height}",
        styles=len(sources),
        format=name,
        bytes=len(body),
    )
    timing = ", ".join(f"{stage};dur={value}" for stage, value in milliseconds.items())
    headers = {"Server-Timing": timing, "Vary": "Accept", "X-Recipe": json.dumps(recipe)}
    return Response(body, media_type=f"image/{name}", headers=headers)


class Stopwatch:
    """Seconds of the stages of a request, in their order."""

    def __init__(self, started: float) -> None:
        self.seconds: dict[str, float] = {}
        self._last = started

    def lap(self, stage: str) -> None:
        """End a stage, which began when the previous one ended."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now

    def take(self, result: Result) -> None:
        """Take over the stages that the engine has timed."""
        refined = result.refine_seconds
        self.seconds |= {
            "queue": result.queue_seconds,
            "style": result.style_seconds,
            "model": result.model_seconds - result.style_seconds - (refined or 0),
        }
        if refined is not None:
            self.seconds["refine"] = refined
        self._last = time.perf_counter()


def check_form(form: StylizeForm, service: Service) -> None:
    """Check what depends on settings and on other fields, before any picture is decoded.

    Raises:
        ParameterError: no style or too many, weights or masks that do not match, size too large.
    """
    settings, styles = service.settings, len(form.style) + len(form.style_id)
    if styles == 0:
        raise ParameterError(
            "style is missing: send one, as in curl -F style=@file.jpg, or a style_id", limit=1
        )
    check_range("the number of styles", styles, 1, settings.max_styles)
    normalize_weights(form.weight or None, styles)
    if form.mask:
        check_count("masks", len(form.mask), styles)
    if form.size is not None:
        check_range("size", form.size, MIN_SIZE, service.max_size)
    if form.refine and not settings.max_refine_seconds:
        raise ParameterError("refine is not offered by this service: leave it out", limit=0)
    check_range("refine", form.refine, 0, settings.max_refine_seconds)


async def read(form: StylizeForm, service: Service) -> tuple[Job, list[StyleSource], Metadata]:
    """Decode the pictures of a checked form, all at once.

    Returns:
        The job, its styles, and the content's metadata.
    """
    (content, metadata), masks, styles = await asyncio.gather(
        read_content(form, service),
        read_masks(form, service),
        read_styles(form, service),
    )

    def plan() -> Painting:
        return Painting.plan(content, len(styles), form.controls(masks))

    # Before the queue: a mask that does not fit must not cost the model's time.
    painting = await run_in_threadpool(plan)
    how = None
    if form.refine:
        pictures = [style.picture for style in styles if style.picture is not None]
        how = Refinement(refinement(form.refine, form.style_size), pictures)
    job = Job(painting, [style.source for style in styles], form.style_size, how)
    return job, styles, metadata


async def read_content(form: StylizeForm, service: Service) -> Decoded:
    """Return the content in the size of the result."""
    reader = partial(
        readers.read_content,
        size=form.size,
        max_size=service.max_size,
        max_pixels=service.settings.max_pixels,
    )
    return await service.decoders.decode("content", form.content.file, reader)


async def read_masks(form: StylizeForm, service: Service) -> list[Image.Image]:
    """Return the pictures of the masks."""
    reader = partial(
        readers.read_mask,
        max_size=form.size or service.max_size,
        max_pixels=service.settings.max_pixels,
    )
    decode = service.decoders.decode
    decoded = await asyncio.gather(
        *(decode(f"mask {index + 1}", file.file, reader) for index, file in enumerate(form.mask))
    )
    return [picture for picture, _ in decoded]


async def read_styles(form: StylizeForm, service: Service) -> list[StyleSource]:
    """Return the styles of a form: the files, then those of the library, in the order sent."""
    reader = StyleReader(service, form.style_size, pictures=form.refine > 0)
    files = [reader.read_file(index, file) for index, file in enumerate(form.style)]
    saved = [reader.read_saved(index, key) for index, key in enumerate(form.style_id)]
    return await asyncio.gather(*files, *saved)


async def describe(
    form: StylizeForm, job: Job, sources: list[StyleSource], service: Service
) -> dict[str, Any]:
    """Return the recipe of the result."""
    controls = replace(form.controls(job.painting.masks or []), size=form.size)
    return recipe_of(
        controls,
        [source.recipe for source in sources],
        weights=service.model.weights,
        style_size=form.style_size,
        refine=form.refine or None,
        content=(await digest_of(form.content))[:DIGITS],
    )


def count(
    metrics: Metrics,
    stages: dict[str, float],
    job: Job,
    result: Result,
    sources: list[StyleSource],
) -> None:
    """Count a stylization that succeeded."""
    for stage, seconds in stages.items():
        metrics.stage_seconds.labels(stage).observe(seconds)
    for source in sources:
        metrics.styles.labels("known" if source.known else "computed").inc()
    width, height = job.painting.content.size
    metrics.pixels.inc(width * height)
    metrics.batch_size.observe(result.batch)
