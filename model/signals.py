"""Signals that ask long work to stop between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_on_signals(*numbers: signal.Signals) -> Iterator[threading.Event]:
    """Set an event at the first of some signals; the second does what it always did.

    Unlike KeyboardInterrupt, an event is not lost where the signal meets a callback that may not
    raise, such as that of a weak reference. Signals can be handled in the main thread alone.
    """
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(*_: object) -> None:
        restore()
        stop.set()

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
