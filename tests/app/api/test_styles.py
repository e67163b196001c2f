"""The style library over HTTP, with a real server."""

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import torch
from PIL import Image

from app.engine.process import ProcessEngine
from app.errors import ServiceError
from app.library.database import FILE, Database
from app.library.store import StyleLibrary
from app.settings import Settings
from app.starter import PAINTINGS
from model import Style, Stylizer
from model.images import read_image
from model.style import Change
from model.weights import load_decoder, load_encoder
from tests.app.api.test_problems import BOUNDARY
from tests.conftest import serving
from tests.pictures import (
    ROUNDING,
    difference,
    encoded,
    noise,
    painting,
    photo,
    practised_style,
)

URL = "/v1/styles"


@pytest.fixture
def library(serve, tmp_path):
    """A client of a server with a library of its own, which has the starters alone."""
    with serve(data_dir=tmp_path, max_body_bytes=2_000_000, max_pixels=1_000_000) as client:
        yield client


def save(client, name="Slanted", file=None):
    file = encoded(painting()) if file is None else file
    return client.post(URL, data={"name": name}, files={"file": ("p.png", file)})


def saved(client, name="Slanted", file=None):
    response = save(client, name, file)
    assert response.status_code == 201, response.text
    return response.json()


def stylize(client, *ids, styles=(), **fields):
    files = [("content", ("c", encoded(photo())))]
    files += [("style", ("s", encoded(style))) for style in styles]
    data = {"style_size": "64", "style_id": ids, **fields}
    return client.post("/v1/stylize", files=files, data=data)


def picture(response):
    assert response.status_code == 200, response.text
    return read_image(response.content)


