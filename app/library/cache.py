"""A cache of the encoded styles of uploaded pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachetools import LRUCache

if TYPE_CHECKING:
    from model.style import Style


class StyleCache:
    """The encoded styles that were used last, by the picture file and style_size."""

    def __init__(self, capacity: int) -> None:
        """Keep at most `capacity` bytes."""
        self._entries: LRUCache[str, Style] = LRUCache(capacity, lambda style: style.nbytes)

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return int(self._entries.currsize)

    @staticmethod
    def key(sha256: str, style_size: int) -> str:
        """Return the key of a style picture's file, by its SHA-256, at a size."""
        return f"{sha256}-{style_size}"

    def get(self, key: str) -> Style | None:
        """Return the style of a key, or None."""
        return self._entries.get(key)

    def put(self, key: str, style: Style) -> None:
        """Keep `style`, evicting those unused for longest, unless it exceeds the cache."""
        if style.nbytes <= self._entries.maxsize:
            self._entries[key] = style
