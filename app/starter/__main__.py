"""Paint the starter styles and the page's sample anew: python -m app.starter [FOLDER]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from app.starter import PAINTINGS, StarterPainting, scenes, techniques
from app.starter.pixels import to_image
from model.images import encode_image

QUALITY = 82


def paint(painting: StarterPainting) -> Image.Image:
    """Return a starter style, 768 x 768; the same at every call."""
    random = np.random.default_rng(painting.seed)
    scene = getattr(scenes, painting.scene)(random)
    picture: Image.Image = getattr(techniques, painting.technique)(scene, random)
    return picture


def sample() -> Image.Image:
    """Return the content that the page offers to try: a bare scene."""
    return to_image(scenes.town(np.random.default_rng(4)))


def main() -> None:
    """Write every painting into a folder, by default this package's own, and the sample there."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    target = folder if len(sys.argv) > 1 else folder.parent / "page"
    (target / "sample.webp").write_bytes(encode_image(sample(), "webp", QUALITY))
    for painting in PAINTINGS:
        (folder / painting.file).write_bytes(encode_image(paint(painting), "webp", QUALITY))
        print(folder / painting.file)


if __name__ == "__main__":
    main()
