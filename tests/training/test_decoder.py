import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from statistics import mean

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.images import read_image
from model.networks.decoder import Decoder
from model.networks.plain_decoder import PlainDecoder
from model.weights import bundled, load_decoder, save_weights
from tests.pictures import photo, write_pictures
from tests.training.conftest import losses_of
from training.decoder import (
    PlainSettings,
    Settings,
    build_learner,
    calibrate,
    load_pairs,
    main,
)
from training.encoder import PytorchAdainSettings, TorchvisionSettings, Vgg19Settings
from training.errors import TrainingError
from training.evaluate import EvaluateSettings
from training.learners.classifier import PretrainSettings
from training.learners.decoder import DecoderLearner
from training.learners.refinement import RefineSettings
from training.loop.command import FAILED, STOPPED
from training.loop.processes import Process, meeting_point
from training.loop.progress import RunningMean, TrainingProgress
from training.loop.run import Run
from training.network import Settings as StyleNetworkSettings
from training.objective import draw_detail
from training.style import StyleSettings

CPU = torch.device("cpu")
ALONE = Process(0, 1, CPU)


AnySettings = Settings | PlainSettings


@pytest.fixture(autouse=True)
def few_styles_to_calibrate_on(monkeypatch):
    monkeypatch.setattr("training.decoder.CALIBRATION_STYLES", 8)


def small(settings: type[AnySettings], pairs_folder: Path, tmp_path: Path) -> AnySettings:
    """A run of six small steps, in float32; our decoder is narrow, so that they are quick."""
    kind = {"kind": "plain"} if settings is PlainSettings else {"kind": "modulated", "width": 0.25}
    return settings(
        **kind,
        content=[pairs_folder / "contents"],
        style=[pairs_folder / "styles"],
        out=tmp_path / "run",
        steps=6,
        crops=["32x2@50", "40x2@50"],
        precision="float32",
    )


@pytest.fixture
def settings(pairs_folder, tmp_path) -> Settings:
    """A run of our decoder."""
    return small(Settings, pairs_folder, tmp_path)


@pytest.fixture
def plain(pairs_folder, tmp_path) -> PlainSettings:
    """A run of the paper's decoder."""
    return small(PlainSettings, pairs_folder, tmp_path)


@pytest.fixture(params=["modulated", "plain"])
def either(request, pairs_folder, tmp_path) -> AnySettings:
    """A run of each kind."""
    kind = PlainSettings if request.param == "plain" else Settings
    return small(kind, pairs_folder, tmp_path)


def flags(settings: Settings) -> list[str]:
    return [
        "--content", *map(str, settings.content), "--style", *map(str, settings.style),
        "--out", str(settings.out), "--steps", str(settings.steps), "--crops", *settings.crops,
        "--kind", settings.kind, "--precision", settings.precision, "--rate", str(settings.rate),
        "--checkpoint-minutes", str(settings.checkpoint_minutes),
        *(["--width", str(settings.width)] if isinstance(settings, Settings) else []),
        *(["--step-batches", str(settings.step_batches)] if settings.step_batches else []),
    ]  # fmt: skip


def make_run(settings: AnySettings) -> Run:
    run = Run(settings, ALONE, build_learner(settings, ALONE), load_pairs(settings, CPU))
    calibrate(run)
    return run


def train(settings: Settings, steps: int | None = None) -> list[dict[str, float]]:
    return losses_of(make_run(settings), steps)


def saved(settings: Settings) -> dict[str, torch.Tensor]:
    state = torch.load(settings.out / "checkpoint.pt", weights_only=True)["state"]["learner"]
    networks = {"decoder": state["decoder"], "average": state["average"]["network"]}
    tensors = {f"{part} {k}": v for part, network in networks.items() for k, v in network.items()}
    for optimizer in {"optimizer", "adam", "muon"} & state.keys():
        for number, moments in state[optimizer]["state"].items():
            tensors |= {f"{optimizer} {number} {k}": value for k, value in moments.items()}
    return tensors


@pytest.fixture
def four_pictures(tmp_path):
    def paint(seed: int) -> Image.Image:
        return photo(48, 48, seed=seed)

    def paint_other(seed: int) -> Image.Image:
        return photo(48, 48, seed=5 + seed)

    write_pictures(tmp_path, {"contents": paint, "styles": paint_other}, 2)
    return {
        "content": [tmp_path / "contents"],
        "style": [tmp_path / "styles"],
        "crops": ["48x2"],
        "identity_share": 0.0,
    }


