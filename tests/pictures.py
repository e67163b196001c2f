"""Small painters of test pictures; the same picture at every call."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.pixels import to_tensor
from model.style import SHAPES, Change, Style, StyleLayout

SRGB_RED = (255, 0, 0)
# Mean difference, in levels of 255, of one picture painted by processes with other numbers of
# threads: their sums are rounded otherwise, which moves some pixels by a level.
ROUNDING = 0.01


def photo(width: int = 96, height: int = 64, seed: int = 0) -> Image.Image:
    """A sky that fades to a ground, with a few discs before it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    fade = (y / height)[..., None]
    picture = (1 - fade) * [90, 140, 220] + fade * [110, 90, 40]
    for _ in range(6):
        center_y, center_x = random.uniform(0, height), random.uniform(0, width)
        radius = random.uniform(0.05, 0.25) * min(width, height)
        picture[(y - center_y) ** 2 + (x - center_x) ** 2 < radius**2] = random.uniform(0, 255, 3)
    return Image.fromarray(picture.astype(np.uint8))


def painting(size: int = 96, seed: int = 1) -> Image.Image:
    """Slanted strokes in a few strong colours."""
    random = np.random.default_rng(seed)
    palette = random.uniform(0, 255, (5, 3))
    y, x = np.mgrid[:size, :size]
    angle, width = random.uniform(0, np.pi), random.uniform(4, 9)
    stroke = (x * np.cos(angle) + y * np.sin(angle) + 3 * np.sin(y / 5)) // width
    return Image.fromarray(palette[stroke.astype(int) % 5].astype(np.uint8))


def noise(width: int, height: int, seed: int = 2) -> Image.Image:
    """Independent random pixels: nothing that a compressor could hold on to."""
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def write_pictures(
    folder: Path, painters: Mapping[str, Callable[..., Image.Image]], count: int
) -> Path:
    """Fill a folder for each painter with its pictures, 00.png and so on; return the whole."""
    for name, paint in painters.items():
        (folder / name).mkdir(parents=True)
        for seed in range(count):
            (folder / name / f"{seed:02}.png").write_bytes(encoded(paint(seed=seed)))
    return folder


def as_tensor(image: Image.Image) -> Tensor:
    """The image as networks take it, 1 x 3 x H x W in [0, 1]."""
    return to_tensor(np.asarray(image))


def practised_style(style: Style, layout: StyleLayout, *, rank: int = 2) -> Style:
    """A style as practice leaves it, which is far from the one that it began as."""
    random = torch.Generator().manual_seed(5)
    changes = {
        name: Change(
            torch.randn(outputs, rank, generator=random).half().float(),
            (0.1 * torch.randn(rank, inputs, generator=random) / inputs**0.5).half().float(),
        )
        for name, (outputs, inputs) in layout.convolutions.items()
    }
    return replace(style, changes=changes, detail=0.5, picture=encoded(painting()))


def plain_style(value: float, weights: str = "weights") -> Style:
    """A style of one value everywhere, which no picture has."""
    return Style.of_tensors({n: torch.full(s, value) for n, s in SHAPES.items()}, weights)


def difference(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference of two images of one size, in levels of 255."""
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).mean())
