"""Decoding in processes: what hostile files cannot do, and what it costs a good one."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import signal
import struct
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from app.decoding import readers
from app.decoding.memory import available_memory
from app.decoding.pool import Decoders
from app.decoding.worker import Limits, bound
from app.settings import Settings
from model.errors import AdainError, CorruptImageError, ImageTooLargeError
from model.file_structure import MAX_CHUNKS, MAX_SCANS, count_chunks, count_scans
from model.images import read_image
from tests.pictures import difference, encoded, photo

read_any = partial(readers.read_content, size=None, max_size=2048, max_pixels=1_000_000)


def with_decoders(work: Callable[[Decoders], Awaitable[object]], **chosen: object) -> object:
    async def run() -> object:
        decoders = Decoders(Settings(**{"max_pixels": 1_000_000, **chosen}))
        try:
            return await work(decoders)
        finally:
            await decoders.close()

    return asyncio.run(run())


def decode(
    data: bytes, read: Callable[[bytes], Image.Image] = read_any, **chosen: object
) -> object:
    return with_decoders(lambda each: each.decode("content", io.BytesIO(data), read), **chosen)[0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_comes_as_it_is(mode: str) -> None:
    picture = photo().convert(mode)
    read = decode(encoded(picture, "PNG"))
    assert isinstance(read, Image.Image)
    assert (read.mode, difference(read, picture)) == (mode, 0)


@pytest.mark.parametrize("spool", [1, 2**20], ids=["on disk", "in memory"])
@pytest.mark.parametrize("seen", [True, False])
def test_an_upload_is_read_from_its_beginning_wherever_it_is(
    spool: int, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not seen:  # as where the system shows no process to another
        monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)
    data = encoded(photo(), "PNG") + bytes(100_000)  # more than its pixels
    descriptors = []

    async def work(decoders: Decoders) -> None:
        for _ in range(2):
            read, _ = await decoders.decode("content", upload, read_any)
            assert difference(read, photo()) == 0
            descriptors.append(list(Path("/proc/self/fd").iterdir()))

    with tempfile.SpooledTemporaryFile(spool) as upload:
        upload.write(data)
        with_decoders(work)
        upload.seek(0)
        assert upload.read() == data
    assert len(descriptors[0]) == len(descriptors[1]), "none is left open"


def test_a_mask_comes_as_one_channel() -> None:
    read = decode(
        encoded(photo(), "PNG"), partial(readers.read_mask, max_size=64, max_pixels=10**6)
    )
    assert isinstance(read, Image.Image)
    assert (read.mode, max(read.size)) == ("L", 64)


def test_an_error_names_the_field_and_is_that_of_the_file() -> None:
    with pytest.raises(AdainError, match=r"^content: these bytes are no JPEG"):
        decode(b"no picture")


def spin(data: bytes) -> Image.Image:
    while True:
        pass


def allocate(data: bytes) -> Image.Image:
    return Image.new("RGB", (20_000, 20_000))


def end(data: bytes) -> Image.Image:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.slow
def test_a_picture_that_takes_too_long_ends_its_process_and_not_the_next_picture() -> None:
    async def work(decoders: Decoders) -> None:
        started = time.monotonic()
        with pytest.raises(CorruptImageError, match="takes more than 1 seconds"):
            await decoders.decode("content", io.BytesIO(b"x"), spin)
        assert time.monotonic() - started < 20
        read, _ = await decoders.decode("content", io.BytesIO(encoded(photo(), "PNG")), read_any)
        assert difference(read, photo()) == 0

    with_decoders(work, decode_seconds=1)


@pytest.mark.slow
def test_a_picture_that_takes_too_much_memory_is_refused() -> None:
    with pytest.raises(ImageTooLargeError, match=r"takes more than \d+ MiB to decode"):
        decode(b"x", allocate)


@pytest.mark.slow
def test_a_picture_that_ends_its_process_is_refused() -> None:
    with pytest.raises(CorruptImageError, match="ends the decoder"):
        decode(b"x", end)


def kill_once(data: bytes, marker: Path) -> Image.Image:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return read_image(data)


@pytest.mark.slow
def test_a_process_that_is_killed_from_outside_costs_no_picture(tmp_path: Path) -> None:
    read = decode(encoded(photo(), "PNG"), partial(kill_once, marker=tmp_path / "killed"))
    assert isinstance(read, Image.Image)
    assert difference(read, photo()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "long",
    [
        encoded(Image.new("1", (5000, 5000)), "PNG"),
        encoded(Image.new("L", (1000, 1000)), "JPEG", progressive=True),
    ],
)
def test_pictures_that_may_take_long_leave_a_process_to_the_others(
    long: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(decoders: Decoders) -> None:
        assert decoders.count == 2

        async def name(file: bytes, read: Callable[[bytes], Image.Image], name: str) -> None:
            await decoders.decode(name, io.BytesIO(file), read)
            finished.append(name)

        finished: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(name(long, doze, "long"))
            await asyncio.sleep(1)
            for _ in range(2):
                tasks.create_task(name(encoded(photo(), "PNG"), read_any, "quick"))
        assert finished == ["quick", "quick", "long", "long", "long"]

    if long.startswith(b"\xff"):
        # Its last scan again and again, as hostile files have it.
        scan = long.rindex(b"\xff\xda")
        long = long[:scan] + long[scan:-2] * 20 + long[-2:]
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with_decoders(work, decode_bytes=2**40)


def doze(data: bytes) -> Image.Image:
    time.sleep(3)
    return Image.new("L", (1, 1))


@pytest.mark.slow
def test_a_decode_ends_with_its_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(decoders: Decoders) -> None:
        # This module imports torch, for which there is no room once a process is bounded.
        await decoders._in_process(import_this_module)
        ticking = partial(tick, beat=tmp_path / "beat")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await decoders.decode("content", io.BytesIO(b"x"), ticking)
        await asyncio.sleep(1)
        last = (tmp_path / "beat").stat().st_mtime_ns
        await asyncio.sleep(0.5)
        assert (tmp_path / "beat").stat().st_mtime_ns == last
        assert not list(tmp_path.glob("adain-*"))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with_decoders(work)


@pytest.mark.slow
def test_requests_that_leave_while_processes_start_lose_none() -> None:
    async def work(decoders: Decoders) -> None:
        async def leave(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await decoders.decode("content", io.BytesIO(b"x"), doze)

        for seconds in (0.03, 0.05, 0.05, 0.05, 0.08, 0.08, 0.08):
            await asyncio.gather(*(leave(seconds) for _ in range(4)))
        await decoders.decode("content", io.BytesIO(encoded(photo(), "PNG")), read_any)
        assert len(set(decoding_processes()) - others) <= 2 * decoders.count

    others = set(decoding_processes())
    with_decoders(work)


def test_processes_that_are_killed_while_they_wait_cost_no_picture() -> None:
    async def work(decoders: Decoders) -> None:
        file = encoded(photo(), "PNG")
        for _ in range(3):
            for process in set(decoding_processes()) - others:
                os.kill(int(process), signal.SIGKILL)
            read, _ = await decoders.decode("content", io.BytesIO(file), read_any)
            assert difference(read, photo()) == 0

    others = set(decoding_processes())
    with_decoders(work)


def decoding_processes() -> list[str]:
    found = [file.read_text().split() for file in Path("/proc/self/task").glob("*/children")]
    return [
        process
        for process in itertools.chain(*found)
        if b"anyio.to_process" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]


def import_this_module() -> None:
    pass


def tick(data: bytes, beat: Path) -> Image.Image:
    while True:
        beat.touch()
        time.sleep(0.01)


def test_memory_decides_how_many_are_decoded_at_a_time() -> None:
    few = Decoders(Settings(decode_bytes=256 * 2**20))
    assert few.count == 1
    many = Decoders(Settings(decode_bytes=2**40))
    assert many.count == os.cpu_count()
    assert 2**28 < available_memory() < 2**50


def test_limits_hold_where_the_system_has_a_lower_one() -> None:
    resource = pytest.importorskip("resource")
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
        bound(Limits(1000, 2**30))
        os._exit(resource.getrlimit(resource.RLIMIT_CPU)[0] != 100)
    assert os.waitpid(child, 0)[1] == 0


def scans(times: int) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = encoded(Image.new("L", (64, 64), 99), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def chunks(times: int) -> bytes:
    """A PNG with empty chunks before its picture."""
    data = encoded(photo(), "PNG")
    empty = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    return data[:33] + empty * times + data[33:]


@pytest.mark.parametrize(("build", "limit"), [(scans, MAX_SCANS), (chunks, MAX_CHUNKS)])
def test_a_file_of_too_many_parts_is_refused_at_once(
    build: Callable[[int], bytes], limit: int
) -> None:
    assert read_image(build(5))
    with pytest.raises(CorruptImageError, match=f"more than {limit} "):
        read_image(build(limit + 1))


def test_scans_behind_a_complete_one_are_neither_counted_nor_decoded() -> None:
    picture = encoded(photo(), "JPEG")
    scan = picture.rindex(b"\xff\xda")
    repeated = picture[:scan] + picture[scan:-2] * 200 + picture[-2:]
    assert count_scans(repeated) == 1
    with pytest.raises(CorruptImageError, match="damaged"):
        read_image(repeated)


def test_scans_of_one_component_each_are_counted() -> None:
    segments = [b"\xff\xc0\0\x11" + b"\x08\0\x40\0\x40\x03" + bytes(9)]
    segments += [b"\xff\xda\0\x08\x01" + bytes([each, 0, 0, 63, 0, 1, 2]) for each in range(5)]
    assert count_scans(b"\xff\xd8" + b"".join(segments) + b"\xff\xd9") == 5


def test_parts_are_counted_in_the_first_picture_alone() -> None:
    picture = encoded(photo(), "JPEG")
    assert count_scans(picture) == count_scans(picture + picture * 200) == 1
    assert count_scans(encoded(photo(), "JPEG", progressive=True)) == 10
    assert count_chunks(encoded(photo(), "PNG")) >= 3
    assert count_chunks(b"") == count_scans(b"") == 0


@pytest.mark.parametrize(
    ("mode", "format"),
    [("RGB", "JPEG"), ("RGB", "PNG"), ("P", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("I;16", "PNG")],
)
def test_a_picture_reduced_while_it_is_decoded_is_the_one_scaled_after(
    mode: str, format: str
) -> None:
    large = photo(1200, 900)
    large = large.convert("L").convert("I;16") if mode == "I;16" else large.convert(mode)
    file = encoded(large, format)
    reduced = readers.read_content(file, 90, 2048, 10**8)
    whole = read_image(file)
    assert reduced.mode == whole.mode
    expected = whole.resize(reduced.size, Image.Resampling.LANCZOS)
    assert difference(reduced, expected) < 3
