"""Settings of the training commands: declared once, with flag, default, bounds and meaning."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from model.controls import check_range
from model.weights import checksum
from training.loop.schedule import TrainingBudget, parse_stages

SettingsClass = TypeVar("SettingsClass", bound="Settings")


def setting(
    meaning: str,
    default: Any = MISSING,
    *,
    bounds: tuple[float, float] | None = None,
    free: bool = False,
    positional: bool = False,
    short: str | None = None,
    **options: Any,
) -> Any:
    """Declare a setting: a dataclass's field that is a flag of the same name.

    Args:
        meaning: what `--help` says of it.
        default: MISSING makes the flag required.
        bounds: least and largest value of a number.
        free: may change when a run is resumed: it decides where or how to compute, not what.
        positional: given by its place and not by a flag; may be left out where there is a default.
        short: a short form of the flag, such as -o.
        options: of argparse's `add_argument`; `type` is by default that of the default value.
    """
    metadata = {
        "meaning": meaning,
        "bounds": bounds,
        "free": free,
        "positional": positional,
        "short": short,
        "options": options,
    }
    return field(default=default, metadata=metadata)


# How sources of pictures and stages of a run are given.
SOURCES: dict[str, Any] = {"type": Path, "nargs": "+", "metavar": "SOURCE"}
STAGES: dict[str, Any] = {"type": str, "nargs": "+", "metavar": "STAGE"}
# What `--help` shows in the place of a value.
METAVARS = {int: "N", float: "X", Path: "PATH", str: "NAME"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of some command."""

    def check(self) -> None:
        """Raise ParameterError for a number out of its bounds; the message names it."""
        for known in fields(self):
            value, bounds = getattr(self, known.name), known.metadata["bounds"]
            if bounds and value is not None:
                check_range(known.name, value, *bounds)

    def course(self) -> dict[str, object]:
        """Return what decides the run's course, as plain values: the same when it is resumed."""
        return {
            known.name: plain(getattr(self, known.name))
            for known in fields(self)
            if not known.metadata["free"]
        }


def plain(value: object) -> object:
    """Return a value as a checkpoint can hold it; a file of weights is told by its content."""
    if isinstance(value, Path):
        return checksum(value) if value.suffix == ".safetensors" and value.exists() else str(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def add_arguments(parser: argparse.ArgumentParser, settings: type[Settings]) -> None:
    """Give a parser the flags of a class of settings."""
    for known in fields(settings):
        options, meaning = dict(known.metadata["options"]), known.metadata["meaning"]
        if known.metadata["positional"]:
            if known.default is not MISSING:
                options |= {"nargs": "?", "default": known.default}
            parser.add_argument(known.name, help=meaning, **options)
            continue
        if known.default is MISSING:
            options["required"] = True
        elif isinstance(known.default, bool):
            options["action"] = "store_true"
        elif known.default is not None:
            options.setdefault("type", type(known.default))
            several = bool(options.get("nargs"))
            shown = " ".join(map(str, known.default)) if several else known.default
            meaning += f" (default {shown})"
        if "type" in options and "choices" not in options:
            options.setdefault("metavar", METAVARS.get(options["type"]))
        flags = [known.metadata["short"], "--" + known.name.replace("_", "-")]
        # What is not given is left to the dataclass's default.
        parser.add_argument(
            *filter(None, flags), help=meaning, default=argparse.SUPPRESS, **options
        )


def read_settings(settings: type[SettingsClass], args: argparse.Namespace) -> SettingsClass:
    """Return the settings that were parsed.

    Raises:
        AdainError: one is out of its bounds; the message names it.
    """
    names = {known.name for known in fields(settings)}
    parsed = settings(**{name: value for name, value in vars(args).items() if name in names})
    parsed.check()
    return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings(Settings):
    """The settings of every run."""

    out: Path = setting("folder for all that the run writes", type=Path, free=True)
    steps: int | None = setting("train for so many steps", None, type=int)
    minutes: float | None = setting(
        "or for so many minutes: the schedule ends when the time does", None, type=float
    )
    crops: Sequence[str] = setting(
        "the run's stages, SIDE[xBATCH][@PERCENT] each, such as 96x8@50 160x4@50",
        ("128", "192", "256"),
        **STAGES,
    )
    batch: int = setting("items of a batch", 8, bounds=(1, math.inf))
    step_batches: int | None = setting(
        "batches a step, shared by all processes; more than one each add up their gradients "
        "(default: one each)",
        None,
        type=int,
        bounds=(1, math.inf),
    )
    rate: float = setting("peak of the learning rate", 5e-4, bounds=(1e-8, 10))
    seed: int = setting("decides all that is random", 0, bounds=(0, math.inf))
    device: str = setting("auto, cpu, cuda, cuda:1, mps, xpu", "auto", free=True)
    precision: str = setting(
        "arithmetic of the convolutions", "auto", choices=("auto", "bfloat16", "float32")
    )
    checkpoint_minutes: float = setting(
        "time between checkpoints", 5.0, bounds=(0, math.inf), free=True
    )
    stand_back: bool = setting(
        "take only the processor time that nothing else wants (Linux)", False, free=True
    )

    def check(self) -> None:
        """Raise AdainError for a setting out of its bounds, or stages or a budget that are none."""
        super(TrainingSettings, self).check()
        TrainingBudget(self.steps, self.minutes)
        parse_stages(self.crops, self.batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSettings(TrainingSettings):
    """The settings of runs on pictures of any size."""

    memory_gib: float = setting(
        "decoded pictures stay in memory, the GPU's if there is one, up to this",
        8.0,
        bounds=(0, math.inf),
        free=True,
    )
    workers: int = setting(
        "processes that read pictures when they do not, and that cut crops for a GPU",
        4,
        bounds=(0, math.inf),
        free=True,
    )
