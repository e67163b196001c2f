"""The command line: adain stylize, explain, serve, styles, info."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version

from pydantic import ValidationError

from app.commands import explain, info, serve, styles, stylize
from app.settings import PREFIX
from model.errors import AdainError

USAGE_ERROR = 2
FAILURE = 1


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 called wrongly."""
    parser = argparse.ArgumentParser(
        prog="adain", description="Arbitrary style transfer: any content, any style, one pass."
    )
    parser.add_argument("--version", action="version", version=f"adain {version('adain')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (stylize, explain, serve, styles, info):
        command.add_parser(commands)
    args = parser.parse_args(arguments)
    try:
        code: int = args.run(args)
    except AdainError as error:
        print(f"adain: error: {error}", file=sys.stderr)
        return FAILURE
    except ValidationError as error:
        print(f"adain: error: {describe(error)}", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"adain: error: {reason}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print("adain: interrupted", file=sys.stderr)
        return 130
    return code


def describe(error: ValidationError) -> str:
    """Return in one line which settings are wrong, and how."""
    return "; ".join(
        f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}, and is {e['input']!r}"
        for e in error.errors()
    )


if __name__ == "__main__":
    sys.exit(main())
