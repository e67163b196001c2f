"""Every bad request of the contract, over a real server: its status, and what it says."""

import http.client
import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from tests.model.test_images import png_claiming
from tests.pictures import encoded, noise, painting, photo

URL = "/v1/stylize"
CONTENT = ("content", ("c.png", encoded(photo())))
STYLE = ("style", ("s.png", encoded(painting())))
MASK = ("mask", ("m.png", encoded(Image.new("L", (96, 64), 255))))
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=x"}


def content(data, name="c.png"):
    return [("content", (name, data)), STYLE]


def fields(**data):
    return {"files": [CONTENT, STYLE], "data": data}


TWO = [CONTENT, STYLE, STYLE]
TRUNCATED = encoded(noise(96, 64), "JPEG")[:3000]
# name: (status, code, part of the detail, request)
BAD_REQUESTS = {
    "nothing": (422, "invalid-parameter", "content is missing", {}),
    "no content": (422, "invalid-parameter", "content is missing", {"files": [STYLE]}),
    "no style": (422, "invalid-parameter", "style is missing", {"files": [CONTENT]}),
    "content as text": (
        422,
        "invalid-parameter",
        "content must be a file",
        {"files": [STYLE], "data": {"content": "c.png"}},
    ),
    "two contents": (
        422,
        "invalid-parameter",
        "content may be sent once",
        {"files": [CONTENT, CONTENT, STYLE]},
    ),
    "urlencoded": (422, "invalid-parameter", "content is missing", {"data": {"alpha": "1"}}),
    "unknown field": (422, "invalid-parameter", "aplha is no field", fields(aplha="1")),
    "alpha too high": (422, "invalid-parameter", "alpha: input should be", fields(alpha="1.01")),
    "detail too low": (422, "invalid-parameter", "detail: input should be", fields(detail="-1.01")),
    "detail NaN": (422, "invalid-parameter", "detail: input should be", fields(detail="nan")),
    "alpha negative": (422, "invalid-parameter", "alpha: input should be", fields(alpha="-1")),
    "alpha NaN": (422, "invalid-parameter", "alpha: input should be", fields(alpha="nan")),
    "alpha infinite": (422, "invalid-parameter", "alpha: input should be", fields(alpha="inf")),
    "alpha a word": (422, "invalid-parameter", "alpha: input should be", fields(alpha="much")),
    "alpha twice": (422, "invalid-parameter", "alpha may be", fields(alpha=["0.1", "0.2"])),
    "size of 400 digits": (422, "invalid-parameter", "size: ", fields(size="1" + "0" * 400)),
    "size of 9000 digits": (422, "invalid-parameter", "size: ", fields(size="1" * 9000)),
    "gzip": (
        415,
        "unsupported-body",
        "encoded as gzip",
        {"content": b"x", "headers": BOUNDARY | {"Content-Encoding": "gzip"}},
    ),
    "no closing boundary": (
        400,
        "malformed-body",
        "before its closing boundary",
        {
            "content": b'--x\r\nContent-Disposition: form-data; name="alpha"\r\n\r\n1\r\n',
            "headers": BOUNDARY,
        },
    ),
    "weight 0": (422, "invalid-parameter", "weight 1: input should be", fields(weight="0")),
    "weight NaN": (422, "invalid-parameter", "weight 1: input should be", fields(weight="nan")),
    "weight infinite": (422, "invalid-parameter", "weight 1: input", fields(weight="inf")),
    "weights too many": (422, "invalid-parameter", "as many weights", fields(weight=["1", "1"])),
    "weights too few": (
        422,
        "invalid-parameter",
        "as many weights",
        {"files": TWO, "data": {"weight": "1"}},
    ),
    "masks too few": (422, "invalid-parameter", "as many masks", {"files": [*TWO, MASK]}),
    "mask of another shape": (
        422,
        "invalid-parameter",
        "aspect ratio",
        {"files": [CONTENT, STYLE, ("mask", ("m", encoded(Image.new("L", (64, 64)))))]},
    ),
    "styles too many": (
        422,
        "invalid-parameter",
        "number of styles must be",
        {"files": [CONTENT, *[STYLE] * 5]},
    ),
    "size too small": (422, "invalid-parameter", "size: input should be", fields(size="15")),
    "size too large": (422, "invalid-parameter", "from 16 to 512", fields(size="513")),
    "size broken": (422, "invalid-parameter", "size: input should be", fields(size="20.5")),
    "style_size too small": (422, "invalid-parameter", "style_size:", fields(style_size="63")),
    "style_size too large": (422, "invalid-parameter", "style_size:", fields(style_size="1025")),
    "format unknown": (422, "invalid-parameter", "'png', 'jpeg', 'webp'", fields(format="gif")),
    "quality 0": (422, "invalid-parameter", "quality:", fields(quality="0")),
    "quality 101": (422, "invalid-parameter", "quality:", fields(quality="101")),
    "preserve_color odd": (
        422,
        "invalid-parameter",
        "preserve_color:",
        fields(preserve_color="perhaps"),
    ),
    "no boundary": (
        400,
        "malformed-body",
        "boundary",
        {"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
    ),
    "malformed multipart": (
        400,
        "malformed-body",
        "multipart/form-data",
        {"content": b"garbage", "headers": BOUNDARY},
    ),
    "multipart without end": (
        400,
        "malformed-body",
        "multipart/form-data",
        {
            "content": b"--x\r\nContent-Disposition: form-data; nothing\r\n\r\n1\r\n--x--",
            "headers": BOUNDARY,
        },
    ),
    "JSON": (415, "unsupported-body", "application/json", {"json": {"alpha": 1}}),
    "a bare picture": (
        415,
        "unsupported-body",
        "image/png",
        {"content": encoded(photo()), "headers": {"Content-Type": "image/png"}},
    ),
    "text as content": (
        415,
        "unsupported-image",
        "content: these bytes",
        {"files": content(b"I am no picture")},
    ),
    "text as style": (
        415,
        "unsupported-image",
        "style 1: these bytes",
        {"files": [CONTENT, ("style", ("s.png", b"I am no picture"))]},
    ),
    "text as mask": (
        415,
        "unsupported-image",
        "mask 1: these bytes",
        {"files": [CONTENT, STYLE, ("mask", ("m.png", b"I am no picture"))]},
    ),
    "SVG named PNG": (
        415,
        "unsupported-image",
        "content: these bytes",
        {"files": content(b"<svg xmlns='http://www.w3.org/2000/svg'/>")},
    ),
    "empty content": (
        422,
        "corrupt-image",
        "content: the picture is empty",
        {"files": content(b"")},
    ),
    "JPEG cut off": (
        422,
        "corrupt-image",
        "content: the picture is cut",
        {"files": content(TRUNCATED)},
    ),
    "JPEG header alone": (
        422,
        "corrupt-image",
        "content: the picture is cut",
        {"files": content(TRUNCATED[:20])},
    ),
    "header that lies": (
        422,
        "corrupt-image",
        "content: the picture is cut",
        {"files": content(png_claiming(500, 500))},
    ),
    "too many pixels": (
        413,
        "image-too-large",
        "content: the picture has 2000x1000",
        {"files": content(png_claiming(2000, 1000))},
    ),
    "a bomb": (
        413,
        "image-too-large",
        "more than the limit",
        {"files": content(png_claiming(60_000, 60_000))},
    ),
    "body too large": (
        413,
        "body-too-large",
        "at most 2000000",
        {"files": content(b"\0" * 2_000_001)},
    ),
    "Accept without pictures": (
        406,
        "not-acceptable",
        "text/html",
        {"files": [CONTENT, STYLE], "headers": {"Accept": "text/html"}},
    ),
    "Accept of nothing": (
        406,
        "not-acceptable",
        "image/png",
        {"files": [CONTENT, STYLE], "headers": {"Accept": "*/*;q=0"}},
    ),
}


def check(response, status, code, detail):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.content, parse_constant=pytest.fail)
    assert problem["type"] == f"urn:adain:problem:{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert detail in problem["detail"]
    assert problem["instance"] == f"urn:adain:request:{response.headers['x-request-id']}"
    return problem


