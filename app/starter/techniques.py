"""How the starter styles are painted: techniques that turn a scene into a picture.

Each takes SIDE x SIDE x 3 in [0, 1] and a generator, and returns an RGB image of the same size.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from app.starter.pixels import as_paint, blur, to_image, to_pixels
from app.starter.scenes import SIDE, Pixels, clouds, color, disc, gradient, grid, lay

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def directions(scene: Pixels, random: np.random.Generator, smooth: int) -> Pixels:
    """Return the angle of a stroke at every pixel: along the edges, adrift where there are none.

    The edges' angles are averaged as the structure tensor does, in which opposite gradients agree.
    """
    dy, dx = np.gradient(blur(scene @ LUMA, 2))
    parts = []
    for product in (dx * dx, dx * dy, dy * dy):
        image = Image.fromarray(product.astype(np.float32))
        shrunk = image.resize((SIDE // smooth,) * 2, Image.Resampling.BOX)
        parts.append(np.asarray(shrunk.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    xx, xy, yy = parts
    drift = 2 * math.pi * clouds(random, 2, octaves=2)
    vague = 0.5 * np.median(xx + yy) + 1e-6
    across = np.arctan2(2 * xy + vague * np.sin(drift), xx - yy + vague * np.cos(drift)) / 2
    return np.asarray(across + math.pi / 2)


def brush(
    scene: Pixels,
    random: np.random.Generator,
    *,
    widths: tuple[int, ...] = (26, 15, 8),
    jitter: float = 0.07,
    smooth: int = 16,
    length: float = 3.2,
) -> Image.Image:
    """Oil: curved strokes along the scene's edges, broad ones first, fine ones where they matter.

    After Hertzmann (1998, "Painterly rendering with curved brush strokes of multiple sizes").
    """
    angles = directions(scene, random, smooth)
    image = to_image(blur(scene, widths[0]) * 0.8)
    for width in widths:
        seen = blur(scene, width / 3)
        missing = np.abs(to_pixels(image) - seen).sum(-1)
        spacing = width * 0.55
        count = int((SIDE / spacing) ** 2)
        draw = ImageDraw.Draw(image)
        for y, x in random.uniform(0, SIDE, (count, 2)):
            if width < widths[0] and missing[int(y), int(x)] < 0.1:
                continue
            tone = seen[int(y), int(x)] + random.normal(0, jitter, 3) * 0.6
            tone = tone + random.normal(0, jitter)
            stroke(draw, angles, y, x, width, width * length, tone, random)
    return image


def stroke(
    draw: ImageDraw.ImageDraw,
    angles: Pixels,
    y: float,
    x: float,
    width: float,
    length: float,
    tone: Pixels,
    random: np.random.Generator,
) -> None:
    """Draw one stroke that follows the angles: bristles side by side, each of its own lightness."""
    points, heading = [(x, y)], None
    step = max(3.0, width / 3)
    for _ in range(int(length * random.uniform(0.6, 1.3) / step)):
        angle = float(angles[min(max(int(y), 0), SIDE - 1), min(max(int(x), 0), SIDE - 1)])
        dx, dy = math.cos(angle), math.sin(angle)
        if heading is not None and dx * heading[0] + dy * heading[1] < 0:
            dx, dy = -dx, -dy
        heading = (dx, dy)
        x, y = x + step * dx, y + step * dy
        points.append((x, y))
    if heading is None:
        return
    bristles = max(2, round(width / 3))
    thick = max(2, round(1.5 * width / bristles))
    for bristle in range(bristles):
        offset = (bristle / (bristles - 1) - 0.5) * width * 0.8
        # Lit from above on the left: a ridge of paint is brighter on one flank.
        flank = 0.1 * (0.5 - bristle / (bristles - 1)) + random.normal(0, 0.035)
        shift = (-heading[1] * offset, heading[0] * offset)
        moved = [(px + shift[0], py + shift[1]) for px, py in points]
        draw.line(moved, as_paint(tone + flank), thick, joint="curve")


def knife(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Palette knife: broad flat slabs of thick paint, with the ridges that the blade leaves."""
    image = brush(scene, random, widths=(44, 30, 20), jitter=0.05, smooth=30, length=2.0)
    height = to_pixels(image) @ LUMA + 0.25 * clouds(random, 60, octaves=2)
    dy, dx = np.gradient(blur(height, 1.2))
    relief = np.clip(3.2 * (dx + dy), -0.22, 0.22)
    return to_image(to_pixels(image) + relief[..., None])


