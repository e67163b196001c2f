"""Train the decoder (Huang & Belongie 2017, section 5; see `model.networks.decoder` for ours).

    python -m training.decoder --content photos --style paintings.zip --out runs/one --minutes 120
    python -m training.decoder --kind plain --content photos --style art --out runs/two --steps 9999
    python -m training.decoder from-pytorch-adain decoder.pth --out runs/three

The same command again resumes. The folder --out gets decoder.safetensors (the averaged weights, in
float16), checkpoint.pt, sheet.png, record.json, and logs for TensorBoard.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import nn

from model import Stylizer
from model.networks.convolutions import WIDTHS
from model.networks.decoder import Decoder
from model.networks.plain_decoder import PlainDecoder
from model.weights import load_decoder, load_encoder
from training import decoder_conversion
from training.data.pairs import Pairs
from training.data.pictures import Pictures, find_pictures, load_if_they_fit, readable
from training.data.reuse import ReusedPairs
from training.errors import TrainingError
from training.learners import plain_decoder as plain_learner
from training.learners.decoder import CALIBRATION_STYLES, DecoderLearner, initialize
from training.learners.plain_decoder import PlainLearner
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
from training.sheet import make_sheet

Kind = TypeVar("Kind", bound=nn.Module)
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
class CommonSettings(PictureSettings):
    """The settings of a run for either kind of decoder."""

    content: Sequence[Path] = setting(
        "folders (at any depth) or zip files of content pictures", **SOURCES
    )
    style: Sequence[Path] = setting("the same of style pictures", **SOURCES)
    kind: str = setting(
        "modulated: painting from four taps, in the style's colours; plain: the paper's decoder",
        "modulated",
        choices=("modulated", "plain"),
    )
    encoder: Path | None = setting("weights in place of the bundled encoder", None, type=Path)
    decoder: Path | None = setting("weights to start from; else random ones", None, type=Path)
    sheet_content: Path | None = setting(
        "contents of the sheet; else the first trained on", None, type=Path, free=True
    )
    sheet_style: Path | None = setting(
        "styles of the sheet; else the first trained on", None, type=Path, free=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CommonSettings):
    """The settings of a run of our decoder."""

    crops: Sequence[str] = setting(
        "the run's stages, SIDE[xBATCH][@PERCENT] each, such as 128x6@30 256x2@70",
        ("256",),
        **STAGES,
    )
    batch: int = setting("pairs of a batch", 2, bounds=(1, math.inf))
    rate: float = setting("peak of Adam's learning rate", 2e-4, bounds=(1e-8, 10))
    muon_rate: float = setting("peak of Muon's learning rate", 4e-3, bounds=(1e-8, 10))
    cool: float = setting(
        "percentage of the run in which the rates fall to nothing; 0 where another run goes on",
        40.0,
        bounds=(0, 100),
    )
    width: float = setting("channels of a new decoder, times this", 1.0, bounds=(0.25, 4))
    content_weight: float = setting("weight of the content loss", 3.8, bounds=(0, math.inf))
    mean_weight: float = setting("weight of the distance of means", 4.0, bounds=(0, math.inf))
    covariance_weight: float = setting(
        "weight of the distance of covariances", 3.0, bounds=(0, math.inf)
    )
    palette_weight: float = setting("weight of the distance of colours", 5.0, bounds=(0, math.inf))
    identity_share: float = setting(
        "share of contents that are their own style", 0.06, bounds=(0, 1)
    )
    identity_weight: float = setting("weight of their pixel loss", 60.0, bounds=(0, math.inf))

    def loss_weights(self) -> TermWeights:
        """Return what each loss counts."""
        return TermWeights(
            content=self.content_weight,
            mean=self.mean_weight,
            covariance=self.covariance_weight,
            palette=self.palette_weight,
            identity=self.identity_weight,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainSettings(CommonSettings):
    """The settings of a run of the paper's decoder."""

    style_weight: float = setting("weight of the style loss", 10.0, bounds=(0, math.inf))
    identity_share: float = setting(
        "share of contents that are their own style", 0.15, bounds=(0, 1)
    )
    identity_weight: float = setting("weight of their pixel loss", 100.0, bounds=(0, math.inf))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and return the exit code: 0 done, 1 failed, 2 called wrongly, 143 stopped."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == [decoder_conversion.COMMAND]:
        return decoder_conversion.convert(arguments[1:])
    parser = command_parser("training.decoder", __doc__)
    # The kind says which other flags there are.
    kind = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    kind.add_argument("--kind", default="modulated")
    plain = kind.parse_known_args(arguments)[0].kind == "plain"
    settings_class: type[Settings] | type[PlainSettings] = PlainSettings if plain else Settings
    add_arguments(parser, settings_class)
    args = parser.parse_args(arguments)

    def work(stop: threading.Event) -> bool:
        settings = read_settings(settings_class, args)
        process = Process.join(settings.device)
        learner, pairs = build_learner(settings, process), load_pairs(settings, process.device)
        run = Run(settings, process, learner, pairs)
        calibrate(run)
        samples = read_samples(settings, pairs)
        last = follow(
            run, stop, paint=lambda: paint_sheet(learner, *samples), dead=learner.dead_shares
        )
        record(run, last, content=pairs.contents.summary(), style=pairs.styles.summary())
        process.leave()
        return not run.stopped

    return guarded(parser.prog, work)


