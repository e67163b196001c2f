"""All benchmarks, into docs/benchmarks/README.md: make bench, on a machine that does nothing else.

    python -m benchmarks [-o FOLDER] [NAME ...]

A name is that of a module here; a section that is not run anew stays as it was.
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

# In the order of the page: what each module answers, and what it is called with.
SECTIONS = {
    "limit": ("How near to what the machine can multiply", []),
    "speed": ("Against the method as it is usually scripted", ["--sizes", "256", "512", "1024"]),
    "tiling": ("Tiles", ["--huge", "10000"]),
    "server": ("What HTTP adds", []),
    "library": ("Saved styles", []),
    "page": ("The page", []),
    "soak": ("Every answer, through restarts", []),
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
    return f"{date.today()}; {cpu}, {threads}{gpu}; torch {torch.__version__}"


def section(name: str) -> str:
    """Run a benchmark, and return its section of the page."""
    title, arguments = SECTIONS[name]
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    print("$", *command, file=sys.stderr)
    table = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    shown = " ".join(["python -m", f"benchmarks.{name}", *arguments])
    return f"## {title}\n\n`{shown}`, {machine()}:\n\n{table}"


def main() -> None:
    """Run what is named, by default everything, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*SECTIONS, []], metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks"))
    args = parser.parse_args()
    page = args.output / "README.md"
    kept = sections(page.read_text()) if page.exists() else {}
    for name in args.names or SECTIONS:
        kept[SECTIONS[name][0]] = section(name)
    args.output.mkdir(parents=True, exist_ok=True)
    ordered = [kept[title] for title, _ in SECTIONS.values() if title in kept]
    page.write_text("\n".join([HEAD, *ordered]))


def sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their titles."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


if __name__ == "__main__":
    main()
