import json
from pathlib import Path

import pytest
import torch

from model import Stylizer
from model.errors import ParameterError
from model.networks.encoder import TAPS, Encoder
from model.optimization.descent import Budget
from model.optimization.objective import LossWeights
from model.optimization.optimize import Optimization, optimize
from model.painting import Painting
from model.weights import bundled, load_encoder, load_weights
from tests.pictures import as_tensor, painting, photo, write_pictures
from training.classifier import Classifier
from training.colors import ColorHead, color_loss, fit
from training.data.labelled import LabelledPictures, held_out
from training.data.pictures import decode, find_pictures
from training.encoder import main, read_torchvision
from training.errors import TrainingError
from training.loop.command import FAILED
from training.normalization import Report, layers, measure, normalize_filters

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two classes of pictures, 40 each."""
    painters = {"photos": photo, "paintings": painting}
    return write_pictures(tmp_path_factory.mktemp("classes"), painters, 40)


@torch.no_grad()
def raw_encoder(last: str = "conv4_1") -> Encoder:
    """The bundled encoder's function with filters of all scales, as VGG's own are.

    Layers behind it have random filters.
    """
    torch.manual_seed(0)
    encoder = Encoder(last)
    encoder.load_state_dict(load_encoder().state_dict(), strict=False)
    random = torch.Generator().manual_seed(0)
    scale_in = torch.ones(3)
    for _, layer in layers(encoder):
        scale = 10 ** (2 * torch.rand(layer.out_channels, generator=random) - 0.5)
        layer.weight.mul_(scale[:, None, None, None] / scale_in[:, None, None])
        layer.bias.mul_(scale)
        scale_in = scale
    return encoder


def torchvision_indices() -> list[int]:
    """Where torchvision's VGG-19 has its convolutions."""
    from torchvision.models.vgg import cfgs, make_layers

    modules = list(make_layers(cfgs["E"]))
    return [i for i, module in enumerate(modules) if isinstance(module, torch.nn.Conv2d)]


def published_weights(last: str = "conv4_1") -> dict[str, torch.Tensor]:
    """LossWeights of such an encoder under the names that torchvision's VGG-19 gives them."""
    weights = {"classifier.6.bias": torch.zeros(1000)}
    for (_, layer), index in zip(layers(raw_encoder(last)), torchvision_indices(), strict=False):
        weights[f"features.{index}.weight"] = layer.weight
        weights[f"features.{index}.bias"] = layer.bias
    return weights


@pytest.fixture(scope="module")
def normalized(data) -> tuple[Encoder, Report]:
    """The raw encoder, normalised by the pictures."""
    encoder = raw_encoder()
    return encoder, normalize_filters(encoder, find_pictures([data]))


@pytest.mark.slow
def test_normalization_gives_every_filter_a_mean_activation_of_1(normalized, data):
    encoder, report = normalized
    files = find_pictures([data])
    for name, activity in measure(encoder, [decode(file, 16, 256) for file in files[::2]]).items():
        alive = activity.mean > 0
        assert alive.float().mean() > 0.9
        assert torch.allclose(activity.mean[alive], torch.ones(()), atol=1e-2), name
    assert all(report.after[tap] == pytest.approx(1, abs=0.3) for tap in TAPS)
    assert min(report.before.values()) > 2
    assert report.pictures == 80


@pytest.mark.slow
def test_normalization_leaves_the_function_as_it_was_but_for_scale(normalized, data):
    before, (after, _) = raw_encoder(), normalized
    picture = decode(find_pictures([data])[0], 16, 256)[None].float() / 255
    with torch.no_grad():
        for x, y in zip(before(picture), after(picture), strict=True):
            alive = y.amax((0, 2, 3)) > 0
            assert alive.float().mean() > 0.5
            scaled = [z / z.amax((2, 3), keepdim=True) for z in (x[:, alive], y[:, alive])]
            assert torch.allclose(*scaled, atol=1e-2)


