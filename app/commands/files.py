"""Files that the commands read and write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from app.commands.sources import read_source
from app.settings import Settings
from model.errors import ParameterError, naming
from model.files import STYLE_SUFFIX
from model.images import read_image

if TYPE_CHECKING:
    from model.style import Style, StyleLayout


def open_picture(source: str, settings: Settings) -> Image.Image:
    """Read a picture; an error says which source it is."""
    with naming(source):
        return read_image(read_source(source), max_pixels=settings.max_pixels)


def open_style(
    data: bytes, source: str, layout: Callable[[], StyleLayout], settings: Settings
) -> tuple[Style | None, Image.Image]:
    """Return a style: a picture, or a practised style and its picture.

    Args:
        data: the file.
        source: where it is from, which errors name; its suffix says which of them it is.
        layout: returns that of the loaded model; called for a practised style alone.
        settings: bound the picture.
    """
    with naming(source):
        if Path(source).suffix.lower() != STYLE_SUFFIX:
            return None, read_image(data, max_pixels=settings.max_pixels)
        # Imported here because torch takes seconds, and `adain styles` needs it only for this.
        from model.style import read_style_file

        style = read_style_file(data, layout())
        return style, read_image(style.picture, max_pixels=settings.max_pixels)


def refuse_unwritable(folder: Path) -> None:
    """Raise ParameterError if no file can be written into a folder."""
    if not folder.is_dir():
        raise ParameterError(f"{folder}: no such folder; make it first, or choose another -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ParameterError(f"{folder}: no permission to write there; choose another -o")


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[str]) -> None:
    """Raise ParameterError if a result would overwrite one of its inputs."""
    read = {Path(source).resolve() for source in inputs}
    for output in outputs:
        if output.resolve() in read:
            raise ParameterError(f"{output} is read by this command: choose another -o")


def refuse_existing(outputs: Iterable[Path]) -> None:
    """Raise ParameterError if a result whose name was not given would overwrite a file."""
    for output in outputs:
        if output.exists():
            raise ParameterError(f"{output} exists: name the result with -o")
