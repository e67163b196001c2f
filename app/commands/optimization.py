"""The arguments of adain stylize that are about optimisation, and its progress bar."""

from __future__ import annotations

import argparse
import math
import sys
import threading
from collections.abc import Sequence
from typing import get_args

import numpy as np
from PIL import Image
from tqdm import tqdm

from model.controls import check_range
from model.errors import ParameterError
from model.optimization.descent import Budget, Optimizer
from model.optimization.objective import LossWeights, Pooling, StyleBy
from model.optimization.optimize import Initial, Optimization, optimize, refinement
from model.painting import Painting
from model.stylizer import Stylizer

STANDARD = Optimization()
BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def add_optimization(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, in a group of their own."""
    parser.add_argument(
        "--method",
        choices=("adain", "optimize", "network"),
        default="adain",
        help="adain: any style, at once; optimize: any style, with time; network: styles that it "
        "was trained on, faster still (default adain)",
    )
    weights, budget = STANDARD.weights, STANDARD.budget
    group = parser.add_argument_group(
        "optimisation",
        "Slower and better: the pixels themselves are moved to where the losses of Gatys et al. "
        "(2016) fall. Ctrl-C ends it, and writes the picture so far. All but --refine are for "
        "--method optimize.",
    )
    group.add_argument(
        "--refine",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="make AdaIN's result better for so long",
    )
    group.add_argument("--seconds", type=float, help="most seconds (default: no bound)")
    for flag, known, default, meaning in (
        ("--initial", get_args(Initial), STANDARD.initial, "picture to start from"),
        ("--optimizer", get_args(Optimizer), STANDARD.optimizer, "Adam needs more steps"),
        ("--style-by", get_args(StyleBy), weights.style_by, "what of a style is compared"),
        ("--pooling", get_args(Pooling), weights.pooling, "how the encoder pools"),
    ):
        group.add_argument(
            flag, choices=known, default=default, help=f"{meaning} (default {default})"
        )
    for flag, number, meaning in (
        ("--steps", budget.steps, "most steps, fewer where the loss stops falling"),
        ("--scales", STANDARD.scales, "sizes to paint at, from coarse to fine"),
        (
            "--levels",
            STANDARD.levels,
            "levels of the pyramid that is optimised; 1: the pixels themselves",
        ),
        ("--content-weight", weights.content, "the paper's alpha, of the mean over features"),
        ("--style-weight", weights.style, "the paper's beta"),
        ("--smoothness", weights.smoothness, "weight of the total variation"),
        ("--seed", STANDARD.seed, "seed of the noise"),
    ):
        group.add_argument(
            flag, type=type(number), default=number, help=f"{meaning} (default {number:g})"
        )
    for flag, taps in (
        ("--content-tap", weights.content_taps),
        ("--style-tap", weights.style_taps),
    ):
        group.add_argument(
            flag,
            metavar="LAYER",
            action="append",
            help=f"a layer of the encoder; may be repeated (default {', '.join(taps)})",
        )


def read_optimization(args: argparse.Namespace) -> Optimization | None:
    """Return how to optimise, or None if AdaIN's result is to be used as it is.

    Raises:
        ParameterError: an argument is out of range, or both ways to optimise are asked for.
    """
    check_range("--refine", args.refine, 0, math.inf)
    if args.refine and args.method != "adain":
        raise ParameterError(
            "--refine starts from AdaIN's result: choose it, or --method optimize with --seconds"
        )
    if args.refine:
        return refinement(args.refine, args.style_size)
    if args.method != "optimize":
        return None
    for name in ("content_weight", "style_weight", "smoothness"):
        check_range(f"--{name.replace('_', '-')}", getattr(args, name), 0, sys.float_info.max)
    check_range("--steps", args.steps, 1, math.inf)
    for name in ("scales", "levels"):
        check_range(f"--{name}", getattr(args, name), 1, 8)
    if args.seconds is not None:
        check_range("--seconds", args.seconds, 0, math.inf)
    weights = LossWeights(
        content_taps=args.content_tap or STANDARD.weights.content_taps,
        style_taps=args.style_tap or STANDARD.weights.style_taps,
        style_by=args.style_by,
        content=args.content_weight,
        style=args.style_weight,
        smoothness=args.smoothness,
        pooling=args.pooling,
    )
    return Optimization(
        weights=weights,
        initial=args.initial,
        budget=Budget(steps=args.steps, seconds=args.seconds),
        optimizer=args.optimizer,
        levels=args.levels,
        scales=args.scales,
        style_size=args.style_size,
        seed=args.seed,
    )


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an optimisation.

    Attributes:
        picture: the picture so far.
    """

    def __init__(self, picture: Image.Image | np.ndarray) -> None:
        super().__init__()
        self.picture = picture


def optimized(
    stylizer: Stylizer,
    painting: Painting,
    styles: Sequence[Image.Image],
    optimization: Optimization,
    stop: threading.Event,
) -> Image.Image | np.ndarray:
    """Optimise to the end or until it is to stop, with a bar.

    Raises:
        Interrupted: it was to stop; the picture is that of the step that it was in.
    """
    progress = None
    with tqdm(total=100, unit="%", leave=False, bar_format=BAR) as bar:
        for progress in optimize(stylizer, painting, styles, optimization):
            bar.set_postfix(
                step=progress.step.number,
                content=f"{progress.step.content:.3g}",
                style=f"{progress.step.style:.3g}",
                refresh=False,
            )
            bar.update(100 * progress.fraction - bar.n)
            if stop.is_set():
                raise Interrupted(progress.result())
    assert progress is not None  # there is one step at least
    return progress.result()
