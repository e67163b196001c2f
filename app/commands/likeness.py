"""--like: the controls and styles of an earlier result."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from app.commands.sources import is_file
from model.controls import DEFAULT_STYLE_SIZE
from model.errors import ParameterError
from model.metadata import read_recipe
from model.recipe import digest

# Controls by their names in recipes, which are those of the arguments, and their defaults.
DEFAULTS = {
    "alpha": 1.0,
    "detail": 0.0,
    "preserve_color": False,
    "size": None,
    "depth": 8,
    "style_size": DEFAULT_STYLE_SIZE,
    "method": "adain",
    "refine": 0.0,
}


def take_over(args: argparse.Namespace) -> None:
    """Fill the arguments that are left at their defaults from the recipe of `args.like`.

    Raises:
        ParameterError: the file has no recipe, or one that needs pictures which are not there.
    """
    recipe = read_recipe(args.like.read_bytes())
    if recipe is None:
        raise ParameterError(f"{args.like} does not say how it was made: name styles and controls")
    for name, default in DEFAULTS.items():
        if name in recipe and getattr(args, name) == default:
            setattr(args, name, recipe[name])
    if recipe.get("masks") and not args.mask:
        raise ParameterError(f"{args.like} was painted with masks: give them as --mask")
    if args.styles or args.saved or args.style_name:
        return
    for style in recipe.get("styles", []):
        take_style(args, style)
    args.weight = args.weight or recipe.get("weights")


def take_style(args: argparse.Namespace, style: dict[str, Any]) -> None:
    """Add a style of a recipe to the arguments."""
    if "saved" in style or "style_id" in style:
        args.saved.append(style.get("saved") or style["style_id"])
    elif "style_name" in style:
        args.style_name.append(style["style_name"])
    else:
        name, wanted = str(style.get("name", "a picture")), style.get("sha256")
        path = Path(name)
        known = not is_file(name) or (path.is_file() and digest(path.read_bytes()) == wanted)
        if not known:
            raise ParameterError(
                f"{args.like} was painted in {name}, which is not there or has changed: name it "
                "as STYLE"
            )
        args.styles.append(name)
