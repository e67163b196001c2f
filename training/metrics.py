"""How well a picture took on a style and kept its content: from the three pictures alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from model.adain import adain, channel_statistics
from model.encoder import Encoder
from model.image import to_tensor
from training.losses import content_loss, style_loss

# Deviation of the window, in pixels, and constant against division by zero of SSIM's structure
# term (Wang et al. 2004: K2 = 0.03, halved for that term), for values in [0, 1].
WINDOW = 1.5
STABILITY = 0.03**2 / 2
# Rec. 709.
LUMINANCE = (0.2126, 0.7152, 0.0722)
BINS = 8


@dataclass(frozen=True, slots=True)
class Scores:
    """What one result is worth; all but `structure` are better the smaller they are.

    Attributes:
        content_loss, style_loss: the training losses, in the judge's features.
        structure: SSIM's structure term of the luminance against the content, in [-1, 1].
        color_distance: Hellinger distance of the colour histogram to the style's, in [0, 1].
    """

    content_loss: float
    style_loss: float
    structure: float
    color_distance: float


class Judge:
    """Scores results in one encoder's features, whatever made them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @torch.inference_mode()
    def score(self, content: Image.Image, style: Image.Image, result: Image.Image) -> Scores:
        """Return the scores of a result.

        Args:
            content, style, result: RGB; sides multiples of 8, 16 or more; content and result of
                one size.
        """
        styles = [channel_statistics(tap) for tap in self._taps(style)]
        own = self._taps(content)[-1]
        target = adain(styles[-1], channel_statistics(own))(own)
        taps = self._taps(result)
        results = [channel_statistics(tap) for tap in taps]
        return Scores(
            content_loss(taps[-1], target).item(),
            style_loss(results, styles).item(),
            structure(tensor(content), tensor(result)),
            color_distance(result, style),
        )

    def _taps(self, image: Image.Image) -> tuple[Tensor, ...]:
        image_tensor = tensor(image).to(self._encoder.conv1_1.weight.device)
        taps: tuple[Tensor, ...] = self._encoder(image_tensor)
        return taps


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


def color_distance(image: Image.Image, other: Image.Image) -> float:
    """Return the Hellinger distance of two RGB images' joint colour histograms, in [0, 1]."""
    first, second = (histogram(i) for i in (image, other))
    return float(np.sqrt(max(0.0, 1 - np.sqrt(first * second).sum())))


def histogram(image: Image.Image) -> np.ndarray:
    """Return the share of an RGB image's pixels in each of 8 x 8 x 8 boxes of colour."""
    boxes = np.asarray(image).reshape(-1, 3) // (256 // BINS)
    counts = np.bincount(boxes @ [BINS * BINS, BINS, 1], minlength=BINS**3)
    shares: np.ndarray = counts / counts.sum()
    return shares
