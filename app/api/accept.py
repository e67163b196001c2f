"""Which picture format a client accepts (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from app.errors import ServiceError
from model.formats import WRITE_FORMATS, canonical_format


def choose_format(accept: str) -> str:
    """Return the format of `WRITE_FORMATS` that an Accept header prefers; png where it ties.

    Raises:
        ServiceError: not-acceptable, where the header allows none.
    """
    if not accept.strip():
        return WRITE_FORMATS[0]
    ranges = dict(parse_range(item) for item in accept.split(","))

    def preference(format: str) -> float:
        for name in (f"image/{format}", "image/*", "*/*"):
            if name in ranges:
                return ranges[name]
        return 0.0

    best = max(WRITE_FORMATS, key=preference)
    if preference(best) == 0:
        offered = ", ".join(f"image/{name}" for name in WRITE_FORMATS)
        raise ServiceError(
            "not-acceptable",
            f"the result can be sent as {offered}, and Accept allows none of them: {accept[:200]}",
        )
    return best


def parse_range(item: str) -> tuple[str, float]:
    """Return the media range and the weight of one item of an Accept header."""
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    kind, _, subtype = name.partition("/")
    name = f"{kind}/{canonical_format(subtype)}"
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, float(value)
            except ValueError:
                return name, 0.0
    return name, 1.0
