"""adain sheet: every saved style on one picture, with its name and how to use it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from app.commands.contact_sheet import ContactSheet
from app.commands.files import open_picture, refuse_overwriting, refuse_unwritable
from app.commands.painters import encode_saved
from app.library.rows import SavedStyle
from app.library.store import StyleLibrary
from app.loading import load_library, load_stylizer
from app.settings import Settings
from model.controls import DEFAULT_STYLE_SIZE, MAX_STYLE_SIZE, MIN_SIZE, check_range
from model.errors import ParameterError
from model.formats import format_of
from model.scaling import resize_longest

DEFAULT_SIDE = 320

EXAMPLES = """examples:
  adain sheet photo.jpg
  adain sheet photo.heic -o styles.webp --size 512
  adain stylize photo.jpg --saved "NAME ON THE SHEET"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Show one picture in every style of the library, each with its name."
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("picture", metavar="PICTURE", help="the picture to show")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="default: PICTURE-styles.png beside it"
    )
    parser.add_argument(
        "--size",
        type=int,
        default=DEFAULT_SIDE,
        help=f"longest side of each picture (default {DEFAULT_SIDE})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a style")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the sheet, and print its path or what is on it."""
    check_range("--size", args.size, MIN_SIZE, MAX_STYLE_SIZE)
    source = Path(args.picture)
    output = args.output or source.with_name(f"{source.stem}-styles.png")
    format_of(output)
    refuse_unwritable(output.parent)
    refuse_overwriting([output], [args.picture])
    settings = Settings()
    picture = open_picture(args.picture, settings)
    picture = resize_longest(picture, min(args.size, max(picture.size)))
    library = load_library(settings)
    styles = list(library.all())
    if not styles:
        raise ParameterError("the library has no styles: add one with adain styles add PICTURE")
    sheet = paint(picture, styles, library, args.size, settings)
    sheet.write(output)
    if args.json:
        for style in styles:
            print(json.dumps({"output": str(output), "saved": style.name, "id": style.id}))
    else:
        print(output)
    return 0


def paint(
    picture: Image.Image,
    styles: list[SavedStyle],
    library: StyleLibrary,
    side: int,
    settings: Settings,
) -> ContactSheet:
    """Return the sheet of a picture in styles of the library."""
    stylizer = load_stylizer(settings)
    sheet = ContactSheet(side)
    for style in tqdm(styles, unit="style", leave=False):
        encoded = encode_saved(style.id, DEFAULT_STYLE_SIZE, library, stylizer)
        sheet.add(f"--saved {style.name!r}", stylizer.stylize(picture, encoded))
    return sheet
