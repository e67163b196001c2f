"""The arguments that say in which styles to paint, and how."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.commands.optimization import add_optimization, read_optimization
from model.controls import (
    DEFAULT_STYLE_SIZE,
    MAX_STYLE_SIZE,
    MIN_SIZE,
    MIN_STYLE_SIZE,
    check_count,
    check_range,
    normalize_weights,
)
from model.errors import ParameterError


def add_styling(parser: argparse.ArgumentParser) -> None:
    """Add styles and controls."""
    parser.add_argument(
        "styles",
        metavar="STYLE",
        nargs="*",
        help="style pictures, or practised styles (.adain); files or https addresses",
    )
    parser.add_argument(
        "--saved",
        metavar="NAME",
        action="append",
        default=[],
        help="a style of the library, by name or id; they come after the pictures (adain styles)",
    )
    parser.add_argument(
        "--like", metavar="FILE", type=Path, help="paint as this earlier result was painted"
    )
    parser.add_argument(
        "--style-name",
        metavar="NAME",
        action="append",
        default=[],
        help="a style of the network of --method network, in place of pictures and saved ones",
    )
    parser.add_argument(
        "--network", type=Path, help="weights of --method network, by training.network"
    )
    group = parser.add_argument_group("controls")
    group.add_argument("--alpha", type=float, default=1.0, help="strength, 0 to 1 (default 1)")
    group.add_argument(
        "--detail",
        type=float,
        default=0.0,
        help="how much of the content's lines and shapes to keep, -1 to 1 (default 0: as much as "
        "the styles do by themselves)",
    )
    group.add_argument(
        "--weight", type=float, action="append", help="one per style (default: all alike)"
    )
    group.add_argument("--preserve-color", action="store_true", help="keep the content's colours")
    group.add_argument(
        "--mask",
        action="append",
        help="one per style: a grey picture, white where the style goes",
    )
    group.add_argument(
        "--size", type=int, help=f"longest side of the result, {MIN_SIZE} or more (default: as is)"
    )
    group.add_argument(
        "--style-size",
        type=int,
        default=DEFAULT_STYLE_SIZE,
        help="brush size: the shorter side at which styles are seen, "
        f"{MIN_STYLE_SIZE} to {MAX_STYLE_SIZE} (default {DEFAULT_STYLE_SIZE}; at another one a "
        "practised style goes by its picture)",
    )
    add_optimization(parser)


def check(args: argparse.Namespace) -> None:
    """Check the arguments before the model is loaded and anything is written."""
    check_range("--alpha", args.alpha, 0, 1)
    check_range("--detail", args.detail, -1, 1)
    check_range("--style-size", args.style_size, MIN_STYLE_SIZE, MAX_STYLE_SIZE)
    if args.size is not None:
        check_range("--size", args.size, MIN_SIZE, float("inf"))
    read_optimization(args)
    pictured = len(args.styles) + len(args.saved)
    if (args.method == "network") != bool(args.style_name):
        raise ParameterError("--method network goes with --style-name NAME, and only with it")
    if args.method == "network" and not (args.network and args.network.is_file()):
        raise ParameterError("--method network needs --network FILE, as training.network writes it")
    if pictured and args.style_name:
        raise ParameterError("--style-name takes the place of style pictures and of --saved")
    styles = pictured + len(args.style_name)
    if styles == 0:
        raise ParameterError("name a style: a picture, or a saved one as --saved NAME")
    normalize_weights(args.weight, styles)
    if args.mask:
        check_count("masks", len(args.mask), styles)
