"""What the header of a picture's file announces, before anything is decoded."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

from PIL import ExifTags, Image

from model.formats import READ_FORMATS

# JPEG XL comes bare, or in boxes (ISO/IEC 18181-1 and -2).
JXL_SIGNATURE, JXL_BOXES = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
# The width by the height, by the ratio that a JPEG XL header names; 0: the width is given.
JXL_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
JXL_SIZE_BITS = (9, 13, 18, 30)
# Enough of a file for the boxes that come before a JPEG XL's pixels.
HEAD_BYTES = 2**16


def announced_size(source: bytes | os.PathLike[str]) -> tuple[int, int]:
    """Return the upright width and height that a picture's header announces.

    Args:
        source: the file's bytes, or its path.

    Returns:
        (0, 0) where there is no such file or its header is damaged: to read it says what is wrong.
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            size = jxl_size(file.read(HEAD_BYTES))
            if size is not None:
                return size
            file.seek(0)
            with Image.open(file, formats=READ_FORMATS) as image:
                # Pillow has the size of a TIFF upright already, and decodes a PNG to look for EXIF
                # behind its pixels.
                if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
                    return image.size
                turn = image.getexif().get(ExifTags.Base.Orientation, 1)
                return image.size[::-1] if 5 <= turn <= 8 else image.size
    except Exception:  # a damaged file can raise almost anything in Pillow's parsers
        return 0, 0


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """Return the upright width and height that a JPEG XL file's header announces.

    Pillow's plugin has them only once it has decoded the pixels. None: another format, or cut off.
    """
    start = 0
    if data.startswith(JXL_BOXES):
        start = jxl_codestream(data)
    if data[start : start + 2] != JXL_SIGNATURE:
        return None
    read = Bits(data[start + 2 : start + 34]).read
    small = read(1)

    def read_side() -> int:
        return 8 * (1 + read(5)) if small else 1 + read(JXL_SIZE_BITS[read(2)])

    height = read_side()
    ratio = read(3)
    across, down = JXL_RATIOS.get(ratio, (1, 1))
    width = height * across // down if ratio else read_side()
    has_metadata = not read(1) and read(1)
    orientation = 1 + read(3) if has_metadata else 1
    return (height, width) if orientation >= 5 else (width, height)


def jxl_codestream(data: bytes) -> int:
    """Return where the pixels' own data begins in a JPEG XL file of boxes; its end if nowhere."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1 and position + 16 <= len(data):  # the size follows, in 64 bits
            size, head = struct.unpack_from(">Q", data, position + 8)[0], 16
        if kind in (b"jxlc", b"jxlp"):
            return int(position + head + (4 if kind == b"jxlp" else 0))  # a part has a number
        if size < head:  # the last box, or damaged
            break
        position += size
    return len(data)


class Bits:
    """Numbers from bytes, the lowest bit first; beyond the end all bits are 0."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def read(self, count: int) -> int:
        """Return the number in the next bits."""
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value
