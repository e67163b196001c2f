"""POST /v1/stylize over a real server: what each field does."""

import io
import json
import re
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from model.images import read_image
from model.metadata import read_recipe
from model.recipe import digest
from tests.conftest import wait_until_ready
from tests.pictures import ROUNDING, difference, encoded, noise, painting, photo

URL = "/v1/stylize"


@pytest.fixture(scope="module")
def post(client):
    """Send a content and styles of 64 pixels, and return the response."""

    def post(content=None, styles=(1,), masks=(), headers=None, **fields):
        content = encoded(photo()) if content is None else content
        files = [("content", ("c", content))]
        files += [("style", ("s", encoded(painting(seed=seed)))) for seed in styles]
        files += [("mask", ("m", encoded(mask))) for mask in masks]
        return client.post(URL, files=files, data={"style_size": "64", **fields}, headers=headers)

    return post


@pytest.fixture(scope="module")
def plain(post):
    return picture(post())


def picture(response):
    assert response.status_code == 200, response.text
    return read_image(response.content)


def test_a_result_of_16_bits(post, plain):
    response = post(depth=16)
    deep = imagecodecs.png_decode(response.content)
    assert deep.dtype == np.uint16
    assert difference(read_image(response.content), plain) < 0.6
    assert json.loads(response.headers["x-recipe"])["depth"] == 16
    response = post(depth=16, format="jpeg")
    assert response.status_code == 422
    assert "depth 16 can be written as png or tiff" in response.json()["detail"]
    assert "depth must be 8 or 16, and is 12" in post(depth=12).json()["detail"]


def test_the_result_is_what_the_stylizer_gives(plain, stylizer, style):
    assert difference(plain, stylizer.stylize(photo(), style)) < ROUNDING


def test_headers_tell_type_stages_and_request(post):
    response = post()
    assert response.headers["content-type"] == "image/png"
    assert re.fullmatch(
        r"read;dur=[\d.]+, decode;dur=[\d.]+, queue;dur=[\d.]+, style;dur=[\d.]+, "
        r"model;dur=[\d.]+, encode;dur=[\d.]+",
        response.headers["server-timing"],
    )
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


def test_a_request_keeps_the_id_that_a_proxy_gave_it(post):
    assert post(headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert post(headers={"X-Request-ID": "a b\t<c>"}).headers["x-request-id"] != "a b\t<c>"


def test_detail(post, stylizer, style):
    result = picture(post(detail="-0.5"))
    assert difference(result, stylizer.stylize(photo(), style, detail=-0.5)) < ROUNDING
    assert difference(result, picture(post(detail="1"))) > 0.5


def test_alpha(post, plain, stylizer, style):
    result = picture(post(alpha="0.25"))
    assert difference(result, stylizer.stylize(photo(), style, alpha=0.25)) < ROUNDING
    assert difference(result, plain) > 1


def test_weights_follow_the_order_of_the_styles(post, stylizer, style, other_style):
    result = picture(post(styles=(1, 7), weight=["3", "1"]))
    expected = stylizer.stylize(photo(), [style, other_style], weights=[3, 1])
    assert difference(result, expected) < ROUNDING


def test_masks_follow_the_order_of_the_styles(post, stylizer, style, other_style):
    left, right = Image.new("L", (96, 64)), Image.new("L", (96, 64))
    left.paste(255, (0, 0, 40, 64))
    right.paste(255, (60, 0, 96, 64))
    result = picture(post(styles=(1, 7), masks=(left, right)))
    expected = stylizer.stylize(photo(), [style, other_style], masks=[left, right])
    assert difference(result, expected) < ROUNDING


def test_preserve_color(post, stylizer, style):
    result = picture(post(preserve_color="true"))
    assert difference(result, stylizer.stylize(photo(), style, preserve_color=True)) < ROUNDING


def test_size(post):
    assert picture(post(size="48")).size == (48, 32)


@pytest.mark.slow
def test_a_content_over_the_size_limit_comes_back_at_the_limit(post):
    assert picture(post(encoded(photo(600, 300)))).size == (512, 256)


def test_style_size(post, plain):
    assert difference(picture(post(style_size="128")), plain) > 1


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_format(post, plain, format):
    response = post(format=format, headers={"Accept": "image/gif"})
    assert response.headers["content-type"] == f"image/{format}"
    assert difference(picture(response), plain) < 12


def test_quality(post):
    low, high = (len(post(format="jpeg", quality=q).content) for q in ("10", "95"))
    assert low < high / 2


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "png"),
        ("image/*", "png"),
        ("image/webp", "webp"),
        ("image/avif,image/webp,image/apng,*/*;q=0.8", "webp"),
        ("image/png;q=0.1, image/jpeg;q=0.5", "jpeg"),
        ("image/*, image/png;q=0", "jpeg"),
        ("IMAGE/JPEG", "jpeg"),
        ("", "png"),
    ],
)
def test_the_format_follows_accept(post, accept, expected):
    response = post(headers={"Accept": accept})
    assert response.headers["content-type"] == f"image/{expected}"
    assert "Accept" in response.headers["vary"]


