"""The styles of a request: their statistics where these are known, else their pictures."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.cache import StyleCache
from app.form import decode_picture
from app.library import StyleLibrary
from app.problems import ServiceError
from app.settings import Settings
from model.adain import ChannelStatistics
from model.errors import naming
from model.parameters import fit_style

logger = logging.getLogger("adain")


@dataclass(frozen=True, slots=True)
class Style:
    """A style of a request.

    Attributes:
        statistics: where they are known.
        picture: fitted to its size; where the statistics are not known, or it was asked for.
        keep: remembers statistics that were computed.
    """

    statistics: ChannelStatistics | None
    picture: Image.Image | None
    keep: Callable[[ChannelStatistics], Awaitable[None]]

    @property
    def known(self) -> bool:
        """Whether there is nothing to compute."""
        return self.statistics is not None

    @property
    def source(self) -> ChannelStatistics | Image.Image:
        """The statistics, or the picture to compute them from."""
        source = self.statistics or self.picture
        assert source is not None
        return source


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a request wants its styles.

    Attributes:
        style_size: shorter side at which they are seen.
        pictures: whether the pictures are needed in any case.
    """

    style_size: int
    pictures: bool


async def read_style(
    index: int, file: UploadFile, wanted: Wanted, cache: StyleCache, settings: Settings
) -> Style:
    """Return the style that a request brought as a file."""
    data = await file.read()
    key = StyleCache.key(data, wanted.style_size)

    async def keep(statistics: ChannelStatistics) -> None:
        cache.put(key, statistics)

    statistics = cache.get(key)
    if statistics is not None and not wanted.pictures:
        return Style(statistics, None, keep)

    def decode() -> Image.Image:
        # Fitted here: what waits for the model is small, and the model's thread has less to do.
        picture = decode_picture(f"style {index + 1}", data, settings)
        return fit_style(picture, wanted.style_size)

    return Style(statistics, await run_in_threadpool(decode), keep)


async def read_saved_style(
    index: int, id: str, wanted: Wanted, encoder: str, library: StyleLibrary
) -> Style:
    """Return the style that a request named by its id; `encoder` is the encoder's fingerprint."""
    size = wanted.style_size

    async def keep(statistics: ChannelStatistics) -> None:
        try:
            await library.run(lambda: library.keep(id, size, encoder, statistics))
        except ServiceError as error:
            # The picture is painted: that the next request will be slower must not cost it.
            logger.warning("statistics not kept: %s", error)

    def read() -> Style:
        with naming(f"style_id {index + 1}"):
            statistics = library.statistics(id, size, encoder)
            if statistics is not None and not wanted.pictures:
                return Style(statistics, None, keep)
            return Style(statistics, fit_style(library.picture(id), size), keep)

    return await library.run(read)
