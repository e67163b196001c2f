"""What a style is, as a value: measured, mixed, written and read."""

import json

import pytest
import torch
from safetensors.torch import save

from model.adain import channel_statistics
from model.color import color_moments
from model.errors import ParameterError
from model.style import Style, measure, mix, read_note
from tests.pictures import as_tensor, painting, plain_style


def test_a_style_is_measured_at_every_tap_and_in_its_colours(stylizer):
    image = as_tensor(painting(64))
    taps = stylizer.encoder(image)
    style = measure(image, taps)
    for found, features in zip(style.taps, taps, strict=True):
        torch.testing.assert_close(found.mean, channel_statistics(features).mean)
    torch.testing.assert_close(style.colors.mean, color_moments(image).mean)
    assert style.modulation is None


def test_a_region_is_measured_as_if_it_were_cut_out_but_for_its_border(stylizer):
    image, region = as_tensor(painting(64)), torch.zeros(1, 1, 64, 64)
    region[..., :32] = 1
    taps = stylizer.encoder(image)
    inside = measure(image, taps, region)
    cut = measure(image[..., :32], [tap[..., : tap.shape[3] // 2] for tap in taps])
    for name, tensor in inside.tensors().items():
        torch.testing.assert_close(tensor, cut.tensors()[name], rtol=1e-3, atol=1e-4)


def test_a_style_survives_serialisation(style):
    restored = Style.from_bytes(style.to_bytes())
    assert restored.weights == style.weights
    for name, tensor in style.tensors().items():
        assert torch.equal(restored.tensors()[name], tensor)
    assert len(style.to_bytes()) < 21 * 1024
    assert style.to_bytes() == restored.to_bytes()


def changed(note=None, **tensors):
    """The bytes of a style, some of them changed."""
    known = {"kind": "style", "version": 1, "weights": "weights"}
    return save(
        plain_style(1.0).tensors() | tensors, metadata={"note": json.dumps(known | (note or {}))}
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "these bytes hold no style"),
        (b"no style at all", "these bytes hold no style"),
        (b"\x80\x04pickle", "these bytes hold no style"),
        (save({"mean": torch.zeros(1, 512, 1, 1)}), "these bytes hold no style"),
        (changed({"version": 2}), "of version 2, and this program reads a style of version 1"),
        (changed({"kind": "decoder"}), "hold a decoder of version 1"),
        (changed(mean1=torch.zeros(1, 3, 1, 1)), r"mean1 is \(1, 3, 1, 1\), not \(1, 64, 1, 1\)"),
        (changed(std4=torch.full((1, 512, 1, 1), float("nan"))), "std4 is not finite"),
        (changed()[:-10], "these bytes hold no style"),
    ],
)
def test_bytes_that_are_no_style_are_refused_and_say_why(data, message):
    with pytest.raises(ParameterError, match=message):
        Style.from_bytes(data)


def test_the_note_is_that_of_the_file():
    assert read_note(changed())["weights"] == "weights"


def test_a_mix_is_the_convex_combination_in_every_respect(style, other_style):
    mixed = mix([style, other_style], [0.25, 0.75]).tensors()
    first, second = style.tensors(), other_style.tensors()
    for name in first:
        torch.testing.assert_close(mixed[name], 0.25 * first[name] + 0.75 * second[name])
    assert mix([style], [1.0]) is style
