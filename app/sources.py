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
        source: its statistics, or the picture to compute them from.
        keep: remembers statistics that were computed.
    """

    source: ChannelStatistics | Image.Image
    keep: Callable[[ChannelStatistics], Awaitable[None]]

    @property
    def known(self) -> bool:
        """Whether there is nothing to compute."""
        return isinstance(self.source, ChannelStatistics)


async def read_style(
    index: int, file: UploadFile, style_size: int, cache: StyleCache, settings: Settings
) -> Style:
    """Return the style that a request brought as a file."""
    data = await file.read()
    key = StyleCache.key(data, style_size)

    async def keep(statistics: ChannelStatistics) -> None:
        cache.put(key, statistics)

    statistics = cache.get(key)
    if statistics is not None:
        return Style(statistics, keep)

    def decode() -> Image.Image:
        # Fitted here: what waits for the model is small, and the model's thread has less to do.
        return fit_style(decode_picture(f"style {index + 1}", data, settings), style_size)

    return Style(await run_in_threadpool(decode), keep)


async def read_saved_style(
    index: int, id: str, style_size: int, encoder: str, library: StyleLibrary
) -> Style:
    """Return the style that a request named by its id; `encoder` is the encoder's fingerprint."""

    async def keep(statistics: ChannelStatistics) -> None:
        try:
            await library.run(lambda: library.keep(id, style_size, encoder, statistics))
        except ServiceError as error:
            # The picture is painted: that the next request will be slower must not cost it.
            logger.warning("statistics not kept: %s", error)

    def read() -> ChannelStatistics | Image.Image:
        with naming(f"style_id {index + 1}"):
            statistics = library.statistics(id, style_size, encoder)
            return statistics or fit_style(library.picture(id), style_size)

    return Style(await library.run(read), keep)
