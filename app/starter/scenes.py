"""What the starter styles depict: small scenes of colour and light, each a function of a seed.

Every scene returns SIDE x SIDE x 3, float32 in [0, 1].
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 768
Pixels = np.ndarray


def grid() -> tuple[Pixels, Pixels]:
    """Return y and x of every pixel, in [0, 1)."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    return y, x


def color(text: str) -> Pixels:
    """Return "#rrggbb" as three floats."""
    return np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def clouds(random: np.random.Generator, cells: int, octaves: int = 4) -> Pixels:
    """Return fractal noise in [0, 1]: `cells` bumps across, and finer ones of half the height."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for octave in range(octaves):
        count = cells * 2**octave + 2
        bumps = Image.fromarray(random.uniform(-1, 1, (count, count)).astype(np.float32))
        total += np.asarray(bumps.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 2**octave
    low, high = np.quantile(total, [0.01, 0.99])
    return np.asarray(np.clip((total - low) / (high - low), 0, 1))


def gradient(values: Pixels, *colors: str) -> Pixels:
    """Return colours along a line of stops at the values, which are in [0, 1]."""
    stops = np.linspace(0, 1, len(colors))
    channels = np.array([color(each) for each in colors]).T
    mixed = np.stack([np.interp(values, stops, channel) for channel in channels], -1)
    return np.asarray(mixed, np.float32)


def lay(picture: Pixels, cover: Pixels, paint: Pixels) -> Pixels:
    """Return `picture` with `paint` (a colour or pixels) laid over it as `cover` in [0, 1] says."""
    share = np.clip(cover, 0, 1)[..., None]
    return np.asarray(picture * (1 - share) + paint * share)


def disc(center_y: float, center_x: float, radius: float, softness: float = 0.004) -> Pixels:
    """Return the cover of a disc, in parts of the side."""
    y, x = grid()
    distance = np.hypot(y - center_y, x - center_x)
    return np.asarray(np.clip((radius - distance) / softness + 0.5, 0, 1))


def ridge(random: np.random.Generator, height: float, rise: float, cells: int) -> Pixels:
    """Return the cover of a hill whose crest runs at about `height` from the top."""
    y, _ = grid()
    crest = height + rise * (clouds(random, cells)[SIDE // 2] - 0.5)
    return np.asarray(np.clip((y - crest[None]) * SIDE / 2, 0, 1))


def night(random: np.random.Generator) -> Pixels:
    """A moon and whirling stars over hills, and a village with its windows lit."""
    y, x = grid()
    swirl = clouds(random, 3)
    picture = gradient(np.clip(y * 1.2 + 0.5 * swirl - 0.25, 0, 1), "#0b1640", "#1d4f9c", "#6fb2d8")
    for _ in range(11):
        center_y, center_x = random.uniform(0.04, 0.5), random.uniform(0.02, 0.98)
        distance = np.hypot(y - center_y, x - center_x)
        rings = 0.5 + 0.5 * np.cos(distance * random.uniform(160, 240))
        glow = np.exp(-((distance / random.uniform(0.04, 0.09)) ** 2))
        picture = lay(picture, glow * (0.45 + 0.55 * rings), color("#f8dc74"))
    picture = lay(picture, np.exp(-((np.hypot(y - 0.17, x - 0.8) / 0.16) ** 2)), color("#ffe48a"))
    picture = lay(picture, disc(0.17, 0.8, 0.075), color("#fff6c9"))
    for height, tone in ((0.6, "#2a5a94"), (0.68, "#1c3f70"), (0.78, "#12284c")):
        picture = lay(picture, ridge(random, height, 0.16, 3), color(tone))
    for _ in range(60):
        spot = disc(random.uniform(0.8, 0.97), random.uniform(0, 1), random.uniform(0.004, 0.012))
        picture = lay(picture, spot, color("#f6b73c"))
    return picture


def sunset(random: np.random.Generator) -> Pixels:
    """A low sun between clouds, over ridges and a lake that mirrors it."""
    y, x = grid()
    picture = gradient(np.clip(y / 0.62, 0, 1), "#2b2d6e", "#a53f7f", "#f0764b", "#ffd27a")
    streaks = clouds(random, 2) * (0.5 + 0.5 * np.sin(y * 60 + 6 * clouds(random, 3)))
    picture = lay(picture, np.clip(1.6 * streaks - 0.55, 0, 0.8), color("#f9a46b"))
    picture = lay(picture, disc(0.5, 0.6, 0.08), color("#fff0b3"))
    for height, tone in ((0.53, "#7d3b6f"), (0.58, "#4b2a5e"), (0.63, "#2c1f4a")):
        picture = lay(picture, ridge(random, height, 0.14, 4), color(tone))
    water = gradient(np.clip((y - 0.66) / 0.34, 0, 1), "#f29b5d", "#8a3f73", "#27275c")
    ripples = 0.5 + 0.5 * np.sin(y * 330 + 9 * clouds(random, 6))
    water = lay(water, ripples * np.exp(-(((x - 0.6) / 0.1) ** 2)), color("#ffe9a8"))
    return lay(picture, np.clip((y - 0.66) * SIDE / 2, 0, 1), water)


def meadow(random: np.random.Generator) -> Pixels:
    """Poppies and daisies, small ones far off and large ones near."""
    y, x = grid()
    picture = gradient(np.clip(y / 0.35, 0, 1), "#8fc7e8", "#d9ecec")
    ground = gradient(
        np.clip((y - 0.3) / 0.7 + 0.35 * clouds(random, 8) - 0.17, 0, 1),
        "#c6cf7a", "#86a83f", "#3f6f2e", "#24481f",
    )  # fmt: skip
    picture = lay(picture, ridge(random, 0.3, 0.08, 3), ground)
    for center_y in np.sort(0.33 + 0.72 * random.uniform(0, 1, 260) ** 0.8):
        center_x, size = random.uniform(-0.02, 1.02), 0.006 + 0.055 * (center_y - 0.3)
        angle = np.arctan2(y - center_y, x - center_x)
        petals = 1 + 0.22 * np.cos(random.integers(4, 7) * angle + random.uniform(0, 6))
        near = np.hypot((y - center_y) * 1.25, x - center_x) / (size * petals)
        tone = ("#d8322b", "#e8553a", "#f4f1e6", "#f2c230", "#7b5ab5")[random.integers(5)]
        shade = color(tone) * (1.05 - 0.35 * np.clip(near, 0, 1))[..., None]
        picture = lay(picture, (1 - near) * 8, shade)
        picture = lay(picture, (0.3 - near) * 12, color("#4a2c12"))
    return picture


def fruit(random: np.random.Generator) -> Pixels:
    """A still life: fruit on a cloth, lit from the left."""
    y, x = grid()
    picture = gradient(np.clip(0.6 * x + 0.5 * clouds(random, 3), 0, 1), "#7a4a2b", "#3c2a2f")
    folds = 0.5 + 0.5 * np.sin(x * 22 + 5 * clouds(random, 2) + 6 * y)
    cloth = gradient(folds, "#5f7f9c", "#dfe6e2")
    picture = lay(picture, np.clip((y - 0.6 - 0.05 * np.sin(4 * x)) * SIDE / 2, 0, 1), cloth)
    places = [(0.5, 0.22, 0.15), (0.47, 0.53, 0.18), (0.53, 0.82, 0.14), (0.68, 0.36, 0.16)]
    places += [(0.71, 0.66, 0.17), (0.83, 0.17, 0.1), (0.85, 0.86, 0.09), (0.86, 0.5, 0.1)]
    tones = ("#d9772b", "#c23b2a", "#8fa32f", "#e3b23c", "#a8324a", "#6d3a6e", "#d98e32", "#cf4a32")
    for (center_y, center_x, radius), tone in zip(places, tones, strict=True):
        shadow = np.hypot((y - center_y - 0.85 * radius) * 2.6, x - center_x - 0.3 * radius)
        picture = lay(picture, 0.65 * np.clip(1.4 - shadow / radius, 0, 1), color("#20242f"))
        toward = np.hypot(y - center_y + 0.4 * radius, x - center_x + 0.4 * radius) / radius
        light = np.clip(1.35 - 0.75 * toward, 0.12, 1.3)[..., None]
        skin = np.clip(color(tone) * light * (0.85 + 0.3 * clouds(random, 9)[..., None]), 0, 1)
        picture = lay(picture, disc(center_y, center_x, radius), skin)
        glint = np.exp(-((toward / 0.22) ** 2))
        picture = lay(picture, 0.7 * glint * disc(center_y, center_x, radius), color("#fff6df"))
    return picture


def town(random: np.random.Generator) -> Pixels:
    """Gabled houses on a hill above the water, under a pale sky."""
    y, x = grid()
    picture = gradient(
        np.clip(y / 0.6 + 0.3 * clouds(random, 3) - 0.15, 0, 1), "#e9d8b4", "#b9cfd0", "#7fa6b5"
    )
    walls = ("#e6c27a", "#d98e5f", "#c65f4a", "#eee3c8", "#8fae9c", "#c9a0a0")
    for row in range(5):
        base = 0.45 + 0.1 * row
        for center in np.arange(-0.04, 1.06, 0.085) + random.uniform(-0.03, 0.03):
            center_x = center + random.uniform(-0.015, 0.015)
            width, height = random.uniform(0.032, 0.05), random.uniform(0.1, 0.2)
            top = base - height + 0.1 * np.abs(center_x - 0.5)
            inside = np.abs(x - center_x) < width
            wall = inside & (y > top) & (y < base + 0.16)
            tone = color(walls[random.integers(len(walls))]) * (0.75 + 0.07 * row)
            shade = np.where(x < center_x, 1.0, 0.86)[..., None]
            picture = lay(picture, wall.astype(np.float32), np.clip(tone * shade, 0, 1))
            roof = (np.abs(x - center_x) < 1.15 * width * (y - top + 0.06) / 0.06) & (y < top)
            picture = lay(picture, (roof & (y > top - 0.06)).astype(np.float32), color("#8a3b2f"))
            panes = (np.mod((y - top) * 24, 1) < 0.5) & (np.mod((x - center_x) / width, 0.66) < 0.3)
            panes &= np.abs(x - center_x) < 0.8 * width
            picture = lay(picture, 0.75 * (wall & panes), color("#2f3e4f"))
    mirrored = picture[: SIDE // 5][::-1] * 0.3 + color("#3f6f80") * 0.7
    ripples = 0.5 + 0.5 * np.sin(y[-len(mirrored) :] * 240 + 12 * clouds(random, 5)[: SIDE // 5])
    picture[-len(mirrored) :] = lay(mirrored, 0.45 * ripples, color("#cfe0d8"))
    return picture


def waves(random: np.random.Generator) -> Pixels:
    """Swells with foam on their crests, one behind the other, before a far mountain."""
    y, x = grid()
    picture = gradient(np.clip(y / 0.5, 0, 1), "#e8dcb8", "#f1e6c9", "#e7c9a4")
    picture = lay(picture, disc(0.2, 0.26, 0.085), color("#d9532f"))
    slope = np.clip((y - 0.2 - 0.9 * np.abs(x - 0.68)) * SIDE / 2, 0, 1)
    picture = lay(picture, slope, color("#5c7d94"))
    cap = slope * np.clip((0.29 + 0.03 * np.sin(70 * x) - y) * SIDE / 2, 0, 1)
    picture = lay(picture, cap, color("#f4efe0"))
    for row in range(7):
        height = 0.4 + 0.095 * row
        phase = random.uniform(0, 6)
        steep = 2 * np.pi * (1.6 + 0.2 * row) * x + phase
        crest = height - 0.07 * np.abs(np.sin(steep + 0.5 * np.sin(steep))) - 0.02 * np.sin(5 * x)
        depth = y - crest
        body = np.clip(depth * SIDE / 2, 0, 1)
        lines = 0.5 + 0.5 * np.sign(np.sin(depth * 260))
        shade = gradient(np.clip(depth * 4, 0, 1), "#4f8fb0", "#1f5078", "#12305a")
        picture = lay(picture, body, lay(shade, 0.35 * lines, color("#a9cbd3")))
        foam = np.clip(1 - np.abs(depth - 0.012) / (0.012 + 0.01 * clouds(random, 22)), 0, 1)
        picture = lay(picture, np.clip(3 * foam, 0, 1) * body, color("#f6f1e2"))
    return picture


def garden(random: np.random.Generator) -> Pixels:
    """Water lilies: pads and blossoms on a pond that mirrors trees."""
    y, x = grid()
    depth = np.clip(0.55 * y + 0.65 * clouds(random, 3) - 0.1, 0, 1)
    picture = gradient(depth, "#2a4d5e", "#3f7a74", "#7fa58f", "#b9b7d6")
    strokes = 0.5 + 0.5 * np.sin(x * 90 + 9 * clouds(random, 4))
    picture = lay(picture, 0.35 * strokes * clouds(random, 5), color("#1f3f4a"))
    for center_y in np.sort(random.uniform(0.1, 1.0, 70)):
        center_x, size = random.uniform(0, 1), 0.018 + 0.05 * center_y
        near = np.hypot((y - center_y) * 2.3, x - center_x) / size
        tone = ("#5f8f4f", "#7fae5c", "#9cbf7a", "#4a7a58")[random.integers(4)]
        picture = lay(
            picture, (1 - near) * 6, color(tone) * (1.1 - 0.3 * near.clip(0, 1))[..., None]
        )
        if random.uniform() < 0.4:
            angle = np.arctan2(y - center_y + 0.2 * size, x - center_x)
            bloom = np.hypot((y - center_y + 0.2 * size) * 1.4, x - center_x) / (0.5 * size)
            petals = bloom / (1 + 0.3 * np.cos(7 * angle))
            picture = lay(
                picture, (1 - petals) * 6, gradient(petals.clip(0, 1), "#f4d35e", "#f6c1d0")
            )
    return picture
