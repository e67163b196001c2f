"""Which items make which batch: a function of the step alone, so that runs can be resumed exactly.

Neither the number of processes nor when a run was stopped and resumed decides a batch: a run may
go on with as many as share out its batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch.utils.data import Sampler

from training.loop.schedule import Stage, stage_at


class Place(NamedTuple):
    """An item of the endless stream.

    Attributes:
        position: in the stream, from 0; with the seed, all that decides the item's randomness.
        side: side of its crops, in pixels.
        fraction: how far the run is, in [0, 1].
        step: that the item is learned from, from 0.
    """

    position: int
    side: int
    fraction: float
    step: int = 0


class Stream(Sampler[list[Place]]):
    """The places of one process's batches, without end."""

    def __init__(
        self,
        stages: tuple[Stage, ...],
        fraction: Callable[[int], float],
        *,
        step: int,
        position: int,
        rank: int,
        processes: int,
        share: int = 1,
    ) -> None:
        """Start where a run is.

        Args:
            stages: the run's stages.
            fraction: says how far the run is at a step.
            step, position: steps done and items used, by all processes together.
            rank, processes: which process of how many this one is.
            share: batches that each process takes of a step, one after the other.
        """
        self._stages, self._fraction = stages, fraction
        self._step, self._position = step, position
        self._rank, self._processes, self._share = rank, processes, share

    def __iter__(self) -> Iterator[list[Place]]:
        step, position = self._step, self._position
        while True:
            fraction = self._fraction(step)
            stage = stage_at(self._stages, fraction)
            for number in range(self._share):
                first = position + (self._rank * self._share + number) * stage.batch
                yield [Place(first + i, stage.side, fraction, step) for i in range(stage.batch)]
            position += self._processes * self._share * stage.batch
            step += 1
