"""Train an image transformation network for a set of styles (Johnson 2016, Dumoulin 2017).

    python -m training.network --content photos --style paintings --out runs/net --minutes 90

Each picture of --style is one style, called by its file's name. The same command again resumes. The
folder --out gets style_network.safetensors (the averaged weights, in float16), checkpoint.pt,
sheet.png, record.json, and logs for TensorBoard.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from model.controls import DEFAULT_STYLE_SIZE, MAX_STYLE_SIZE, MIN_STYLE_SIZE, fit_style
from model.images import flatten
from model.losses import gram, gram_loss, smoothness_loss
from model.networks.encoder import Encoder
from model.networks.style_network import StyleNetwork
from model.pixels import network_input, to_pixels
from model.weights import load_encoder, load_style_network, save_style_network
from training.data.pairs import Pair, Pairs
from training.data.pictures import Pictures, find_pictures, load_if_they_fit, readable
from training.decoder import LONGEST_CROPS, SHEET_CELL, SHEET_PICTURES
from training.errors import TrainingError
from training.learners.base import BaseLearner
from training.learners.optimizers import BETAS, Average, take_step
from training.loop.command import command_parser, follow, guarded, record
from training.loop.processes import Process, add_gradients, autocast, training_dtype
from training.loop.run import Run
from training.loop.schedule import learning_rate, parse_stages
from training.loop.settings import SOURCES, PictureSettings, add_arguments, read_settings, setting
from training.sheet import tile

MAX_GRADIENT_NORM = 5.0
CONTENT_TAP = "relu3_3"
STYLE_TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PictureSettings):
    """The settings of a run."""

    content: Sequence[Path] = setting(
        "folders (at any depth) or zip files of content pictures", **SOURCES
    )
    style: Sequence[Path] = setting("the same of style pictures, each of them a style", **SOURCES)
    style_size: int = setting(
        "shorter side at which the styles are seen, in pixels",
        DEFAULT_STYLE_SIZE,
        bounds=(MIN_STYLE_SIZE, MAX_STYLE_SIZE),
    )
    content_tap: str = setting("layer that contents are compared at", CONTENT_TAP)
    style_taps: Sequence[str] = setting(
        "layers that styles are compared at", STYLE_TAPS, type=str, nargs="+"
    )
    style_weight: float = setting("weight of the style loss", 10.0, bounds=(0, math.inf))
    smoothness: float = setting("weight of the total variation", 1.0, bounds=(0, math.inf))
    pixel_weight: float = setting(
        "weight of the distance to the content's pixels", 0.0, bounds=(0, math.inf)
    )
    encoder: Path | None = setting("weights in place of the bundled encoder", None, type=Path)
    network: Path | None = setting("weights to start from; else random ones", None, type=Path)


class StyleNetworkLearner(BaseLearner):
    """A style network in training.

    Attributes:
        terms: names of the losses.
        average: the network with the exponential mean of the weights, which is what is used.
        device: where it is.
    """

    terms: tuple[str, ...] = ("content", "style", "smoothness", "pixel")

    def __init__(
        self,
        encoder: Encoder,
        network: StyleNetwork,
        styles: Sequence[Tensor],
        process: Process,
        settings: Settings,
    ) -> None:
        """Set up the optimizer, and compute the styles' Gram matrices.

        Args:
            encoder, network: float32, anywhere.
            styles: 1 x 3 x H x W in [0, 1], one for each of the network's names.
            process: says on which device, and with whom gradients are averaged.
            settings: weights of the losses, layers, rate.

        Raises:
            ParameterError: the encoder has no layer of a name in the settings.
        """
        self.device = process.device
        for each in (encoder, network):
            each.to(process.device).to(memory_format=torch.channels_last)
        self._encoder = encoder.requires_grad_(False)
        self._network = network
        self.average = Average(network)
        self._paint = process.wrap(network)
        self._settings = settings
        self._optimizer = torch.optim.Adam(network.parameters(), betas=BETAS, fused=True)
        self.parts = {
            "network": network,
            "optimizer": self._optimizer,
            "average": self.average,
        }
        self._weights = torch.tensor(
            [1.0, settings.style_weight, settings.smoothness, settings.pixel_weight],
            device=process.device,
        )
        dtype = training_dtype(settings.precision, process.device)
        self._autocast = autocast(process.device, dtype)
        names = [settings.content_tap, *settings.style_taps]
        with torch.no_grad(), self._autocast:
            encoded = [encoder.activations(style.to(self.device), names) for style in styles]
        self._grams = {
            name: torch.cat([gram(activations[name]) for activations in encoded])
            for name in settings.style_taps
        }

    def learn(self, batches: Sequence[Pair], fraction: float) -> Tensor:
        """Take one step of Adam on the batches' contents; see `training.loop.run.Learner`."""
        self._optimizer.zero_grad()
        terms = add_gradients(self._paint, batches, self._losses)
        rate = learning_rate(self._settings.rate, fraction)
        take_step(self._optimizer, rate, MAX_GRADIENT_NORM)
        self.average.update(self._network)
        return terms

    def _losses(self, batch: Pair) -> tuple[Tensor, Tensor]:
        content_tap, style_taps = self._settings.content_tap, self._settings.style_taps
        # Styles take turns: each has its share of any batch's pictures, whatever the batch size.
        styles = batch.position.to(self.device) % len(self._network.names)
        shares = nn.functional.one_hot(styles, len(self._network.names)).float()
        with self._autocast:
            with torch.no_grad():
                content = self._encoder.activations(batch.content, [content_tap])[content_tap]
            image = self._paint(batch.content, shares)
            activations = self._encoder.activations(image, [content_tap, *style_taps])
        style = [gram_loss(gram(activations[n]), self._grams[n][styles]) for n in style_taps]
        terms = torch.stack(
            [
                nn.functional.mse_loss(activations[content_tap].float(), content.float()),
                torch.stack(style).mean(),
                smoothness_loss(image),
                nn.functional.mse_loss(image, batch.content),
            ]
        )
        return (self._weights * terms).sum(), terms

    def save(self, folder: Path) -> None:
        """Write the averaged weights to style_network.safetensors."""
        save_style_network(self.average.network, folder / "style_network.safetensors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and return the exit code: 0 done, 1 failed, 2 called wrongly, 143 stopped."""
    parser = command_parser("training.network", __doc__)
    add_arguments(parser, Settings)
    args = parser.parse_args(arguments)

    def work(stop: threading.Event) -> bool:
        settings = read_settings(Settings, args)
        process = Process.join(settings.device)
        names, styles = read_styles(settings)
        contents = load_contents(settings, process.device)
        learner = build_learner(settings, names, styles, process)
        run = Run(settings, process, learner, contents)
        samples = list(islice(readable(contents.contents.files), SHEET_PICTURES))
        last = follow(run, stop, paint=lambda: paint_sheet(learner, samples, styles))
        record(run, last, content=contents.contents.summary(), styles=learner.average.network.names)
        process.leave()
        return not run.stopped

    return guarded(parser.prog, work)


def read_styles(settings: Settings) -> tuple[list[str], list[Image.Image]]:
    """Return the names of the styles, and their fitted pictures.

    Raises:
        TrainingError: there is none, or two of one name.
        AdainError: one cannot be read; the message names it.
    """
    files = find_pictures(settings.style)
    names = [PurePosixPath(file.name).stem for file in files]
    for name, count in Counter(names).items():
        if count > 1:
            raise TrainingError(f"two styles are called {name}: rename one of the files")
    return names, [fit_style(file.read(), settings.style_size) for file in files]


def build_learner(
    settings: Settings, names: Sequence[str], styles: Sequence[Image.Image], process: Process
) -> StyleNetworkLearner:
    """Return the network that is to be trained.

    Raises:
        TrainingError: weights to start from are of other styles.
        WeightsError: a file of weights cannot be used.
    """
    torch.manual_seed(settings.seed)
    network = StyleNetwork(names)
    if settings.network:
        network = load_style_network(settings.network)
        if network.names != tuple(names):
            raise TrainingError(
                f"{settings.network} is of the styles {', '.join(network.names)}, and "
                f"--style has {', '.join(names)}: give the same, in the same order"
            )
    tensors = [network_input(style) for style in styles]
    return StyleNetworkLearner(load_encoder(settings.encoder), network, tensors, process, settings)


def load_contents(settings: Settings, device: torch.device) -> Pairs:
    """Return the contents to train on, in memory on `device` if they fit.

    Raises:
        TrainingError: no picture can be used.
    """
    largest = max(stage.side for stage in parse_stages(settings.crops, settings.batch))
    pictures = Pictures(settings.content, shortest=largest // 2, longest=LONGEST_CROPS * largest)
    load_if_they_fit([pictures], settings.memory_gib, device)
    return Pairs.of_contents(pictures, seed=settings.seed, workers=settings.workers)


@torch.no_grad()
def paint_sheet(
    learner: StyleNetworkLearner, contents: Sequence[Image.Image], styles: Sequence[Image.Image]
) -> Image.Image:
    """Return a grid: styles along the top, contents down the left, results between."""
    network = learner.average.network
    squares = [ImageOps.fit(flatten(content), (SHEET_CELL, SHEET_CELL)) for content in contents]
    rows: list[list[Image.Image | None]] = [[None, *styles]]
    for square in squares:
        image = network_input(square, learner.device)
        shares = torch.eye(len(styles), device=learner.device)
        painted = [network(image, share[None]) for share in shares]
        rows.append([square, *(Image.fromarray(to_pixels(each)) for each in painted)])
    return tile(rows, SHEET_CELL)


if __name__ == "__main__":
    sys.exit(main())
