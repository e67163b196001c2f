"""Results of 16 bits a channel: what the networks compute, and files that other programs read."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image

import model.stylizer
from model.controls import Controls
from model.deep import encode_deep, shallow
from model.errors import ParameterError
from model.images import encode_image, read_image
from model.metadata import NONE, metadata_of_result, read_metadata, read_recipe
from model.networks.style_network import StyleNetwork
from model.painting import Painting
from tests.model.test_metadata import TAKEN, from_camera, opened
from tests.pictures import difference, photo

RECIPE = {"adain": "0.1.0", "depth": 16, "styles": [{"name": "Übung"}]}


def paint(stylizer, style, content, **controls):
    plan = Painting.plan(content, 1, Controls(**controls))
    [pixels] = stylizer.paint([plan], [[style]])
    return plan.finish(pixels)


def both(stylizer, style, content, **controls):
    """A result of 16 bits, and the same of 8."""
    deep = paint(stylizer, style, content, depth=16, **controls)
    assert deep.dtype == np.uint16
    return deep, paint(stylizer, style, content, **controls)


def pixels(channels):
    return np.random.default_rng(0).integers(0, 2**16, (5, 7, channels), np.uint16)


def test_a_result_of_16_bits_is_that_of_8_with_all_that_the_networks_compute(stylizer, style):
    deep, plain = both(stylizer, style, photo())
    assert np.array_equal(np.rint(deep / 257), np.asarray(plain))
    assert len(np.unique(deep)) > 10 * len(np.unique(np.asarray(plain)))
    assert difference(shallow(deep), plain) == 0


@pytest.mark.parametrize(
    "controls",
    [
        {"preserve_color": True},
        {"alpha": 0.3, "size": 48},
        {"masks": [Image.linear_gradient("L").resize((96, 64))]},
    ],
)
def test_it_follows_every_control(stylizer, style, controls):
    deep, plain = both(stylizer, style, photo(), **controls)
    assert np.abs(deep / 257 - np.asarray(plain)).max() < 2.01


def test_a_style_network_has_it_too():
    torch.manual_seed(0)
    network = StyleNetwork(["ink"]).eval()
    plans = [Painting.plan(photo(), 1, Controls(depth=depth)) for depth in (16, 8)]
    deep, plain = (plan.finish(network.paint(plan)) for plan in plans)
    assert np.array_equal(np.rint(deep / 257), np.asarray(plain))


def test_it_has_the_contents_opacity(stylizer, style):
    content = photo()
    content.putalpha(Image.linear_gradient("L").resize(content.size))
    deep, plain = both(stylizer, style, content)
    assert deep.shape == (64, 96, 4)
    assert np.array_equal(deep[..., 3], 257 * np.asarray(plain.getchannel("A"), np.uint16))


@pytest.mark.slow
def test_tiles_and_batches_have_it_too(stylizer, style, monkeypatch):
    content = photo(200, 136)
    whole = paint(stylizer, style, content, depth=16).astype(int)
    plans = [Painting.plan(content, 1, Controls(depth=depth)) for depth in (16, 8)]
    deep, plain = stylizer.paint(plans, [[style]] * 2)
    assert np.abs(plans[0].finish(deep) - whole).max() < 300
    assert plain.dtype == np.uint8
    monkeypatch.setattr(model.stylizer, "MAX_UNTILED_PIXELS", 1)
    monkeypatch.setattr(model.stylizer, "TILE", 128)
    tiled = paint(stylizer, style, content, depth=16)
    assert np.abs(tiled - whole).mean() < 3


@pytest.mark.parametrize("channels", [3, 4])
def test_files_are_read_by_other_programs(channels):
    written = pixels(channels)
    assert np.array_equal(imagecodecs.png_decode(encode_deep(written, "png", NONE)), written)
    file = io.BytesIO(encode_deep(written, "tiff", NONE))
    assert np.array_equal(tifffile.imread(file), written)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_metadata_go_with_them(format):
    source = read_metadata(from_camera(dpi=(300, 300)))
    own = metadata_of_result(source, (7, 5), RECIPE, keep_gps=True)
    file = encode_image(pixels(3), format, metadata=own)
    assert read_recipe(file) == RECIPE
    assert read_metadata(file).dpi == pytest.approx((300, 300), rel=1e-3)
    exif, details, place = opened(file)
    assert exif[ExifTags.Base.Artist] == "Somebody"
    assert details[ExifTags.Base.DateTimeOriginal] == TAKEN
    assert place[1] == "N"
    assert read_image(file).size == (7, 5)


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_other_formats_are_refused(format):
    with pytest.raises(ParameterError, match=f"written as png or tiff, and not as {format}"):
        encode_image(pixels(3), format)


def test_other_depths_are_refused():
    with pytest.raises(ParameterError, match="depth must be 8 or 16, and is 12"):
        Painting.plan(photo(), 1, Controls(depth=12))
