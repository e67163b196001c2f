"""Dockerfile, compose file and README say what the repository holds and does."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import pytest
import torch

from benchmarks.server import free_port
from tests.pictures import encoded, painting, photo, write_pictures
from tests.training.test_conversion import decoder_sequential, vgg_sequential

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions(name):
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_what_the_dockerfile_copies_exists():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copies = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    sources = [source for *sources, _ in copies for source in sources]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, f"{source} is not sent to the build"


def test_the_image_holds_every_package():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = [pattern.rstrip("*") for pattern in setuptools["packages"]["find"]["include"]]
    copied = " ".join(instructions("COPY"))
    assert all(f"{name} {name}" in copied for name in packages)


def test_what_the_dockerfile_installs_is_installed_by_ci():
    ci = (ROOT / ".ci" / "run").read_text()
    install, *folders = instructions("RUN")
    command = install.rsplit(maxsplit=1)[0]  # all but the target folder
    assert command in ci
    assert all(run.startswith("install -d ") for run in folders)


def test_the_library_outlives_the_container():
    user = instructions("USER")[0].split(":")[0]
    (folder,) = instructions("VOLUME")
    assert f"RUN install -d -o {user} -g {user} {folder}\n" in DOCKERFILE
    assert f"ADAIN_DATA_DIR={folder}" in DOCKERFILE
    assert f":{folder}\n" in (ROOT / "compose.yaml").read_text()


def test_the_image_runs_as_no_root_and_checks_its_health():
    assert int(instructions("USER")[-1].split(":")[0]) > 0
    assert "readyz" in instructions("HEALTHCHECK")[0]


@pytest.mark.slow
def test_the_start_command_serves_and_the_health_check_agrees(tmp_path):
    port = free_port()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ADAIN_HOST": "127.0.0.1",  # the image listens on all interfaces; a test must not
        "ADAIN_PORT": str(port),
    }
    health = json.loads(instructions("HEALTHCHECK")[0].split("CMD ", 1)[1])

    def healthy():
        done = subprocess.run(health, env=environment, capture_output=True, check=False)
        return done.returncode == 0

    assert not healthy()
    server = subprocess.Popen(
        json.loads(instructions("CMD")[0]),
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not healthy():
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline
            time.sleep(0.3)
        assert httpx.get(f"http://127.0.0.1:{port}/livez").json() == {"status": "alive"}
    finally:
        server.terminate()
        out, _ = server.communicate(timeout=40)
    assert server.returncode == 0
    lines = [json.loads(line) for line in out.splitlines()]
    request = next(line for line in lines if line.get("path") == "/livez")
    assert request["status"] == 200
    assert request["id"]
    assert any("shutdown complete" in line["message"] for line in lines)
    assert list(tmp_path.iterdir()) == [], "the service writes nothing where it stands"


def test_compose_names_the_dockerfiles_arguments_and_port():
    compose = (ROOT / "compose.yaml").read_text()
    for argument in instructions("ARG"):
        assert argument.split("=")[0] in compose
    assert f":{instructions('EXPOSE')[0]}" in compose
    assert "read_only: true" in compose


def test_pins_satisfy_the_declared_requirements():
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    for text in project["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name]), text


def test_the_readme_shows_commands_that_exist():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", readme, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", readme):
        assert (ROOT / path).exists(), path


def run(command: list[str], folder: Path) -> None:
    """Run a command as a user of the virtual environment would, and see that it succeeds."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}{done.stdout[:500]}"


@pytest.mark.slow
def test_the_readmes_examples_work(client, tmp_path, monkeypatch):
    """Each adain, curl and training line of the README, run in a folder with its files."""
    monkeypatch.setenv("ADAIN_DATA_DIR", str(tmp_path / "data"))
    painters = {"photos": photo, "paintings": painting, "test/content": photo}
    write_pictures(tmp_path, painters | {"test/style": painting}, 1)
    for name in ("photo.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(encoded(photo(), "JPEG"))
    for name in ("painting.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(encoded(painting(), "JPEG"))
    for name in ("sky.png", "ground.png"):
        (tmp_path / name).write_bytes(encoded(photo().convert("L")))
    torch.save(vgg_sequential().state_dict(), tmp_path / "vgg_normalised.pth")
    torch.save(decoder_sequential().state_dict(), tmp_path / "decoder.pth")
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    runnable = r"(adain (stylize|info|styles|sheet|doctor)|curl|python -m training)\b"
    commands = [line for line in lines if re.match(runnable, line)]
    assert len(commands) >= 7
    changes = {
        "127.0.0.1:8000": f"{client.base_url.host}:{client.base_url.port}",
        "curl": "curl --silent --show-error --fail-with-body",
        # Two small steps of a narrow decoder in place of two hours, and less of what takes seconds.
        "--minutes 120": "--steps 2 --crops 32x2 --width 0.25",
        "--minutes 10": "--steps 2 --crops 32x2",
        "--refine 5": "--refine 1",
        "--steps 20": "--steps 5",
        "training.evaluate": "training.evaluate --size 128",
    }
    for command in commands:
        for old, new in changes.items():
            command = command.replace(old, new)
        run(shlex.split(command, comments=True), tmp_path)
    python = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert python
    run([sys.executable, "-c", python[1]], tmp_path)
