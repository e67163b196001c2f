"""What the service and its engines share: the model, jobs, results, and the engine itself.

Jobs and results are data that can go to another process.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from PIL import Image

from model.optimization.optimize import Optimization
from model.painting import Painting
from model.style import Style, StyleLayout
from model.stylizer import Stylizer

# The interval between progress events of a job, in seconds.
EVENT_SECONDS = 0.25
# What each further region, and a pixel of a style to encode, costs against a pixel to paint.
REGION_WORK, STYLE_WORK = 0.4, 0.5
# What a second of refinement costs, in pixels to paint.
REFINE_WORK = 1_000_000
Stage = Literal["decoding", "queued", "painting", "refining", "encoding"]


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """How a result is refined (see `model.optimization.optimize`).

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
        client: who asks; clients take turns.
    """

    painting: Painting
    styles: Sequence[Style | Image.Image]
    style_size: int
    refinement: Refinement | None = None
    client: str = ""

    @property
    def work(self) -> float:
        """About what the job costs, in pixels that are painted in one known style."""
        width, height = self.painting.content.size
        regions = len(self.styles) if self.painting.masks else 1
        unknown = sum(not isinstance(style, Style) for style in self.styles)
        painted = width * height * (1 + REGION_WORK * (regions - 1))
        work = painted + STYLE_WORK * unknown * self.style_size**2
        if self.refinement is not None:
            work += REFINE_WORK * (self.refinement.optimization.budget.seconds or 0)
        return work

    def goes_with(self, other: Job) -> bool:
        """Whether both can be in one batch."""
        alike = self.painting.content.size == other.painting.content.size
        return alike and self.refinement is None and other.refinement is None


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What an engine made of a job, and how long that took.

    Attributes:
        pixels: for the painting's `finish`.
        styles: all of the job's, encoded.
        style_seconds: that computing those took which were not known, and what they let pass.
        refine_seconds: that the refinement took, where there was one.
        queue_seconds: from the asking to the start of the work.
        model_seconds: from the start to the end of the work, all of its batch and what it let pass.
        batch: how many jobs were painted at once.
    """

    pixels: np.ndarray
    styles: list[Style]
    style_seconds: float
    refine_seconds: float | None = None
    queue_seconds: float = 0.0
    model_seconds: float = 0.0
    batch: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class RefinementStep:
    """A step of a refinement.

    Attributes:
        result: the best picture so far, as if the refinement had ended with it.
        step: steps taken.
        fraction: how much of its time is used, in (0, 1].
        content, style: losses of that picture.
    """

    result: Result
    step: int
    fraction: float
    content: float
    style: float


class JobStatus:
    """The progress of a job: the engine writes it, and the caller reads it in other threads.

    Attributes:
        stage: reached so far.
        refined: the last step of its refinement.
        enough: set where the picture so far is to be the result.
        gone: set where nobody waits for the result any more.
    """

    def __init__(self) -> None:
        self.stage: Stage = "decoding"
        self.refined: RefinementStep | None = None
        self.enough = threading.Event()
        self.gone = threading.Event()

    def enter(self, stage: Stage) -> None:
        """Note that a stage is reached."""
        self.stage = stage

    def show(self, refined: RefinementStep) -> None:
        """Note how far the refinement is."""
        self.stage = "refining"
        self.refined = refined


@dataclass(frozen=True, slots=True)
class Model:
    """Which model an engine runs.

    Attributes:
        device: such as cpu or cuda:0.
        precision: such as bfloat16.
        layout: what its styles look like.
    """

    device: str
    precision: str
    layout: StyleLayout

    @property
    def weights(self) -> str:
        """The weights' fingerprint."""
        return self.layout.weights

    @classmethod
    def of(cls, stylizer: Stylizer) -> Model:
        """Describe a stylizer."""
        precision = str(stylizer.dtype).removeprefix("torch.")
        return cls(str(stylizer.device), precision, stylizer.layout)


class Engine(Protocol):
    """Paints jobs.

    Attributes:
        ready: whether it paints at once, the first request too.
    """

    ready: bool

    async def start(self) -> Model:
        """Begin to get ready, and return which model it is."""

    async def stylize(self, job: Job, status: JobStatus) -> Result:
        """Paint a job, and note in `status` how far it is.

        If the caller is cancelled while its job is queued, the job is dropped.

        Raises:
            Exception: what the model raised for this job.
        """

    def close(self) -> None:
        """Drop queued jobs; nobody waits for the running ones."""