def test_names_and_declared_types_do_not_matter(client, plain):
    files = [
        ("content", ("photo.exe", encoded(photo(), "BMP"), "text/html")),
        ("style", ("../../etc/passwd", encoded(painting(), "TIFF"), "audio/mpeg")),
    ]
    response = client.post(URL, files=files, data={"style_size": "64"})
    assert difference(picture(response), plain) < ROUNDING


@pytest.mark.parametrize(
    "content",
    [
        encoded(photo(1, 1)),
        encoded(photo(1, 400)),
        encoded(photo().convert("L")),
        encoded(photo().convert("P")),
        encoded(photo().convert("1")),
        encoded(photo().convert("CMYK"), "JPEG"),
        encoded(photo().convert("LA")),
        encoded(photo(), "GIF", save_all=True, append_images=[noise(96, 64)]),
        encoded(photo(), "MPO", save_all=True, append_images=[noise(96, 64)]),
    ],
    ids=["1x1", "1x400", "grey", "palette", "1-bit", "cmyk", "grey+alpha", "gif", "mpo"],
)
def test_odd_pictures_are_stylized(post, content):
    result = picture(post(content))
    assert result.size == read_image(content).size
    assert result.mode == read_image(content).mode


def test_a_known_style_is_not_encoded_again(post, hold):
    post(styles=(99,))
    seen = hold()
    seen.release()
    picture(post(styles=(99,)))
    assert seen.sizes == [(64, 96)], "the content alone"


@pytest.mark.slow
@pytest.mark.inside
def test_the_service_answers_while_it_paints(client, post, stylizer):
    painting, waits = threading.Event(), []
    hooks = [
        stylizer.encoder.register_forward_pre_hook(lambda *_: painting.set()),
        stylizer.decoder.register_forward_hook(lambda *_: painting.clear()),
    ]
    with ThreadPoolExecutor() as threads:
        results = [threads.submit(post, encoded(photo(512, 512))) for _ in range(3)]
        while not all(result.done() for result in results):
            inside, started = painting.is_set(), time.perf_counter()
            assert client.get("/livez").json() == {"status": "alive"}
            if inside:
                waits.append(time.perf_counter() - started)
    for hook in hooks:
        hook.remove()
    assert all(result.result().status_code == 200 for result in results)
    assert statistics.median(waits) < 0.05


@pytest.mark.slow
@pytest.mark.inside
def test_the_service_is_not_ready_before_its_warm_up(serve, hold):
    held = hold()
    with serve(warm=False) as client:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert response.json()["type"] == "urn:adain:problem:not-ready"
        assert client.get("/livez").status_code == 200
        held.release()
        wait_until_ready(client)
        assert client.get("/readyz").json() == {"status": "ready"}


