"""Practise a style: train what the decoder does for this style alone.

    python -m training.style painting.jpg --content photos --minutes 10 -o painting.adain

The file is a style as everywhere: adain stylize photo.jpg painting.adain, adain styles add
painting.adain, and POST /v1/styles take it. It belongs to the weights that it was practised with.
The same command again resumes. A folder beside it, painting.run, gets sheet.png (contents, painted
before and after), checkpoint.pt, record.json, and logs for TensorBoard.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from model import Stylizer
from model.controls import DEFAULT_STYLE_SIZE, MAX_STYLE_SIZE, MIN_STYLE_SIZE, fit_style
from model.errors import ParameterError, naming
from model.files import STYLE_SUFFIX, write_whole
from model.images import encode_image, flatten, read_image
from model.networks.decoder import Decoder
from model.pixels import network_input, to_tensor
from model.style import Style
from model.weights import load_decoder, load_encoder
from training.data.pairs import Pairs
from training.data.pictures import Pictures, find_pictures, load_if_they_fit, readable
from training.errors import TrainingError
from training.learners.style import StyleLearner
from training.loop.command import command_parser, follow, guarded, record
from training.loop.processes import Process, training_dtype
from training.loop.run import Run
from training.loop.schedule import parse_stages
from training.loop.settings import (
    SOURCES,
    STAGES,
    PictureSettings,
    add_arguments,
    read_settings,
    setting,
)
from training.objective import TermWeights
from training.sheet import tile

# The style picture is carried along in the file, as a WebP picture of this quality.
PICTURE_QUALITY = 90
# Contents that the style is compared on before and after, and the side of their squares in pixels.
SAMPLES = 6
CELL = 256
# Where the run's folder is when nothing is said; OUTPUT stands for the file's name.
FOLDER = Path("OUTPUT.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSettings(PictureSettings):
    """The settings of a run for one style."""

    painting: Path = setting("the style picture", type=Path, positional=True)
    content: Sequence[Path] = setting(
        "folders (at any depth) or zip files of content pictures", **SOURCES
    )
    output: Path = setting(f"the {STYLE_SUFFIX} file to write", short="-o", type=Path)
    out: Path = setting("folder for all else that the run writes", FOLDER, type=Path, free=True)
    rank: int = setting(
        "rank of the change of each convolution's weights; 0 trains the modulation alone, for a "
        "small file",
        8,
        bounds=(0, 128),
    )
    style_size: int = setting(
        "brush size: the shorter side at which the style is seen",
        DEFAULT_STYLE_SIZE,
        bounds=(MIN_STYLE_SIZE, MAX_STYLE_SIZE),
    )
    detail: float = setting(
        "how much of a content the style is to keep by itself", 0.0, bounds=(-1, 1)
    )
    encoder: Path | None = setting("weights in place of the bundled encoder", None, type=Path)
    decoder: Path | None = setting("weights in place of the bundled decoder", None, type=Path)
    crops: Sequence[str] = setting(
        "the run's stages, SIDE[xBATCH][@PERCENT] each", ("256",), **STAGES
    )
    batch: int = setting("contents of a batch", 2, bounds=(1, 1e6))
    rate: float = setting("peak of the learning rate", 5e-3, bounds=(1e-8, 10))
    content_weight: float = setting("weight of the content loss", 3.8, bounds=(0, 1e6))
    mean_weight: float = setting("weight of the distance of means", 4.0, bounds=(0, 1e6))
    covariance_weight: float = setting(
        "weight of the distance of covariances", 3.0, bounds=(0, 1e6)
    )
    sheet_content: Path | None = setting(
        "contents of the sheet; else the first trained on", None, type=Path, free=True
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Practise, and return the exit code: 0 done, 1 failed, 2 called wrongly, 143 stopped."""
    parser = command_parser("training.style", __doc__)
    add_arguments(parser, StyleSettings)
    args = parser.parse_args(arguments)

    def work(stop: threading.Event) -> bool:
        settings = read_settings(StyleSettings, args)
        if settings.output.suffix != STYLE_SUFFIX:
            raise ParameterError(f"{settings.output}: the name must end in {STYLE_SUFFIX}")
        if settings.out == FOLDER:
            settings = replace(settings, out=settings.output.with_suffix(".run"))
        return practise(settings, stop)

    return guarded(parser.prog, work)


