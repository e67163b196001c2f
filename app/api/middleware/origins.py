"""Middleware: the origins whose pages may use the API (CORS)."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins use the API; * stands for all."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["Authorization", "X-API-Key", "X-Request-ID"],
        expose_headers=["Server-Timing", "X-Recipe", "X-Request-ID", "Retry-After", "Location"],
    )
