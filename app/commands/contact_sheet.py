"""A sheet of small pictures with their names."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from model.files import write_whole
from model.formats import format_of
from model.images import encode_image, flatten
from model.scaling import resize_longest

SIDE = 256
GAP, CAPTION = 12, 22
FONT_SIZE = 13
# Wider than high, as screens are.
ASPECT = 1.6


class ContactSheet:
    """Small pictures with their names, laid out in rows."""

    def __init__(self, side: int = SIDE) -> None:
        """Begin a sheet whose pictures have `side` pixels at most."""
        self._side = side
        self._entries: list[tuple[str, Image.Image]] = []

    def add(self, caption: str, picture: Image.Image) -> None:
        """Add a picture (RGB or RGBA)."""
        side = min(self._side, max(picture.size))
        self._entries.append((caption, resize_longest(flatten(picture), side)))

    def sort(self) -> None:
        """Put the pictures in the order of their names."""
        self._entries.sort(key=lambda entry: entry[0])

    def draw(self) -> Image.Image:
        """Return the sheet, RGB."""
        columns = max(1, round(math.sqrt(ASPECT * len(self._entries))))
        rows = max(1, math.ceil(len(self._entries) / columns))
        width, height = self._side + GAP, self._side + CAPTION + GAP
        sheet = Image.new("RGB", (GAP + columns * width, GAP + rows * height), "white")
        pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
        for number, (caption, picture) in enumerate(self._entries):
            left, top = GAP + number % columns * width, GAP + number // columns * height
            sheet.paste(picture, (left, top))
            place = (left, top + self._side + 3)
            pen.text(place, shorten(caption, font, self._side), "black", font)
        return sheet

    def write(self, path: Path) -> None:
        """Write the sheet."""
        write_whole(path, encode_image(self.draw(), format_of(path)))


def shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Return as much of the text as `width` pixels show."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