@pytest.mark.slow
def test_the_plain_decoder_learns_four_pictures_by_heart(plain, four_pictures):
    run = make_run(replace(plain, steps=140, rate=2e-3, **four_pictures))
    totals = [p.values["content"] + 10 * p.values["style"] for p in run.train()]
    assert mean(totals[-10:]) < totals[0] / 6


@pytest.mark.slow
def test_our_decoder_learns_from_nothing(settings, four_pictures):
    """It starts as the content in the style's colours, which is far in covariance, not in mean."""
    run = make_run(replace(settings, steps=150, cool=50.0, **four_pictures))
    steps = [progress.values for progress in run.train()]
    style = [3 * step["covariance"] + 4 * step["mean"] for step in steps]
    assert mean(style[-20:]) < 0.95 * mean(style[:5])
    assert all(share < 0.05 for share in run.learner.dead_shares().values())


def test_a_new_decoder_paints_the_content_in_the_styles_colours(settings):
    run = make_run(settings)
    first = next(iter(run.train())).values
    assert first["content"] < 0.5
    assert first["range"] < 0.05


def test_what_a_new_decoder_is_given_has_mean_0_and_deviation_1(settings):
    learner = make_run(settings).learner
    assert torch.equal(learner.decoder.center4, learner.average.center4)
    assert learner.decoder.center4.abs().max() > 0.1
    assert learner.decoder.modulation.mean.abs().max() > 0.1


@pytest.mark.slow
def test_the_average_is_calibrated_too_and_is_what_is_written(settings):
    train(settings)
    written = load_decoder(settings.out / "decoder.safetensors")
    learner = make_run(settings).learner
    torch.testing.assert_close(written.center1, learner.average.center1, rtol=1e-3, atol=1e-3)


def test_detail_is_drawn_from_end_to_end_and_by_step_alone():
    drawn = [draw_detail(0, step) for step in range(400)]
    assert min(drawn) == -1
    assert max(drawn) == 1
    assert abs(mean(drawn)) < 0.1
    assert drawn == [draw_detail(0, step) for step in range(400)]


@pytest.mark.slow
def test_both_ends_of_detail_are_learned(settings):
    run = make_run(settings)
    list(run.train())
    weights = run.learner.decoder.detail.conv4_1.weight
    assert weights.abs().max() > 0


def test_pictures_encoded_together_are_as_those_encoded_one_by_one(settings):
    """A GPU encodes whole batches; identity pairs are among those of the first step."""
    settings = replace(
        settings, steps=1, crops=["32x4"], identity_share=0.5, decoder=bundled("decoder")
    )
    values = []
    for at_once in (False, True):
        run = make_run(settings)
        run.learner.at_once = at_once
        values.append(next(iter(run.train())).values)
        assert run.learner.dead_shares()["conv4_1"] < 0.5
    assert values[0]["identity"] > 0
    assert values[1] == pytest.approx(values[0], rel=1e-3, abs=1e-6)


def test_dead_channels_are_told_of(either, monkeypatch, caplog):
    """The fault of an earlier decoder, whose channels mostly never fired, must not hide again."""
    run = make_run(either)
    next(iter(run.train()))
    shares = run.learner.dead_shares()
    assert "conv4_1" in shares
    assert "conv1_2" in shares
    with torch.no_grad():
        network = run.learner.average
        of = network.convolutions if isinstance(network, Decoder) else network
        of.conv2_1.bias -= 1e6
    assert run.learner.dead_shares()["conv2_1"] == 1


@pytest.mark.slow
def test_a_run_with_dead_channels_is_warned_of(settings, monkeypatch, caplog):
    monkeypatch.setattr(DecoderLearner, "dead_shares", lambda self: {"conv2_1": 0.6})
    assert main(flags(settings)) == 0
    assert "channels that never fire: dead conv2_1 60%" in caplog.text


