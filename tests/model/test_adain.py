import numpy as np
import pytest
import torch

from model.adain import (
    EPSILON,
    ChannelStatistics,
    adain,
    adain_regions,
    channel_statistics,
    mix,
)
from model.errors import ParameterError


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def features(random):
    return torch.randn(2, 8, 6, 10, generator=random) * 3 + 1


@pytest.fixture
def styles(random):
    return [
        channel_statistics(torch.randn(1, 8, 5, 5, generator=random) * scale + shift)
        for scale, shift in ((0.5, 2.0), (4.0, -1.0))
    ]


def test_statistics_follow_the_papers_equations(features):
    values = features.double().numpy()
    statistics = channel_statistics(features)
    mean = values.mean((2, 3), keepdims=True)
    std = np.sqrt(((values - mean) ** 2).mean((2, 3), keepdims=True) + EPSILON)
    assert statistics.mean.shape == (2, 8, 1, 1)
    np.testing.assert_allclose(statistics.mean, mean, atol=1e-6)
    np.testing.assert_allclose(statistics.std, std, atol=1e-6)


def test_statistics_are_float32_from_half_precision(features):
    assert channel_statistics(features.bfloat16()).std.dtype == torch.float32


def test_a_single_position_has_finite_statistics():
    statistics = channel_statistics(torch.ones(1, 3, 1, 1))
    assert torch.allclose(statistics.std, torch.tensor(EPSILON**0.5))


def test_output_has_exactly_the_styles_statistics(features, styles):
    result = channel_statistics(adain(features, styles[0]))
    torch.testing.assert_close(result.mean, styles[0].mean.expand(2, -1, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(result.std, styles[0].std.expand(2, -1, -1, -1), rtol=1e-4, atol=0)


def test_own_statistics_change_nothing(features):
    torch.testing.assert_close(adain(features, channel_statistics(features)), features)


def test_each_element_of_a_batch_is_as_if_alone(features, styles):
    torch.testing.assert_close(adain(features, styles[0])[1:], adain(features[1:], styles[0]))


def test_mixing_statistics_equals_mixing_targets(features, styles):
    expected = 0.3 * adain(features, styles[0]) + 0.7 * adain(features, styles[1])
    torch.testing.assert_close(adain(features, mix(styles, [0.3, 0.7])), expected)


def test_region_statistics_are_those_of_the_region_alone(features):
    region = torch.zeros(2, 1, 6, 10)
    region[..., :4] = 1
    inside, alone = channel_statistics(features, region), channel_statistics(features[..., :4])
    torch.testing.assert_close(inside.mean, alone.mean)
    torch.testing.assert_close(inside.std, alone.std)


def by_regions(features, styles, weights, regions):
    """The features with each region's own content statistics."""
    contents = [channel_statistics(features, region) for region in regions]
    return adain_regions(features, styles, weights, regions, contents)


def test_a_region_everywhere_equals_no_region(features, styles):
    everywhere = torch.ones(2, 1, 6, 10)
    torch.testing.assert_close(
        by_regions(features, styles[:1], [1.0], [everywhere]), adain(features, styles[0])
    )


def test_regions_have_their_own_styles_and_leave_the_rest(features, styles):
    left, right = torch.zeros(2, 1, 6, 10), torch.zeros(2, 1, 6, 10)
    left[..., :4], right[..., 6:] = 1, 1
    result = by_regions(features, styles, [0.5, 0.5], [left, right])
    torch.testing.assert_close(result[..., :4], adain(features[..., :4], styles[0]))
    torch.testing.assert_close(result[..., 6:], adain(features[..., 6:], styles[1]))
    assert torch.equal(result[..., 4:6], features[..., 4:6])


def test_overlapping_regions_mix_by_weight(features, styles):
    everywhere = torch.ones(2, 1, 6, 10)
    result = by_regions(features, styles, [0.25, 0.75], [everywhere, everywhere])
    torch.testing.assert_close(result, adain(features, mix(styles, [0.25, 0.75])))


def test_an_empty_region_changes_nothing(features, styles):
    result = by_regions(features, styles[:1], [1.0], [torch.zeros(2, 1, 6, 10)])
    assert torch.equal(result, features)


def test_statistics_survive_serialisation():
    statistics = channel_statistics(torch.rand(1, 512, 4, 4))
    data = statistics.to_bytes()
    restored = ChannelStatistics.from_bytes(data)
    assert torch.equal(restored.mean, statistics.mean)
    assert torch.equal(restored.std, statistics.std)
    assert len(data) < 2 * 512 * 4 + 200, "4 KiB and a short header"


@pytest.mark.parametrize("data", [b"", b"no statistics at all", b"\x80\x04pickle"])
def test_bytes_that_are_no_statistics_are_refused(data):
    with pytest.raises(ParameterError, match="no channel statistics"):
        ChannelStatistics.from_bytes(data)
