"""Judge weights: contents in styles, scored, beside other methods' results.

    python -m training.evaluate --decoder runs/one/decoder.safetensors --out runs/one/scores
    python -m training.evaluate --out runs/two/scores --against runs/one/scores/pictures

The folder --out gets scores.md, scores.json, sheet.png and the results, as
pictures/CONTENT_STYLE.png; a folder of pictures so named is what --against takes.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from model import Style, Stylizer, read_image
from model.color import color_moments, transport
from model.errors import naming
from model.formats import list_pictures
from model.images import flatten
from model.networks.encoder import Encoder
from model.optimization.descent import Budget
from model.optimization.optimize import Optimization, optimize
from model.painting import Painting
from model.pixels import to_pixels, to_tensor
from model.weights import load_encoder
from training.errors import TrainingError
from training.loop.command import command_parser, guarded
from training.loop.settings import Settings, add_arguments, read_settings, setting
from training.metrics import Judge, Scores
from training.sheet import tile

EVALUATION = Path("../shared/data/eval")
OURS = "ours"
RESULTS = "pictures"
SHEET_ROWS = 12
# One content is painted in every fifth style, counted from its own place in the list.
STRIDE = 5
OPTIMIZATION_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings(Settings):
    """The settings of the evaluation."""

    out: Path = setting("folder to write to", type=Path)
    content: Path = setting("folder of content pictures", EVALUATION / "content")
    style: Path = setting("folder of style pictures", EVALUATION / "style")
    encoder: Path | None = setting("weights in place of the bundled encoder", None, type=Path)
    decoder: Path | None = setting("weights in place of the bundled decoder", None, type=Path)
    judge: Path | None = setting(
        "encoder in whose features losses are measured; else the bundled one", None, type=Path
    )
    against: Sequence[Path] = setting(
        "folders of other methods' results, CONTENT_STYLE.png each", (), type=Path, nargs="+"
    )
    size: int = setting("pictures are cut to squares of so many pixels", 512, bounds=(64, 1024))
    styles: int = setting(
        "styles that each content meets, spread over all; 0: every one", 2, bounds=(0, math.inf)
    )
    detail: Sequence[float] = setting("a row for each", (0.0,), type=float, nargs="+")
    beside: Sequence[str] = setting(
        "rows to compare with: the content untouched, the content in the style's colours, 60 steps "
        "of optimisation",
        ("content", "recolored"),
        type=str,
        nargs="*",
        choices=("content", "recolored", "optimized"),
    )
    device: str = setting("auto, cpu, cuda, cuda:1, mps, xpu", "auto")
    precision: str = setting("arithmetic of the networks", "auto")


@dataclass(frozen=True, slots=True)
class Result:
    """One method's picture of one pair, with its scores.

    Attributes:
        method, content, style: names.
        seconds: that it took; None where another method made it.
        scores: see `Scores`.
    """

    method: str
    content: str
    style: str
    seconds: float | None
    scores: Scores


# From names of content and style to the result and the seconds that it took, if it was made now.
Method = Callable[[str, str], tuple[Image.Image, float | None]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate; return the exit code: 0 done, 1 failed, 2 called wrongly, 143 stopped."""
    parser = command_parser("training.evaluate", __doc__)
    add_arguments(parser, EvaluateSettings)
    args = parser.parse_args(arguments)
    return guarded(parser.prog, lambda stop: evaluate(read_settings(EvaluateSettings, args), stop))


