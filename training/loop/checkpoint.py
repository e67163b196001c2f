"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from model.files import replacing
from training.errors import TrainingError

# The version of the file's layout; other versions are refused.
VERSION = 2


def save_checkpoint(path: Path, settings: Mapping[str, object], state: Mapping[str, Any]) -> None:
    """Write a checkpoint; the one that was there before is replaced in one step.

    Args:
        path: where to write.
        settings: what decides the run's course, as plain values.
        state: tensors, numbers and texts, nested in dicts and lists.

    Raises:
        TrainingError: a tensor holds a value that is not finite, or the disk is full; the last
            checkpoint stays.
    """
    if not all(tensor.isfinite().all() for tensor in tensors(state)):
        raise TrainingError(f"the weights are no longer finite; {path} is left as it was")
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = {"version": VERSION, "settings": dict(settings), "state": dict(state)}
    try:
        with replacing(path) as partial:
            torch.save(checkpoint, partial)
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"{path} cannot be written, and is left as it was: {reason}") from error


def tensors(value: object) -> Iterator[Tensor]:
    """Yield all tensors in nested dicts and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)


def load_checkpoint(
    path: Path, settings: Mapping[str, object], device: torch.device
) -> dict[str, Any] | None:
    """Return the state that a run left, or None where there is no checkpoint.

    Args:
        path: the checkpoint.
        settings: those of the run that is to go on.
        device: where to put tensors.

    Raises:
        TrainingError: the file is damaged, or was written with other settings; the message names
            those that differ.
    """
    if not path.exists():
        return None
    try:
        # Tensors and plain values only: a pickle could run code.
        saved = torch.load(path, map_location=device, weights_only=True)
        version, old, state = saved["version"], saved["settings"], saved["state"]
    except (RuntimeError, UnpicklingError, EOFError, OSError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} is no whole checkpoint ({type(error).__name__}); delete it to start anew"
        ) from error
    if version != VERSION:
        raise TrainingError(f"{path} is of version {version}, not {VERSION}; start a new run")
    differing = [
        f"{name} was {old.get(name)} and is {settings.get(name)}"
        for name in sorted(old.keys() | settings.keys())
        if old.get(name) != settings.get(name)
    ]
    if differing:
        raise TrainingError(
            f"{path} is of a run with other settings: {'; '.join(differing)}. "
            "Resume with the settings of then, or choose another --out"
        )
    return dict(state)
