"""Files that are written whole or not at all, and the note in a style's file, without torch."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The suffix of files that hold a practised style.
STYLE_SUFFIX = ".adain"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a new file that takes the place of `path` at the end, in one step.

    A full disk, an error or a kill never leaves half a file under the name.
    """
    # Not derived from the name of `path`, which may be as long as the file system allows.
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in one step."""
    with replacing(path) as partial:
        partial.write_bytes(data)


def read_note(data: bytes) -> dict[str, Any]:
    """Return the note in the header of a safetensors file, which `load` passes over.

    Raises:
        ValueError, KeyError, TypeError, RecursionError: there is none.
    """
    length = int.from_bytes(data[:8], "little")
    note = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["note"])
    if not isinstance(note, dict):
        raise ValueError("its note is not an object")
    return note
