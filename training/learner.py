"""The decoder that learns: networks, losses, optimizer, and the average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from model.adain import adain, channel_statistics
from model.decoder import Decoder
from model.encoder import Encoder
from model.weights import save_weights
from training.colors import MIDDLE_GREY
from training.losses import content_loss, identity_loss, range_loss, style_loss
from training.pairs import Pair
from training.processes import Process, add_gradients, autocast
from training.schedule import learning_rate

Network = TypeVar("Network", bound=nn.Module)
RANGE_WEIGHT = 10.0
BETAS = (0.9, 0.99)
MAX_GRADIENT_NORM = 5.0
# What the average keeps of itself at each step of a long run; less in the first few hundred.
AVERAGE_DECAY = 0.999
AVERAGE_DELAY = 50
# Of the pictures that random weights make, against those that keep the features' scale.
FIRST_CONTRAST = 0.05


class DecoderLearner:
    """A decoder on its way.

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
        decoder: Decoder,
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
        self._decode = process.wrap(decoder)
        self._rate = rate
        self._optimizer = torch.optim.Adam(decoder.parameters(), betas=BETAS, fused=True)
        self._weights = torch.tensor(
            [1.0, style_weight, RANGE_WEIGHT, identity_weight], device=process.device
        )
        self._autocast = autocast(process.device, dtype)

    @property
    def average(self) -> Decoder:
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
        take_step(self._optimizer, learning_rate(self._rate, fraction))
        self._mean.update(self.decoder)
        return terms

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return {
            "decoder": self.decoder.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            **self._mean.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self.decoder.load_state_dict(state["decoder"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._mean.load_state_dict(state)

    def save(self, folder: Path) -> None:
        """Write the averaged weights to decoder.safetensors."""
        save_weights(self.average, folder / "decoder.safetensors")

    def _losses(self, batch: Pair) -> tuple[Tensor, Tensor]:
        with self._autocast:
            with torch.no_grad():
                styles = [channel_statistics(tap) for tap in self.encoder.taps(batch.style)]
                target = adain(self.encoder(batch.content), styles[-1])
            image = self._decode(target)
            taps = self.encoder.taps(image)
        results = [channel_statistics(tap) for tap in taps]
        terms = torch.stack(
            [
                content_loss(taps[-1], target),
                style_loss(results, styles),
                range_loss(image),
                identity_loss(image, batch.content, batch.identity),
            ]
        )
        return (self._weights * terms).sum(), terms


def take_step(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Change the optimizer's weights by their gradients, which are bounded in their norm."""
    for group in optimizer.param_groups:
        nn.utils.clip_grad_norm_(group["params"], MAX_GRADIENT_NORM)
        group["lr"] = rate
    optimizer.step()


class Average(Generic[Network]):
    """The exponential mean of a network's weights, which paints better than any one step's.

    Attributes:
        network: with these weights.
    """

    def __init__(self, network: Network) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._updates = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Take in the weights of a step."""
        self._updates += 1
        decay = min(AVERAGE_DECAY, self._updates / (self._updates + AVERAGE_DELAY))
        for average, current in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return {"average": self.network.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self.network.load_state_dict(state["average"])
        self._updates = state["updates"]


def initialize(decoder: Decoder, seed: int) -> None:
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
