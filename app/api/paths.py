"""The paths of the API that more than one module knows."""

from __future__ import annotations

from starlette.types import Scope

STYLIZE_PATH = "/v1/stylize"
STYLES_PATH = "/v1/styles"
REQUESTS_PATH = "/v1/requests"
# Methods that change nothing, and whose bodies nobody reads.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def takes_pictures(scope: Scope) -> bool:
    """Return whether a request carries pictures, which cost time and memory."""
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and scope["path"] in (STYLIZE_PATH, STYLES_PATH)
    )
