"""Stylizations of one size through the model at once; each succeeds or fails alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.job import Job, Painted, Refined, Watch
from model.optimization import optimize
from model.style import Style
from model.stylizer import Stylizer


class AbandonedError(Exception):
    """Nobody waits for the result any more, and nobody reads this."""


def paint_all(
    stylizer: Stylizer, jobs: Sequence[Job], watches: Sequence[Watch]
) -> list[Painted | Exception]:
    """Return for each of several jobs of one size what was painted, or why it was not."""
    for watch in watches:
        watch.enter("painting")
    encoded = [encode_styles(stylizer, job) for job in jobs]
    good = [
        (job, watch, of)
        for job, watch, of in zip(jobs, watches, encoded, strict=True)
        if isinstance(of, Encoded)
    ]
    painted = iter(paint(stylizer, good))
    results = [next(painted) if isinstance(of, Encoded) else of for of in encoded]
    if jobs[0].refinement is not None and isinstance(results[0], Painted):
        return [refine(stylizer, jobs[0], results[0], watches[0])]
    return results


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A job's encoded styles, and the seconds that those took which were pictures."""

    styles: list[Style]
    seconds: float


def encode_styles(stylizer: Stylizer, job: Job) -> Encoded | Exception:
    """Encode the styles that are pictures."""
    started = time.perf_counter()
    try:
        styles = [
            style
            if isinstance(style, Style)
            else stylizer.encode_style(style, style_size=job.style_size)
            for style in job.styles
        ]
    except Exception as error:
        return error
    return Encoded(styles, time.perf_counter() - started)


def paint(
    stylizer: Stylizer, work: Sequence[tuple[Job, Watch, Encoded]]
) -> list[Painted | Exception]:
    """Paint as one batch; where that fails, each half of it by itself, down to single jobs.

    So a batch that does not fit the memory is halved until it does, and an error of one job
    reaches that one alone.
    """
    if not work:
        return []
    jobs, watches, encoded = zip(*work, strict=True)

    def on_tile(done: int, total: int) -> None:
        if watches[0].gone.is_set():
            raise AbandonedError

    try:
        pixels = stylizer.paint(
            [job.painting for job in jobs], [of.styles for of in encoded], on_tile=on_tile
        )
    except Exception as error:
        if len(work) == 1:
            return [error]
    else:
        return [
            Painted(own, of.styles, of.seconds) for own, of in zip(pixels, encoded, strict=True)
        ]
    half = len(work) // 2
    return paint(stylizer, work[:half]) + paint(stylizer, work[half:])


def refine(stylizer: Stylizer, job: Job, painted: Painted, watch: Watch) -> Painted | Exception:
    """Make a result better until the time is over, or the picture so far is enough."""
    started = time.perf_counter()
    how = job.refinement
    assert how is not None
    try:
        for progress in optimize(
            stylizer, job.painting, how.styles, how.optimization, painted.pixels
        ):
            step, seconds = progress.step, time.perf_counter() - started
            painted = replace(painted, pixels=step.pixels(), refine_seconds=seconds)
            watch.show(Refined(painted, step.number, progress.fraction, step.content, step.style))
            if watch.enough.is_set() or watch.gone.is_set():
                break
    except Exception as error:
        return error
    return painted
