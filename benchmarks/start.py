"""How fast commands that need no model answer, beside a Python that does nothing.

python -m benchmarks.start
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from statistics import median

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "adain --version": ["-m", "app.cli", "--version"],
    "adain --help": ["-m", "app.cli", "--help"],
    "adain styles list": ["-m", "app.cli", "styles", "list"],
}


def measure(rounds: int) -> dict[str, float]:
    """Return the median seconds of each command, which take turns; the library is made before."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        environment = {"ADAIN_DATA_DIR": folder, "PYTHONPATH": "."}
        for _ in range(rounds + 1):
            for name, arguments in COMMANDS.items():
                started = time.perf_counter()
                command = [sys.executable, *arguments]
                subprocess.run(command, env=environment, capture_output=True, check=True)
                seconds[name].append(time.perf_counter() - started)
    return {name: median(each[1:]) for name, each in seconds.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="runs of each command (default 10)")
    measured = measure(parser.parse_args().rounds)
    least = measured["python -c pass"]
    print("| command | median seconds | against nothing |\n|---|---|---|")
    for name, seconds in measured.items():
        print(f"| `{name}` | {seconds:.3f} | {seconds / least:.1f}x |")


if __name__ == "__main__":
    main()
