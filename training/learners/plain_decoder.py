"""Training the paper's decoder: its losses, and Adam (Huang & Belongie 2017, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.adain import adain, channel_statistics
from model.losses import range_loss
from model.networks.encoder import Encoder, relu
from model.networks.plain_decoder import PlainDecoder
from model.weights import save_weights
from training.colors import MIDDLE_GREY
from training.data.pairs import Pair
from training.learners.base import BaseLearner
from training.learners.optimizers import BETAS, Average, take_step
from training.loop.processes import Process, add_gradients, autocast
from training.loop.schedule import learning_rate
from training.losses import identity_loss, style_loss

RANGE_WEIGHT = 10.0
MAX_GRADIENT_NORM = 5.0
# Contrast of the first pictures, relative to weights that keep the features' scale.
FIRST_CONTRAST = 0.05


class PlainLearner(BaseLearner):
    """A decoder in training.

    Attributes:
        terms: names of the losses.
        encoder: frozen.
        decoder: what the optimizer changes.
        device: where all of them are.
    """

    terms: tuple[str, ...] = ("content", "style", "range", "identity")

    def __init__(
        self,
        encoder: Encoder,
        decoder: PlainDecoder,
        process: Process,
        *,
        rate: float,
        style_weight: float,
        identity_weight: float,
        dtype: torch.dtype,
    ) -> None:
        """Set up the optimizer.

        Args:
            encoder, decoder: float32, anywhere.
            process: says on which device, and with whom gradients are averaged.
            rate: peak of the learning rate.
            style_weight, identity_weight: what these losses count, where the content loss counts 1.
            dtype: in which convolutions are computed; weights and losses stay float32.
        """
        self.device = process.device
        for network in (encoder, decoder):
            network.to(process.device).to(memory_format=torch.channels_last)
        self.encoder = encoder.requires_grad_(False)
        self.decoder = decoder
        self._mean = Average(decoder)
        self._decode = process.wrap(Decoding(decoder))
        self._rate = rate
        self._optimizer = torch.optim.Adam(decoder.parameters(), betas=BETAS, fused=True)
        self.parts = {"decoder": decoder, "optimizer": self._optimizer, "average": self._mean}
        self._weights = torch.tensor(
            [1.0, style_weight, RANGE_WEIGHT, identity_weight], device=process.device
        )
        self._autocast = autocast(process.device, dtype)
        self._last: Tensor | None = None  # what was decoded last

    @property
    def average(self) -> PlainDecoder:
        """The decoder with the exponential mean of the weights, which is what is used."""
        return self._mean.network

    def learn(self, batches: Sequence[Pair], fraction: float) -> Tensor:
        """Take one step of Adam.

        Args:
            batches: on the device.
            fraction: how far the run is, in [0, 1].

        Returns:
            The losses, unweighted, by `terms`; on the device, not waited for.
        """
        self._optimizer.zero_grad()
        terms = add_gradients(self._decode, batches, self._losses)
        take_step(self._optimizer, learning_rate(self._rate, fraction), MAX_GRADIENT_NORM)
        self._mean.update(self.decoder)
        return terms

    def save(self, folder: Path) -> None:
        """Write the averaged weights to decoder.safetensors."""
        save_weights(self.average, folder / "decoder.safetensors")

    @torch.no_grad()
    def dead_shares(self) -> dict[str, float]:
        """Return the share of each layer's channels that never fire on the last batch."""
        dead = {}

        def spy(name: str, x: Tensor) -> Tensor:
            dead[name] = 1 - (x > 0).any(3).any(2).any(0).float().mean().item()
            return relu(x)

        if self._last is not None:
            self.average.decode(self._last, spy)
        return dead

    def _losses(self, batch: Pair) -> tuple[Tensor, Tensor]:
        with self._autocast:
            with torch.no_grad():
                styles = [channel_statistics(tap) for tap in self.encoder(batch.style)]
                content = self.encoder(batch.content)[-1].float()
                target = adain(styles[-1], channel_statistics(content))(content)
            self._last = target
            image = self._decode(target)
            taps = self.encoder(image)
        results = [channel_statistics(tap) for tap in taps]
        terms = torch.stack(
            [
                F.mse_loss(taps[-1].float(), target),
                style_loss(results, styles),
                range_loss(image),
                identity_loss(image, batch.content, batch.identity),
            ]
        )
        return (self._weights * terms).sum(), terms


class Decoding(nn.Module):
    """The decoder as a module whose `forward` takes the features alone, for `Process.wrap`."""

    def __init__(self, decoder: PlainDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: Tensor) -> Tensor:
        """Return N x 3 x H x W of relu4_1; see `PlainDecoder.decode`."""
        return self.decoder.decode(features)


def initialize(decoder: PlainDecoder, seed: int) -> None:
    """Give the decoder random weights that keep the features' scale (He et al. 2015).

    Its first pictures are nearly middle grey: far from there, hundreds of steps would go to find
    the range of colours.
    """
    random = torch.Generator().manual_seed(seed)
    for name, tensor in decoder.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(tensor)
        else:
            nn.init.kaiming_normal_(tensor, nonlinearity="relu", generator=random)
    with torch.no_grad():
        decoder.conv1_1.weight *= FIRST_CONTRAST
    nn.init.constant_(decoder.get_parameter("conv1_1.bias"), MIDDLE_GREY)
