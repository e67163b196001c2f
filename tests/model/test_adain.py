import numpy as np
import pytest
import torch

from model.adain import EPSILON, adain, channel_statistics


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


def own(features):
    return channel_statistics(features)


def test_output_has_exactly_the_styles_statistics(features, styles):
    result = channel_statistics(adain(styles[0], own(features))(features))
    torch.testing.assert_close(result.mean, styles[0].mean.expand(2, -1, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(result.std, styles[0].std.expand(2, -1, -1, -1), rtol=1e-4, atol=0)


def test_it_is_the_papers_equation(features, styles):
    style, content = styles[0], own(features)
    expected = style.std * ((features - content.mean) / content.std) + style.mean
    torch.testing.assert_close(adain(style, content)(features), expected)


def test_own_statistics_change_nothing(features):
    torch.testing.assert_close(adain(own(features), own(features))(features), features)


def test_each_element_of_a_batch_is_as_if_alone(features, styles):
    together = adain(styles[0], own(features))(features)
    alone = adain(styles[0], own(features[1:]))(features[1:])
    torch.testing.assert_close(together[1:], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_over_many_rows_equal_those_in_float64(random, dtype, weighted):
    features = (torch.rand(1, 8, 300, 400, generator=random) * 0.1 + 7).to(dtype)
    region = torch.rand(1, 1, 300, 400, generator=random) if weighted else None
    weight = torch.ones(1, 1, 300, 400) if region is None else region
    values, weight = features.double(), weight.double() / weight.double().sum()
    mean = (values * weight).sum((2, 3), keepdim=True)
    std = (((values - mean).square() * weight).sum((2, 3), keepdim=True) + EPSILON).sqrt()
    found = channel_statistics(features, region)
    torch.testing.assert_close(found.mean.double(), mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.std.double(), std, rtol=1e-3, atol=0)


def test_statistics_with_a_gradient_are_the_same(features):
    with_gradient = channel_statistics(features.clone().requires_grad_())
    torch.testing.assert_close(with_gradient.mean.detach(), own(features).mean)
    torch.testing.assert_close(with_gradient.std.detach(), own(features).std)


def test_an_empty_region_has_finite_statistics(features):
    found = channel_statistics(features, torch.zeros(2, 1, 6, 10))
    assert found.mean.isfinite().all()
    assert found.std.isfinite().all()


def test_region_statistics_are_those_of_the_region_alone(features):
    region = torch.zeros(2, 1, 6, 10)
    region[..., :4] = 1
    inside, alone = channel_statistics(features, region), channel_statistics(features[..., :4])
    torch.testing.assert_close(inside.mean, alone.mean)
    torch.testing.assert_close(inside.std, alone.std)
