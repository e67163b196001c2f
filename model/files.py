"""Files that are written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
