"""A style that is practised: the command, its file, and what it learns."""

import json
import shutil
from pathlib import Path

import pytest

from app.cli import main as adain
from model import Style
from model.images import read_image
from model.networks.plain_decoder import PlainDecoder
from model.weights import save_weights
from tests.pictures import difference, encoded, painting, photo
from training.loop.run import Run
from training.style import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, pairs_folder):
    """A folder with a painting and contents, which the tests run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADAIN_PRECISION", "float32")
    monkeypatch.setenv("ADAIN_DEVICE", "cpu")
    monkeypatch.setenv("ADAIN_DATA_DIR", str(tmp_path / "data"))
    Path("painting.png").write_bytes(encoded(painting()))
    shutil.copytree(pairs_folder / "contents", "photos")
    return tmp_path


def practise(*more, output="painting.adain", steps=4):
    return main([
        "painting.png", "--content", "photos", "-o", output, "--steps", str(steps), "--crops",
        "32x2", "--style-size", "64", "--precision", "float32", "--device", "cpu", *more,
    ])  # fmt: skip


def read(path="painting.adain"):
    return Style.from_bytes(Path(path).read_bytes())


@pytest.mark.slow
def test_practice_brings_the_result_nearer_to_the_style():
    assert practise(steps=60) == 0
    found = json.loads(Path("painting.run/record.json").read_text())
    before, after = found["before"], found["after"]
    assert after["mean"] < 0.9 * before["mean"]
    assert after["covariance"] < before["covariance"]
    assert after["mean"] + after["covariance"] < 0.85 * (before["mean"] + before["covariance"])
    # Nearer to the style is further from the content, but not by much.
    assert after["content"] < 1.3 * before["content"]


@pytest.mark.slow
def test_the_file_is_a_style_everywhere(capsys, stylizer):
    assert practise("--detail", "0.5") == 0
    said = capsys.readouterr().out
    assert "before content" in said
    assert "after content" in said
    style = read()
    assert style.detail == 0.5
    assert len(Path("painting.adain").read_bytes()) < 500_000
    Path("content.png").write_bytes(encoded(photo()))
    assert adain(["stylize", "content.png", "painting.adain", "-o", "out.png"]) == 0
    expected = stylizer.stylize(photo(), style)
    assert difference(read_image("out.png"), expected) == 0
    assert adain(["styles", "add", "painting.adain"]) == 0
    assert adain(["stylize", "content.png", "--saved", "painting", "-o", "saved.png"]) == 0
    assert difference(read_image("saved.png"), expected) == 0
    # Strokes of another size are those of the picture.
    small = stylizer.encode_style(read_image(style.picture), style_size=64)
    for source in (["painting.adain"], ["--saved", "painting"]):
        asked = ["stylize", "content.png", *source, "--style-size", "64", "-o", "small.png"]
        assert adain(asked) == 0
        assert difference(read_image("small.png"), stylizer.stylize(photo(), small)) == 0
        Path("small.png").unlink()
    sheet = read_image("painting.run/sheet.png")
    assert sheet.width == 3 * 256 + 2 * 4


@pytest.mark.slow
def test_refinement_starts_from_the_picture_that_the_file_carries():
    assert practise(steps=1) == 0
    Path("content.png").write_bytes(encoded(photo()))
    arguments = ["stylize", "content.png", "painting.adain", "-o", "out.png", "--refine", "0.2"]
    assert adain(arguments) == 0
    assert read_image("out.png").size == photo().size


@pytest.mark.slow
def test_rank_0_leaves_the_convolutions_as_they_are(stylizer, style):
    assert practise("--rank", "0") == 0
    practised = read()
    assert not practised.changes
    predicted = stylizer.encode_style(painting(), style_size=64)
    assert 0 < (practised.modulation - predicted.modulation).abs().max() < 1


@pytest.mark.slow
def test_a_run_that_is_resumed_goes_on_to_the_bit(monkeypatch):
    assert practise(output="whole.adain", steps=8) == 0
    whole = Run.train

    def two_steps(self, stop=None):
        for progress in whole(self, stop):
            yield progress
            if progress.step == 2:
                stop.set()

    monkeypatch.setattr(Run, "train", two_steps)
    assert practise(output="parts.adain", steps=8) == 143
    stopped = read("parts.adain")
    monkeypatch.setattr(Run, "train", whole)
    assert practise(output="parts.adain", steps=8) == 0
    assert read("parts.adain").to_bytes() == read("whole.adain").to_bytes()
    assert stopped.to_bytes() != read("parts.adain").to_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "painting.png"], "must end in .adain"),
        (["--rank", "-1"], "rank must be from 0 to 128"),
        (["--style-size", "8"], "style_size must be from 64 to 1024"),
        (["--detail", "2"], "detail must be from -1 to 1"),
        (["--content", "nowhere"], "nowhere: no such folder"),
        (["--minutes", "1"], "either steps or minutes"),
        (["--decoder", "plain.safetensors"], "a plain decoder has nothing"),
    ],
)
def test_wrong_arguments_are_refused_and_say_why(capsys, arguments, said):
    save_weights(PlainDecoder(), Path("plain.safetensors"))
    assert practise(*arguments) == 1
    assert said in capsys.readouterr().err
    assert not Path("painting.adain").exists()


def test_a_painting_that_is_none_is_named(capsys):
    Path("painting.png").write_bytes(b"no picture")
    assert practise() == 1
    assert "painting.png" in capsys.readouterr().err