@pytest.mark.slow
def test_a_run_goes_on_from_weights_of_its_own_kind_alone(settings, plain, tmp_path, capsys):
    torch.manual_seed(0)
    ours, papers = tmp_path / "ours.safetensors", tmp_path / "papers.safetensors"
    save_weights(Decoder([96, 80, 48, 24]), ours)
    save_weights(PlainDecoder(), papers)
    assert main([*flags(settings), "--decoder", str(ours)]) == 0
    assert load_decoder(settings.out / "decoder.safetensors").convolutions.conv1_1.in_channels == 24
    for run, other in ((settings, papers), (plain, ours)):
        run = replace(run, out=tmp_path / f"from {other.stem}")
        assert main([*flags(run), "--decoder", str(other)]) == FAILED
        assert "of the other kind" in capsys.readouterr().err


def test_a_width_is_that_of_a_new_decoder(settings):
    learner = make_run(replace(settings, width=0.5)).learner
    assert learner.decoder.convolutions.conv3_1.out_channels == 64


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_never_stopped_bit_for_bit(either, tmp_path):
    settings = either
    whole = train(settings)
    parted = replace(settings, out=tmp_path / "parted")
    before = train(parted, steps=2)
    after = train(parted)
    # A step is reported once the next is taken, so the third was taken before the stop.
    assert before + after == whole[:2] + whole[3:]
    expected, found = saved(settings), saved(parted)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    weights = [load_file(s.out / "decoder.safetensors") for s in (settings, parted)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
def test_pictures_that_do_not_fit_in_memory_give_the_same_run(settings, tmp_path):
    streamed = replace(settings, out=tmp_path / "streamed", memory_gib=0, workers=1)
    assert train(settings) == train(streamed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1e-4}, "rate was 0.0002 and is 0.0001"),
        ({"steps": 9}, "steps was 6 and is 9"),
        ({"crops": ["32x2"]}, "crops was"),
        ({"seed": 1}, "seed was 0 and is 1"),
    ],
)
def test_resuming_with_other_settings_is_refused(settings, change, message):
    train(settings, steps=1)
    with pytest.raises(TrainingError, match=message):
        make_run(replace(settings, **change))


@pytest.mark.slow
def test_resuming_with_other_pictures_is_refused(settings, tmp_path):
    folder = tmp_path / "contents"
    shutil.copytree(settings.content[0], folder)
    settings = replace(settings, content=[folder])
    train(settings, steps=1)
    shutil.copy(folder / "00.png", folder / "new.png")
    with pytest.raises(TrainingError, match=r"contents was 2 pictures .* is 3 pictures"):
        make_run(settings)


@pytest.mark.slow
def test_a_run_may_be_resumed_elsewhere_with_other_workers(settings):
    train(settings, steps=1)
    run = make_run(replace(settings, memory_gib=1, workers=0, checkpoint_minutes=1))
    assert run.step == 2


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_refused(settings, content):
    settings.out.mkdir()
    (settings.out / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        make_run(settings)


@pytest.mark.slow
def test_a_checkpoint_of_an_older_version_is_refused(settings):
    train(settings, steps=1)
    path = settings.out / "checkpoint.pt"
    torch.save({**torch.load(path), "version": 0}, path)
    with pytest.raises(TrainingError, match="version 0"):
        make_run(settings)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_pictures(settings):
    train(settings, steps=1)
    run = make_run(settings)
    before = (settings.out / "checkpoint.pt").read_bytes()
    with torch.no_grad():
        run.learner.decoder.convolutions.color.bias.fill_(float("inf"))
    with pytest.raises(
        TrainingError, match=r"not finite at step 3 .*contents/0\d.png in "
    ) as error:
        list(run.train())
    assert "Lower the rate" in str(error.value)
    with pytest.raises(TrainingError, match="no longer finite"):
        run.save()
    assert (settings.out / "checkpoint.pt").read_bytes() == before


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint(settings):
    train(settings, steps=1)
    before = (settings.out / "checkpoint.pt").read_bytes()
    run = make_run(settings)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(TrainingError, match="cannot be written"):
            run.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in settings.out.glob("checkpoint*")] == ["checkpoint.pt"]
    assert (settings.out / "checkpoint.pt").read_bytes() == before


