"""Paint jobs of one size as a batch; each succeeds or fails by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.engine.interface import Job, JobStatus, RefinementStep, Result
from model.networks.pauses import pausing
from model.optimization.optimize import optimize
from model.style import Style
from model.stylizer import Stylizer


class AbandonedError(Exception):
    """The caller has gone away; no one reads this error."""


def paint_all(
    stylizer: Stylizer,
    jobs: Sequence[Job],
    statuses: Sequence[JobStatus],
    pause: Callable[[], None],
) -> list[Result | Exception]:
    """Return the result of each of several jobs of one size, or the exception that it raised.

    `pause` is called between styles that are encoded, parts of a picture, steps of a refinement,
    and, on a CPU, layers of the networks: what else the model has to do can be done then. Work that
    nobody waits for any more ends there.
    """

    def pause_or_end() -> None:
        if all(status.gone.is_set() for status in statuses):
            raise AbandonedError
        pause()

    for status in statuses:
        status.enter("painting")
    # A GPU is soon done with a layer, and has less memory for others in the middle of a picture.
    with pausing(pause_or_end if stylizer.device.type == "cpu" else lambda: None):
        encoded = [encode_styles(stylizer, job, pause_or_end) for job in jobs]
        good = [
            (job, styles)
            for job, styles in zip(jobs, encoded, strict=True)
            if isinstance(styles, EncodedStyles)
        ]
        painted = iter(paint(stylizer, good, pause_or_end))
        results = [next(painted) if isinstance(each, EncodedStyles) else each for each in encoded]
        if jobs[0].refinement is not None and isinstance(results[0], Result):
            return [refine(stylizer, jobs[0], results[0], statuses[0], pause_or_end)]
        return results


@dataclass(frozen=True, slots=True, eq=False)
class EncodedStyles:
    """A job's encoded styles, and the seconds that encoding took."""

    styles: list[Style]
    seconds: float


def encode_styles(
    stylizer: Stylizer, job: Job, pause: Callable[[], None]
) -> EncodedStyles | Exception:
    """Encode the styles of a job that are pictures."""
    styles, seconds = [], 0.0
    for style in job.styles:
        if isinstance(style, Style):
            styles.append(style)
            continue
        try:
            pause()
            started = time.perf_counter()
            styles.append(stylizer.encode_style(style, style_size=job.style_size))
        except Exception as error:
            return error
        seconds += time.perf_counter() - started
    return EncodedStyles(styles, seconds)


def paint(
    stylizer: Stylizer,
    work: Sequence[tuple[Job, EncodedStyles]],
    pause: Callable[[], None],
) -> list[Result | Exception]:
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
            [each.styles for each in encoded],
            on_part=lambda done, total: pause(),
        )
    except Exception as error:
        if len(work) == 1:
            return [error]
    else:
        return [
            Result(own, each.styles, each.seconds)
            for own, each in zip(pixels, encoded, strict=True)
        ]
    half = len(work) // 2
    return paint(stylizer, work[:half], pause) + paint(stylizer, work[half:], pause)


def refine(
    stylizer: Stylizer, job: Job, result: Result, status: JobStatus, pause: Callable[[], None]
) -> Result | Exception:
    """Refine a result until its time is over or someone ends it."""
    started = time.perf_counter()
    how = job.refinement
    assert how is not None
    try:
        for progress in optimize(
            stylizer, job.painting, how.styles, how.optimization, result.pixels
        ):
            step, seconds = progress.step, time.perf_counter() - started
            result = replace(result, pixels=progress.pixels(), refine_seconds=seconds)
            status.show(
                RefinementStep(result, step.number, progress.fraction, step.content, step.style)
            )
            if status.enough.is_set():
                break
            pause()
    except Exception as error:
        return error
    return result
