"""Training the decoder: its losses, its optimizers, and the average of its weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from cachetools import LRUCache
from torch import Tensor, nn

from model.adain import ChannelStatistics
from model.color import ColorMoments
from model.conditioning import condition
from model.networks.convolutions import run
from model.networks.decoder import Decoder, describe
from model.networks.encoder import Encoder
from model.style import Style
from model.weights import save_weights
from training.data.reuse import CONTENTS, STYLES, ReusedPair
from training.learners.base import BaseLearner
from training.learners.optimizers import BETAS, Average, Muon, take_step
from training.loop.processes import Process, add_gradients
from training.loop.schedule import steady_rate
from training.losses import identity_loss
from training.objective import Content, PaintingLosses, Target, TermWeights, draw_detail

# A crop, by its number and its side.
Item = tuple[int, int]
# How fast the weights that `detail` adds change, against the others.
DETAIL_RATE = 0.5
MAX_GRADIENT_NORM = 3.0
# Styles that the inputs are calibrated on, before the first step.
CALIBRATION_STYLES = 256
# Contents, each in a style, by which channels are judged that never fire.
FEW = 8
# Layers whose output is added to another's start with smaller weights.
GAINS = {"conv3_4": 0.7, "conv2_2": 0.7, "conv1_2": 0.7, "skip": 0.7, "residual": 0.3}


class DecoderLearner(BaseLearner):
    """A decoder in training.

    Attributes:
        terms: names of the losses.
        encoder: frozen, in the precision that convolutions are computed in.
        decoder: what the optimizers change.
        device: where both are.
        at_once: whether all pictures of a batch are encoded together, as takes a GPU less time than
            encoding those that are new one after the other.
    """

    terms: tuple[str, ...] = (*PaintingLosses.terms, "identity")

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        process: Process,
        *,
        rate: float,
        muon_rate: float,
        cool: float,
        weights: TermWeights,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        """Set up the optimizers.

        Args:
            encoder, decoder: float32, anywhere.
            process: says on which device, and with whom gradients are averaged.
            rate, muon_rate: peaks of Adam's and of Muon's learning rate.
            cool: share of the run in which the rates fall to nothing, the last.
            weights: the weights of the losses.
            seed: seeds the choice of `detail`.
            dtype: in which convolutions are computed, and Muon's updates; weights and losses stay
                float32.
        """
        self.device = process.device
        self.at_once = self.device.type == "cuda"
        self._criterion = PaintingLosses(encoder, self.device, dtype)
        self.encoder = self._criterion.encoder
        self.decoder = decoder.to(self.device)
        self._mean = Average(decoder)
        self._paint = process.wrap(Painter(decoder))
        matrices: list[Tensor] = []
        changes: list[Tensor] = []
        rest: list[Tensor] = []
        for name, parameter in decoder.named_parameters():
            if parameter.ndim < 4 or ".color." in name:
                rest.append(parameter)
            else:
                (changes if name.startswith("detail.") else matrices).append(parameter)
        self._muon = Muon([matrices, changes], dtype)
        self._adam = torch.optim.Adam(rest, betas=BETAS, fused=True)
        self.parts = {
            "decoder": decoder,
            "muon": self._muon,
            "adam": self._adam,
            "average": self._mean,
        }
        self._rate, self._muon_rate, self._cool, self._seed = rate, muon_rate, cool, seed
        self._weights = weights.of(self.terms).to(self.device)
        self._contents: LRUCache[Item, Content] = LRUCache(CONTENTS)
        self._targets: LRUCache[Item, Target] = LRUCache(STYLES)
        # The contents and styles met last.
        self._met: list[tuple[Content, Target]] = []

    @property
    def average(self) -> Decoder:
        """The decoder with the exponential mean of the weights, which is what is used."""
        return self._mean.network

    @torch.no_grad()
    def calibrate(self, styles: Iterable[Tensor]) -> None:
        """Bring what the decoder is given to mean 0 and deviation 1 over styles.

        Args:
            styles: 1 x 3 x S x S each, in [0, 1]; called once, before the first step.
        """
        every = join([self._look(style.to(self.device)).style for style in styles])
        for decoder in (self.decoder, self.average):
            for number, tap in enumerate(every.taps, 1):
                spread = (tap.std.square().mean(0) + tap.mean.var(0)).sqrt() + 0.02
                decoder.get_buffer(f"center{number}").copy_(tap.mean.mean(0).flatten())
                decoder.get_buffer(f"scale{number}").copy_(1 / spread.flatten())
            numbers = describe(every)
            decoder.modulation.mean.copy_(numbers.mean(0))
            decoder.modulation.std.copy_(numbers.std(0) + 0.02)

    def learn(self, batches: Sequence[ReusedPair], fraction: float) -> Tensor:
        """Take one step of both optimizers; see `training.loop.run.Learner`."""
        self.decoder.zero_grad()
        terms = add_gradients(self._paint, batches, self._losses)
        share = steady_rate(1.0, fraction, self._cool)
        self._muon.step([share * self._muon_rate, DETAIL_RATE * share * self._muon_rate])
        take_step(self._adam, share * self._rate, MAX_GRADIENT_NORM)
        self._mean.update(self.decoder)
        return terms

    def save(self, folder: Path) -> None:
        """Write the averaged weights to decoder.safetensors."""
        save_weights(self.average, folder / "decoder.safetensors")

    @torch.no_grad()
    def dead_shares(self) -> dict[str, float]:
        """Return the share of each layer's channels that never fire on the contents met last."""
        alive: dict[str, Tensor] = {}
        for content, target in self._met:
            for name, fired in firing(self.average, content, target.style).items():
                alive[name] = alive.get(name, torch.zeros_like(fired)) | fired
        return {name: 1 - fired.float().mean().item() for name, fired in alive.items()}

    def _losses(self, batch: ReusedPair) -> tuple[Tensor, Tensor]:
        content, target = self._encode(batch)
        detail = draw_detail(self._seed, int(batch.step[0]))
        image = self._paint(content.image, content.taps, content.own, target.style, detail)
        compared = self._criterion.losses(image, content, target, detail)
        identity = identity_loss(image, content.image, batch.identity)
        terms = torch.cat([compared, identity[None]])
        return (self._weights * terms).sum(), terms

    @torch.no_grad()
    def _encode(self, batch: ReusedPair) -> tuple[Content, Target]:
        """Return the contents and the styles of a batch."""
        if self.at_once:
            content, target = self._criterion.encode(batch.content), self._look(batch.style)
            self._met = [(content, target)]
            return content, target
        contents, targets = self._remember(batch)
        self._met = [*self._met, *zip(contents, targets, strict=True)][-FEW:]
        return stack(contents), Target(
            join([target.style for target in targets]),
            [torch.cat(each) for each in zip(*(t.covariances for t in targets), strict=True)],
            torch.cat([target.palette for target in targets]),
        )

    def _remember(self, batch: ReusedPair) -> tuple[list[Content], list[Target]]:
        """Return the contents and the styles of a batch one by one, encoding those that are new."""
        contents, targets = [], []
        for number, identity in enumerate(batch.identity.tolist()):
            image, style = batch.content[number, None], batch.style[number, None]
            item = int(batch.content_item[number]), image.shape[2]
            if item not in self._contents:
                self._contents[item] = self._criterion.encode(image)
            content = self._contents[item]
            contents.append(content)
            if identity:
                targets.append(content.as_target())
            else:
                item = int(batch.style_item[number]), style.shape[2]
                if item not in self._targets:
                    self._targets[item] = self._look(style)
                targets.append(self._targets[item])
        return contents, targets

    def _look(self, image: Tensor) -> Target:
        return self._criterion.encode(image).as_target()


