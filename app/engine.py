"""What the service needs of whatever runs the model, in this process or in others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.job import Job, Timed, Watch
from model.style import StyleLayout
from model.stylizer import Stylizer


@dataclass(frozen=True, slots=True)
class Model:
    """Which model an engine runs.

    Attributes:
        device: such as cpu or cuda:0.
        precision: such as bfloat16.
        layout: of the styles that it understands.
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

    async def stylize(self, job: Job, watch: Watch) -> Timed:
        """Paint a job, and tell `watch` of it. Who is cancelled while it waits takes it back.

        Raises:
            Exception: what the model raised for this job.
        """

    def close(self) -> None:
        """Drop what waits, and finish what runs."""