@pytest.mark.parametrize(
    ("status", "code", "detail", "request_"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys()
)
def test_a_bad_request_gets_a_clear_problem(client, status, code, detail, request_):
    check(client.post(URL, **request_), status, code, detail)


@pytest.mark.parametrize(
    ("request_", "limit", "value"),
    [
        (fields(alpha="1.5"), 1, 1.5),
        (fields(size="513"), 512, 513),
        (fields(quality="0"), 1, 0),
        ({"files": content(png_claiming(2000, 1000))}, 1_000_000, 2_000_000),
    ],
)
def test_a_problem_names_the_limit_and_the_value(client, request_, limit, value):
    problem = client.post(URL, **request_).json()
    assert (problem["limit"], problem["value"]) == (limit, value)


def test_unknown_paths_and_wrong_methods(client):
    check(client.get("/v1/nothing"), 404, "not-found", "/v1/nothing")
    response = client.get(URL)
    check(response, 405, "method-not-allowed", "only POST")
    assert response.headers["allow"] == "POST"
    check(client.delete("/livez"), 405, "method-not-allowed", "only GET, HEAD")
    response = client.put("/v1/styles/0123456789abcdef")
    check(response, 405, "method-not-allowed", "only GET, PATCH, DELETE")
    assert response.headers["allow"] == "GET, PATCH, DELETE"
    assert client.post("/page/main.js").headers["allow"] == "GET, HEAD"


def test_an_unknown_query_parameter_is_refused(client):
    sent = client.post(URL, params={"alpha": "0.5"}, files=[CONTENT, STYLE])
    check(sent, 422, "invalid-parameter", "alpha is no query parameter of this path")
    check(client.get("/v1/styles?limt=3"), 422, "invalid-parameter", "limt is no query parameter")
    assert client.get("/v1/styles?limit=3").status_code == 200
    assert client.get("/?utm_source=x").status_code == 200


@pytest.mark.parametrize(("path", "limit"), [(URL, 2_000_000), ("/livez", 64 * 1024)])
def test_a_body_that_declares_too_much_is_refused_before_it_is_sent(client, path, limit):
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=10)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", "10000000000")
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.load(response)
    assert (problem["limit"], problem["value"]) == (limit, 10_000_000_000)
    connection.close()


