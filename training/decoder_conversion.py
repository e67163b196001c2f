"""python -m training.decoder from-pytorch-adain: convert a decoder of another project, exactly."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from model.networks.plain_decoder import PlainDecoder
from model.weights import save_weights
from training.conversion import load_pytorch_adain_decoder
from training.loop.command import command_parser, guarded
from training.loop.settings import Settings, add_arguments, read_settings, setting

COMMAND = "from-pytorch-adain"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertSettings(Settings):
    """The settings of the conversion."""

    weights: Path = setting("the file decoder.pth", type=Path, positional=True)
    out: Path = setting("folder to write to", type=Path)


def convert(arguments: Sequence[str]) -> int:
    """Convert a decoder.pth of the widely used PyTorch reimplementation, exactly."""
    parser = command_parser(f"training.decoder {COMMAND}", convert.__doc__)
    add_arguments(parser, ConvertSettings)
    args = parser.parse_args(arguments)

    def work(_: threading.Event) -> bool:
        settings = read_settings(ConvertSettings, args)
        decoder = PlainDecoder()
        load_pytorch_adain_decoder(decoder, settings.weights)
        settings.out.mkdir(parents=True, exist_ok=True)
        path = settings.out / "decoder.safetensors"
        save_weights(decoder, path, dtype=torch.float32)
        print(path)
        return True

    return guarded(parser.prog, work)
