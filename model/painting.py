"""One stylization before and after the networks: its inputs, checked, and its result."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops

from model import images as pictures
from model.color import keep_color
from model.controls import Controls, fit_masks, normalize_weights
from model.deep import TIMES
from model.pixels import MIN_SIDE, STRIDE, pad
from model.scaling import resize_longest, scale

STANDARD_CONTROLS = Controls()


# eq=False: nothing compares paintings, and comparing their pixels would be slow.
@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """A content with its controls, checked and brought to size.

    Attributes:
        content: RGB, in the size of the result.
        opacity: the content's alpha channel (L), where it has one.
        shares: one per style, summing to 1.
        alpha: in [0, 1], how much of the styles.
        masks: one per style (L), in the content's size; None: every style goes everywhere.
        preserve_color: whether the content's colours are kept.
        detail: in [-1, 1], how much more of the content is kept than the styles say.
        depth: bits of the result's channels, 8 or 16.
    """

    content: Image.Image
    opacity: Image.Image | None
    shares: Sequence[float]
    alpha: float
    masks: Sequence[Image.Image] | None
    preserve_color: bool
    detail: float = 0.0
    depth: int = 8

    @classmethod
    def plan(
        cls, content: Image.Image, styles: int, controls: Controls = STANDARD_CONTROLS
    ) -> Painting:
        """Check the controls, and bring the pictures to size.

        Args:
            content: any PIL image, 1 x 1 pixels and up.
            styles: how many there are.
            controls: how they are used.

        Raises:
            ParameterError: a control is out of range, or does not fit the styles or the content.
        """
        controls.check(styles)
        content = pictures.normalize(content)
        if controls.size is not None:
            content = resize_longest(content, controls.size)
        rgb, opacity = pictures.split_alpha(content)
        return cls(
            rgb,
            opacity,
            normalize_weights(controls.weights, styles),
            controls.alpha,
            None if controls.masks is None else fit_masks(controls.masks, styles, rgb.size),
            controls.preserve_color,
            controls.detail,
            controls.depth,
        )

    def scaled(self, factor: float) -> Painting:
        """Return the same painting with its sides times `factor`."""
        content = scale(self.content, factor)
        masks = self.masks and [mask.resize(content.size) for mask in self.masks]
        opacity = self.opacity and self.opacity.resize(content.size)
        return replace(self, content=content, masks=masks, opacity=opacity)

    def pixels(self) -> np.ndarray:
        """Return what the encoder is given: H x W x 3, uint8, the sides multiples of 8."""
        return pad(self.content, STRIDE, MIN_SIDE)

    def finish(self, painted: np.ndarray) -> Image.Image | np.ndarray:
        """Return the result from the decoder's pixels, which are of the shape of `pixels()`.

        Returns:
            RGB, or RGBA with the content's own alpha channel, in the content's size; of 16 bits,
            the same as an array, H x W x 3 or H x W x 4, uint16.
        """
        painted = painted[: self.content.height, : self.content.width]
        if self.preserve_color:
            opacity = None if self.opacity is None else np.asarray(self.opacity)
            painted = keep_color(painted, np.asarray(self.content), opacity)
        # Where no mask is, the content shows unchanged.
        covered = None if self.masks is None else functools.reduce(ImageChops.add, self.masks)
        if self.depth == 16:
            return finish_deep(painted, self.content, covered, self.opacity)
        result = Image.fromarray(painted)
        if covered is not None:
            result = Image.composite(result, self.content, covered)
        if self.opacity is not None:
            result.putalpha(self.opacity)
        return result


def finish_deep(
    painted: np.ndarray,
    content: Image.Image,
    covered: Image.Image | None,
    opacity: Image.Image | None,
) -> np.ndarray:
    """Return pixels of 16 bits over the content where they do not cover it, with its opacity."""
    if covered is not None:
        share = np.asarray(covered, np.float32)[..., None] / 255
        beneath = np.asarray(content, np.float32) * TIMES
        painted = np.rint(share * painted + (1 - share) * beneath).astype(np.uint16)
    if opacity is None:
        return painted
    return np.dstack([painted, np.asarray(opacity, np.uint16) * TIMES])
