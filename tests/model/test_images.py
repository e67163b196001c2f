import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from model.errors import CorruptImageError, ImageTooLargeError, UnsupportedImageError
from model.images import encode_image, flatten, normalize, read_image, to_mask
from model.pixels import pad, to_pixels, to_tensor
from model.scaling import resize_longest, resize_shortest
from tests.pictures import SRGB_RED, difference, encoded, noise, photo

ORIENTATION = 0x0112
ALL_FORMATS = ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"]


def swapped_profile():
    """An RGB profile whose red and green primaries have changed places."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


def png_claiming(width, height):
    """A PNG whose header announces a size that its data does not have."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ALL_FORMATS)
def test_every_format_is_read(format):
    image = read_image(encoded(photo(), format))
    assert (image.mode, image.size) == ("RGB", (96, 64))
    assert difference(image, photo()) < 12


def test_a_path_is_read_whatever_its_suffix(tmp_path):
    path = tmp_path / "photo.txt"
    path.write_bytes(encoded(photo()))
    assert difference(read_image(path), photo()) == 0


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(format, orientation):
    upright = photo(64, 32)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    # How the camera held it: the picture that this orientation turns upright.
    methods = Image.Transpose
    stored = upright
    if orientation > 1:
        stored = upright.transpose(
            {
                2: methods.FLIP_LEFT_RIGHT,
                3: methods.ROTATE_180,
                4: methods.FLIP_TOP_BOTTOM,
                5: methods.TRANSPOSE,
                6: methods.ROTATE_90,
                7: methods.TRANSVERSE,
                8: methods.ROTATE_270,
            }[orientation]
        )
    image = read_image(encoded(stored, format, exif=exif))
    assert image.size == upright.size
    assert difference(image, upright) < 12


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff"]
)
def test_damaged_exif_is_ignored(exif):
    assert difference(read_image(encoded(photo(), "PNG", exif=exif)), photo()) == 0


def test_palette_with_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    read = read_image(encoded(image, "PNG", transparency=1))
    assert read.mode == "RGBA"
    assert (read.getpixel((0, 0)), read.getpixel((1, 0))) == ((255, 0, 0, 255), (0, 0, 255, 0))


def test_grey_with_alpha():
    image = read_image(encoded(Image.new("LA", (1, 1), (100, 50))))
    assert image.getpixel((0, 0)) == (100, 100, 100, 50)


def test_rgb_with_a_transparent_color():
    read = read_image(encoded(Image.new("RGB", (1, 1), SRGB_RED), "PNG", transparency=SRGB_RED))
    assert read.getpixel((0, 0)) == (255, 0, 0, 0)


def test_one_bit():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    read = read_image(encoded(image))
    assert (read.getpixel((0, 0)), read.getpixel((1, 0))) == ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(format):
    values = np.array([[0, 255, 32768, 65535]], np.uint16)
    read = read_image(encoded(Image.fromarray(values), format))
    assert [read.getpixel((x, 0))[0] for x in range(4)] == [0, 1, 128, 255]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_32_bit_grey_is_stretched_to_its_range(dtype):
    values = np.array([[-1000, 0, 1000]], dtype)
    read = read_image(encoded(Image.fromarray(values), "TIFF"))
    assert [read.getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def test_cmyk():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for name in ("JPEG", "TIFF"):
        red, green, blue = read_image(encoded(cmyk, name)).getpixel((8, 8))
        assert red > 200, name
        assert max(green, blue) < 60, name


def test_lab():
    grey = Image.new("LAB", (4, 4), (128, 128, 128))
    red, green, blue = read_image(encoded(grey, "TIFF")).getpixel((0, 0))
    assert max(red, green, blue) - min(red, green, blue) < 8
    assert 100 < green < 140


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_colour_profile_is_applied(format):
    red = Image.new("RGB", (16, 16), SRGB_RED)
    r, g, b = read_image(encoded(red, format, icc_profile=swapped_profile())).getpixel((8, 8))
    assert g > 200
    assert max(r, b) < 60


def test_a_profile_keeps_the_transparency():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 77))
    read = read_image(encoded(image, icc_profile=swapped_profile()))
    assert read.getpixel((0, 0))[3] == 77
    assert read.getpixel((0, 0))[1] > 200


@pytest.mark.parametrize("profile", [b"broken", swapped_profile()[:300], b"\0" * 3000])
def test_a_broken_profile_is_ignored(profile):
    assert difference(read_image(encoded(photo(), icc_profile=profile)), photo()) == 0


def test_a_profile_of_another_colour_space_is_ignored():
    grey = photo().convert("L")
    read = read_image(encoded(grey, icc_profile=swapped_profile()))
    assert difference(read, grey.convert("RGB")) == 0


