"""Contents' features, kept: the next style on the same picture runs only the decoder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from cachetools import LRUCache
from torch import Tensor

from model.networks.encoder import Encoder
from model.pixels import to_tensor

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


class ContentEncoder:
    """Encodes contents, and keeps the features of the last ones."""

    def __init__(self, encoder: Encoder, device: torch.device, capacity: int) -> None:
        """Encode on the device that the encoder is on, and keep at most `capacity` bytes."""
        self._encoder, self._device = encoder, device
        self._cache = ContentCache(capacity)

    def encode(self, *batch: np.ndarray) -> ContentFeatures:
        """Return N arrays of H x W x 3 pixels as a tensor, and its features; keep nothing."""
        image = torch.cat([to_tensor(pixels, self._device) for pixels in batch])
        return image, self._encoder(image)

    def encode_each(self, batch: Sequence[np.ndarray]) -> Iterator[ContentFeatures]:
        """Yield contents of one size with their features; only those are computed that are new."""
        kept = [self._cache.get(pixels) for pixels in batch]
        new = [pixels for pixels, known in zip(batch, kept, strict=True) if known is None]
        if new:
            images, taps = self.encode(*new)
            alone = zip(*(torch.split(each, 1) for each in (images, *taps)), strict=True)
        for pixels, known in zip(batch, kept, strict=True):
            if known is None:
                image, *own = next(alone)
                known = image, own
                self._cache.put(pixels, known)
            yield known


def key_of(pixels: np.ndarray) -> bytes:
    """Return a digest of pixels and their shape."""
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def nbytes(content: ContentFeatures) -> int:
    """Return the memory that features take."""
    image, taps = content
    return image.nbytes + sum(tap.nbytes for tap in taps)
