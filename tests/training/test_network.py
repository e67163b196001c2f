"""Training of the image transformation network, on a few small pictures."""

import json
from dataclasses import replace
from statistics import mean

import pytest
import torch
from safetensors.torch import load_file

from model.images import read_image
from model.weights import load_style_network
from tests.pictures import painting, write_pictures
from tests.training.conftest import losses_of
from training.loop.command import FAILED
from training.loop.processes import Process
from training.loop.run import Run
from training.network import (
    Settings,
    build_learner,
    load_contents,
    main,
    read_styles,
)

ALONE = Process(0, 1, torch.device("cpu"))


@pytest.fixture
def settings(pairs_folder, tmp_path) -> Settings:
    """A run of four small steps, in float32."""
    return Settings(
        content=[pairs_folder / "contents"],
        style=[pairs_folder / "styles"],
        style_size=64,
        out=tmp_path / "run",
        steps=4,
        crops=["32x2"],
        precision="float32",
    )


def flags(settings):
    return [
        "--content", str(settings.content[0]), "--style", str(settings.style[0]),
        "--style-size", "64", "--out", str(settings.out), "--steps", str(settings.steps),
        "--crops", *settings.crops, "--precision", "float32",
    ]  # fmt: skip


def make_run(settings):
    learner = build_learner(settings, *read_styles(settings), ALONE)
    return Run(settings, ALONE, learner, load_contents(settings, ALONE.device))


def train(settings, steps=None):
    return losses_of(make_run(settings), steps)


@pytest.mark.slow
def test_two_styles_are_learned(settings):
    run = make_run(replace(settings, steps=120, crops=["32x4"], rate=2e-3))
    totals = [p.values["content"] + 10 * p.values["style"] for p in run.train()]
    assert mean(totals[-10:]) < 0.5 * totals[0]


@pytest.mark.slow
def test_the_pixel_loss_teaches_reconstruction(settings):
    settings = replace(settings, steps=60, style_weight=0.0, pixel_weight=100.0, rate=2e-3)
    losses = train(settings)
    assert mean(each["pixel"] for each in losses[-5:]) < 0.5 * losses[0]["pixel"]


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_never_stopped_bit_for_bit(settings, tmp_path):
    whole = train(settings)
    parted = replace(settings, out=tmp_path / "parted")
    before = train(parted, steps=2)
    after = train(parted)
    # A step is reported once the next is taken, so the third was taken before the stop.
    assert before + after == whole[:2] + whole[3:]
    weights = [load_file(s.out / "style_network.safetensors") for s in (settings, parted)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
def test_the_command_writes_weights_sheet_and_record(settings):
    assert main(flags(settings)) == 0
    assert load_style_network(settings.out / "style_network.safetensors").names == ("00", "01")
    # Two contents in two styles, beside the pictures themselves.
    sheet = read_image(settings.out / "sheet.png")
    assert sheet.width == sheet.height > 3 * 192
    record = json.loads((settings.out / "record.json").read_text())
    assert record["styles"] == ["00", "01"]
    assert record["steps"] == 4
    assert main(flags(settings)) == 0, "the same command again finds it done"


@pytest.mark.slow
def test_training_goes_on_from_weights_of_the_same_styles(settings, tmp_path):
    train(settings)
    further = replace(
        settings, out=tmp_path / "further", network=settings.out / "style_network.safetensors"
    )
    assert train(further)[0]["style"] < train(replace(settings, out=tmp_path / "new"))[0]["style"]


def test_weights_of_other_styles_are_refused(settings, tmp_path, capsys):
    train(settings)
    weights = settings.out / "style_network.safetensors"
    write_pictures(tmp_path, {"others": painting}, 3)
    other = replace(settings, style=[tmp_path / "others"], out=tmp_path / "other")
    assert main([*flags(other), "--network", str(weights)]) == FAILED
    assert "is of the styles 00, 01, and --style has 00, 01, 02" in capsys.readouterr().err


def test_styles_of_one_name_are_refused(settings, pairs_folder, capsys):
    style = ["--style", str(pairs_folder / "styles"), str(pairs_folder / "contents")]
    assert main([*flags(settings), *style]) == FAILED
    assert "two styles are called 00" in capsys.readouterr().err


def test_a_layer_that_the_encoder_lacks_is_refused(settings, capsys):
    assert main([*flags(settings), "--content-tap", "relu9_9"]) == FAILED
    assert "has no relu9_9" in capsys.readouterr().err
