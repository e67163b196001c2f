import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from model.images import read_image
from tests.pictures import noise, painting, photo, write_pictures
from training.evaluate import choose_pairs, main
from training.loop.command import FAILED
from training.metrics import Judge, edge_strength, palette_distance, structure, tensor


@pytest.fixture
def data(tmp_path) -> Path:
    return write_pictures(tmp_path, {"contents": photo, "styles": painting}, 2)


def flags(data: Path, out: str = "scores") -> list[str]:
    return [
        "--content", str(data / "contents"), "--style", str(data / "styles"),
        "--out", str(data / out), "--size", "64", "--device", "cpu", "--precision", "float32",
        "--beside",
    ]  # fmt: skip


def test_structure_is_that_of_light_and_dark_whatever_the_colours():
    picture = photo(96, 96)
    darker = Image.eval(picture, lambda value: 20 + value // 3)
    assert structure(tensor(picture), tensor(picture)) == pytest.approx(1, abs=1e-3)
    assert structure(tensor(picture), tensor(darker)) > 0.8
    assert structure(tensor(picture), tensor(ImageOps.invert(picture))) < 0.6
    assert abs(structure(tensor(noise(96, 96)), tensor(noise(96, 96, seed=3)))) < 0.1


def test_the_palette_distance_is_0_for_the_same_colours_wherever_they_are():
    picture = painting(128)
    assert palette_distance(picture, picture.transpose(Image.Transpose.ROTATE_90)) < 1e-3
    red, blue = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    half = Image.fromarray(np.concatenate([np.asarray(red), np.asarray(blue)]))
    far = palette_distance(red, blue)
    assert far > 50
    assert palette_distance(red, half) == pytest.approx(far / 2, rel=0.02)


def test_the_palette_distance_of_colours_that_are_nearly_grey_is_small():
    greenish, reddish = (Image.new("RGB", (64, 64), c) for c in [(127, 129, 128), (129, 127, 128)])
    assert 0 < palette_distance(greenish, reddish) < 3


def test_edges_are_where_light_changes():
    half = Image.new("L", (64, 64))
    half.paste(255, (0, 0, 33, 64))
    strength = edge_strength(half.convert("RGB"))
    assert strength.shape == (32, 32)
    assert strength[:, 15:18].max() > 100
    assert strength[:, :14].max() == strength[:, 20:].max() == 0


def test_the_style_has_its_own_texture_and_the_content_its_own_lines(stylizer):
    judge = Judge(stylizer.encoder)
    content, style = judge.look(photo(64, 64)), judge.look(painting(64))
    as_style = judge.score(content, style, painting(64))
    as_content = judge.score(content, style, photo(64, 64))
    assert as_style.covariance < 1e-6 < as_content.covariance
    assert as_style.mean < 1e-6 < as_content.mean
    assert as_style.palette == 0 < as_content.palette
    assert as_style.roughness == pytest.approx(1)
    assert as_content.content3 < 1e-4 < as_style.content3
    assert as_content.content4 < 1e-4 < as_style.content4
    assert as_content.edges == pytest.approx(1)
    assert as_style.edges < 0.9
    assert as_content.structure == pytest.approx(1, abs=1e-3)
    assert as_content.structure > as_style.structure


def test_pairs_are_spread_over_the_styles():
    names = [f"{number:02}" for number in range(12)]
    pairs = choose_pairs(names, names, 2)
    assert len(pairs) == len(set(pairs)) == 24
    assert pairs[:3] == [("00", "00"), ("00", "05"), ("01", "01")]
    assert {style for _, style in pairs} == set(names)
    assert len(choose_pairs(names, names, 0)) == 144


@pytest.mark.slow
def test_details_and_other_methods_have_rows_of_their_own(data, monkeypatch):
    monkeypatch.setattr("training.evaluate.OPTIMIZATION_STEPS", 2)
    beside = ["--detail", "-1", "0", "1", "--beside", "content", "recolored", "optimized"]
    assert main([*flags(data), *beside, "--styles", "1"]) == 0
    table = (data / "scores" / "scores.md").read_text()
    for row in ("ours", "ours, detail -1", "ours, detail 1", "content", "recolored", "optimized"):
        assert f"| {row} |" in table
    results = json.loads((data / "scores" / "scores.json").read_text())["results"]
    untouched = [r["scores"] for r in results if r["method"] == "content"]
    assert all(scores["content4"] < 1e-4 for scores in untouched)
    assert len({r["seconds"] for r in results if r["method"] == "optimized"}) == 2


@pytest.mark.slow
def test_all_pairs_are_scored_and_shown(data):
    assert main(flags(data)) == 0
    scores = json.loads((data / "scores" / "scores.json").read_text())
    assert len(scores["results"]) == 4
    assert {(r["content"], r["style"]) for r in scores["results"]} == {
        (c, s) for c in ("00", "01") for s in ("00", "01")
    }
    assert all(r["seconds"] > 0 for r in scores["results"])
    table = (data / "scores" / "scores.md").read_text()
    assert "| ours |" in table
    assert "Means over 4 pairs" in table
    assert len(list((data / "scores" / "pictures").iterdir())) == 4
    assert read_image(data / "scores" / "sheet.png").width == 3 * 64 + 2 * 4


@pytest.mark.slow
def test_results_of_another_run_score_as_they_did(data):
    assert main(flags(data, "first")) == 0
    assert main([*flags(data, "second"), "--against", str(data / "first" / "pictures")]) == 0
    results = json.loads((data / "second" / "scores.json").read_text())["results"]
    ours, theirs = ([r for r in results if r["method"] == m] for m in ("ours", "first"))
    assert len(ours) == len(theirs) == 4
    for one, other in zip(ours, theirs, strict=True):
        assert one["scores"] == other["scores"]
        assert other["seconds"] is None
    assert read_image(data / "second" / "sheet.png").width == 4 * 64 + 3 * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--content", "absent"], "absent: no such folder"),
        (["--decoder", "absent"], "absent: no such file"),
        (["--judge", "absent"], "absent: no such file"),
        (["--size", "8"], "size must be from 64"),
        (["--against", "absent"], "00_00.png: no such file"),
    ],
)
def test_wrong_flags_are_explained(data, capsys, change, message):
    assert main(flags(data) + change) == FAILED
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_damaged_picture_is_named(data, capsys):
    (data / "contents" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(flags(data)) == FAILED
    assert "bad.png" in capsys.readouterr().err


@pytest.mark.slow
def test_scores_are_the_same_at_every_run(data):
    assert main(flags(data, "first")) == 0
    assert main(flags(data, "second")) == 0
    one, two = (
        [r["scores"] for r in json.loads((data / run / "scores.json").read_text())["results"]]
        for run in ("first", "second")
    )
    assert one == two
    assert torch.isfinite(torch.tensor([list(scores.values()) for scores in one])).all()
