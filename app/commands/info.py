"""adain info: device, precision and weights; or how a result was made."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.settings import Settings
from model.errors import ParameterError
from model.metadata import read_recipe

EXAMPLES = """examples:
  adain info
  adain info result.png
  adain info --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Print which model is used, or how a result of adain was made."
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "picture", metavar="FILE", nargs="?", type=Path, help="a result, as adain wrote it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the facts."""
    facts = describe_model() if args.picture is None else recipe_in(args.picture)
    if args.json:
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    for name, value in facts.items():
        for each in value if isinstance(value, list) else [value]:
            said = each if not isinstance(each, dict) else ", ".join(map(str, each.values()))
            print(f"{name.replace('_', ' '):<14} {said}")
    return 0


def recipe_in(path: Path) -> dict[str, Any]:
    """Return the recipe in a result's file.

    Raises:
        ParameterError: the file has none.
    """
    recipe = read_recipe(path.read_bytes())
    if recipe is None:
        raise ParameterError(f"{path} does not say how it was made")
    return recipe


def describe_model() -> dict[str, Any]:
    """Load the model as the service would, and return what was loaded."""
    # Imported here because torch takes seconds, and a recipe needs it not.
    import torch

    from app.loading import load_stylizer
    from model.weights import checksum

    stylizer = load_stylizer(Settings())
    facts: dict[str, Any] = {
        "adain": version("adain"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(stylizer.device),
        "threads": torch.get_num_threads(),
        "precision": str(stylizer.dtype).removeprefix("torch."),
        "model": stylizer.fingerprint,
    }
    for name, path in (("encoder", stylizer.encoder_path), ("decoder", stylizer.decoder_path)):
        if path is not None:
            facts[name] = str(path)
            facts[f"{name}_sha256"] = checksum(path)
    return facts