class Painter(nn.Module):
    """From contents and styles to pictures, as one module for `Process.wrap`."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, image: Tensor, taps: Sequence[Tensor], own: Style, style: Style, detail: float
    ) -> Tensor:
        """Return N x 3 x H x W; see `Decoder.forward`."""
        style = replace(style, modulation=self.decoder.modulate(style))
        painted: Tensor = self.decoder(image, taps, [condition(style, own)], detail=detail)
        return painted


def stack(contents: Sequence[Content]) -> Content:
    """Return contents as one batch."""
    layout = torch.channels_last
    return Content(
        torch.cat([content.image for content in contents]).contiguous(memory_format=layout),
        [
            torch.cat(each).contiguous(memory_format=layout)
            for each in zip(*(content.taps for content in contents), strict=True)
        ],
        join([content.own for content in contents]),
    )


def join(styles: Sequence[Style]) -> Style:
    """Return styles as one of a batch, without modulation."""
    taps = []
    for each in zip(*(style.taps for style in styles), strict=True):
        mean, std = (torch.cat([getattr(tap, name) for tap in each]) for name in ("mean", "std"))
        taps.append(ChannelStatistics(mean, std))
    mean, covariances = map(torch.cat, zip(*(style.colors for style in styles), strict=True))
    return Style(tuple(taps), ColorMoments(mean, covariances))


def firing(decoder: Decoder, content: Content, style: Style) -> dict[str, Tensor]:
    """Return which channels of each layer fire anywhere: C booleans, by the layer's name."""
    fired = {}
    told = condition(replace(style, modulation=decoder.modulate(style)), content.own)
    modulations = decoder.modulation.split(told.modulation)

    def spy(name: str, x: Tensor) -> Tensor:
        modulated = modulations[name](x)
        fired[name] = (modulated > 0).any(3).any(2).any(0)
        return modulated

    inputs = [affine(tap) for affine, tap in zip(decoder.inputs(told), content.taps, strict=True)]
    run(decoder.layers_at(0.0, {}), inputs, spy)
    return fired


def initialize(decoder: Decoder, seed: int) -> None:
    """Give a decoder random weights that keep the features' scale (He et al. 2015).

    Its first pictures are the contents in the styles' colours: the last layer starts at zero, and
    so does all that `detail` adds.
    """
    random = torch.Generator().manual_seed(seed)
    for name, layer in decoder.convolutions.named_children():
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        nn.init.zeros_(bias)
        if name == "color":
            nn.init.zeros_(weight)
            continue
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=random)
        kind = "skip" if name.startswith("skip") else name
        if name.startswith("block") and name.endswith("_2"):
            kind = "residual"
        with torch.no_grad():
            weight.mul_(GAINS.get(kind, 1.0))
    nn.init.normal_(decoder.modulation.out.weight, 0, 0.02, generator=random)
    nn.init.zeros_(decoder.modulation.out.bias)
    for parameter in decoder.detail.parameters():
        nn.init.zeros_(parameter)
    for layer in (decoder.modulation.hidden1, decoder.modulation.hidden2):
        nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=random)
        nn.init.zeros_(layer.bias)
