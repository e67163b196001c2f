"""The parts that a picture's file consists of, counted before a decoder goes through them.

A file of a few kilobytes can repeat a part that costs a decoder much time. Real files have few.
"""

from __future__ import annotations

import re
import struct

from model.errors import CorruptImageError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
# Progressive files have about ten; programs that search for the smallest file, a few dozen.
MAX_SCANS = 100
# At the smallest chunks that programs write, 8 KiB, this is a file of 800 MB.
MAX_CHUNKS = 100_000
# A marker in JPEG's coded data: neither a stuffed 0xFF, nor a restart, nor filling (ITU T.81, B.1).
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
# Of pictures whose scans are not refined by later ones: baseline, and extended sequential.
SEQUENTIAL = (0xC0, 0xC1)
# The other markers say how long what follows is.
WITHOUT_LENGTH = (0x01, 0xD8)


def check_structure(data: bytes) -> int:
    """Return the number of scans of a file's first picture: 1 unless it is a JPEG.

    Raises:
        CorruptImageError: for a JPEG of too many scans, or a PNG of too many chunks.
    """
    scans = count_scans(data) if data.startswith(JPEG_SIGNATURE) else 1
    refuse_more("scans", scans, MAX_SCANS)
    if data.startswith(PNG_SIGNATURE):
        refuse_more("chunks", count_chunks(data), MAX_CHUNKS)
    return scans


def refuse_more(parts: str, count: int, limit: int) -> None:
    """Raise CorruptImageError if there are more than `limit` parts."""
    if count > limit:
        raise CorruptImageError(
            f"the file has more than {limit} {parts}, which no program writes; save it anew",
            limit=limit,
        )


def count_scans(data: bytes) -> int:
    """Return the number of scans of a JPEG file's first picture, or `MAX_SCANS` + 1 if more.

    The search for another one is spared where the first has all components of a sequential picture,
    as photographs do: decoders read no further.
    """
    scans, position = 0, 2
    components: bytes | None = None
    while scans <= MAX_SCANS and (marker := MARKER.search(data, position)):
        position, kind = marker.end(), data[marker.start() + 1]
        if kind == END_OF_IMAGE:
            break
        if kind in SEQUENTIAL:
            components = data[position + 7 : position + 8]
        if kind == START_OF_SCAN:
            scans += 1
            if data[position + 2 : position + 3] == components:
                break
        if kind not in WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")
    return scans


def count_chunks(data: bytes) -> int:
    """Return the number of chunks of a PNG file, or `MAX_CHUNKS` + 1 if more."""
    chunks, position = 0, len(PNG_SIGNATURE)
    while position + 12 <= len(data) and chunks <= MAX_CHUNKS:
        # Length, type, data, checksum (PNG, section 5.3).
        position += 12 + struct.unpack_from(">I", data, position)[0]
        chunks += 1
    return chunks
