"""Forms whose pictures come without a file name, as some clients send them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser


class PictureParser(MultiPartParser):
    """Takes a part for a file where its media type is that of a picture, or `filename*` names it.

    Starlette asks for a `filename`, which RFC 7578 (section 4.2) does not.
    """

    def on_headers_finished(self) -> None:
        """Decide whether the part is a file or a field."""
        part = self._current_part
        disposition = part.content_disposition or b""
        _, options = parse_options_header(disposition)
        kinds = [value for name, value in part.item_headers if name == b"content-type"]
        picture = any(kind.strip().lower().startswith(b"image/") for kind in kinds)
        if b"filename" not in options and (picture or b"filename*=" in disposition.lower()):
            part.content_disposition = disposition + b'; filename="file"'
        super().on_headers_finished()


class PictureRequest(Request):
    """A request whose form is read by `PictureParser`."""

    async def _get_form(self, **limits: Any) -> FormData:
        kind, _ = parse_options_header(self.headers.get("content-type"))
        if self._form is None and kind == b"multipart/form-data":
            try:
                async with aclosing(self.stream()) as stream:
                    self._form = await PictureParser(self.headers, stream, **limits).parse()
            except MultiPartException as error:
                raise HTTPException(400, error.message) from error
        return await super()._get_form(**limits)


class PictureRoute(APIRoute):
    """A route whose requests are `PictureRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def handle_pictures(request: Request) -> Response:
            return await handle(PictureRequest(request.scope, request.receive))

        return handle_pictures
