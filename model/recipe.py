"""What made a result, as data: enough to make it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from typing import Any

from model.controls import DEFAULT_STYLE_SIZE, Controls

# Masks are pictures; of them a recipe says that there were some.
NOT_IN_RECIPES = ("masks",)
DIGITS = 16


def recipe_of(
    controls: Controls,
    styles: Sequence[Mapping[str, str]],
    *,
    weights: str,
    style_size: int = DEFAULT_STYLE_SIZE,
    **more: Any,
) -> dict[str, Any]:
    """Return the recipe of a result: what is not said has its default.

    Args:
        controls: how the styles were used.
        styles: for each, what finds it again: a name, and the digest of its file or its id.
        weights: fingerprint of the model.
        style_size: the shorter side at which style pictures were seen.
        more: what else made the result; None and False are left out.
    """
    standard = Controls()
    chosen = {
        field.name: value
        for field in fields(Controls)
        if field.name not in NOT_IN_RECIPES
        and (value := getattr(controls, field.name)) != getattr(standard, field.name)
    }
    if controls.masks:
        chosen["masks"] = len(controls.masks)
    if style_size != DEFAULT_STYLE_SIZE:
        chosen["style_size"] = style_size
    chosen |= {name: value for name, value in more.items() if value not in (None, False)}
    return {
        "adain": version("adain"),
        "model": weights,
        "styles": [dict(style) for style in styles],
        **chosen,
    }


def digest(file: bytes) -> str:
    """Return what names a file by its bytes: the first `DIGITS` of its SHA-256, hexadecimal."""
    return hashlib.sha256(file).hexdigest()[:DIGITS]
