"""Folders and zip files of pictures: in memory where they fit, else read again at each use."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import multiprocessing
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from model.errors import AdainError, naming
from model.formats import picture_suffixes
from model.images import flatten, read_image
from model.scaling import resize_shortest
from training.errors import TrainingError

LOG = logging.getLogger(__name__)
Content = TypeVar("Content")
# How many pictures are read to tell how much memory all of them would take.
SAMPLE = 64
# A set of which this many pictures in a row cannot be read is taken to be gone.
MAX_FAILURES = 100


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture in a folder or in a zip file.

    Attributes:
        source: the folder or the zip file.
        name: the picture's path inside it, with forward slashes.
    """

    source: Path
    name: str

    def __str__(self) -> str:
        return f"{self.source}/{self.name}"

    @property
    def label(self) -> str:
        """The name of the folder that holds the picture: its class, in a classifier's data."""
        return PurePosixPath(self.name).parent.name

    def read(self) -> Image.Image:
        """Return the picture as RGB, transparency laid over white.

        Raises:
            AdainError: it cannot be read; the message names the file.
        """
        with naming(self):
            return flatten(read_image(self._read_bytes()))

    def _read_bytes(self) -> bytes:
        try:
            if self.source.is_dir():
                return (self.source / self.name).read_bytes()
            return open_zip(self.source, os.getpid()).read(self.name)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, KeyError) as error:
            # RuntimeError: it is encrypted, or compressed in a way that Python does not know.
            raise TrainingError(f"cannot be read: {error}") from error


@functools.cache
def open_zip(path: Path, process: int) -> zipfile.ZipFile:
    """Return an open zip file; one per process, since processes would share the file's position."""
    return zipfile.ZipFile(path)


def find_pictures(sources: Sequence[Path]) -> list[PictureFile]:
    """Return the pictures of folders (at any depth) and zip files, by name.

    Raises:
        TrainingError: a source is missing, is neither of the two, or no source holds a picture.
    """
    found: list[PictureFile] = []
    for source in sources:
        suffixes = picture_suffixes()
        found += (
            PictureFile(source, name)
            for name in sorted(list_names(source))
            if PurePosixPath(name).suffix.lower() in suffixes
            # macOS puts files beside pictures that are none, whatever their suffix.
            and not PurePosixPath(name).name.startswith(".")
        )
    if not found:
        searched = ", ".join(map(str, sources))
        raise TrainingError(f"no picture in {searched}; name folders or zip files of pictures")
    return found


def readable(files: Sequence[PictureFile]) -> Iterator[Image.Image]:
    """Yield those of the pictures that can be read."""
    for file in files:
        with contextlib.suppress(AdainError):
            yield file.read()


