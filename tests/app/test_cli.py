"""The command line, on real files."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from app.cli import main
from app.starter import PAINTINGS
from model.images import read_image
from model.metadata import read_recipe
from model.networks.style_network import StyleNetwork
from model.painting import Painting
from model.weights import load_style_network, save_style_network
from tests.pictures import difference, encoded, painting, photo


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a content and two styles, which the tests run in, at one fixed precision."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADAIN_PRECISION", "float32")
    monkeypatch.setenv("ADAIN_DEVICE", "cpu")
    monkeypatch.setenv("ADAIN_DATA_DIR", str(tmp_path / "data"))
    Path("content.jpg").write_bytes(encoded(photo(), "PNG"))  # the name need not tell the truth
    Path("style.png").write_bytes(encoded(painting()))
    Path("other.png").write_bytes(encoded(painting(seed=7)))
    return tmp_path


def stylize(*arguments):
    """The exit code of a command."""
    try:
        return main(["stylize", "--style-size", "64", *arguments])
    except SystemExit as usage_error:
        return usage_error.code


def fails(capsys, *arguments, code=1):
    """The one line that a failing command prints."""
    assert stylize(*arguments) == code
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("adain")
    return line


def test_one_picture(capsys, stylizer, style):
    assert stylize("content.jpg", "style.png") == 0
    assert capsys.readouterr().out == "content-stylized.png\n"
    result = read_image("content-stylized.png")
    assert difference(result, stylizer.stylize(photo(), style)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", [[], ["--method", "optimize", "--steps", "2"]])
def test_results_of_16_bits(method):
    for depth in ("8", "16"):
        arguments = ["--depth", depth, "-o", f"{depth}.png", *method]
        assert stylize("content.jpg", "style.png", *arguments) == 0
    deep = imagecodecs.png_decode(Path("16.png").read_bytes())
    assert deep.dtype == np.uint16
    assert difference(read_image("16.png"), read_image("8.png")) < 0.6
    assert read_recipe(Path("16.png").read_bytes())["depth"] == 16
    assert stylize("content.jpg", "--like", "16.png", "-o", "again.tif", *method) == 0
    assert np.array_equal(tifffile.imread("again.tif"), deep)


def test_a_refined_result_of_16_bits():
    arguments = ["--depth", "16", "-o", "out.png", "--refine", "0.1"]
    assert stylize("content.jpg", "style.png", *arguments) == 0
    assert imagecodecs.png_decode(Path("out.png").read_bytes()).dtype == np.uint16


def test_16_bits_need_a_format_that_has_them(capsys):
    line = fails(capsys, "content.jpg", "style.png", "--depth", "16", "-o", "out.jpg")
    assert "depth 16 can be written as png or tiff, and not as jpeg" in line
    assert not Path("out.jpg").exists()


def test_every_control(stylizer, style, other_style):
    mask = Image.linear_gradient("L").resize((96, 64))
    mask.save("mask.png")
    code = stylize(
        "content.jpg", "style.png", "other.png", "-o", "out.png", "--alpha", "0.7",
        "--detail", "0.5", "--weight", "3", "--weight", "1", "--preserve-color", "--mask",
        "mask.png", "--mask", "mask.png", "--size", "48",
    )  # fmt: skip
    assert code == 0
    expected = stylizer.stylize(
        photo(), [style, other_style], weights=[3, 1], alpha=0.7, detail=0.5, masks=[mask, mask],
        preserve_color=True, size=48,
    )  # fmt: skip
    assert difference(read_image("out.png"), expected) == 0


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP")],
)
def test_the_suffix_decides_the_format(name, format):
    assert stylize("content.jpg", "style.png", "-o", name) == 0
    with Image.open(name) as image:
        assert image.format == format


def test_a_terminal_is_no_picture(capsys, monkeypatch):
    _, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "send a picture to standard input" in fails(capsys, "-", "style.png")


def test_an_existing_folder_takes_the_result():
    Path("results").mkdir()
    assert stylize("content.jpg", "style.png", "-o", "results") == 0
    assert read_image("results/content-stylized.png").size == (96, 64)


def test_a_folder_goes_on_past_a_broken_file_and_lists_it(capsys):
    photos = Path("photos")
    photos.mkdir()
    for name, seed in (("a.jpg", 1), ("b.png", 2), ("c.gif", 3)):
        (photos / name).write_bytes(encoded(photo(seed=seed)))
    (photos / "broken.jpg").write_bytes(encoded(photo(), "JPEG")[:500])
    (photos / "notes.txt").write_text("no picture, and not meant as one")
    assert stylize("photos", "style.png", "-o", "out") == 1
    assert sorted(p.name for p in Path("out").iterdir()) == ["a.jpg", "b.png", "c.gif.png"]
    captured = capsys.readouterr()
    assert "adain: error: photos/broken.jpg: the picture is cut off" in captured.err
    assert "4/4" in captured.err, "the progress bar"
    assert re.fullmatch(
        r"3 painted, 1 failed, to out, in [\d.]+ s: [\d.]+ pictures a second\n", captured.out
    )


def test_a_result_is_replaced_only_where_its_name_was_given(capsys):
    assert stylize("content.jpg", "style.png") == 0
    first = Path("content-stylized.png").read_bytes()
    line = fails(capsys, "content.jpg", "other.png")
    assert "content-stylized.png exists: name the result with -o" in line
    assert Path("content-stylized.png").read_bytes() == first
    assert stylize("content.jpg", "other.png", "-o", "content-stylized.png") == 0
    assert Path("content-stylized.png").read_bytes() != first
    Path("stylized").mkdir()
    Path("stylized/style.png").write_text("mine")
    assert "exists" in fails(capsys, "[s]tyle.png", "other.png")
    assert Path("stylized/style.png").read_text() == "mine"


def test_a_glob(capsys):
    for name in ("a.png", "b.png", "c.jpg"):
        Path(name).write_bytes(encoded(photo()))
    assert stylize("[abc].png", "style.png") == 0
    assert sorted(p.name for p in Path("stylized").iterdir()) == ["a.png", "b.png"]


def test_a_glob_of_equal_names_is_refused(capsys):
    for folder in ("x", "y"):
        Path(folder).mkdir()
        Path(folder, "a.png").write_bytes(encoded(photo()))
    line = fails(capsys, "*/a.png", "style.png")
    assert "several pictures would be written to stylized/a.png" in line
    assert not Path("stylized").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg", "style.png"], "nowhere.jpg: no such file or folder"),
        (["content.jpg", "nowhere.png"], "nowhere.png: No such file or directory"),
        (["content.jpg", "notes.txt"], "notes.txt: these bytes are no JPEG"),
        (["empty", "style.png"], "empty: this folder has no picture files"),
        (["content.jpg", "style.png", "--alpha", "2"], "--alpha must be from 0 to 1, and is 2"),
        (["content.jpg", "style.png", "--detail", "2"], "--detail must be from -1 to 1, and is 2"),
        (["content.jpg", "style.png", "--size", "8"], "--size must be at least 16, and is 8"),
        (["content.jpg", "style.png", "--weight", "-1"], "a weight must be a number above 0"),
        (["content.jpg", "style.png", "other.png", "--mask", "style.png"], "as many masks"),
        (["content.jpg", "style.png", "-o", "out.gif"], "out.gif: the name must end in .png"),
        (["content.jpg", "style.png", "-o", "style.png"], "style.png is read by this command"),
        (["content.jpg", "style.png", "-o", "no/such/out.png"], "no/such: no such folder"),
        (["empty", "style.png", "-o", "content.jpg"], "content.jpg is a file"),
    ],
)
def test_errors_are_one_line(capsys, arguments, message):
    Path("notes.txt").write_text("I am no picture")
    Path("empty").mkdir()
    before = {path: path.read_bytes() for path in Path().glob("*.*")}
    assert message in fails(capsys, *arguments)
    assert {path: path.read_bytes() for path in Path().glob("*.*")} == before, "nothing is lost"


def test_style_size_out_of_range(capsys):
    assert main(["stylize", "content.jpg", "style.png", "--style-size", "32"]) == 1
    assert "--style-size must be from 64 to 1024, and is 32" in capsys.readouterr().err


def test_usage_errors_exit_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_a_folder_cannot_be_written_over_its_own_pictures(capsys):
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(encoded(photo()))
    assert "is read by this command" in fails(capsys, "photos", "style.png", "-o", "photos")


def test_a_setting_out_of_bounds_is_named(capsys, monkeypatch):
    monkeypatch.setenv("ADAIN_PORT", "70000")
    assert main(["info"]) == 2
    assert "adain: error: ADAIN_PORT: Input should be less than" in capsys.readouterr().err


def test_info_names_device_precision_and_checksums(capsys):
    from model.weights import bundled, checksum

    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "cpu" in out
    assert "float32" in out
    assert all(checksum(bundled(name)) in out for name in ("encoder", "decoder"))


def test_serve_help_lists_every_setting(capsys):
    from app.settings import Settings

    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    out = capsys.readouterr().out
    assert all(f"ADAIN_{name.upper()}" in out for name in Settings.model_fields)


def test_serve_with_missing_weights_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("ADAIN_ENCODER", "nowhere.safetensors")
    assert main(["serve"]) == 1
    assert "nowhere.safetensors: no such file" in capsys.readouterr().err


@pytest.mark.slow
def test_the_installed_command_prints_no_traceback():
    command = Path(sys.executable).with_name("adain")
    done = subprocess.run(
        [command, "stylize", "nowhere.jpg", "style.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("adain: error: nowhere.jpg")
    assert done.stderr.count("\n") == 1


def styles(*arguments):
    """The exit code of adain styles."""
    return main(["styles", *arguments])


@pytest.mark.slow
def test_styles_are_added_listed_used_and_removed(capsys, stylizer, style, other_style):
    assert styles("add", "style.png", "other.png") == 0
    added = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [name for _, name in added] == ["style", "other"]
    assert styles("add", "style.png", "--name", "Slanted strokes") == 0
    capsys.readouterr()
    assert styles("list") == 0
    listed = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert len(listed) == len(PAINTINGS) + 3
    assert [(listed[i][0], listed[i][2]) for i in (-3, -2)] == [tuple(each) for each in added]
    for _ in range(2):  # the second time from the library's statistics
        code = stylize("content.jpg", "style.png", "--saved", "Other", "-o", "out.png")
        assert code == 0
        expected = stylizer.stylize(photo(), [style, other_style])
        assert difference(read_image("out.png"), expected) == 0
    assert styles("remove", added[0][0], "SLANTED strokes") == 0
    capsys.readouterr()
    assert styles("list") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PAINTINGS) + 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "missing.png"), "missing.png"),
        (("add", "text.txt"), "text.txt: these bytes are no"),
        (("add", "style.png", "--name", ""), "style.png: the length of the name"),
        (("add", "style.png", "other.png", "--name", "a"), "--name names one picture"),
        (("add", "style.png", "--name", PAINTINGS[0].name), "choose another name"),
        (("remove", PAINTINGS[0].name, "nothing"), "no style 'nothing'"),
    ],
)
def test_styles_that_cannot_be_added_or_removed(capsys, arguments, said):
    Path("text.txt").write_text("text")
    assert styles(*arguments) == 1
    assert said in capsys.readouterr().err
    assert styles("list") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PAINTINGS), "nothing has changed"


def test_a_library_that_cannot_be_used(capsys, caplog, monkeypatch):
    Path("file").write_text("")
    monkeypatch.setenv("ADAIN_DATA_DIR", "file/folder")
    assert styles("list") == 1
    assert "ADAIN_DATA_DIR" in capsys.readouterr().err
    assert "file/folder" in caplog.text


def test_no_style_at_all(capsys):
    assert "--saved NAME" in fails(capsys, "content.jpg")


def test_an_unknown_saved_style(capsys):
    assert "no style 'nothing'" in fails(capsys, "content.jpg", "--saved", "nothing")


def test_a_picture_in_tiles_shows_a_progress_bar(capsys, monkeypatch, stylizer, style):
    monkeypatch.setattr("model.stylizer.MAX_UNTILED_PIXELS", 32 * 32)
    monkeypatch.setattr("model.stylizer.TILE", 32)
    assert stylize("content.jpg", "style.png", "-o", "out.png") == 0
    assert "/4 [" not in capsys.readouterr().err, "it does not take long"
    monkeypatch.setattr("app.commands.painters.BAR_DELAY", 0)
    assert stylize("content.jpg", "style.png", "-o", "out.png") == 0
    assert "/4 [" in capsys.readouterr().err


@pytest.mark.slow
def test_a_refinement_starts_from_adain_and_ends_in_its_time(capsys, stylizer, style):
    assert stylize("content.jpg", "style.png", "--refine", "4", "-o", "out.png") == 0
    assert "%" in capsys.readouterr().err, "a bar shows how far it is"
    plain = stylizer.stylize(photo(), style)
    assert difference(read_image("out.png"), plain) > 0.5


def test_optimisation_with_every_setting():
    code = stylize(
        "content.jpg", "style.png", "other.png", "-o", "out.png", "--method", "optimize",
        "--steps", "4", "--seconds", "20", "--initial", "noise", "--optimizer", "adam", "--scales",
        "1", "--content-weight", "2", "--style-weight", "5", "--smoothness", "0", "--style-by",
        "statistics", "--content-tap", "relu3_1", "--style-tap", "relu1_1", "--style-tap",
        "relu2_2", "--pooling", "average", "--seed", "3", "--weight", "3", "--weight", "1",
    )  # fmt: skip
    assert code == 0
    assert read_image("out.png").size == (96, 64)


@pytest.mark.slow
def test_optimisation_of_a_folder_in_a_saved_style():
    Path("many").mkdir()
    for seed in range(2):
        Path(f"many/{seed}.png").write_bytes(encoded(photo(seed=seed)))
    saved = ["--saved", PAINTINGS[0].name, "--method", "optimize", "--steps", "2"]
    assert stylize("many", *saved, "-o", "out") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["0.png", "1.png"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--refine", "-1"], "--refine must be at least 0"),
        (["--refine", "nan"], "--refine must be"),
        (["--refine", "1", "--method", "optimize"], "choose it, or --method optimize"),
        (["--method", "optimize", "--steps", "0"], "--steps must be at least 1"),
        (["--method", "optimize", "--scales", "9"], "--scales must be from 1 to 8"),
        (["--method", "optimize", "--style-weight", "-1"], "--style-weight must be"),
        (["--method", "optimize", "--style-tap", "relu9_1"], "has no relu9_1; choose from relu1_1"),
        (["--method", "optimize", "--scales", "3"], "choose fewer"),
    ],
)
def test_wrong_settings_of_an_optimisation(capsys, arguments, said):
    assert said in fails(capsys, "content.jpg", "style.png", *arguments)
    assert not Path("content-stylized.png").exists()


def interrupted(sight, *arguments):
    """Interrupt a real process, once its bar shows what is looked for; what it wrote."""
    command = [Path(sys.executable).with_name("adain"), "stylize", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    shown = b""
    while sight not in shown:
        assert process.poll() is None, shown.decode()
        shown += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    return output, errors


@pytest.mark.slow
def test_ctrl_c_keeps_the_picture_so_far(folder):
    refine = ["--refine", "60", "--style-size", "64", "-o", "out.png"]
    output, _ = interrupted(b"step=", "content.jpg", "style.png", *refine)
    assert output == b"out.png\n"
    assert read_image("out.png").size == (96, 64)


@pytest.mark.slow
def test_ctrl_c_ends_a_large_picture_in_its_middle(folder):
    Path("large.png").write_bytes(encoded(photo(3000, 3000)))
    small = ["--style-size", "64", "-o", "out.png"]
    _, errors = interrupted(b"part", "large.png", "style.png", *small)
    assert errors.endswith(b"adain: interrupted\n")
    assert not Path("out.png").exists()


@pytest.mark.slow
def test_explain_paints_a_figure(capsys):
    assert main(["explain", "style.png", "--size", "64", "--steps", "2"]) == 0
    assert capsys.readouterr().out == "style-explained.png\n"
    figure = read_image("style-explained.png")
    # The picture and four layers across, contents above styles.
    assert figure.width > 5 * 64
    assert figure.height > 2 * 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.png"], "nothing.png"),
        (["style.png", "--layer", "relu9_1"], "has no relu9_1"),
        (["style.png", "--size", "8"], "--size must be at least 64"),
        (["style.png", "--steps", "0"], "--steps must be at least 1"),
        (["style.png", "-o", "style.png"], "choose another -o"),
        (["style.png", "-o", "out.gif"], "must end in .png"),
    ],
)
def test_explain_refuses(capsys, arguments, said):
    assert main(["explain", *arguments]) == 1
    assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file of a network with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "style_network.safetensors"
    save_style_network(StyleNetwork(["ink", "oil"]), path)
    return path


def test_a_network_of_some_styles(network):
    paint = ["--method", "network", "--network", str(network)]
    assert stylize("content.jpg", *paint, "--style-name", "oil", "-o", "oil.png") == 0
    both = ["--style-name", "oil", "--style-name", "ink", "--weight", "3", "--weight", "1"]
    assert stylize("content.jpg", *paint, *both, "-o", "both.png") == 0
    one = load_style_network(network).select(["oil"]).eval()
    plan = Painting.plan(photo(), 1)
    assert difference(read_image("oil.png"), plan.finish(one.paint(plan))) < 0.01


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--style-name", "silk"], "no style 'silk'; choose from ink, oil"),
        ([], "goes with --style-name"),
        (["--style-name", "ink", "--saved", "x"], "takes the place of style pictures"),
        (["--style-name", "ink", "--network", "nothing"], "needs --network FILE"),
        (["--style-name", "ink", "--refine", "1"], "--refine starts from AdaIN's result"),
    ],
)
def test_a_network_is_asked_for_wrongly(capsys, network, arguments, said):
    paint = ["--method", "network", "--network", str(network)]
    assert said in fails(capsys, "content.jpg", *paint, *arguments)


def test_the_styles_of_a_network_need_it(capsys):
    assert "goes with --style-name" in fails(capsys, "content.jpg", "--style-name", "ink")
    named = ["--method", "network", "--style-name", "ink"]
    assert "needs --network FILE" in fails(capsys, "content.jpg", *named)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["styles", "list"]])
def test_a_command_that_needs_no_model_imports_no_torch(arguments):
    code = (
        "import sys\nfrom app.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("output", ["nowhere/out.png", "content.jpg/out.png"])
def test_an_output_that_cannot_be_written_is_found_out_before_the_work(capsys, output, monkeypatch):
    monkeypatch.setattr("app.commands.stylize.painter", lambda *_: pytest.fail("work was begun"))
    assert "no such folder" in fails(capsys, "content.jpg", "style.png", "-o", output)


def test_hidden_files_of_a_folder_are_left_alone(capsys):
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(encoded(photo()))
    Path("photos/._a.png").write_bytes(b"what macOS writes")
    assert stylize("photos", "style.png", "-o", "out") == 0
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_a_name_as_long_as_the_file_system_allows():
    name = "n" * 251 + ".png"
    Path("photos").mkdir()
    Path(f"photos/{name}").write_bytes(encoded(photo()))
    assert stylize("photos", "style.png", "-o", "out") == 0
    assert [path.name for path in Path("out").iterdir()] == [name]


def test_numbers_of_many_digits_are_refused(capsys):
    assert "--size must be at least 16" in fails(
        capsys, "content.jpg", "style.png", "--size", "-1" + "0" * 400
    )


def run_adain(*arguments, **options):
    command = [sys.executable, "-m", "app.cli", *arguments]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), **options.pop("env", {})}
    return subprocess.run(
        command, capture_output=True, env={**os.environ, **environment}, check=False, **options
    )


def test_names_that_the_terminal_cannot_show_are_no_failure():
    assert main(["styles", "add", "style.png", "--name", "Nacht \u2605"]) == 0
    done = run_adain("styles", "list", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert b"Nacht \\u2605" in done.stdout


def test_a_closed_pipe_ends_quietly():
    command = f"{sys.executable} -m app.cli styles list | true"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment, check=False)
    assert done.stderr == b""


@pytest.mark.slow
def test_a_port_in_use_is_told_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_adain("serve", "--port", port)
    assert done.returncode == 1
    assert done.stdout == b""
    assert f"cannot listen on 127.0.0.1 port {port}: ".encode() in done.stderr
    assert len(done.stderr.splitlines()) == 1
