"""The decoding processes: how many there are, and what each may take."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, TypeVarTuple, Unpack

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process
from PIL import Image
from starlette.concurrency import run_in_threadpool

from app.decoding import worker
from app.decoding.memory import available_memory
from app.settings import Settings
from model.errors import CorruptImageError, naming
from model.metadata import Metadata

# What decoding takes at its peak: the most that any format was measured to, and the process itself.
BYTES_PER_PIXEL = 20
BYTES_BESIDE = 128 * 2**20
# How much of the machine's memory decoding may take, where the settings do not say.
SHARE_OF_MEMORY = 0.25
# A process may be ended from outside while it decodes a sound picture.
ATTEMPTS = 2
# Seconds in which a decode may end by itself once its request is over: a new process takes longer.
GRACE = 0.5
Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class Decoded(NamedTuple):
    """A picture that is decoded.

    Attributes:
        picture: RGB, RGBA or L.
        metadata: of its file.
    """

    picture: Image.Image
    metadata: Metadata


class Decoders:
    """Decodes uploaded files in processes of their own.

    A hostile file can keep a decoder busy for hours, or make it allocate gigabytes. A process can
    be ended: when its request is over, or when the picture takes too much time or memory. Pictures
    that find all processes busy wait, so that memory is bounded however many requests there are.

    Pictures that may take long leave a process to the others, so that a few hostile ones do not
    keep everyone waiting.

    Attributes:
        count: how many pictures are decoded at a time.
    """

    def __init__(self, settings: Settings) -> None:
        """Start no process yet.

        Args:
            settings: say how many pixels a picture may have, and how much time and memory decoding
                may take.
        """
        budget = settings.decode_bytes or int(SHARE_OF_MEMORY * available_memory())
        need = BYTES_BESIDE + BYTES_PER_PIXEL * settings.max_pixels
        self.count = max(1, min(budget // need, os.cpu_count() or 1))
        self._limits = worker.Limits(settings.decode_seconds, min(need, budget))
        self._free = asyncio.Semaphore(self.count)
        self._long = asyncio.Semaphore(max(1, self.count - 1))
        self._limiter = CapacityLimiter(2 * self.count)
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Start the processes, so that no picture waits for that."""
        self._begin(self._start())

    def _begin(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Return a task that goes on when the one that began it is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _start(self) -> None:
        # All at once: one that has started would otherwise take the turn of the next.
        turns = [self._in_process(worker.prepare) for _ in range(self.count)]
        await asyncio.gather(*turns, return_exceptions=True)

    async def close(self) -> None:
        """Wait for what has begun; the processes end with the event loop."""
        while self._tasks:  # one that ends may begin another
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def decode(self, field: str, file: BinaryIO, read: worker.Read) -> Decoded:
        """Return the picture of an uploaded file, and its metadata.

        Args:
            field: the form field that the file came in, which errors name.
            file: the upload, open.
            read: from the file's bytes to the picture, RGB, RGBA or L; it goes to the process by
                `pickle`.

        Raises:
            AdainError: the file is no picture that can be read, or takes too much.
        """
        with naming(field):
            task = self._begin(self._decode_in_turn(file, read))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                asyncio.get_running_loop().call_later(GRACE, task.cancel)
                raise

    async def _decode_in_turn(self, file: BinaryIO, read: worker.Read) -> Decoded:
        async with self._free:
            decoded = await self._attempt(file, read, quick=True)
        if decoded is None:
            async with self._long, self._free:
                decoded = await self._attempt(file, read, quick=False)
        assert decoded is not None
        return decoded

    async def _attempt(self, file: BinaryIO, read: worker.Read, *, quick: bool) -> Decoded | None:
        for _ in range(ATTEMPTS):
            # anyio loses a process that is cancelled while it starts: so it has started before.
            await asyncio.shield(self._begin(self._have_process()))
            started = time.monotonic()
            try:
                return await self._decode(file, read, quick)
            except BrokenWorkerProcess:
                self.start()
                if time.monotonic() - started >= self._limits.seconds:
                    break
        raise CorruptImageError(
            f"the picture takes more than {self._limits.seconds} seconds to decode, or ends the "
            "decoder; save it anew with another program",
            limit=self._limits.seconds,
        )

    async def _have_process(self) -> None:
        """Return once there is a process that waits for work."""
        for _ in range(2 * self.count):  # as many may have been ended from outside
            with contextlib.suppress(BrokenWorkerProcess):
                await self._in_process(worker.prepare)
                return
        await self._in_process(worker.prepare)

    async def _decode(self, file: BinaryIO, read: worker.Read, quick: bool) -> Decoded | None:
        # Made here and not in the process, which may be ended before it says where they are.
        with tempfile.NamedTemporaryFile(prefix="adain-", delete=False) as made:
            pixels = Path(made.name)
        try:
            found = await self._read(file, pixels, read, quick)
            if found is None:
                return None
            mode, size, metadata = found
            return Decoded(await run_in_threadpool(unpack, pixels, mode, size), metadata)
        finally:
            # Not waited for: it takes milliseconds to give back the pages of a large file.
            self._begin(run_in_threadpool(pixels.unlink, missing_ok=True))

    async def _read(
        self, file: BinaryIO, pixels: Path, read: worker.Read, quick: bool
    ) -> worker.Found | None:
        async def read_from(path: Path) -> worker.Found | None:
            return await self._in_process(worker.decode, path, pixels, read, self._limits, quick)

        if is_on_disk(file):
            file.flush()
            # One of our own: when this task is cancelled, the request closes the file.
            descriptor = os.dup(file.fileno())
            try:
                return await read_from(Path(f"/proc/{os.getpid()}/fd/{descriptor}"))
            except (FileNotFoundError, PermissionError):
                pass  # another system than Linux, or one that shows no process to another
            finally:
                os.close(descriptor)
        await run_in_threadpool(copy_file, file, pixels)
        return await read_from(pixels)

    async def _in_process(
        self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments
    ) -> Result:
        return await to_process.run_sync(work, *arguments, cancellable=True, limiter=self._limiter)


def unpack(path: Path, mode: str, size: tuple[int, int]) -> Image.Image:
    """Return the picture whose pixels a file holds."""
    # Mapped, so that the file is not copied once more.
    with (
        path.open("rb") as file,
        mmap(file.fileno(), 0, access=ACCESS_READ) as mapped,
        memoryview(mapped) as pixels,
    ):
        return Image.frombytes(mode, size, pixels)


def is_on_disk(file: BinaryIO) -> bool:
    """Whether an upload is large enough to lie on the disk, in a file without a name."""
    # The attribute that Starlette looks at, too: `fileno` would move an upload to the disk.
    return bool(getattr(file, "_rolled", not isinstance(file, io.BytesIO)))


def copy_file(file: BinaryIO, path: Path) -> None:
    """Write a file from its beginning to another."""
    file.seek(0)
    with path.open("wb") as target:
        shutil.copyfileobj(file, target)
