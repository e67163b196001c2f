"""nginx in front of services on the loopback interface, for benchmarks and tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "deploy" / "nginx.conf"
START_SECONDS = 20
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def find_nginx() -> str | None:
    """Return the path of nginx; None where it is not installed."""
    return shutil.which("nginx", path="/usr/sbin:/usr/bin")


def example(port: int, first: int, second: int) -> str:
    """Return `deploy/nginx.conf` for nginx at a port and two services at theirs."""
    text = EXAMPLE.read_text()
    for written, real in (("8000", port), ("8001", first), ("8002", second)):
        text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{real}")
    return text


@contextmanager
def nginx(text: str, port: int) -> Iterator[None]:
    """Run nginx with a configuration until the block ends; `port` is one that it listens at.

    Raises:
        SystemExit: it is not installed, or does not start, and why.
    """
    program = find_nginx()
    if program is None:
        raise SystemExit("nginx is not installed: apt-get install nginx-light")
    with tempfile.TemporaryDirectory() as folder:
        paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
        user = "user root;" if os.geteuid() == 0 else ""
        file, log = Path(folder, "nginx.conf"), Path(folder, "log")
        file.write_text(
            f"{user} pid {folder}/pid; daemon off; error_log {log};\n"
            + text.replace("http {", f"http {{ access_log off; {paths}")
        )
        process = subprocess.Popen([program, "-e", str(log), "-c", str(file)])
        try:
            wait_for(port, process, log)
            yield
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once a process listens at a port."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"nginx does not start:\n{log.read_text()}") from None
            time.sleep(0.05)
