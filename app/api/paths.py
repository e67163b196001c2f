"""The paths of the API that more than one module knows."""

from __future__ import annotations

from starlette.types import Scope

STYLIZE_PATH = "/v1/stylize"
STYLES_PATH = "/v1/styles"
REQUESTS_PATH = "/v1/requests"
# Methods that change nothing, and whose bodies nobody reads.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def route_path(scope: Scope) -> str:
    """Return the path of a request as the routes know it, without ADAIN_ROOT_PATH."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def takes_pictures(scope: Scope) -> bool:
    """Return whether a request carries pictures, which cost time and memory."""
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and route_path(scope) in (STYLIZE_PATH, STYLES_PATH)
    )
