"""adain doctor: what this machine has, how fast it paints, and what to do about what is slow."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from typing import Any

import torch
from PIL import Image

from app.decoding.memory import available_memory
from app.loading import load_library, load_stylizer
from app.settings import Settings
from model.errors import AdainError
from model.runtime import choose_device, explain_precision
from model.stylizer import Stylizer

SIDE = 512
RUNS = 3
# Below these, something can be done.
SLOW_SECONDS = 2.0
LITTLE_MEMORY = 2 * 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Print device, precision, threads, memory and versions, time a picture, and say what to do "
        "about what is slow or missing."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was found; return 1 if something does not work."""
    settings = Settings()
    stylizer = load_stylizer(settings)
    facts: dict[str, Any] = {
        "adain": version("adain"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(stylizer.device),
        "precision": explain_precision(stylizer.dtype, stylizer.device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "memory_gib": round(available_memory() / 2**30, 1),
        "seconds": round(time_picture(stylizer), 3),
        "library": describe_library(settings),
    }
    advice = advise(stylizer, facts)
    if args.json:
        print(json.dumps(facts | {"advice": advice}))
    else:
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<12} {value}")
        print(f"             ({SIDE} x {SIDE} pixels in a known style took the seconds above)")
        for sentence in advice or ["Nothing to mend."]:
            print(f"- {sentence}")
    return 0 if facts["library"].startswith("works") else 1


def device_name(device: torch.device) -> str:
    """Return a device with its name where it has one."""
    return (
        f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
    )


def time_picture(stylizer: Stylizer) -> float:
    """Return the seconds of a picture in a known style: the least of some runs after a first."""
    picture = Image.effect_mandelbrot((SIDE, SIDE), (-2, -1.5, 1, 1.5), 99).convert("RGB")
    style = stylizer.encode_style(picture)
    seconds = []
    for run in range(RUNS + 1):
        # Another content each time: that of the last one would be known.
        content = picture.rotate(run)
        started = time.perf_counter()
        stylizer.stylize(content, style)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def describe_library(settings: Settings) -> str:
    """Return whether the library works, and how many styles it has."""
    try:
        library = load_library(settings)
        library.prepare()
        count = sum(1 for _ in library.all())
    except AdainError as error:
        return f"cannot be used: {error}"
    return f"works, {count} styles"


def advise(stylizer: Stylizer, facts: dict[str, Any]) -> list[str]:
    """Return what can be done, one sentence each."""
    advice = []
    on_cpu = stylizer.device.type == "cpu"
    gpu = choose_device()
    if on_cpu and gpu.type != "cpu":
        advice.append(f"A GPU is there and not used: unset ADAIN_DEVICE, or set it to {gpu}.")
    if on_cpu and facts["threads"] < (os.cpu_count() or 1):
        advice.append(
            f"PyTorch uses {facts['threads']} threads of {os.cpu_count()} cores: set "
            "OMP_NUM_THREADS, or give the container more CPUs."
        )
    if facts["seconds"] > SLOW_SECONDS:
        advice.append(
            "Painting is slow here: choose a smaller size, or a machine with a GPU or with "
            "bfloat16 (AVX512-BF16, AMX)."
        )
    if available_memory() < LITTLE_MEMORY:
        advice.append("Memory is little: keep max_size at 1024, and max_requests low.")
    return advice
