"""From a content's features to the decoder's: AdaIN as the controls of one painting want it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.adain import ChannelStatistics, adain, adain_regions, channel_statistics, mix
from model.encoder import MIN_SIDE, STRIDE
from model.image import pad
from model.painting import Painting
from model.tiling import Window


class Transfer:
    """Gives a painting's features the statistics of its styles.

    Attributes:
        measured: what the content's statistics are taken over, 1 x 1 x H/8 x W/8 in [0, 1] each;
            None is everything.
    """

    def __init__(
        self, painting: Painting, styles: Sequence[ChannelStatistics], device: torch.device
    ) -> None:
        self.alpha = painting.alpha
        self.shares = painting.shares
        self.styles = [style.to(device) for style in styles]
        self.regions = (
            None
            if painting.masks is None
            else [positions(mask).to(device) for mask in painting.masks]
        )
        # What nobody sees, such as the black behind a cut-out, has no say in the statistics.
        visible = None if painting.opacity is None else positions(painting.opacity).to(device)
        if self.regions is not None and visible is not None:
            self.regions = [region * visible for region in self.regions]
        self.measured = [visible] if self.regions is None else self.regions

    def whole(self, features: Tensor) -> Tensor:
        """Return t of relu4_1 of the whole content, 1 x 512 x H/8 x W/8, float32."""
        contents = [channel_statistics(features, region) for region in self.measured]
        return self.part(features, contents, Window(0, 0, *features.shape[2:]))

    def part(
        self, features: Tensor, contents: Sequence[ChannelStatistics], window: Window
    ) -> Tensor:
        """Return t of the features of a window.

        Args:
            features: relu4_1 in the window, 1 x 512 x h x w.
            contents: statistics of the whole content, one for each of `measured`.
            window: where the features are.
        """
        if self.regions is None:
            target = adain(features, mix(self.styles, self.shares), contents[0])
        else:
            here = [window.of(region) for region in self.regions]
            target = adain_regions(features, self.styles, self.shares, here, contents)
        return torch.lerp(features.float(), target, self.alpha)


def positions(mask: Image.Image) -> Tensor:
    """Return how far a mask (L) covers each position of relu4_1, 1 x 1 x H/8 x W/8 in [0, 1]."""
    pixels = pad(mask, STRIDE, MIN_SIDE)
    height, width = (side // STRIDE for side in pixels.shape)
    blocks = pixels.reshape(height, STRIDE, width, STRIDE)
    return torch.from_numpy(blocks.mean((1, 3), dtype=np.float32) / 255)[None, None]
