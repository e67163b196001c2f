"""The errors of each route in the OpenAPI document, with an example of each."""

from __future__ import annotations

from typing import Any

from app.api.problems import PROBLEMS, Problem

# Of each error that a route documents: what it says of one request.
EXAMPLES: dict[str, dict[str, Any]] = {
    "malformed-body": {
        "detail": "There was an error parsing the body (send multipart/form-data, as curl -F does)"
    },
    "unknown-style": {
        "detail": "style_id 1: the library has no style '4f1f7a0c2b9d8e63'",
        "field": "style_id 1",
    },
    "unknown-request": {
        "detail": "no stylization of this X-Request-ID is in work: it has not begun, or has ended"
    },
    "not-acceptable": {
        "detail": "the result can be sent as image/png, image/jpeg, image/webp, image/avif, "
        "image/tiff, and Accept allows none of them: text/html"
    },
    "upload-too-slow": {
        "detail": "the body had not come after 60 seconds, or try again later",
        "limit": 60,
    },
    "name-taken": {
        "detail": "name: the library has a style named 'Night sky'; choose another name",
        "field": "name",
    },
    "body-too-large": {
        "detail": "the body has 70000000 bytes or more, and at most 67108864 are allowed",
        "limit": 67108864,
        "value": 70000000,
    },
    "image-too-large": {
        "detail": "content: the picture has 9000x6000, more than the limit of 40000000 pixels; "
        "send a smaller one",
        "limit": 40000000,
        "value": 54000000,
        "field": "content",
    },
    "unsupported-image": {
        "detail": "content: these bytes are no JPEG, PNG, WebP, AVIF, HEIC, JPEG XL, GIF, TIFF or "
        "BMP picture",
        "field": "content",
    },
    "unsupported-body": {
        "detail": "send multipart/form-data, as curl -F does, and not application/json"
    },
    "invalid-parameter": {
        "detail": "alpha: input should be less than or equal to 1, and is '2'",
        "limit": 1,
        "value": 2,
        "field": "alpha",
    },
    "corrupt-image": {
        "detail": "style 2: the picture is empty (0 bytes)",
        "field": "style 2",
    },
    "queue-full": {
        "detail": "16 pictures are in work, which is the most; try again shortly",
        "limit": 16,
    },
    "library-busy": {"detail": "others held the style library for more than 5 seconds; try again"},
    "library-unavailable": {
        "detail": "the style library cannot be used, and the log says why; check ADAIN_DATA_DIR or "
        "ADAIN_DATABASE_URL"
    },
    "deadline-passed": {
        "detail": "no result after 60 seconds; choose a smaller size, or try again later",
        "limit": 60,
    },
    "library-full": {
        "detail": "the library has 1000 styles, and at most 1000 are allowed; delete one that "
        "nobody needs",
        "limit": 1000,
    },
}


def problem_responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's responses for errors, by status, with an example of each."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = PROBLEMS[code]
        examples = responses.setdefault(status, {"content": content()})
        titles = examples.get("description", "")
        examples["description"] = f"{titles} {title}.".strip()
        example = Problem(
            type=f"urn:adain:problem:{code}",
            title=title,
            status=status,
            instance="urn:adain:request:3181509efaae48c9a2702addd8068f5c",
            **EXAMPLES[code],
        )
        examples["content"]["application/problem+json"]["examples"][code] = {
            "summary": title,
            "value": example.model_dump(exclude_none=True),
        }
    return responses


def content() -> dict[str, Any]:
    """Return the content of a response that is a problem, without examples yet."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"application/problem+json": {"schema": schema, "examples": {}}}
