"""What adain stylize paints with: AdaIN, optimisation, or a network of some styles."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from app.commands.files import open_picture, open_style
from app.commands.optimization import optimized, read_optimization
from app.commands.sources import read_source
from app.library.store import StyleLibrary
from app.loading import load_library, load_stylizer
from app.settings import Settings
from model.controls import Controls, practice_applies
from model.painting import Painting
from model.recipe import digest
from model.runtime import choose_device, choose_precision, pictures_at_once
from model.style import Style
from model.stylizer import Stylizer
from model.tiling import OnPart
from model.weights import checksum, load_style_network

# Where several contents at once are faster than one after the other. A CPU is busy with one: there
# a folder of photographs in batches reached 0.96 to 1.01 of the rate of single ones.
BATCHING_DEVICES = {"cuda"}
# A picture that takes more seconds has a progress bar.
BAR_DELAY = 2.0
# A content, and the number of its style, or None for all of them mixed.
Work = tuple[Image.Image, int | None]


@dataclass(frozen=True, slots=True)
class Painter:
    """What paints the contents of a run.

    Attributes:
        paint: from works whose contents have one size to their results. Once the event is set, it
            raises KeyboardInterrupt, at the latest after these.
        styles: what finds each style again, for recipes.
        controls: how the styles are used.
        weights: fingerprint of the model.
        device: where it runs.
        at_once: how many contents of a size `paint` best takes at once.
    """

    paint: Callable[[Sequence[Work], threading.Event], list[Image.Image | np.ndarray]]
    styles: Sequence[dict[str, str]]
    controls: Controls
    weights: str
    device: torch.device
    at_once: Callable[[tuple[int, int]], int] = lambda size: 1


def painter(args: argparse.Namespace, settings: Settings) -> Painter:
    """Load the model and the styles that the arguments name."""
    controls = read_controls(args, settings)
    if args.method == "network":
        return network_painter(args, settings, controls)
    stylizer, library = load_stylizer(settings), load_library(settings)
    files = [read_source(source) for source in args.styles]
    opened = [
        open_style(data, source, lambda: stylizer.layout, settings)
        for source, data in zip(args.styles, files, strict=True)
    ]
    named = [
        {"name": source, "sha256": digest(data)}
        for source, data in zip(args.styles, files, strict=True)
    ]
    named += [{"saved": name} for name in args.saved]
    optimization = read_optimization(args)
    if optimization is not None:
        pictures = [picture for _, picture in opened]
        pictures += [library.picture(library.find(name).id) for name in args.saved]

        def optimize(
            works: Sequence[Work], stop: threading.Event
        ) -> list[Image.Image | np.ndarray]:
            [(content, number)] = works
            chosen = pictures if number is None else [pictures[number]]
            plan = Painting.plan(content, len(chosen), controls)
            return [optimized(stylizer, plan, chosen, optimization, stop)]

        return Painter(optimize, named, controls, stylizer.fingerprint, stylizer.device)

    styles = [
        style
        if style and practice_applies(args.style_size)
        else stylizer.encode_style(picture, style_size=args.style_size)
        for style, picture in opened
    ]
    styles += [encode_saved(name, args.style_size, library, stylizer) for name in args.saved]

    def transfer(works: Sequence[Work], stop: threading.Event) -> list[Image.Image | np.ndarray]:
        chosen = [styles if number is None else [styles[number]] for _, number in works]
        plans = [
            Painting.plan(content, len(own), controls)
            for (content, _), own in zip(works, chosen, strict=True)
        ]
        with part_bar(stop) as on_part:
            painted = stylizer.paint(plans, chosen, on_part=on_part)
        return [plan.finish(pixels) for plan, pixels in zip(plans, painted, strict=True)]

    def at_once(size: tuple[int, int]) -> int:
        if stylizer.device.type not in BATCHING_DEVICES:
            return 1
        return min(settings.max_batch, pictures_at_once(size, stylizer.device))

    return Painter(transfer, named, controls, stylizer.fingerprint, stylizer.device, at_once)


def read_controls(args: argparse.Namespace, settings: Settings) -> Controls:
    """Return the controls that the flags ask for, and read the masks."""
    return Controls(
        weights=args.weight,
        alpha=args.alpha,
        masks=[open_picture(source, settings) for source in args.mask] if args.mask else None,
        preserve_color=args.preserve_color,
        detail=args.detail,
        size=args.size,
        depth=args.depth,
    )


def network_painter(args: argparse.Namespace, settings: Settings, controls: Controls) -> Painter:
    """Load a style network."""
    device = choose_device(settings.device)
    network = load_style_network(args.network).select(args.style_name)
    network.to(device, choose_precision(settings.precision, device))
    network.eval().to(memory_format=torch.channels_last)

    def paint(works: Sequence[Work], _: threading.Event) -> list[Image.Image | np.ndarray]:
        plans = [Painting.plan(content, len(args.style_name), controls) for content, _ in works]
        return [plan.finish(network.paint(plan)) for plan in plans]

    styles = [{"style_name": name} for name in args.style_name]
    return Painter(paint, styles, controls, checksum(args.network)[:16], device)


@contextmanager
def part_bar(stop: threading.Event) -> Iterator[OnPart]:
    """Yield a callback that shows a progress bar if a picture takes long, and ends it on `stop`."""
    bars: list[tqdm[NoReturn]] = []

    def on_part(done: int, total: int) -> None:
        if stop.is_set() and done < total:
            raise KeyboardInterrupt
        if not bars:
            bars.append(tqdm(total=total, unit="part", leave=False, delay=BAR_DELAY))
        bars[0].update(done - bars[0].n)

    try:
        yield on_part
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
