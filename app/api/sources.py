"""The styles of a request: already encoded, or as pictures to encode."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from fastapi import UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.decoding.readers import read_style
from app.errors import ServiceError
from app.service import Service
from model.controls import fit_style, practice_applies
from model.errors import naming
from model.recipe import DIGITS, digest
from model.style import HEAD_BYTES, Style, is_style_file, read_style_file

logger = logging.getLogger("adain")


@dataclass(frozen=True, slots=True)
class StyleSource:
    """A style of a request.

    Attributes:
        style: encoded, where it is known.
        picture: fitted to its size; where the style is not known, or the picture was asked for.
        recipe: what finds the style again.
        keep: remembers the style once it is encoded; a practised one needs no remembering.
    """

    style: Style | None
    picture: Image.Image | None
    recipe: Mapping[str, str]
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
        field = f"style {index + 1}"
        if await is_practised(file):
            return await self._read_practised(field, file)
        cache = self._service.cache
        sha256 = await digest_of(file)
        key = cache.key(sha256, self._style_size)
        recipe = {"sha256": sha256[:DIGITS]}

        async def keep(style: Style) -> None:
            cache.put(key, style)

        known = cache.get(key)
        if known is not None and not self._pictures:
            return StyleSource(known, None, recipe, keep)
        return StyleSource(known, await self._decode(field, file.file), recipe, keep)

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
                    return StyleSource(known, None, {"style_id": id}, keep)
                picture = fit_style(library.picture(id), size)
                return StyleSource(known, picture, {"style_id": id}, keep)

        return await library.run(read)

    async def _read_practised(self, field: str, file: UploadFile) -> StyleSource:
        data = await file.read()
        with naming(field):
            style = await run_in_threadpool(read_style_file, data, self._service.model.layout)
        picture = await self._decode(field, io.BytesIO(style.picture))
        known = style if practice_applies(self._style_size) else None
        return StyleSource(known, picture, {"sha256": digest(data)})

    async def _decode(self, field: str, file: BinaryIO) -> Image.Image:
        """Return the picture of a style."""
        max_pixels = self._service.settings.max_pixels
        # Fitted here, so that queued pictures are small and the model's thread has less to do.
        reader = partial(read_style, style_size=self._style_size, max_pixels=max_pixels)
        return (await self._service.decoders.decode(field, file, reader)).picture


async def digest_of(file: UploadFile) -> str:
    """Return the SHA-256 of an upload in hexadecimal digits; the file is at its beginning after."""

    def compute() -> str:
        file.file.seek(0)
        computed = hashlib.file_digest(file.file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.file.seek(0)
        return computed

    return await run_in_threadpool(compute)


async def is_practised(file: UploadFile) -> bool:
    """Return whether an upload is a practised style; it is at its beginning before and after."""
    head = await file.read(HEAD_BYTES)
    await file.seek(0)
    return is_style_file(head, file.size or 0)
