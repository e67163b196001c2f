"""How near the model comes to what the machine can multiply.

    python -m benchmarks.limit [--sizes 256 512 1024] [--rounds 7] [--device auto]

Counts the multiply-adds of a stylization with a known style, measures the rate at which the machine
multiplies matrices and convolves (3x3, 256 to 256 channels, the networks' most frequent layer), and
sets the measured time of the model beside the times that these rates would allow. All take turns in
one process. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.speed import STYLE_SIDE, picture
from model import Style, Stylizer
from model.conditioning import condition
from model.networks.decoder import Decoder
from model.networks.encoder import Encoder
from model.style import measure as measure_style

MATRIX_SIDE = 4096
CHANNELS = 256
# The layers whose upsampling is folded into 4x4 kernels over the source: 16 taps in place of 9.
FOLDED = {"conv3_4", "conv2_2", "conv1_2"}
FOLDED_TAPS = 16


def multiply_adds(side: int) -> int:
    """Count the multiply-adds of encoder and decoder for a picture of side x side.

    A 3x3 convolution takes 9 x C_in x C_out for each position that it writes. The block number of
    a layer tells its size: conv1_x and skip1_1 work at the picture's, conv2_x at half of it, and so
    on; the decoder's own blocks work where conv4_1 does. A decoder layer behind an upsampling reads
    each source position 16 times, at half its own size.
    """
    total = 0
    decoder = Decoder().convolutions
    for name, layer in [*Encoder().named_children(), *decoder.named_children()]:
        assert isinstance(layer, nn.Conv2d)
        halvings = 3 if name.startswith("block") else 0 if name == "color" else int(name[4]) - 1
        positions, taps = (side // 2**halvings) ** 2, layer.kernel_size[0] ** 2
        if name in FOLDED and layer in decoder.children():
            positions, taps = positions // 4, FOLDED_TAPS
        total += positions * taps * layer.in_channels * layer.out_channels
    return total


def networks(stylizer: Stylizer, content: Tensor, style: Style) -> Tensor:
    """Encode a content (1 x 3 x H x W) and paint it, and do nothing else."""
    taps = stylizer.encoder(content)
    told = condition(style.to(stylizer.device), measure_style(content, taps))
    painted: Tensor = stylizer.decoder(content, taps, [told])
    return painted


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    stylizer = Stylizer.load(device=args.device, content_cache_bytes=0)
    style = stylizer.encode_style(picture(STYLE_SIDE, 1))
    precision = str(stylizer.dtype).removeprefix("torch.")
    print(f"{stylizer.device}, {precision}, {torch.get_num_threads()} CPU threads\n")
    print("| picture | Gmac | seconds | by matrix rate | ratio | by convolution rate | ratio |")
    print("|---|---|---|---|---|---|---|")
    rates: dict[str, float] = {}
    for size in args.sizes:
        seconds, rates = measure(stylizer, style, size, args.rounds)
        operations = multiply_adds(size)
        cells = [f"{size}x{size}", f"{operations / 1e9:.0f}", f"{seconds:.3f}"]
        for rate in rates.values():
            cells += [f"{operations / rate:.3f}", f"{seconds * rate / operations:.2f}"]
        print(f"| {' | '.join(cells)} |")
    print()
    for name, rate in rates.items():
        print(f"{name}: {rate / 1e9:.0f} Gmac/s")


@torch.inference_mode()
def measure(
    stylizer: Stylizer, style: Style, size: int, rounds: int
) -> tuple[float, dict[str, float]]:
    """Return the median seconds of the networks, and the multiply-adds a second of the machine."""
    device, dtype = stylizer.device, stylizer.dtype
    content = torch.rand(1, 3, size, size, device=device).to(memory_format=torch.channels_last)
    a, b = (torch.rand(MATRIX_SIDE, MATRIX_SIDE, device=device, dtype=dtype) for _ in range(2))
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(device, dtype)
    layer = layer.to(memory_format=torch.channels_last)
    side = size // 4
    features = torch.rand(1, CHANNELS, side, side, device=device, dtype=dtype)
    features = features.to(memory_format=torch.channels_last)
    works: dict[str, Callable[[], object]] = {
        "model": lambda: networks(stylizer, content, style),
        "matrix rate": lambda: a @ b,
        "convolution rate": lambda: layer(features),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            times[name].append(seconds_of(work, device))
    medians = {name: statistics.median(each[1:]) for name, each in times.items()}
    return medians["model"], {
        "matrix rate": MATRIX_SIDE**3 / medians["matrix rate"],
        "convolution rate": 9 * CHANNELS**2 * side**2 / medians["convolution rate"],
    }


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of `work`, until the device has done it."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
