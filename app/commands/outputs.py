"""Which results a run makes: from which content, in which style, under which name."""

from __future__ import annotations

import argparse
import glob
import math
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.commands.files import refuse_existing, refuse_overwriting, refuse_unwritable
from app.commands.sources import is_file, stem_of
from model.errors import ParameterError
from model.formats import FORMAT_OF_SUFFIX, format_of, list_pictures
from model.headers import announced_size

DEFAULT_FOLDER = "stylized"
STANDARD_OUTPUT = Path("-")
EACH_NAME = "{stem}-{style}"
PLACEHOLDERS = ("stem", "style")
# Characters of a style's name that file systems or shells take for something else.
UNSAFE = dict.fromkeys(map(ord, '/\\:*?"<>|\0'), "_")


@dataclass(frozen=True, slots=True)
class Task:
    """A result to make.

    Attributes:
        content: where the content is from.
        output: the path to write; `STANDARD_OUTPUT` is the standard output.
        style: which of the styles, by its number; None: all of them mixed.
    """

    content: str
    output: Path
    style: int | None = None

    @property
    def format(self) -> str:
        """The format of the result, by its name."""
        return "png" if self.output == STANDARD_OUTPUT else format_of(self.output)


def format_written(task: Task, chosen: str | None) -> str:
    """Return the format of a result: by its name, or the one chosen where it has none."""
    return chosen if chosen and task.output == STANDARD_OUTPUT else task.format


def is_many(content: str) -> bool:
    """Whether a content is a folder or a glob."""
    return is_file(content) and (Path(content).is_dir() or not Path(content).exists())


def plan(args: argparse.Namespace, styles: Sequence[str]) -> list[Task]:
    """Return the results to make; `styles` are the names of the styles.

    Raises:
        ParameterError: a result cannot be written, or would overwrite what it must not.
    """
    many = is_many(args.content)
    tasks = plan_many(args, styles) if many else plan_one(args, styles)
    outputs = [task.output for task in tasks if task.output != STANDARD_OUTPUT]
    twice = [str(path) for path, count in Counter(outputs).items() if count > 1]
    if twice:
        raise ParameterError(f"several pictures would be written to {twice[0]}: rename one of them")
    for task in tasks:
        _ = task.format
    contents = [task.content for task in tasks]
    read = [each for each in (*contents, *args.styles, *(args.mask or [])) if is_file(each)]
    refuse_overwriting(outputs, read)
    if args.output is None and not args.skip_existing:
        refuse_existing(outputs)
    if outputs:
        folder = (args.output or Path(DEFAULT_FOLDER)) if many else outputs[0].parent
        if many or args.each_style:
            folder.mkdir(parents=True, exist_ok=True)
        refuse_unwritable(folder)
    return tasks


def plan_one(args: argparse.Namespace, styles: Sequence[str]) -> list[Task]:
    """Return the result of one content, or those of one content in each style."""
    content = args.content
    beside = Path(content).parent if is_file(content) else Path()
    output = args.output or beside
    into_folder = args.output is None or output.is_dir()
    if args.each_style:
        suffix = args.suffix or ".png"
        names = [name_of(args.name or EACH_NAME, stem_of(content), each) for each in styles]
        tasks = [
            Task(content, output / with_suffix(name, suffix), number)
            for number, name in enumerate(names)
        ]
    elif into_folder:
        template = args.name or "{stem}-stylized"
        name = name_of(template, stem_of(content), "-".join(styles))
        tasks = [Task(content, output / with_suffix(name, args.suffix or ".png"))]
    else:
        tasks = [Task(content, output)]
    return tasks


def plan_many(args: argparse.Namespace, styles: Sequence[str]) -> list[Task]:
    """Return the results of a folder or a glob.

    A content keeps its name; one that is of no format that we write gets .png added to it. With
    `--recursive` it keeps its folder too.
    """
    folder = args.output or Path(DEFAULT_FOLDER)
    if folder == STANDARD_OUTPUT or (folder.exists() and not folder.is_dir()):
        raise ParameterError(f"{folder} is a file: for many pictures, -o must name a folder")
    contents = find_pictures(args.content, recursive=args.recursive)
    # Pictures of one size follow each other: they share memory and compiled convolutions, and can
    # be painted at once.
    contents.sort(key=by_size)
    root = Path(args.content) if Path(args.content).is_dir() else None
    if root is not None and root.resolve() in folder.resolve().parents:
        # Results of an earlier run are no contents of this one.
        contents = [path for path in contents if folder.resolve() not in path.resolve().parents]
    template = args.name or (EACH_NAME if args.each_style else None)
    tasks = []
    for path in contents:
        parent = folder / path.parent.relative_to(root) if root and args.recursive else folder
        for number in range(len(styles)) if args.each_style else [None]:
            style = "-".join(styles) if number is None else styles[number]
            name = name_in_folder(path, template, style, args.suffix)
            tasks.append(Task(str(path), parent / name, number))
    return tasks


def by_size(path: Path) -> tuple[int, tuple[int, int]]:
    """Return what pictures are sorted by: pixels, then width and height."""
    size = announced_size(path)
    return math.prod(size), size


def find_pictures(content: str, *, recursive: bool) -> list[Path]:
    """Return the pictures of a folder, by their suffix, or the files that a glob matches."""
    if Path(content).is_dir():
        found = list_pictures(Path(content), recursive=recursive)
        where = f"{content}: this folder has no picture files"
    else:
        found = [Path(path) for path in glob.glob(content, recursive=True)]  # noqa: PTH207
        where = f"{content}: no such file or folder, and no file matches it as a glob"
    found = sorted(path for path in found if path.is_file())
    if not found:
        raise ParameterError(where)
    return found


def name_in_folder(path: Path, template: str | None, style: str, suffix: str | None) -> str:
    """Return the name of a result of a folder."""
    own = path.suffix.lower() in FORMAT_OF_SUFFIX
    if template is None:
        if suffix is not None:
            return f"{path.stem}{suffix}"
        return path.name if own else f"{path.name}.png"
    return with_suffix(name_of(template, path.stem, style), suffix or path.suffix * own or ".png")


def with_suffix(name: str, suffix: str) -> str:
    """Return a name with a suffix, unless it has one of a format that we write."""
    return name if Path(name).suffix.lower() in FORMAT_OF_SUFFIX else f"{name}{suffix}"


def name_of(template: str, stem: str, style: str) -> str:
    """Return a name by a template with {stem} and {style}."""
    return template.format(stem=stem, style=style.translate(UNSAFE))


def check_template(template: str) -> None:
    """Raise ParameterError for a template of names that has other placeholders, or a folder."""
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ParameterError(f"--name: {error}") from error
    if not used <= set(PLACEHOLDERS):
        raise ParameterError(f"--name may have {{stem}} and {{style}}, and is {template!r}")
    if "/" in template or "\\" in template:
        raise ParameterError("--name names files: folders go to -o")
