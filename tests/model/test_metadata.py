"""What goes with a picture: EXIF, colour profile, density, and what made it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from model.formats import WRITE_FORMATS, canonical_format
from model.images import encode_image, read_image
from model.metadata import (
    Metadata,
    metadata_of_result,
    read_metadata,
    read_recipe,
)
from tests.pictures import difference, encoded, photo

TAKEN = "2024:05:06 07:08:09"
RECIPE = {"adain": "0.1.0", "alpha": 0.5, "styles": [{"name": "Übung"}]}


def from_camera(format: str = "JPEG", **options: object) -> bytes:
    """A photo as phones write it: lying on its side, with a place and maker's notes."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Artist] = "Somebody"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = TAKEN
    details[ExifTags.Base.MakerNote] = b"secret"
    return encoded(photo(), format, exif=exif.tobytes(), **options)


def opened(data: bytes) -> tuple[Image.Exif, dict[int, object], dict[int, object]]:
    exif = Image.open(io.BytesIO(data)).getexif()
    return exif, exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)


@pytest.mark.parametrize("format", WRITE_FORMATS)
def test_a_result_keeps_what_belongs_to_the_picture_and_not_its_place(format: str) -> None:
    source = read_metadata(from_camera(dpi=(300, 300)))
    written = encode_image(photo(), format, 90, metadata_of_result(source, (96, 64), RECIPE))
    exif, details, place = opened(written)
    assert exif[ExifTags.Base.Artist] == "Somebody"
    assert str(exif[ExifTags.Base.Software]).startswith("adain ")
    assert ExifTags.Base.Orientation not in exif
    assert details[ExifTags.Base.DateTimeOriginal] == TAKEN
    assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (
        96,
        64,
    )
    assert not place
    assert b"secret" not in written
    assert read_recipe(written) == RECIPE
    assert difference(read_image(written), photo()) < 4
    if format in ("png", "jpeg", "tiff"):
        assert [round(each) for each in Image.open(io.BytesIO(written)).info["dpi"]] == [300, 300]


def test_the_place_is_kept_where_it_is_asked_for() -> None:
    kept = metadata_of_result(read_metadata(from_camera()), (96, 64), RECIPE, keep_gps=True)
    assert opened(encode_image(photo(), "jpeg", 90, kept))[2] == {1: "N"}


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0" + b"MM\0*" + b"\xff" * 60_000, b"\0" * 70_000])
def test_damaged_or_huge_metadata_costs_nothing(exif: bytes) -> None:
    result = metadata_of_result(Metadata(exif), (96, 64), RECIPE)
    assert read_recipe(encode_image(photo(), "jpeg", 90, result)) == RECIPE
    assert read_metadata(b"no picture") == Metadata()


def test_exif_behind_the_pixels_of_a_png_is_found() -> None:
    data = from_camera("PNG")
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    last = data.index(b"IEND") - 4
    moved = data[:at] + data[end:last] + data[at:end] + data[last:]
    assert moved.index(b"IDAT") < moved.index(b"eXIf")
    assert read_metadata(moved) == read_metadata(data) != Metadata()


def test_the_pixels_of_a_png_are_not_decoded_for_its_metadata() -> None:
    data = encoded(photo(), dpi=(300, 300))
    pixels = data.index(b"IDAT") + 4
    damaged = data[:pixels] + bytes(20) + data[pixels + 20 :]
    dpi = read_metadata(damaged).dpi
    assert dpi is not None
    assert round(dpi[0]) == 300


def test_a_picture_without_a_recipe_has_none() -> None:
    assert read_recipe(from_camera()) is None
    assert read_recipe(b"") is None


def wide_gamut() -> bytes:
    """A profile whose primaries lie farther apart than sRGB's, as Adobe RGB's do."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red = srgb.index(b"rXYZ") + 4
    place = int.from_bytes(srgb[red : red + 4], "big") + 8
    wide = bytearray(srgb)
    wide[place : place + 4] = round(0.60974 * 65536).to_bytes(4, "big")  # Adobe RGB (1998)
    return bytes(wide)


@pytest.mark.parametrize("format", WRITE_FORMATS)
def test_a_result_comes_back_in_its_own_colour_space(format: str) -> None:
    profile = wide_gamut()
    # Muted, so that sRGB has all of its colours.
    picture = Image.blend(photo(), Image.new("RGB", photo().size, (128, 128, 128)), 0.5)
    source = encoded(picture, "PNG", icc_profile=profile)
    painted = read_image(source)
    assert difference(painted, picture) > 1
    written = encode_image(painted, format, 95, read_metadata(source))
    assert Image.open(io.BytesIO(written)).info["icc_profile"] == profile
    assert difference(read_image(written), painted) < 4
    if format in ("png", "tiff"):
        stored = np.asarray(Image.open(io.BytesIO(written)).convert("RGB")).astype(int)
        assert np.abs(stored - np.asarray(picture)).mean() < 1


def test_transparency_survives_the_colour_space() -> None:
    picture = photo().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    written = encode_image(picture, "png", 90, Metadata(profile=wide_gamut()))
    assert difference(read_image(written).getchannel("A"), picture.getchannel("A")) == 0


@pytest.mark.parametrize("profile", [b"", b"x" * 200, wide_gamut()[:130] + b"\xff" * 300])
def test_a_profile_that_cannot_be_used_is_left_out_or_changes_nothing(profile: bytes) -> None:
    source = read_metadata(encoded(photo(), "PNG", icc_profile=profile))
    written = encode_image(photo(), "png", 90, source)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(written))), np.asarray(photo()))


def test_grey_and_cmyk_profiles_are_not_given_to_results() -> None:
    grey = bytearray(wide_gamut())
    grey[16:20] = b"GRAY"
    assert read_metadata(encoded(photo(), "PNG", icc_profile=bytes(grey))).profile == b""


def test_names_of_formats() -> None:
    assert [canonical_format(name) for name in ("JPG", "tif", "Png", "x")] == [
        "jpeg",
        "tiff",
        "png",
        "x",
    ]
