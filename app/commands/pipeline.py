"""Many results, one after another: the next content is read while one is painted and one written.

The model keeps all cores busy for most of the time; reading and writing pictures take a core, and
so they do not wait for each other.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from PIL import Image

from app.commands.contact_sheet import ContactSheet
from app.commands.optimization import Interrupted
from app.commands.outputs import STANDARD_OUTPUT, Task, format_written
from app.commands.painters import Painter
from app.commands.reports import Report
from app.commands.sources import read_source
from app.settings import Settings
from model.deep import shallow
from model.errors import AdainError, naming
from model.files import write_whole
from model.formats import check_writable
from model.images import encode_image, read_image, unscaled
from model.metadata import Metadata, metadata_of_result, read_metadata, read_recipe
from model.recipe import digest, recipe_of
from model.scaling import longest_factor, scaled_size

# Contents that are read before their turn, and results that wait to be written, beside a batch.
AHEAD = 1


@dataclass(frozen=True, slots=True)
class Content:
    """A content that is read.

    Attributes:
        picture: as `read_image` returns it.
        metadata: for the result.
        recipe: of the result.
        size: of the result, width and height.
    """

    picture: Image.Image
    metadata: Metadata
    recipe: dict[str, Any]
    size: tuple[int, int]


Batch = list[tuple[Task, Content]]


class Pipeline:
    """Reads, paints and writes; a context, which at its end waits for what is being written."""

    def __init__(
        self,
        args: argparse.Namespace,
        painter: Painter,
        settings: Settings,
        report: Report,
        sheet: ContactSheet | None,
        stop: threading.Event,
    ) -> None:
        self._args, self._painter, self._settings = args, painter, settings
        self._report, self._sheet, self._stop = report, sheet, stop
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: deque[Future[None]] = deque()
        self._last: tuple[str, bytes] | None = None
        # How many contents are painted at once.
        self._most = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.shutdown(cancel_futures=True)
        self._writer.shutdown()

    def run(self, tasks: Sequence[Task]) -> Iterator[Task]:
        """Make the results, and yield each task once it is painted, skipped or failed.

        Contents that follow each other and give results of one size are painted at once. Errors of
        a picture are reported, and the next one follows.

        Raises:
            KeyboardInterrupt: it is to stop; results that were painted are written.
        """
        batch: Batch = []
        for task, content in self._read_all(tasks):
            if self._stop.is_set():
                raise KeyboardInterrupt
            if content is None:
                yield task
                continue
            if batch and not goes_with(batch, task, content):
                yield from self._paint(batch)
                batch = []
            batch.append((task, content))
            self._most = self._painter.at_once(content.size)
            if len(batch) >= self._most:
                yield from self._paint(batch)
                batch = []
        if batch:
            yield from self._paint(batch)
        while self._writing:
            self._writing.popleft().result()

    def _read_all(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Content | None]]:
        """Yield the contents of tasks; None where that is reported as skipped or failed."""
        waiting = iter(tasks)
        reading: deque[tuple[Task, Future[Content | None]]] = deque()
        while True:
            while len(reading) < AHEAD + self._most and (task := next(waiting, None)) is not None:
                reading.append((task, self._reader.submit(self._read, task)))
            if not reading:
                return
            task, future = reading.popleft()
            content = None
            try:
                content = future.result()
                if content is None:
                    self._report.skipped(str(task.output), "it is there already")
            except (AdainError, OSError) as error:
                self._report.failed(task.content, error)
            yield task, content

    def _read(self, task: Task) -> Content | None:
        """Read a content; None where its result is there already."""
        data = self._read_source(task.content)
        recipe = self._recipe(task, data)
        there = self._args.skip_existing and task.output.is_file()
        if there and read_recipe(task.output.read_bytes()) == recipe:
            return None
        size = self._args.size
        factor = partial(longest_factor, longest=size) if size else unscaled
        with naming(task.content):
            picture = read_image(data, max_pixels=self._settings.max_pixels, factor=factor)
            result = scaled_size(picture.size, factor(picture.size))
            check_writable(result, format_written(task, self._args.format))
        source = read_metadata(data)
        if self._args.color_profile == "srgb":
            source = replace(source, profile=b"")
        metadata = metadata_of_result(source, result, recipe, keep_gps=self._args.keep_gps)
        return Content(picture, metadata, recipe, result)

    def _read_source(self, source: str) -> bytes:
        """Return a source's bytes; what was read last is kept, as standard input ends."""
        if self._last is None or self._last[0] != source:
            self._last = source, read_source(source)
        return self._last[1]

    def _paint(self, batch: Batch) -> Iterator[Task]:
        """Paint contents at once, or each by itself where that fails; yield their tasks."""
        started = time.monotonic()
        results = self._try(batch, started)
        if results is None and len(batch) > 1:
            for each in batch:
                yield from self._paint([each])
            return
        seconds = (time.monotonic() - started) / len(batch)
        if results is not None:
            for (task, content), result in zip(batch, results, strict=True):
                self._submit(task, content, result, seconds)
        yield from (task for task, _ in batch)

    def _try(self, batch: Batch, started: float) -> list[Image.Image | np.ndarray] | None:
        """Return the results of contents; None where that fails, which of one is reported."""
        task, content = batch[0]
        try:
            with naming(task.content):
                works = [(each.picture, own.style) for own, each in batch]
                return self._painter.paint(works, self._stop)
        except Interrupted as error:
            self._submit(task, content, error.picture, time.monotonic() - started)
            raise
        except Exception as error:
            # Several may not fit the memory, or one of them be at fault.
            if len(batch) == 1:
                if not isinstance(error, (AdainError, OSError)):
                    raise
                self._report.failed(task.content, error)
        return None

    def _submit(
        self, task: Task, content: Content, result: Image.Image | np.ndarray, seconds: float
    ) -> None:
        """Have a result written; wait where many wait for that."""
        while len(self._writing) >= AHEAD + self._most:
            self._writing.popleft().result()
        self._writing.append(self._writer.submit(self._write, task, content, result, seconds))

    def _write(
        self, task: Task, content: Content, result: Image.Image | np.ndarray, seconds: float
    ) -> None:
        try:
            with naming(task.output):
                quality = self._args.quality
                name = format_written(task, self._args.format)
                data = encode_image(result, name, quality, content.metadata)
            if task.output == STANDARD_OUTPUT:
                sys.stdout.buffer.write(data)
                return
            task.output.parent.mkdir(parents=True, exist_ok=True)
            write_whole(task.output, data)
        except (AdainError, OSError) as error:
            self._report.failed(task.content, error)
            return
        shown = shallow(result)
        if self._sheet is not None:
            self._sheet.add(task.output.name, shown)
        self._report.painted(
            str(task.output),
            input=task.content,
            width=shown.width,
            height=shown.height,
            recipe=content.recipe,
            device=str(self._painter.device),
            seconds=round(seconds, 3),
        )

    def _recipe(self, task: Task, content: bytes) -> dict[str, Any]:
        styles = self._painter.styles
        args = self._args
        return recipe_of(
            self._painter.controls,
            styles if task.style is None else [styles[task.style]],
            weights=self._painter.weights,
            style_size=args.style_size,
            method=None if args.method == "adain" else args.method,
            refine=args.refine or None,
            content=digest(content),
        )


def goes_with(batch: Batch, task: Task, content: Content) -> bool:
    """Whether a content can be painted together with those of a batch.

    The same content in another style gains nothing by that: its features are known then.
    """
    before, first = batch[-1]
    return task.content != before.content and content.size == first.size
