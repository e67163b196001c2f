"""What changes during a run: its progress, crop size, batch size and learning rate."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from model.pixels import MIN_SIDE, STRIDE
from training.errors import TrainingError

# The learning rate rises over this share of a run.
WARM_UP = 0.02
# The learning rate falls to this share of its peak.
FINAL_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run.

    Attributes:
        side: side of the crops, in pixels.
        batch: pairs of a batch.
        share: share of the whole run, in (0, 1].
    """

    side: int
    batch: int
    share: float


def parse_stages(texts: Sequence[str], batch: int) -> tuple[Stage, ...]:
    """Return the stages written as SIDE[xBATCH][@PERCENT], such as 96x8@35.

    Args:
        texts: one per stage, in order. Stages without a percentage share what is left alike.
        batch: of stages that name none.

    Raises:
        TrainingError: a stage is written otherwise or out of bounds, or percentages do not
            add up to 100.
    """
    parts = []
    for text in texts:
        match = re.fullmatch(r"(\d+)(?:x(\d+))?(?:@(\d+(?:\.\d+)?))?", text)
        if not match:
            raise TrainingError(f"a stage is SIDE[xBATCH][@PERCENT], such as 96x8@35, not {text!r}")
        side, size, percent = match.groups()
        if int(side) < MIN_SIDE or int(side) % STRIDE:
            raise TrainingError(
                f"crops must have a multiple of {STRIDE} pixels a side, {MIN_SIDE} or more, "
                f"not {side}"
            )
        parts.append((int(side), int(size or batch), percent))
    named = sum(float(percent) for *_, percent in parts if percent)
    unnamed = [percent for *_, percent in parts].count(None)
    if min(size for _, size, _ in parts) < 1:
        raise TrainingError("a batch must have at least one pair")
    if named > 100 or (unnamed == 0 and named != 100) or (unnamed and named == 100):
        raise TrainingError(f"the stages' percentages must add up to 100, not {named:g}")
    rest = (100 - named) / unnamed if unnamed else 0
    return tuple(
        Stage(side, size, (float(percent) if percent else rest) / 100)
        for side, size, percent in parts
    )


def stage_at(stages: Sequence[Stage], fraction: float) -> Stage:
    """Return the stage when `fraction` in [0, 1] of the run is done."""
    for stage in stages:
        fraction -= stage.share
        if fraction < 0:
            return stage
    return stages[-1]


def learning_rate(peak: float, fraction: float, warm_up: float = WARM_UP) -> float:
    """Return the rate when so much of the run is done: a linear rise, then half a cosine down."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    return peak * min(1.0, fraction / warm_up) * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def steady_rate(peak: float, fraction: float, cool: float, warm_up: float = WARM_UP) -> float:
    """Return the rate when so much of the run is done: a rise, a plateau, a fall to almost nothing.

    Args:
        peak: on the plateau.
        fraction: how much of the run is done, in [0, 1].
        cool: share of the run in which the rate falls, the last; 0 for a run that another one will
            go on from. What looks like the end of learning at a constant rate is its noise.
        warm_up: share of the run in which it rises.
    """
    fall = min(1.0, (1 - fraction) / cool) if cool else 1.0
    return peak * min(1.0, fraction / warm_up) * max(FINAL_RATE, fall)


class TrainingBudget:
    """How long to train, in steps or in minutes."""

    def __init__(self, steps: int | None, minutes: float | None) -> None:
        """Take exactly one of the two.

        Raises:
            TrainingError: none or both are given, or one that is not above 0.
        """
        if (steps is None) == (minutes is None):
            raise TrainingError("give either steps or minutes, to say how long to train")
        given = minutes if steps is None else steps
        if given is None or not 0 < given < math.inf:
            raise TrainingError(f"steps and minutes must be above 0 and finite, not {given}")
        self._steps = steps
        self._seconds = 60 * given

    def fraction(self, step: int, seconds: float) -> float:
        """Return how far a run is after so many steps and seconds: from 0 to 1 at its end."""
        done = seconds / self._seconds if self._steps is None else step / self._steps
        return min(1.0, done)
