"""Tiles: the same picture as at once, in the memory of a tile."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from model.adain import channel_statistics
from model.errors import DeviceError, ParameterError
from model.pixels import STRIDE, to_tensor
from model.style import measure
from model.tiling import HALO, RunningStatistics, RunningStyle, Window, windows
from tests.pictures import noise, photo


def assert_same(tiled, whole, most=1):
    """Equal but for rounding: no pixel differs by more than `most` levels of 255."""
    assert tiled.size == whole.size
    levels = np.abs(np.asarray(tiled, int) - np.asarray(whole, int))
    assert levels.max() <= most
    assert (levels > 0).mean() < 1e-3


# The largest tiles of these are several a side, the smallest narrower than their halo.
@pytest.mark.slow
@pytest.mark.parametrize("size", [(200, 150), (137, 261), (64, 400), (300, 17), (1, 500)])
@pytest.mark.parametrize("tile", [64, 104])
def test_tiles_give_the_picture_that_the_whole_gives(stylizer, style, size, tile):
    content = noise(*size)
    tiled = stylizer.stylize(content, style, tile=tile)
    assert_same(tiled, stylizer.stylize(content, style))


@pytest.mark.slow
def test_tiles_follow_every_control(stylizer, style, other_style):
    content = photo(300, 200)
    content.putalpha(Image.radial_gradient("L").resize(content.size))
    mask = Image.linear_gradient("L").resize(content.size)
    controls = {
        "weights": [3, 1],
        "alpha": 0.7,
        "masks": [mask, Image.eval(mask, lambda level: 255 - level)],
        "preserve_color": True,
        "detail": 0.5,
        "size": 350,
    }
    styles = [style, other_style]
    tiled = stylizer.stylize(content, styles, tile=96, **controls)
    assert tiled.mode == "RGBA"
    # The content's colours are put on what is already rounded to 8 bits, and can double a level.
    assert_same(tiled, stylizer.stylize(content, styles, **controls), most=2)


@pytest.mark.slow
def test_a_region_within_one_tile(stylizer, style):
    content = photo(300, 200)
    mask = Image.new("L", content.size)
    mask.paste(255, (10, 10, 50, 50))
    tiled = stylizer.stylize(content, style, masks=[mask], tile=64)
    assert_same(tiled, stylizer.stylize(content, style, masks=[mask]))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["encoder", "decoder"])
def test_without_its_halo_a_tile_would_show(stylizer, style, monkeypatch, which):
    """The halos are needed, and less is too little."""
    content = noise(300, 210)
    whole = stylizer.stylize(content, style)
    if which == "encoder":
        monkeypatch.setattr("model.tiling.HALO", HALO // 2)
    else:
        monkeypatch.setattr(type(stylizer.decoder), "halo", stylizer.decoder.halo // 2)
    tiled = stylizer.stylize(content, style, tile=64)
    assert np.abs(np.asarray(tiled, int) - np.asarray(whole, int)).max() > 1


@pytest.mark.parametrize(("height", "width", "side"), [(1, 1, 8), (7, 30, 8), (9, 17, 4)])
def test_windows_cover_every_position_once(height, width, side):
    covered = torch.zeros(1, 1, height, width)
    for window in windows(height, width, side):
        window.of(covered, 1).add_(1)
        assert max(window.bottom - window.top, window.right - window.left) <= side
    assert covered.eq(1).all()


def test_a_halo_ends_where_the_picture_does():
    assert Window(0, 8, 8, 16).grown(4, 40, 17) == Window(0, 4, 12, 17)
    rows, columns = Window(1, 2, 3, 4).slices()
    assert (rows.start, columns.stop) == (STRIDE, 4 * STRIDE)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_in_parts_equal_those_of_the_whole(weighted):
    generator = torch.Generator().manual_seed(0)
    # Far from zero against its spread: where a sum of squares would lose its digits.
    features = 1000 + torch.rand(1, 5, 24, 40, generator=generator)
    region = torch.rand(1, 1, 24, 40, generator=generator).round(decimals=1) if weighted else None
    running = RunningStatistics()
    for window in windows(24, 40, 7):
        part = None if region is None else window.of(region, 1)
        running.add(window.of(features, 1), part)
    whole = channel_statistics(features.double().float(), region)
    torch.testing.assert_close(running.result().mean, whole.mean)
    torch.testing.assert_close(running.result().std, whole.std, rtol=1e-3, atol=0)


def test_a_style_measured_in_parts_equals_that_of_the_whole(stylizer):
    image = to_tensor(np.asarray(photo(96, 64)))
    region = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    taps = stylizer.encoder(image)
    for of in (None, region):
        running = RunningStyle()
        for window in windows(8, 12, 5):
            parts = [window.of(tap, STRIDE >> level) for level, tap in enumerate(taps)]
            own = None if of is None else window.of(of, STRIDE)
            running.add(window.of(image, STRIDE), parts, own)
        whole = measure(image, taps, of).tensors()
        for name, tensor in running.result().tensors().items():
            torch.testing.assert_close(tensor, whole[name], rtol=1e-3, atol=1e-5)


def test_an_empty_region_has_finite_statistics():
    running = RunningStatistics()
    running.add(torch.rand(1, 5, 4, 4), torch.zeros(1, 1, 4, 4))
    assert running.result().mean.isfinite().all()
    assert running.result().std.shape == (1, 5, 1, 1)


def test_progress_is_told_and_an_error_from_it_ends_the_work(stylizer, style):
    told = []

    def listen(done, total):
        told.append((done, total))
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.stylize(noise(160, 100), style, tile=64, on_part=listen)
    assert told == [(n, 12) for n in range(1, 8)]
    told.clear()
    stylizer.stylize(noise(40, 30), style, on_part=listen)
    assert told == [(1, 2), (2, 2)]
    told.clear()
    halves = [Image.new("L", (40, 30), shade) for shade in (255, 128)]
    stylizer.stylize(noise(40, 30), [style, style], masks=halves, on_part=listen)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_tile_has_a_least_size(stylizer, style):
    with pytest.raises(ParameterError, match="tile must be at least 64"):
        stylizer.stylize(photo(), style, tile=63)


@pytest.mark.parametrize("fits", [768, 384, None])
def test_what_does_not_fit_at_once_is_painted_in_tiles(stylizer, style, monkeypatch, fits):
    """The memory suffices for a tile of `fits` pixels; PyTorch says so in this error."""
    painted = []
    halo = STRIDE * (HALO + stylizer.decoder.halo)
    encode = stylizer._contents.encode

    def encode_within(pixels):
        painted.append(pixels.shape)
        if fits is None or pixels.shape[1] > fits + 2 * halo:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte")
        return encode(pixels)

    monkeypatch.setattr(stylizer._contents, "encode", encode_within)
    content = noise(1200, 24)
    if fits is None:
        with pytest.raises(DeviceError, match="does not fit the memory"):
            stylizer.stylize(content, style)
        return
    assert stylizer.stylize(content, style).size == content.size
    assert painted[0] == (24, 1200, 3)
    assert max(shape[1] for shape in painted[-4:]) <= fits + 2 * halo


PEAK = """
import sys
from pathlib import Path
from model import Stylizer
from tests.pictures import photo

def peak():
    # Not getrusage's, which a new process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

stylizer = Stylizer.load(device="cpu", precision="float32")
content = photo(900, 900)
style = stylizer.encode_style(content, style_size=64)
before = peak()
stylizer.stylize(content, style, tile=int(sys.argv[1]))
print(peak() - before)
"""


@pytest.mark.slow
def test_memory_is_that_of_a_tile():
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", PEAK, tile], check=True, capture_output=True
            ).stdout
        )
        for tile in ("128", "1000")
    ]
    assert peaks[0] < peaks[1] / 3
