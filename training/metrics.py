"""How well a picture took on a style and kept its content: from the three pictures alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from model.adain import ChannelStatistics, channel_statistics
from model.networks.encoder import Encoder
from model.pixels import to_tensor
from training.losses import correlation_loss, covariance, relative_distance, white

# Deviation of the window, in pixels, and constant against division by zero of SSIM's structure
# term (Wang et al. 2004: K2 = 0.03, halved for that term), for values in [0, 1].
WINDOW = 1.5
STABILITY = 0.03**2 / 2
# Rec. 709.
LUMINANCE = (0.2126, 0.7152, 0.0722)
# The palette distance: the side that pictures are scaled to, and how many directions are compared.
PALETTE_SIDE = 128
DIRECTIONS = 64


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one result; all but `edges` and `structure` are better the smaller they are.

    Attributes:
        covariance1 to covariance4: relative distance of the covariances of result and style at
            relu1_1 to relu4_1, from 0 to 2 (see `training.losses.relative_distance`).
        covariance: their sum.
        mean: the sum of the same distances of the channels' means.
        content3, content4: 1 less the correlation of each channel of result and content, at
            relu3_1 and relu4_1.
        palette: sliced Wasserstein distance of the Lab colours of result and style, in levels.
        edges: correlation of the strength of edges in result and content.
        roughness: mean strength of edges in the result over that in the style; 1 is the style's.
        structure: SSIM's structure term of the luminance against the content, in [-1, 1].
    """

    covariance1: float
    covariance2: float
    covariance3: float
    covariance4: float
    covariance: float
    mean: float
    content3: float
    content4: float
    palette: float
    edges: float
    roughness: float
    structure: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A picture as a judge sees it."""

    image: Image.Image
    taps: Sequence[Tensor]
    statistics: Sequence[ChannelStatistics]
    covariances: Sequence[Tensor]


class Judge:
    """Scores results in one encoder's features, whatever made them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @torch.inference_mode()
    def look(self, image: Image.Image) -> Seen:
        """Return what scores are computed from; a content or style is looked at once.

        Args:
            image: RGB; sides multiples of 8, 16 or more.
        """
        pixels = tensor(image).contiguous(memory_format=torch.channels_last)
        taps = self._encoder(pixels.to(self._encoder.conv1_1.weight.device))
        return Seen(
            image,
            taps,
            [channel_statistics(tap) for tap in taps],
            [covariance(tap) for tap in taps],
        )

    @torch.inference_mode()
    def score(self, content: Seen, style: Seen, image: Image.Image) -> Scores:
        """Return the scores of a result, of the content's size."""
        result = self.look(image)
        covariances = [
            relative_distance(own, wanted).item()
            for own, wanted in zip(result.covariances, style.covariances, strict=True)
        ]
        means = [
            relative_distance(own.mean, wanted.mean).item()
            for own, wanted in zip(result.statistics, style.statistics, strict=True)
        ]
        kept = [
            correlation_loss(result.taps[i], white(content.taps[i], content.statistics[i])).item()
            for i in (2, 3)
        ]
        edges, others = edge_strength(image), edge_strength(content.image)
        return Scores(
            covariance1=covariances[0],
            covariance2=covariances[1],
            covariance3=covariances[2],
            covariance4=covariances[3],
            covariance=sum(covariances),
            mean=sum(means),
            content3=kept[0],
            content4=kept[1],
            palette=palette_distance(image, style.image),
            edges=float(np.corrcoef(edges.ravel(), others.ravel())[0, 1]),
            roughness=float(edges.mean() / max(edge_strength(style.image).mean(), 1e-6)),
            structure=structure(tensor(content.image), tensor(image)),
        )


def palette_distance(image: Image.Image, other: Image.Image) -> float:
    """Return the sliced Wasserstein distance of two RGB images' Lab colours, in levels of 255.

    The mean over directions of the distances between sorted projections, each of as many colours
    (Rabin et al. 2011, "Wasserstein barycenter and its application to texture mixing").
    """
    directions = np.random.default_rng(0).normal(size=(DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    first, second = (np.sort(lab_colors(i) @ directions.T, 0) for i in (image, other))
    return float(np.abs(first - second).mean())


def lab_colors(image: Image.Image) -> np.ndarray:
    """Return the Lab colours of an RGB image scaled to 128 x 128, N x 3, float32."""
    side = (PALETTE_SIDE, PALETTE_SIDE)
    lab = image.resize(side, Image.Resampling.BOX).convert("LAB")
    # Band by band: Pillow turns a and b into signed bytes where it exports all three, and a colour
    # that is nearly grey would then jump from 0 to 255.
    bands = [np.asarray(band, np.float32) for band in lab.split()]
    return np.stack(bands, axis=-1).reshape(-1, 3)


def edge_strength(image: Image.Image) -> np.ndarray:
    """Return the magnitude of the luminance's gradient at half the size of an RGB image."""
    half = image.convert("L").resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    down, across = np.gradient(np.asarray(half, np.float32))
    return np.asarray(np.hypot(across, down))


def tensor(image: Image.Image) -> Tensor:
    """Return an RGB image as 1 x 3 x H x W in [0, 1]."""
    return to_tensor(np.asarray(image))


def structure(content: Tensor, result: Tensor) -> float:
    """Return the mean of SSIM's structure term between luminances (Wang et al. 2004, eq. 10).

    It compares where light and dark lie, and not how light or dark, nor with which contrast.

    Args:
        content, result: 1 x 3 x H x W in [0, 1].

    Returns:
        From -1 for the negative to 1 for the same structure.
    """
    x, y = (luminance(image) for image in (content, result))
    covariance = blur(x * y) - blur(x) * blur(y)
    deviations = [(blur(z * z) - blur(z).square()).clamp_min(0).sqrt() for z in (x, y)]
    term = (covariance + STABILITY) / (deviations[0] * deviations[1] + STABILITY)
    return term.mean().item()


def luminance(image: Tensor) -> Tensor:
    """Return N x 1 x H x W luma of N x 3 x H x W."""
    return (image * image.new_tensor(LUMINANCE).view(3, 1, 1)).sum(dim=1, keepdim=True)


def blur(image: Tensor) -> Tensor:
    """Return the Gaussian mean around each pixel."""
    blurred: Tensor = gaussian_blur(image, kernel_size=11, sigma=WINDOW)
    return blurred
