"""The styles that a new library begins with, painted by `python -m app.starter` (CC0)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from app.library.store import Starter
from model.style import SUFFIX, Style


@dataclass(frozen=True, slots=True)
class Painting:
    """What a starter style is made of.

    Attributes:
        name: in the library.
        scene: of `app.starter.scenes`; what it depicts.
        technique: of `app.starter.techniques`; how it is painted.
        seed: of all that is random in it.
    """

    name: str
    scene: str
    technique: str
    seed: int

    @property
    def file(self) -> str:
        """The name of its file in this package."""
        return f"{self.scene}-{self.technique}.webp"

    @property
    def practised(self) -> str:
        """The name of the file of the practised style, which `make starters` writes."""
        return f"{self.scene}-{self.technique}{SUFFIX}"


# The page shows the newest first, which is the last here.
PAINTINGS = (
    Painting("Gold and enamel", "sunset", "enamel", 1),
    Painting("Sea in oil", "waves", "brush", 5),
    Painting("Meadow, comic print", "meadow", "halftone", 2),
    Painting("Old town in oil", "town", "brush", 4),
    Painting("Sunset, watercolour", "sunset", "wash", 1),
    Painting("Harbour town, pen and ink", "town", "hatching", 4),
    Painting("Poppies, pointillism", "meadow", "points", 2),
    Painting("Still life, mosaic", "fruit", "mosaic", 3),
    Painting("Water lilies, palette knife", "garden", "knife", 6),
    Painting("Evening, stained glass", "sunset", "glass", 1),
    Painting("Great swell, woodcut", "waves", "woodcut", 5),
    Painting("Night sky in oil", "night", "brush", 0),
)


def starters() -> list[Starter]:
    """Return the starter styles, in the order of the library, practised where they are."""
    folder = files("app.starter")
    found = []
    for each in PAINTINGS:
        practised = folder / each.practised
        style = Style.from_bytes(practised.read_bytes()) if practised.is_file() else None
        found.append(Starter(each.name, (folder / each.file).read_bytes(), style))
    return found
