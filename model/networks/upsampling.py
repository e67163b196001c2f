"""Nearest-neighbour upsampling and the convolution after it, as one operation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Rows: the four taps of the folded kernel, by their distance from the output pixel;
# columns: the three taps of the 3x3 kernel that read the same source pixel.
FOLD = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def upsample_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Nearest-neighbour upsampling by 2, then the 3x3 convolution with reflection padding.

    Computed as one transposed convolution, without the upsampled features: each source pixel is
    read twice along each axis, so the taps that read it can be summed beforehand. That leaves 16
    multiplications for each source pixel in place of 36. Reflecting the upsampled features
    repeats the border pixel, so at the source's size the padding is replication.

    Args:
        x: N x C_in x H x W.
        weight: C_out x C_in x 3 x 3, any floating dtype.
        bias: C_out, or None.

    Returns:
        N x C_out x 2H x 2W, in the dtype of `x`.
    """
    fold = torch.tensor(FOLD, device=x.device)
    folded = torch.einsum("oiyx,ay,bx->ioab", weight.float(), fold, fold)
    folded = folded.to(x.dtype).contiguous(memory_format=torch.channels_last)
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    bias = None if bias is None else bias.to(x.dtype)
    return F.conv_transpose2d(x, folded, bias, stride=2, padding=3)
