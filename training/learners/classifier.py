"""Pretrain the encoder from scratch, as a classifier."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from training.classifier import Classifier
from training.colors import color_loss
from training.data.labelled import Batch, LabelledPictures
from training.learners.base import BaseLearner
from training.loop.processes import Process, add_gradients, autocast
from training.loop.settings import SOURCES, STAGES, TrainingSettings, setting

MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
# Of a one-cycle schedule: the share of the run in which the rate rises, and its first value.
RISE = 0.3
FIRST_RATE = 0.04
TEST_BATCH = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings(TrainingSettings):
    """The settings of a run."""

    pictures: Sequence[Path] = setting(
        "folders or zip files with a folder of pictures for each class", **SOURCES
    )
    side: int = setting("pictures are kept as squares of so many pixels", 96, bounds=(32, 512))
    crops: Sequence[str] = setting(
        "the run's stages, see training.decoder", ("64@70", "96@30"), **STAGES
    )
    batch: int = setting("pictures a step, of each process", 128, bounds=(2, math.inf))
    rate: float = setting("peak of the learning rate", 0.1, bounds=(1e-8, 10))
    color_weight: float = setting(
        "weight of the loss that makes relu4_1 keep colours", 20.0, bounds=(0, math.inf)
    )
    report: str = setting("report the accuracy on classes that match this too", "*")


class ClassifierLearner(BaseLearner):
    """A classifier in training.

    Attributes:
        terms: names of the losses, and the share of the batch that is classified rightly.
        classifier: what the optimizer changes.
    """

    terms: tuple[str, ...] = ("class", "color", "right")

    def __init__(
        self,
        classifier: Classifier,
        process: Process,
        *,
        rate: float,
        color_weight: float,
        dtype: torch.dtype,
    ) -> None:
        """Set up the optimizer.

        Args:
            classifier: with random weights.
            process: says on which device, and with whom gradients are averaged.
            rate: peak of the learning rate.
            color_weight: what the colour loss counts, where the class loss counts 1.
            dtype: in which convolutions are computed; weights and losses stay float32.
        """
        self.classifier = classifier.to(process.device).to(memory_format=torch.channels_last)
        self._forward = process.wrap(self.classifier)
        self._rate, self._color_weight = rate, color_weight
        self._optimizer = torch.optim.SGD(
            self.classifier.parameters(),
            lr=rate,
            momentum=MOMENTUM,
            nesterov=True,
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        self.parts = {"classifier": self.classifier, "optimizer": self._optimizer}
        self._autocast = autocast(process.device, dtype)

    def learn(self, batches: Sequence[Batch], fraction: float) -> Tensor:
        """Take one step of SGD; see `training.loop.run.Learner`."""
        self.classifier.train()
        self._optimizer.zero_grad()
        terms = add_gradients(self._forward, batches, self._losses)
        for group in self._optimizer.param_groups:
            group["lr"] = one_cycle(self._rate, fraction)
        self._optimizer.step()
        return terms

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with self._autocast:
            logits, colors = self._forward(batch.image)
        logits = logits.float()
        class_loss = F.cross_entropy(logits, batch.label, label_smoothing=LABEL_SMOOTHING)
        color = color_loss(colors, batch.image)
        right = (logits.argmax(1) == batch.label).float().mean()
        terms = torch.stack([class_loss, color, right])
        return class_loss + self._color_weight * color, terms

    def save(self, folder: Path) -> None:
        """Write nothing; the encoder is written once it is folded and normalised."""


def one_cycle(peak: float, fraction: float) -> float:
    """Return the learning rate: half a cosine up, then half a cosine down (Smith & Topin 2019)."""
    if fraction < RISE:
        low, way = FIRST_RATE, fraction / RISE
    else:
        low, way = 0.0, (1 - fraction) / (1 - RISE)
    return peak * (low + (1 - low) * 0.5 * (1 - math.cos(math.pi * way)))


@torch.no_grad()
def accuracy(classifier: Classifier, pictures: LabelledPictures, pattern: str) -> dict[str, float]:
    """Return the top-1 accuracy on held-out pictures, in [0, 1].

    Args:
        classifier: set to evaluation.
        pictures: at their full side.
        pattern: of names of classes.

    Returns:
        The accuracy on all classes, under "all", and on those that match, under the pattern.
    """
    classifier.eval()
    right = []
    for start in range(0, len(pictures.held_out), TEST_BATCH):
        index = torch.tensor(pictures.held_out[start : start + TEST_BATCH])
        index = index.to(pictures.images.device)
        logits, _ = classifier(pictures.images[index].float() / 255)
        right += (logits.argmax(1) == pictures.labels[index]).tolist()
    labels = pictures.labels.tolist()
    names = [pictures.classes[labels[index]] for index in pictures.held_out]
    chosen = [r for r, name in zip(right, names, strict=True) if fnmatch.fnmatch(name, pattern)]
    return {
        key: sum(flags) / len(flags) for key, flags in (("all", right), (pattern, chosen)) if flags
    }
