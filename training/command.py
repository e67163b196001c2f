"""What the training commands share: signals, errors, the bar, checkpoints, the record."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from PIL import Image
from tqdm.contrib.logging import logging_redirect_tqdm

from model.device import reuse_freed_memory
from model.errors import AdainError
from model.signals import stop_on_signals
from training.progress import Bar, Board, Progress, RunningMean, write_record
from training.run import Run

FAILED = 1
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
        name: of the command, for messages.
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
    run: Run, stop: threading.Event, *, paint: Callable[[], Image.Image] | None = None
) -> Progress:
    """Train to the end or to the stop, and leave a checkpoint and the weights.

    Args:
        run: shown as a bar and in TensorBoard, by the leading process.
        stop: ends the run once it is set.
        paint: makes the sheet of pictures that goes to TensorBoard and to sheet.png.

    Returns:
        The last step, with the means of the last steps' values.
    """
    last = Progress(run.step, run.fraction, {}, 0.0, 0.0)
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


def record(run: Run, last: Progress, **facts: object) -> None:
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
