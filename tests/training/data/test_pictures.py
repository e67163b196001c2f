import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pictures import encoded, painting, photo
from training.data.pictures import (
    MAX_FAILURES,
    Pictures,
    decode,
    find_pictures,
    load_if_they_fit,
    open_zip,
)
from training.errors import TrainingError

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures at two depths, a text, what macOS leaves, and a zip file of two pictures."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    names = {"b.png": "PNG", "deep/a.JPG": "JPEG", "deep/er/c.webp": "WEBP"}
    for seed, (name, kind) in enumerate(names.items()):
        (tmp_path / name).write_bytes(encoded(photo(seed=seed), kind))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._b.png").write_bytes(b"resource fork")
    return tmp_path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "paintings.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("sea/one.png", encoded(painting()))
        file.writestr("sky/two.png", encoded(painting(seed=7)))
        file.writestr("readme.md", "not a picture")
    return path


def test_pictures_are_found_in_folders_at_any_depth_and_in_zip_files(folder, archive):
    files = find_pictures([folder, archive])
    names = ["b.png", "deep/a.JPG", "deep/er/c.webp", "sea/one.png", "sky/two.png"]
    assert [file.name for file in files] == names
    assert [file.label for file in files] == ["", "deep", "er", "sea", "sky"]


def test_pictures_of_a_zip_file_are_those_of_the_folder_that_was_packed(archive, tmp_path):
    (tmp_path / "unpacked").mkdir()
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "unpacked")
    packed, unpacked = find_pictures([archive]), find_pictures([tmp_path / "unpacked"])
    for one, other in zip(packed, unpacked, strict=True):
        assert torch.equal(decode(one, 16, 64), decode(other, 16, 64))


def test_a_picture_that_a_zip_file_holds_encrypted_or_damaged_is_named(archive):
    data = bytearray(archive.read_bytes())
    data[data.index(b"IDAT") + 10] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(TrainingError, match=r"sea/one.png: cannot be read: Bad CRC"):
        decode(find_pictures([archive])[0], 16, 64)
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + offset] |= 1
    archive.write_bytes(data)
    open_zip.cache_clear()
    with pytest.raises(TrainingError, match=r"sea/one.png: cannot be read: .*encrypted"):
        decode(find_pictures([archive])[0], 16, 64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder or zip file"),
        (lambda path: path.mkdir(), "no picture in"),
        (lambda path: path.write_bytes(b"PK no more"), "no whole zip file"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "no picture in"),
    ],
)
def test_a_source_without_pictures_is_refused(tmp_path, make, message):
    make(tmp_path / "source")
    with pytest.raises(TrainingError, match=message):
        find_pictures([tmp_path / "source"])


def test_large_pictures_are_scaled_down_and_others_left(folder):
    (folder / "large.png").write_bytes(encoded(photo(400, 300)))
    pictures = {file.name: decode(file, 16, 100) for file in find_pictures([folder])}
    assert pictures["large.png"].shape == (3, 100, 133)
    assert pictures["b.png"].shape == (3, 64, 96)
    assert pictures["b.png"].dtype == torch.uint8


@pytest.mark.parametrize("memory_gib", [1, 0])
def test_damaged_and_small_pictures_are_skipped_counted_and_named(folder, caplog, memory_gib):
    whole = encoded(photo(seed=9))
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "small.png").write_bytes(encoded(photo(20, 15)))
    pictures = Pictures([folder], shortest=16, longest=64)
    load_if_they_fit([pictures], memory_gib, CPU)
    assert pictures.in_memory == bool(memory_gib)
    random = np.random.default_rng(0)
    drawn = {tuple(pictures.draw(random).float().mean((1, 2)).tolist()) for _ in range(60)}
    assert len(drawn) == 3
    assert pictures.skipped == 3
    for reason in ("cut.png: the picture is cut off", "empty.png: the picture is empty",
                   "small.png: too small: 20x15"):  # fmt: skip
        assert caplog.text.count(reason) == 1
    assert pictures.summary()["skipped"] == 3


def test_drawing_is_the_same_from_memory_and_from_files(folder):
    kept, read = (Pictures([folder], shortest=16, longest=64) for _ in range(2))
    kept.load(CPU)
    for seed in range(10):
        one, other = (p.draw(np.random.default_rng(seed)) for p in (kept, read))
        assert torch.equal(one, other)


@pytest.mark.parametrize("memory_gib", [1, 0])
def test_pictures_of_which_none_can_be_used_are_refused(tmp_path, memory_gib):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    pictures = Pictures([tmp_path], shortest=16, longest=64)
    message = "none of 3 pictures" if memory_gib else f"{MAX_FAILURES} pictures in a row"
    with pytest.raises(TrainingError, match=message):  # noqa: PT012
        load_if_they_fit([pictures], memory_gib, CPU)
        pictures.draw(np.random.default_rng(0))