def evaluate(settings: EvaluateSettings, stop: threading.Event) -> bool:
    """Stylize and score all pairs; write tables, results and the sheet; False once stopped."""
    contents, styles = (
        read_squares(folder, settings.size) for folder in (settings.content, settings.style)
    )
    judge = Judge(load_judge(settings.judge))
    stylizer, encoded = load_ours(settings, styles)
    methods: dict[str, Method] = {}
    for detail in settings.detail:
        name = OURS if detail == 0 else f"{OURS}, detail {detail:g}"
        methods[name] = stylizing(stylizer, encoded, contents, detail)
    for name in settings.beside:
        methods[name] = BESIDE[name](stylizer, contents, styles)
    for folder in settings.against:
        methods[name_method(folder)] = reading(folder, settings.size)
    folder = settings.out / RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    rows: list[list[Image.Image | None]] = []
    pairs = choose_pairs(list(contents), list(styles), settings.styles)
    on_sheet = set(pairs[:: max(1, len(pairs) // SHEET_ROWS)])
    seen_contents = {name: judge.look(image) for name, image in contents.items()}
    seen_styles = {name: judge.look(image) for name, image in styles.items()}
    for content, style in tqdm(pairs, unit="pair", disable=None):
        if stop.is_set():
            return False
        row: list[Image.Image | None] = [contents[content], styles[style]]
        for name, make in methods.items():
            image, seconds = make(content, style)
            if name == next(iter(methods)):
                image.save(folder / f"{content}_{style}.png")
            scores = judge.score(seen_contents[content], seen_styles[style], image)
            results.append(Result(name, content, style, seconds, scores))
            row.append(image)
        if (content, style) in on_sheet:
            rows.append(row)
    table = tabulate(results, list(methods))
    (settings.out / "scores.md").write_text(table)
    summary = {"settings": asdict(settings), "results": [asdict(result) for result in results]}
    (settings.out / "scores.json").write_text(json.dumps(summary, indent=1, default=str) + "\n")
    tile(rows, settings.size).save(settings.out / "sheet.png")
    print(table, end="")
    return True


def read_squares(folder: Path, size: int) -> dict[str, Image.Image]:
    """Return a folder's pictures by their names without suffix, cut to their middle squares.

    Raises:
        TrainingError: there is no such folder, or no picture in it.
        AdainError: a picture cannot be read; the message names it.
    """
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such folder; name those of --content and --style")
    squares = {}
    for path in list_pictures(folder):
        with naming(path):
            squares[path.stem] = ImageOps.fit(flatten(read_image(path)), (size, size))
    if not squares:
        raise TrainingError(f"no picture in {folder}")
    return squares


def load_judge(path: Path | None) -> Encoder:
    """Return the encoder in whose features losses are measured, in float32 on the CPU."""
    return load_encoder(path).eval().requires_grad_(False)


def choose_pairs(
    contents: Sequence[str], styles: Sequence[str], count: int
) -> list[tuple[str, str]]:
    """Return pairs of names: content i meets the styles i, i + 5 and so on, or all."""
    if count == 0 or count >= len(styles):
        return [(content, style) for style in styles for content in contents]
    return [
        (content, styles[(place + STRIDE * number) % len(styles)])
        for place, content in enumerate(contents)
        for number in range(count)
    ]


def load_ours(
    settings: EvaluateSettings, styles: Mapping[str, Image.Image]
) -> tuple[Stylizer, dict[str, Style]]:
    """Return the weights that the settings name, and the encoded styles."""
    stylizer = Stylizer.load(
        encoder=settings.encoder,
        decoder=settings.decoder,
        device=settings.device,
        precision=settings.precision,
    )
    return stylizer, {
        name: stylizer.encode_style(image, style_size=settings.size)
        for name, image in styles.items()
    }


def stylizing(
    stylizer: Stylizer,
    encoded: Mapping[str, Style],
    contents: Mapping[str, Image.Image],
    detail: float,
) -> Method:
    """Return the method that is ours, at a `detail`."""

    def stylize(content: str, style: str) -> tuple[Image.Image, float | None]:
        start = time.perf_counter()
        image = stylizer.stylize(contents[content], encoded[style], detail=detail)
        return image, time.perf_counter() - start

    return stylize


def untouched(
    stylizer: Stylizer, contents: Mapping[str, Image.Image], styles: Mapping[str, Image.Image]
) -> Method:
    """Return the method that leaves the content as it is."""
    return lambda content, style: (contents[content], None)


def recoloring(
    stylizer: Stylizer, contents: Mapping[str, Image.Image], styles: Mapping[str, Image.Image]
) -> Method:
    """Return the method that gives the content the style's colours, and nothing else."""

    def recolor(content: str, style: str) -> tuple[Image.Image, float | None]:
        image, other = (to_tensor(np.asarray(each)) for each in (contents[content], styles[style]))
        change = transport(color_moments(image), color_moments(other))
        return Image.fromarray(to_pixels(change(image))), None

    return recolor


def optimizing(
    stylizer: Stylizer, contents: Mapping[str, Image.Image], styles: Mapping[str, Image.Image]
) -> Method:
    """Return the method of Gatys et al., with our defaults and 60 steps."""

    def descend(content: str, style: str) -> tuple[Image.Image, float | None]:
        start, image = time.perf_counter(), contents[content]
        how = Optimization(budget=Budget(steps=OPTIMIZATION_STEPS), style_size=image.height)
        *_, last = optimize(stylizer, Painting.plan(image, 1), [styles[style]], how)
        return last.picture(), time.perf_counter() - start

    return descend


BESIDE = {"content": untouched, "recolored": recoloring, "optimized": optimizing}


def reading(folder: Path, size: int) -> Method:
    """Return the method whose results lie in a folder."""

    def read(content: str, style: str) -> tuple[Image.Image, float | None]:
        path = folder / f"{content}_{style}.png"
        if not path.exists():
            raise TrainingError(f"{path}: no such file; --against needs a result for every pair")
        with naming(path):
            return ImageOps.fit(flatten(read_image(path)), (size, size)), None

    return read


def name_method(folder: Path) -> str:
    """Return what to call the results in a folder; of an evaluation, by that one's folder."""
    return folder.parent.name if folder.name == RESULTS else folder.name


def tabulate(results: Sequence[Result], methods: Sequence[str]) -> str:
    """Return the methods' mean scores over all pairs as a Markdown table."""
    names = [known.name for known in fields(Scores)]
    pairs = len(results) // len(methods)
    lines = [
        "| method | " + " | ".join(name.replace("_", " ") for name in names) + " | seconds |",
        "|---" * (len(names) + 2) + "|",
    ]
    for method in methods:
        own = [result for result in results if result.method == method]
        means = [f"{mean(getattr(r.scores, name) for r in own):.3f}" for name in names]
        seconds = [result.seconds for result in own if result.seconds is not None]
        means.append(f"{mean(seconds):.3f}" if seconds else "")
        lines.append(f"| {method} | " + " | ".join(means) + " |")
    return "\n".join(lines) + f"\n\nMeans over {pairs} pairs.\n"


if __name__ == "__main__":
    sys.exit(main())
