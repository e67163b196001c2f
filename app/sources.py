"""The styles of a request: encoded where they are known, else their pictures."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.cache import StyleCache
from app.form import decode_picture, decode_style_file
from app.library import StyleLibrary
from app.problems import ServiceError
from app.settings import Settings
from model.errors import naming
from model.parameters import fit_style
from model.style import Style, StyleLayout, is_style_file

logger = logging.getLogger("adain")


@dataclass(frozen=True, slots=True)
class StyleSource:
    """A style of a request.

    Attributes:
        style: encoded, where it is known.
        picture: fitted to its size; where the style is not known, or the picture was asked for.
        keep: remembers the style once it is encoded; a practised one needs no remembering.
    """

    style: Style | None
    picture: Image.Image | None
    keep: Callable[[Style], Awaitable[None]] | None = None

    @property
    def known(self) -> bool:
        """Whether there is nothing to compute."""
        return self.style is not None

    @property
    def source(self) -> Style | Image.Image:
        """The encoded style, or the picture to encode."""
        source = self.style or self.picture
        assert source is not None
        return source


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a request wants its styles.

    Attributes:
        style_size: shorter side at which they are seen.
        pictures: whether the pictures are needed in any case.
        layout: of the styles that the model understands.
    """

    style_size: int
    pictures: bool
    layout: StyleLayout


async def read_style(
    index: int, file: UploadFile, wanted: Wanted, cache: StyleCache, settings: Settings
) -> StyleSource:
    """Return the style that a request brought as a file."""
    data, name = await file.read(), f"style {index + 1}"
    if is_style_file(data):
        style, picture = await run_in_threadpool(
            decode_style_file, name, data, wanted.layout, settings
        )
        return StyleSource(style, fit_style(picture, wanted.style_size))
    key = StyleCache.key(data, wanted.style_size)

    async def keep(style: Style) -> None:
        cache.put(key, style)

    known = cache.get(key)
    if known is not None and not wanted.pictures:
        return StyleSource(known, None, keep)

    def decode() -> Image.Image:
        # Fitted here: what waits for the model is small, and the model's thread has less to do.
        picture = decode_picture(name, data, settings)
        return fit_style(picture, wanted.style_size)

    return StyleSource(known, await run_in_threadpool(decode), keep)


async def read_saved_style(
    index: int, id: str, wanted: Wanted, library: StyleLibrary
) -> StyleSource:
    """Return the style that a request named by its id."""
    size, weights = wanted.style_size, wanted.layout.weights

    async def keep(style: Style) -> None:
        try:
            await library.run(lambda: library.keep(id, size, style))
        except ServiceError as error:
            # The picture is painted: that the next request will be slower must not cost it.
            logger.warning("style not kept: %s", error)

    def read() -> StyleSource:
        with naming(f"style_id {index + 1}"):
            known = library.encoded(id, size, weights)
            if known is not None and not wanted.pictures:
                return StyleSource(known, None, keep)
            return StyleSource(known, fit_style(library.picture(id), size), keep)

    return await library.run(read)
