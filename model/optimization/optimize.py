"""Stylization by optimising the pixels of the picture (Gatys, Ecker & Bethge 2016).

AdaIN promises this method's freedom of style at a fraction of its time. Where there is time, it
gives more: from AdaIN's own result, some seconds of it sharpen strokes and subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from model.color import ColorMoments, color_moments, transport
from model.controls import DEFAULT_STYLE_SIZE, MIN_STYLE_SIZE, fit_style
from model.deep import shallow
from model.errors import ParameterError
from model.images import flatten
from model.optimization.descent import Budget, DescentStep, Optimizer, descend
from model.optimization.objective import LossWeights, Objective, mixture
from model.painting import Painting
from model.pixels import network_input, to_pixels, to_tensor
from model.runtime import within_memory
from model.stylizer import Stylizer

Initial = Literal["recolored", "adain", "recolored-adain", "content", "style", "noise"]
# The style weight for refinements: AdaIN's result has lost some content already.
REFINED_STYLE_WEIGHT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """How to optimise.

    Attributes:
        weights: what is to fall.
        initial: the picture to start from: the content in the styles' colours, AdaIN's result, the
            same in the styles' colours, the content as it is, the first style scaled to the
            content's size, or noise.
        budget: when to end.
        optimizer: "lbfgs" or "adam".
        levels: levels of the pyramid (see `model.optimization.descent`): with the default, the
            coarsest moves blocks of 16 x 16 pixels at once; 1 is the pixels themselves, as in the
            papers.
        scales: sizes to paint at, from coarse to fine, each twice the one before; the budget is
            shared among them.
        style_size: shorter side at which the styles are seen at the last scale.
        seed: seeds the noise.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    initial: Initial = "recolored"
    budget: Budget = field(default_factory=Budget)
    optimizer: Optimizer = "lbfgs"
    levels: int = 5
    scales: int = 1
    style_size: int = DEFAULT_STYLE_SIZE
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class OptimizationProgress:
    """The progress of an optimisation.

    Attributes:
        step: the last step, at its scale.
        fraction: how much of the whole budget is used, in (0, 1].
        painting: the painting at that scale.
    """

    step: DescentStep
    fraction: float
    painting: Painting

    def pixels(self) -> np.ndarray:
        """Return the pixels so far, for the painting's `finish`."""
        return to_pixels(self.step.image, self.painting.depth)

    def result(self) -> Image.Image | np.ndarray:
        """Return the result so far, as the painting's `finish` does."""
        return self.painting.finish(self.pixels())

    def picture(self) -> Image.Image:
        """Return the result so far, with 8 bits a channel."""
        return shallow(self.result())


