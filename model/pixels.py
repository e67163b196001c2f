"""Pictures as arrays of pixels and as tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

# Three poolings: relu4_1 has one position for 8 x 8 pixels.
STRIDE = 8
# Reflection padding needs two positions to reflect, also at relu4_1.
MIN_SIDE = 2 * STRIDE


def pad(image: Image.Image, multiple: int, smallest: int) -> np.ndarray:
    """Return the pixels, reflected to the right and below to sides that the networks can take.

    Args:
        image: mode RGB or L.
        multiple: what each side is to be a multiple of.
        smallest: the least that each side is to have.

    Returns:
        H x W x 3 or H x W, uint8.
    """
    pixels = np.asarray(image)
    missing = [max(smallest, -(-side // multiple) * multiple) - side for side in pixels.shape[:2]]
    if not any(missing):
        return pixels  # which np.pad would copy
    widths = [(0, n) for n in missing] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, widths, mode="reflect")


def to_tensor(pixels: np.ndarray, device: torch.device | None = None) -> Tensor:
    """Return H x W x C or H x W pixels as 1 x C x H x W float32 in [0, 1], channels last.

    Args:
        pixels: uint8 or uint16.
        device: where to put it.
    """
    # Sent to the device as integers, which are smaller than floats.
    tensor = torch.tensor(pixels, device=device).view(1, *pixels.shape[:2], -1)
    return tensor.permute(0, 3, 1, 2).float().div_(np.iinfo(pixels.dtype).max)


def network_input(picture: Image.Image, device: torch.device | None = None) -> Tensor:
    """Return a picture as the encoder takes it: 1 x C x H x W in [0, 1], its sides padded.

    Args:
        picture: RGB, or L for a mask.
        device: where to put it.
    """
    return to_tensor(pad(picture, STRIDE, MIN_SIDE), device)


def to_pixels(tensor: Tensor, depth: int = 8) -> np.ndarray:
    """Return 1 x 3 x H x W, any floating dtype, clipped to [0, 1], as H x W x 3 pixels.

    Args:
        tensor: what the networks return.
        depth: bits of a channel: 8 for uint8, 16 for uint16.
    """
    dtype = torch.uint8 if depth == 8 else torch.uint16
    pixels = tensor[0].float().clamp(0, 1).mul(2**depth - 1).round().to(dtype)
    return pixels.permute(1, 2, 0).contiguous().cpu().numpy()
