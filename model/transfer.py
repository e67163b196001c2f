"""From a content's features to the picture, under the controls of one painting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from model.conditioning import Condition, condition, normalize_shares
from model.networks.decoder import Decoder
from model.networks.plain_decoder import PlainDecoder
from model.painting import Painting
from model.pixels import STRIDE, network_input
from model.style import Style, mix
from model.tiling import Window


class Transfer:
    """Paints a content, or a window of it, in the styles of a painting.

    Attributes:
        measured: what the content's own style is taken over, 1 x 1 x H x W in [0, 1] each; None is
            everything.
        shares: of each region at each position, 1 x 1 x H x W; empty where there are no regions.
        depth: bits of the result's channels.
    """

    def __init__(
        self,
        painting: Painting,
        styles: Sequence[Style],
        decoder: Decoder | PlainDecoder,
        device: torch.device,
    ) -> None:
        self._painting, self._decoder = painting, decoder
        self.depth = painting.depth
        moved = [style.to(device) for style in styles]
        # Transparent pixels, such as the black behind a cut-out, do not count in the statistics.
        visible = None if painting.opacity is None else to_region(painting.opacity, device)
        self.measured: list[Tensor | None] = [visible]
        self.shares: list[Tensor] = []
        self._styles = moved
        parts = zip(painting.shares, styles, strict=True)
        own = sum(share * style.detail for share, style in parts)
        self._detail = min(max(own + painting.detail, -1.0), 1.0)
        if painting.masks is None:
            self._styles = [mix(moved, painting.shares)]
        else:
            regions = [to_region(mask, device) for mask in painting.masks]
            self.measured = [r if visible is None else r * visible for r in regions]
            weighted = [w * r for w, r in zip(painting.shares, regions, strict=True)]
            self.shares = normalize_shares(weighted)

    def conditions(self, contents: Sequence[Style]) -> list[Condition]:
        """Return the decoder's conditions; `contents` are the content's own, as `measured`."""
        painting = self._painting
        if painting.alpha < 1:
            contents = [replace(own, modulation=self._decoder.modulate(own)) for own in contents]
        return [
            condition(style, own, alpha=painting.alpha, preserve_color=painting.preserve_color)
            for style, own in zip(self._styles, contents, strict=True)
        ]

    def paint(
        self,
        image: Tensor,
        taps: Sequence[Tensor],
        conditions: Sequence[Condition],
        window: Window | None = None,
    ) -> Tensor:
        """Return the picture, 1 x 3 x h x w.

        Args:
            image: the content in the window, 1 x 3 x h x w.
            taps: its features.
            conditions: what `conditions` returned for the whole content.
            window: where `image` is; None is everywhere.
        """
        shares = [share if window is None else window.of(share, STRIDE) for share in self.shares]
        painted: Tensor = self._decoder(image, taps, conditions, shares, self._detail)
        return painted


def to_region(mask: Image.Image, device: torch.device) -> Tensor:
    """Return how far a mask (L) covers each position, 1 x 1 x H x W in [0, 1]."""
    return network_input(mask, device)
