"""AdaIN, at sight and practised, beside what it descends from: optimisation.

    python -m benchmarks.methods [-o docs] [--sizes 256 512] [--pairs 4 2]

Each content in one style by every method, with the losses that optimisation minimises and SSIM's
structure term; means over the pairs. Prints a Markdown table, and writes to the folder, for each
size, methods-SIZE.png (the style loss against time, of the first pair) and methods-SIZE.jpg (a
content, its style, and the results in the table's order). Without --content and --style these are
scikit-image's pictures and starter styles (see `benchmarks.gallery`), practised at 512 pixels.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot
from PIL import Image, ImageOps

from benchmarks.gallery import STYLES, skimage_pictures, starters_named
from benchmarks.limit import seconds_of
from model import Stylizer, read_image
from model.controls import practice_applies
from model.formats import list_pictures
from model.images import flatten
from model.optimization.descent import HISTORY, Budget
from model.optimization.optimize import Optimization, build_objective, optimize, refinement
from model.painting import Painting
from model.pixels import to_tensor
from model.style import Style
from training.metrics import structure, tensor
from training.sheet import tile

ADAIN, PRACTISED = "AdaIN", "AdaIN, practised"
# The paper's optimisation learns the pixels, from the content as it is; ours a pyramid, from the
# content in the style's colours.
REFINED, PAPER, OURS = "AdaIN, refined", "pixels, from the content", "pyramid, recolored"
# Steps of the paper's optimisation whose style loss a refinement is to reach sooner.
GOAL = 300
# Steps of ours.
STEPS = 100
# How long it is refined at least, of the time of the longest optimisation.
SHARE = 0.35
CELL = 192


@dataclass(frozen=True, slots=True)
class Result:
    """One method's picture of one pair.

    Attributes:
        method: its name in the table.
        seconds: that it took, the style's statistics known.
        content, style: losses.
        structure: SSIM's structure term against the content.
        image: the picture.
    """

    method: str
    seconds: float
    content: float
    style: float
    structure: float
    image: Image.Image


class Pair:
    """One content and one style at a size, and what judges results."""

    def __init__(self, stylizer: Stylizer, content: Image.Image, style: Image.Image) -> None:
        self.stylizer, self.style, self.side = stylizer, style, content.width
        self.painting = Painting.plan(content, 1)
        self.objective = build_objective(stylizer, self.painting, [style], Optimization().weights)

    def judge(self, method: str, seconds: float, image: Image.Image) -> Result:
        """Return a result with its scores."""
        with torch.no_grad():
            losses = self.objective(to_tensor(np.asarray(image), self.stylizer.device))
        alike = structure(tensor(self.painting.content), tensor(image))
        return Result(method, seconds, losses.content.item(), losses.style.item(), alike, image)

    def predicted(self) -> Result:
        """Paint in one pass, as the style's statistics predict."""
        return self.adain(ADAIN, self.stylizer.encode_style(self.style, style_size=self.side))

    def adain(self, method: str, known: Style) -> Result:
        """Paint in one pass."""
        self.stylizer.paint([self.painting], [[known]])  # warm-up
        started = time.perf_counter()
        [painted] = self.stylizer.paint([self.painting], [[known]])
        seconds = time.perf_counter() - started
        return self.judge(method, seconds, self.painting.finish(painted))


@dataclass(frozen=True, slots=True)
class Curve:
    """The style loss of an optimisation against its seconds."""

    seconds: list[float]
    style: list[float]

    def reaches(self, loss: float) -> float:
        """Return the seconds at which the style loss is first as low; infinite if it never is."""
        found = (s for s, style in zip(self.seconds, self.style, strict=True) if style <= loss)
        return next(found, math.inf)


def follow(
    pair: Pair, options: Optimization, marks: dict[str, Callable[[float, int], bool]]
) -> tuple[list[Result], Curve]:
    """Optimise once; return the picture at each mark, or the last one, and the curve."""
    curve, reached = Curve([], []), {}
    started = time.perf_counter()
    for progress in optimize(pair.stylizer, pair.painting, [pair.style], options):
        passed = time.perf_counter() - started
        curve.seconds.append(passed)
        curve.style.append(progress.step.style)
        for name, mark in marks.items():
            if name not in reached and mark(passed, progress.step.number):
                reached[name] = passed, progress.picture()
    for name in marks.keys() - reached.keys():  # the loss has stopped falling before
        reached[name] = passed, progress.picture()
    return [pair.judge(name, *reached[name]) for name in marks], curve


