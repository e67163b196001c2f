"""The styles that a new library begins with, painted by `python -m app.starter` (CC0)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from app.library.store import Starter
from model.files import STYLE_SUFFIX


@dataclass(frozen=True, slots=True)
class StarterPainting:
    """What a starter style is made of.

    Attributes:
        name: in the library.
        scene: of `app.starter.scenes`; what it depicts.
        technique: of `app.starter.techniques`; how it is painted.
        seed: seeds all its random choices.
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
        return f"{self.scene}-{self.technique}{STYLE_SUFFIX}"


# The page shows the newest first, which is the last here.
PAINTINGS = (
    StarterPainting("Gold and enamel", "sunset", "enamel", 1),
    StarterPainting("Sea in oil", "waves", "brush", 5),
    StarterPainting("Meadow, comic print", "meadow", "halftone", 2),
    StarterPainting("Old town in oil", "town", "brush", 4),
    StarterPainting("Sunset, watercolour", "sunset", "wash", 1),
    StarterPainting("Harbour town, pen and ink", "town", "hatching", 4),
    StarterPainting("Poppies, pointillism", "meadow", "points", 2),
    StarterPainting("Still life, mosaic", "fruit", "mosaic", 3),
    StarterPainting("Water lilies, palette knife", "garden", "knife", 6),
    StarterPainting("Evening, stained glass", "sunset", "glass", 1),
    StarterPainting("Great swell, woodcut", "waves", "woodcut", 5),
    StarterPainting("Night sky in oil", "night", "brush", 0),
)


def starters() -> list[Starter]:
    """Return the starter styles, in the order of the library, practised where they are."""
    folder = files("app.starter")
    found = []
    for each in PAINTINGS:
        practised = folder / each.practised
        style = practised.read_bytes() if practised.is_file() else None
        found.append(Starter(each.name, (folder / each.file).read_bytes(), style))
    return found
