"""How near `adain stylize FOLDER` comes to the rate of the model alone.

    python -m benchmarks.folder [--pictures N]

Photographs of 12 megapixels are stylized to 1024 pixels, as files; before and after that the model
alone paints as many pictures of that size, decoded before.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from pathlib import Path

from app.cli import main as adain
from app.loading import load_stylizer
from app.settings import Settings
from app.starter import starters
from benchmarks.decoding import SIZE, photograph
from model.images import read_image
from model.scaling import resize_longest

SIDE = 1024


def rate_of_model(pictures: int, data: bytes, style: bytes) -> float:
    """Return how many pictures a second the model paints by itself."""
    stylizer = load_stylizer(Settings())
    encoded = stylizer.encode_style(read_image(style))
    content = resize_longest(read_image(data), SIDE)
    stylizer.stylize(content, encoded)
    started = time.perf_counter()
    for _ in range(pictures):
        stylizer.stylize(content, encoded)
    return pictures / (time.perf_counter() - started)


def rate_of_folder(pictures: int, data: bytes, style: bytes) -> float:
    """Return how many the command paints, without the time to load the model."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "photos").mkdir()
        (root / "style.webp").write_bytes(style)
        for number in range(pictures):
            (root / "photos" / f"{number}.jpg").write_bytes(data)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            names = [f"{root}/photos", f"{root}/style.webp", "-o", f"{root}/out"]
            adain(["stylize", *names, "--size", str(SIDE)])
    return float(said.getvalue().rpartition(": ")[2].split()[0])


def main() -> None:
    """Read the arguments, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100)
    pictures = parser.parse_args().pictures
    # All files have the same content, whose features must not be known.
    os.environ["ADAIN_CONTENT_CACHE_BYTES"] = "0"
    data, style = photograph(), starters()[0].file
    model, folder = (rate(pictures, data, style) for rate in (rate_of_model, rate_of_folder))
    again = rate_of_model(pictures, data, style)
    model = (model + again) / 2
    megapixels = SIZE[0] * SIZE[1] / 1e6
    print(f"{pictures} photographs of {megapixels:.0f} megapixels to {SIDE} pixels, a second:\n")
    print("| the model alone | files | ratio |\n| --- | --- | --- |")
    print(f"| {model:.2f} | {folder:.2f} | {folder / model:.2f} |")


if __name__ == "__main__":
    main()
