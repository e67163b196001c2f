"""The engine: the one thread that owns the model, and the styles that it remembers."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from PIL import Image

from model.adain import ChannelStatistics
from model.parameters import MIN_STYLE_SIZE
from model.stylizer import Stylizer

Result = TypeVar("Result")
WARM_UP_SIDE = 256


@dataclass(frozen=True, slots=True)
class Timed(Generic[Result]):
    """What the model's thread returned, and how long that took.

    Attributes:
        result: of the work.
        queue_seconds: from the asking to the start of the work.
        model_seconds: from the start to the end of the work.
    """

    result: Result
    queue_seconds: float
    model_seconds: float


class Engine:
    """Runs work on the model one piece at a time, off the event loop.

    Attributes:
        stylizer: the model.
        styles: statistics of styles seen before.
        ready: whether the warm-up is done.
    """

    def __init__(self, stylizer: Stylizer, style_cache_bytes: int) -> None:
        self.stylizer = stylizer
        self.styles = StyleCache(style_cache_bytes)
        self.ready = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def run(self, work: Callable[[], Result]) -> Timed[Result]:
        """Run `work` in the model's thread, after all that was asked for earlier.

        A caller that is cancelled while its work waits takes the work out of the queue.
        """
        asked = time.perf_counter()

        def timed() -> Timed[Result]:
            started = time.perf_counter()
            result = work()
            return Timed(result, started - asked, time.perf_counter() - started)

        return await asyncio.get_running_loop().run_in_executor(self._thread, timed)

    async def warm_up(self) -> None:
        """Stylize once, so that the first request finds memory and kernels prepared."""
        picture = Image.new("RGB", (WARM_UP_SIDE, WARM_UP_SIDE))

        def stylize() -> None:
            style = self.stylizer.encode_style(picture, style_size=MIN_STYLE_SIZE)
            self.stylizer.stylize(picture, style)

        await self.run(stylize)
        self.ready = True

    def close(self) -> None:
        """Drop what waits, and wait for what runs."""
        self.ready = False
        self._thread.shutdown(cancel_futures=True)


class StyleCache:
    """The statistics of the styles used last, by the picture file and style_size.

    Attributes:
        capacity: most bytes of statistics.
        size: bytes of statistics held.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._entries: OrderedDict[str, ChannelStatistics] = OrderedDict()

    @staticmethod
    def key(file: bytes, style_size: int) -> str:
        """Return the key of a style picture's file at a size."""
        return f"{hashlib.sha256(file).hexdigest()}-{style_size}"

    def get(self, key: str) -> ChannelStatistics | None:
        """Return what was put under `key`, unless it has been displaced since."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, statistics: ChannelStatistics) -> None:
        """Remember `statistics`, displacing those unused for longest."""
        if key in self._entries:
            self.size -= self._entries.pop(key).nbytes
        self._entries[key] = statistics
        self.size += statistics.nbytes
        while self.size > self.capacity:
            self.size -= self._entries.popitem(last=False)[1].nbytes
