"""The progress of a run: shown as a bar and in TensorBoard, and kept in a record."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from training.errors import TrainingError

# How much of the running mean of the losses each step keeps.
SMOOTHING = 0.98
# Steps between points in TensorBoard.
SCALAR_STEPS = 20


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """A step that is done.

    Attributes:
        step: its number, from 1.
        fraction: how far the run is, in [0, 1].
        values: losses and whatever else has a curve, by name.
        steps_per_second: since the start or the resume.
        waiting: share of that time in which the step waited for pictures.
    """

    step: int
    fraction: float
    values: Mapping[str, float]
    steps_per_second: float
    waiting: float


class RunningMean:
    """Exponential means of the values, which vary from step to step."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def __call__(self, progress: TrainingProgress) -> None:
        """Take in a step."""
        for name, value in progress.values.items():
            before = self.values.get(name, value)
            self.values[name] = SMOOTHING * before + (1 - SMOOTHING) * value


class Bar:
    """A progress bar with the mean losses, the rate, and the time that is left."""

    def __init__(self, fraction: float, means: RunningMean) -> None:
        form = "{percentage:5.1f}%|{bar}| {elapsed}<{remaining}{postfix}"
        # Into a file each state of the bar is a line of its own.
        seconds = 1.0 if sys.stderr.isatty() else 60.0
        self._bar = tqdm(
            total=1.0,
            initial=min(1.0, fraction),
            bar_format=form if sys.stderr.isatty() else form + "\n",
            mininterval=seconds,
            maxinterval=seconds,
        )
        self._means = means

    def __call__(self, progress: TrainingProgress) -> None:
        """Show a step."""
        losses = {name: f"{value:.4g}" for name, value in self._means.values.items()}
        rate = f"{progress.steps_per_second:.3g}/s"
        self._bar.set_postfix({"step": progress.step, **losses, "rate": rate}, refresh=False)
        self._bar.update(min(1.0, progress.fraction) - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class Board:
    """TensorBoard: curves of the values, and sheets of pictures."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open the folder of logs.

        Args:
            folder: where to write.
            step: steps done; what a run that is resumed wrote beyond it is hidden.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrainingError("TensorBoard is missing: pip install 'adain[train]'") from error
        self._writer = SummaryWriter(folder, purge_step=step)

    def __call__(self, progress: TrainingProgress) -> None:
        """Write a step's values, some of the time."""
        if progress.step % SCALAR_STEPS:
            return
        speed = {"steps per second": progress.steps_per_second, "waiting": progress.waiting}
        for name, value in {**progress.values, **speed}.items():
            self._writer.add_scalar(name, value, progress.step)

    def note(self, values: Mapping[str, float], step: int) -> None:
        """Write values that are known now and then."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def show(self, sheet: Image.Image, step: int) -> None:
        """Write a sheet of pictures."""
        self._writer.add_image("sheet", np.asarray(sheet), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write what a model card needs to know of a run, with what it ran on, as JSON."""
    path.write_text(json.dumps({**record, "ran_on": environment()}, indent=2, default=str) + "\n")


def environment() -> dict[str, object]:
    """Return versions and machine."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    packages = ("torch", "torchvision", "numpy", "pillow")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "adain": version("adain"),
        "commit": commit(),
        "gpu": gpu,
        "cpu_threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """Return the commit of the checkout that this file is in, if it is in one."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
