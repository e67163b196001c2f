"""Pairs whose contents and styles come back: each is encoded once, and used several times.

Contents and styles are numbered items; a pair draws one of each from a window of the last numbers,
which moves on with the run. Which items make which pair is a function of the seed and the pair's
position alone, so a resumed run goes on to the bit, with any number of processes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.data.pairs import random_crop, to_device
from training.data.patterns import pattern
from training.data.pictures import Pictures
from training.loop.stream import Place, Stream

# Items that a pair draws from, and new ones for each pair: a content is met twice, a style four
# times.
CONTENTS, NEW_CONTENTS = 48, 0.5
STYLES, NEW_STYLES = 256, 0.25
# Shares of contents that are paintings, of styles that are photographs, and of styles that are made
# by program in the colours of one.
PAINTED_CONTENTS = 0.15
PHOTOGRAPHED_STYLES = 0.2
PATTERNS = 0.2


class ReusedPair(NamedTuple):
    """One pair, or with one dimension more, a batch.

    Attributes:
        content, style: 3 x S x S, float32 in [0, 1].
        content_item, style_item: numbers that stand for these very crops.
        identity: 1 where the content is its own style and should come back unchanged, else 0.
        position: in the stream, from 0.
        step: that the pair is learned from, from 0.
    """

    content: Tensor
    style: Tensor
    content_item: Tensor
    style_item: Tensor
    identity: Tensor
    position: Tensor
    step: Tensor


class ReusedPairs(Dataset[ReusedPair]):
    """Random pairs from two sets of pictures; each a function of the seed and its position."""

    def __init__(
        self,
        contents: Pictures,
        styles: Pictures,
        *,
        identity_share: float,
        seed: int,
        workers: int,
    ) -> None:
        """Take pictures from two sets.

        Args:
            contents, styles: the pictures.
            identity_share: how many contents are their own style, in [0, 1].
            seed: seeds all random choices.
            workers: processes that decode pictures which are not in memory.
        """
        self.contents, self.styles = contents, styles
        self._identity_share, self._seed, self._workers = identity_share, seed, workers
        self._content = functools.lru_cache(CONTENTS)(self._make_content)
        self._style = functools.lru_cache(STYLES)(self._make_style)

    def __getitem__(self, place: Place) -> ReusedPair:
        """Return the pair at a place."""
        random = np.random.default_rng((self._seed, place.position))
        identity = random.random() < self._identity_share
        content_item = draw(place.position, CONTENTS, NEW_CONTENTS, random)
        style_item = draw(place.position, STYLES, NEW_STYLES, random)
        content = self._content(content_item, place.side)
        if identity:
            style, style_item = content, content_item
        else:
            style = self._style(style_item, place.side)
        return ReusedPair(
            content,
            style,
            torch.tensor(content_item),
            torch.tensor(style_item),
            content.new_tensor(identity),
            torch.tensor(place.position),
            torch.tensor(place.step),
        )

    def batches(self, stream: Stream, device: torch.device) -> Iterator[ReusedPair]:
        """Yield the batches of a stream.

        Args:
            stream: says which.
            device: where to put them; images are laid out channels last.
        """
        in_memory = self.contents.in_memory and self.styles.in_memory
        # A GPU takes pairs faster than one process makes them.
        alone = in_memory and device.type != "cuda"
        loader = DataLoader(
            self,
            batch_sampler=stream,
            num_workers=0 if alone else self._workers,
            pin_memory=device.type == "cuda",
        )
        for content, style, content_item, style_item, identity, position, step in loader:
            yield ReusedPair(
                to_device(content, device),
                to_device(style, device),
                content_item,
                style_item,
                identity.to(device),
                position,
                step,
            )

    def first_styles(self, count: int, side: int) -> Iterator[Tensor]:
        """Yield some styles as they will be met, 1 x 3 x side x side."""
        for number in range(count):
            yield self._make_style(number, side)[None]

    def describe(self, batch: ReusedPair) -> str:
        """Return the names of a batch's pictures."""
        names = []
        for content, style, identity in zip(
            batch.content_item.tolist(),
            batch.style_item.tolist(),
            batch.identity.tolist(),
            strict=True,
        ):
            pictures, random = self._source("content", content)
            of_style, style_random = self._source("style", style)
            name = "itself" if identity else of_style.name_drawn(style_random)
            names.append(f"{pictures.name_drawn(random)} in {name}")
        return "; ".join(names)

    def course(self) -> dict[str, object]:
        """Return what decides a run's course."""
        return {"contents": self.contents.digest, "styles": self.styles.digest}

    def _make_content(self, item: int, side: int) -> Tensor:
        pictures, random = self._source("content", item)
        return random_crop(pictures.draw(random), side, random)

    def _make_style(self, item: int, side: int) -> Tensor:
        pictures, random = self._source("style", item)
        crop = random_crop(pictures.draw(random), side, random)
        if random.random() < PATTERNS:
            made = pattern(side, crop.flatten(1).T.numpy(), random)
            crop = torch.from_numpy(made).permute(2, 0, 1)
        return recolor(crop, random)

    def _source(self, kind: str, item: int) -> tuple[Pictures, np.random.Generator]:
        """Return which set an item is drawn from, and what it is drawn by."""
        random = np.random.default_rng((self._seed, kind == "style", item))
        photographs = 1 - PAINTED_CONTENTS if kind == "content" else PHOTOGRAPHED_STYLES
        return (self.contents if random.random() < photographs else self.styles), random


def draw(position: int, window: int, new: float, random: np.random.Generator) -> int:
    """Return the number of an item of the window that a pair at a position draws from."""
    return int(position * new) + int(random.integers(window))


def recolor(style: Tensor, random: np.random.Generator) -> Tensor:
    """Return a style in other colours now and then, and mostly as it is.

    Args:
        style: 3 x H x W in [0, 1].
        random: says which colours.
    """
    chance = random.random()
    if chance < 0.15:
        return style[torch.from_numpy(random.permutation(3))]
    if chance < 0.22:
        return style.mean(0, keepdim=True).expand(3, -1, -1).contiguous()
    if chance < 0.27:
        return 1 - style
    gamma = float(np.exp(0.3 * random.normal()))
    return style.clamp_min(1e-3) ** gamma if chance < 0.42 else style
