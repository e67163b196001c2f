"""Practising a style: training what a decoder changes for one style alone.

Predicted from a style's statistics, the modulation is a good guess; trained for that one style it
is better (Dumoulin et al. 2017 add styles to a trained network this way), and changes of low rank
of the convolutions' weights are better still (Hu et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from model.conditioning import condition
from model.files import STYLE_SUFFIX, write_whole
from model.networks.decoder import Decoder
from model.networks.encoder import Encoder
from model.style import Change, Style
from training.data.pairs import Pair
from training.learners.base import BaseLearner
from training.learners.optimizers import BETAS, Average, take_step
from training.loop.processes import Process, add_gradients
from training.loop.schedule import steady_rate
from training.objective import Content, PaintingLosses, Target, TermWeights, draw_detail

MAX_GRADIENT_NORM = 3.0


class PractisedStyle(nn.Module):
    """The trained numbers of a style.

    Attributes:
        modulation: 1 x M.
        left, right: the factors of each convolution's change, by name.
    """

    def __init__(self, start: Style, decoder: Decoder, rank: int, seed: int) -> None:
        """Start from a style, which is changed in nothing yet.

        Args:
            start: as the decoder predicts it.
            decoder: says which convolutions there are.
            rank: the rank of their changes; 0 trains the modulation alone.
            seed: seeds `right`; `left` starts at 0.
        """
        super().__init__()
        assert start.modulation is not None
        self._start = start
        self.modulation = nn.Parameter(start.modulation.clone())
        self.left, self.right = nn.ParameterDict(), nn.ParameterDict()
        random = torch.Generator().manual_seed(seed)
        for name, (outputs, inputs) in decoder.style_shapes[1].items() if rank else ():
            most = min(rank, outputs)
            right = torch.randn(most, inputs, generator=random) / inputs**0.5
            self.left[name] = nn.Parameter(self.modulation.new_zeros(outputs, most))
            self.right[name] = nn.Parameter(right.to(self.modulation))

    def style(self) -> Style:
        """Return the style as it is now."""
        changes = {name: Change(self.left[name], self.right[name]) for name in self.left}
        return replace(self._start, modulation=self.modulation, changes=changes)


class Painter(nn.Module):
    """From contents to pictures in the style, as one module for `Process.wrap`."""

    def __init__(self, decoder: Decoder, practised: PractisedStyle) -> None:
        super().__init__()
        self.decoder, self.practised = decoder, practised

    def forward(self, content: Content, detail: float) -> Tensor:
        """Return N x 3 x H x W; see `Decoder.forward`."""
        told = condition(self.practised.style(), content.own)
        painted: Tensor = self.decoder(content.image, content.taps, [told], detail=detail)
        return painted


class StyleLearner(BaseLearner):
    """A style in training, with a frozen decoder.

    Attributes:
        terms: names of the losses.
        device: where all of it is.
    """

    terms: tuple[str, ...] = PaintingLosses.terms

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        start: Style,
        picture: Tensor,
        process: Process,
        *,
        rank: int,
        rate: float,
        weights: TermWeights,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        """Set up the optimizer.

        Args:
            encoder, decoder: float32, anywhere.
            start: the style, as they predict it.
            picture: the style picture in its size, 1 x 3 x H x W in [0, 1].
            process: says on which device, and with whom gradients are averaged.
            rank: the rank of the convolutions' changes; 0 trains the modulation alone.
            rate: peak of the learning rate.
            weights: the weights of the losses.
            seed: seeds all random choices.
            dtype: in which convolutions are computed; weights and losses stay float32.
        """
        self.device = process.device
        self._criterion = PaintingLosses(encoder, self.device, dtype)
        self._decoder = decoder.to(self.device).requires_grad_(False)
        self._practised = PractisedStyle(start.to(self.device), decoder, rank, seed)
        self._target: Target = self._criterion.encode(picture.to(self.device)).as_target()
        self._mean = Average(self._practised)
        self._paint = process.wrap(Painter(self._decoder, self._practised))
        self._adam = torch.optim.Adam(self._practised.parameters(), betas=BETAS, fused=True)
        self.parts = {"style": self._practised, "adam": self._adam, "average": self._mean}
        self._rate, self._seed = rate, seed
        self._weights = weights.of(self.terms).to(self.device)

    def learn(self, batches: Sequence[Pair], fraction: float) -> Tensor:
        """Take one step of Adam; see `training.loop.run.Learner`."""
        self._practised.zero_grad()
        terms = add_gradients(self._paint, batches, self._losses)
        take_step(self._adam, steady_rate(self._rate, fraction, cool=1.0), MAX_GRADIENT_NORM)
        self._mean.update(self._practised)
        return terms

    def style(self) -> Style:
        """Return the style with the averaged numbers, on the CPU."""
        with torch.no_grad():
            return self._mean.network.style().to(torch.device("cpu"))

    def save(self, folder: Path) -> None:
        """Write the style to style.adain."""
        write_whole(folder / f"style{STYLE_SUFFIX}", self.style().to_bytes())

    @torch.no_grad()
    def compare(self, contents: Sequence[Tensor], style: Style, detail: float) -> dict[str, float]:
        """Return the mean losses of a style over contents, 1 x 3 x H x W each in [0, 1]."""
        decoder, style = self._decoder, style.to(self.device)
        values = []
        for image in contents:
            content = self._criterion.encode(image.to(self.device))
            told = [condition(style, content.own)]
            painted = decoder(content.image, content.taps, told, detail=detail)
            values.append(self._criterion.losses(painted, content, self._target, detail))
        means = torch.stack(values).mean(0).tolist()
        return dict(zip(self.terms, means, strict=True))

    def _losses(self, batch: Pair) -> tuple[Tensor, Tensor]:
        content = self._criterion.encode(batch.content)
        detail = draw_detail(self._seed, int(batch.position[0]))
        image = self._paint(content, detail)
        terms = self._criterion.losses(image, content, self._target, detail)
        return (self._weights * terms).sum(), terms
