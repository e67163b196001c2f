"""Samples of all kinds: the right picture or a refusal that says why, never another picture."""

import io
import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from model.errors import UnsupportedImageError
from model.images import read_image

Y, X = np.mgrid[:24, :32]
GREY = 0.7 * X / 31 + 0.3 * Y / 23
RGB = np.stack([X / 31, Y / 23, 1 - X / 31], -1)
FLOATS = {"float16": np.float16, "float32": np.float32, "float64": np.float64}
KINDS = [*itertools.product((4, 8, 12, 16, 32), ("minisblack", "miniswhite", "rgb")),
         *itertools.product(FLOATS, ("minisblack", "miniswhite", "rgb"))]  # fmt: skip
# Of each kind, what is known to be read.
READ = {
    (4, "minisblack"), (4, "miniswhite"), (8, "minisblack"), (8, "miniswhite"), (8, "rgb"),
    (16, "minisblack"), (16, "rgb"), ("float32", "minisblack"), ("float32", "miniswhite"),
}  # fmt: skip
READ_LITTLE_ENDIAN = READ | {(12, "minisblack"), (16, "miniswhite"), (32, "minisblack")}


def tiff(kind, photometric, order, planes, compression) -> bytes:
    """A gradient in a TIFF file."""
    values = RGB if photometric == "rgb" else GREY
    values = 1 - values if photometric == "miniswhite" else values
    options = {}
    if kind in FLOATS:
        array = values.astype(FLOATS[kind])
    else:
        dtype = np.uint8 if kind <= 8 else np.uint16 if kind <= 16 else np.uint32
        array = np.rint(values * (2.0**kind - 1)).astype(dtype)
        options = {"bitspersample": kind} if kind in (4, 12) else {}
    if planes == "separate":
        array = np.moveaxis(array, -1, 0)
    file = io.BytesIO()
    tifffile.imwrite(
        file, array, byteorder=order, photometric=photometric, compression=compression,
        planarconfig=planes if photometric == "rgb" else None, **options,
    )  # fmt: skip
    return file.getvalue()


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "photometric"), KINDS)
def test_a_tiff_is_read_as_it_is_meant_or_refused(kind, photometric, order, planes, compression):
    if photometric != "rgb" and planes == "separate":
        pytest.skip("one channel has one plane")
    if (kind in (4, 12) and photometric == "rgb") or (kind in (4, 12) and compression):
        pytest.skip("tifffile does not write it")
    data = tiff(kind, photometric, order, planes, compression)
    expected = 255 * (RGB if photometric == "rgb" else np.stack([GREY] * 3, -1))
    swapped = kind == "float32" and order == ">" and compression
    separate = kind != 8 and planes == "separate"
    read = READ_LITTLE_ENDIAN if order == "<" else READ
    if (kind, photometric) not in read or swapped or separate:
        with pytest.raises(UnsupportedImageError, match=r"a TIFF picture with .* is not supported"):
            read_image(data)
    else:
        difference = np.abs(np.asarray(read_image(data), float) - expected)
        assert difference.max() <= (9 if kind == 4 else 2)


def test_grey_and_alpha_of_16_bits_is_refused_with_the_true_reason():
    file = io.BytesIO()
    pair = np.rint(np.stack([GREY, 1 - GREY], -1) * 65535).astype(np.uint16)
    tifffile.imwrite(file, pair, photometric="minisblack", extrasamples=["unassalpha"])
    with pytest.raises(UnsupportedImageError, match="2 channels of 16-bit unsigned samples"):
        read_image(file.getvalue())


def test_a_tiff_that_is_corrected_keeps_its_orientation():
    values = np.rint((1 - GREY) * 65535).astype(np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="miniswhite", extratags=[(274, 3, 1, 6, True)])
    assert read_image(file.getvalue()).size == (24, 32)


def png(mode: str, bits: int, transparent) -> bytes:
    """A grey or coloured PNG file whose left half has the transparent colour."""
    file = io.BytesIO()
    if mode == "grey":
        levels = np.full((8, 8), 2**bits - 2, np.uint16)
        levels[:, :4] = transparent
        if bits == 16:
            Image.fromarray(levels).save(file, "PNG", transparency=transparent)
            return file.getvalue()
        rows = b"".join(b"\0" + pack(row, bits) for row in levels)
        return assemble(8, 8, bits, 0, rows, transparent.to_bytes(2, "big"))
    values = np.full((8, 8, 3), 60000, ">u2")
    values[:, :4] = transparent
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return assemble(8, 8, 16, 2, rows, np.array(transparent, ">u2").tobytes())


def pack(row, bits) -> bytes:
    text = "".join(format(int(level), f"0{bits}b") for level in row)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def assemble(width, height, bits, color, rows, transparent) -> bytes:
    import zlib

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, color, 0, 0, 0])
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(8)
    for name, body in ((b"IHDR", header), (b"tRNS", transparent),
                       (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):  # fmt: skip
        PngImagePlugin.putchunk(file, name, body)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "bits", "transparent"),
    [("grey", 2, 1), ("grey", 4, 3), ("grey", 8, 3), ("grey", 16, 777), ("rgb", 16, (1, 2, 3))],
)
def test_the_transparent_colour_of_a_png_is_transparent_at_every_depth(mode, bits, transparent):
    picture = read_image(png(mode, bits, transparent))
    assert picture.mode == "RGBA"
    alpha = np.asarray(picture.getchannel("A"))
    assert (alpha[:, :4] == 0).all()
    assert (alpha[:, 4:] == 255).all()


@pytest.mark.parametrize("compressed", [False, True])
def test_a_long_text_in_a_png_does_not_cost_the_picture(compressed):
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("workflow", "{}" * 2**20, zip=compressed)
    Image.new("RGB", (8, 8), "red").save(file, "PNG", pnginfo=info)
    assert read_image(file.getvalue()).getpixel((0, 0)) == (255, 0, 0)
