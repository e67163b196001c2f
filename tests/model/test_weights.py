import hashlib
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model import Stylizer
from model.errors import WeightsError
from model.networks.decoder import Decoder
from model.networks.encoder import Encoder
from model.weights import bundled, checksum, dead_leaves, load_weights, save_weights


@pytest.fixture
def tensors():
    return load_file(bundled("encoder"))


def write(tmp_path, tensors):
    path = tmp_path / "encoder.safetensors"
    save_file(tensors, path)
    return path


def test_bundled_weights_are_float16():
    for name in ("encoder", "decoder"):
        assert {t.dtype for t in load_file(bundled(name)).values()} == {torch.float16}


def test_the_model_card_names_the_checksums_of_the_bundled_files():
    card = bundled("encoder").with_name("README.md").read_text()
    for name in ("encoder", "decoder"):
        assert checksum(bundled(name)) in card


def test_checksum_is_the_files_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    assert checksum(path) == hashlib.sha256(b"weights").hexdigest()


def test_saved_weights_load_again(tmp_path):
    torch.manual_seed(0)
    decoder, restored = Decoder(), Decoder()
    path = tmp_path / "decoder.safetensors"
    save_weights(decoder, path, dtype=torch.float32)
    load_weights(restored, path)
    for a, b in zip(decoder.parameters(), restored.parameters(), strict=True):
        assert torch.equal(a, b)
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "nowhere.safetensors"
    with pytest.raises(WeightsError, match=f"{re.escape(str(path))}: no such file"):
        Stylizer.load(encoder=path)


@pytest.mark.parametrize("size", [0, 4, 500, 1_000_000])
def test_a_truncated_file_is_refused(tmp_path, size):
    path = tmp_path / "decoder.safetensors"
    path.write_bytes(bundled("decoder").read_bytes()[:size])
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        load_weights(Decoder(), path)


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "decoder.pt"
    torch.save(Decoder().state_dict(), path)
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        load_weights(Decoder(), path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        load_weights(Decoder(), tmp_path)


def test_weights_of_the_other_network_are_refused():
    with pytest.raises(WeightsError, match=r"does not fit the decoder: center1 should be"):
        load_weights(Decoder(), bundled("encoder"))


def test_a_missing_tensor_is_named(tmp_path, tensors):
    del tensors["conv3_2.weight"]
    with pytest.raises(WeightsError, match=r"conv3_2.weight should be .* and is absent"):
        load_weights(Encoder(), write(tmp_path, tensors))


def test_an_unknown_tensor_is_named(tmp_path, tensors):
    tensors["conv5_1.bias"] = torch.zeros(1)
    with pytest.raises(WeightsError, match=r"conv5_1.bias should be absent"):
        load_weights(Encoder(), write(tmp_path, tensors))


def test_values_that_are_not_finite_are_refused(tmp_path, tensors):
    tensors["conv2_1.bias"][3] = float("nan")
    with pytest.raises(WeightsError, match=r"conv2_1.bias holds values that are not finite"):
        load_weights(Encoder(), write(tmp_path, tensors))


def rescaled(tensors, scales):
    """The same function with each filter scaled, as VGG-19 has it before its normalisation."""
    result, before = {}, None
    for layer in [name for name, _ in Encoder().named_children()]:
        weight, bias = (tensors[f"{layer}.{kind}"].float() for kind in ("weight", "bias"))
        if before is not None:
            weight = weight / before[None, :, None, None]
        before = scales(len(bias))
        result[f"{layer}.weight"] = weight * before[:, None, None, None]
        result[f"{layer}.bias"] = bias * before
    return result


def test_filters_of_unequal_scale_are_refused(tmp_path, tensors):
    random = torch.Generator().manual_seed(1)
    path = write(tmp_path, rescaled(tensors, lambda n: torch.randn(n, generator=random).exp()))
    with pytest.raises(WeightsError, match="filters are not normalised"):
        load_weights(Encoder(), path)


@pytest.mark.parametrize("scale", [0.2, 5.0])
def test_filters_of_another_scale_are_refused(tmp_path, tensors, scale):
    path = write(tmp_path, rescaled(tensors, lambda n: torch.full((n,), scale)))
    with pytest.raises(WeightsError, match="filters are not normalised: at relu1_1"):
        load_weights(Encoder(), path)


def test_an_untrained_encoder_is_refused(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "encoder.safetensors"
    save_weights(Encoder(), path)
    with pytest.raises(WeightsError, match="filters are not normalised"):
        load_weights(Encoder(), path)


def test_the_painted_probe_is_always_the_same():
    assert torch.equal(dead_leaves(32), dead_leaves(32))
    assert dead_leaves(32).std() > 0.1


def test_weights_are_part_of_the_package():
    assert bundled("encoder").is_file()
    assert Path(bundled("decoder")).parent.name == "weights"