def test_the_documents_show_worked_examples(client):
    assert client.get("/docs").status_code == 200
    document = client.get("/openapi.json").json()
    operation = document["paths"][URL]["post"]
    assert "curl -F content=@photo.jpg" in operation["description"]
    assert {"200", "400", "413", "415", "422", "503", "504"} <= operation["responses"].keys()
    assert "image/webp" in operation["responses"]["200"]["content"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"]
    fields = document["components"]["schemas"][form.rsplit("/", 1)[1]]["properties"]
    assert all("description" in field for field in fields.values())


def test_the_document_has_an_example_of_each_error_as_it_is_answered(client):
    document = client.get("/openapi.json").json()
    examples = {}
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    for code, example in content.get("examples", {}).items():
                        examples[code] = example["value"]
                        assert example["value"]["status"] == int(status)
    assert len(examples) > 12
    files = {"content": ("c", encoded(photo())), "style": ("s", encoded(painting()))}
    saved = {"style_id": "4f1f7a0c2b9d8e63"}
    for code, request in {
        "unknown-style": {"files": {"content": files["content"]}, "data": saved},
        "not-acceptable": {"files": files, "headers": {"Accept": "text/html"}},
        "unsupported-image": {"files": files | {"content": ("c", b"text")}},
        "invalid-parameter": {"files": files, "data": {"alpha": "2"}},
        "unsupported-body": {"json": {}},
        "corrupt-image": {"files": [*files.items(), ("style", ("s", b""))]},
    }.items():
        answer = client.post(URL, **request).json()
        answer["instance"] = examples[code]["instance"]
        assert answer == examples[code]
    unknown = client.get("/v1/requests/0b6c").json()
    assert unknown["detail"] == examples["unknown-request"]["detail"]


@pytest.mark.slow
@pytest.mark.inside
def test_a_client_that_goes_away_ends_a_picture_in_tiles(serve, hold, monkeypatch):
    monkeypatch.setattr("model.stylizer.MAX_UNTILED_PIXELS", 64 * 64)
    monkeypatch.setattr("model.stylizer.TILE", 64)
    with serve() as client:
        held = hold()
        files = {"content": encoded(photo(320, 320)), "style": encoded(painting())}
        data = {"style_size": "64"}
        with pytest.raises(httpx.ReadTimeout):
            client.post(URL, files=files, data=data, timeout=2)
        assert held.reached.is_set()
        time.sleep(0.5)  # for the server to see that the connection is closed
        held.release()
        after = client.post(URL, files=files | {"content": encoded(photo(64, 64))}, data=data)
        assert picture(after).size == (64, 64)
    assert len(held.sizes) <= 5, "of 50 tiles in two passes"


@pytest.mark.slow
@pytest.mark.inside
def test_a_picture_in_tiles_is_the_same_over_http(serve, monkeypatch, plain):
    monkeypatch.setattr("model.stylizer.MAX_UNTILED_PIXELS", 32 * 32)
    monkeypatch.setattr("model.stylizer.TILE", 32)
    with serve() as client:
        files = {"content": encoded(photo()), "style": encoded(painting())}
        response = client.post(URL, files=files, data={"style_size": "64"})
    assert difference(picture(response), plain) < 0.01


# What goes with the picture


def from_camera():
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Somebody"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(photo(), "PNG", exif=exif.tobytes(), icc_profile=profile)


def test_what_belongs_to_the_content_goes_with_the_result(post):
    result = Image.open(io.BytesIO(post(from_camera()).content))
    assert result.getexif()[ExifTags.Base.Artist] == "Somebody"
    assert not result.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert "icc_profile" in result.info
    asked = post(from_camera(), color_profile="srgb", keep_gps="true")
    result = Image.open(io.BytesIO(asked.content))
    assert result.getexif().get_ifd(ExifTags.IFD.GPSInfo) == {1: "N"}
    assert "icc_profile" not in result.info


def test_the_recipe_is_in_the_header_and_in_the_file(post, client):
    response = post(alpha="0.5", size="64", format="JPG")
    recipe = json.loads(response.headers["x-recipe"])
    assert recipe == read_recipe(response.content)
    assert (recipe["alpha"], recipe["size"], recipe["style_size"]) == (0.5, 64, 64)
    assert recipe["styles"] == [{"sha256": digest(encoded(painting()))}]
    assert recipe["content"] == digest(encoded(photo()))
    [model] = client.get("/v1/models").json()["models"]
    assert recipe["model"] == model["id"]
    assert "detail" not in recipe


@pytest.mark.parametrize("format", ["HEIF", "JXL"])
def test_pictures_of_phones(post, plain, format):
    result = picture(post(encoded(photo(), format, quality=99)))
    assert difference(result, plain) < 12
