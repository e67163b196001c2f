"""adain stylize: one picture, or many, on the command line."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from app.commands.arguments import add_styling, check
from app.commands.contact_sheet import ContactSheet
from app.commands.files import refuse_unwritable
from app.commands.likeness import take_over
from app.commands.outputs import (
    DEFAULT_FOLDER,
    STANDARD_OUTPUT,
    Task,
    check_template,
    format_written,
    is_many,
    plan,
)
from app.commands.painters import painter
from app.commands.pipeline import Pipeline
from app.commands.reports import Report
from app.commands.sources import CLIPBOARD, stem_of
from app.settings import Settings
from model.errors import ParameterError
from model.formats import DEPTHS, WRITE_FORMATS, canonical_format, check_depth, format_of
from model.images import DEFAULT_QUALITY
from model.signals import stop_on_signals

EXAMPLES = """examples:
  adain stylize photo.heic painting.jpg -o result.jpg
  adain stylize photos --saved "Night sky" --recursive -o painted --skip-existing
  curl -s https://example.org/photo.jpg | adain stylize - painting.jpg -o - > result.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Stylize pictures. A folder or a (quoted) glob shows a progress bar and goes on past files "
        "that fail; they are listed at the end, and the exit code is 1."
    )
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "content",
        metavar="CONTENT",
        help="a picture, a folder, a quoted glob, an https address, or - for standard input",
    )
    add_styling(parser)
    results = parser.add_argument_group("results")
    results.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="the file to write (png, jpg, webp, avif or tiff, by its suffix), - for standard "
        "output, or the folder where results are many; by default CONTENT-stylized.png beside "
        f"CONTENT, or the folder {DEFAULT_FOLDER}",
    )
    results.add_argument(
        "--format", help="format of results whose names are not given: " + ", ".join(WRITE_FORMATS)
    )
    results.add_argument(
        "--quality",
        type=int,
        default=DEFAULT_QUALITY,
        help=f"1 to 100, for jpg, webp and avif (default {DEFAULT_QUALITY})",
    )
    results.add_argument(
        "--depth",
        type=int,
        choices=DEPTHS,
        default=8,
        help="bits of a channel; 16 for png and tiff, in sRGB (default 8)",
    )
    results.add_argument("--name", help="names of results, such as '{stem}-{style}'")
    results.add_argument(
        "--color-profile",
        choices=("keep", "srgb"),
        default="keep",
        help="colours of the result: in the content's own profile, or in sRGB (default keep)",
    )
    results.add_argument(
        "--keep-gps", action="store_true", help="let results say where the content was taken"
    )
    many = parser.add_argument_group("many pictures")
    many.add_argument("--recursive", action="store_true", help="look into the folder's folders too")
    many.add_argument("--each-style", action="store_true", help="one result for each style")
    many.add_argument(
        "--skip-existing",
        action="store_true",
        help="pass over results that are there already, made of the same content in the same way",
    )
    many.add_argument("--sheet", metavar="FILE", type=Path, help="also a sheet of all results")
    many.add_argument(
        "--json", action="store_true", help="print one JSON object for each result, and no more"
    )
    parser.add_argument(
        "--from-clipboard",
        action="store_true",
        help="take the content from the clipboard; all pictures named are styles",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Stylize the pictures that the arguments name; return 1 if one of them failed."""
    if args.from_clipboard:
        args.styles, args.content = [args.content, *args.styles], CLIPBOARD
    if args.like is not None:
        take_over(args)
    check(args)
    check_results(args)
    tasks = plan(args, style_names(args))
    for task in tasks:
        check_depth(args.depth, format_written(task, args.format))
    many = len(tasks) > 1 or is_many(args.content)
    settings = Settings()
    sheet = None if args.sheet is None else ContactSheet()
    loaded = painter(args, settings)
    report = Report(as_json=args.json, listed=not many)
    with stop_on_signals(signal.SIGINT) as stop:
        pipeline = Pipeline(args, loaded, settings, report, sheet, stop)
        paint_all(tasks, pipeline, bar=many and not args.json)
    if sheet is not None:
        sheet.sort()
        sheet.write(args.sheet)
    code = report.end(str(args.output or DEFAULT_FOLDER) if many else None)
    if stop.is_set():
        raise KeyboardInterrupt
    return code


def paint_all(tasks: list[Task], pipeline: Pipeline, *, bar: bool) -> None:
    """Paint until all is done, or until Ctrl-C."""
    with suppress(KeyboardInterrupt), pipeline:
        for _ in tqdm(pipeline.run(tasks), total=len(tasks), unit="picture", disable=not bar):
            pass


def style_names(args: argparse.Namespace) -> list[str]:
    """Return the names of all styles, in their order."""
    return [*map(stem_of, args.styles), *args.saved, *args.style_name]


def check_results(args: argparse.Namespace) -> None:
    """Check what the arguments say of results, before the model is loaded."""
    to_stdout = args.output == STANDARD_OUTPUT
    if to_stdout and (args.json or args.each_style):
        raise ParameterError("-o - writes one picture to standard output, and nothing else")
    if args.format is not None:
        args.format = canonical_format(args.format)
        if args.format not in WRITE_FORMATS:
            raise ParameterError(f"--format must be one of {', '.join(WRITE_FORMATS)}")
    args.suffix = None if args.format is None else f".{args.format.replace('jpeg', 'jpg')}"
    if not 1 <= args.quality <= 100:
        raise ParameterError(f"--quality must be from 1 to 100, and is {args.quality}")
    if args.name is not None:
        check_template(args.name)
    if args.each_style and (args.method == "network" or args.mask or args.weight):
        raise ParameterError(
            "--each-style paints each style by itself: leave out --mask, --weight and --style-name"
        )
    if args.sheet is not None:
        format_of(args.sheet)
        refuse_unwritable(args.sheet.parent)
    if to_stdout and sys.stdout.isatty():
        raise ParameterError("-o - writes a picture: send it to a file or a program, as in > x.png")
