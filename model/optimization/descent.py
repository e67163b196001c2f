"""Gradient descent on the pixels of a picture."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from model.errors import AdainError
from model.optimization.objective import Losses

Clock = Callable[[], float]
LossFunction = Callable[[Tensor], Losses]
Optimizer = Literal["lbfgs", "adam"]
# Gradients in L-BFGS's history. 100 end 1 to 2 % lower, and take 2.4 GB a megapixel.
HISTORY = 20
# The mean change of a pixel in the first step of L-BFGS, which knows no curvature yet.
FIRST_MOVE = 0.01
# Adam's learning rate, for pixels in [0, 1].
ADAM_RATE = 0.02
# The loss has converged when it falls by less than this share over WINDOW steps.
STILL = 1e-3
WINDOW = 20
# A loss that exceeds the least one so far by this factor does not recover by itself.
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
        seconds: the time for all steps; None: no bound.
    """

    steps: int = 300
    seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DescentStep:
    """A picture that was evaluated during the descent.

    Attributes:
        number: from 1.
        seconds: since the first step began.
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


def descend(
    objective: LossFunction,
    initial: Tensor,
    budget: Budget,
    *,
    optimizer: Optimizer = "lbfgs",
    levels: int = 1,
    clock: Clock = time.perf_counter,
) -> Iterator[DescentStep]:
    """Yield the best picture so far after each step; stop iterating to end.

    A step to a loss that is not finite, or far higher than before, is undone, and half the step
    size tried from the best picture; too many of them end the descent.

    Args:
        objective: the losses of a picture; their `total` is to fall.
        initial: 1 x 3 x H x W, in [0, 1], on the encoder's device; stays as it is.
        budget: see `Budget`.
        optimizer: L-BFGS, or Adam, which takes more steps of less memory.
        levels: levels of the pyramid that is optimised; 1 is the pixels themselves.
        clock: returns seconds.

    Raises:
        DivergenceError: the loss of the initial picture is not finite.
    """
    pyramid = Pyramid(initial.detach(), levels)
    best = pyramid.base
    least, content, style = math.inf, math.inf, math.inf
    falling: deque[float] = deque(maxlen=WINDOW)
    rate, restarts = 1.0, 0
    step = stepper(pyramid, optimizer, rate)
    # Only now: with its first optimizer PyTorch imports its compiler, for 2 seconds or more.
    started = clock()
    for number in range(1, budget.steps + 1):
        before, losses = step(objective)
        total = losses.total.item()
        if not total < RUNAWAY * least:  # also where the loss is not a number
            restarts += 1
            if least == math.inf:
                raise DivergenceError(
                    f"the loss is {total} at the start: choose smaller weights, or another picture "
                    "to start from"
                )
            rate /= 2
            pyramid = Pyramid(best, levels)
            step = stepper(pyramid, optimizer, rate)
        elif total < least:
            least, content, style = total, losses.content.item(), losses.style.item()
            best = before
        seconds = clock() - started
        fraction = number / budget.steps
        if budget.seconds is not None:
            fraction = max(fraction, min(1.0, seconds / budget.seconds))
        yield DescentStep(number, seconds, fraction, least, content, style, best)
        still = len(falling) == WINDOW and least > falling[0] * (1 - STILL)
        if fraction >= 1 or still or least == 0 or restarts > MAX_RESTARTS:
            return
        falling.append(least)


class Pyramid:
    """A picture as the sum of a base and of levels from fine to coarse, which are what learns.

    In pixels the gradient of a style loss is nearly all fine detail, and large areas take hundreds
    of steps to change their colour; a coarse level moves them at once. ("Feature visualization" by
    Olah, Mordvintsev & Schubert 2017 learns Fourier coefficients for the same reason.)

    Attributes:
        base: 1 x 3 x H x W.
        levels: 1 x 3 x H/2^k x W/2^k for k = 0, 1, ..., sides rounded up; all 0 at first.
    """

    def __init__(self, base: Tensor, levels: int) -> None:
        self.base = base
        height, width = base.shape[2:]
        self.levels = [
            # Contiguous: L-BFGS views each gradient as a vector.
            base.new_zeros((1, 3, -(-height // 2**k), -(-width // 2**k))).requires_grad_()
            for k in range(levels)
        ]

    def image(self) -> Tensor:
        """Return the picture; gradients go through it to the levels."""
        size = self.base.shape[2:]
        image = self.base + self.levels[0]
        for level in self.levels[1:]:
            image = image + F.interpolate(level, size, mode="bilinear", align_corners=False)
        return image


def stepper(
    pyramid: Pyramid, name: Optimizer, rate: float
) -> Callable[[LossFunction], tuple[Tensor, Losses]]:
    """Return a function that takes one step, and returns the picture before it with its losses."""
    engine: torch.optim.Optimizer
    if name == "adam":
        engine = torch.optim.Adam(pyramid.levels, lr=rate * ADAM_RATE)
    else:
        # One evaluation a step, so that each is seen; no tolerances: `descend` watches the loss.
        engine = torch.optim.LBFGS(
            pyramid.levels,
            # PyTorch divides the first gradient, and only the first, by its L1 norm.
            lr=rate * FIRST_MOVE * pyramid.base.numel() / len(pyramid.levels),
            max_iter=1,
            history_size=HISTORY,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

    def step(objective: LossFunction) -> tuple[Tensor, Losses]:
        seen: list[tuple[Tensor, Losses]] = []

        def evaluate() -> Tensor:
            engine.zero_grad()
            image = pyramid.image()
            losses = objective(image)
            losses.total.backward()  # type: ignore[no-untyped-call]
            seen.append((image.detach(), Losses(*(loss.detach() for loss in losses))))
            return losses.total

        engine.step(evaluate)  # type: ignore[no-untyped-call]
        if name == "lbfgs":
            engine.param_groups[0]["lr"] = rate
        return seen[0]

    return step
