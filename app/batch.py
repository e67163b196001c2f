"""Stylizations of one size through the model at once; each succeeds or fails alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.adain import ChannelStatistics
from model.painting import Painting
from model.stylizer import Stylizer
from model.tiling import OnTile


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What the model is to do for one request.

    Attributes:
        painting: the content and its controls.
        styles: statistics, or the pictures to compute them from.
        style_size: the shorter side at which these pictures are seen.
        on_start: called as the model begins.
        on_tile: called after each tile of a large content; an error that it raises ends the work.
    """

    painting: Painting
    styles: Sequence[ChannelStatistics | Image.Image]
    style_size: int
    on_start: Callable[[], None] = lambda: None
    on_tile: OnTile = lambda done, total: None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the content: what jobs of one batch have in common."""
        return self.painting.content.size


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """What the model made of a job.

    Attributes:
        pixels: for the painting's `finish`.
        statistics: of all the job's styles.
        style_seconds: that computing those took which were not known.
    """

    pixels: np.ndarray
    statistics: list[ChannelStatistics]
    style_seconds: float


def paint_all(stylizer: Stylizer, jobs: Sequence[Job]) -> list[Painted | Exception]:
    """Return for each of several jobs of one size what was painted, or why it was not."""
    for job in jobs:
        job.on_start()
    encoded = [encode_styles(stylizer, job) for job in jobs]
    good = [(job, of) for job, of in zip(jobs, encoded, strict=True) if isinstance(of, Encoded)]
    painted = iter(paint(stylizer, good))
    return [next(painted) if isinstance(of, Encoded) else of for of in encoded]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The statistics of a job's styles, and the seconds that they took."""

    statistics: list[ChannelStatistics]
    seconds: float


def encode_styles(stylizer: Stylizer, job: Job) -> Encoded | Exception:
    """Compute the statistics that are not known."""
    started = time.perf_counter()
    try:
        statistics = [
            style
            if isinstance(style, ChannelStatistics)
            else stylizer.encode_style(style, style_size=job.style_size)
            for style in job.styles
        ]
    except Exception as error:
        return error
    return Encoded(statistics, time.perf_counter() - started)


def paint(stylizer: Stylizer, work: Sequence[tuple[Job, Encoded]]) -> list[Painted | Exception]:
    """Paint as one batch; where that fails, each half of it by itself, down to single jobs.

    So a batch that does not fit the memory is halved until it does, and an error of one job
    reaches that one alone.
    """
    if not work:
        return []
    jobs, encoded = zip(*work, strict=True)
    try:
        pixels = stylizer.paint(
            [job.painting for job in jobs],
            [of.statistics for of in encoded],
            on_tile=jobs[0].on_tile,
        )
    except Exception as error:
        if len(work) == 1:
            return [error]
    else:
        return [
            Painted(own, of.statistics, of.seconds) for own, of in zip(pixels, encoded, strict=True)
        ]
    half = len(work) // 2
    return paint(stylizer, work[:half]) + paint(stylizer, work[half:])
