"""What adain stylize paints with: AdaIN, optimisation, or a network of some styles."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
from PIL import Image
from tqdm import tqdm

from app.commands.files import open_picture, open_style
from app.commands.optimization import optimized, read_optimization
from app.library.store import StyleLibrary
from app.loading import load_library, load_stylizer
from app.settings import Settings
from model.controls import Controls
from model.painting import Painting
from model.runtime import choose_device, choose_precision
from model.style import Style
from model.stylizer import Stylizer
from model.tiling import OnTile
from model.weights import load_style_network

Painter = Callable[[Image.Image], Image.Image]


def painter(args: argparse.Namespace, settings: Settings) -> Painter:
    """Load the model and the styles, and return a function from a content to a result."""
    controls = read_controls(args, settings)
    count = len(args.styles) + len(args.saved) + len(args.style_name)

    def plan(content: Image.Image) -> Painting:
        return Painting.plan(content, count, controls)

    if args.method == "network":
        return network_painter(args, settings, plan)
    stylizer, library = load_stylizer(settings), load_library(settings)
    opened = [open_style(path, lambda: stylizer.layout, settings) for path in args.styles]
    optimization = read_optimization(args)
    if optimization is not None:
        pictures = [picture for _, picture in opened]
        pictures += [library.picture(library.find(name).id) for name in args.saved]
        return lambda content: optimized(stylizer, plan(content), pictures, optimization)
    styles = [
        style or stylizer.encode_style(picture, style_size=args.style_size)
        for style, picture in opened
    ]
    styles += [encode_saved(name, args.style_size, library, stylizer) for name in args.saved]

    def paint(content: Image.Image) -> Image.Image:
        painting = plan(content)
        with tile_bar() as on_tile:
            [painted] = stylizer.paint([painting], [styles], on_tile=on_tile)
        return painting.finish(painted)

    return paint


def read_controls(args: argparse.Namespace, settings: Settings) -> Controls:
    """Return the controls that the flags ask for, and read the masks."""
    return Controls(
        weights=args.weight,
        alpha=args.alpha,
        masks=[open_picture(path, settings) for path in args.mask] if args.mask else None,
        preserve_color=args.preserve_color,
        detail=args.detail,
        size=args.size,
    )


def network_painter(
    args: argparse.Namespace, settings: Settings, plan: Callable[[Image.Image], Painting]
) -> Painter:
    """Load a style network, and return a function from a content to a result."""
    device = choose_device(settings.device)
    network = load_style_network(args.network).select(args.style_name)
    network.to(device, choose_precision(settings.precision, device))
    network.eval().to(memory_format=torch.channels_last)

    def paint(content: Image.Image) -> Image.Image:
        painting = plan(content)
        return painting.finish(network.paint(painting))

    return paint


@contextmanager
def tile_bar() -> Iterator[OnTile]:
    """Yield a callback that shows a progress bar if a picture is painted in tiles."""
    bars: list[tqdm[NoReturn]] = []

    def on_tile(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(total=total, unit="tile", leave=False))
        bars[0].update(done - bars[0].n)

    try:
        yield on_tile
    finally:
        for bar in bars:
            bar.close()


def encode_saved(name: str, style_size: int, library: StyleLibrary, stylizer: Stylizer) -> Style:
    """Return a style of the library, encoded; the library keeps what had to be computed."""
    saved = library.find(name).id
    known = library.encoded(saved, style_size, stylizer.fingerprint)
    if known is not None:
        return known
    computed = stylizer.encode_style(library.picture(saved), style_size=style_size)
    library.keep(saved, style_size, computed)
    return computed
