"""POST /v1/stylize: decode, encode the styles, stylize, encode."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response, UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.engine import Engine, StyleCache
from app.form import StylizeForm, refuse_repeated
from app.gate import STYLIZE_PATH
from app.negotiation import choose_format
from app.openapi import DESCRIPTION, RESPONSES
from app.settings import Settings
from model.adain import ChannelStatistics
from model.errors import ParameterError, naming
from model.image import encode_image, read_image, resize_longest
from model.parameters import (
    MIN_SIZE,
    check_count,
    check_range,
    fit_masks,
    fit_style,
    normalize_weights,
)
from model.stylizer import Stylizer

router = APIRouter()

# By device type: what a request may cost, about ten seconds on two CPU cores.
DEFAULT_MAX_SIZE = {"cuda": 4096, "cpu": 2048}


@dataclass(frozen=True, slots=True)
class Style:
    """A style of a request: its key in the cache, and its statistics or, if unknown, picture."""

    key: str
    source: ChannelStatistics | Image.Image

    def encode(self, stylizer: Stylizer, style_size: int) -> ChannelStatistics:
        """Return the statistics, computed where they are not known."""
        if isinstance(self.source, ChannelStatistics):
            return self.source
        return stylizer.encode_style(self.source, style_size=style_size)


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
    engine: Engine = request.app.state.engine
    name = form.format or choose_format(request.headers.get("accept", ""))
    max_size = settings.max_size or DEFAULT_MAX_SIZE.get(engine.stylizer.device.type, 2048)
    refuse_repeated(name for name, _ in (await request.form()).multi_items())
    check_form(form, settings, max_size)

    started = time.perf_counter()
    content, masks, styles = await asyncio.gather(
        read_content(form, settings, max_size),
        asyncio.gather(*(read_mask(i, file, settings) for i, file in enumerate(form.mask))),
        asyncio.gather(
            *(
                read_style(i, file, form.style_size, engine, settings)
                for i, file in enumerate(form.style)
            )
        ),
    )
    if masks:
        # Before the queue: a mask that does not fit must not cost the model's time.
        masks = await run_in_threadpool(fit_masks, masks, len(styles), content.size)
    decode_seconds = time.perf_counter() - started

    def work() -> tuple[Image.Image, list[ChannelStatistics]]:
        known = [style.encode(engine.stylizer, form.style_size) for style in styles]
        stylized = engine.stylizer.stylize(
            content,
            known,
            weights=form.weight or None,
            alpha=form.alpha,
            masks=masks or None,
            preserve_color=form.preserve_color,
        )
        return stylized, known

    timed = await engine.run(work)
    picture, known = timed.result
    for style, statistics in zip(styles, known, strict=True):
        engine.styles.put(style.key, statistics)
    started = time.perf_counter()
    body = await run_in_threadpool(encode_image, picture, name, form.quality)
    stages = {
        "decode": decode_seconds,
        "queue": timed.queue_seconds,
        "model": timed.model_seconds,
        "encode": time.perf_counter() - started,
    }
    milliseconds = {name: round(1000 * seconds, 1) for name, seconds in stages.items()}
    request.state.log.update(
        {f"{name}_ms": value for name, value in milliseconds.items()},
        size=f"{picture.width}x{picture.height}",
        styles=len(styles),
        format=name,
        bytes=len(body),
    )
    timing = ", ".join(f"{name};dur={value}" for name, value in milliseconds.items())
    headers = {"Server-Timing": timing, "Vary": "Accept"}
    return Response(body, media_type=f"image/{name}", headers=headers)


def check_form(form: StylizeForm, settings: Settings, max_size: int) -> None:
    """Check what depends on settings and on other fields, before any picture is decoded.

    Raises:
        ParameterError: no style or too many, weights or masks that do not match, size too large.
    """
    if not form.style:
        raise ParameterError("style is missing: send one, as in curl -F style=@file.jpg", limit=1)
    check_range("the number of styles", len(form.style), 1, settings.max_styles)
    normalize_weights(form.weight or None, len(form.style))
    if form.mask:
        check_count("masks", len(form.mask), len(form.style))
    if form.size is not None:
        check_range("size", form.size, MIN_SIZE, max_size)


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


async def read_style(
    index: int, file: UploadFile, style_size: int, engine: Engine, settings: Settings
) -> Style:
    """Return a style's statistics where they are known, else its picture."""
    data = await file.read()
    key = StyleCache.key(data, style_size)
    statistics = engine.styles.get(key)
    if statistics is not None:
        return Style(key, statistics)

    def decode() -> Image.Image:
        # Fitted here: what waits for the model is small, and the model's thread has less to do.
        return fit_style(decode_picture(f"style {index + 1}", data, settings), style_size)

    return Style(key, await run_in_threadpool(decode))


def decode_picture(field: str, data: bytes, settings: Settings) -> Image.Image:
    """Decode a file of the form; an error says which field it came in."""
    with naming(field):
        return read_image(data, max_pixels=settings.max_pixels)