def list_names(source: Path) -> Iterator[str]:
    """Yield the paths of all files of a folder or zip file."""
    if source.is_dir():
        return (path.relative_to(source).as_posix() for path in source.rglob("*"))
    if not source.exists():
        raise TrainingError(f"{source}: no such folder or zip file")
    try:
        return iter(open_zip(source, os.getpid()).namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise TrainingError(f"{source} is no folder and no whole zip file: {error}") from error


def digest(files: Sequence[PictureFile]) -> str:
    """Return a text that differs for other pictures, or an other order of them."""
    names = "\n".join(file.name for file in files)
    return f"{len(files)} pictures {hashlib.sha256(names.encode()).hexdigest()[:12]}"


def decode(file: PictureFile, shortest: int, longest: int) -> Tensor:
    """Return a picture as 3 x H x W uint8.

    Args:
        file: any picture that the service would take.
        shortest: least number of pixels of the shorter side.
        longest: a shorter side with more pixels than this is scaled down to it.

    Raises:
        AdainError: it cannot be read, or is too small; the message names the file.
    """
    image = file.read()
    if min(image.size) < shortest:
        raise TrainingError(
            f"{file}: too small: {image.width}x{image.height}, and the shorter side must have at "
            f"least {shortest} pixels"
        )
    if min(image.size) > longest:
        image = resize_shortest(image, longest, max(image.size))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def read_all(
    files: Sequence[PictureFile], read: Callable[[PictureFile], Content | None]
) -> Iterator[tuple[PictureFile, Content]]:
    """Yield files with what is read of them, in order; those of which that is None are left out."""
    # Pillow's decoders let go of the interpreter's lock, so threads do.
    with ThreadPoolExecutor() as threads:
        contents = threads.map(read, files)
        bar = tqdm(files, desc="reading pictures", leave=False, disable=None)
        for file, content in zip(bar, contents, strict=True):
            if content is not None:
                yield file, content


class Pictures:
    """The pictures of some sources, ready to be drawn from.

    Attributes:
        files: all that the sources hold; once in memory, those that can be used.
        digest: a digest of the names of all pictures.
    """

    def __init__(self, sources: Sequence[Path], *, shortest: int, longest: int) -> None:
        """Find the pictures.

        Args:
            sources: folders and zip files.
            shortest: pictures with a shorter side of fewer pixels are skipped.
            longest: pictures with a shorter side of more pixels are scaled down to it.

        Raises:
            TrainingError: see `find_pictures`.
        """
        self.files = find_pictures(sources)
        self.digest = digest(self.files)
        self._sides = shortest, longest
        self._decoded: list[Tensor] = []
        self._warned: set[PictureFile] = set()
        # Shared, so that the DataLoader's workers count too.
        self._skipped = multiprocessing.Value("q", 0)

    @property
    def in_memory(self) -> bool:
        """Whether all pictures are decoded."""
        return bool(self._decoded)

    @property
    def skipped(self) -> int:
        """How many files could not be used so far; each process that reads counts for itself."""
        return int(self._skipped.value)

    def estimate_bytes(self) -> float:
        """Return about how much memory all pictures would take, judged by some of them."""
        some = self.files[:: max(1, len(self.files) // SAMPLE)]
        total = 0
        for file in some:
            with contextlib.suppress(AdainError):
                total += decode(file, *self._sides).nbytes
        return total / len(some) * len(self.files)

    def load(self, device: torch.device) -> None:
        """Decode all pictures, and keep them on `device`.

        Raises:
            TrainingError: none can be used.
        """
        files, pictures = [], []
        for file, picture in read_all(self.files, self._decode):
            files.append(file)
            pictures.append(picture.contiguous().to(device))
        if not pictures:
            raise TrainingError(
                f"none of {len(self.files)} pictures can be used, such as {self.files[0]}; they "
                f"must be whole, with a shorter side of at least {self._sides[0]} pixels"
            )
        self.files, self._decoded = files, pictures

    def draw(self, random: np.random.Generator) -> Tensor:
        """Return a random picture, 3 x H x W uint8; one that cannot be used gives way to another.

        Raises:
            TrainingError: one picture after the other cannot be used.
        """
        for _ in range(MAX_FAILURES):
            index = int(random.integers(len(self.files)))
            picture = self._decoded[index] if self._decoded else self._decode(self.files[index])
            if picture is not None:
                return picture
        raise TrainingError(
            f"{MAX_FAILURES} pictures in a row cannot be used, such as {self.files[index]}; they "
            f"must be whole, with a shorter side of at least {self._sides[0]} pixels"
        )

    def name_drawn(self, random: np.random.Generator) -> str:
        """Return the name of the picture that `draw` would try first."""
        return str(self.files[int(random.integers(len(self.files)))])

    def summary(self) -> dict[str, object]:
        """Return what the record of a run says of its pictures: how many, and from where."""
        counts = Counter(str(file.source) for file in self.files)
        return {"pictures": dict(counts), "skipped": self.skipped}

    def _decode(self, file: PictureFile) -> Tensor | None:
        """Return the picture, or warn, count it, and return None."""
        try:
            return decode(file, *self._sides)
        except AdainError as error:
            if file not in self._warned:
                self._warned.add(file)
                LOG.warning("skipped: %s", error)
                with self._skipped.get_lock():
                    self._skipped.value += 1
            return None


def load_if_they_fit(sets: Sequence[Pictures], memory_gib: float, device: torch.device) -> None:
    """Keep sets of pictures decoded on `device` if together they take less than `memory_gib`."""
    if sum(pictures.estimate_bytes() for pictures in sets) < memory_gib * 2**30:
        for pictures in sets:
            pictures.load(device)
