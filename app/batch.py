"""Stylizations of one size through the model at once; each succeeds or fails alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from model.adain import ChannelStatistics
from model.optimization import Optimization, Progress, optimize
from model.painting import Painting
from model.stylizer import Stylizer
from model.tiling import OnTile


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """What makes a result better (see `model.optimization`).

    Attributes:
        optimization: from AdaIN's result, for some seconds.
        styles: the pictures of all styles, those too whose statistics are known.
        on_step: called after each step; whether to go on.
    """

    optimization: Optimization
    styles: Sequence[Image.Image]
    on_step: Callable[[Progress], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What the model is to do for one request.

    Attributes:
        painting: the content and its controls.
        styles: statistics, or the pictures to compute them from.
        style_size: the shorter side at which these pictures are seen.
        on_start: called as the model begins.
        on_tile: called after each tile of a large content; an error that it raises ends the work.
        refinement: how the result is made better; such a job is a batch by itself.
    """

    painting: Painting
    styles: Sequence[ChannelStatistics | Image.Image]
    style_size: int
    on_start: Callable[[], None] = lambda: None
    on_tile: OnTile = lambda done, total: None
    refinement: Refinement | None = None

    def goes_with(self, other: Job) -> bool:
        """Whether both can be in one batch."""
        alike = self.painting.content.size == other.painting.content.size
        return alike and self.refinement is None and other.refinement is None


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """What the model made of a job.

    Attributes:
        pixels: for the painting's `finish`.
        statistics: of all the job's styles.
        style_seconds: that computing those took which were not known.
        refine_seconds: that the refinement took, where there was one.
    """

    pixels: np.ndarray
    statistics: list[ChannelStatistics]
    style_seconds: float
    refine_seconds: float | None = None


def paint_all(stylizer: Stylizer, jobs: Sequence[Job]) -> list[Painted | Exception]:
    """Return for each of several jobs of one size what was painted, or why it was not."""
    for job in jobs:
        job.on_start()
    encoded = [encode_styles(stylizer, job) for job in jobs]
    good = [(job, of) for job, of in zip(jobs, encoded, strict=True) if isinstance(of, Encoded)]
    painted = iter(paint(stylizer, good))
    results = [next(painted) if isinstance(of, Encoded) else of for of in encoded]
    if jobs[0].refinement is not None and isinstance(results[0], Painted):
        return [refine(stylizer, jobs[0].painting, jobs[0].refinement, results[0])]
    return results


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


def refine(
    stylizer: Stylizer, painting: Painting, refinement: Refinement, painted: Painted
) -> Painted | Exception:
    """Make a result better until the time is over or `on_step` has enough."""
    started = time.perf_counter()
    steps = optimize(stylizer, painting, refinement.styles, refinement.optimization, painted.pixels)
    last = None
    try:
        for last in steps:
            if not refinement.on_step(last):
                break
    except Exception as error:
        return error
    assert last is not None  # there is one step at least
    seconds = time.perf_counter() - started
    return replace(painted, pixels=last.step.pixels(), refine_seconds=seconds)
