"""The losses, against the formulas of Gatys, Ecker & Bethge (2016)."""

import pytest
import torch
from torch.nn import functional as F

from model.adain import channel_statistics
from model.errors import ParameterError
from model.losses import (
    content_loss,
    gram,
    gram_loss,
    range_loss,
    smoothness_loss,
    statistics,
    statistics_loss,
)
from model.networks.encoder import TAPS
from model.optimization.objective import LossWeights, Objective
from tests.pictures import as_tensor, noise, painting, photo

N, HEIGHT, WIDTH = 5, 6, 7
M = HEIGHT * WIDTH


def features(seed):
    """Activations as a ReLU gives them, with the values before it."""
    before = torch.randn(1, N, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    before.requires_grad_()
    return before, F.relu(before)


def test_the_content_loss_is_half_the_sum_of_squares_and_its_gradient_the_difference():
    before, f = features(0)
    _, p = features(1)
    loss = content_loss(f, p)
    assert loss.item() == pytest.approx(0.5 * ((f - p) ** 2).sum().item())
    [gradient] = torch.autograd.grad(loss, before)
    # Equation 2: F - P where F > 0, and 0 elsewhere.
    torch.testing.assert_close(gradient, torch.where(f > 0, f - p, 0.0))


def test_the_style_loss_and_its_gradient_are_those_of_the_paper():
    before, f = features(0)
    _, s = features(1)
    rows, others = f[0].flatten(1), s[0].flatten(1)
    g, a = rows @ rows.T, others @ others.T
    loss = gram_loss(gram(f), gram(s))
    # Equation 4, with Gram matrices that are not divided by the number of positions.
    assert loss.item() == pytest.approx(((g - a) ** 2).sum().item() / (4 * N**2 * M**2))
    [gradient] = torch.autograd.grad(loss, before)
    # Equation 6, (F^T (G - A))^T / (N^2 M^2) where F > 0, and 0 elsewhere.
    expected = ((g - a) @ rows / (N**2 * M**2)).view_as(f)
    torch.testing.assert_close(gradient, torch.where(f > 0, expected, 0.0))


def test_a_gram_matrix_does_not_depend_on_the_size_of_the_picture():
    _, f = features(0)
    torch.testing.assert_close(gram(torch.cat([f, f], dim=3)), gram(f))


def test_a_batch_has_the_mean_of_its_pictures_losses():
    (_, f), (_, s) = features(0), features(1)
    grams = [gram(x) for x in (f, s)]
    both = gram_loss(gram(torch.cat([f, s])), torch.cat([grams[1], grams[1]]))
    torch.testing.assert_close(both, gram_loss(grams[0], grams[1]) / 2)


def test_a_region_counts_alone():
    _, f = features(0)
    region = torch.zeros(1, 1, HEIGHT, WIDTH)
    region[..., :3] = 1
    torch.testing.assert_close(gram(f, region), gram(f[..., :3]))
    assert gram(f, torch.zeros_like(region)).abs().max() == 0, "an empty one has a finite style"


def test_statistics_can_take_the_place_of_gram_matrices():
    (_, f), (_, s) = features(0), features(1)
    a, b = channel_statistics(f), channel_statistics(s)
    expected = F.mse_loss(a.mean, b.mean) + F.mse_loss(a.std, b.std)
    torch.testing.assert_close(statistics_loss(statistics(f), statistics(s)), expected)


def test_outside_is_of_what_clipping_would_change():
    assert range_loss(torch.tensor([0.0, 0.5, 1.0])) == 0
    assert range_loss(torch.tensor([-0.5, 1.5])) == 0.25


def test_smoothness_is_of_neighbours():
    assert smoothness_loss(torch.ones(1, 3, 8, 8)) == 0
    stripes = torch.zeros(1, 3, 8, 8)
    stripes[..., ::2] = 1
    assert smoothness_loss(stripes) == 1


CONTENT, STYLE = as_tensor(photo(64, 48)), as_tensor(painting(64))


def objective(stylizer, weights=None, **options):
    return Objective(
        stylizer.encoder, weights or LossWeights(), CONTENT, [STYLE], [None], [[1.0]], **options
    )


@pytest.mark.parametrize("style_by", ["gram", "statistics"])
def test_the_content_has_no_content_loss_and_the_style_no_style_loss(stylizer, style_by):
    losses = objective(stylizer, LossWeights(style_by=style_by))
    of_content, of_style = losses(CONTENT), losses(STYLE[:, :, :48])
    assert of_content.content == 0
    assert of_content.style > 10 * of_style.style
    assert of_style.content > 0


def test_the_total_is_the_weighted_sum(stylizer):
    losses = objective(stylizer, LossWeights(content=2, style=3, smoothness=5, outside=7))(
        2 * STYLE[:, :, :48]
    )
    expected = 2 * losses.content + 3 * losses.style + 5 * losses.smoothness + 7 * losses.outside
    assert losses.outside > 0
    torch.testing.assert_close(losses.total, expected)


def test_alpha_moves_the_target_from_the_contents_own_style(stylizer):
    assert objective(stylizer, alpha=0.0)(CONTENT).style == 0
    half, full = (objective(stylizer, alpha=a)(CONTENT).style for a in (0.5, 1.0))
    assert 0 < half < full


def test_each_region_has_its_own_mix(stylizer):
    other = as_tensor(noise(64, 64))
    left = torch.zeros(1, 1, 48, 64)
    left[..., :32] = 1
    regions = [left, 1 - left]
    parted = torch.cat([STYLE[:, :, :48, :32], other[:, :, :48, 32:]], dim=3)
    swapped = torch.cat([other[:, :, :48, :32], STYLE[:, :, :48, 32:]], dim=3)
    losses = Objective(
        stylizer.encoder, LossWeights(), CONTENT, [STYLE, other], regions, [[1.0, 0.0], [0.0, 1.0]]
    )
    assert losses(parted).style < losses(swapped).style / 5


def test_a_mix_lies_between_its_styles(stylizer):
    other = as_tensor(noise(64, 64))

    def loss(share, picture):
        mix = [[share, 1 - share]]
        made = Objective(stylizer.encoder, LossWeights(), CONTENT, [STYLE, other], [None], mix)
        return made(picture).style

    assert loss(1.0, STYLE[:, :, :48]) < loss(0.5, STYLE[:, :, :48]) < loss(0.0, STYLE[:, :, :48])


def test_only_what_is_named_counts(stylizer):
    content_only = objective(stylizer, LossWeights(style_taps=[]))(STYLE[:, :, :48])
    assert content_only.style == 0
    style_only = objective(stylizer, LossWeights(content_taps=[]))(CONTENT)
    assert style_only.content == 0
    assert style_only.style > 0


def test_pooling_by_mean_gives_other_features(stylizer):
    by_max, by_mean = (
        objective(stylizer, LossWeights(pooling=pooling))(STYLE[:, :, :48]).style
        for pooling in ("max", "average")
    )
    assert by_max != by_mean


def test_a_layer_that_the_encoder_lacks_is_refused_with_those_it_has(stylizer):
    with pytest.raises(ParameterError, match=r"has no relu5_1; choose from relu1_1, relu1_2"):
        objective(stylizer, LossWeights(content_taps=["relu5_1"]))


def test_every_layer_can_be_named(stylizer):
    names = stylizer.encoder.activations_known
    assert set(TAPS) < set(names)
    found = stylizer.encoder.activations(CONTENT, names)
    assert [found[name].shape[2:] for name in ("relu1_2", "relu2_2", "relu3_4")] == [
        (48, 64),
        (24, 32),
        (12, 16),
    ]
    for tap, features in zip(TAPS, stylizer.encoder(CONTENT), strict=True):
        torch.testing.assert_close(found[tap], features)
