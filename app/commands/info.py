"""adain info: device, precision, and the weights with their checksums."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version

import torch

from app.loading import load_stylizer
from app.settings import Settings
from model.weights import checksum


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load the model as the service would, and print what was loaded."""
    stylizer = load_stylizer(Settings())
    precision = str(stylizer.dtype).removeprefix("torch.")
    print(f"adain      {version('adain')}")
    print(f"python     {platform.python_version()}, torch {torch.__version__}")
    print(f"device     {stylizer.device} ({torch.get_num_threads()} CPU threads)")
    print(f"precision  {precision}")
    for name, path in (("encoder", stylizer.encoder_path), ("decoder", stylizer.decoder_path)):
        if path is not None:
            print(f"{name}    {path}\n           sha256 {checksum(path)}")
    return 0
