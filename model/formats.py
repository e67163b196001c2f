"""The formats of pictures: those that are read, and those that are written."""

from __future__ import annotations

import functools
from pathlib import Path

import pillow_heif
import pillow_jxl  # noqa: F401  # registers JPEG XL with Pillow
from PIL import Image

from model.errors import ImageTooLargeError, ParameterError

pillow_heif.register_heif_opener()

# As Pillow names them. The JPEG plugin also reads the MPO files of phones, and HEIF is their HEIC.
READ_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "JXL", "GIF", "TIFF", "BMP")
# The same for people.
READ_NAMES = "JPEG, PNG, WebP, AVIF, HEIC, JPEG XL, GIF, TIFF or BMP"
# As users and media types name them; the first is the default.
WRITE_FORMATS = ("png", "jpeg", "webp", "avif", "tiff")
# Bits of a channel, and the formats that are written with 16.
DEPTHS = (8, 16)
DEEP_FORMATS = ("png", "tiff")
ALIASES = {"jpg": "jpeg", "tif": "tiff"}
# The suffixes of files that are written.
FORMAT_OF_SUFFIX = {f".{name}": name for name in WRITE_FORMATS} | {
    f".{alias}": name for alias, name in ALIASES.items()
}
# Pixels a side, from the formats' own definitions and from libjpeg.
MAX_SIDES = {"webp": 16_383, "jpeg": 65_500, "avif": 65_536}


def canonical_format(name: str) -> str:
    """Return the name in `WRITE_FORMATS` for a name in any case, or for an alias such as jpg."""
    return ALIASES.get(name.lower(), name.lower())


def format_of(path: Path) -> str:
    """Return the format that the suffix of a result's path names.

    Raises:
        ParameterError: it is of none that we write.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMAT_OF_SUFFIX:
        raise ParameterError(f"{path}: the name must end in {', '.join(FORMAT_OF_SUFFIX)}")
    return FORMAT_OF_SUFFIX[suffix]


def check_writable(size: tuple[int, int], format: str) -> None:
    """Raise ImageTooLargeError for more pixels a side than the format can hold."""
    limit = MAX_SIDES.get(format, max(size))
    if max(size) > limit:
        raise ImageTooLargeError(
            f"a {size[0]}x{size[1]} picture cannot be written as {format}, which holds {limit} "
            "pixels a side; choose png or a smaller size",
            limit=limit,
            value=max(size),
        )


def check_depth(depth: int, format: str = "png") -> None:
    """Raise ParameterError for a depth that we do not write, or not in that format."""
    if depth not in DEPTHS:
        raise ParameterError(f"depth must be 8 or 16, and is {depth}")
    if depth > 8 and format not in DEEP_FORMATS:
        raise ParameterError(
            f"depth {depth} can be written as {' or '.join(DEEP_FORMATS)}, and not as {format}"
        )


def list_pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Return the files of a folder whose suffix is that of a format that we read, by name.

    Hidden files and folders are left alone: macOS writes ._photo.jpg beside photo.jpg.

    Args:
        folder: where to look.
        recursive: whether to look into its folders too.
    """
    suffixes = picture_suffixes()
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


@functools.cache
def picture_suffixes() -> frozenset[str]:
    """Return the suffixes of the formats that we read, in lower case with their dot."""
    Image.init()
    # Phones' MPO files are read as JPEG; some have a suffix of their own.
    formats = (*READ_FORMATS, "MPO")
    return frozenset(suffix for suffix, name in Image.EXTENSION.items() if name in formats)


def announces_format(data: bytes) -> bool:
    """Whether the first bytes are the signature of a format that we read."""
    accepts = (Image.OPEN[name][1] for name in READ_FORMATS if name in Image.OPEN)
    return any(accept is not None and accept(data[:16]) is True for accept in accepts)
