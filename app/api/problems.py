"""Every error as application/problem+json (RFC 9457), those of the framework included."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.types import Scope

from app.api.scope import request_id
from app.metrics import METHODS
from model.errors import AdainError

logger = logging.getLogger("adain")

# All error codes, with their HTTP status and title.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed-body": (400, "The request body is malformed"),
    "malformed-request": (400, "The request is no HTTP"),
    "unauthorized": (401, "A key is missing or unknown"),
    "foreign-origin": (403, "A page of another origin may not do this"),
    "not-found": (404, "There is nothing at this path"),
    "unknown-style": (404, "The library has no such style"),
    "unknown-request": (404, "No such request is in work"),
    "method-not-allowed": (405, "This path does not take this method"),
    "not-acceptable": (406, "The result cannot be sent as any accepted type"),
    "upload-too-slow": (408, "The request took too long to arrive"),
    "name-taken": (409, "The library has a style of this name"),
    "body-too-large": (413, "The request body is too large"),
    "image-too-large": (413, "A picture has too many pixels"),
    "unsupported-image": (415, "A file is no picture of a supported format"),
    "unsupported-body": (415, "The request body is no multipart form"),
    "wrong-host": (421, "The service does not answer under this host name"),
    "invalid-parameter": (422, "A parameter is missing or invalid"),
    "not-finite": (422, "The refinement has no finite loss to begin with"),
    "corrupt-image": (422, "A picture is damaged"),
    "head-too-large": (431, "The head of the request is too large"),
    "internal-error": (500, "The service failed"),
    "bad-device": (503, "The service lacks the memory for this"),
    "library-busy": (503, "The style library is busy"),
    "library-unavailable": (503, "The style library cannot be used"),
    "queue-full": (503, "The service is busy"),
    "model-lost": (503, "The model was lost"),
    "not-ready": (503, "The service is not ready"),
    "stopping": (503, "The service is about to stop"),
    "deadline-passed": (504, "The deadline passed"),
    "library-full": (507, "The style library is full"),
}
BY_STATUS = {400: "malformed-body", 404: "not-found", 405: "method-not-allowed"}
# A form can have a thousand wrong fields; describe the first few.
MAX_DESCRIBED = 5
FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")
RETRY_AFTER_SECONDS = {
    "queue-full": "1",
    "not-ready": "1",
    "stopping": "5",
    "model-lost": "5",
    "library-busy": "1",
    "bad-device": "5",
    "library-unavailable": "10",
}


class BodyTooLargeError(HTTPException):
    """Raised while the body is read; an HTTPException, because FastAPI wraps all others in 400."""

    def __init__(self, limit: int, value: int) -> None:
        super().__init__(413, too_large(limit, value))
        self.limit, self.value = limit, value


def too_large(limit: int, value: int) -> str:
    """Return the sentence for a body of `value` bytes or more."""
    return f"the body has {value} bytes or more, and at most {limit} are allowed"


class Problem(BaseModel):
    """An error as RFC 9457 describes it."""

    type: str = Field(examples=["urn:adain:problem:invalid-parameter"])
    title: str = Field(examples=["A parameter is missing or invalid"])
    status: int = Field(examples=[422])
    detail: str = Field(
        examples=["alpha: input should be less than or equal to 1, and is '2'"],
        description="what was wrong and what to do",
    )
    instance: str = Field(
        examples=["urn:adain:request:0b6c"], description="names the request in our logs"
    )
    limit: float | None = Field(None, examples=[1], description="the bound that was passed")
    value: float | None = Field(None, examples=[2], description="the value that passed it")
    field: str | None = Field(
        None, examples=["style 2"], description="the form's field that caused it"
    )


def problem(
    scope: Scope,
    code: str,
    detail: str,
    *,
    status: int | None = None,
    title: str | None = None,
    limit: float | None = None,
    value: float | None = None,
    field: str | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return the response for an error.

    Args:
        scope: the request's scope, which has its id.
        code: names the kind of problem; a row of `PROBLEMS`, unless status and title are given.
        detail: a plain sentence for the person who sent the request.
        status, title: in place of the table's.
        limit, value: the bound that was passed, and what passed it.
        field: the form field that caused it, if one did, with its number where it may be repeated.
        headers: further response headers.
    """
    known_status, known_title = PROBLEMS.get(code, PROBLEMS["internal-error"])
    body = Problem(
        type=f"urn:adain:problem:{code}",
        title=title or known_title,
        status=status or known_status,
        detail=detail,
        instance=f"urn:adain:request:{request_id(scope)}",
        limit=limit,
        value=value,
        field=field,
    )
    scope.setdefault("state", {})["problem"] = code
    headers = dict(headers or {})
    if code in RETRY_AFTER_SECONDS:
        headers["Retry-After"] = RETRY_AFTER_SECONDS[code]
    return JSONResponse(
        body.model_dump(exclude_none=True),
        body.status,
        headers=headers,
        media_type="application/problem+json",
    )


