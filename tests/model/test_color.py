"""Colours of pictures: their moments, and how one takes on those of another."""

import numpy as np
import torch

from model.color import RunningColors, color_moments, keep_color, transport


def colors(seed=0, size=(40, 30)):
    mix = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)) / 10
    noise = torch.randn(3, *size, generator=torch.Generator().manual_seed(seed + 1))
    return (0.5 + torch.einsum("ij,jhw->ihw", mix, noise))[None]


def test_moments_are_mean_and_covariance():
    flat = colors()[0].flatten(1)
    mean, covariance = color_moments(colors())
    assert torch.allclose(mean[0], flat.double().mean(1))
    assert torch.allclose(covariance[0], torch.cov(flat.double(), correction=0))


def test_a_region_is_as_if_cut_out():
    image, region = colors(), torch.zeros(1, 1, 40, 30)
    region[..., :10] = 1
    for weighted, cut in zip(
        color_moments(image, region), color_moments(image[..., :10]), strict=True
    ):
        assert torch.allclose(weighted, cut, atol=1e-4)


def test_what_is_matched_has_the_moments_of_the_target():
    target = color_moments(colors(5))
    made = color_moments(transport(color_moments(colors()), target)(colors()))
    assert torch.allclose(made.mean, target.mean, atol=1e-4)
    assert torch.allclose(made.covariance, target.covariance, atol=1e-3)


def test_grey_and_flat_pictures_stay_finite():
    target = color_moments(colors(5))
    for image in (
        colors().mean(1, keepdim=True).expand(1, 3, 40, 30),
        torch.full((1, 3, 8, 8), 0.3),
    ):
        made = transport(color_moments(image), target)(image)
        assert torch.allclose(made.mean((0, 2, 3)).double(), target.mean[0], atol=1e-4)


def test_an_empty_region_has_moments():
    moments = color_moments(colors(), torch.zeros(1, 1, 40, 30))
    assert all(each.isfinite().all() for each in moments)


def test_the_map_between_equal_moments_is_the_identity():
    flat = torch.full((1, 3, 8, 8), 0.3)
    for image in (colors(), flat, colors().mean(1, keepdim=True).expand(1, 3, 40, 30)):
        moments = color_moments(image)
        assert torch.allclose(transport(moments, moments)(image), image, atol=1e-6)


def test_the_map_moves_colours_along_no_rotation():
    """Of all linear maps between two covariances the least: its matrix is symmetric."""
    matrix, _ = transport(color_moments(colors()), color_moments(colors(5)))
    assert torch.allclose(matrix, matrix.mT)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_each_picture_of_a_batch_has_its_own():
    batch = torch.cat([colors(), colors(3)])
    together = transport(color_moments(batch), color_moments(colors(5)))(batch)
    alone = transport(color_moments(colors(3)), color_moments(colors(5)))(colors(3))
    assert torch.allclose(together[1:], alone, atol=1e-6)


def test_moments_in_parts_are_those_of_the_whole():
    image, region = colors().clamp(0, 1), torch.rand(1, 1, 40, 30)
    for of in (None, region):
        running = RunningColors()
        for top in range(0, 40, 16):
            rows = slice(top, top + 16)
            running.add(image[:, :, rows], None if of is None else of[:, :, rows])
        for found, whole in zip(running.result(), color_moments(image, of), strict=True):
            assert torch.allclose(found, whole, atol=1e-8)


def test_kept_colours_have_the_contents_moments():
    random = np.random.default_rng(0)
    content = random.integers(90, 160, (600, 30, 3), dtype=np.uint8)
    painted = (random.integers(0, 256, (600, 30, 3)) * [1, 0.3, 0.6]).astype(np.uint8)
    kept = keep_color(painted, content, None)
    assert np.abs(kept.mean((0, 1)) - content.mean((0, 1))).max() < 0.5
    assert np.abs(np.cov(kept.reshape(-1, 3).T) - np.cov(content.reshape(-1, 3).T)).max() < 10


def test_what_is_not_seen_has_no_say_in_kept_colours():
    content, painted = np.full((8, 8, 3), 100, np.uint8), np.full((8, 8, 3), 50, np.uint8)
    painted[:, 4:] = 255
    opacity = np.zeros((8, 8), np.uint8)
    opacity[:, :4] = 255
    assert np.abs(keep_color(painted, content, opacity)[:, :4].astype(int) - 100).max() <= 1
