"""Judge weights: every content in every style, scored, beside other methods' results.

    python -m training.evaluate --decoder runs/one/decoder.safetensors --out runs/one/scores
    python -m training.evaluate --out runs/two/scores --against runs/one/scores/pictures

The folder --out gets scores.md, scores.json, sheet.png and the results, as
pictures/CONTENT_STYLE.png; a folder of pictures so named is what --against takes.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean

from PIL import Image, ImageOps
from tqdm import tqdm

from model import Stylizer, read_image
from model.encoder import Encoder
from model.errors import naming
from model.image import flatten, list_pictures
from model.weights import load_encoder
from training.command import command_parser, guarded
from training.errors import TrainingError
from training.metrics import Judge, Scores
from training.settings import Settings, add_arguments, read_settings, setting
from training.sheet import tile

EVALUATION = Path("../shared/data/eval")
OURS = "ours"
RESULTS = "pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings(Settings):
    """What the evaluation is told."""

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
    size: int = setting("pictures are cut to squares of so many pixels", 256, bounds=(64, 1024))
    device: str = setting("auto, cpu, cuda, cuda:1, ...", "auto")
    precision: str = setting("of the stylization", "auto")


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
    methods = {OURS: stylizing(settings, contents, styles)}
    for folder in settings.against:
        methods[name_method(folder)] = reading(folder, settings.size)
    folder = settings.out / RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    rows: list[list[Image.Image | None]] = []
    pairs = [(content, style) for style in styles for content in contents]
    on_sheet = set(pairs[:: len(contents) + 1])
    for content, style in tqdm(pairs, unit="pair", disable=None):
        if stop.is_set():
            return False
        row: list[Image.Image | None] = [contents[content], styles[style]]
        for name, make in methods.items():
            image, seconds = make(content, style)
            if name == OURS:
                image.save(folder / f"{content}_{style}.png")
            scores = judge.score(contents[content], styles[style], image)
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


def stylizing(
    settings: EvaluateSettings, contents: dict[str, Image.Image], styles: dict[str, Image.Image]
) -> Method:
    """Return the method that is ours, with the weights that the settings name."""
    stylizer = Stylizer.load(
        encoder=settings.encoder,
        decoder=settings.decoder,
        device=settings.device,
        precision=settings.precision,
    )
    encoded = {
        name: stylizer.encode_style(image, style_size=settings.size)
        for name, image in styles.items()
    }

    def stylize(content: str, style: str) -> tuple[Image.Image, float | None]:
        start = time.perf_counter()
        image = stylizer.stylize(contents[content], encoded[style])
        return image, time.perf_counter() - start

    return stylize


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
