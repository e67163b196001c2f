"""The command line with many pictures, with other programs, and what it says of results."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from app.cli import main
from app.commands import painters, sources
from app.commands.contact_sheet import ContactSheet
from model.errors import ParameterError
from model.images import read_image
from model.metadata import read_recipe
from model.painting import Painting
from model.stylizer import Stylizer
from tests.pictures import difference, encoded, painting, photo

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two styles and a tree of contents."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADAIN_PRECISION", "float32")
    monkeypatch.setenv("ADAIN_DATA_DIR", str(tmp_path / "data"))
    Path("a.png").write_bytes(encoded(painting()))
    Path("b.png").write_bytes(encoded(painting(seed=7)))
    Path("photos/inner/.hidden").mkdir(parents=True)
    Path("photos/1.png").write_bytes(encoded(photo()))
    Path("photos/inner/2.jpg").write_bytes(encoded(photo(seed=2), "JPEG"))
    Path("photos/inner/.hidden/3.png").write_bytes(encoded(photo()))
    return tmp_path


def stylize(*arguments: str) -> int:
    return main(["stylize", "--style-size", "64", *arguments])


def run_adain(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, capture_output=True, env=environment, check=False, **options)


def files(root: str) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file())


def test_folders_in_folders_keep_their_place() -> None:
    assert stylize("photos", "a.png", "--recursive", "-o", "out") == 0
    assert files("out") == ["1.png", "inner/2.jpg"]


@pytest.mark.slow
def test_results_inside_the_folder_are_no_contents_of_the_next_run() -> None:
    for _ in range(2):
        assert stylize("photos", "a.png", "--recursive", "-o", "photos/out") == 0
    assert files("photos/out") == ["1.png", "inner/2.jpg"]


@pytest.mark.slow
def test_every_content_in_every_style() -> None:
    assert stylize("photos", "a.png", "b.png", "--each-style", "-o", "out") == 0
    assert files("out") == ["1-a.png", "1-b.png"]
    one, other = (read_image(f"out/1-{name}.png") for name in "ab")
    assert difference(one, other) > 5
    assert stylize("photos/1.png", "a.png", "b.png", "--each-style", "-o", "one") == 0
    assert files("one") == ["1-a.png", "1-b.png"]
    assert difference(read_image("one/1-b.png"), other) == 0


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many contents the model is given at a time."""
    monkeypatch.setattr(painters, "BATCHING_DEVICES", {"cpu"})
    given: list[int] = []
    paint = Stylizer.paint

    def spy(self: Stylizer, paintings: Sequence[Painting], *rest: Any, **options: Any) -> Any:
        given.append(len(paintings))
        return paint(self, paintings, *rest, **options)

    monkeypatch.setattr(Stylizer, "paint", spy)
    return given


def write_two_sizes() -> None:
    for number in range(4):
        size = [(96, 64), (64, 96)][number % 2]
        Path(f"photos/{number}.png").write_bytes(encoded(photo(*size, seed=number)))


@pytest.mark.slow
def test_contents_of_one_size_are_painted_at_once(batches: list[int]) -> None:
    write_two_sizes()
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Path("photos/4.png").write_bytes(encoded(photo(seed=4), exif=turned))
    Path("photos/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert stylize("photos", "a.png", "-o", "out", "--sheet", "sheet.png") == 1
    assert batches == [3, 2]
    sheet = read_image("sheet.png")
    for number, name in enumerate(["0.png", "1.png", "2.png", "3.png", "4.png"]):
        assert stylize(f"photos/{name}", "a.png", "-o", "alone.png") == 0
        alone, result = read_image("alone.png"), read_image(f"out/{name}")
        assert difference(result, alone) < 0.1
        left, top = 12 + number % 3 * 268, 12 + number // 3 * 290
        shown = sheet.crop((left, top, left + result.width, top + result.height))
        assert difference(shown, alone) < 0.1


def test_a_cpu_paints_contents_one_by_one_in_the_order_of_their_size(
    batches: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_two_sizes()
    monkeypatch.setattr(painters, "BATCHING_DEVICES", set())
    assert stylize("photos", "a.png", "-o", "out", "--json") == 0
    assert batches == [1, 1, 1, 1]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["width"], line["height"]) for line in lines] == [(64, 96)] * 2 + [(96, 64)] * 2


def test_the_same_content_in_two_styles_is_no_batch(batches: list[int]) -> None:
    assert stylize("photos/1.png", "a.png", "b.png", "--each-style", "-o", "out") == 0
    assert batches == [1, 1]


