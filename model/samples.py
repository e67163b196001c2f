"""Samples of TIFF and PNG that Pillow misreads: corrected, or refused with the reason.

Pillow gives the values of 12-bit, inverted and unsigned 32-bit samples without what they mean, and
scrambles some layouts silently. What is neither known to be right nor corrected here is refused.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from model.errors import UnsupportedImageError

# Tags of TIFF 6.0.
BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, FORMAT = 258, 259, 262, 277, 284, 339
WHITE_IS_ZERO = 0
UNCOMPRESSED = 1
SEPARATE = 2
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
KINDS = {UNSIGNED: "unsigned", SIGNED: "signed", FLOAT: "floating-point"}


class Layout(NamedTuple):
    """How the samples of a TIFF file are laid out."""

    bits: int
    kind: int
    samples: int
    big_endian: bool
    white_is_zero: bool
    separate: bool
    compressed: bool

    def __str__(self) -> str:
        order = "big-endian " if self.big_endian else ""
        planes = " in separate planes" if self.separate else ""
        inverted = ", white being zero" if self.white_is_zero else ""
        kind = KINDS.get(self.kind, "unusual")
        channels = "channel" if self.samples == 1 else "channels"
        return (
            f"{self.samples} {channels} of {order}{self.bits}-bit {kind} samples{planes}{inverted}"
        )

    @property
    def plain(self) -> bool:
        """Whether Pillow reads it as it is meant."""
        if self.bits <= 8:
            return self.kind == UNSIGNED
        if self.samples > 1:
            whole = self.samples in (3, 4) and not self.separate
            return whole and (self.bits, self.kind) == (16, UNSIGNED)
        return not self.white_is_zero and (self.bits, self.kind) in {(16, UNSIGNED), (32, SIGNED)}

    @property
    def corrected(self) -> bool:
        """Whether `correct` makes it right."""
        if self.plain or self.samples > 1 or self.bits <= 8:
            return False
        if self.kind == FLOAT:
            return self.bits == 32 and not (self.big_endian and self.compressed)
        if self.big_endian or self.kind != UNSIGNED:
            return False
        return self.bits == 16 or (self.bits in (12, 32) and not self.white_is_zero)


def layout_of(directory: ImageFileDirectory_v2, big_endian: bool) -> Layout:
    """Return the layout that a file's first directory describes."""
    bits = directory.get(BITS, 1)
    kinds = directory.get(FORMAT, UNSIGNED)
    return Layout(
        max(bits) if isinstance(bits, tuple) else bits,
        max(kinds) if isinstance(kinds, tuple) else kinds,
        directory.get(SAMPLES, 1),
        big_endian,
        directory.get(PHOTOMETRIC) == WHITE_IS_ZERO,
        directory.get(PLANAR, 1) == SEPARATE and directory.get(SAMPLES, 1) > 1,
        directory.get(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED,
    )


def read_layout(data: bytes) -> Layout | None:
    """Return the layout of a TIFF file, or None if the bytes have no directory of one."""
    if data[:2] not in (b"II", b"MM"):
        return None
    try:
        big = 43 in data[2:4]  # BigTIFF, whose offsets have 8 bytes
        directory = ImageFileDirectory_v2(data[: 16 if big else 8])
        file = io.BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        return layout_of(directory, data[:2] == b"MM")
    except Exception:  # a damaged directory can raise almost anything
        return None


def checked_layout(data: bytes) -> Layout | None:
    """Return the layout of a TIFF file, or None if the bytes have no directory of one.

    Raises:
        UnsupportedImageError: the picture would come out as another one.
    """
    layout = read_layout(data)
    if layout is not None and not (layout.plain or layout.corrected):
        raise UnsupportedImageError(
            f"a TIFF picture with {layout} is not supported; save it with 8 or 16 unsigned bits"
        )
    return layout


def correct(image: Image.Image, layout: Layout) -> Image.Image:
    """Return a loaded, upright TIFF image of a `corrected` layout with its samples as meant."""
    values = np.asarray(image)
    if layout.kind == FLOAT:
        corrected = Image.fromarray(-values if layout.white_is_zero else values)
    elif layout.bits == 32:
        # Pillow takes the bits for those of a signed number.
        corrected = Image.fromarray(values.view(np.uint32).astype(np.float32))
    else:
        white = 2**layout.bits - 1
        scaled = np.rint(values.astype(np.float64) * (65535 / white)).astype(np.uint16)
        corrected = Image.fromarray(65535 - scaled if layout.white_is_zero else scaled)
    corrected.info = dict(image.info)
    return corrected


def scale_transparency(image: Image.Image, data: bytes) -> None:
    """Bring the transparent colour of a loaded PNG image (its tRNS chunk) to the image's 8 bits.

    Args:
        image: in mode L or RGB; 16-bit grey is left to `opacity_of_16_bits`.
        data: the file; the header says how many bits its samples have (PNG, section 11.2.2).
    """
    value, bits = image.info.get("transparency"), data[24]
    if image.mode == "L" and isinstance(value, int) and bits < 8:
        image.info["transparency"] = value * 255 // (2**bits - 1)
    elif image.mode == "RGB" and isinstance(value, tuple) and bits == 16:
        image.info["transparency"] = tuple(part >> 8 for part in value)


def opacity_of_16_bits(image: Image.Image) -> Image.Image | None:
    """Return the alpha channel of 16-bit grey with a transparent value, if it has one."""
    value = image.info.get("transparency")
    if not image.mode.startswith("I;16") or not isinstance(value, int):
        return None
    return Image.fromarray(np.where(np.asarray(image) == value, 0, 255).astype(np.uint8))
