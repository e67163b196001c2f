"""Pictures of 16 bits a channel: arrays, as Pillow has no such mode, and their files."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, TiffTags

from model.metadata import Metadata

# What an 8-bit value is multiplied by to be as bright.
TIMES = 257
# PNG (W3C, third edition, section 11.2.1): colour types without and with an alpha channel.
COLOR_TYPES = {3: 2, 4: 6}
INCHES_A_METRE = 39.3701
# zlib's fastest: see `model.images.OPTIONS`.
COMPRESSION = 1
# TIFF 6.0: colours are RGB, inches are the unit, and the fourth channel is opacity.
RGB, INCH, UNASSOCIATED_ALPHA = 2, 2, 2


def shallow(picture: Image.Image | np.ndarray) -> Image.Image:
    """Return a picture of 16 bits, H x W x 3 or 4, as an image of 8; an image as it is."""
    if isinstance(picture, Image.Image):
        return picture
    return Image.fromarray(np.rint(picture / TIMES).astype(np.uint8))


def encode_deep(pixels: np.ndarray, format: str, metadata: Metadata) -> bytes:
    """Return a picture of 16 bits a channel as a file.

    Args:
        pixels: H x W x 3, or H x W x 4 with opacity; uint16, sRGB.
        format: png or tiff.
        metadata: goes into the file, but for its profile: the picture stays sRGB.
    """
    return (png if format == "png" else tiff)(pixels, metadata)


def png(pixels: np.ndarray, metadata: Metadata) -> bytes:
    """Return a PNG file."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
    # Each row begins with its filter: 0, none. What is painted hardly compresses by any.
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (1, 0)))
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    PngImagePlugin.putchunk(file, b"IHDR", header)
    PngImagePlugin.putchunk(file, b"sRGB", b"\0")
    if metadata.dpi:
        density = (round(each * INCHES_A_METRE) for each in metadata.dpi)
        PngImagePlugin.putchunk(file, b"pHYs", struct.pack(">IIB", *density, 1))
    if metadata.exif:
        PngImagePlugin.putchunk(file, b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(rows.tobytes(), COMPRESSION))
    PngImagePlugin.putchunk(file, b"IEND", b"")
    return file.getvalue()


def tiff(pixels: np.ndarray, metadata: Metadata) -> bytes:
    """Return a TIFF file, not compressed, in one strip."""
    height, width, channels = pixels.shape
    data = pixels.astype("<u2").tobytes()
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    exif = Image.Exif()
    exif.load(metadata.exif)
    for tag in exif:
        directory[tag] = exif.get_ifd(tag) if tag in TiffTags.TAGS_V2_GROUPS else exif[tag]
    directory[ExifTags.Base.ImageWidth], directory[ExifTags.Base.ImageLength] = width, height
    directory[ExifTags.Base.BitsPerSample] = (16,) * channels
    directory[ExifTags.Base.Compression] = 1
    directory[ExifTags.Base.PhotometricInterpretation] = RGB
    directory[ExifTags.Base.SamplesPerPixel] = channels
    directory[ExifTags.Base.RowsPerStrip] = height
    directory[ExifTags.Base.StripByteCounts] = len(data)
    directory[ExifTags.Base.StripOffsets] = 0  # behind the directory, which adds its own length
    if channels == 4:
        directory[TiffImagePlugin.EXTRASAMPLES] = UNASSOCIATED_ALPHA
    if metadata.dpi:
        directory[ExifTags.Base.XResolution], directory[ExifTags.Base.YResolution] = metadata.dpi
        directory[ExifTags.Base.ResolutionUnit] = INCH
    file = io.BytesIO()
    directory.save(file)
    file.write(data)
    return file.getvalue()
