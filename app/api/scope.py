"""What the scope of a request says: its id, who asks, and its path as the routes know it."""

from __future__ import annotations

import ipaddress
import re
import uuid

from starlette.datastructures import Headers
from starlette.types import Scope

STYLIZE_PATH = "/v1/stylize"
STYLES_PATH = "/v1/styles"
REQUESTS_PATH = "/v1/requests"
# Methods that change nothing, and whose bodies nobody reads.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# The ids that a proxy may choose for a request; any other is replaced.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The part of an IPv6 address that a client cannot choose: it is given at least all of the rest.
IPV6_PREFIX = 64


def request_id(scope: Scope) -> str:
    """Return the id that a request's response, log line and errors share.

    It is the request's X-Request-ID if that is valid, else a new one.
    """
    state = scope.setdefault("state", {})
    if "request_id" not in state:
        given = Headers(scope=scope).get("x-request-id", "")
        state["request_id"] = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    return str(state["request_id"])


def client_of(scope: Scope) -> str:
    """Return who sends a request: an IPv4 address, or the network of an IPv6 address.

    Behind a proxy it is the address that the proxy has seen, where uvicorn trusts the proxy's
    X-Forwarded-For; empty where that is no address.
    """
    host, _ = scope.get("client") or ("", 0)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))


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
