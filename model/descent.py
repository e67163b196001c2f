"""Descent: a picture that moves to where an objective is less, step by step."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from model.errors import AdainError
from model.image import to_pixels
from model.objective import Losses

Clock = Callable[[], float]
Objective = Callable[[Tensor], Losses]
Optimizer = Literal["lbfgs", "adam"]
# Gradients that L-BFGS remembers. With 100 the loss ends 1 to 2 % lower, for 2.4 GB a megapixel.
HISTORY = 20
# How far the first step of L-BFGS moves the pixels in the mean, before it knows any curvature.
FIRST_MOVE = 0.01
# Of pixels in [0, 1].
ADAM_RATE = 0.02
# The loss has stopped falling when it fell by less than this share over so many steps.
STILL = 1e-3
WINDOW = 20
# A loss so many times the least one so far will not come back by itself.
RUNAWAY = 10.0
MAX_RESTARTS = 5


class DivergenceError(AdainError):
    """A loss that is not finite, where no better picture is known."""

    code = "not-finite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When to end, whichever comes first; the loss may stop falling before.

    Attributes:
        steps: evaluations of loss and gradient.
        seconds: of all steps; None: no bound.
    """

    steps: int = 300
    seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """An evaluated picture on the way.

    Attributes:
        number: from 1.
        seconds: since the start.
        fraction: how much of the budget is used, in (0, 1].
        total, content, style: its losses, see `Losses`.
        image: 1 x 3 x H x W, on the device, not clipped.
    """

    number: int
    seconds: float
    fraction: float
    total: float
    content: float
    style: float
    image: Tensor

    def pixels(self) -> np.ndarray:
        """Return the picture as H x W x 3 uint8."""
        return to_pixels(self.image)


def descend(
    objective: Objective,
    initial: Tensor,
    budget: Budget,
    *,
    optimizer: Optimizer = "lbfgs",
    clock: Clock = time.perf_counter,
) -> Iterator[Step]:
    """Yield the best picture so far after each step; whoever has enough stops asking.

    A step to where the loss is not finite, or far higher than before, is taken back, and half the
    step size tried from the best picture; what happens too often ends the descent.

    Args:
        objective: the losses of a picture; their `total` is to fall.
        initial: 1 x 3 x H x W, in [0, 1], on the encoder's device; stays as it is.
        budget: see `Budget`.
        optimizer: L-BFGS, or Adam, which takes more steps of less memory.
        clock: returns seconds.

    Raises:
        DivergenceError: the loss of the initial picture is not finite.
    """
    started = clock()
    # L-BFGS reads the gradient as one vector, which another layout would not give it.
    image = initial.detach().clone(memory_format=torch.contiguous_format)
    best = image.clone()
    least, content, style = math.inf, math.inf, math.inf
    falling: deque[float] = deque(maxlen=WINDOW)
    rate, restarts = 1.0, 0
    step = stepper(image, optimizer, rate)
    for number in range(1, budget.steps + 1):
        before = image.detach().clone()
        losses = step(objective)
        total = losses.total.item()
        if not total < RUNAWAY * least:  # a loss that is not a number is less than nothing
            restarts += 1
            if least == math.inf:
                raise DivergenceError(
                    f"the loss is {total} at the start: choose smaller weights, or another picture "
                    "to start from"
                )
            rate /= 2
            image = best.clone()
            step = stepper(image, optimizer, rate)
        elif total < least:
            least, content, style = total, losses.content.item(), losses.style.item()
            best = before
        seconds = clock() - started
        fraction = number / budget.steps
        if budget.seconds is not None:
            fraction = max(fraction, min(1.0, seconds / budget.seconds))
        yield Step(number, seconds, fraction, least, content, style, best)
        still = len(falling) == WINDOW and least > falling[0] * (1 - STILL)
        if fraction >= 1 or still or least == 0 or restarts > MAX_RESTARTS:
            return
        falling.append(least)


def stepper(image: Tensor, name: Optimizer, rate: float) -> Callable[[Objective], Losses]:
    """Return what moves `image` once, and returns the losses of where it was before."""
    image.requires_grad_()
    engine: torch.optim.Optimizer
    if name == "adam":
        engine = torch.optim.Adam([image], lr=rate * ADAM_RATE)
    else:
        # One evaluation a step, so that each is seen; no tolerances, since we watch the loss.
        engine = torch.optim.LBFGS(
            [image],
            # PyTorch divides the first gradient, and only that, by the sum of its magnitudes.
            lr=rate * FIRST_MOVE * image.numel(),
            max_iter=1,
            history_size=HISTORY,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

    def step(objective: Objective) -> Losses:
        seen: list[Losses] = []

        def evaluate() -> Tensor:
            engine.zero_grad()
            losses = objective(image)
            losses.total.backward()  # type: ignore[no-untyped-call]
            seen.append(Losses(*(loss.detach() for loss in losses)))
            return losses.total

        engine.step(evaluate)  # type: ignore[no-untyped-call]
        if name == "lbfgs":
            engine.param_groups[0]["lr"] = rate
        return seen[0]

    return step
