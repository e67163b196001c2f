import subprocess
import sys

import pytest
from PIL import Image

from model.images import read_image
from tests.pictures import difference, encoded, painting, photo
from training.sheet import GAP, main, make_sheet


@pytest.mark.slow
def test_a_sheet_shows_every_content_in_every_style(stylizer):
    contents, styles = [photo(seed=seed) for seed in range(2)], [painting(), painting(seed=7)]
    sheet = make_sheet(stylizer, contents, styles, cell=64)
    step = 64 + GAP
    assert sheet.size == (3 * step - GAP, 3 * step - GAP)
    content = sheet.crop((0, step, 64, step + 64))
    expected = stylizer.stylize(content, stylizer.encode_style(styles[1]))
    shown = sheet.crop((2 * step, step, 2 * step + 64, step + 64))
    assert difference(shown, expected) == 0


@pytest.mark.slow
def test_the_command_writes_a_sheet_of_two_folders(tmp_path):
    for folder, picture in (("contents", photo()), ("styles", painting())):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.png").write_bytes(encoded(picture))
        (tmp_path / folder / "notes.txt").write_text("not a picture")
    subprocess.run(
        [sys.executable, "-m", "training.sheet", "--content", tmp_path / "contents", "--style",
         tmp_path / "styles", "-o", tmp_path / "sheet.png", "--cell", "32"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    assert isinstance(sheet := read_image(tmp_path / "sheet.png"), Image.Image)
    assert sheet.size == (64 + GAP, 64 + GAP)


@pytest.mark.slow
def test_what_cannot_be_done_is_explained(tmp_path, capsys):
    (tmp_path / "one.png").write_bytes(encoded(photo()))
    flags = ["--content", str(tmp_path), "--style", str(tmp_path), "-o", str(tmp_path / "s.png")]
    for change, message in (
        (["--style", "absent"], "absent: no such folder"),
        (["--cell", "3"], "cell must be at least 16"),
        (["--alpha", "2"], "alpha must be from 0 to 1"),
        (["--decoder", "absent"], "absent: no such file"),
    ):
        assert main(flags + change) == 1
        assert message in capsys.readouterr().err
