"""adain explain: a figure of what each layer of the encoder represents of a picture."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from app.commands.files import open_picture, refuse_overwriting
from app.loading import load_stylizer
from app.settings import Settings
from model.controls import MIN_STYLE_SIZE, check_range
from model.files import write_whole
from model.formats import format_of
from model.images import encode_image, flatten
from model.networks.encoder import TAPS
from model.optimization.descent import Budget
from model.optimization.objective import LossWeights
from model.optimization.optimize import Optimization, optimize
from model.painting import Painting
from model.scaling import resize_longest
from model.stylizer import Stylizer

STEPS, SIZE = 200, 192
GAP, CAPTION = 8, 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Paint a picture anew from noise, from nothing but what the encoder's layers "
        "know of it (Gatys et al. 2016, figure 1): above, its content at one layer; below, its "
        "style at this layer and those before it."
    )
    parser.add_argument("picture", metavar="PICTURE", type=Path, help="any picture")
    parser.add_argument(
        "-o", "--output", type=Path, help="the file to write (default PICTURE-explained.png)"
    )
    parser.add_argument(
        "--layer",
        action="append",
        help=f"such as relu3_3; may be repeated (default {', '.join(TAPS)})",
    )
    parser.add_argument(
        "--size", type=int, default=SIZE, help=f"longest side of each picture (default {SIZE})"
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"steps for each picture (default {STEPS})"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the figure."""
    check_range("--size", args.size, MIN_STYLE_SIZE, math.inf)
    check_range("--steps", args.steps, 1, math.inf)
    output = args.output or args.picture.with_name(f"{args.picture.stem}-explained.png")
    name = format_of(output)
    refuse_overwriting([output], [str(args.picture)])
    settings = Settings()
    picture = resize_longest(flatten(open_picture(str(args.picture), settings)), args.size)
    layers = args.layer or list(TAPS)
    stylizer = load_stylizer(settings)
    with tqdm(total=2 * len(layers) * args.steps, unit="step", leave=False) as bar:
        contents = [
            reconstruct(stylizer, picture, weights, args, bar)
            for weights in content_weights(layers)
        ]
        styles = [
            reconstruct(stylizer, picture, weights, args, bar) for weights in style_weights(layers)
        ]
    figure = draw(picture, layers, contents, styles)
    write_whole(output, encode_image(figure, name))
    print(output)
    return 0


def content_weights(layers: list[str]) -> Iterator[LossWeights]:
    """Yield weights for the content loss at each layer in turn, without a style loss."""
    for layer in layers:
        yield LossWeights(content_taps=[layer], style_taps=[], smoothness=0)


def style_weights(layers: list[str]) -> Iterator[LossWeights]:
    """Yield weights for the style loss at the first layer, the first two, and so on."""
    for count in range(1, len(layers) + 1):
        yield LossWeights(content_taps=[], style_taps=layers[:count], smoothness=0)


def reconstruct(
    stylizer: Stylizer,
    picture: Image.Image,
    weights: LossWeights,
    args: argparse.Namespace,
    bar: tqdm[Any],
) -> Image.Image:
    """Return the picture that optimisation with these weights makes from noise."""
    optimization = Optimization(
        weights=weights,
        initial="noise",
        levels=1,  # noise should change pixel by pixel, not in large areas
        budget=Budget(steps=args.steps),
        style_size=min(picture.size),
        seed=args.seed,
    )
    before = bar.n
    for progress in optimize(stylizer, Painting.plan(picture, 1), [picture], optimization):
        last = progress
        bar.update()
    bar.update(before + args.steps - bar.n)  # the loss may stop falling earlier
    return last.picture()


def draw(
    picture: Image.Image, layers: list[str], contents: list[Image.Image], styles: list[Image.Image]
) -> Image.Image:
    """Return the figure: the picture on the left; a column for each layer, content above style."""
    width, height = picture.width + GAP, picture.height + CAPTION + GAP
    figure = Image.new("RGB", (width * (1 + len(layers)) + GAP, 2 * height + GAP), "white")
    pen, font = ImageDraw.Draw(figure), ImageFont.load_default(12)

    def show(column: int, row: int, image: Image.Image, caption: str) -> None:
        left, top = GAP + column * width, GAP + row * height
        pen.text((left, top - 2), caption, "black", font)
        figure.paste(image, (left, top + CAPTION))

    show(0, 0, picture, "picture")
    for column, layer in enumerate(layers, 1):
        show(column, 0, contents[column - 1], f"content, {layer}")
        show(column, 1, styles[column - 1], f"style, {'up to ' if column > 1 else ''}{layer}")
    return figure
