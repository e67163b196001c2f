"""What headers announce, against what decoders make of the same files."""

import io
import struct

import pytest
from PIL import Image

from model.errors import ImageTooLargeError
from model.headers import JXL_SIGNATURE, announced_size, jxl_size
from model.images import read_image
from tests.pictures import difference, encoded, photo

ORIENTATION = 0x0112
# All kinds of JPEG XL headers: eights, ratios, and numbers of each length.
SIZES = [(8, 8), (40, 24), (1, 1), (256, 256), (300, 250), (640, 480), (192, 108), (9, 700)]
SIZES += [(70, 7), (1200, 1000), (1, 8200), (8200, 1), (5, 4), (33, 44), (999, 512)]


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_the_announced_size_is_that_of_the_picture(tmp_path, format, orientation):
    data = encoded(photo(40, 24), format, exif=turned(orientation))
    (tmp_path / "a").write_bytes(data)
    assert announced_size(data) == announced_size(tmp_path / "a") == read_image(data).size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("boxes", [{}, {"exif": turned(6).tobytes()}])
def test_the_size_of_a_jpeg_xl(size, boxes):
    data = encoded(Image.new("RGB", size), "JXL", **boxes)
    assert announced_size(data) == read_image(data).size == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_in_jpeg_xl_is_turned_as_that_jpeg(tmp_path, orientation):
    original = encoded(photo(40, 24), "JPEG", quality=95, exif=turned(orientation))
    (tmp_path / "a.jpg").write_bytes(original)
    file = io.BytesIO()
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(file, "JXL", lossless_jpeg=True)
    data = file.getvalue()
    assert announced_size(data) == read_image(data).size
    assert difference(read_image(data), read_image(original)) < 1


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\0\0\0\x0cJXL \r\n\x87\n"]
)
def test_what_is_no_picture_announces_no_size(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert announced_size(data) == announced_size(tmp_path / "a") == (0, 0)
    assert announced_size(tmp_path / "b") == (0, 0)
    assert jxl_size(data) is None


def test_a_huge_jpeg_xl_is_refused_before_it_is_decoded():
    # No eights, a height of 1 + 30 bits, the ratio 1:1.
    header = 0 | 3 << 1 | (2**30 - 1) << 3 | 1 << 33
    data = JXL_SIGNATURE + header.to_bytes(8, "little")
    with pytest.raises(ImageTooLargeError, match="1073741824x1073741824"):
        read_image(data)
    boxes = b"\0\0\0\x0cJXL \r\n\x87\n" + struct.pack(">I4s", 8 + len(data), b"jxlc") + data
    assert jxl_size(boxes) == jxl_size(data)
