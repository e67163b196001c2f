"""adain stylize: one picture, or many, on the command line."""

from __future__ import annotations

import argparse
import glob
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image
from tqdm import tqdm

from app.library import StyleLibrary
from app.main import load_library, load_stylizer
from app.settings import Settings
from model.adain import ChannelStatistics
from model.errors import AdainError, ParameterError, naming
from model.image import encode_image, list_pictures, read_image
from model.parameters import (
    DEFAULT_STYLE_SIZE,
    MAX_STYLE_SIZE,
    MIN_SIZE,
    MIN_STYLE_SIZE,
    check_count,
    check_range,
    normalize_weights,
)
from model.stylizer import Stylizer
from model.tiling import OnTile

FORMAT_OF_SUFFIX = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
DEFAULT_FOLDER = "stylized"


def add_parser(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser(
        "stylize",
        help="stylize a picture, a folder or a glob of pictures",
        description="Stylize pictures. A folder or a (quoted) glob shows a progress bar and goes "
        "on past files that fail; they are listed at the end, and the exit code is 1.",
    )
    parser.add_argument("content", metavar="CONTENT", help="a picture, a folder, or a quoted glob")
    parser.add_argument("styles", metavar="STYLE", nargs="*", type=Path, help="style pictures")
    parser.add_argument(
        "--saved",
        metavar="NAME",
        action="append",
        default=[],
        help="a style of the library, by name or id; they come after the pictures (adain styles)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="the file to write (.png, .jpg or .webp), or the folder where CONTENT is many; "
        f"by default CONTENT-stylized.png beside CONTENT, or the folder {DEFAULT_FOLDER}",
    )
    parser.add_argument("--alpha", type=float, default=1.0, help="strength, 0 to 1 (default 1)")
    parser.add_argument(
        "--weight", type=float, action="append", help="one per style, above 0 (default: all alike)"
    )
    parser.add_argument("--preserve-color", action="store_true", help="keep the content's colours")
    parser.add_argument(
        "--mask",
        type=Path,
        action="append",
        help="one per style: a grey picture, white where the style goes",
    )
    parser.add_argument(
        "--size", type=int, help=f"longest side of the result, {MIN_SIZE} or more (default: as is)"
    )
    parser.add_argument(
        "--style-size",
        type=int,
        default=DEFAULT_STYLE_SIZE,
        help="brush size: the shorter side at which styles are seen, "
        f"{MIN_STYLE_SIZE} to {MAX_STYLE_SIZE} (default {DEFAULT_STYLE_SIZE})",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Stylize what the arguments name; return 1 where a file of many failed."""
    check(args)
    many = Path(args.content).is_dir() or not Path(args.content).exists()
    jobs = plan_many(args) if many else [plan_one(args)]
    settings = Settings()
    stylizer = load_stylizer(settings)
    styles = [
        stylizer.encode_style(open_picture(path, settings), style_size=args.style_size)
        for path in args.styles
    ]
    library = load_library(settings)
    styles += [encode_saved(name, args.style_size, library, stylizer) for name in args.saved]
    masks = [open_picture(path, settings) for path in args.mask] if args.mask else None
    if not many:
        stylize_file(*jobs[0], stylizer, styles, masks, args, settings)
        print(jobs[0][1])
        return 0
    failures = []
    for content, output in tqdm(jobs, unit="picture"):
        try:
            stylize_file(content, output, stylizer, styles, masks, args, settings)
        except (AdainError, OSError) as error:
            failures.append(str(error))
    for failure in failures:
        print(f"adain: error: {failure}", file=sys.stderr)
    done = len(jobs) - len(failures)
    print(f"{done} of {len(jobs)} pictures written to {jobs[0][1].parent}")
    return 1 if failures else 0


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work, before the model is loaded and anything is written."""
    check_range("--alpha", args.alpha, 0, 1)
    check_range("--style-size", args.style_size, MIN_STYLE_SIZE, MAX_STYLE_SIZE)
    if args.size is not None:
        check_range("--size", args.size, MIN_SIZE, float("inf"))
    styles = len(args.styles) + len(args.saved)
    if styles == 0:
        raise ParameterError("name a style: a picture, or a saved one as --saved NAME")
    normalize_weights(args.weight, styles)
    if args.mask:
        check_count("masks", len(args.mask), styles)


def plan_one(args: argparse.Namespace) -> tuple[Path, Path]:
    """Return the content's path and the path to write."""
    content = Path(args.content)
    name = f"{content.stem}-stylized.png"
    if args.output is None or args.output.is_dir():
        output = (args.output or content.parent) / name
        refuse_existing([output])
    else:
        output = args.output
    if output.suffix.lower() not in FORMAT_OF_SUFFIX:
        raise ParameterError(f"{output}: the name must end in {', '.join(FORMAT_OF_SUFFIX)}")
    refuse_overwriting([output], [content, *args.styles, *(args.mask or [])])
    return content, output


def plan_many(args: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return the paths to read and to write for a folder or a glob.

    A content keeps its name; one that is of no format that we write gets .png added to it.
    """
    folder = args.output or Path(DEFAULT_FOLDER)
    if folder.exists() and not folder.is_dir():
        raise ParameterError(f"{folder} is a file: for many pictures, -o must name a folder")
    contents = find_pictures(args.content)
    outputs = [
        folder / (path.name if path.suffix.lower() in FORMAT_OF_SUFFIX else f"{path.name}.png")
        for path in contents
    ]
    twice = [str(path) for path, count in Counter(outputs).items() if count > 1]
    if twice:
        raise ParameterError(f"several pictures would be written to {twice[0]}: rename one of them")
    refuse_overwriting(outputs, [*contents, *args.styles, *(args.mask or [])])
    if args.output is None:
        refuse_existing(outputs)
    folder.mkdir(parents=True, exist_ok=True)
    return list(zip(contents, outputs, strict=True))


def find_pictures(content: str) -> list[Path]:
    """Return the pictures of a folder, by their suffix, or the files that a glob matches."""
    if Path(content).is_dir():
        found = list_pictures(Path(content))
        where = f"{content}: this folder has no picture files"
    else:
        found = [Path(path) for path in glob.glob(content, recursive=True)]  # noqa: PTH207
        where = f"{content}: no such file or folder, and no file matches it as a glob"
    found = sorted(path for path in found if path.is_file())
    if not found:
        raise ParameterError(where)
    return found


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise ParameterError where a result would replace a picture that it is made from."""
    read = {path.resolve() for path in inputs}
    for output in outputs:
        if output.resolve() in read:
            raise ParameterError(f"{output} is read by this command: choose another -o")


def refuse_existing(outputs: Iterable[Path]) -> None:
    """Raise ParameterError where a result would replace a file whose name the user did not give."""
    for output in outputs:
        if output.exists():
            raise ParameterError(f"{output} exists: name the result with -o")


def stylize_file(
    content: Path,
    output: Path,
    stylizer: Stylizer,
    styles: list[ChannelStatistics],
    masks: list[Image.Image] | None,
    args: argparse.Namespace,
    settings: Settings,
) -> None:
    """Stylize one file into another, which appears whole or not at all."""
    picture = open_picture(content, settings)
    with naming(content), tile_bar() as on_tile:
        result = stylizer.stylize(
            picture,
            styles,
            weights=args.weight,
            alpha=args.alpha,
            masks=masks,
            preserve_color=args.preserve_color,
            size=args.size,
            on_tile=on_tile,
        )
        data = encode_image(result, FORMAT_OF_SUFFIX[output.suffix.lower()])
    write_whole(output, data)


@contextmanager
def tile_bar() -> Iterator[OnTile]:
    """Yield what shows a progress bar once a picture is painted in tiles."""
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


def encode_saved(
    name: str, style_size: int, library: StyleLibrary, stylizer: Stylizer
) -> ChannelStatistics:
    """Return the statistics of a style of the library, which keeps what had to be computed."""
    style, encoder = library.find(name).id, stylizer.encoder_fingerprint
    known = library.statistics(style, style_size, encoder)
    if known is not None:
        return known
    computed = stylizer.encode_style(library.picture(style), style_size=style_size)
    library.keep(style, style_size, encoder, computed)
    return computed


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a full disk or a kill never leaves half of it under its name."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_picture(path: Path, settings: Settings) -> Image.Image:
    """Read a picture; an error says which file it is."""
    with naming(path):
        return read_image(path, max_pixels=settings.max_pixels)
