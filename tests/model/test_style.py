"""What a style is, as a value: measured, mixed, written and read."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import save

from model.adain import channel_statistics
from model.color import color_moments
from model.errors import ParameterError
from model.files import read_note
from model.style import HEAD_BYTES, Change, Style, is_style_file, measure, mix
from tests.pictures import (
    as_tensor,
    difference,
    encoded,
    painting,
    photo,
    plain_style,
    practised_style,
)


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
    known = {"kind": "style", "version": 1, "weights": "weights", "detail": 0.0}
    return save(
        plain_style(1.0).tensors() | tensors, metadata={"note": json.dumps(known | (note or {}))}
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "this is no style file"),
        (b"no style at all", "this is no style file"),
        (b"\x80\x04pickle", "this is no style file"),
        (save({"mean": torch.zeros(1, 512, 1, 1)}), "this is no style file"),
        (changed({"version": 2}), "of version 2, and this program reads a style of version 1"),
        (changed({"kind": "decoder"}), "this file holds a decoder of version 1"),
        (changed(mean1=torch.zeros(1, 3, 1, 1)), r"mean1 is \(1, 3, 1, 1\), not \(1, 64, 1, 1\)"),
        (
            changed(std4=torch.full((1, 512, 1, 1), float("nan"))),
            "std4 must hold numbers up to 100000",
        ),
        (changed(std1=torch.zeros(1, 64, 1, 1, dtype=torch.int32)), "std1 must hold numbers"),
        (changed(modulation=torch.zeros(4)), "modulation has 1 dimensions"),
        (changed(extra=torch.zeros(1)), "extra is no part of a style"),
        (changed(picture=torch.zeros(3)), "its picture is no file"),
        (changed({"detail": 2}), "its detail is not in"),
        (changed({"detail": None}), "its detail is not in"),
        (changed(**{"conv4_1.left": torch.zeros(2, 3)}), "the change of conv4_1 does not fit"),
        (
            changed(**{"conv4_1.left": torch.zeros(2, 3), "conv4_1.right": torch.zeros(2, 3)}),
            "the change of conv4_1 does not fit",
        ),
        (save({}, metadata={"note": "[]"}), "its note is not an object"),
        (save({}, metadata={"note": "[" * 100_000}), "this is no style file"),
        (changed()[:-10], "this is no style file"),
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


@pytest.fixture
def practised(stylizer, style):
    return practised_style(style, stylizer.layout)


def test_a_practised_style_survives_serialisation(stylizer, practised):
    data = practised.to_bytes()
    restored = Style.from_bytes(data)
    assert restored.to_bytes() == data
    assert (restored.detail, restored.picture) == (0.5, practised.picture)
    painted = [stylizer.stylize(photo(), each) for each in (practised, restored)]
    assert difference(*painted) == 0
    assert is_style_file(data[:HEAD_BYTES], len(data))
    assert not is_style_file(data[:HEAD_BYTES], HEAD_BYTES)
    assert not is_style_file(encoded(photo())[:HEAD_BYTES], 10_000)
    assert not is_style_file(b"", 0)


def test_a_practised_style_paints_otherwise_than_the_predicted(stylizer, style, practised):
    assert difference(stylizer.stylize(photo(), style), stylizer.stylize(photo(), practised)) > 5


def test_detail_is_added_to_that_of_the_style(stylizer, practised):
    def painted(own, detail):
        return stylizer.stylize(photo(), replace(practised, detail=own), detail=detail)

    assert difference(painted(0.5, 0), painted(0, 0.5)) == 0
    assert difference(painted(0.5, 0), painted(0, 0)) > 0.5
    assert difference(painted(0.5, 1), painted(1, 0)) == 0
    assert difference(painted(-0.5, -1), painted(-1, 0)) == 0


@pytest.mark.slow
def test_a_practised_style_is_painted_alike_in_tiles(stylizer, practised):
    content = photo(200, 150)
    whole, tiled = (stylizer.stylize(content, practised, tile=tile) for tile in (None, 64))
    assert difference(whole, tiled) < 0.01


def test_alpha_0_is_the_content_for_a_practised_style_too(stylizer, practised):
    assert difference(stylizer.stylize(photo(), practised, alpha=0), photo()) < 0.01


def test_what_practised_styles_change_is_added_up(stylizer, practised, other_style):
    mixed = mix([practised, other_style], [0.25, 0.75])
    assert mixed.detail == 0.125
    weight = torch.zeros(128, 512, 3, 3)
    torch.testing.assert_close(
        mixed.changes["conv4_1"].of(weight), 0.25 * practised.changes["conv4_1"].of(weight)
    )
    both = mix([practised, practised], [0.5, 0.5])
    painted = [stylizer.stylize(photo(), each) for each in (practised, both)]
    assert difference(*painted) < 0.01


@pytest.mark.slow
def test_each_region_has_what_its_own_style_changes(stylizer, practised, other_style):
    """Far from the border between regions; the statistics are the regions' own."""
    content = photo(192, 96)
    left = Image.new("L", content.size)
    left.paste(255, (0, 0, 96, 96))
    masks = [left, Image.eval(left, lambda level: 255 - level)]
    styles = [replace(practised, detail=0), other_style]
    together = stylizer.stylize(content, styles, masks=masks)
    tiled = stylizer.stylize(content, styles, masks=masks, tile=64)
    assert difference(together, tiled) < 0.01
    for style, mask, box in zip(styles, masks, [(0, 0, 16, 96), (176, 0, 192, 96)], strict=True):
        alone = stylizer.stylize(content, style, masks=[mask])
        assert difference(together.crop(box), alone.crop(box)) < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "others"}, "for other weights than the loaded ones"),
        ({"modulation": torch.zeros(1, 3)}, "a style has 3 numbers of modulation"),
        ({"modulation": None}, "a style has 0 numbers of modulation"),
        ({"changes": {"conv9_1": Change(torch.zeros(1, 1), torch.zeros(1, 1))}}, "conv9_1"),
        ({"changes": {"conv4_1": Change(torch.zeros(1, 1), torch.zeros(1, 1))}}, "conv4_1"),
    ],
)
def test_a_style_of_another_model_is_refused(stylizer, style, change, message):
    with pytest.raises(ParameterError, match=message):
        stylizer.stylize(photo(), replace(style, **change))