def build_learner(
    settings: Settings | PlainSettings, process: Process
) -> DecoderLearner | PlainLearner:
    """Return the decoder that is to be trained.

    Raises:
        WeightsError: a file of weights cannot be used.
        TrainingError: the weights to start from are of the other kind.
        DeviceError: the precision is unknown.
    """
    encoder, dtype = (
        load_encoder(settings.encoder),
        training_dtype(settings.precision, process.device),
    )
    decoder = load_decoder(settings.decoder) if settings.decoder else None
    if isinstance(settings, PlainSettings):
        plain = as_kind(decoder, PlainDecoder) or PlainDecoder()
        if decoder is None:
            plain_learner.initialize(plain, settings.seed)
        return PlainLearner(
            encoder,
            plain,
            process,
            rate=settings.rate,
            style_weight=settings.style_weight,
            identity_weight=settings.identity_weight,
            dtype=dtype,
        )
    modulated = as_kind(decoder, Decoder) or Decoder([round(settings.width * n) for n in WIDTHS])
    if decoder is None:
        initialize(modulated, settings.seed)
    return DecoderLearner(
        encoder,
        modulated,
        process,
        rate=settings.rate,
        muon_rate=settings.muon_rate,
        cool=settings.cool / 100,
        weights=settings.loss_weights(),
        seed=settings.seed,
        dtype=dtype,
    )


def as_kind(decoder: nn.Module | None, kind: type[Kind]) -> Kind | None:
    """Return a decoder that was loaded, if one was, or raise TrainingError for another kind."""
    if decoder is None or isinstance(decoder, kind):
        return decoder
    raise TrainingError("--decoder is of the other kind: give the --kind that it was trained as")


def calibrate(run: Run) -> None:
    """Calibrate a new decoder on the styles that it will meet, before its first step."""
    learner, pairs, settings = run.learner, run.source, run.settings
    new = run.step == 0 and isinstance(settings, Settings) and settings.decoder is None
    if new and isinstance(learner, DecoderLearner) and isinstance(pairs, ReusedPairs):
        side = parse_stages(settings.crops, settings.batch)[0].side
        learner.calibrate(pairs.first_styles(CALIBRATION_STYLES, side))


def load_pairs(settings: Settings | PlainSettings, device: torch.device) -> Pairs | ReusedPairs:
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
    if isinstance(settings, Settings):
        # Crops are kept on the CPU: most are used once, and then encoded.
        load_if_they_fit((contents, styles), settings.memory_gib, torch.device("cpu"))
        return ReusedPairs(
            contents,
            styles,
            identity_share=settings.identity_share,
            seed=settings.seed,
            workers=settings.workers,
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


def read_samples(
    settings: CommonSettings, pairs: Pairs | ReusedPairs
) -> tuple[list[Image.Image], list[Image.Image]]:
    """Return the contents and styles of the sheet: of their own folders, or some trained on."""
    own = settings.sheet_content, settings.sheet_style
    trained_on = pairs.contents.files, pairs.styles.files
    contents, styles = (
        list(islice(readable(find_pictures([source]) if source else files), SHEET_PICTURES))
        for source, files in zip(own, trained_on, strict=True)
    )
    return contents, styles


def paint_sheet(
    learner: DecoderLearner | PlainLearner, contents: list[Image.Image], styles: list[Image.Image]
) -> Image.Image:
    """Return a sheet by the averaged weights as they are now."""
    # Copies: a stylizer changes the networks that it is given.
    encoder, decoder = copy.deepcopy(learner.encoder).float(), copy.deepcopy(learner.average)
    stylizer = Stylizer(encoder, decoder, device=learner.device)
    return make_sheet(stylizer, contents, styles, cell=SHEET_CELL)


if __name__ == "__main__":
    sys.exit(main())