def register(app: FastAPI) -> None:
    """Make `app` answer every error with a problem."""
    app.add_exception_handler(AdainError, on_adain_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(Exception, on_unexpected_error)


async def on_adain_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error that the user can mend."""
    assert isinstance(error, AdainError)
    return problem(
        request.scope,
        error.code,
        str(error),
        limit=error.limit,
        value=error.value,
        field=error.subject,
    )


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what Starlette and FastAPI raise: unknown path, wrong method, malformed body."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if isinstance(error, BodyTooLargeError):
        # The rest of the body stays unread, so the connection cannot be reused.
        headers["Connection"] = "close"
        return problem(
            request.scope,
            "body-too-large",
            error.detail,
            limit=error.limit,
            value=error.value,
            headers=headers,
        )
    phrase = HTTPStatus(error.status_code).phrase
    code = BY_STATUS.get(error.status_code, phrase.lower().replace(" ", "-"))
    if code == "method-not-allowed":
        headers["Allow"] = ", ".join(allowed_methods(request))
    details = {
        "malformed-body": f"{error.detail} (send multipart/form-data, as curl -F does)",
        "not-found": f"there is nothing at {request.url.path[:80]}; see /docs for what there is",
        "method-not-allowed": f"{request.url.path[:80]} does not take {request.method[:20]}, only "
        f"{headers.get('Allow')}",
    }
    return problem(
        request.scope,
        code,
        details.get(code, str(error.detail)),
        status=error.status_code,
        title=None if code in PROBLEMS else phrase,
        headers=headers,
    )


def allowed_methods(request: Request) -> list[str]:
    """Return the methods that a request's path takes; Starlette names those of one route alone."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    allowed = [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes
        )
    ]
    return allowed or ["GET", "HEAD"]  # the files of a mount


async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Answer form fields that are missing, unknown, of the wrong kind or out of range."""
    assert isinstance(error, RequestValidationError)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type and content_type not in FORM_TYPES:
        return problem(
            request.scope,
            "unsupported-body",
            f"send multipart/form-data, as curl -F does, and not {content_type[:80]}",
        )
    problems = error.errors()
    first = problems[0]
    left = len(problems) - MAX_DESCRIBED
    more = [f"and {left} more"] if left > 0 else []
    bounds = [first.get("ctx", {}).get(name) for name in ("ge", "gt", "le", "lt")]
    return problem(
        request.scope,
        "invalid-parameter",
        "; ".join([describe(each) for each in problems[:MAX_DESCRIBED]] + more),
        limit=next((bound for bound in bounds if bound is not None), None),
        value=finite_number(first.get("input")),
        field=field_of(first),
    )


async def on_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an unexpected error without revealing its details."""
    logger.error("unexpected error", exc_info=error, extra={"id": request_id(request.scope)})
    return problem(
        request.scope,
        "internal-error",
        "an unexpected error; our log has it under this instance",
        # uvicorn closes the connection after an unexpected error; tell the client.
        headers={"X-Request-ID": request_id(request.scope), "Connection": "close"},
    )


def describe(error: dict[str, Any]) -> str:
    """Return one of pydantic's errors as a sentence: which field, what is allowed, what it is."""
    field = field_of(error) or "the form"
    match error["type"]:
        case "missing":
            return f"{field} is missing: send it as a form field, as in curl -F {field}=..."
        case "extra_forbidden":
            return f"{field[:80]} is no field of this form; see /docs for those that are"
        case "value_error" if "UploadFile" in error["msg"]:
            hint = ""
            if str(error.get("input")).startswith(("http://", "https://")):
                hint = ": the service fetches no addresses, so send the picture itself"
            return f"{field} must be a file, as in curl -F {field}=@file.jpg, and is text{hint}"
        case _:
            message = error["msg"][:1].lower() + error["msg"][1:]
            return f"{field}: {message}, and is {str(error.get('input'))[:80]!r}"


def field_of(error: dict[str, Any]) -> str | None:
    """Return the field of one of pydantic's errors, with its number if it may be repeated."""
    names = [str(part + 1) if isinstance(part, int) else part for part in error["loc"][1:]]
    return " ".join(names) or None


def finite_number(value: object) -> float | None:
    """Return `value` as a number if JSON can represent it, else None."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
