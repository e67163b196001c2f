"""Arbitrary style transfer with adaptive instance normalization: the method and nothing else."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.errors import AdainError
    from model.images import encode_image, read_image
    from model.style import Style
    from model.stylizer import Stylizer

__all__ = ["AdainError", "Style", "Stylizer", "encode_image", "read_image"]
HOMES = {
    "AdainError": "model.errors",
    "Style": "model.style",
    "Stylizer": "model.stylizer",
    "encode_image": "model.images",
    "read_image": "model.images",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for: torch takes seconds, which not every use needs."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
