"""The clients: one that waits, and one for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from app.client.calls import (
    ATTEMPTS,
    Call,
    File,
    ProblemError,
    SavedStyle,
    Stylized,
    add_page,
    delay_of,
    headers_of,
    page_call,
    part,
    stylize_call,
    stylized,
)

TIMEOUT_SECONDS = 120.0


class Client:
    """A client that waits for each answer; a context, which closes its connections at the end."""

    def __init__(
        self, address: str, *, key: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """Connect when the first request is sent.

        Args:
            address: of the service, with its path where it has one.
            key: one of its API keys, if it has such.
            timeout: seconds without an answer after which a request fails.
        """
        base = address.rstrip("/") + "/"
        self._http = httpx.Client(base_url=base, headers=headers_of(key), timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def stylize(
        self,
        content: File,
        styles: Sequence[File] = (),
        *,
        style_ids: Sequence[str] = (),
        masks: Sequence[File] = (),
        **controls: Any,
    ) -> Stylized:
        """Return the content in styles.

        Args:
            content: a picture.
            styles: pictures, or practised styles.
            style_ids: styles of the library; they come after the files.
            masks: one for each style, or none.
            controls: fields of POST /v1/stylize, such as alpha, detail, weight (a list), size,
                format, quality.

        Raises:
            ProblemError: the service could not do it, also not after some attempts where it was
                busy.
            httpx.TransportError: it cannot be reached.
        """
        return stylized(self._send(stylize_call(content, styles, style_ids, masks, controls)))

    def styles(self) -> list[SavedStyle]:
        """Return the styles of the library."""
        found: list[SavedStyle] = []
        after: int | None = 0
        while after is not None:
            after = add_page(found, self._send(page_call(after)))
        return found

    def save_style(self, name: str, file: File) -> SavedStyle:
        """Save a picture or a practised style under a name."""
        call = Call("POST", "v1/styles", {"name": name}, [("file", part(file))])
        return SavedStyle(**self._send(call).json())

    def rename_style(self, id: str, name: str) -> SavedStyle:
        """Give a style another name."""
        return SavedStyle(**self._send(Call("PATCH", f"v1/styles/{id}", {"name": name})).json())

    def delete_style(self, id: str) -> None:
        """Delete a style; succeeds too if there is none."""
        self._send(Call("DELETE", f"v1/styles/{id}"))

    def limits(self) -> dict[str, Any]:
        """Return what the service takes and gives at most."""
        found: dict[str, Any] = self._send(Call("GET", "v1/limits")).json()
        return found

    def _send(self, call: Call) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            response = self._http.request(call.method, call.path, data=call.data, files=call.files)
            if response.is_success:
                break
            time.sleep(delay_of(ProblemError(response), attempt))
        return response


class AsyncClient:
    """The same for asyncio."""

    def __init__(
        self, address: str, *, key: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """Connect when the first request is sent; see `Client`."""
        base = address.rstrip("/") + "/"
        self._http = httpx.AsyncClient(base_url=base, headers=headers_of(key), timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def stylize(
        self,
        content: File,
        styles: Sequence[File] = (),
        *,
        style_ids: Sequence[str] = (),
        masks: Sequence[File] = (),
        **controls: Any,
    ) -> Stylized:
        """Return the content in styles; see `Client.stylize`."""
        call = stylize_call(content, styles, style_ids, masks, controls)
        return stylized(await self._send(call))

    async def styles(self) -> list[SavedStyle]:
        """Return the styles of the library."""
        found: list[SavedStyle] = []
        after: int | None = 0
        while after is not None:
            after = add_page(found, await self._send(page_call(after)))
        return found

    async def save_style(self, name: str, file: File) -> SavedStyle:
        """Save a picture or a practised style under a name."""
        call = Call("POST", "v1/styles", {"name": name}, [("file", part(file))])
        return SavedStyle(**(await self._send(call)).json())

    async def rename_style(self, id: str, name: str) -> SavedStyle:
        """Give a style another name."""
        response = await self._send(Call("PATCH", f"v1/styles/{id}", {"name": name}))
        return SavedStyle(**response.json())

    async def delete_style(self, id: str) -> None:
        """Delete a style; succeeds too if there is none."""
        await self._send(Call("DELETE", f"v1/styles/{id}"))

    async def limits(self) -> dict[str, Any]:
        """Return what the service takes and gives at most."""
        found: dict[str, Any] = (await self._send(Call("GET", "v1/limits"))).json()
        return found

    async def _send(self, call: Call) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            response = await self._http.request(
                call.method, call.path, data=call.data, files=call.files
            )
            if response.is_success:
                break
            await asyncio.sleep(delay_of(ProblemError(response), attempt))
        return response
