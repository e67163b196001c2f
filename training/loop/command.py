"""What the training commands share: signals, errors, the bar, checkpoints, the record."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from PIL import Image
from tqdm.contrib.logging import logging_redirect_tqdm

from model.allocator import reuse_freed_memory
from model.errors import AdainError
from model.signals import stop_on_signals
from training.loop.progress import Bar, Board, RunningMean, TrainingProgress, write_record
from training.loop.run import Run

LOG = logging.getLogger(__name__)
FAILED = 1
# Share of a layer's channels that never fire, above which a run is warned of.
MANY_DEAD = 0.05
# As a shell says of a process that SIGTERM ended: the run is not done.
STOPPED = 128 + signal.SIGTERM


def command_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command that is run as `python -m MODULE`."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def guarded(name: str, work: Callable[[threading.Event], bool]) -> int:
    """Do a command's work, and return its exit code: 0 done, 1 failed, 143 stopped by a signal.

    Args:
        name: the command's name, for messages.
        work: does it, until it is done or the event is set, and returns whether it is done.
    """
    logging.basicConfig(format="%(message)s")
    reuse_freed_memory()
    try:
        with stop_on_signals(signal.SIGTERM, signal.SIGINT) as stop:
            return 0 if work(stop) else STOPPED
    except AdainError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"{name}: error: {reason}", file=sys.stderr)
    return FAILED


def follow(
    run: Run,
    stop: threading.Event,
    *,
    paint: Callable[[], Image.Image] | None = None,
    dead: Callable[[], dict[str, float]] = dict,
) -> TrainingProgress:
    """Train to the end or to the stop, and leave a checkpoint and the weights.

    Args:
        run: shown as a bar and in TensorBoard, by the leading process.
        stop: ends the run once it is set.
        paint: makes the sheet of pictures that goes to TensorBoard and to sheet.png.
        dead: returns the share of each layer's channels that never fire, for TensorBoard; a run
            that has many is warned of.

    Returns:
        The last step, with the means of the last steps' values.
    """
    last = TrainingProgress(run.step, run.fraction, {}, 0.0, 0.0)
    if run.settings.stand_back:
        stand_back()
    if not run.process.leads:
        for progress in run.train(stop):
            last = progress
        return last
    out = run.settings.out
    out.mkdir(parents=True, exist_ok=True)
    means = RunningMean()
    bar, board = Bar(run.fraction, means), Board(out / "logs", run.step)

    def save() -> None:
        run.save()
        shares = {f"dead {name}": share for name, share in dead().items()}
        board.note(shares, run.step)
        dying = {name: share for name, share in shares.items() if share > MANY_DEAD}
        if dying:
            # Further steps do not revive them: warn while there is time to start again.
            shown = ", ".join(f"{name} {share:.0%}" for name, share in dying.items())
            LOG.warning("channels that never fire: %s; lower the rate, and start anew", shown)
        if paint:
            sheet = paint()
            sheet.save(out / "sheet.png")
            board.show(sheet, run.step)

    saved = time.monotonic()
    with logging_redirect_tqdm():
        for last in run.train(stop):
            for listener in (means, bar, board):
                listener(last)
            if time.monotonic() - saved > 60 * run.settings.checkpoint_minutes:
                save()
                saved = time.monotonic()
    bar.close()
    save()
    board.close()
    state = "stopped; the same command resumes" if run.stopped else "done"
    print(f"{state}: step {run.step}, {run.seconds / 60:.1f} minutes, {out}")
    return replace(last, values=means.values)


def stand_back() -> None:
    """Give way to every other process from now on.

    Linux shares processors out among sessions before it looks at niceness, so the session is told.
    """
    os.nice(19)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # the leader of a session or a group has one already
            os.setsid()
        with contextlib.suppress(OSError):  # a kernel without sessions of its own in scheduling
            Path("/proc/self/autogroup").write_text("19")


def record(run: Run, last: TrainingProgress, **facts: object) -> None:
    """Write record.json: what a model card needs to know of a run.

    Args:
        run: that is done or stopped.
        last: what `follow` returned.
        facts: what only this kind of run knows, such as its data.
    """
    if run.process.leads:
        write_record(
            run.settings.out / "record.json",
            {
                "settings": asdict(run.settings),
                "processes": run.process.count,
                "device": str(run.process.device),
                "steps": run.step,
                "items": run.position,
                "minutes": round(run.seconds / 60, 2),
                "steps_per_second": round(last.steps_per_second, 3),
                "share_waiting_for_pictures": round(last.waiting, 4),
                "losses": last.values,
                **facts,
            },
        )
