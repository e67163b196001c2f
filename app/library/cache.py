"""The styles that a service remembers from the pictures it was sent."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from model.style import Style


class StyleCache:
    """The encoded styles that were used last, by the picture file and style_size.

    Attributes:
        capacity: most bytes of styles.
        size: bytes of styles held.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._entries: OrderedDict[str, Style] = OrderedDict()

    @staticmethod
    def key(file: bytes, style_size: int) -> str:
        """Return the key of a style picture's file at a size."""
        return f"{hashlib.sha256(file).hexdigest()}-{style_size}"

    def get(self, key: str) -> Style | None:
        """Return what was put under `key`, unless it has been displaced since."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, style: Style) -> None:
        """Remember `style`, displacing those unused for longest."""
        if key in self._entries:
            self.size -= self._entries.pop(key).nbytes
        self._entries[key] = style
        self.size += style.nbytes
        while self.size > self.capacity:
            self.size -= self._entries.popitem(last=False)[1].nbytes
