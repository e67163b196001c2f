"""Plots of the tables in docs/benchmarks/README.md, as PNG beside it."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.load import ASKS, AT_ONCE

Row = dict[str, str]


def table(section: str) -> list[Row]:
    """Return the rows of the Markdown table in a section, by the names of its columns."""
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def plot_limit(rows: list[Row], path: Path) -> None:
    """Seconds of the networks by the picture's size, beside what the machine's rates allow."""
    sides = [int(row["picture"].partition("x")[0]) for row in rows]
    names = {"seconds": "measured", "by matrix rate": "at the machine's matrix rate",
             "by convolution rate": "at its convolution rate"}  # fmt: skip
    lines = {label: [float(row[name]) for row in rows] for name, label in names.items()}
    draw(path, sides, lines, "side of the picture in pixels", "seconds", log=True)


def plot_load(rows: list[Row], path: Path) -> None:
    """Seconds that clients wait, by how many they are, where each asks again when answered."""
    rows = [row for row in rows if row[ASKS] == AT_ONCE]
    clients = [int(row["clients"]) for row in rows]
    lines = {name: [float(row[f"{name} s"]) for row in rows] for name in ("p50", "p95", "p99")}
    draw(path, clients, lines, "clients", "seconds of a request", log=False)


def plot_batch(rows: list[Row], path: Path) -> None:
    """Speed against one picture at a time, by how many are painted at once."""
    batches = sorted({int(row["at once"]) for row in rows})
    lines: dict[str, list[float]] = {}
    for row in rows:
        lines.setdefault(row["picture"], []).append(float(row["speed against one"]))
    draw(path, batches, lines, "pictures at once", "speed against one by one", log=False)


def draw(
    path: Path, x: list[int], lines: dict[str, list[float]], across: str, up: str, *, log: bool
) -> None:
    """Write a plot of lines over x."""
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for label, values in lines.items():
        axes.plot(x, values, marker="o", label=label)
    if log:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xticks(x, [str(value) for value in x])
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


# By the names of the sections in benchmarks.__main__.
PLOTS = {"limit": plot_limit, "batch": plot_batch, "load": plot_load}
