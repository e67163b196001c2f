"""adain completion: what makes a shell complete the command line."""

from __future__ import annotations

import argparse

import shtab

EXAMPLES = """examples:
  bash   adain completion bash > ~/.local/share/bash-completion/completions/adain
  zsh    adain completion zsh > ~/.zfunc/_adain
  tcsh   adain completion tcsh > ~/.adain.tcsh, and source that in ~/.tcshrc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Print a script that makes a shell complete adain's arguments."
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(shtab.complete(args.parser, args.shell))
    return 0
