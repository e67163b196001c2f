"""All benchmarks, into docs/benchmarks/README.md: make bench, on a machine that does nothing else.

    python -m benchmarks [-o FOLDER] [NAME ...]

The names are those of `SECTIONS`; a section that is not run anew stays as it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import torch

from benchmarks.plots import PLOTS, table
from model.runtime import choose_device, choose_precision, explain_precision

ATTACK = ["--clients", "2", "--pause", "0.5", "--restarts", "0", "--attack"]
# In the order of the page: a name, what the section answers, and the module with its arguments.
SECTIONS = {
    "limit": ("How near to what the machine can multiply", ["limit"]),
    "speed": (
        "Against the method as it is usually scripted",
        ["speed", "--sizes", "256", "512", "1024", "--large", "2048", "4096"],
    ),
    "start": ("Commands without a model", ["start"]),
    "decoding": ("Decoding in a process of its own", ["decoding"]),
    "folder": ("Folders of pictures", ["folder"]),
    "styles": ("Further styles", ["styles"]),
    "batch": ("Pictures at once", ["batch"]),
    "tiling": ("Tiles", ["tiling", "--huge", "10000"]),
    "server": ("What HTTP adds", ["server"]),
    "load": ("Many clients", ["load"]),
    "ray": ("Replicas on a Ray cluster", ["ray"]),
    "library": ("Saved styles", ["library"]),
    "page": ("The page", ["page"]),
    "soak": ("Every answer, through restarts", ["soak"]),
    "memory": ("Memory over many requests", ["soak", "--restarts", "0"]),
    "attack": ("Under attack", ["soak", "--minutes", "10", *ATTACK]),
    "fuzz": ("Damaged pictures", ["fuzz"]),
}
HEAD = """# Benchmarks

`make bench` wrote this page; `python -m benchmarks.NAME --help` says what each table measures.
Machines are noisy: the ratios, measured side by side, say more than the seconds.
"""


def machine() -> str:
    """Return what the figures were measured on, in one line."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} CPUs"
    device = choose_device()
    precision = explain_precision(choose_precision("auto", device), device)
    return f"{date.today()}; {cpu}, {threads}{gpu}; {precision}; torch {torch.__version__}"


def section(name: str) -> str:
    """Run a benchmark, and return its section of the page."""
    title, (module, *arguments) = SECTIONS[name]
    command = ["python", "-m", f"benchmarks.{module}", *arguments]
    print("$", *command, file=sys.stderr)
    table = subprocess.run(
        [sys.executable, *command[1:]], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return f"## {title}\n\n`{' '.join(command)}`, {machine()}:\n\n{table}"


def main() -> None:
    """Run what is named, by default everything, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*SECTIONS, "plots", []], metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks"))
    args = parser.parse_args()
    page = args.output / "README.md"
    kept = sections(page.read_text()) if page.exists() else {}
    # With "plots" alone only these are drawn anew.
    for name in [name for name in args.names or SECTIONS if name != "plots"]:
        kept[SECTIONS[name][0]] = section(name)
    args.output.mkdir(parents=True, exist_ok=True)
    ordered = [
        illustrated(name, kept, page.parent) for name in SECTIONS if SECTIONS[name][0] in kept
    ]
    page.write_text("\n".join([HEAD, *ordered]))


def illustrated(name: str, kept: dict[str, str], folder: Path) -> str:
    """Return a section, with its plot where there is one, which is drawn anew."""
    text = kept[SECTIONS[name][0]]
    if name not in PLOTS:
        return text
    PLOTS[name](table(text), folder / f"{name}.png")
    picture = f"![{SECTIONS[name][0]}]({name}.png)\n"
    return text if picture in text else f"{text}\n{picture}"


def sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their titles."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


if __name__ == "__main__":
    main()
