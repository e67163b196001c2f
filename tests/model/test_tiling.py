"""Tiles: the same picture as at once, in the memory of a tile."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from model.adain import channel_statistics
from model.errors import DeviceError, ParameterError
from model.networks.decoder import Decoder
from model.pixels import STRIDE, to_tensor
from model.style import measure
from model.tiling import HALO, RunningStatistics, RunningStyle, Window, tiles
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


@pytest.mark.parametrize("halo", [0, 10])
@pytest.mark.parametrize(
    ("height", "width", "side"), [(1, 1, 8), (7, 30, 8), (9, 17, 4), (64, 131, 24), (97, 250, 32)]
)
def test_tiles_cover_every_position_once_with_their_halos(height, width, side, halo):
    covered = torch.zeros(height, width)
    for inner, seen, outer in tiles(height, width, side, halo):
        covered[inner.slices(1)] += 1
        for window, margin in ((seen, halo), (outer, halo + HALO)):
            # A margin ends where the picture does.
            assert window.top <= max(inner.top - margin, 0)
            assert window.left <= max(inner.left - margin, 0)
            assert height >= window.bottom >= min(inner.bottom + margin, height)
            assert width >= window.right >= min(inner.right + margin, width)
        most = side + 2 * (halo + HALO)
        assert max(outer.bottom - outer.top, outer.right - outer.left) <= most
    assert covered.eq(1).all()


@pytest.mark.parametrize(("height", "width"), [(100, 384), (131, 97), (384, 385)])
def test_all_tiles_of_a_picture_are_computed_in_one_shape(height, width):
    """Each further shape costs memory: see `tiles`."""
    parts = tiles(height, width, 32, 10)
    assert len(parts) > 8
    for windows in ([part.seen for part in parts], [part.outer for part in parts]):
        assert len({(each.bottom - each.top, each.right - each.left) for each in windows}) == 1


def test_a_window_of_pixels():
    rows, columns = Window(1, 2, 3, 4).slices()
    assert (rows.start, columns.stop) == (STRIDE, 4 * STRIDE)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_in_parts_equal_those_of_the_whole(weighted):
    generator = torch.Generator().manual_seed(0)
    # Far from zero against its spread: where a sum of squares would lose its digits.
    features = 1000 + torch.rand(1, 5, 24, 40, generator=generator)
    region = torch.rand(1, 1, 24, 40, generator=generator).round(decimals=1) if weighted else None
    running = RunningStatistics()
    for window, _, _ in tiles(24, 40, 7):
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
        for window, _, _ in tiles(8, 12, 5):
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
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylizer.stylize(noise(300, 100), style, tile=64, on_part=listen)
    assert told == [(n, 15) for n in range(1, 9)]
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
from PIL import Image
from model import Stylizer
from model.allocator import release_freed_memory

def memory(name):
    # Not getrusage's peak, which a new process inherits from the one that started it.
    return int(Path("/proc/self/status").read_text().partition(name + ":")[2].split()[0])

side, tile = map(int, sys.argv[1:])
stylizer = Stylizer.load(device="cpu", precision="float32")
style = stylizer.encode_style(Image.new("RGB", (64, 64)), style_size=64)
release_freed_memory()
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak
stylizer.stylize(Image.new("RGB", (side, side)), style, tile=tile)
print(memory("VmHWM") - before)
"""


@pytest.mark.slow
def test_memory_is_that_of_a_tile():
    tile = 128

    def peak(side, tile):
        command = [sys.executable, "-c", PEAK, str(side), str(tile)]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    computed = tile + 2 * STRIDE * (HALO + Decoder.halo)
    tiled = peak(7 * tile, tile)
    assert tiled < peak(7 * tile, 1000) / 3
    assert tiled < 1.5 * peak(computed, computed)
