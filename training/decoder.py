"""Train the decoder (Huang & Belongie 2017, section 5).

    python -m training.decoder --content photos --style paintings.zip --out runs/one --minutes 120

The same command again resumes. The folder --out gets decoder.safetensors (the averaged weights, in
float16), checkpoint.pt, sheet.png, record.json, and logs for TensorBoard.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from PIL import Image

from model import Stylizer
from model.decoder import Decoder
from model.errors import AdainError
from model.weights import load_encoder, load_weights
from training.command import command_parser, follow, guarded, record
from training.learner import DecoderLearner, initialize
from training.pairs import Pairs
from training.pictures import PictureFile, Pictures, find_pictures, load_if_they_fit
from training.processes import Process, training_dtype
from training.run import Run
from training.schedule import parse_stages
from training.settings import (
    SOURCES,
    PictureSettings,
    add_arguments,
    read_settings,
    setting,
)
from training.sheet import make_sheet

# A decoder that starts from random weights learns plain reconstruction over this share of its run,
# which statistics alone teach it only slowly.
RECONSTRUCTION = 0.05
# Pictures are kept with a shorter side of at most so many of the largest crops: a crop may then
# show the whole picture or a detail of it, and what is larger would only take memory.
LONGEST_CROPS = 2
# Contents and styles of the sheet, and the side of its squares in pixels.
SHEET_PICTURES = 4
SHEET_CELL = 192


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PictureSettings):
    """What a run is told."""

    content: Sequence[Path] = setting(
        "folders (at any depth) or zip files of content pictures", **SOURCES
    )
    style: Sequence[Path] = setting("the same of style pictures", **SOURCES)
    style_weight: float = setting("of the style loss", 10.0, bounds=(0, math.inf))
    identity_share: float = setting(
        "share of contents that are their own style", 0.15, bounds=(0, 1)
    )
    identity_weight: float = setting("of these contents' pixel loss", 100.0, bounds=(0, math.inf))
    encoder: Path | None = setting("weights in place of the bundled encoder", None, type=Path)
    decoder: Path | None = setting("weights to start from; else random ones", None, type=Path)
    sheet_content: Path | None = setting(
        "contents of the sheet; else the first trained on", None, type=Path, free=True
    )
    sheet_style: Path | None = setting(
        "styles of the sheet; else the first trained on", None, type=Path, free=True
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and return the exit code: 0 done, 1 failed, 2 called wrongly, 143 stopped."""
    parser = command_parser("training.decoder", __doc__)
    add_arguments(parser, Settings)
    args = parser.parse_args(arguments)

    def work(stop: threading.Event) -> bool:
        settings = read_settings(Settings, args)
        process = Process.join(settings.device)
        learner, pairs = build_learner(settings, process), load_pairs(settings, process.device)
        run = Run(settings, process, learner, pairs)
        samples = read_samples(settings, pairs)
        last = follow(run, stop, paint=lambda: paint_sheet(learner, *samples))
        record(run, last, content=pairs.contents.summary(), style=pairs.styles.summary())
        process.leave()
        return not run.stopped

    return guarded(parser.prog, work)


def build_learner(settings: Settings, process: Process) -> DecoderLearner:
    """Return the decoder that is to be trained.

    Raises:
        WeightsError: a file of weights cannot be used.
        DeviceError: the precision is unknown.
    """
    encoder, decoder = load_encoder(settings.encoder), Decoder()
    if settings.decoder:
        load_weights(decoder, settings.decoder)
    else:
        initialize(decoder, settings.seed)
    return DecoderLearner(
        encoder,
        decoder,
        process,
        rate=settings.rate,
        style_weight=settings.style_weight,
        identity_weight=settings.identity_weight,
        dtype=training_dtype(settings.precision, process.device),
    )


def load_pairs(settings: Settings, device: torch.device) -> Pairs:
    """Return the pictures to train on, in memory on `device` if they fit.

    Raises:
        TrainingError: contents or styles hold no picture that can be used.
    """
    largest = max(stage.side for stage in parse_stages(settings.crops, settings.batch))
    contents, styles = (
        # Pictures enlarged more than twice would teach blur.
        Pictures(sources, shortest=largest // 2, longest=LONGEST_CROPS * largest)
        for sources in (settings.content, settings.style)
    )
    load_if_they_fit((contents, styles), settings.memory_gib, device)
    return Pairs(
        contents,
        styles,
        identity_share=settings.identity_share,
        reconstruction=0.0 if settings.decoder else RECONSTRUCTION,
        seed=settings.seed,
        workers=settings.workers,
    )


def read_samples(settings: Settings, pairs: Pairs) -> tuple[list[Image.Image], list[Image.Image]]:
    """Return the contents and styles of the sheet: of their own folders, or some trained on."""
    own = settings.sheet_content, settings.sheet_style
    trained_on = pairs.contents.files, pairs.styles.files
    contents, styles = (
        list(islice(readable(find_pictures([source]) if source else files), SHEET_PICTURES))
        for source, files in zip(own, trained_on, strict=True)
    )
    return contents, styles


def readable(files: Sequence[PictureFile]) -> Iterator[Image.Image]:
    """Yield those of the pictures that can be read."""
    for file in files:
        with contextlib.suppress(AdainError):
            yield file.read()


def paint_sheet(
    learner: DecoderLearner, contents: list[Image.Image], styles: list[Image.Image]
) -> Image.Image:
    """Return a sheet by the averaged weights as they are now."""
    stylizer = Stylizer(learner.encoder, learner.average, device=learner.device)
    return make_sheet(stylizer, contents, styles, cell=SHEET_CELL)


if __name__ == "__main__":
    sys.exit(main())
