"""What belongs to a picture beside its pixels, and goes with the result: EXIF, profile, density."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from PIL import ExifTags, Image, ImageCms

from model.formats import READ_FORMATS

# In the Exif directory (CIPA DC-008). What a camera's maker notes say points to places in the file
# that another program cannot keep.
DROPPED = (ExifTags.Base.MakerNote, ExifTags.Base.UserComment)
# Where and how the pixels of a TIFF file lie: the result's lie elsewhere.
TIFF_LAYOUT = (
    *range(254, 260),
    262,
    266,
    273,
    277,
    278,
    279,
    284,
    *range(317, 326),
    338,
    339,
    347,
    34675,
)
RECIPE_PREFIX = b"ASCII\0\0\0adain "
# EXIF in a JPEG file must fit one segment.
MAX_EXIF_BYTES = 65_000


@dataclass(frozen=True, slots=True)
class Metadata:
    """What goes with a picture.

    Attributes:
        exif: a block as files hold it, or empty. Its orientation is that of the stored pixels.
        profile: an ICC profile of RGB colours, or empty.
        dpi: pixels an inch, or None.
    """

    exif: bytes = b""
    profile: bytes = b""
    dpi: tuple[float, float] | None = None


NONE = Metadata()
# The chunk of EXIF, and the keyword of the text in which older programs write it.
EXIF_OF_PNG = (b"eXIf", b"Raw profile type exif")


def read_metadata(data: bytes) -> Metadata:
    """Return the metadata of a picture's file; what is damaged of it is left out.

    Args:
        data: a file that `read_image` can read.
    """
    try:
        with Image.open(io.BytesIO(data), formats=READ_FORMATS) as image:
            # Pillow looks for EXIF behind the pixels of a PNG, and decodes them for that.
            has_exif = image.format != "PNG" or any(each in data for each in EXIF_OF_PNG)
            exif = image.getexif() if has_exif else None
            profile = image.info.get("icc_profile") or b""
            dpi = image.info.get("dpi")
            return Metadata(
                exif.tobytes() if exif else b"",
                profile if is_rgb(profile) else b"",
                (float(dpi[0]), float(dpi[1])) if dpi else None,
            )
    except Exception:  # damaged metadata can raise almost anything, and must not cost the picture
        return NONE


def is_rgb(profile: bytes) -> bool:
    """Whether bytes are an ICC profile of RGB colours."""
    # ICC.1:2022, table 15: the data colour space, and the signature of a profile.
    return profile[16:20] == b"RGB " and profile[36:40] == b"acsp"


def metadata_of_result(
    source: Metadata, size: tuple[int, int], recipe: dict[str, Any], *, keep_gps: bool = False
) -> Metadata:
    """Return the metadata of a result.

    Args:
        source: the content's.
        size: the result's.
        recipe: what made the result; see `read_recipe`.
        keep_gps: whether the result says where the content was taken.
    """
    exif = Image.Exif()
    try:
        exif.load(source.exif)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        if not keep_gps:
            exif.pop(ExifTags.IFD.GPSInfo, None)
    except Exception:
        exif, details = Image.Exif(), {}
    for tag in (ExifTags.Base.Orientation, *TIFF_LAYOUT):
        exif.pop(tag, None)
    for tag in DROPPED:
        details.pop(tag, None)
    exif[ExifTags.Base.Software] = f"adain {version('adain')}"
    details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = size
    details[ExifTags.Base.UserComment] = RECIPE_PREFIX + json.dumps(recipe).encode()
    exif[ExifTags.IFD.Exif] = details
    block = exif.tobytes()
    if len(block) > MAX_EXIF_BYTES:
        return metadata_of_result(Metadata(b"", source.profile, source.dpi), size, recipe)
    return Metadata(block, source.profile, source.dpi)


def read_recipe(data: bytes) -> dict[str, Any] | None:
    """Return what made a result from its file, or None where the file does not say.

    Returns:
        The version of the program, the weights, the controls and the styles.
    """
    try:
        with Image.open(io.BytesIO(data), formats=READ_FORMATS) as image:
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
        recipe = json.loads(bytes(comment).removeprefix(RECIPE_PREFIX))
    except Exception:
        return None
    return recipe if isinstance(recipe, dict) else None


def to_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Return an sRGB image (RGB or RGBA) in the colours of another profile, its bytes given.

    A profile that cannot be used leaves the image as it is, and raises nothing.
    """
    opacity = image.getchannel("A") if image.mode == "RGBA" else None
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image.convert("RGB"), ImageCms.createProfile("sRGB"), target, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image
    assert converted is not None  # None is for in-place conversion only
    if opacity is not None:
        converted.putalpha(opacity)
    return converted