def points(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Pointillism: dots of pure colour beside their complements, which mix in the eye."""
    image = to_image(0.55 * blur(scene, 20) + 0.4 * color("#f3e7cf"))
    draw = ImageDraw.Draw(image)
    for radius in (6.5, 5.0, 3.6):
        seen = blur(scene, radius / 2)
        for y, x in random.uniform(0, SIDE, (int((SIDE / radius) ** 2 * 0.55), 2)):
            tone = seen[int(y), int(x)]
            gray = float(tone @ LUMA)
            vivid = gray + (tone - gray) * random.uniform(1.2, 1.9)
            if random.uniform() < 0.14:  # the complement, at the same lightness
                vivid = gray + (gray - vivid) * 0.8
            size = radius * random.uniform(0.6, 1.0)
            vivid = vivid + random.normal(0, 0.07)
            draw.ellipse((x - size, y - size, x + size, y + size), as_paint(vivid))
    return image


def cells(random: np.random.Generator, count: int, jitter: float) -> tuple[Pixels, Pixels, Pixels]:
    """Return the Voronoi cells of a jittered grid of count x count seeds.

    Returns:
        The index of each pixel's seed; how much farther the second nearest one is, in cells; and
        the seeds, count^2 x 2 (y, x) in pixels.
    """
    size = SIDE / count
    rows, columns = np.mgrid[:count, :count]
    seeds = (
        np.stack([rows, columns], -1) + 0.5 + jitter * random.uniform(-0.5, 0.5, (count, count, 2))
    )
    y, x = np.mgrid[:SIDE, :SIDE] / size
    distances, indices = [], []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            row = np.clip(y.astype(int) + dy, 0, count - 1)
            column = np.clip(x.astype(int) + dx, 0, count - 1)
            seed = seeds[row, column]
            distances.append(np.hypot(y - seed[..., 0], x - seed[..., 1]))
            indices.append(row * count + column)
    # Clipping names border cells more than once: a second nearest must be another cell.
    stacked, named = np.array(distances), np.array(indices)
    nearest = np.take_along_axis(named, stacked.argmin(0)[None], 0)[0]
    other = np.where(named == nearest, np.inf, stacked).min(0)
    return nearest, (other - stacked.min(0)).astype(np.float32), seeds.reshape(-1, 2) * size


def mosaic(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Mosaic: small stones, no two of one shade, set in dark mortar."""
    index, gap, seeds = cells(random, 62, 0.75)
    rows, columns = np.clip(seeds, 0, SIDE - 1).astype(int).T
    stones = blur(scene, 4)[rows, columns]
    gray = (stones @ LUMA)[:, None]
    stones = gray + (stones - gray) * 1.25 + random.normal(0, 0.06, (len(stones), 1))
    picture = np.clip(stones, 0.03, 1)[index]
    y, x = np.mgrid[:SIDE, :SIDE]
    tilt = random.normal(0, 0.012, (len(stones), 2))[index]
    picture += ((y - seeds[index, 0]) * tilt[..., 0] + (x - seeds[index, 1]) * tilt[..., 1])[
        ..., None
    ]
    picture *= (0.9 + 0.2 * clouds(random, 90, octaves=2))[..., None]
    mortar = np.clip((0.16 - gap) / 0.06, 0, 1)
    return to_image(lay(picture, mortar, color("#2b2622")))


def glass(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Stained glass: large panes, deep colours, light behind them, leading between."""
    index, gap, seeds = cells(random, 19, 0.95)
    rows, columns = np.clip(seeds, 0, SIDE - 1).astype(int).T
    panes = blur(scene, 12)[rows, columns]
    gray = (panes @ LUMA)[:, None]
    panes = np.clip(gray + (panes - gray) * 1.9 + random.normal(0, 0.07, (len(panes), 1)), 0.02, 1)
    y, x = grid()
    light = 0.75 + 0.5 * np.exp(-(((x - 0.55) ** 2 + (y - 0.35) ** 2) / 0.18))
    streaks = 0.85 + 0.3 * clouds(random, 14)
    bright = 0.72 + 0.5 * np.clip(gap * 1.6, 0, 0.6)
    picture = panes[index] * (light * streaks * bright)[..., None]
    lead = np.clip((0.17 - gap) / 0.035, 0, 1)
    sheen = 0.12 * np.clip(1 - np.abs(gap - 0.07) / 0.03, 0, 1)
    return to_image(lay(picture, lead, color("#121013") + sheen[..., None]))


def hatching(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Pen and ink: strokes along the form, crossed where it is dark, on toned paper."""
    light = blur(scene @ LUMA, 1.5)
    low, high = np.quantile(light, [0.02, 0.98])
    light = np.clip((light - low) / (high - low), 0, 1)
    angles = directions(scene, random, 20)
    paper = color("#f2e8d2") * (0.96 + 0.06 * clouds(random, 120, octaves=2))[..., None]
    image = to_image(paper)
    draw = ImageDraw.Draw(image)
    for threshold, turn in ((0.9, 0.0), (0.55, 0.9), (0.3, -0.7)):
        for y, x in random.uniform(0, SIDE, (9000, 2)):
            tone = light[int(y), int(x)]
            if tone > threshold * random.uniform(0.6, 1.0):
                continue
            angle = angles[int(y), int(x)] + turn + random.normal(0, 0.06)
            half = random.uniform(5, 12)
            dx, dy = half * math.cos(angle), half * math.sin(angle)
            bend = random.normal(0, 1.0)
            path = [(x - dx, y - dy), (x + bend, y + bend), (x + dx, y + dy)]
            draw.line(path, as_paint(color("#2a2320") + 0.25 * tone), 2 if tone < 0.4 else 1)
    return image.filter(ImageFilter.SMOOTH)


def halftone(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Comic print: dots of four inks on turned screens, and black outlines."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    flat = np.clip((blur(scene, 3) - 0.5) * 1.25 + 0.55, 0, 1)
    black = 1 - flat.max(-1)
    picture = np.ones_like(flat) * color("#fbf3df")
    inks = [(1 - flat[..., i] - black, turn) for i, turn in ((2, 0.0), (1, 1.3), (0, 0.26))]
    tones = ("#ffd500", "#e3256b", "#1b9dd9", "#1d1a1c")
    for (amount, turn), tone in zip([*inks, (black - 0.12, 0.785)], tones, strict=True):
        u = (x * math.cos(turn) + y * math.sin(turn)) / 10
        v = (y * math.cos(turn) - x * math.sin(turn)) / 10
        away = np.hypot(u - np.floor(u) - 0.5, v - np.floor(v) - 0.5)
        dots = np.clip((0.72 * np.sqrt(np.clip(amount, 0, 1)) - away) * 8 + 0.5, 0, 1)
        picture = picture * (1 - dots[..., None] * (1 - color(tone)))
    edges = sum(np.hypot(*np.gradient(flat[..., i])) for i in range(3))
    return to_image(lay(picture, np.clip(edges * 9 - 0.7, 0, 1), color("#1d1a1c")))


def wash(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Watercolour: washes that run and dry with dark rims, on grained paper."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    run_y, run_x = (26 * (clouds(random, 9) - 0.5) for _ in range(2))
    rows, columns = (np.clip(each, 0, SIDE - 1).astype(int) for each in (y + run_y, x + run_x))
    wet = blur(scene, 5)[rows, columns]
    grain = clouds(random, 190, octaves=2)
    pigment = np.zeros_like(wet)
    levels = 5
    for channel in range(3):
        amount = (1 - wet[..., channel]) * levels + 0.5 * (clouds(random, 12) - 0.5)
        for level in range(levels):
            cover = np.clip((amount - level - 0.35) * 5, 0, 1)
            rim = np.clip(cover - blur(cover, 4), 0, 1)
            pigment[..., channel] += (0.8 * cover + 1.1 * rim) / levels
    blooms = 0.78 + 0.44 * clouds(random, 5)
    pigment *= (blooms * (0.86 + 0.28 * grain))[..., None]
    margin = np.minimum.reduce([y, x, SIDE - 1 - y, SIDE - 1 - x]) / SIDE
    dry = np.clip((margin - 0.02 - 0.03 * clouds(random, 7)) * 60, 0, 1)
    pigment *= dry[..., None]
    paper = color("#fbf7ec") * (0.97 + 0.04 * grain)[..., None]
    return to_image(paper * np.exp(-1.15 * pigment))


def woodcut(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Woodcut: cut lines that swell with the light, over two blocks of colour."""
    light = blur(scene @ LUMA, 2)
    low, high = np.quantile(light, [0.03, 0.97])
    light = np.clip((light - low) / (high - low), 0, 1)
    warm = np.clip((blur(scene, 6)[..., 0] - blur(scene, 6)[..., 2] + 0.02) * 9, 0, 1)
    light = np.maximum(light, 0.75 * warm)
    y, _ = grid()
    # The lines run level and are pushed aside by the forms, as a carver follows them.
    lines = np.mod((y + 0.05 * blur(light, 14) + 0.012 * clouds(random, 5)) * 92, 1)
    nicks = 0.12 * (clouds(random, 60, octaves=2) - 0.5)
    cut = np.clip((light * 1.15 - np.abs(lines - 0.5) * 2 + nicks) * 6 + 0.5, 0, 1)
    paper = color("#f3e6c8") * (0.95 + 0.07 * clouds(random, 100, octaves=2))[..., None]
    cool_block = lay(paper, 0.75 * (1 - light), color("#4f7f8c"))
    picture = lay(
        cool_block, warm * 0.9, gradient(blur(scene @ LUMA, 2), "#8f2a1c", "#d2552c", "#f2cf7a")
    )
    return to_image(lay(picture, 1 - cut, color("#221d1f")))


def enamel(scene: Pixels, random: np.random.Generator) -> Image.Image:
    """Gold and enamel: flat ornaments of spirals and tiles, in the scene's colours and in gold."""
    index, gap, seeds = cells(random, 24, 0.5)
    rows, columns = np.clip(seeds, 0, SIDE - 1).astype(int).T
    flat = blur(scene, 6)[rows, columns][index]
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    away = np.hypot(y - seeds[index, 0], x - seeds[index, 1])
    angle = np.arctan2(y - seeds[index, 0], x - seeds[index, 1])
    turns = random.choice([-1, 1], len(seeds))[index]
    spirals = np.sin(away * 0.9 + turns * angle) > 0.55
    kind = random.integers(0, 3, len(seeds))[index]
    rings = np.sin(away * 1.1) > 0.5
    tiles = (np.mod(x, 11) < 2) | (np.mod(y, 11) < 2)
    ornament = np.select([kind == 0, kind == 1], [spirals, rings], tiles)
    metal = 0.82 + 0.3 * clouds(random, 40, octaves=3)
    gold = color("#d9a93a") * metal[..., None]
    picture = lay(np.clip(flat * 1.1, 0, 1), 0.85 * ornament, gold)
    picture = lay(picture, np.clip((0.1 - gap) / 0.04, 0, 1), gold * 0.55)
    for _ in range(26):
        spot = disc(random.uniform(0, 1), random.uniform(0, 1), random.uniform(0.008, 0.022))
        picture = lay(picture, spot, gold * 1.1)
    return to_image(picture)
