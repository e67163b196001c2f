"""A PostgreSQL server of the tests' own, on a free port of the loopback interface."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from benchmarks.server import free_port

USER = "adain"


def program(name: str) -> str | None:
    """The path of one of PostgreSQL's programs, which Debian keeps off the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(installed[-1]) if installed else shutil.which(name)


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start a server with its data in `folder`, and yield its URL."""
    initdb, postgres = program("initdb"), program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("NOT TESTED ON POSTGRESQL: it is not installed (apt-get install postgresql)")
    # PostgreSQL refuses to run as root; "nobody" is there on every system.
    as_other: dict[str, object] = {}
    data = folder / "data"
    data.mkdir()
    if os.geteuid() == 0:
        as_other = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(data, "nobody", "nogroup")
        for parent in data.parents:
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o711)
    command = [initdb, "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True, cwd="/", **as_other)
    port = free_port()
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [postgres, "-D", data, *options], stdout=log, stderr=log, cwd="/", **as_other
    )
    try:
        wait(server, port, folder / "log")
        yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # at once; SIGTERM would wait for its clients
        server.wait()
        log.close()


def wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the server takes connections."""
    deadline = time.monotonic() + 60
    while True:
        try:
            address = {"host": "127.0.0.1", "port": port, "user": USER, "dbname": "postgres"}
            psycopg.connect(**address).close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
