"""What an engine is asked for, and what it answers: data that can go to another process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from model.optimization import Optimization
from model.painting import Painting
from model.style import Style

Stage = Literal["decoding", "queued", "painting", "refining", "encoding"]


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """What makes a result better (see `model.optimization`).

    Attributes:
        optimization: from AdaIN's result, for some seconds.
        styles: the pictures of all styles, those too that are encoded already.
    """

    optimization: Optimization
    styles: Sequence[Image.Image]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What the model is to do for one request.

    Attributes:
        painting: the content and its controls.
        styles: encoded, or the pictures to encode.
        style_size: the shorter side at which these pictures are seen.
        refinement: how the result is made better; such a job is a batch by itself.
    """

    painting: Painting
    styles: Sequence[Style | Image.Image]
    style_size: int
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
        styles: all of the job's, encoded.
        style_seconds: that computing those took which were not known.
        refine_seconds: that the refinement took, where there was one.
    """

    pixels: np.ndarray
    styles: list[Style]
    style_seconds: float
    refine_seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A refinement on its way.

    Attributes:
        painted: the best picture so far, as if the refinement had ended with it.
        step: steps taken.
        fraction: of the seconds that it was given, in (0, 1].
        content, style: losses of that picture.
    """

    painted: Painted
    step: int
    fraction: float
    content: float
    style: float


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """What the model made of a job, and how long that took.

    Attributes:
        painted: the result.
        queue_seconds: from the asking to the start of the work.
        model_seconds: from the start to the end of the work, all of its batch.
        batch: how many jobs were painted at once.
    """

    painted: Painted
    queue_seconds: float
    model_seconds: float
    batch: int


class Watch:
    """What is known of a job in work: the engine writes, and who asked reads, in other threads.

    Attributes:
        stage: reached so far.
        refined: how far its refinement is.
        enough: set where the picture so far is to be the result.
        gone: set where nobody waits for the result any more.
    """

    def __init__(self) -> None:
        self.stage: Stage = "decoding"
        self.refined: Refined | None = None
        self.enough = threading.Event()
        self.gone = threading.Event()

    def enter(self, stage: Stage) -> None:
        """Note that a stage is reached."""
        self.stage = stage

    def show(self, refined: Refined) -> None:
        """Note how far the refinement is."""
        self.stage = "refining"
        self.refined = refined
