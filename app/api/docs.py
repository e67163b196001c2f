"""The page to read and try the API at /docs: Swagger UI, served from a package."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

DOCS_PATH = "/docs"
FILES_PATH = "/docs-files"


def register(app: FastAPI) -> None:
    """Serve the page at /docs and its files under /docs-files; nothing comes from elsewhere."""
    app.mount(FILES_PATH, StaticFiles(directory=str(files("fastapi_offline") / "static")))
    # Relative, as the service may be under a path of another host name.
    files_path = FILES_PATH.removeprefix("/")
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="adain: the HTTP API",
        swagger_js_url=f"{files_path}/swagger-ui-bundle.js",
        swagger_css_url=f"{files_path}/swagger-ui.css",
        swagger_favicon_url="page/icon.svg",
    )
    html = bytes(page.body).decode()
    headers = {"Content-Security-Policy": policy(html), "Referrer-Policy": "no-referrer"}

    async def docs() -> HTMLResponse:
        """Return the page."""
        return HTMLResponse(html, headers=headers)

    app.add_api_route(DOCS_PATH, docs, methods=["GET", "HEAD"], include_in_schema=False)


def policy(html: str) -> str:
    """Return the Content-Security-Policy of a page: its own scripts, told by their digest.

    Swagger UI sets styles inline, and has icons in data URLs.
    """
    inline = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inline]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
