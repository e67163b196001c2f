"""The web page at /, and the JavaScript client: files under a strict Content-Security-Policy."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import FileResponse, Response

FOLDER = str(files("app") / "page")
CLIENT = str(files("app") / "client" / "client.js")
HEADERS = {
    # No other origins, nothing inline; blob: is for pictures that stay in the browser.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    # The browser revalidates every time, so it sees a new version at once.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The files of the page, with its headers."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """Return a file, or 304 where the browser has it."""
        response = super().file_response(*args, **options)
        response.headers.update(HEADERS)
        return response


def register(app: FastAPI) -> None:
    """Serve the page at /, its files under /page, and the JavaScript client at /client.js."""
    app.mount("/page", PageFiles(directory=FOLDER))
    app.add_api_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/worker.js", worker, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/client.js", client, methods=["GET", "HEAD"], include_in_schema=False)


async def page() -> FileResponse:
    """Return the page."""
    return FileResponse(f"{FOLDER}/index.html", headers=HEADERS)


async def worker() -> FileResponse:
    """Return the page's service worker; its place decides what it may answer: everything here."""
    return FileResponse(f"{FOLDER}/worker.js", headers=HEADERS)


async def client() -> FileResponse:
    """Return the client for programs in JavaScript."""
    return FileResponse(CLIENT, headers=HEADERS)
