import pytest
import torch

from model.adain import ChannelStatistics, adain, channel_statistics
from model.color import color_moments
from model.losses import range_loss
from training.losses import (
    correlation_loss,
    covariance,
    identity_loss,
    palette,
    palette_loss,
    relative_distance,
    style_loss,
)


def features(seed: int, channels: int = 5) -> torch.Tensor:
    return torch.rand(2, channels, 6, 7, generator=torch.Generator().manual_seed(seed))


def test_the_style_loss_sums_distances_of_mean_and_deviation_over_the_taps():
    taps, styles = [features(0), features(1, 3)], [features(2), features(3, 3)]
    expected = 0.0
    for x, y in zip(taps, styles, strict=True):
        deviations = [z.var((2, 3), unbiased=False).add(1e-5).sqrt() for z in (x, y)]
        expected += ((x.mean((2, 3)) - y.mean((2, 3))) ** 2).mean()
        expected += ((deviations[0] - deviations[1]) ** 2).mean()
    loss = style_loss(*([channel_statistics(tap) for tap in side] for side in (taps, styles)))
    assert torch.isclose(loss, expected)


def test_adain_leaves_no_style_loss():
    content, style = features(0), channel_statistics(features(1))
    result = channel_statistics(adain(style, channel_statistics(content))(content))
    assert style_loss([result], [style]) < 1e-8


def test_the_style_loss_of_a_constant_picture_has_a_gradient():
    x = torch.ones(1, 3, 4, 4, requires_grad=True)
    style = ChannelStatistics(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1))
    style_loss([channel_statistics(x)], [style]).backward()
    assert torch.isfinite(x.grad).all()


def test_only_what_clipping_would_cut_is_out_of_range():
    image = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.5, 0.7]).view(1, 3, 1, 2)
    assert torch.isclose(range_loss(image), torch.tensor((0.25 + 0.25) / 6))


def test_only_contents_that_are_their_own_style_are_to_come_back():
    image, content = torch.zeros(4, 3, 2, 2), torch.full((4, 3, 2, 2), 0.5)
    assert identity_loss(image, content, torch.tensor([1.0, 0, 0, 0])) == 0.25 / 4
    assert identity_loss(image, content, torch.zeros(4)) == 0


def test_the_correlation_loss_is_1_less_the_correlation_of_each_channel():
    x, y = features(0), features(1)
    own = channel_statistics(y)
    loss = correlation_loss(x, (y - own.mean) / own.std)
    expected = torch.stack(
        [
            torch.stack(
                [1 - torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
                 for a, b in zip(one, other, strict=True)]
            ).mean()
            for one, other in zip(x, y, strict=True)
        ]
    )  # fmt: skip
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-3)


def test_covariance_is_that_of_the_channels():
    x = features(0)
    expected = torch.stack([torch.cov(one.flatten(1), correction=0) for one in x])
    torch.testing.assert_close(covariance(x), expected)


def test_covariance_of_half_precision_has_no_negative_variance():
    flat = 7 + 1e-3 * features(0)
    assert covariance(flat.bfloat16()).diagonal(dim1=1, dim2=2).min() >= 0


def test_covariance_of_large_features_is_taken_over_some_positions():
    smooth = torch.linspace(0, 1, 256).expand(1, 1, 256, 256)
    assert torch.isclose(covariance(smooth), smooth.var(), rtol=0.02).all()


def test_the_relative_distance_is_the_same_for_faint_and_for_strong_styles():
    a, b = features(0), features(1)
    assert torch.isclose(relative_distance(a, b), relative_distance(1000 * a, 1000 * b))
    assert relative_distance(a, a) == 0
    assert relative_distance(a, -a) == pytest.approx(2, rel=1e-4)


def test_the_palette_loss_is_the_distance_between_sorted_colours():
    random = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 64, 64, generator=random)
    shuffled = image.flatten(2)[:, :, torch.randperm(64 * 64, generator=random)].view_as(image)
    assert palette_loss(palette(shuffled), palette(image)) < 1e-6, "places do not count"
    grey = torch.rand(1, 1, 64, 64, generator=random).expand(1, 3, 64, 64)
    lighter = palette_loss(palette(grey + 0.1), palette(grey))
    # A shift moves each projection by itself times the sum of the direction's parts.
    directions = palette(torch.ones(1, 3, 1, 1))[0, :, 0]
    assert lighter.item() == pytest.approx(0.1 * directions.abs().mean().item(), rel=1e-4)


def test_the_palette_tells_apart_what_has_the_same_moments():
    steps = (torch.arange(4096) % 2).float().view(1, 1, 64, 64).expand(1, 3, 64, 64)
    ramp = torch.linspace(0, 1, 4096).view(1, 1, 64, 64).expand(1, 3, 64, 64)
    ramp = (ramp - 0.5) * (steps.std() / ramp.std()) + 0.5
    ours, theirs = color_moments(ramp), color_moments(steps)
    assert relative_distance(ours.covariance, theirs.covariance) < 1e-3
    assert palette_loss(palette(ramp), palette(steps)) > 0.1


def test_pictures_of_other_sizes_have_palettes_to_compare():
    small, large = (torch.rand(1, 3, side, side) for side in (40, 700))
    assert palette_loss(palette(small), palette(large)) < 0.05