def test_a_body_that_streams_too_much_is_refused(client):
    def stream():
        yield b"--x\r\nContent-Disposition: form-data; name=content; filename=c\r\n\r\n"
        for _ in range(30):
            yield bytes(100_000)

    response = client.post(URL, content=stream(), headers=BOUNDARY)
    check(response, 413, "body-too-large", "at most 2000000")


@pytest.mark.slow
def test_a_body_at_the_limit_is_read(serve):
    body = httpx.Request("POST", "http://x", files=[CONTENT, STYLE]).read()
    for limit, status in ((len(body), 200), (len(body) - 1, 413)):
        with serve(max_body_bytes=limit) as client:
            assert client.post(URL, files=[CONTENT, STYLE]).status_code == status


MARKED = [("content", ("c", encoded(photo(24, 40)))), STYLE]


@pytest.mark.slow
def test_a_full_service_answers_503_at_once(serve, hold):
    with serve(max_requests=1) as client, ThreadPoolExecutor() as threads:
        held = hold()
        first = threads.submit(client.post, URL, files=[CONTENT, STYLE])
        assert held.reached.wait(30)
        response = client.post(URL, files=[CONTENT, STYLE])
        check(response, 503, "queue-full", "try again")
        assert int(response.headers["retry-after"]) >= 1
        assert not first.done()
        held.release()
        assert first.result().status_code == 200
        assert client.post(URL, files=[CONTENT, STYLE]).status_code == 200


@pytest.mark.slow
def test_what_waits_past_its_deadline_gets_504_and_never_reaches_the_model(serve, hold):
    with serve(deadline_seconds=2.5) as client, ThreadPoolExecutor() as threads:
        held = hold()
        first = threads.submit(client.post, URL, files=[CONTENT, STYLE])
        assert held.reached.wait(30)
        problem = check(client.post(URL, files=MARKED), 504, "deadline-passed", "2.5 seconds")
        assert problem["limit"] == 2.5
        assert first.result().status_code == 504, "what the model has at its deadline, too"
        held.release()
        assert client.get("/livez").status_code == 200
    # Closing the server waited for the model.
    assert (40, 24) not in held.sizes


@pytest.mark.slow
def test_what_waits_for_a_client_that_is_gone_never_reaches_the_model(serve, hold, caplog):
    request = httpx.Request("POST", f"http://127.0.0.1{URL}", files=MARKED)
    headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with serve() as client, ThreadPoolExecutor() as threads:
        held = hold()
        first = threads.submit(client.post, URL, files=[CONTENT, STYLE])
        assert held.reached.wait(30)
        address = (client.base_url.host, client.base_url.port)
        with caplog.at_level(logging.INFO, "adain.request"):
            with socket.create_connection(address) as connection:
                connection.sendall(f"POST {URL} HTTP/1.1\r\n{headers}\r\n".encode())
                connection.sendall(request.read())
                time.sleep(0.5)  # until it waits behind the first
            while not any(getattr(record, "status", 0) == 499 for record in caplog.records):
                time.sleep(0.01)
        held.release()
        assert first.result().status_code == 200
    assert (64, 96) in held.sizes
    assert (40, 24) not in held.sizes


@pytest.mark.slow
def test_a_bug_of_ours_is_a_500_that_tells_nothing_of_its_inside(serve, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("secret inside")

    with serve() as client:
        monkeypatch.setattr("app.api.stylize.encode_image", fail)
        response = client.post(URL, files=[CONTENT, STYLE])
        check(response, 500, "internal-error", "unexpected error")
        assert "secret" not in response.text
        monkeypatch.undo()
        assert client.post(URL, files=[CONTENT, STYLE]).status_code == 200
