"""What runs in a decoding process: read one file, and write its pixels to another."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from model.allocator import reuse_freed_memory
from model.errors import CorruptImageError, ImageTooLargeError
from model.file_structure import check_structure
from model.headers import announced_size
from model.metadata import Metadata, read_metadata

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

Read = Callable[[bytes], Image.Image]
# A picture's mode and size, for `PIL.Image.frombytes`, and what belongs to it besides.
Found = tuple[str, tuple[int, int], Metadata]
# A picture of more pixels, or a JPEG of more scans, may take long: half a second and more.
QUICK_PIXELS = 16_000_000
QUICK_SCANS = 16
# By how much such a picture stands back behind the painting of others (nice(2)).
NICENESS = 10
# Bytes of freed memory that a process keeps for the next picture, which else pays for page faults:
# what a photograph of 12 megapixels takes.
KEPT = 96 * 2**20


class Limits(NamedTuple):
    """What decoding one picture may take.

    Attributes:
        seconds: of CPU time. The system ends the process after them.
        memory: bytes to allocate.
    """

    seconds: int
    memory: int


@functools.cache
def prepare() -> None:
    """Make the process ready, once; importing this module is what takes time."""
    reuse_freed_memory(KEPT)
    # Ctrl-C in a terminal reaches all of its processes; the service ends this one itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def decode(path: Path, pixels: Path, read: Read, limits: Limits, quick: bool) -> Found | None:
    """Read a picture, and write its pixels to a file.

    Args:
        path: the picture's file.
        pixels: the beginning of this file gets the pixels; it may be `path`.
        read: from the file's bytes to the picture.
        limits: what this may take.
        quick: leave a picture that may take long as it is.

    Returns:
        What was found; None for a picture that is left as it is.

    Raises:
        AdainError: the picture cannot be read, or takes too much memory.
    """
    prepare()
    bound(limits)
    try:
        data = path.read_bytes()
        if is_quick(data):
            picture = read(data)
        elif quick:
            return None
        else:
            # The priority is that of a thread, and can't be raised again.
            with ThreadPoolExecutor(1, initializer=lower_priority) as thread:
                picture = thread.submit(read, data).result()
        metadata = read_metadata(data)
        # Not emptied before: ext4 writes such a file to the disk when it is closed.
        with pixels.open("r+b") as file:
            file.write(picture.tobytes())
    except MemoryError as error:
        raise ImageTooLargeError(
            f"the picture takes more than {limits.memory // 2**20} MiB to decode; send a smaller "
            "one",
            limit=limits.memory,
        ) from error
    return picture.mode, picture.size, metadata


def is_quick(data: bytes) -> bool:
    """Whether a picture's header says that decoding it is little work, or is none that can be read.

    What cannot be read is found out soon.
    """
    try:
        scans = check_structure(data)
    except CorruptImageError:  # which `read_image` tells the user
        return True
    width, height = announced_size(data)  # which goes through a PNG's chunks
    return width * height <= QUICK_PIXELS and scans <= QUICK_SCANS


def lower_priority() -> None:
    """Let what else runs on the machine go before this thread, where the system can."""
    if sys.platform == "linux":  # elsewhere it would be the process
        os.nice(NICENESS)


def bound(limits: Limits) -> None:
    """Apply limits to this process from now on, where the system has such."""
    if resource is None:
        return
    taken = resource.getrusage(resource.RUSAGE_SELF)
    used = int(taken.ru_utime + taken.ru_stime) + 1
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, used + limits.seconds),
        (resource.RLIMIT_AS, address_space() + limits.memory),
    ):
        _, highest = resource.getrlimit(kind)
        if highest != resource.RLIM_INFINITY:
            value = min(value, highest)
        resource.setrlimit(kind, (value, highest))


def address_space() -> int:
    """Return how many bytes of addresses this process has; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
