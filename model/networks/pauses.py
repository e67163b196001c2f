"""What a thread does between the layers of a network: nothing, or what someone else waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Thread(threading.local):
    """What this thread does between layers."""

    pause: Callable[[], None] | None = None


thread = Thread()


def pause() -> None:
    """Do what is due between two layers; networks call this after each of theirs."""
    if thread.pause is not None:
        thread.pause()


@contextmanager
def pausing(work: Callable[[], None]) -> Iterator[None]:
    """Do `work` between the layers of all networks that this thread runs, until the block ends.

    `work` may run networks itself, and pause them otherwise.
    """
    before, thread.pause = thread.pause, work
    try:
        yield
    finally:
        thread.pause = before
