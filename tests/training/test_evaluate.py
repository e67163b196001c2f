import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from model.image import read_image
from tests.pictures import noise, painting, photo, write_pictures
from training.command import FAILED
from training.evaluate import main
from training.metrics import Judge, color_distance, structure, tensor


@pytest.fixture
def data(tmp_path) -> Path:
    return write_pictures(tmp_path, {"contents": photo, "styles": painting}, 2)


def flags(data: Path, out: str = "scores") -> list[str]:
    return [
        "--content", str(data / "contents"), "--style", str(data / "styles"),
        "--out", str(data / out), "--size", "64", "--device", "cpu", "--precision", "float32",
    ]  # fmt: skip


def test_structure_is_that_of_light_and_dark_whatever_the_colours():
    picture = photo(96, 96)
    darker = Image.eval(picture, lambda value: 20 + value // 3)
    assert structure(tensor(picture), tensor(picture)) == pytest.approx(1, abs=1e-3)
    assert structure(tensor(picture), tensor(darker)) > 0.8
    assert structure(tensor(picture), tensor(ImageOps.invert(picture))) < 0.6
    assert abs(structure(tensor(noise(96, 96)), tensor(noise(96, 96, seed=3)))) < 0.1


def test_the_colour_distance_is_0_for_the_same_colours_and_1_for_others():
    picture = painting()
    assert color_distance(picture, picture.transpose(Image.Transpose.ROTATE_90)) < 1e-3
    red, blue = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    assert color_distance(red, blue) == 1
    half = Image.fromarray(np.concatenate([np.asarray(red), np.asarray(blue)]))
    assert color_distance(red, half) == pytest.approx((1 - 0.5**0.5) ** 0.5)


def test_the_style_has_no_style_loss_and_the_content_its_own_structure(stylizer):
    judge = Judge(stylizer.encoder)
    content, style = photo(64, 64), painting(64)
    as_style = judge.score(content, style, style)
    as_content = judge.score(content, style, content)
    assert as_style.style_loss < 1e-6 < as_content.style_loss
    assert as_style.color_distance == 0 < as_content.color_distance
    assert as_content.structure == pytest.approx(1, abs=1e-3)
    assert as_content.structure > as_style.structure


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


def test_scores_are_the_same_at_every_run(data):
    assert main(flags(data, "first")) == 0
    assert main(flags(data, "second")) == 0
    one, two = (
        [r["scores"] for r in json.loads((data / run / "scores.json").read_text())["results"]]
        for run in ("first", "second")
    )
    assert one == two
    assert torch.isfinite(torch.tensor([list(scores.values()) for scores in one])).all()
