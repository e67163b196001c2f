"""Pairs of content and style crops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from training.data.pictures import Pictures
from training.loop.stream import Place, Stream


class Pair(NamedTuple):
    """One item, or with one dimension more, a batch.

    Attributes:
        content, style: 3 x S x S, float32 in [0, 1].
        identity: 1 where the content is its own style and should come back unchanged, else 0.
        position: in the stream, from 0.
    """

    content: Tensor
    style: Tensor
    identity: Tensor
    position: Tensor


def random_crop(picture: Tensor, side: int, random: np.random.Generator) -> Tensor:
    """Return a random square of a picture, mirrored half of the time.

    The square has three quarters of `side` pixels at least, where the picture has them, and at
    most the picture's shorter side, small ones more often; it is then scaled to `side`, so strokes
    are seen at several scales.

    Args:
        picture: 3 x H x W uint8.
        side: side of the result, in pixels.
        random: says which square.

    Returns:
        3 x side x side, float32 in [0, 1].
    """
    height, width = picture.shape[1:]
    shorter = min(height, width)
    least = max(1, min(side * 3 // 4, shorter))
    cut = round(least * (shorter / least) ** (random.random() ** 1.3))
    top, left = int(random.integers(height - cut + 1)), int(random.integers(width - cut + 1))
    mirrored = bool(random.integers(2))
    crop = picture[:, top : top + cut, left : left + cut].float() / 255
    if mirrored:
        crop = crop.flip(2)
    if cut == side:
        return crop
    scaled = F.interpolate(crop[None], (side, side), mode="bilinear", antialias=cut > side)
    return scaled[0].clamp(0, 1)


class Pairs(Dataset[Pair]):
    """Random pairs from two sets of pictures; each a function of the seed and its position."""

    def __init__(
        self,
        contents: Pictures,
        styles: Pictures,
        *,
        identity_share: float,
        reconstruction: float,
        seed: int,
        workers: int,
    ) -> None:
        """Take pictures from two sets.

        Args:
            contents, styles: the pictures.
            identity_share: how many contents are their own style, in [0, 1].
            reconstruction: the first part of the run, in [0, 1], in which all are.
            seed: seeds all random choices.
            workers: processes that decode pictures which are not in memory.
        """
        self.contents, self.styles = contents, styles
        self._identity_share, self._reconstruction = identity_share, reconstruction
        self._seed, self._workers = seed, workers

    @classmethod
    def of_contents(cls, contents: Pictures, *, seed: int, workers: int) -> Pairs:
        """Take contents alone: each is its own style, which costs nothing."""
        return cls(
            contents,
            contents,
            identity_share=1.0,
            reconstruction=0.0,
            seed=seed,
            workers=workers,
        )

    def __getitem__(self, place: Place) -> Pair:
        """Return the pair at a place."""
        chance, for_content, for_style = self._draws(place.position)
        position = torch.tensor(place.position)
        content = random_crop(self.contents.draw(for_content), place.side, for_content)
        if chance < self._identity_share or place.fraction < self._reconstruction:
            return Pair(content, content, content.new_ones(()), position)
        style = random_crop(self.styles.draw(for_style), place.side, for_style)
        return Pair(content, style, content.new_zeros(()), position)

    def batches(self, stream: Stream, device: torch.device) -> Iterator[Pair]:
        """Yield the batches of a stream.

        Args:
            stream: says which.
            device: where to put them; images are laid out channels last.
        """
        in_memory = self.contents.in_memory and self.styles.in_memory
        loader = DataLoader(
            self,
            batch_sampler=stream,
            num_workers=0 if in_memory else self._workers,
            pin_memory=device.type == "cuda" and not in_memory,
        )
        for content, style, identity, position in loader:
            yield Pair(
                to_device(content, device),
                to_device(style, device),
                identity.to(device, non_blocking=True),
                position,
            )

    def describe(self, batch: Pair) -> str:
        """Return the names of a batch's pictures."""
        names = []
        flags = zip(batch.position.tolist(), batch.identity.tolist(), strict=True)
        for position, identity in flags:
            _, for_content, for_style = self._draws(position)
            style = "itself" if identity else self.styles.name_drawn(for_style)
            names.append(f"{self.contents.name_drawn(for_content)} in {style}")
        return "; ".join(names)

    def course(self) -> dict[str, object]:
        """Return what decides a run's course."""
        return {"contents": self.contents.digest, "styles": self.styles.digest}

    def _draws(self, position: int) -> tuple[float, np.random.Generator, np.random.Generator]:
        """Return what a pair is drawn from: identity or not, the content, the style."""
        seeds = np.random.SeedSequence((self._seed, position)).spawn(3)
        chance, content, style = map(np.random.default_rng, seeds)
        return chance.random(), content, style


def to_device(images: Tensor, device: torch.device) -> Tensor:
    """Return images on a device, in the layout that convolutions are fastest in."""
    return images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