@pytest.mark.slow
def test_the_command_leaves_weights_sheet_record_and_logs(settings, capsys, monkeypatch):
    monkeypatch.setattr("training.loop.progress.SCALAR_STEPS", 2)
    assert main(flags(settings)) == 0
    assert isinstance(load_decoder(settings.out / "decoder.safetensors"), Decoder)
    assert read_image(settings.out / "sheet.png").width > 3 * 192
    record = json.loads((settings.out / "record.json").read_text())
    assert record["steps"] == 6
    assert record["items"] == 12
    assert record["content"]["pictures"] == {str(settings.content[0]): 2}
    assert set(record["losses"]) == set(DecoderLearner.terms)
    assert record["ran_on"]["torch"] == torch.__version__.split("+")[0]
    logs = EventAccumulator(str(settings.out / "logs")).Reload()
    assert logs.Tags()["images"] == ["sheet"]
    expected = {"content", "covariance", "steps per second", "waiting", "dead conv4_1"}
    assert expected <= set(logs.Tags()["scalars"])
    assert "done: step 6" in capsys.readouterr().out


@pytest.mark.slow
def test_damaged_pictures_are_no_obstacle(settings, tmp_path, caplog):
    folder = tmp_path / "contents"
    shutil.copytree(settings.content[0], folder)
    (folder / "0.png").write_bytes(b"damaged")
    settings = replace(settings, content=[folder])
    assert main([*flags(settings), "--memory-gib", "0", "--workers", "0"]) == 0
    record = json.loads((settings.out / "record.json").read_text())
    assert record["content"]["skipped"] == 1
    assert "0.png: these bytes are no" in caplog.text
    assert read_image(settings.out / "sheet.png").height > 2 * 192


@pytest.mark.slow
def test_a_command_that_is_done_does_nothing_when_repeated(settings):
    assert main(flags(settings)) == 0
    weights = (settings.out / "decoder.safetensors").read_bytes()
    assert main(flags(settings)) == 0
    assert (settings.out / "decoder.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--content", "absent"], "absent: no such folder"),
        (["--crops", "256"], "none of 2 pictures can be used"),
        (["--crops", "100"], "multiple of 8"),
        (["--rate", "0"], "rate must be"),
        (["--rate", "nan"], "rate must be"),
        (["--identity-share", "2"], "identity_share must be from 0 to 1"),
        (["--minutes", "3"], "either steps or minutes"),
        (["--decoder", "absent.safetensors"], "absent.safetensors: no such file"),
        (["--encoder", "absent.safetensors"], "absent.safetensors: no such file"),
        (["--device", "abacus"], "abacus"),
        (["--sheet-style", "absent"], "absent: no such folder"),
    ],
)
def test_a_wrong_flag_is_explained_and_nothing_is_trained(settings, capsys, change, message):
    assert main(flags(settings) + change) == FAILED
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (settings.out / "checkpoint.pt").exists()


@pytest.mark.parametrize("change", [["--batch", "many"], ["--precision", "float16"], ["--fast"]])
def test_a_flag_that_cannot_be_read_is_a_usage_error(settings, change):
    with pytest.raises(SystemExit) as error:
        main(flags(settings) + change)
    assert error.value.code == 2