@pytest.mark.slow
def test_normalization_silences_dead_filters_and_counts_them(normalized, data):
    dead = normalized[1].dead
    encoder = raw_encoder()
    with torch.no_grad():
        encoder.conv3_1.bias[:5] = -1e9
    report = normalize_filters(encoder, find_pictures([data]))
    assert report.dead == pytest.approx(dead + 5, abs=3)
    assert encoder.conv3_1.weight[:5].abs().max() == 0
    assert encoder.conv3_2.weight[:, :5].abs().max() == 0
    assert all(torch.isfinite(tensor).all() for tensor in encoder.parameters())


@pytest.mark.slow
def test_normalization_refuses_weights_that_are_not_finite(data):
    encoder = raw_encoder()
    with torch.no_grad():
        encoder.conv2_1.bias[0] = float("nan")
    with pytest.raises(TrainingError, match="not finite"):
        normalize_filters(encoder, find_pictures([data]))


@pytest.mark.slow
def test_torchvisions_weights_become_an_encoder_that_can_be_loaded(data, tmp_path, capsys):
    torch.save(published_weights(), tmp_path / "vgg19.pth")
    arguments = ["from-torchvision", "--pictures", str(data), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--weights", str(tmp_path / "vgg19.pth")]) == 0
    load_weights(Encoder(), tmp_path / "out" / "encoder.safetensors")
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert set(record["report"]["after"]) == set(TAPS)
    assert "relu4_1" in capsys.readouterr().out


@pytest.mark.slow
def test_layers_beyond_relu4_1_are_kept_where_asked_for(data, tmp_path, stylizer):
    torch.save(published_weights("conv5_1"), tmp_path / "vgg19.pth")
    arguments = ["from-torchvision", "--pictures", str(data), "--out", str(tmp_path / "out")]
    arguments += ["--weights", str(tmp_path / "vgg19.pth"), "--last", "conv5_1"]
    assert main(arguments) == 0
    encoder = load_encoder(tmp_path / "out" / "encoder.safetensors")
    assert encoder.activations_known[-4:] == ("relu4_2", "relu4_3", "relu4_4", "relu5_1")
    picture = as_tensor(photo(64, 48))
    found = encoder.activations(picture, ["relu4_2", "relu5_1"])
    assert found["relu4_2"].shape == (1, 512, 6, 8)
    assert found["relu5_1"].shape == (1, 512, 3, 4)
    assert 0.3 < found["relu5_1"].mean() < 3, "normalised as the others are"
    # AdaIN with it is AdaIN as ever; optimisation may look at its layers.
    deep = Stylizer(encoder, stylizer.decoder)
    style = deep.encode_style(painting(), style_size=64)
    assert deep.stylize(photo(), style).size == photo().size
    weights = LossWeights(content_taps=["relu4_2"], style_taps=["relu1_1", "relu5_1"])
    optimization = Optimization(weights=weights, budget=Budget(steps=3), style_size=64)
    *_, last = optimize(deep, Painting.plan(photo(), 1), [painting()], optimization)
    assert last.step.number == 3
    with pytest.raises(ParameterError, match="too small for relu5_1"):
        encoder.activations(picture[..., :16, :16], ["relu5_1"])


def test_without_network_the_message_says_what_to_download_and_where_to_put_it(
    tmp_path, monkeypatch
):
    from torchvision.models import VGG19_Weights

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    # A proxy that nobody listens at: as a machine without network, wherever this test runs.
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(TrainingError, match="cannot download") as error:
        read_torchvision(None)
    url = VGG19_Weights.IMAGENET1K_V1.url
    assert url in str(error.value)
    assert str(tmp_path / "checkpoints" / Path(url).name) in str(error.value)
    assert "--weights" in str(error.value)


def test_weights_of_something_else_are_refused(tmp_path, data, capsys):
    arguments = ["from-torchvision", "--pictures", str(data), "--out", str(tmp_path / "out")]
    for content, message in (
        ({"features.0.weight": torch.zeros(32, 3, 3, 3)}, "these weights do not fit: conv1_1"),
        (b"<html>", "is not torchvision's file"),
    ):
        path = tmp_path / "file.pth"
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        assert main([*arguments, "--weights", str(path)]) == FAILED
        assert message in capsys.readouterr().err
    assert main([*arguments, "--weights", str(tmp_path / "absent")]) == FAILED
    assert "absent" in capsys.readouterr().err


def test_the_folded_encoder_is_the_classifiers(data):
    torch.manual_seed(0)
    classifier = Classifier(3)
    pictures = torch.rand(4, 3, 32, 40)
    for _ in range(3):
        classifier(pictures)
    classifier.eval()
    features = []
    classifier.color_head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    with torch.no_grad():
        classifier(pictures)
        folded = classifier.fold()(pictures)[-1]
    assert torch.allclose(features[0], folded, atol=1e-4)


def test_every_twentieth_picture_of_a_class_is_held_out():
    assert held_out([0] * 45 + [1] * 19 + [2] * 20) == [19, 39, 83]


def test_batches_of_squares_are_cut_and_coloured_at_random_and_never_held_out(data):
    squares = LabelledPictures([data], side=48, device=CPU, seed=0)
    assert squares.classes == ["paintings", "photos"]
    seen = set()
    from training.loop.schedule import Stage
    from training.loop.stream import Stream

    places = Stream(
        (Stage(32, 16, 1.0),), lambda step: 0.0, step=0, position=0, rank=0, processes=1
    )
    batches = squares.batches(places, CPU)
    for _ in range(10):
        batch = next(batches)
        assert batch.image.shape == (16, 3, 32, 32)
        assert batch.image.min() >= 0
        assert batch.image.max() <= 1
        index = squares._index(batch.position)
        assert torch.equal(squares.labels[index], batch.label)
        seen.update(index.tolist())
    assert not seen & set(squares.held_out)
    assert len(seen) == 80 - 4


def test_a_classifier_needs_two_classes(data, tmp_path):
    with pytest.raises(TrainingError, match="two classes"):
        LabelledPictures([data / "photos"], side=32, device=CPU, seed=0)


@pytest.mark.slow
def test_pretraining_tells_classes_apart_and_leaves_a_normalised_encoder(data, tmp_path, capsys):
    arguments = [
        "pretrain", "--pictures", str(data), "--out", str(tmp_path / "out"), "--steps", "30",
        "--batch", "16", "--side", "48", "--crops", "32", "--rate", "0.02", "--report", "ph*",
    ]  # fmt: skip
    assert main(arguments) == 0
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["held_out"] == 4
    assert record["top1"]["all"] >= 0.75
    assert set(record["top1"]) == {"all", "ph*"}
    assert "top-1" in capsys.readouterr().out
    Stylizer.load(encoder=tmp_path / "out" / "encoder.safetensors", precision="float32")


@pytest.mark.slow
def test_refining_teaches_colours_and_moves_the_taps_little(data, tmp_path):
    arguments = [
        "refine", "--pictures", str(data), "--out", str(tmp_path / "out"), "--steps", "60",
        "--crops", "48x4", "--rate", "1e-4",
    ]  # fmt: skip
    assert main(arguments) == 0
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["losses"]["moved4"] < 0.3
    refined, bundled_one = Encoder(), Encoder()
    load_weights(refined, tmp_path / "out" / "encoder.safetensors")
    load_weights(bundled_one, bundled("encoder"))
    pictures = torch.stack([decode(file, 16, 64)[:, :64, :64] for file in find_pictures([data])])
    pictures = pictures.float() / 255
    errors = []
    with torch.no_grad():
        for encoder in (bundled_one, refined):
            head, features = ColorHead(), encoder(pictures)[-1]
            fit(head, features[::2], pictures[::2])
            errors.append(color_loss(head(features[1::2]), pictures[1::2]))
    assert errors[1] < errors[0]
