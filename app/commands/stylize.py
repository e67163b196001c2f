"""adain stylize: one picture, or many, on the command line."""

from __future__ import annotations

import argparse
import glob
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from app.commands.files import (
    open_picture,
    refuse_existing,
    refuse_overwriting,
    refuse_unwritable,
)
from app.commands.optimization import Interrupted, add_optimization, read_optimization
from app.commands.painters import Painter, painter
from app.settings import Settings
from model.controls import (
    DEFAULT_STYLE_SIZE,
    MAX_STYLE_SIZE,
    MIN_SIZE,
    MIN_STYLE_SIZE,
    check_count,
    check_range,
    normalize_weights,
)
from model.errors import AdainError, ParameterError, naming
from model.files import write_whole
from model.formats import FORMAT_OF_SUFFIX, check_writable, format_of, list_pictures
from model.images import encode_image, longest_factor, scaled_size
from model.weights import bundled

DEFAULT_FOLDER = "stylized"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Stylize pictures. A folder or a (quoted) glob shows a progress bar and goes "
        "on past files that fail; they are listed at the end, and the exit code is 1."
    )
    parser.add_argument("content", metavar="CONTENT", help="a picture, a folder, or a quoted glob")
    parser.add_argument(
        "styles",
        metavar="STYLE",
        nargs="*",
        type=Path,
        help="style pictures, or practised styles (.adain)",
    )
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
    parser.add_argument("--alpha", type=float, default=1.0, help="strength, 0 to 1 (default 1)")
    parser.add_argument(
        "--detail",
        type=float,
        help="how much of the content's lines and shapes to keep, -1 to 1 (default 0, or what a "
        "practised style says)",
    )
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
    add_optimization(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Stylize the pictures that the arguments name; return 1 if one of several failed."""
    check(args)
    many = Path(args.content).is_dir() or not Path(args.content).exists()
    jobs = plan_many(args) if many else [plan_one(args)]
    settings = Settings()
    paint = painter(args, settings)
    if not many:
        stylize_file(*jobs[0], args.size, paint, settings)
        print(jobs[0][1])
        return 0
    failures = []
    for content, output in tqdm(jobs, unit="picture"):
        try:
            stylize_file(content, output, args.size, paint, settings)
        except (AdainError, OSError) as error:
            failures.append(str(error))
    for failure in failures:
        print(f"adain: error: {failure}", file=sys.stderr)
    done = len(jobs) - len(failures)
    print(f"{done} of {len(jobs)} pictures written to {jobs[0][1].parent}")
    return 1 if failures else 0


def check(args: argparse.Namespace) -> None:
    """Check the arguments before the model is loaded and anything is written."""
    check_range("--alpha", args.alpha, 0, 1)
    if args.detail is not None:
        check_range("--detail", args.detail, -1, 1)
    check_range("--style-size", args.style_size, MIN_STYLE_SIZE, MAX_STYLE_SIZE)
    if args.size is not None:
        check_range("--size", args.size, MIN_SIZE, float("inf"))
    read_optimization(args)
    pictured = len(args.styles) + len(args.saved)
    if (args.method == "network") != bool(args.style_name):
        raise ParameterError("--method network goes with --style-name NAME, and only with it")
    if args.method == "network" and not (args.network or bundled("style_network")).exists():
        raise ParameterError("--method network needs --network FILE, as training.network writes it")
    if pictured and args.style_name:
        raise ParameterError("--style-name takes the place of style pictures and of --saved")
    styles = pictured + len(args.style_name)
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
    format_of(output)
    refuse_unwritable(output.parent)
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
    refuse_unwritable(folder)
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


def stylize_file(
    content: Path, output: Path, size: int | None, paint: Painter, settings: Settings
) -> None:
    """Stylize one file into another, which appears whole or not at all.

    Raises:
        Interrupted: the picture so far was written.
    """
    picture = open_picture(content, settings)
    with naming(content):
        factor = longest_factor(picture.size, size) if size else 1.0
        check_writable(scaled_size(picture.size, factor), format_of(output))
        interrupted = None
        try:
            result = paint(picture)
        except Interrupted as error:
            result, interrupted = error.picture, error
        data = encode_image(result, format_of(output))
    write_whole(output, data)
    if interrupted is not None:
        print(output)
        raise interrupted
