"""adain styles: the style library on the command line."""

from __future__ import annotations

import argparse
import functools
import json
from dataclasses import asdict
from pathlib import Path

from app.commands.files import open_style
from app.loading import load_library, load_stylizer
from app.settings import Settings
from model.errors import ParameterError, naming


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command and of its own subcommands."""
    parser.description = (
        "The library that the service serves: ADAIN_DATA_DIR, or ADAIN_DATABASE_URL."
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add", help="save style pictures, or practised styles (.adain)")
    add.add_argument("pictures", metavar="PICTURE", nargs="+", type=Path)
    add.add_argument(
        "--name", help="the style's name (default: the file's name without its suffix)"
    )
    add.set_defaults(run=run_add)
    listing = actions.add_parser("list", help="print id, day of creation and name of each style")
    listing.add_argument("--json", action="store_true", help="print one JSON object a style")
    listing.set_defaults(run=run_list)
    remove = actions.add_parser("remove", help="delete styles")
    remove.add_argument("styles", metavar="STYLE", nargs="+", help="an id or a name")
    remove.set_defaults(run=run_remove)


def run_add(args: argparse.Namespace) -> int:
    """Save pictures, and print their ids."""
    if args.name is not None and len(args.pictures) > 1:
        raise ParameterError("--name names one picture: add the others without it, or one by one")
    settings = Settings()
    library = load_library(settings)
    layout = functools.cache(lambda: load_stylizer(settings).layout)
    for path in args.pictures:
        own, picture = open_style(path.read_bytes(), str(path), layout, settings)
        with naming(path):
            style = library.add(path.stem if args.name is None else args.name, picture, own)
        print(f"{style.id}  {style.name}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Print all styles, in the order in which they were saved."""
    for style in load_library(Settings()).all():
        if args.json:
            facts = asdict(style) | {"created": style.created.isoformat()}
            print(json.dumps(facts, ensure_ascii=False))
        else:
            print(f"{style.id}  {style.created:%Y-%m-%d}  {style.name}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Delete styles by id or name; none is deleted where one is unknown."""
    library = load_library(Settings())
    for style in [library.find(name) for name in args.styles]:
        library.remove(style.id)
        print(f"removed {style.name}")
    return 0
