"""What a client sends and what it is answered, whether it waits or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx

# A file: its path, or its bytes.
File = Path | bytes
# Problems that may be over when Retry-After has passed.
PASSING = ("queue-full", "not-ready", "library-busy")
ATTEMPTS = 5
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
