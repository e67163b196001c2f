"""Filter normalization: every filter scaled to a mean activation of 1 (Gatys et al. 2015)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from model.errors import AdainError
from model.networks.encoder import TAPS, Encoder
from model.pixels import MIN_SIDE, STRIDE
from training.data.pictures import PictureFile, decode
from training.errors import TrainingError

LOG = logging.getLogger(__name__)
# A filter that answers at less than this share of all positions is dead: scaled to a mean of 1, its
# rare answers would drown all others.
DEAD = 1e-3
# Enough that a filter's mean is known to a few per cent.
PICTURES = 400
LONGEST = 256
# What conv5_1 needs; shallower layers take less.
SHORTEST = 2 * MIN_SIDE


@dataclass(frozen=True, slots=True)
class Report:
    """Mean activations at the taps, by tap, and filters that never answer.

    Attributes:
        before, after: before and after normalization, on pictures that it did not see.
        dead: how many filters of all layers hardly ever answered, and were silenced.
        pictures: how many pictures were used, for scaling and for the report together.
    """

    before: dict[str, float]
    after: dict[str, float]
    dead: int
    pictures: int

    def __str__(self) -> str:
        rows = [f"{tap:<16} {self.before[tap]:>8.4g} {self.after[tap]:>8.4g}" for tap in TAPS]
        head = f"{'mean activation':<16} {'before':>8} {'after':>8}"
        return "\n".join([head, *rows, f"dead filters: {self.dead}; pictures: {self.pictures}"])


@torch.no_grad()
def normalize_filters(encoder: Encoder, files: Sequence[PictureFile]) -> Report:
    """Scale every filter to a mean activation of 1, in place; the function stays the same.

    ReLU and max pooling pass a positive factor through, so what a filter is divided by, the next
    layer's weights for it are multiplied by.

    Args:
        encoder: float32, with filters of any scale.
        files: pictures; every other one of at most 400 scales, the others check.

    Raises:
        TrainingError: fewer than two pictures can be used, or the encoder gives no finite numbers.
    """
    pictures = read_pictures(files)
    if len(pictures) < 2:
        raise TrainingError("filters are normalised on pictures: at least two must be usable")
    scaling, checking = pictures[::2], pictures[1::2]
    before = measure(encoder, checking)
    activity = measure(encoder, scaling)
    dead = 0
    scale_in = torch.ones_like(encoder.conv1_1.weight[0, :, 0, 0])
    for name, layer in layers(encoder):
        alive = activity[name].share > DEAD
        dead += int((~alive).sum())
        # What is divided by infinity is silent.
        scale_out = torch.where(alive, activity[name].mean, torch.inf)
        layer.weight.mul_(torch.where(scale_in.isfinite(), scale_in, 0.0)[:, None, None])
        layer.weight.div_(scale_out[:, None, None, None])
        assert layer.bias is not None
        layer.bias.div_(scale_out)
        scale_in = scale_out
    after = measure(encoder, checking)
    return Report(at_taps(before), at_taps(after), dead, len(pictures))


def read_pictures(files: Sequence[PictureFile]) -> list[Tensor]:
    """Return some of the pictures that can be used, spread over all, as 3 x H x W uint8."""
    pictures = []
    some = files[:: -(-len(files) // PICTURES)]
    for file in tqdm(some, desc="reading pictures", leave=False, disable=None):
        try:
            pictures.append(decode(file, SHORTEST, LONGEST))
        except AdainError as error:
            LOG.warning("skipped: %s", error)
    return pictures


@dataclass(frozen=True, slots=True)
class Activity:
    """The activity of a layer's filters over pictures and positions.

    Attributes:
        mean: mean activation of each filter, float32.
        share: share of positions at which each answers at all, in [0, 1].
    """

    mean: Tensor
    share: Tensor


@torch.no_grad()
def measure(encoder: Encoder, pictures: Sequence[Tensor]) -> dict[str, Activity]:
    """Return the activity of each layer.

    Args:
        encoder: float32, on any device.
        pictures: 3 x H x W uint8 each.

    Raises:
        TrainingError: an activation is not finite.
    """
    device = encoder.conv1_1.weight.device
    # In float64: sums over millions of positions.
    zero = torch.zeros((), dtype=torch.float64, device=device)
    sums, active = ({name: zero for name, _ in layers(encoder)} for _ in range(2))
    counts = dict.fromkeys(sums, 0)

    def add(name: str, output: Tensor) -> None:
        sums[name] = sums[name] + output.clamp_min(0).double().sum(dim=(0, 2, 3))
        active[name] = active[name] + (output > 0).double().sum(dim=(0, 2, 3))
        counts[name] += output.shape[2] * output.shape[3]

    hooks = [
        layer.register_forward_hook(lambda *args, name=name: add(name, args[2]))
        for name, layer in layers(encoder)
    ]
    for picture in tqdm(pictures, desc="mean activations", leave=False, disable=None):
        height, width = (side - side % STRIDE for side in picture.shape[1:])
        image = picture[None, :, :height, :width].to(device).float() / 255
        encoder.activations(image, encoder.activations_known[-1:])
    for hook in hooks:
        hook.remove()
    if not all(total.isfinite().all() for total in sums.values()):
        raise TrainingError("the encoder's activations are not finite: its weights are damaged")
    return {
        name: Activity((sums[name] / count).float(), (active[name] / count).float())
        for name, count in counts.items()
    }


def at_taps(activity: dict[str, Activity]) -> dict[str, float]:
    """Return the mean activation over filters at each tap."""
    return {tap: activity[tap.replace("relu", "conv")].mean.mean().item() for tap in TAPS}


def layers(encoder: Encoder) -> Iterator[tuple[str, nn.Conv2d]]:
    """Yield the encoder's convolutions with their names, in the network's order."""
    for name, layer in encoder.named_children():
        assert isinstance(layer, nn.Conv2d)
        yield name, layer
