"""What a decoder is told: AdaIN, colours, regions."""

from dataclasses import replace

import pytest
import torch

from model.adain import Affine, channel_statistics
from model.conditioning import blend, condition, normalize_shares
from model.style import measure
from tests.pictures import as_tensor, painting, photo


@pytest.fixture
def content(stylizer):
    image = as_tensor(photo(64, 48))
    return image, stylizer.encoder(image)


@pytest.fixture
def own(content):
    return measure(*content)


def test_each_tap_gets_the_styles_statistics(content, own, style):
    for affine, features, wanted in zip(
        condition(style, own).taps, content[1], style.taps, strict=True
    ):
        found = channel_statistics(affine(features))
        torch.testing.assert_close(found.mean, wanted.mean, rtol=1e-3, atol=1e-3)


def test_the_content_as_its_own_style_changes_nothing(content, own):
    told = condition(own, own)
    for affine in told.taps:
        torch.testing.assert_close(affine.scale, torch.ones_like(affine.scale))
        torch.testing.assert_close(affine.shift, torch.zeros_like(affine.shift))
    torch.testing.assert_close(told.base(content[0]), content[0], rtol=0, atol=1e-5)


def test_at_alpha_0_there_is_the_content_and_no_ink(content, own, style, stylizer):
    image, _ = content
    told = condition(style, replace(own, modulation=stylizer.decoder.modulate(own)), alpha=0.0)
    assert told.ink.abs().max() == 0
    torch.testing.assert_close(told.base(image), image, rtol=0, atol=1e-5)


def test_in_the_contents_colours_the_base_is_the_content(content, own, style):
    image, _ = content
    told = condition(style, own, preserve_color=True)
    torch.testing.assert_close(told.base(image), image, rtol=0, atol=1e-5)


def test_a_grey_style_has_no_ink_of_another_colour(own, stylizer):
    grey = as_tensor(painting(64).convert("L").convert("RGB"))
    ink = condition(measure(grey, stylizer.encoder(grey)), own).ink[0]
    torch.testing.assert_close(ink, ink[0, 0].expand(3, 3), rtol=1e-4, atol=1e-6)


def test_shares_sum_to_1_everywhere():
    first, second = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    first[..., :2], second[..., 1:3] = 0.5, 1.0
    shares = normalize_shares([first, second])
    torch.testing.assert_close(shares[0] + shares[1], torch.ones(1, 1, 4, 4))
    assert shares[0][..., 0].eq(1).all()
    torch.testing.assert_close(shares[0][..., 1], torch.full((1, 1, 4), 1 / 3))
    assert shares[0][..., 3].eq(0.5).all(), "where there is no region, alike"


def test_blending_is_by_share():
    x = torch.rand(1, 3, 4, 4)
    one, zero = (torch.full((1, 3, 1, 1), value) for value in (1.0, 0.0))
    double, shift = Affine(2 * one, zero), Affine(one, one)
    left = torch.zeros(1, 1, 4, 4)
    left[..., :2] = 1
    blended = blend(x, [double, shift], [left, 1 - left])
    torch.testing.assert_close(blended[..., :2], 2 * x[..., :2])
    torch.testing.assert_close(blended[..., 2:], x[..., 2:] + 1)
    torch.testing.assert_close(blend(x, [double], []), 2 * x)
