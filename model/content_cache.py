"""The features of the contents painted last: another style or control costs the decoder alone."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from torch import Tensor

# A content of 512 x 512 pixels takes 66 MiB in bfloat16 and 130 in float32.
CONTENT_CACHE_BYTES = 512 * 2**20
# A content as N x 3 x H x W, and its features.
ContentFeatures = tuple[Tensor, Sequence[Tensor]]


class ContentCache:
    """Features by the pixels that they are of, those unused for longest displaced first."""

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` bytes."""
        self.capacity = capacity
        self.size = 0
        self._entries: OrderedDict[bytes, ContentFeatures] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, pixels: np.ndarray) -> ContentFeatures | None:
        """Return what was kept for these pixels, H x W x 3."""
        with self._lock:
            key = key_of(pixels)
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, pixels: np.ndarray, content: ContentFeatures) -> None:
        """Keep the features of these pixels, if they fit at all."""
        if nbytes(content) > self.capacity:
            return
        with self._lock:
            key = key_of(pixels)
            if key in self._entries:
                return
            self._entries[key] = content
            self.size += nbytes(content)
            while self.size > self.capacity:
                self.size -= nbytes(self._entries.popitem(last=False)[1])


def key_of(pixels: np.ndarray) -> bytes:
    """Return a digest of pixels and their shape."""
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def nbytes(content: ContentFeatures) -> int:
    """Return the memory that features take."""
    image, taps = content
    return image.nbytes + sum(tap.nbytes for tap in taps)
