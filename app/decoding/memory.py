"""How much memory the service may take."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# cgroup v2 and v1: a container sees its own limit here.
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# Where the system does not say.
ASSUMED = 4 * 2**30


def available_memory() -> int:
    """Return the bytes of the machine's memory, or of the container's limit where that is less."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):
        found = [ASSUMED]
    for path in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            found.append(int(path.read_text()))
    return min(found)
