"""The forms that the service takes, and the pictures in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from fastapi import Request, UploadFile
from PIL import Image
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.api.scope import route_path
from model.controls import DEFAULT_STYLE_SIZE, MAX_STYLE_SIZE, MIN_SIZE, MIN_STYLE_SIZE, Controls
from model.errors import ParameterError
from model.formats import DEPTHS, READ_NAMES, canonical_format
from model.images import DEFAULT_QUALITY

# Larger numbers are refused before anything computes with them.
MAX_INTEGER = 2**31 - 1
REPEATABLE = ("style", "style_id", "weight", "mask")
Format = Annotated[
    Literal["png", "jpeg", "webp", "avif", "tiff"], BeforeValidator(canonical_format)
]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StylizeForm(BaseModel):
    """The fields as sent; `check_form` checks what depends on settings or other fields."""

    model_config = ConfigDict(extra="forbid")

    content: UploadFile = Field(
        description=f"The picture to stylize: {READ_NAMES}, whatever its name or declared type "
        "says; of several frames the first."
    )
    style: list[UploadFile] = Field(
        default_factory=list,
        description="One or more style pictures, of the same formats, or practised styles "
        "(.adain).",
    )
    style_id: list[str] = Field(
        default_factory=list, description="Styles of the library, by their id; GET /v1/styles."
    )
    weight: list[Weight] = Field(
        default_factory=list,
        description="One per style, files first, in the order sent; normalised to sum 1. None: all "
        "alike.",
    )
    alpha: float = Field(1, ge=0, le=1, description="Strength of the style.")
    detail: float = Field(
        0,
        ge=-1,
        le=1,
        description="How much of the content's lines and shapes to keep, more or less than the "
        "styles do by themselves.",
    )
    preserve_color: bool = Field(False, description="Keep the content's colours.")
    mask: list[UploadFile] = Field(
        default_factory=list,
        description="One per style, files first, in the order sent: a grey picture of the "
        "content's aspect ratio, white where the style goes; where none is, the content stays.",
    )
    size: int | None = Field(
        None,
        ge=MIN_SIZE,
        le=MAX_INTEGER,
        description="Longest side of the result in pixels. None: the content's own, or the "
        "service's limit where that is less.",
    )
    style_size: int = Field(
        DEFAULT_STYLE_SIZE,
        ge=MIN_STYLE_SIZE,
        le=MAX_STYLE_SIZE,
        description="Shorter side at which the style is seen: the brush size. At another one than "
        "the default a practised style goes by its picture.",
    )
    refine: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds to make the result better by optimisation; the service has a bound, "
        "GET /v1/limits. DELETE /v1/requests/{id} ends it earlier.",
    )
    format: Format | None = Field(
        None, description="Format of the result. None: from the Accept header, else png."
    )
    quality: int = Field(DEFAULT_QUALITY, ge=1, le=100, description="For jpeg, webp and avif.")
    depth: int = Field(
        8,
        description="Bits of the result's channels; 16 for png and tiff, always in sRGB.",
        json_schema_extra={"enum": list(DEPTHS)},
    )
    color_profile: Literal["keep", "srgb"] = Field(
        "keep", description="Colours of the result: in the content's own profile, or in sRGB."
    )
    keep_gps: bool = Field(False, description="Let the result say where the content was taken.")

    def controls(self, masks: Sequence[Image.Image]) -> Controls:
        """Return the controls with the decoded masks; the content is already scaled to `size`."""
        return Controls(
            weights=self.weight or None,
            alpha=self.alpha,
            masks=masks or None,
            preserve_color=self.preserve_color,
            detail=self.detail,
            depth=self.depth,
        )


class RenameForm(BaseModel):
    """Another name for a style of the library."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="1 to 80 characters of any script; no two styles share one.")


class SaveForm(RenameForm):
    """A style for the library."""

    file: UploadFile = Field(
        description="The style picture, of the formats of a content, or a practised style (.adain)."
    )


def refuse_unknown_query(request: Request) -> None:
    """Raise ParameterError for a query parameter that the path does not have.

    Without that a control that is sent in the address would do nothing, silently.
    """
    if not route_path(request.scope).startswith("/v1/"):
        return
    known = {each.alias for each in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            hint = "the fields of a form go into the body, as with curl -F"
            raise ParameterError(f"{name[:80]} is no query parameter of this path; {hint}")


def refuse_repeated(names: Iterable[str]) -> None:
    """Raise ParameterError if a field that may be sent once was sent several times.

    FastAPI takes the last one, so that the others would be lost without a word.
    """
    for name, count in Counter(names).items():
        if count > 1 and name not in REPEATABLE:
            raise ParameterError(
                f"{name} may be sent once, and came {count} times", limit=1, value=count
            )