def optimize(
    stylizer: Stylizer,
    painting: Painting,
    styles: Sequence[Image.Image],
    optimization: Optimization,
    painted: np.ndarray | None = None,
) -> Iterator[OptimizationProgress]:
    """Yield the progress after each step; stop iterating to end the optimisation.

    Args:
        stylizer: its encoder is what losses are measured in.
        painting: the content and its controls.
        styles: any PIL images, one for each of the painting's shares.
        optimization: see there.
        painted: what AdaIN made of the painting, where that is known and to be started from.

    Raises:
        ParameterError: the encoder lacks a layer, or the content is too small for so many scales.
        DivergenceError: the loss is not finite.
        DeviceError: the picture does not fit the device's memory.
    """
    scales = optimization.scales
    coarsest = 2.0 ** (1 - scales)
    if scales > 1 and min(painting.content.size) * coarsest < MIN_STYLE_SIZE:
        raise ParameterError(
            f"{scales} scales would begin with less than {MIN_STYLE_SIZE} pixels a side: choose "
            "fewer",
            value=scales,
        )
    budget = optimization.budget
    share = Budget(
        steps=max(1, budget.steps // scales),
        seconds=None if budget.seconds is None else budget.seconds / scales,
    )
    with within_memory(stylizer.device):
        image = None
        for level in range(scales):
            factor = coarsest * 2**level
            current = painting if factor == 1 else painting.scaled(factor)
            size = max(MIN_STYLE_SIZE, round(optimization.style_size * factor))
            fitted = [flatten(fit_style(style, size)) for style in styles]
            if image is None:
                image = starting_picture(stylizer, current, fitted, optimization, size, painted)
            else:
                image = enlarged(image, current)
            objective = build_objective(stylizer, current, fitted, optimization.weights)
            optimizer, levels = optimization.optimizer, optimization.levels
            for step in descend(objective, image, share, optimizer=optimizer, levels=levels):
                image = step.image
                yield OptimizationProgress(step, (level + step.fraction) / scales, current)


def build_objective(
    stylizer: Stylizer, painting: Painting, styles: Sequence[Image.Image], weights: LossWeights
) -> Objective:
    """Return the objective of a painting and its fitted styles."""
    regions, mixes = regions_of(stylizer, painting)
    return Objective(
        stylizer.encoder,
        weights,
        network_input(painting.content, stylizer.device),
        [network_input(style, stylizer.device) for style in styles],
        regions,
        mixes,
        alpha=painting.alpha,
    )


def regions_of(
    stylizer: Stylizer, painting: Painting
) -> tuple[list[Tensor | None], list[Sequence[float]]]:
    """Return where each style goes, 1 x 1 x H x W or everywhere, and the mix of styles there."""
    visible = None if painting.opacity is None else network_input(painting.opacity, stylizer.device)
    if painting.masks is None:
        return [visible], [painting.shares]
    masks = [network_input(mask, stylizer.device) for mask in painting.masks]
    regions: list[Tensor | None] = [mask if visible is None else mask * visible for mask in masks]
    return regions, [*np.eye(len(masks)).tolist()]


def starting_picture(
    stylizer: Stylizer,
    painting: Painting,
    styles: Sequence[Image.Image],
    optimization: Optimization,
    style_size: int,
    painted: np.ndarray | None = None,
) -> Tensor:
    """Return the picture to start from, 1 x 3 x H x W; the styles are fitted to `style_size`."""
    initial = optimization.initial
    image = network_input(painting.content, stylizer.device)
    if initial == "noise":
        return noise(image.shape, optimization.seed).to(stylizer.device)
    if initial == "style":
        return network_input(styles[0].resize(painting.content.size), stylizer.device)
    if initial in ("adain", "recolored-adain"):
        if painted is None:
            statistics = [stylizer.encode_style(style, style_size=style_size) for style in styles]
            [painted] = stylizer.paint([painting], [statistics])
        image = enlarged(to_tensor(painted, stylizer.device), painting)
    if initial in ("recolored", "recolored-adain"):
        tensors = [network_input(style, stylizer.device) for style in styles]
        image = recolor(image, tensors, *regions_of(stylizer, painting), painting.alpha)
    return image


def recolor(
    image: Tensor,
    styles: Sequence[Tensor],
    regions: Sequence[Tensor | None],
    mixes: Sequence[Sequence[float]],
    alpha: float,
) -> Tensor:
    """Return a picture in the styles' colours: like AdaIN, but of the pixels.

    Of the content: it has all of its structure and much of the style loss is gone, so that descent
    from it ends lower in both losses than from the content or from AdaIN's result. Of AdaIN's
    result: what the decoder misses of the palette need not be descended for.
    """
    of_styles = [color_moments(style) for style in styles]
    change = torch.zeros_like(image)
    for region, mix in zip(regions, mixes, strict=True):
        target = ColorMoments(*(mixture(each, mix) for each in zip(*of_styles, strict=True)))
        matched = transport(color_moments(image, region), target)(image)
        change += (matched - image) * (1 if region is None else region)
    return (image + alpha * change).clamp(0, 1)


def noise(shape: Sequence[int], seed: int) -> Tensor:
    """Return uniform noise in [0, 1], which the papers start from; the same at every call."""
    return torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed))


def enlarged(image: Tensor, painting: Painting) -> Tensor:
    """Return another scale's picture in the size of this one's pixels."""
    size = painting.pixels().shape[:2]
    return F.interpolate(image, size, mode="bicubic", align_corners=False)


def refinement(seconds: float, style_size: int) -> Optimization:
    """Return how AdaIN's result is made better for so many seconds."""
    return Optimization(
        weights=LossWeights(style=REFINED_STYLE_WEIGHT),
        initial="recolored-adain",
        budget=Budget(steps=10**6, seconds=seconds),
        levels=1,  # large areas have their colours, and what is to change is fine detail
        style_size=style_size,
    )
