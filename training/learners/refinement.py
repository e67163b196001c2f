"""Refine an encoder: teach relu4_1 to keep colours, while the taps stay close to what they were."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.networks.encoder import Encoder
from training.colors import ColorHead, color_loss, fit
from training.data.pairs import Pair
from training.learners.base import BaseLearner
from training.loop.processes import Process, add_gradients, autocast
from training.loop.schedule import learning_rate
from training.loop.settings import SOURCES, STAGES, PictureSettings, setting

BETAS = (0.9, 0.99)
# The head, whose weights are larger, learns faster than the encoder, which then need not suit it.
HEAD_RATE_FACTOR = 4.0
# Share of the run in which the rate rises: Adam's first steps are long, and an encoder that they
# throw off recovers slowly.
WARM_UP = 0.1
FIT_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineSettings(PictureSettings):
    """The settings of a run."""

    pictures: Sequence[Path] = setting(
        "folders (at any depth) or zip files of pictures of all kinds", **SOURCES
    )
    encoder: Path | None = setting("weights in place of the bundled encoder", None, type=Path)
    color_weight: float = setting("weight of the colour loss", 60.0, bounds=(0, math.inf))
    rate: float = setting("peak of the learning rate", 3e-4, bounds=(1e-8, 10))
    crops: Sequence[str] = setting("the run's stages, see training.decoder", ("96x12",), **STAGES)


class Networks(nn.Module):
    """The encoder that changes, and the head that reads colours off it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ColorHead()

    def forward(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the taps, and the colours read off the last; see `ColorHead`."""
        taps = self.encoder(image)
        return taps, self.head(taps[-1])


class RefineLearner(BaseLearner):
    """An encoder in training.

    Attributes:
        terms: the colour loss, and by how much of its variance each tap has moved.
        encoder: what the optimizer changes.
    """

    terms: tuple[str, ...] = ("color", "moved1", "moved2", "moved3", "moved4")

    def __init__(
        self,
        encoder: Encoder,
        process: Process,
        *,
        rate: float,
        color_weight: float,
        dtype: torch.dtype,
    ) -> None:
        """Set up the optimizer; `fit_head` must come before the first step.

        Args:
            encoder: float32, with normalised filters.
            process: says on which device, and with whom gradients are averaged.
            rate: peak of the learning rate.
            color_weight: what the colour loss counts, where each tap's distance counts 1.
            dtype: in which convolutions are computed; weights and losses stay float32.
        """
        networks = Networks(encoder)
        networks.to(process.device).to(memory_format=torch.channels_last)
        self.encoder = networks.encoder
        self._networks = networks
        self._before = copy.deepcopy(encoder).requires_grad_(False)
        self._forward = process.wrap(networks)
        groups = [{"params": part.parameters()} for part in (encoder, networks.head)]
        self._optimizer = torch.optim.Adam(groups, betas=BETAS, fused=True)
        self.parts = {"networks": networks, "optimizer": self._optimizer}
        self._rate, self._color_weight = rate, color_weight
        self._autocast = autocast(process.device, dtype)

    @torch.no_grad()
    def fit_head(self, images: Tensor) -> None:
        """Fit the head to the features as they are: the encoder would else move to suit it.

        Args:
            images: N x 3 x S x S in [0, 1], on the device.
        """
        with self._autocast:
            features = [self.encoder(batch)[-1] for batch in torch.split(images, FIT_BATCH)]
        fit(self._networks.head, torch.cat(features), images)

    def learn(self, batches: Sequence[Pair], fraction: float) -> Tensor:
        """Take one step of Adam on the batches' contents; see `training.loop.run.Learner`."""
        self._optimizer.zero_grad()
        terms = add_gradients(self._forward, batches, self._losses)
        rate = learning_rate(self._rate, fraction, WARM_UP)
        encoder, head = self._optimizer.param_groups
        head["lr"] = HEAD_RATE_FACTOR * rate
        encoder["lr"] = rate
        self._optimizer.step()
        return terms

    def _losses(self, batch: Pair) -> tuple[Tensor, Tensor]:
        with self._autocast:
            with torch.no_grad():
                before = self._before(batch.content)
            taps, colors = self._forward(batch.content)
        moved = [relative_distance(tap, old) for tap, old in zip(taps, before, strict=True)]
        color = color_loss(colors, batch.content)
        loss = torch.stack(moved).sum() + self._color_weight * color
        return loss, torch.stack([color, *moved])

    def save(self, folder: Path) -> None:
        """Write nothing; the encoder is written once its filters are normalised again."""


def relative_distance(features: Tensor, before: Tensor) -> Tensor:
    """Return the mean squared distance of features, as a share of their variance before."""
    before = before.float()
    return F.mse_loss(features.float(), before) / before.var()