def practise(settings: StyleSettings, stop: threading.Event) -> bool:
    """Train until the end or a stop, and write the style; return whether the run is complete."""
    process = Process.join(settings.device)
    with naming(settings.painting):
        picture = flatten(fit_style(read_image(settings.painting), settings.style_size))
    encoder, decoder = load_encoder(settings.encoder), load_decoder(settings.decoder)
    if not isinstance(decoder, Decoder):
        raise TrainingError("a plain decoder has nothing that changes with a style: give another")
    # Copies: a stylizer changes the networks that it is given.
    stylizer = Stylizer(copy.deepcopy(encoder), copy.deepcopy(decoder), device=process.device)
    predicted = replace(
        stylizer.encode_style(picture, style_size=settings.style_size),
        detail=settings.detail,
        picture=encode_image(picture, "webp", PICTURE_QUALITY),
    )
    learner = StyleLearner(
        encoder,
        decoder,
        predicted,
        network_input(picture, process.device),
        process,
        rank=settings.rank,
        rate=settings.rate,
        weights=TermWeights(
            content=settings.content_weight,
            mean=settings.mean_weight,
            covariance=settings.covariance_weight,
        ),
        seed=settings.seed,
        dtype=training_dtype(settings.precision, process.device),
    )
    contents = load_contents(settings)
    run = Run(settings, process, learner, contents)
    samples = read_samples(settings, contents)

    def paint() -> Image.Image:
        return make_sheet(stylizer, picture, samples, [predicted, learner.style()])

    last = follow(run, stop, paint=paint)
    if process.leads:
        write_whole(settings.output, learner.style().to_bytes())
        record(run, last, content=contents.contents.summary(), **judge(learner, predicted, samples))
    process.leave()
    return not run.stopped


def load_contents(settings: StyleSettings) -> Pairs:
    """Return the contents to practise on, in memory if they fit."""
    largest = max(stage.side for stage in parse_stages(settings.crops, settings.batch))
    pictures = Pictures(settings.content, shortest=largest // 2, longest=2 * largest)
    load_if_they_fit((pictures,), settings.memory_gib, torch.device("cpu"))
    return Pairs.of_contents(pictures, seed=settings.seed, workers=settings.workers)


def read_samples(settings: StyleSettings, contents: Pairs) -> list[Image.Image]:
    """Return the contents of the sheet as squares: of their own folder, or some trained on."""
    own = settings.sheet_content
    files = contents.contents.files if own is None else find_pictures([own])
    return [ImageOps.fit(picture, (CELL, CELL)) for picture in islice(readable(files), SAMPLES)]


def make_sheet(
    stylizer: Stylizer, picture: Image.Image, samples: list[Image.Image], styles: list[Style]
) -> Image.Image:
    """Return a grid: each row has a content, and what it is in each style."""
    rows: list[list[Image.Image | None]] = [[None, *(picture for _ in styles)]]
    rows += [[one, *(stylizer.stylize(one, style) for style in styles)] for one in samples]
    return tile(rows, CELL)


def judge(
    learner: StyleLearner, predicted: Style, samples: list[Image.Image]
) -> dict[str, dict[str, float]]:
    """Print and return the losses on the contents of the sheet, before and after."""
    images: list[Tensor] = [to_tensor(np.asarray(sample)) for sample in samples]
    found = {
        name: learner.compare(images, style, style.detail)
        for name, style in (("before", predicted), ("after", learner.style()))
    }
    for name, losses in found.items():
        print(name, ", ".join(f"{term} {value:.3f}" for term, value in losses.items()))
    return found


if __name__ == "__main__":
    sys.exit(main())
