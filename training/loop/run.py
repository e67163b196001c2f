"""The loop that all training shares: steps, the clock, agreement, checkpoints."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from training.errors import TrainingError
from training.loop.checkpoint import load_checkpoint, save_checkpoint
from training.loop.processes import Process
from training.loop.progress import TrainingProgress
from training.loop.schedule import TrainingBudget, parse_stages
from training.loop.settings import TrainingSettings
from training.loop.stream import Stream


class Learner(Protocol):
    """Something that learns.

    Attributes:
        terms: names of the values that `learn` returns.
    """

    terms: tuple[str, ...]

    def learn(self, batches: Sequence[Any], fraction: float) -> Tensor:
        """Take one step on batches, by the mean of their losses, `fraction` of the way.

        Returns:
            The values of `terms`, their means over the batches; on the device, not waited for.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""

    def save(self, folder: Path) -> None:
        """Write the weights that the run is for."""


class Source(Protocol):
    """Where a learner's batches come from."""

    def batches(self, stream: Stream, device: torch.device) -> Iterator[Any]:
        """Yield the batches of a stream; each has its items' `position`, a tensor."""

    def describe(self, batch: Any) -> str:
        """Return the names of a batch's pictures."""

    def course(self) -> dict[str, object]:
        """Return what decides a run's course, as plain values."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """A step that is under way.

    Attributes:
        number: from 1.
        batches: what is learned from.
        values: its losses, the seconds so far, and whether to stop; on the device.
        rate, waiting: steps per second, and the share of time spent waiting for pictures.
    """

    number: int
    batches: Sequence[Any]
    values: Tensor
    rate: float
    waiting: float


class Run:
    """A run, new or resumed.

    Attributes:
        settings: what it was told.
        process: this process among those that train together.
        learner, source: what learns, and what from.
        step, position: steps taken and items seen, by all processes together.
        seconds: that these steps took.
        stopped: whether the run was told to stop before its budget was spent.
    """

    def __init__(
        self, settings: TrainingSettings, process: Process, learner: Learner, source: Source
    ) -> None:
        """Start anew, or where the checkpoint in the folder of the run is.

        Raises:
            TrainingError: the settings do not fit each other or the checkpoint's.
        """
        self.settings, self.process = settings, process
        self.learner, self.source = learner, source
        self._stages = parse_stages(settings.crops, settings.batch)
        self._budget = TrainingBudget(settings.steps, settings.minutes)
        self._share = process.share(settings.step_batches)
        self._course = {
            **settings.course(),
            **source.course(),
            "step_batches": self._share * process.count,
        }
        self.step = self.position = 0
        self.seconds = 0.0
        self.stopped = False
        state = load_checkpoint(self._checkpoint_path, self._course, process.device)
        if state:
            learner.load_state_dict(state["learner"])
            self.step, self.position = state["step"], state["position"]
            self.seconds = state["seconds"]
        process.agree(self.step)
        self._seconds_before = self.seconds

    @property
    def fraction(self) -> float:
        """How far the run is, from 0 to 1 at its end."""
        return self._budget.fraction(self.step, self.seconds)

    def save(self) -> None:
        """Write the checkpoint and the weights, each in one step; only one process does.

        Raises:
            TrainingError: the weights are not finite; what was written before stays.
        """
        if self.process.leads:
            state = {
                "learner": self.learner.state_dict(),
                "step": self.step,
                "position": self.position,
                "seconds": self.seconds,
            }
            save_checkpoint(self._checkpoint_path, self._course, state)
            self.learner.save(self.settings.out)

    def train(self, stop: threading.Event | None = None) -> Iterator[TrainingProgress]:
        """Take steps until the budget is spent or `stop` is set; yield each one's progress.

        Processes that train together take the same number of steps: at each one they agree on the
        time, and on whether any was told to stop.

        Raises:
            TrainingError: a loss is not finite; the message names the step and the batch.
        """
        stop = stop or threading.Event()
        device = self.process.device
        batches = self.source.batches(self._stream(), device)
        first, start, waited = self.step, time.monotonic(), 0.0
        previous = None
        while self.fraction < 1 and not self.stopped:
            asked = time.monotonic()
            own = list(islice(batches, self._share))
            waited += time.monotonic() - asked
            terms = self.learner.learn(own, self.fraction)
            self.step += 1
            self.position += sum(len(batch.position) for batch in own) * self.process.count
            seconds = time.monotonic() - start
            status = torch.tensor([self._seconds_before + seconds, stop.is_set()])
            values = self.process.average(torch.cat([terms, status.to(device)]))
            rate = (self.step - first) / seconds
            current = TrainingStep(self.step, own, values, rate, waited / seconds)
            # A step's losses are read once the next is queued, so that a GPU never waits for us.
            if previous:
                yield self._finish(previous)
            previous = current
        if previous:
            yield self._finish(previous)

    def _finish(self, step: TrainingStep) -> TrainingProgress:
        """Wait for a step's values, and take note of them."""
        *terms, self.seconds, stop = step.values.tolist()
        self.stopped = self.stopped or stop > 0
        values = dict(zip(self.learner.terms, terms, strict=True))
        if not all(map(math.isfinite, terms)):
            shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
            pictures = "; ".join(map(self.source.describe, step.batches))
            raise TrainingError(
                f"the loss is not finite at step {step.number} ({shown}); the batch: {pictures}. "
                "Lower the rate or the weights of the losses "
                f"and start from an earlier step, such as that of {self._checkpoint_path}"
            )
        return TrainingProgress(step.number, self.fraction, values, step.rate, step.waiting)

    def _stream(self) -> Stream:
        return Stream(
            self._stages,
            lambda step: self._budget.fraction(step, self.seconds),
            step=self.step,
            position=self.position,
            rank=self.process.rank,
            processes=self.process.count,
            share=self._share,
        )

    @property
    def _checkpoint_path(self) -> Path:
        return self.settings.out / "checkpoint.pt"
