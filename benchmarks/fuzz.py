"""Damaged pictures of all formats through the decoding processes: how each is answered.

    python -m benchmarks.fuzz [--files N] [--seed N]

Every file is a sound picture with its bytes changed: bits turned over, numbers set to extremes,
parts cut out, doubled, or taken from a file of another format. Each must give a picture or a
refusal in bounded time and memory, and a process that ends must be replaced.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import resource
import time
from collections import Counter
from functools import partial

from PIL import Image

from app.decoding import readers
from app.decoding.pool import Decoders
from app.settings import Settings
from model.errors import AdainError
from model.formats import READ_FORMATS

MAX_PIXELS = 1_000_000
SECONDS = 2
# Numbers that sizes and offsets break at.
EXTREMES = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0\0",
    b"\xff\xff",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
]


def seeds() -> list[bytes]:
    """Return sound files: every format that is read, in several modes and ways to write it."""
    picture = Image.effect_mandelbrot((48, 40), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    transparent = picture.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(picture.size))
    files = [written(picture, name) for name in READ_FORMATS]
    files += [written(transparent, name) for name in ("PNG", "WEBP", "TIFF", "AVIF", "JXL")]
    files += [written(picture.convert(mode), "PNG") for mode in ("1", "L", "P", "LA")]
    files.append(written(picture.convert("L").convert("I;16"), "PNG"))
    files += [written(picture.convert(mode), "TIFF") for mode in ("1", "L", "P", "CMYK", "F", "I")]
    files += [
        written(picture, "JPEG", progressive=True),
        written(picture.convert("CMYK"), "JPEG"),
        written(picture, "WEBP", lossless=True),
        written(picture, "GIF", save_all=True, append_images=[picture.rotate(90)]),
        *(written(picture, "TIFF", compression=name)
          for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
    ]  # fmt: skip
    return files


def written(picture: Image.Image, format: str, **options: object) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def mutate(files: list[bytes], chance: random.Random) -> bytes:
    """Return one of the files with some of its bytes changed, near its head more than elsewhere."""
    data = bytearray(chance.choice(files))
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        reach = chance.choice([64, 512, len(data)])
        place = chance.randrange(max(1, min(reach, len(data))))
        length = min(chance.choice([1, 2, 4, 16, 200]), max(0, len(data) - place))
        part = data[place : place + length]
        match chance.randrange(6):
            case 0:
                data[place : place + 1] = bytes([data[place] ^ 1 << chance.randrange(8)])
            case 1:
                extreme = chance.choice(EXTREMES)
                data[place : place + len(extreme)] = extreme
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = part * chance.choice([1, 2, 50])
            case 4:
                other = chance.choice(files)
                start = chance.randrange(len(other))
                data[place : place + length] = other[start : start + length]
            case _:
                data[place : place + length] = chance.randbytes(length)
        if not data:
            break
    return bytes(data)


async def fuzz(count: int, seed: int) -> None:
    """Decode `count` files, and print what came of them."""
    chance, files = random.Random(seed), seeds()
    decoders = Decoders(Settings(max_pixels=MAX_PIXELS, decode_seconds=SECONDS))
    decoders.start()
    read = partial(readers.read_content, size=None, max_size=512, max_pixels=MAX_PIXELS)
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    left = iter(range(count))

    async def work() -> None:
        nonlocal slowest
        for _ in left:
            data = mutate(files, chance)
            started = time.perf_counter()
            try:
                await decoders.decode("file", io.BytesIO(data), read)
                outcomes["pictures"] += 1
            except AdainError as error:
                ended = "ends the decoder" in str(error)
                outcomes["ended or too slow" if ended else error.code] += 1
            slowest = max(slowest, time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(decoders.count)))
    seconds = time.perf_counter() - started
    # A good picture is read after all of it.
    await decoders.decode("file", io.BytesIO(files[0]), read)
    await decoders.close()
    print(f"{count} files in {seconds:.0f} s, seed {seed}; the slowest took {slowest:.1f} s.\n")
    print("| outcome | files |\n| --- | --- |")
    for name, number in outcomes.most_common():
        print(f"| {name} | {number} |")


def main() -> None:
    """Read the arguments, and decode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    asyncio.run(fuzz(args.files, args.seed))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\nThe largest decoding process took {memory:.0f} MiB.")


if __name__ == "__main__":
    main()