@pytest.mark.slow
def test_a_terminated_run_leaves_a_checkpoint_and_the_same_command_resumes(settings):
    endless = replace(settings, steps=100_000)
    command = [sys.executable, "-m", "training.decoder", *flags(endless)]
    steps = []
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        logs = settings.out / "logs"
        known = len(list(logs.iterdir())) if logs.exists() else 0
        deadline = time.monotonic() + 120
        while not logs.exists() or len(list(logs.iterdir())) == known:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=120)
        assert process.returncode == STOPPED, error
        assert b"the same command resumes" in out
        state = torch.load(settings.out / "checkpoint.pt", weights_only=True)["state"]
        steps.append(state["step"])
    assert 0 < steps[0] < steps[1]


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def with_two_processes(settings: Settings, *options: str) -> subprocess.Popen[str]:
    command = [*TORCHRUN, *options, "-m", "training.decoder", *flags(settings), "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out


def record(settings: Settings) -> dict[str, object]:
    return json.loads((settings.out / "record.json").read_text())


@pytest.mark.slow
def test_two_processes_learn_as_one_with_the_doubled_batch(settings, tmp_path):
    alone, smaller, both = (
        replace(settings, crops=[crops], out=tmp_path / name)
        for name, crops in (("alone", "32x4"), ("smaller", "32x2"), ("both", "32x2"))
    )
    for single in (alone, smaller):
        assert main(flags(single)) == 0
    finish(with_two_processes(both))
    one, other, two = (record(run)["losses"] for run in (alone, smaller, both))
    assert two == pytest.approx(one, rel=5e-3)
    assert two != pytest.approx(other, rel=1e-2)


@pytest.mark.slow
def test_gradients_of_two_batches_add_up_to_those_of_one_twice_as_large(settings, tmp_path):
    large = replace(settings, crops=["32x4"], out=tmp_path / "large")
    added = replace(settings, crops=["32x2"], step_batches=2, out=tmp_path / "added")
    # For some steps; then the differences of rounding have grown, as Adam makes much of little.
    for one, other in list(zip(train(added), train(large), strict=True))[:4]:
        assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(settings, tmp_path):
    whole = replace(settings, step_batches=2, out=tmp_path / "whole")
    parts = replace(whole, out=tmp_path / "parts")
    expected = RunningMean()
    # A step is under way when the one before is told of.
    for step, values in enumerate(train(whole)[4:], 5):
        expected(TrainingProgress(step, step / 6, values, 0, 0))
    train(parts, steps=3)
    finish(with_two_processes(parts))
    resumed = record(parts)
    assert (resumed["steps"], resumed["items"], resumed["processes"]) == (6, 24, 2)
    assert resumed["losses"] == pytest.approx(expected.values, rel=1e-2)


@pytest.mark.slow
def test_batches_that_processes_cannot_share_are_refused(settings):
    with pytest.raises(TrainingError, match="3 batches a step cannot be shared by 2 processes"):
        Process(0, 2, CPU).share(3)
    train(replace(settings, step_batches=2), steps=1)
    with pytest.raises(TrainingError, match="step_batches was 2 and is 1"):
        make_run(settings)


def test_machines_that_could_not_meet_again_are_refused(monkeypatch):
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    with pytest.raises(TrainingError, match="needs --rdzv-backend c10d and TORCH_DISABLE"):
        meeting_point()


def workers(parent: int) -> list[int]:
    """The processes that a torchrun started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(c) for c in children if b"training.decoder" in Path(f"/proc/{c}/cmdline").read_bytes()
    ]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_run_survives_the_death_of_a_process(settings):
    long = replace(settings, steps=20, checkpoint_minutes=0.02)
    process = with_two_processes(long, "--max-restarts=1")
    checkpoint = long.out / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = workers(process.pid)
    assert len(before) == 2
    os.kill(before[1], signal.SIGKILL)
    finish(process)
    assert record(long)["steps"] == 20
    logs = EventAccumulator(str(long.out / "logs")).Reload()
    assert len(list((long.out / "logs").iterdir())) == 2, "one for each start"
    assert logs.Scalars("content")[-1].step == 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the threads in /proc")
def test_the_threads_between_processes_end_before_python_does(settings, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import atexit, sys\n"
        "from pathlib import Path\n"
        "from training.decoder import main\n"
        "def name():\n"
        "    threads = Path('/proc/self/task').iterdir()\n"
        "    print('threads:', *[(each / 'comm').read_text().strip() for each in threads])\n"
        "atexit.register(name)  # what was registered first runs last\n"
        "sys.exit(main())\n"
    )
    command = [*TORCHRUN, script, *flags(settings), "--device", "cpu"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert ended.stdout.count("threads:") == 2
    assert "gloo" not in ended.stdout


def test_every_flag_is_documented_and_every_documented_flag_exists():
    documented = set(re.findall(r"--[a-z][a-z-]+", Path("docs/training.md").read_text()))
    commands = (
        Settings,
        PlainSettings,
        Vgg19Settings,
        PytorchAdainSettings,
        PretrainSettings,
        RefineSettings,
        TorchvisionSettings,
        StyleNetworkSettings,
        StyleSettings,
        EvaluateSettings,
    )
    flags = {f"--{known.name.replace('_', '-')}" for c in commands for known in fields(c)
             if c is not StyleSettings or not known.metadata["positional"]}  # fmt: skip
    assert flags <= documented
    assert documented - flags <= {
        "--nproc-per-node", "--nnodes", "--max-restarts", "--rdzv-endpoint", "--rdzv-id",
        "--rdzv-backend", "--logdir", "--help", "--against", "--method", "--network",
        "--style-name",
    }  # fmt: skip
