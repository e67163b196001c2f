"""The command line: one module of `app.commands` for each command."""

from __future__ import annotations

import argparse
import io
import os
import sys
from importlib import import_module
from importlib.metadata import version

from pydantic import ValidationError

from model.errors import AdainError

USAGE_ERROR = 2
FAILURE = 1
# As a shell says of a process that SIGPIPE ended.
CLOSED_PIPE = 141
# Modules of `app.commands`, and what `adain --help` says of them. Only the one that is called is
# imported: torch takes seconds, which those that need no model should not wait.
COMMANDS = {
    "stylize": "stylize a picture, a folder or a glob of pictures",
    "explain": "show what each layer of the encoder knows of a picture",
    "serve": "start the HTTP service",
    "styles": "add, list or remove the styles of the library",
    "sheet": "show a picture in every style of the library",
    "info": "print device, precision and weights, or how a result was made",
    "doctor": "check this machine, and say what to do about what is slow",
    "completion": "print what makes a shell complete these commands",
}
COMPLETION = "completion"
EXAMPLES = """examples:
  adain stylize photo.jpg painting.jpg     writes photo-stylized.png
  adain sheet photo.jpg                    shows the photo in every saved style
  adain serve                              starts the page and the API on port 8000
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 called wrongly."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="adain",
        description="Arbitrary style transfer: any content, any style, one pass.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"adain {version('adain')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    called = next((word for word in arguments if not word.startswith("-")), None)
    for name, meaning in COMMANDS.items():
        command = commands.add_parser(name, help=meaning)
        if called in (name, COMPLETION):  # completion has to know all arguments
            import_module(f"app.commands.{name}").add_arguments(command)
    args = parser.parse_args(arguments)
    args.parser = parser
    # Names of files and styles may hold characters that the terminal's encoding lacks.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough, as in `adain styles list | head`. What Python still writes at
        # its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
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
    """Return one line that says which settings are invalid, and why."""
    from app.settings import PREFIX

    return "; ".join(
        f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}, and is {e['input']!r}"
        for e in error.errors()
    )


if __name__ == "__main__":
    sys.exit(main())