def test_contents_that_do_not_fit_the_memory_together_are_painted_one_by_one(
    batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_two_sizes()
    whole = Stylizer._paint_whole

    def narrow(self: Stylizer, pixels: Sequence[Any], *rest: Any) -> Any:
        if len(pixels) > 1:
            raise RuntimeError("out of memory")
        return whole(self, pixels, *rest)

    monkeypatch.setattr(Stylizer, "_paint_whole", narrow)
    assert stylize("photos", "a.png", "-o", "out") == 0
    assert batches == [2, 1, 1, 2, 1, 1]
    assert files("out") == ["0.png", "1.png", "2.png", "3.png"]


@pytest.mark.slow
def test_names_and_formats_of_results() -> None:
    name = ["--name", "{style} of {stem}", "--format", "WEBP"]
    assert stylize("photos", "a.png", *name, "-o", "out") == 0
    assert files("out") == ["a of 1.webp"]
    assert stylize("photos", "a.png", "--format", "tif", "-o", "out") == 0
    assert files("out") == ["1.tiff", "a of 1.webp"]
    assert read_image("out/1.tiff").size == (96, 64)


@pytest.mark.slow
def test_what_is_there_already_is_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    again = ["photos", "a.png", "--skip-existing", "-o", "out"]
    assert stylize(*again) == 0
    written = Path("out/1.png").stat().st_mtime_ns
    capsys.readouterr()
    assert stylize(*again) == 0
    assert capsys.readouterr().out.startswith("0 painted, 1 skipped, to out, in ")
    assert Path("out/1.png").stat().st_mtime_ns == written
    for changed in (["--alpha", "0.5"], []):  # another recipe; then the first one again
        assert stylize(*again, *changed) == 0
        assert "1 painted" in capsys.readouterr().out
    Path("photos/1.png").write_bytes(encoded(photo(seed=5)))
    assert stylize(*again) == 0
    assert "1 painted" in capsys.readouterr().out


def test_json_says_all_of_each_result_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert stylize("photos", "a.png", "--json", "-o", "out", "--detail", "1") == 1
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    [good] = [line for line in lines if "error" not in line]
    [bad] = [line for line in lines if "error" in line]
    assert (good["input"], good["output"]) == ("photos/1.png", "out/1.png")
    assert (good["width"], good["height"], good["device"]) == (96, 64, "cpu")
    assert good["recipe"]["detail"] == 1
    assert good["recipe"]["styles"][0]["name"] == "a.png"
    assert good["seconds"] > 0
    assert (bad["input"], bad["code"]) == ("photos/broken.png", "corrupt-image")
    assert captured.err.count("\n") == 1


def test_a_sheet_of_the_run() -> None:
    assert stylize("photos", "a.png", "b.png", "--each-style", "-o", "o", "--sheet", "s.png") == 0
    sheet = read_image("s.png")
    assert sheet.width > 2 * 96
    left, right = read_image("o/1-a.png"), read_image("o/1-b.png")
    assert difference(sheet.crop((12, 12, 12 + 96, 12 + 64)), left) == 0
    assert difference(sheet.crop((280, 12, 280 + 96, 12 + 64)), right) == 0


def test_long_captions_are_cut() -> None:
    sheet = ContactSheet()
    sheet.add("x" * 200, photo())
    assert sheet.draw().size == (12 + 268, 12 + 290)


@pytest.mark.slow
def test_standard_input_and_output() -> None:
    done = run_adain(
        "stylize", "-", "a.png", "--style-size", "64", "-o", "-", "--format", "jpg",
        input=encoded(photo()),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = Image.open(io.BytesIO(done.stdout))
    assert (result.format, result.size) == ("JPEG", (96, 64))
    assert stylize("photos/1.png", "a.png", "-o", "same.png") == 0
    assert difference(read_image(done.stdout), read_image("same.png")) < 12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photos", "a.png", "-o", "-"], "-o must name a folder"),
        (["photos/1.png", "a.png", "-o", "-", "--json"], "and nothing else"),
        (["photos/1.png", "a.png", "--format", "gif"], "--format must be one of png, jpeg"),
        (["photos", "a.png", "--name", "{date}"], "--name may have {stem} and {style}"),
        (["photos", "a.png", "--name", "{stem"], "--name: "),
        (["photos", "a.png", "--name", "x/{stem}"], "folders go to -o"),
        (["photos", "a.png", "--quality", "0"], "--quality must be from 1 to 100"),
        (["photos", "a.png", "b.png", "--each-style", "--weight", "1"], "one weight"),
        (["photos", "a.png", "--each-style", "--weight", "1"], "leave out --mask, --weight"),
        (["photos", "a.png", "--sheet", "x.gif"], "the name must end in"),
        (["photos/1.png", "--like", "a.png"], "does not say how it was made"),
        (["http://example.org/a.png", "a.png"], "no such file or folder"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stylize(*arguments) == 1
    assert said.replace("one weight", "as many weights as styles") in capsys.readouterr().err
    assert not Path("stylized").exists()


@pytest.mark.slow
def test_a_result_says_how_it_was_made_and_is_made_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    controls = ["--alpha", "0.7", "--detail", "0.5", "--preserve-color", "--size", "64"]
    weights = ["--weight", "3", "--weight", "1"]
    assert stylize("photos/1.png", "a.png", "b.png", *controls, *weights, "-o", "first.png") == 0
    capsys.readouterr()
    assert main(["info", "first.png"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"alpha +0.7\n", said)
    assert "a.png" in said
    assert main(["info", "first.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == read_recipe(Path("first.png").read_bytes())
    assert main(["stylize", "photos/1.png", "--like", "first.png", "-o", "again.png"]) == 0
    assert difference(read_image("again.png"), read_image("first.png")) == 0
    code = main(
        ["stylize", "photos/1.png", "--like", "first.png", "--alpha", "0.1", "-o", "other.png"]
    )
    assert code == 0
    assert read_recipe(Path("other.png").read_bytes())["alpha"] == 0.1
    Path("b.png").write_bytes(encoded(painting(seed=8)))
    assert main(["stylize", "photos/1.png", "--like", "first.png", "-o", "x.png"]) == 1
    assert "which is not there or has changed" in capsys.readouterr().err
    assert main(["info", "a.png"]) == 1


@pytest.mark.slow
def test_a_saved_style_is_found_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles", "add", "a.png", "--name", "Mine"]) == 0
    assert stylize("photos/1.png", "--saved", "Mine", "-o", "first.png") == 0
    assert main(["stylize", "photos/1.png", "--like", "first.png", "-o", "again.png"]) == 0
    assert difference(read_image("again.png"), read_image("first.png")) == 0
    capsys.readouterr()
    assert main(["styles", "list", "--json"]) == 0
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert "Mine" in names


@pytest.mark.slow
def test_every_saved_style_on_one_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sheet", "photos/1.png", "--size", "64"]) == 0
    assert capsys.readouterr().out == "photos/1-styles.png\n"
    assert read_image("photos/1-styles.png").width > 200
    assert main(["sheet", "photos/1.png", "--size", "64", "-o", "s.png", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 12
    assert {"output", "saved", "id"} == lines[0].keys()


@pytest.mark.slow
def test_the_doctor_times_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"device +cpu\n", said)
    assert "works, 12 styles" in said
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["seconds"] > 0
    assert isinstance(facts["advice"], list)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_flags(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "stylize" in script
    assert "skip-existing" in script


@pytest.mark.slow
def test_ctrl_c_says_what_was_done() -> None:
    for number in range(200):
        Path(f"photos/more{number}.png").write_bytes(encoded(photo(256, 256, seed=number)))
    command = [sys.executable, "-m", "app.cli", "stylize", "photos", "a.png", "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (Path("out").is_dir() and len(files("out")) >= 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    said = re.match(rb"(\d+) painted, to out, in ", output)
    assert said, output
    assert int(said[1]) == len(files("out"))
    assert b"adain: interrupted" in errors
    for name in files("out"):
        read_image(f"out/{name}")


# Addresses


class Handler(BaseHTTPRequestHandler):
    """Serves a picture, an endless file, and ways elsewhere."""

    def do_GET(self) -> None:
        if self.path == "/photo.png":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(encoded(photo()))
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(2**20))
            except OSError:
                pass
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
        else:
            self.send_response(404)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with a certificate of its own, which this process trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out",
         str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_picture_at_an_address(site: str) -> None:
    assert stylize(f"{site}/photo.png", "a.png") == 0
    assert stylize("photos/1.png", "a.png", "-o", "same.png") == 0
    assert difference(read_image("photo-stylized.png"), read_image("same.png")) == 0
    assert sources.download(f"{site}/to/{site}/photo.png") == encoded(photo())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing", "Not Found"),
        ("to/file:///etc/passwd", "not allowed"),
        ("to/http://localhost:1/x", "unknown url type"),
        ("endless", "more than 100000 bytes"),
    ],
)
def test_an_address_that_cannot_be_read(
    site: str, path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 100_000)
    with pytest.raises(ParameterError, match=said):
        sources.download(f"{site}/{path}")


def test_the_clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the seam to the platform has it: there is no desktop where tests run."""
    monkeypatch.setattr("PIL.ImageGrab.grabclipboard", photo)
    assert stylize("--from-clipboard", "a.png") == 0
    assert stylize("photos/1.png", "a.png", "-o", "same.png") == 0
    assert difference(read_image("clipboard-stylized.png"), read_image("same.png")) == 0
    monkeypatch.setattr("PIL.ImageGrab.grabclipboard", lambda: ["photos/1.png"])
    assert sources.read_clipboard() == Path("photos/1.png").read_bytes()
    for nothing in (None, []):
        monkeypatch.setattr("PIL.ImageGrab.grabclipboard", lambda nothing=nothing: nothing)
        with pytest.raises(ParameterError, match="holds no picture"):
            sources.read_clipboard()
