"""What so many pictures a day take, from what one takes on this machine.

    python -m benchmarks.scale [--daily 1e6 1e8] [--side 512] [--photo 4000x3000] [--gpu-tflops 200]

Measures on the CPU what each picture costs: reading a photograph, painting, writing the result in
each format, and its bytes. From these it computes what a day's pictures need, for a peak of
PEAK times the mean and machines that are BUSY at most. The GPU was not measured: its rate is an
assumption, which --gpu-tflops changes. Prints two Markdown tables.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.limit import multiply_adds
from benchmarks.speed import STYLE_SIDE, picture
from model import Stylizer
from model.formats import WRITE_FORMATS
from model.images import encode_image, read_image
from model.scaling import resize_longest

DAY = 24 * 3600
# The busiest minute against the mean of the day, and how much of a machine one plans with.
PEAK, BUSY = 3.0, 0.7
ROUNDS = 5


def seconds_of(work: Callable[[], object]) -> float:
    """Return the median seconds of some rounds."""
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def measure(side: int, photo: tuple[int, int]) -> tuple[dict[str, float], dict[str, int]]:
    """Return the CPU core seconds of each part of a request, and the bytes sent and received.

    Args:
        side: of the result.
        photo: width and height of the JPEG that is sent.
    """
    stylizer = Stylizer.load(device="cpu")
    sent = encode_image(picture(max(photo), 0).resize(photo), "jpeg")
    content = resize_longest(read_image(sent), side).resize((side, side))
    style = stylizer.encode_style(picture(STYLE_SIDE, 1))
    result = stylizer.stylize(content, style)
    cores = {
        "read": seconds_of(lambda: resize_longest(read_image(sent), side)),
        "paint": seconds_of(lambda: stylizer.stylize(content, style)) * torch.get_num_threads(),
    }
    sizes = {"sent": len(sent)}
    for name in WRITE_FORMATS:
        cores[name] = seconds_of(lambda name=name: encode_image(result, name))
        sizes[name] = len(encode_image(result, name))
    return cores, sizes


def needs(daily: float, side: int, cores: dict[str, float], gpu_tflops: float) -> dict[str, float]:
    """Return what so many pictures a day need at their peak.

    Args:
        daily: pictures.
        side: side of the results, in pixels.
        cores: core seconds from `measure`.
        gpu_tflops: that a GPU sustains in convolutions; a multiply-add is two operations.
    """
    rate = daily / DAY * PEAK
    gpu_seconds = 2 * multiply_adds(side) / (gpu_tflops * 1e12)
    return {
        "rate": rate,
        "cpu_only": rate * (cores["read"] + cores["paint"] + cores["jpeg"]) / BUSY,
        "gpus": rate * gpu_seconds / BUSY,
        "jpeg_cores": rate * (cores["read"] + cores["jpeg"]) / BUSY,
        "png_cores": rate * (cores["read"] + cores["png"]) / BUSY,
    }


def main() -> None:
    """Measure, compute, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--daily", type=float, nargs="+", default=[1e6, 1e8])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--photo", default="4000x3000", help="the JPEG that is sent")
    parser.add_argument("--gpu-tflops", type=float, default=200)
    args = parser.parse_args()
    width, height = map(int, args.photo.split("x"))
    cores, sizes = measure(args.side, (width, height))
    print("| one picture | core ms | bytes |\n|---|---|---|")
    print(f"| read a JPEG of {args.photo} | {1000 * cores['read']:.0f} | {sizes['sent']} |")
    print(f"| paint {args.side}x{args.side}, style known | {1000 * cores['paint']:.0f} | |")
    for name in WRITE_FORMATS:
        print(f"| write {name} | {1000 * cores[name]:.0f} | {sizes[name]} |")
    print("\n| a day | at the peak | without GPUs | with GPUs | their CPUs, JPEG | PNG ", end="")
    print("| network in, out | kept results, JPEG |\n|---|---|---|---|---|---|---|---|")
    for daily in args.daily:
        need = needs(daily, args.side, cores, args.gpu_tflops)
        rows = [
            f"{daily:,.0f}",
            f"{need['rate']:,.0f}/s",
            f"{math.ceil(need['cpu_only']):,} cores",
            f"{math.ceil(need['gpus']):,} GPUs",
            f"{math.ceil(need['jpeg_cores']):,} cores",
            f"{math.ceil(need['png_cores']):,} cores",
            f"{8 * need['rate'] * sizes['sent'] / 1e9:.1f}, "
            f"{8 * need['rate'] * sizes['jpeg'] / 1e9:.2f} Gbit/s",
            f"{daily * sizes['jpeg'] / 1e12:.2f} TB a day",
        ]
        print(f"| {' | '.join(rows)} |")


if __name__ == "__main__":
    main()