def test_a_style_saved_listed_shown_and_deleted(library):
    response = save(library)
    style = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{URL}/{style['id']}"
    assert library.get(response.headers["location"]).json() == style
    assert library.get(URL).json()["styles"][-1] == style
    age = datetime.now(UTC) - datetime.fromisoformat(style["created"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    for _ in range(2):
        assert library.delete(f"{URL}/{style['id']}").status_code == 204
    assert library.get(f"{URL}/{style['id']}").status_code == 404


def test_the_library_begins_with_the_starters(library):
    styles = library.get(URL).json()["styles"]
    assert [style["name"] for style in styles] == [each.name for each in PAINTINGS]
    for style in styles:
        thumbnail = library.get(style["thumbnail"])
        assert max(read_image(thumbnail.content).size) == 256
        assert len(thumbnail.content) < 60_000
    result = picture(stylize(library, styles[0]["id"]))
    assert difference(result, photo()) > 10


def test_pages(library):
    names, after = [], 0
    while after is not None:
        page = library.get(URL, params={"limit": 5, "after": after}).json()
        names += [style["name"] for style in page["styles"]]
        after = page["next"]
        assert len(page["styles"]) == 5 or after is None
    assert names == [each.name for each in PAINTINGS]
    exact = library.get(URL, params={"limit": len(PAINTINGS)}).json()
    assert exact["next"] is None


def test_a_thumbnail_is_cached_for_long_and_asked_for_again_by_its_tag(library):
    style = saved(library)
    first = library.get(style["thumbnail"])
    assert first.headers["content-type"] == "image/webp"
    assert "immutable" in first.headers["cache-control"]
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = library.get(style["thumbnail"], headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert library.get(style["thumbnail"], headers={"If-None-Match": '"x"'}).status_code == 200
    library.delete(f"{URL}/{style['id']}")
    gone = library.get(style["thumbnail"], headers={"If-None-Match": tag})
    assert gone.status_code == 404


def test_renaming(library):
    style = saved(library)
    renamed = library.patch(f"{URL}/{style['id']}", data={"name": "夜"})
    assert renamed.json() == style | {"name": "夜"}
    taken = library.patch(f"{URL}/{style['id']}", data={"name": PAINTINGS[0].name})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:adain:problem:name-taken")
    assert library.patch(f"{URL}/nothing", data={"name": "a"}).status_code == 404


def test_a_saved_style_gives_what_its_picture_gives(library, stylizer):
    style = saved(library)
    expected = stylizer.stylize(photo(), stylizer.encode_style(painting(), style_size=64))
    assert difference(picture(stylize(library, style["id"])), expected) < ROUNDING
    assert difference(picture(stylize(library, style["id"])), expected) < ROUNDING


def test_files_come_before_saved_styles(library, stylizer, style, other_style):
    first = saved(library)
    second = saved(library, "Other", encoded(painting(seed=7)))
    result = picture(stylize(library, second["id"], styles=[painting()], weight=["3", "1"]))
    expected = stylizer.stylize(photo(), [style, other_style], weights=[3, 1])
    assert difference(result, expected) < ROUNDING
    result = picture(stylize(library, second["id"], first["id"], weight=["3", "1"]))
    expected = stylizer.stylize(photo(), [other_style, style], weights=[3, 1])
    assert difference(result, expected) < ROUNDING


def test_a_saved_style_is_encoded_once_for_each_size(library, hold):
    seen = hold()
    seen.release()
    style = saved(library)
    for size in ("64", "80", "64", "80"):
        picture(stylize(library, style["id"], style_size=size))
    content = 64
    assert [height for height, _ in seen.sizes] == [64, content, 80, content, content, content]


@pytest.mark.slow
def test_new_weights_encode_anew_and_old_ones_find_their_own_again(stylizer, tmp_path):
    """Never what other weights have encoded; the style itself outlives the change."""
    encoder, decoder = load_encoder(), load_decoder()
    for weights in encoder.parameters():
        weights.data *= 0.9
    other = Stylizer(encoder, decoder)
    style, results = {}, []
    for each in (stylizer, other, stylizer):
        settings = Settings(data_dir=tmp_path)
        with serving(settings, ProcessEngine(each, settings)) as client:
            if not results:
                style = saved(client)
            results.append(picture(stylize(client, style["id"])))
            expected = each.stylize(photo(), each.encode_style(painting(), style_size=64))
            assert difference(results[-1], expected) < ROUNDING
    assert difference(results[0], results[1]) > 1


def test_a_style_deleted_while_it_is_painted_with(library, hold):
    style = saved(library)
    held = hold()
    responses = []
    thread = threading.Thread(target=lambda: responses.append(stylize(library, style["id"])))
    thread.start()
    assert held.reached.wait(30)
    with httpx.Client(base_url=library.base_url) as other:
        assert other.delete(f"{URL}/{style['id']}").status_code == 204
    held.release()
    thread.join()
    assert responses[0].status_code == 200
    assert stylize(library, style["id"]).status_code == 404


def test_the_stage_of_a_request_can_be_asked_for(library, hold):
    held = hold()
    headers = [{"X-Request-ID": each} for each in ("first", "second")]
    files = {"content": encoded(photo()), "style": encoded(painting())}

    def post(headers):
        with httpx.Client(base_url=library.base_url, timeout=60) as client:
            client.post("/v1/stylize", files=files, data={"style_size": "64"}, headers=headers)

    def stage(id):
        response = library.get(f"/v1/requests/{id}")
        return response.json() if response.status_code == 200 else response.status_code

    threads = [threading.Thread(target=post, args=(each,)) for each in headers]
    threads[0].start()
    assert held.reached.wait(30)
    threads[1].start()
    while stage("second") in (404, {"stage": "decoding", "ahead": 0}):
        pass
    assert stage("first") == {"stage": "painting", "ahead": 0}
    assert stage("second") == {"stage": "queued", "ahead": 1}
    held.release()
    for thread in threads:
        thread.join()
    assert stage("first") == stage("second") == 404


SAVE = {"name": "a"}
FILE_PART = {"file": ("p.png", encoded(painting()))}
BAD_REQUESTS = {
    "no name": (422, "invalid-parameter", "name is missing", "name", {"files": FILE_PART}),
    "no file": (422, "invalid-parameter", "file is missing", "file", {"data": SAVE}),
    "file as text": (422, "invalid-parameter", "must be a file", "file",
                     {"data": SAVE | {"file": "x"}}),
    "unknown field": (422, "invalid-parameter", "no field", "nmae",
                      {"data": SAVE | {"nmae": "a"}, "files": FILE_PART}),
    "two names": (422, "invalid-parameter", "may be sent once", None,
                  {"data": {"name": ["a", "b"]}, "files": FILE_PART}),
    "empty name": (422, "invalid-parameter", "length of the name", "name",
                   {"data": {"name": " "}, "files": FILE_PART}),
    "long name": (422, "invalid-parameter", "from 1 to 80, and is 81", "name",
                  {"data": {"name": "a" * 81}, "files": FILE_PART}),
    "control character": (422, "invalid-parameter", "control character", "name",
                          {"data": {"name": "a\x07b"}, "files": FILE_PART}),
    "taken name": (409, "name-taken", "choose another", "name",
                   {"data": {"name": PAINTINGS[0].name.upper()}, "files": FILE_PART}),
    "no picture": (415, "unsupported-image", "no JPEG", "file",
                   {"data": SAVE, "files": {"file": ("p.png", b"text")}}),
    "damaged picture": (422, "corrupt-image", "cut off", "file",
                        {"data": SAVE, "files": {"file": encoded(noise(96, 64), "JPEG")[:3000]}}),
    "too many pixels": (413, "image-too-large", "limit", "file",
                        {"data": SAVE, "files": {"file": encoded(Image.new("L", (2000, 600)))}}),
    "too large a body": (413, "body-too-large", "bytes or more", None,
                         {"data": SAVE, "files": {"file": bytes(3_000_000)}}),
    "no form": (415, "unsupported-body", "multipart", None, {"json": {"name": "a"}}),
    "malformed form": (400, "malformed-body", "multipart", None,
                       {"content": b"garbage", "headers": BOUNDARY}),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_what_cannot_be_saved(client, case):
    status, code, detail, field, request = BAD_REQUESTS[case]
    before = client.get(URL).json()
    response = client.post(URL, **request)
    body = response.json()
    assert response.status_code == body["status"] == status, body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:adain:problem:{code}"
    assert detail in body["detail"]
    assert body.get("field") == field
    assert client.get(URL).json() == before


@pytest.mark.parametrize(
    "id", ["nothing", "..", "%2e%2e%2fsecret", "'; DROP TABLE styles;--", "夜"]
)
@pytest.mark.parametrize("suffix", ["", "/thumbnail"])
def test_an_unknown_id(client, id, suffix):
    response = client.get(f"{URL}/{id}{suffix}")
    assert response.status_code == 404
    assert client.get(URL).status_code == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "after=-1", f"after={2**31}"])
def test_bad_pages(client, query):
    response = client.get(f"{URL}?{query}")
    assert response.status_code == 422
    assert response.json()["field"] == query.partition("=")[0]


def test_an_unknown_style_id_is_told_with_its_field(client):
    known = client.get(URL).json()["styles"][0]["id"]
    response = stylize(client, known, "nothing")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:adain:problem:unknown-style"
    assert response.json()["field"] == "style_id 2"
    assert "'nothing'" in response.json()["detail"]


def test_too_many_styles_count_both_kinds(client):
    known = client.get(URL).json()["styles"][0]["id"]
    response = stylize(client, known, known, known, styles=[painting(), painting()])
    assert (response.status_code, response.json()["value"]) == (422, 5)


@pytest.mark.slow
def test_a_damaged_library_stops_nothing_else(serve, tmp_path, stylizer, style, caplog):
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with serve(data_dir=tmp_path) as client:
        for response in (client.get(URL), save(client), stylize(client, "x")):
            assert response.status_code == 503
            assert response.json()["type"] == "urn:adain:problem:library-unavailable"
            assert str(tmp_path) not in response.text, "paths are for the log"
            assert int(response.headers["retry-after"]) > 0
        result = picture(stylize(client, styles=[painting()]))
        assert difference(result, stylizer.stylize(photo(), style)) < ROUNDING
        assert client.get("/readyz").status_code == 200
    assert str(tmp_path) in caplog.text


def test_statistics_that_cannot_be_kept_cost_no_result(library, caplog, monkeypatch):
    """The library turns read-only for the statistics alone, between reading and keeping."""
    style = saved(library)

    def fails(self):
        raise OSError("read-only")

    monkeypatch.setattr(Style, "to_bytes", fails)
    with caplog.at_level(logging.WARNING):
        picture(stylize(library, style["id"]))
    assert "not kept" in caplog.text


@pytest.fixture
def practised(stylizer):
    style = stylizer.encode_style(painting(), style_size=64)
    return practised_style(style, stylizer.layout)


def expect(stylizer, practised, response):
    assert difference(picture(response), stylizer.stylize(photo(), practised)) < ROUNDING


def test_a_practised_style_is_sent_with_a_request(library, stylizer, practised):
    response = library.post(
        "/v1/stylize",
        files={"content": encoded(photo()), "style": ("painting.adain", practised.to_bytes())},
    )
    expect(stylizer, practised, response)


def test_a_practised_style_is_saved_and_goes_by_its_picture_at_another_size(
    library, stylizer, practised
):
    style = saved(library, "Practised", practised.to_bytes())
    assert style["practised"]
    assert library.get(f"{URL}/{style['id']}").json() == style
    assert library.get(URL).json()["styles"][-1] == style
    expect(stylizer, practised, stylize(library, style["id"], style_size="512"))
    file = {"content": encoded(photo()), "style": ("painting.adain", practised.to_bytes())}
    small = stylizer.encode_style(painting(), style_size=64)
    for response in (
        stylize(library, style["id"], style_size="64"),
        library.post("/v1/stylize", files=file, data={"style_size": "64"}),
    ):
        expect(stylizer, small, response)
    thumbnail = read_image(library.get(style["thumbnail"]).content)
    assert difference(thumbnail, painting()) < 20
    assert not saved(library)["practised"]


@pytest.mark.slow
def test_a_practised_style_is_refined_towards_its_picture(serve, tmp_path, practised):
    with serve(data_dir=tmp_path, max_refine_seconds=1) as client:
        style = saved(client, "Practised", practised.to_bytes())
        refined = picture(stylize(client, style["id"], style_size="512", refine="0.2"))
        once = picture(stylize(client, style["id"], style_size="512"))
        assert difference(refined, once) > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": "0" * 64}, "a style is for other weights"),
        ({"picture": b""}, "carries no picture"),
        ({"picture": b"none"}, "these bytes are no"),
        ({"changes": {"conv4_1": Change(torch.ones(1, 1), torch.ones(1, 1))}}, "conv4_1"),
    ],
)
def test_a_practised_style_that_does_not_fit_is_refused(client, practised, change, said):
    file = replace(practised, **change).to_bytes()
    asked = {"content": encoded(photo()), "style": file}
    for response in (save(client, file=file), client.post("/v1/stylize", files=asked)):
        assert response.status_code in (415, 422), response.text
        assert said in response.json()["detail"]


