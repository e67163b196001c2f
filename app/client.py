"""A client of the service: `Client`, and `AsyncClient` for asyncio. Needs httpx (adain[client]).

with Client("http://127.0.0.1:8000") as client:
    result = client.stylize(Path("photo.jpg"), [Path("painting.jpg")], alpha=0.8)
    Path("out.png").write_bytes(result.picture)
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

# A file: its path, or its bytes.
File = Path | bytes
# Problems that may be over when Retry-After has passed.
PASSING = ("queue-full", "not-ready", "library-busy")
ATTEMPTS = 5
TIMEOUT_SECONDS = 120.0
PAGE = 200


class ProblemError(Exception):
    """The service's answer where it did not do what was asked (RFC 9457).

    Attributes:
        status: of HTTP.
        code: stable name of the kind of problem, such as invalid-parameter.
        field: the form field that caused it, if one did.
        limit, value: the bound that was passed, and what passed it, where there are such.
        retry_after: seconds after which the request may succeed, or None.
    """

    def __init__(self, response: httpx.Response) -> None:
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        super().__init__(problem.get("detail", f"the server answered {response.status_code}"))
        self.status = response.status_code
        self.code = str(problem.get("type", "")).rpartition(":")[2]
        self.field: str | None = problem.get("field")
        self.limit: float | None = problem.get("limit")
        self.value: float | None = problem.get("value")
        after = response.headers.get("retry-after", "")
        self.retry_after = float(after) if after.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Stylized:
    """A result.

    Attributes:
        picture: the file.
        media_type: such as image/png.
        recipe: what made it.
        milliseconds: that each stage took.
        request_id: what the service's log calls the request.
    """

    picture: bytes
    media_type: str
    recipe: dict[str, Any]
    milliseconds: dict[str, float]
    request_id: str


@dataclass(frozen=True, slots=True)
class SavedStyle:
    """A style of the service's library; see GET /v1/styles."""

    id: str
    name: str
    created: str
    thumbnail: str
    practised: bool


class Call(NamedTuple):
    """A request to send."""

    method: str
    path: str
    data: Mapping[str, Any] | None = None
    files: Sequence[tuple[str, tuple[str, bytes]]] | None = None


def stylize_call(
    content: File,
    styles: Sequence[File],
    style_ids: Sequence[str],
    masks: Sequence[File],
    controls: Mapping[str, Any],
) -> Call:
    """Return the request of a stylization."""
    files = [("content", part(content))]
    files += [("style", part(style)) for style in styles]
    files += [("mask", part(mask)) for mask in masks]
    data = {name: text(value) for name, value in controls.items() if value is not None}
    return Call("POST", "v1/stylize", data | {"style_id": list(style_ids)}, files)


def part(file: File) -> tuple[str, bytes]:
    """Return a file as a part of a form."""
    return ("file", file) if isinstance(file, bytes) else (file.name, file.read_bytes())


def text(value: object) -> Any:
    """Return a control as the form's fields have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else str(value)


def page_call(after: int) -> Call:
    """Return the request of a page of styles."""
    return Call("GET", f"v1/styles?limit={PAGE}&after={after}")


def add_page(found: list[SavedStyle], response: httpx.Response) -> int | None:
    """Add the styles of a page to those found; return where the next page begins, or None."""
    page = response.json()
    found += [SavedStyle(**each) for each in page["styles"]]
    after: int | None = page["next"]
    return after


def stylized(response: httpx.Response) -> Stylized:
    """Return the result that a response has."""
    stages = [each.partition(";dur=") for each in response.headers["server-timing"].split(", ")]
    return Stylized(
        response.content,
        response.headers["content-type"],
        json.loads(response.headers["x-recipe"]),
        {stage: float(milliseconds) for stage, _, milliseconds in stages},
        response.headers["x-request-id"],
    )


def delay_of(problem: ProblemError, attempt: int) -> float:
    """Return the seconds until the next attempt; raise `problem` where there is to be none."""
    if problem.code not in PASSING or attempt == ATTEMPTS:
        raise problem
    return problem.retry_after or 1.0


def headers_of(key: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


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
