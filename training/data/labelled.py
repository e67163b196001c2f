"""Labelled pictures as squares of one size, in memory, and batches of them at random.

One size lets a whole batch be cut, turned and coloured in a few operations, without which a GPU
would wait for a classifier's small pictures.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from model.errors import AdainError
from training.data.pictures import PictureFile, digest, find_pictures, read_all
from training.errors import TrainingError
from training.loop.stream import Stream

LOG = logging.getLogger(__name__)
# One picture of so many is held out of training.
HELD_OUT = 20
# Bounds of the random changes: share of the area that is cut out, its aspect ratio, the angle it
# is turned by in degrees, and factors of brightness, contrast and saturation.
AREA = (0.3, 1.0)
ASPECT = (3 / 4, 4 / 3)
ANGLE = 15.0
JITTER = (0.6, 1.4)


class Batch(NamedTuple):
    """Pictures with their classes.

    Attributes:
        image: N x 3 x S x S, float32 in [0, 1].
        label: N, int64.
        position: N, in the stream.
    """

    image: Tensor
    label: Tensor
    position: Tensor


class LabelledPictures:
    """Labelled squares.

    Attributes:
        classes: names of the folders that the pictures lie in; labels count through them.
        images: N x 3 x S x S uint8, on a device.
        labels: N, int64, on the same.
        files: where they come from.
        held_out: which of them are not trained on.
        skipped: how many files could not be used.
    """

    def __init__(
        self, sources: Sequence[Path], *, side: int, device: torch.device, seed: int
    ) -> None:
        """Read the middle square of every picture.

        Args:
            sources: folders and zip files with a folder for each class.
            side: S, in pixels; squares are scaled to it.
            device: where to keep them.
            seed: seeds all random choices.

        Raises:
            TrainingError: no picture can be used, or all are of one class.
        """
        files = find_pictures(sources)
        self.files: list[PictureFile] = []
        squares = []
        for file, square in read_all(files, lambda file: read_square(file, side)):
            self.files.append(file)
            squares.append(square)
        self.skipped = len(files) - len(self.files)
        self.classes = sorted({file.label for file in self.files})
        if len(self.classes) < 2:
            raise TrainingError(
                f"a classifier needs a folder of pictures for each of two classes or more, and "
                f"{len(self.files)} usable pictures lie in {len(self.classes)}"
            )
        numbers = {name: number for number, name in enumerate(self.classes)}
        labels = [numbers[file.label] for file in self.files]
        self.images = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).to(device)
        self.labels = torch.tensor(labels, device=device)
        self._seed = seed
        self.held_out = held_out(labels)
        self._trained_on = torch.tensor(
            sorted(set(range(len(labels))) - set(self.held_out)), device=device
        )

    def batches(self, stream: Stream, device: torch.device) -> Iterator[Batch]:
        """Yield the batches of a stream, randomly cut, turned and coloured."""
        for places in stream:
            position = torch.tensor([place.position for place in places])
            index = self._index(position)
            random = torch.Generator(device).manual_seed(self._seed + int(position[0]))
            images = self.images[index].float() / 255
            cut = random_squares(images, places[0].side, random)
            yield Batch(random_colors(cut, random), self.labels[index], position)

    def describe(self, batch: Batch) -> str:
        """Return the names of a batch's pictures."""
        return "; ".join(str(self.files[i]) for i in self._index(batch.position).tolist())

    def course(self) -> dict[str, object]:
        """Return what decides a run's course."""
        return {"pictures used": digest(self.files)}

    def _index(self, position: Tensor) -> Tensor:
        """Return which pictures are at positions: all of them in turn, shuffled at each turn."""
        count = len(self._trained_on)
        chosen = torch.stack(
            [shuffled(count, self._seed + p // count)[p % count] for p in position.tolist()]
        )
        return self._trained_on[chosen.to(self._trained_on.device)]


@functools.lru_cache(maxsize=2)
def shuffled(count: int, seed: int) -> Tensor:
    """Return the numbers below `count` in a random order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def held_out(labels: Sequence[int]) -> list[int]:
    """Return which of the pictures are not trained on: every twentieth of each class."""
    seen: dict[int, int] = {}
    chosen = []
    for index, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] % HELD_OUT == 0:
            chosen.append(index)
    return chosen


def read_square(file: PictureFile, side: int) -> np.ndarray | None:
    """Return the middle square of a picture, side x side x 3 uint8; None where it has none."""
    try:
        image = file.read()
    except AdainError as error:
        LOG.warning("skipped: %s", error)
        return None
    return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS))


def random_squares(images: Tensor, side: int, random: torch.Generator) -> Tensor:
    """Return a random part of each picture, mirrored half of the time and turned a little.

    Args:
        images: N x 3 x S x S, float32.
        side: side of the results, in pixels.
        random: on the same device.
    """
    count, device = len(images), images.device

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(count, device=device).uniform_(low, high, generator=random)

    area, aspect = draw(*AREA), draw(math.log(ASPECT[0]), math.log(ASPECT[1])).exp()
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    angle = draw(-ANGLE, ANGLE).deg2rad()
    mirror = draw(-1, 1).sign()
    # Rows of the matrices that take the result's coordinates, in [-1, 1], to the picture's.
    x_row = torch.stack(
        [mirror * width * angle.cos(), -height * angle.sin(), draw(-1, 1) * (1 - width)], 1
    )
    y_row = torch.stack(
        [mirror * width * angle.sin(), height * angle.cos(), draw(-1, 1) * (1 - height)], 1
    )
    grid = F.affine_grid(
        torch.stack([x_row, y_row], 1), [count, 3, side, side], align_corners=False
    )
    cut: Tensor = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return cut.contiguous(memory_format=torch.channels_last)


def random_colors(images: Tensor, random: torch.Generator) -> Tensor:
    """Return pictures of a random brightness, contrast and saturation, in [0, 1]."""
    factors = torch.empty(3, len(images), 1, 1, 1, device=images.device)
    brightness, contrast, saturation = factors.uniform_(*JITTER, generator=random)
    images = images * brightness
    grey = images.mean(dim=1, keepdim=True)
    images = grey + saturation * (images - grey)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    changed: Tensor = mean + contrast * (images - mean)
    return changed.clamp(0, 1)
