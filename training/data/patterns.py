"""Styles made by program: dense patterns, which paintings seldom show.

A decoder that has not seen grids, dots and tiles paints them too faintly. Each pattern is a map of
numbers of colours, drawn at twice its size for smooth edges, in the colours of a painting.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SCALE = 2
# Size of a pattern's elements in pixels of the result, drawn evenly on a logarithmic scale.
SIZES = (4.0, 28.0)
INKS = (2, 7)
# A bound on the elements that are drawn one by one.
MOST_ELEMENTS = 2500
Random = np.random.Generator
# Side of the map, size of an element, number of colours, randomness -> side x side integers.
Maker = Callable[[int, float, int, Random], np.ndarray]


def pattern(side: int, colors: np.ndarray, random: Random, kind: str | None = None) -> np.ndarray:
    """Return a pattern.

    Args:
        side: side of the result, in pixels.
        colors: N x 3 in [0, 1] to choose from, such as the pixels of a painting.
        random: says which pattern.
        kind: one of `KINDS`; None: any.

    Returns:
        side x side x 3, float32 in [0, 1].
    """
    n = side * SCALE
    size = SCALE * float(np.exp(random.uniform(*np.log(SIZES))))
    inks = int(random.integers(INKS[0], INKS[1] + 1))
    make = KINDS[kind or str(random.choice(list(KINDS)))]
    numbers = np.clip(make(n, size, inks, random), 0, inks - 1)
    # Uneven light and grain, as on paper and canvas.
    light = 0.12 * random.random() * noise(n, 6 * size, random)[..., None]
    grain = random.choice([0, 0.03, 0.1]) * random.normal(0, 1, (n, n, 1))
    picture = palette(colors, inks, random)[numbers] + light + grain
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    if random.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 3)))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def palette(colors: np.ndarray, inks: int, random: Random) -> np.ndarray:
    """Return some of the colours, from dark to light or from light to dark."""
    chosen = colors[random.integers(len(colors), size=inks)]
    order = np.argsort(chosen.sum(1))
    return chosen[order if random.random() < 0.6 else order[::-1]]


def noise(n: int, cell: float, random: Random) -> np.ndarray:
    """Return n x n numbers in about [-1, 1] that change over `cell` pixels."""
    coarse = max(2, round(n / cell) + 2)
    values = random.normal(0, 0.5, (coarse, coarse)).astype(np.float32)
    return np.asarray(Image.fromarray(values).resize((n, n), Image.Resampling.BICUBIC))


def coordinate(n: int, random: Random) -> np.ndarray:
    """Return a coordinate that runs in one direction or from one point, more or less bent."""
    y, x = np.mgrid[:n, :n].astype(np.float32)
    if random.random() < 2 / 3:
        angle = random.uniform(0, np.pi)
        run = np.cos(angle) * x + np.sin(angle) * y
    else:
        run = np.hypot(x - random.uniform(0, n), y - random.uniform(0, n))
    bend = random.choice([0, 0.05, 0.15, 0.4])
    return np.asarray(run + bend * n * noise(n, n / random.uniform(1, 6), random))


def bands(n: int, size: float, inks: int, random: Random) -> np.ndarray:
    """Stripes, waves and rings, and two of them crossed."""
    run = coordinate(n, random) / size
    if random.random() < 0.35:
        run = np.floor(run) + np.floor(coordinate(n, random) / (size * random.uniform(0.5, 2)))
    number = np.floor(run).astype(int)
    # Neighbours in order, or in an order that returns after many bands only.
    return (7 * number + number // inks) % inks if random.random() < 0.5 else number % inks


def marble(n: int, size: float, inks: int, random: Random) -> np.ndarray:
    """Noise of several scales, cut into bands."""
    layers = [noise(n, size * scale, random) * scale**0.8 for scale in (4, 2, 1, 0.5)]
    height = np.sum(layers, axis=0)
    share = (height - height.min()) / (np.ptp(height) + 1e-6)
    return np.asarray(np.floor(share * inks * random.uniform(1, 3)).astype(int) % inks)


def cells(n: int, size: float, inks: int, random: Random) -> np.ndarray:
    """Mosaic, cracked glaze and stained glass: each pixel is of the nearest of some points."""
    count = max(2, int(n / size / 1.5))
    step = n / count
    rows, columns = np.mgrid[:count, :count]
    shaken = random.uniform(0, 1) * random.uniform(-0.5, 0.5, (2, count, count))
    points = (np.stack([rows, columns]) + 0.5 + shaken) * step
    y, x = np.mgrid[:n, :n]
    row, column = (np.clip((axis / step).astype(int), 0, count - 1) for axis in (y, x))
    distances, owners = [], []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            # Beyond the border there is no other point: its own is then met twice.
            i, j = row + down, column + right
            outside = (i < 0) | (j < 0) | (i >= count) | (j >= count)
            i, j = np.clip(i, 0, count - 1), np.clip(j, 0, count - 1)
            distance = np.hypot(y - points[0, i, j], x - points[1, i, j])
            distances.append(np.where(outside, np.inf, distance))
            owners.append(i * count + j)
    order = np.argsort(distances, axis=0)[:2]
    nearest, second = np.take_along_axis(np.stack(distances), order, axis=0)
    owner = np.take_along_axis(np.stack(owners), order[:1], axis=0)[0]
    grout = size * random.choice([0, 0.12, 0.3])
    numbers = random.integers(1, inks, count * count)[owner]
    return np.where(second - nearest < grout, 0, numbers)


def boxes(n: int, size: float, inks: int, random: Random) -> np.ndarray:
    """A square cut into boxes, and these again, with lines between them."""
    image = Image.new("L", (n, n))
    pen, line = ImageDraw.Draw(image), line_width(size, random)
    rest = [(0.0, 0.0, float(n), float(n))]
    while rest:
        left, top, width, height = rest.pop()
        cut = random.uniform(0.3, 0.7)
        if max(width, height) < size * random.uniform(1.5, 4):
            ink = int(random.integers(1, inks)) if random.random() < 0.8 else 0
            box = (left, top, left + width, top + height)
            pen.rectangle(box, fill=ink, outline=0, width=line)
        elif width > height:
            rest.append((left, top, width * cut, height))
            rest.append((left + width * cut, top, width * (1 - cut), height))
        else:
            rest.append((left, top, width, height * cut))
            rest.append((left, top + height * cut, width, height * (1 - cut)))
    return np.asarray(image).astype(int)


def circles(n: int, size: float, inks: int, random: Random) -> np.ndarray:
    """Rings that overlap, or discs that do not, on a hexagonal grid."""
    image = Image.new("L", (n, n))
    pen, line = ImageDraw.Draw(image), line_width(size, random)
    step = size * random.uniform(0.7, 1.4)
    rings, radius = random.random() < 0.5, step * random.uniform(0.3, 1.1)
    for i in range(-1, int(n / step) + 2):
        for j in range(-1, int(n / step / 0.866) + 2):
            x, y = (i + j % 2 / 2) * step, j * step * 0.866
            reach = radius if rings else radius * random.uniform(0.3, 0.7)
            box = (x - reach, y - reach, x + reach, y + reach)
            ink = int(random.integers(1, inks))
            pen.ellipse(box, fill=None if rings else ink, outline=ink, width=line)
    return np.asarray(image).astype(int)


def shards(n: int, size: float, inks: int, random: Random) -> np.ndarray:
    """Polygons with three to five corners, one over the other."""
    image = Image.new("L", (n, n))
    pen = ImageDraw.Draw(image)
    for x, y in random.uniform(0, n, (count_elements(n, size), 2)):
        angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(3, 6))))
        reach = size * random.uniform(0.4, 1.4, len(angles))
        corners = zip(x + reach * np.cos(angles), y + reach * np.sin(angles), strict=True)
        pen.polygon(list(corners), fill=int(random.integers(1, inks)), outline=0)
    return np.asarray(image).astype(int)


def dots(n: int, size: float, inks: int, random: Random) -> np.ndarray:
    """Dabs of paint of all sizes."""
    image = Image.new("L", (n, n))
    pen = ImageDraw.Draw(image)
    for x, y in random.uniform(0, n, (count_elements(n, size), 2)):
        wide = size * random.uniform(0.1, 0.5)
        high = wide * random.uniform(0.6, 1)
        box = (x - wide, y - high, x + wide, y + high)
        pen.ellipse(box, fill=int(random.integers(1, inks)))
    return np.asarray(image).astype(int)


def strokes(*, length: float, widths: tuple[float, float], wobble: float, crossed: float) -> Maker:
    """Return what draws lines that follow a common direction, which turns over the picture.

    Args:
        length, widths: a line's length and widths, relative to an element.
        wobble: deviation of the direction from piece to piece of a line, in radians.
        crossed: share of the lines that lie across the others.
    """

    def make(n: int, size: float, inks: int, random: Random) -> np.ndarray:
        image = Image.new("L", (n, n))
        pen = ImageDraw.Draw(image)
        turn = random.choice([0.1, 0.6, 2]) * noise(n, n / random.uniform(1, 4), random)
        direction = random.uniform(0, np.pi)
        width = max(1, round(size * random.uniform(*widths)))
        for x, y in random.uniform(0, n, (count_elements(n, size), 2)):
            angle = direction + turn[int(y), int(x)] + random.normal(0, 0.15)
            angle += np.pi / 2 * (random.random() < crossed)
            angles = angle + np.cumsum(random.normal(0, wobble, 6))
            piece = size * length * random.uniform(0.5, 1.5) / len(angles)
            xs = np.concatenate([[x], x + np.cumsum(piece * np.cos(angles))])
            ys = np.concatenate([[y], y + np.cumsum(piece * np.sin(angles))])
            points = list(zip(xs.tolist(), ys.tolist(), strict=True))
            pen.line(points, fill=int(random.integers(1, inks)), width=width, joint="curve")
        return np.asarray(image).astype(int)

    return make


def line_width(size: float, random: Random) -> int:
    """Return the width of lines around elements."""
    return max(1, round(size * random.uniform(0.08, 0.25)))


def count_elements(n: int, size: float) -> int:
    """Return how many elements cover a picture."""
    return int(min(MOST_ELEMENTS, 1.6 * (n / size) ** 2))


KINDS: dict[str, Maker] = {
    "bands": bands,
    "marble": marble,
    "cells": cells,
    "boxes": boxes,
    "circles": circles,
    "shards": shards,
    "dots": dots,
    "strokes": strokes(length=4, widths=(0.3, 0.9), wobble=0.12, crossed=0),
    "hatching": strokes(length=3, widths=(0.12, 0.12), wobble=0.03, crossed=0.3),
    "scribbles": strokes(length=8, widths=(0.2, 0.2), wobble=0.7, crossed=0),
}
