"""What decoding in a process of its own costs, against a thread.

    python -m benchmarks.decoding [--rounds N]

A photograph of 12 megapixels, as phones write it, is decoded to the size of a result, and its
metadata read: in a thread of this process, and in a decoding process as the service does it. Both
take turns at the file, which lies on the disk as an upload does.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np
from PIL import Image

from app.decoding import readers
from app.decoding.pool import Decoded, Decoders
from app.decoding.worker import Read
from app.settings import Settings
from model.allocator import reuse_freed_memory
from model.metadata import read_metadata

SIZE = (4000, 3000)
SIDES = (512, 1024, 2048)


def photograph() -> bytes:
    """Return a picture with fine detail as a JPEG file of 12 megapixels."""
    picture = Image.effect_mandelbrot((400, 300), (-2, -1, 1, 1), 99).convert("RGB").resize(SIZE)
    noise = np.random.default_rng(0).integers(-20, 20, (SIZE[1], SIZE[0], 3))
    pixels = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def decode(upload: BinaryIO, read: Read) -> Decoded:
    """Return what a decoding process returns."""
    upload.seek(0)
    data = upload.read()
    return Decoded(read(data), read_metadata(data))


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    """Return how long a piece of work takes."""
    started = time.perf_counter()
    await work()
    return 1000 * (time.perf_counter() - started)


async def compare(upload: BinaryIO, rounds: int) -> None:
    """Print the table."""
    decoders = Decoders(Settings())
    reuse_freed_memory()  # as the service's process does
    decoders.start()
    megabytes = upload.tell() / 1e6
    print(f"A JPEG of 12 megapixels, {megabytes:.1f} MB; medians of {rounds}, milliseconds.\n")
    print("| longest side | thread | process | more | share |\n| --- | --- | --- | --- | --- |")
    for side in SIDES:
        read = partial(readers.read_content, size=side, max_size=side, max_pixels=40_000_000)
        ways = {
            "thread": lambda read=read: asyncio.to_thread(decode, upload, read),
            "process": lambda read=read: decoders.decode("content", upload, read),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, way in ways.items():
                taken[name].append(await milliseconds(way))
        thread, process = (each[1:] for each in taken.values())
        usual = statistics.median(thread)
        # Of neighbours in time, since other work on the machine slows both.
        more = statistics.median(b - a for a, b in zip(thread, process, strict=True))
        row = f"{usual:.0f} | {statistics.median(process):.0f} | {more:+.0f} | {more / usual:+.1%}"
        print(f"| {side} | {row} |")
    await decoders.close()


def main() -> None:
    """Read the arguments, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with TemporaryFile() as upload:
        upload.write(photograph())
        asyncio.run(compare(upload, rounds))


if __name__ == "__main__":
    main()
