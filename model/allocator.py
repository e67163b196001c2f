"""What the C library's allocator does with memory that is freed."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections import deque

# Shapes of pictures that reuse each other's memory.
RECENT_SHAPES = 8


def reuse_freed_memory(most: int = 1 << 30) -> None:
    """Let glibc's allocator keep large freed blocks instead of handing them back at once.

    By default each feature map over 32 MiB is fresh memory from the kernel, whose page faults take
    about a fifth of the time of a 1024 x 1024 picture. One arena, because only the main one can
    grow past 64 MiB. Does nothing where the C library is another.

    Args:
        most: the size of the largest block to keep, and of all free memory at the heap's end, in
            bytes.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_mmap_threshold, m_arena_max = -1, -3, -8  # malloc.h
    mallopt(m_mmap_threshold, most)
    mallopt(m_trim_threshold, most)
    mallopt(m_arena_max, 1)


class FreedMemory:
    """The memory that `reuse_freed_memory` keeps, and that goes back to the system at times.

    Pictures of one size reuse each other's memory. Those of many sizes leave holes between blocks,
    and the process grows.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[int, ...]] = deque(maxlen=RECENT_SHAPES)

    def release_after(self, shape: tuple[int, ...]) -> None:
        """Return freed memory after a picture of a shape that was not met lately."""
        if shape not in self._recent:
            release_freed_memory()
            self._recent.append(shape)


def release_freed_memory() -> None:
    """Return freed memory to the system; does nothing where the C library is not glibc."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