def test_a_phones_mpo_is_its_first_picture():
    data = encoded(photo(), "MPO", save_all=True, append_images=[noise(96, 64)])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert difference(read_image(data), photo()) < 12


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_its_first_frame(format):
    data = encoded(photo(), format, save_all=True, append_images=[noise(96, 64)])
    assert difference(read_image(data), photo()) < 12


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes_are_read(size):
    assert read_image(encoded(Image.new("RGB", size))).size == size


def test_normalizing_twice_changes_nothing():
    image = normalize(photo().convert("RGBA"))
    again = normalize(image)
    assert again.mode == image.mode
    assert difference(again, image) == 0


def test_an_empty_file_is_refused():
    with pytest.raises(CorruptImageError, match="empty"):
        read_image(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am no picture at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n%....",
        b"P6 1 1 255 abc",
        b"\0\0\1\0\1\0\1\1\0\0\1\0\x18\0",
        bytes(1000),
    ],
    ids=["text", "svg", "pdf", "ppm", "ico", "zeros"],
)
def test_what_is_no_allowed_format_is_refused(data):
    with pytest.raises(UnsupportedImageError, match="no JPEG, PNG"):
        read_image(data)


@pytest.mark.parametrize("format", ALL_FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_refused(format, share):
    data = encoded(noise(96, 64), format)
    with pytest.raises(CorruptImageError, match="cut off or damaged"):
        read_image(data[: max(16, int(share * len(data)))])


def test_a_lying_header_is_refused():
    with pytest.raises(CorruptImageError):
        read_image(png_claiming(500, 500))


def test_the_pixel_limit_is_checked_before_decoding():
    with pytest.raises(ImageTooLargeError, match="5000x9000") as caught:
        read_image(png_claiming(5000, 9000))
    assert (caught.value.limit, caught.value.value) == (40_000_000, 45_000_000)


@pytest.mark.parametrize("side", [40_000, 60_000])
def test_decompression_bombs_are_refused(side):
    with pytest.raises(ImageTooLargeError, match="more than the limit"):
        read_image(png_claiming(side, side), max_pixels=10**12)


def test_the_pixel_limit_can_be_set():
    data = encoded(photo(96, 64))
    assert read_image(data, max_pixels=96 * 64)
    with pytest.raises(ImageTooLargeError, match="more than the limit of 6143 pixels"):
        read_image(data, max_pixels=96 * 64 - 1)


def test_tensors_hold_the_pixels():
    pixels = np.asarray(photo())
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 64, 96)
    assert tensor[0, 1, 5, 7].item() == pytest.approx(pixels[5, 7, 1] / 255)
    assert difference(Image.fromarray(to_pixels(tensor)), photo()) == 0


def test_values_outside_the_range_are_clipped():
    import torch

    image = Image.fromarray(to_pixels(torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1)))
    assert image.getpixel((0, 0)) == (0, 128, 255)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 16), (17, 40)])
def test_padding_reflects_to_sides_that_fit(size):
    pixels = pad(photo(*size), 8, 16)
    assert all(side % 8 == 0 and side >= 16 for side in pixels.shape[:2])
    assert np.array_equal(pixels[: size[1], : size[0]], np.asarray(photo(*size)))
    if size == (17, 40):
        assert np.array_equal(pixels[:, 17], pixels[:, 15])


def test_resizing_by_the_longest_and_the_shortest_side():
    assert resize_longest(photo(100, 50), 40).size == (40, 20)
    assert resize_longest(photo(1, 5000), 100).size == (1, 100)
    assert resize_shortest(photo(100, 50), 25, 100).size == (50, 25)
    assert resize_shortest(photo(1000, 10), 25, 100).size == (100, 1)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_png_and_webp_keep_transparency(format):
    image = photo().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    read = read_image(encode_image(image, format))
    assert difference(read.getchannel("A"), image.getchannel("A")) == 0


def test_jpeg_lays_transparency_over_white():
    read = read_image(encode_image(Image.new("RGBA", (16, 16), (0, 0, 0, 0)), "jpeg"))
    assert read.getpixel((8, 8)) == (255, 255, 255)


def test_quality_trades_size():
    sizes = [len(encode_image(photo(), "jpeg", quality)) for quality in (1, 50, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_a_picture_too_large_for_webp_is_refused():
    with pytest.raises(ImageTooLargeError, match="cannot be written as webp"):
        encode_image(Image.new("RGB", (17_000, 1)), "webp")


def test_flatten_and_mask_treat_transparency_as_unpainted():
    clear = Image.new("RGBA", (1, 1), (255, 255, 255, 0))
    assert flatten(Image.new("RGBA", (1, 1), (9, 9, 9, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert to_mask(clear).getpixel((0, 0)) == 0
    assert to_mask(Image.new("1", (1, 1), 1)).getpixel((0, 0)) == 255


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_normalized_picture_is_not_copied(mode):
    image = photo().convert(mode)
    assert normalize(image) is image
    turned = photo()
    turned.info["exif"] = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    assert normalize(turned).size == (64, 96), "what still has something to tell is heard"