def run(
    pair: Pair, practised: Style | None, steps: Sequence[int], seconds: Sequence[float]
) -> tuple[list[Result], dict[str, Curve]]:
    """Return all results for a pair, and the curves by what they start from."""
    results = [pair.predicted()]
    if practised is not None and practice_applies(pair.side):
        results.append(pair.adain(PRACTISED, practised))
    paper = Optimization(
        initial="content", levels=1, budget=Budget(steps=max(steps)), style_size=pair.side
    )
    optimised, other = follow(
        pair, paper, {f"{n} steps": lambda _, number, n=n: number >= n for n in steps}
    )
    # Long enough to see when it has the style loss of the other.
    longest = max(*seconds, SHARE * other.seconds[min(GOAL, max(steps)) - 1])
    refined, curve = follow(
        pair,
        refinement(longest, pair.side),
        {f"{ADAIN} + {n:g} s": lambda passed, _, n=n: passed >= n for n in seconds},
    )
    ours = Optimization(budget=Budget(steps=STEPS), style_size=pair.side)
    best, third = follow(pair, ours, {f"ours, {STEPS} steps": lambda _, number: number >= STEPS})
    curves = {REFINED: curve, PAPER: other, OURS: third}
    return [*results, *refined, *optimised, *best], curves


def passes_share(pair: Pair, rounds: int = 10) -> float:
    """Return how fast steps are against forward and backward passes alone, in turns."""
    image = tensor(pair.painting.content).contiguous(memory_format=torch.channels_last)
    image = image.to(pair.stylizer.device).requires_grad_()
    options = Optimization(budget=Budget(steps=10**6), style_size=pair.side)
    steps = optimize(pair.stylizer, pair.painting, [pair.style], options)
    for _ in range(2 * HISTORY):  # until L-BFGS remembers as much as it will
        next(steps)

    def both_passes() -> None:
        pair.objective(image).total.backward()

    times: dict[str, list[float]] = {"step": [], "passes": []}
    for _ in range(rounds):
        times["step"].append(seconds_of(lambda: next(steps), pair.stylizer.device))
        times["passes"].append(seconds_of(both_passes, pair.stylizer.device))
    return statistics.median(times["passes"]) / statistics.median(times["step"])


def main() -> None:
    """Compare, print the table, and write curves and sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, help="folder of content pictures")
    parser.add_argument("--style", type=Path, help="folder of style pictures")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--pairs", type=int, nargs="+", default=[4, 2], help="for each size")
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 100, 300, 500])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1, 5, 20])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    args = parser.parse_args()
    # Without a cache of contents: the warm-up would make that of AdaIN's picture known.
    stylizer = Stylizer.load(content_cache_bytes=0)
    contents, styles, practised = read_pictures(args.content, args.style)
    print("| picture | method | seconds | content loss | style loss | structure |")
    print("|---|---|---|---|---|---|", flush=True)
    notes: list[str] = []
    for size, count in zip(args.sizes, args.pairs, strict=True):
        rows: list[list[Image.Image | None]] = []
        results: dict[str, list[Result]] = {}
        ratios: list[float] = []
        names = list(styles)
        for index, content in enumerate(contents[:count]):
            name = names[index % len(names)]
            pair = Pair(stylizer, *(ImageOps.fit(x, (size, size)) for x in (content, styles[name])))
            made, curves = run(pair, practised.get(name), args.steps, args.seconds)
            refined, optimised = curves[REFINED], curves[PAPER]
            for result in made:
                results.setdefault(result.method, []).append(result)
            rows.append([content, styles[name], *(result.image for result in made)])
            # By the curves, both before clipping to [0, 1], as the results in the table are not.
            ratios.append(refined.reaches(optimised.style[GOAL - 1]) / optimised.seconds[GOAL - 1])
            if index == 0:
                plot(curves, made[0].style, args.output / f"methods-{size}.png")
        for method, all_of in results.items():
            print(f"| {size}x{size} | {method} | {means(all_of)} |", flush=True)
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        notes.append(
            f"At {size}x{size} a refinement of AdaIN's result has the style loss of {GOAL} of the "
            f"paper's steps after this share of their time: {shown} (one figure a pair). Steps "
            f"run at {passes_share(pair):.0%} of the rate of forward and backward passes alone."
        )
        tile(rows, min(size, CELL)).save(args.output / f"methods-{size}.jpg", quality=88)
    print("\n" + "\n".join(notes))


def means(results: Sequence[Result]) -> str:
    """Return the cells of a method: the means over the pairs."""
    names = ("seconds", "content", "style", "structure")
    values = [statistics.mean(getattr(result, name) for result in results) for name in names]
    return " | ".join(f"{value:.3g}" for value in values)


def read_pictures(
    content: Path | None, style: Path | None
) -> tuple[list[Image.Image], dict[str, Image.Image], dict[str, Style]]:
    """Return contents, styles by name, and those practised: of folders, or of the gallery."""
    contents = (
        [flatten(read_image(path)) for path in list_pictures(content)]
        if content
        else skimage_pictures()
    )
    if style:
        pictures = {path.stem: flatten(read_image(path)) for path in list_pictures(style)}
        return contents, pictures, {}
    chosen = starters_named(STYLES)
    pictures = {name: read_image(each.file) for name, each in chosen.items()}
    practised = {
        name: Style.from_bytes(each.practised) for name, each in chosen.items() if each.practised
    }
    return contents, pictures, practised


def plot(curves: dict[str, Curve], adain: float, path: Path) -> None:
    """Write the style loss against time, AdaIN's as a level line."""
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for label, curve in curves.items():
        axes.plot(curve.seconds, curve.style, label=label)
    axes.axhline(adain, linestyle=":", color="grey", label=ADAIN)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel("style loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
