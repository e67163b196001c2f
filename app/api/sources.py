"""The styles of a request: already encoded, or as pictures to encode."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.api.forms import decode_picture
from app.errors import ServiceError
from app.library.cache import StyleCache
from app.service import Service
from model.controls import fit_style
from model.errors import naming
from model.style import Style, is_style_file, read_style_file

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
        """Whether the style is already encoded."""
        return self.style is not None

    @property
    def source(self) -> Style | Image.Image:
        """The encoded style, or the picture to encode."""
        source = self.style or self.picture
        assert source is not None
        return source


class StyleReader:
    """Reads the styles of a request.

    Encoded styles are taken from the cache and the library where they are there.
    """

    def __init__(self, service: Service, style_size: int, *, pictures: bool) -> None:
        """Set up the reader for one request.

        Args:
            service: has the cache and the library.
            style_size: shorter side at which styles are seen, in pixels.
            pictures: whether the pictures are needed in any case.
        """
        self._service, self._style_size, self._pictures = service, style_size, pictures

    async def read_file(self, index: int, file: UploadFile) -> StyleSource:
        """Return the style that the request brought as a file: a picture, or a practised style."""
        data, field = await file.read(), f"style {index + 1}"
        if is_style_file(data):
            return await run_in_threadpool(self._read_practised, field, data)
        cache, key = self._service.cache, StyleCache.key(data, self._style_size)

        async def keep(style: Style) -> None:
            cache.put(key, style)

        known = cache.get(key)
        if known is not None and not self._pictures:
            return StyleSource(known, None, keep)

        def decode() -> Image.Image:
            # Fitted here, so that queued pictures are small and the model's thread has less to do.
            picture = decode_picture(field, data, self._service.settings)
            return fit_style(picture, self._style_size)

        return StyleSource(known, await run_in_threadpool(decode), keep)

    async def read_saved(self, index: int, id: str) -> StyleSource:
        """Return the style of the library that the request named by its id."""
        library, size = self._service.library, self._style_size
        weights = self._service.model.weights

        async def keep(style: Style) -> None:
            try:
                await library.run(lambda: library.keep(id, size, style))
            except ServiceError as error:
                # The picture is painted; that its style is not kept only slows the next request.
                logger.warning("style not kept: %s", error)

        def read() -> StyleSource:
            with naming(f"style_id {index + 1}"):
                known = library.encoded(id, size, weights)
                if known is not None and not self._pictures:
                    return StyleSource(known, None, keep)
                return StyleSource(known, fit_style(library.picture(id), size), keep)

        return await library.run(read)

    def _read_practised(self, field: str, data: bytes) -> StyleSource:
        with naming(field):
            style, picture = read_style_file(
                data, self._service.model.layout, max_pixels=self._service.settings.max_pixels
            )
        return StyleSource(style, fit_style(picture, self._style_size))