def test_half_a_practised_style_is_refused(client, practised):
    response = save(client, file=practised.to_bytes()[:-100])
    assert response.status_code == 422
    assert "no style file" in response.json()["detail"]


@pytest.mark.inside
def test_other_weights_go_by_the_picture_of_a_practised_style(
    library, tmp_path, practised, stylizer
):
    key = saved(library, "Practised", practised.to_bytes())["id"]
    own = StyleLibrary(Database(None, tmp_path), 100)
    assert own.encoded(key, 512, stylizer.fingerprint).to_bytes() == practised.to_bytes()
    assert own.encoded(key, 512, "0" * 64) is None
    assert difference(own.picture(key), painting()) == 0
    library.delete(f"{URL}/{key}")
    with pytest.raises(ServiceError, match="no style"):
        own.encoded(key, 64, stylizer.fingerprint)
    own.close()


@pytest.mark.parametrize(
    "name", ["a\u200bb", "\ufeffa", "a\u202eb", "a\u2066b", "\u200da", "a\u200c"]
)
def test_names_with_what_cannot_be_seen_are_refused(client, name):
    response = save(client, name)
    assert response.status_code == 422
    assert response.json()["field"] == "name"


@pytest.mark.parametrize(
    "name", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f3a8"]
)
def test_joiners_inside_of_words_and_emoji_are_kept(library, name):
    assert saved(library, name)["name"] == name


@pytest.mark.slow
def test_a_full_library_is_no_fault_of_the_name(serve, tmp_path):
    with serve(data_dir=tmp_path, max_saved_styles=0) as client:
        refused = save(client)
        assert refused.status_code == 507
        assert "field" not in refused.json()
        assert "name" not in refused.json()["detail"].split(":")[0]
