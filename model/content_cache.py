"""A cache of contents' features: the next style on the same picture runs only the decoder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

import numpy as np
from cachetools import LRUCache
from torch import Tensor

# A content as N x 3 x H x W, and its features.
ContentFeatures = tuple[Tensor, Sequence[Tensor]]


class ContentCache:
    """An LRU cache of features, by the pixels that they were computed from."""

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` bytes."""
        self._entries: LRUCache[bytes, ContentFeatures] = LRUCache(capacity, nbytes)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return int(self._entries.currsize)

    def get(self, pixels: np.ndarray) -> ContentFeatures | None:
        """Return what was kept for these pixels, H x W x 3."""
        with self._lock:
            return self._entries.get(key_of(pixels))

    def put(self, pixels: np.ndarray, content: ContentFeatures) -> None:
        """Keep the features of these pixels, if they fit at all."""
        if nbytes(content) <= self._entries.maxsize:
            with self._lock:
                self._entries[key_of(pixels)] = content


def key_of(pixels: np.ndarray) -> bytes:
    """Return a digest of pixels and their shape."""
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def nbytes(content: ContentFeatures) -> int:
    """Return the memory that features take."""
    image, taps = content
    return image.nbytes + sum(tap.nbytes for tap in taps)
