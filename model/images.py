"""Pictures: files to upright 8-bit sRGB images of Pillow, and back."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from model import samples
from model.deep import encode_deep
from model.errors import AdainError, CorruptImageError, ImageTooLargeError, UnsupportedImageError
from model.file_structure import check_structure
from model.formats import READ_FORMATS, READ_NAMES, announces_format, check_depth, check_writable
from model.headers import jxl_size
from model.metadata import NONE, Metadata, to_profile
from model.scaling import REDUCING_GAP, scaled_size

DEFAULT_MAX_PIXELS = 40_000_000
# 3 GiB in RGB: more than real pictures have, and less than a header can announce.
MAX_PIXELS = 2**30
DEFAULT_QUALITY = 90
# Stylized pictures hardly compress: zlib's level 6 takes several times as long as its fastest for a
# PNG file that is a few per cent smaller, as AVIF's slower speeds do. Pillow compresses no TIFF
# file that has EXIF.
OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"compress_level": 1},
    "jpeg": {},
    "webp": {},
    "avif": {"speed": 8},
    "tiff": {},
}
WITH_QUALITY = ("jpeg", "webp", "avif")
WHITE = (255, 255, 255)
# As REDUCING_GAP for JPEG, whose own way to come out smaller is better than the mean of pixels.
DRAFT_GAP = 1.5
# Rows of 16 and 32-bit pictures that are converted at a time, to need little memory beside them.
ROWS = 256
# ICC colour spaces (ICC.1:2022, table 19) by the Pillow mode that they apply to.
PROFILE_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Some tools write megabytes of text into PNG files, which must not cost the picture. The sum of all
# texts is bounded by the same.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
warnings.simplefilter("error", Image.DecompressionBombWarning)


def unscaled(size: tuple[int, int]) -> float:
    """Return the factor that keeps a picture as large as it is."""
    return 1.0


def read_image(
    source: bytes | os.PathLike[str],
    *,
    max_pixels: int | None = None,
    factor: Callable[[tuple[int, int]], float] = unscaled,
) -> Image.Image:
    """Decode a picture file to upright sRGB.

    Args:
        source: the file's bytes, or its path. Its content decides the format, not its name.
        max_pixels: most pixels (width x height) that the header may announce; nothing is decoded
            beyond it. None: 40 million; more than 2^30 are always refused.
        factor: from the picture's size to the factor by which the caller will `scale` it. Where
            that is below 1/3, the picture is reduced while it is decoded, to three times the size
            that it will have or somewhat more: that is faster and takes less memory.

    Returns:
        The (first) frame as mode RGB, or RGBA where it has transparency; 8 bits per channel,
        orientation and colour profile applied.

    Raises:
        UnsupportedImageError: of no format in `model.formats.READ_FORMATS`.
        CorruptImageError: empty, cut off or damaged.
        ImageTooLargeError: more than `max_pixels`.
        OSError: `source` is a path that cannot be read.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not data:
        raise CorruptImageError("the picture is empty (0 bytes)")
    limit = min(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels, MAX_PIXELS)
    try:
        check_structure(data)
        layout = samples.checked_layout(data)
        check_pixels(jxl_size(data) or (1, 1), limit)  # opening a JPEG XL decodes it
        with Image.open(io.BytesIO(data), formats=READ_FORMATS) as image:
            check_pixels(image.size, limit)
            wanted = scaled_size(image.size, factor(image.size))
            # JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is enough.
            image.draft(None, (math.ceil(DRAFT_GAP * wanted[0]), math.ceil(DRAFT_GAP * wanted[1])))
            image.load()
            if image.format == "JXL" and not getattr(image, "jpeg", False):
                # Its decoder turns the picture, whatever EXIF says (ISO/IEC 18181-2). One that was
                # a JPEG comes as that JPEG.
                image.info.pop("exif", None)
                image.getexif().clear()
            if image.format == "TIFF" and layout is not None and layout.corrected:
                return normalize(samples.correct(upright(image), layout))
            if image.format == "PNG":
                samples.scale_transparency(image, data)
            return normalize(reduce(image, int(image.width / (REDUCING_GAP * wanted[0]))))
    except (AdainError, MemoryError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise too_large(MAX_PIXELS, limit, f"over {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        if announces_format(data):
            raise CorruptImageError("the picture is cut off or damaged in its header") from error
        raise UnsupportedImageError(f"these bytes are no {READ_NAMES} picture") from error
    except Exception as error:
        # A damaged file can raise almost anything in Pillow's parsers: OSError, SyntaxError,
        # ValueError, struct.error, IndexError, KeyError, zlib.error and more.
        raise CorruptImageError(f"the picture is cut off or damaged: {error}") from error


def reduce(image: Image.Image, times: int) -> Image.Image:
    """Return the image with its sides divided by a whole number, each pixel the mean of many.

    Images of 16 and 32 bits come out as they went in.
    """
    if times <= 1 or image.mode[0] in "IF":
        return image
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        image = image.convert("RGBA")
    elif image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.reduce(times)


def check_pixels(size: tuple[int, int], limit: int) -> None:
    """Raise ImageTooLargeError for a picture of more than `limit` pixels."""
    width, height = size
    if width * height > limit:
        raise too_large(width * height, limit, f"{width}x{height}")


def too_large(pixels: int, limit: int, size: str) -> ImageTooLargeError:
    """Return the error for a picture of `pixels`, described as `size`."""
    return ImageTooLargeError(
        f"the picture has {size}, more than the limit of {limit} pixels; send a smaller one",
        limit=limit,
        value=pixels,
    )


def normalize(image: Image.Image) -> Image.Image:
    """Return any PIL image as upright 8-bit sRGB: RGB, or RGBA where it has transparency.

    A normalized image comes out as it went in, itself: a copy of a huge one would cost much memory.
    """
    silent = type(image) is Image.Image and not image.info and not image.getexif()
    if silent and image.mode in ("RGB", "RGBA"):
        return image
    profile = image.info.get("icc_profile")
    image = upright(image)
    opacity = samples.opacity_of_16_bits(image)
    if image.has_transparency_data and not image.mode.startswith("I"):
        opacity = image.convert("RGBA").getchannel("A")
    color = to_srgb(to_8_bit(image), profile)
    if opacity is not None:
        color.putalpha(opacity)
    color.info.clear()
    return color


def upright(image: Image.Image) -> Image.Image:
    """Return the image turned by its EXIF orientation; damaged EXIF is ignored."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        # The pixels are sound; damaged metadata must not cost the user the result.
        return image.copy()


def to_8_bit(image: Image.Image) -> Image.Image:
    """Return the colours of any Pillow mode, without transparency, as L, RGB or CMYK."""
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, but white is 65535.
        return stretch(np.asarray(image), 0, 65535)
    if image.mode in ("I", "F"):
        # 32-bit files do not say what white is, so stretch the picture's own range.
        values = np.asarray(image)
        if image.mode == "F":
            values = np.where(np.isfinite(values), values, np.float32(0))
        return stretch(values, float(values.min()), float(values.max()))
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # None is for in-place conversion only
        return converted
    if image.mode in ("1", "LA", "La"):
        return image.convert("LA").convert("L") if image.mode == "La" else image.convert("L")
    if image.mode == "RGBa":
        return image.convert("RGBA").convert("RGB")
    return image if image.mode in PROFILE_SPACES else image.convert("RGB")


def stretch(values: np.ndarray, black: float, white: float) -> Image.Image:
    """Return an array of H x W numbers from `black` to `white` as a picture (L)."""
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), ROWS):
        rows = values[start : start + ROWS].astype(np.float64) - black
        scaled[start : start + ROWS] = np.rint(rows * (255.0 / ((white - black) or 1.0)))
    return Image.fromarray(scaled)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an L, RGB or CMYK image as sRGB by its embedded ICC profile.

    A profile that is broken, or made for another colour space than the image's, is ignored.
    """
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space == PROFILE_SPACES[image.mode]:
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return a normalized image as RGB and, where it has transparency, its alpha channel (L)."""
    if image.mode == "RGBA":
        return image.convert("RGB"), image.getchannel("A")
    return image, None


def flatten(image: Image.Image) -> Image.Image:
    """Return a normalized image as RGB, transparency laid over white as viewers show it."""
    rgb, opacity = split_alpha(image)
    if opacity is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, WHITE), opacity)


def to_mask(image: Image.Image) -> Image.Image:
    """Return any PIL image as a mask (L): white where it counts; transparent counts as black."""
    rgb, opacity = split_alpha(normalize(image))
    mask = rgb.convert("L")
    return mask if opacity is None else Image.composite(mask, Image.new("L", mask.size), opacity)


def encode_image(
    image: Image.Image | np.ndarray,
    format: str,
    quality: int = DEFAULT_QUALITY,
    metadata: Metadata = NONE,
) -> bytes:
    """Return an RGB or RGBA image as a file.

    Args:
        image: RGB or RGBA; JPEG has no transparency and gets it laid over white. Or an array of 16
            bits a channel, see `model.deep.encode_deep`.
        format: one of `model.formats.WRITE_FORMATS`.
        quality: 1 to 100, for JPEG, WebP and AVIF.
        metadata: goes into the file. The image is sRGB, and is converted to the profile.

    Raises:
        ImageTooLargeError, ParameterError: see `check_writable` and `check_depth`.
    """
    if isinstance(image, np.ndarray):
        check_depth(16, format)
        return encode_deep(image, format, metadata)
    check_writable(image.size, format)
    image = flatten(image) if format == "jpeg" else image
    options: dict[str, Any] = dict(OPTIONS[format])
    if format in WITH_QUALITY:
        options["quality"] = quality
    if metadata.profile:
        image = to_profile(image, metadata.profile)
        options["icc_profile"] = metadata.profile
    if metadata.exif:
        options["exif"] = metadata.exif
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
