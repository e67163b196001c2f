"""Clients and files that mean no good, over real sockets: no 500, nothing left behind."""

import io
import json
import os
import random
import socket
import tempfile
import threading
import time
from contextlib import closing

import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from model.errors import AdainError
from model.formats import READ_FORMATS
from model.images import MAX_PIXELS, read_image
from tests.conftest import written_out
from tests.pictures import encoded, painting, photo

URL = "/v1/stylize"
FILES = {"content": encoded(photo()), "style": encoded(painting())}
DATA = {"style_size": "64"}


@pytest.fixture
def quick(serve, tmp_path):
    """A client of a server that waits for nobody."""
    with serve(data_dir=tmp_path, deadline_seconds=1.5, max_requests=4) as client:
        # Its decoding processes start beside it, on a busy machine for longer than the deadline.
        assert any(works(client) for _ in range(10))
        yield client


def connect(client):
    return closing(socket.create_connection((client.base_url.host, client.base_url.port), 20))


def head(length, path=URL):
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    ).encode()


def answer(connection):
    """Status and body of the answer on a raw connection, which the server closes after it."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    top, _, body = data.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)


def works(client):
    return client.post(URL, files=FILES, data=DATA).status_code == 200


def whole_request():
    return written_out(httpx.Request("POST", "http://localhost" + URL, files=FILES, data=DATA))


@pytest.mark.slow
def test_a_small_form_that_trickles_in_gets_408_too(quick):
    with connect(quick) as connection:
        top = head(100, "/v1/styles/0123456789abcdef").replace(b"POST", b"PATCH", 1)
        connection.sendall(top + b"--x\r\n")
        status, problem = answer(connection)
    assert (status, problem["type"]) == (408, "urn:adain:problem:upload-too-slow")


def test_a_request_without_pictures_has_a_small_body(quick):
    with connect(quick) as connection:
        connection.sendall(head(100_000, "/v1/styles/x").replace(b"POST", b"PATCH", 1))
        status, problem = answer(connection)
    assert (status, problem["type"]) == (413, "urn:adain:problem:body-too-large")
    assert problem["limit"] == 64 * 1024


@pytest.mark.slow
def test_a_body_that_trickles_in_gets_408(quick):
    with connect(quick) as connection:
        part = 'Content-Disposition: form-data; name="content"; filename="c"'
        connection.sendall(head(10_000) + f"--x\r\n{part}\r\n\r\n".encode())
        stop = threading.Event()

        def trickle():
            while not stop.wait(0.1):
                connection.send(b"-")

        thread = threading.Thread(target=trickle)
        thread.start()
        begun = time.monotonic()
        while not connection.recv(1, socket.MSG_PEEK):
            pass
        stop.set()
        thread.join()
        status, problem = answer(connection)
        assert 1 < time.monotonic() - begun < 5
    assert (status, problem["type"]) == (408, "urn:adain:problem:upload-too-slow")
    assert problem["limit"] == 1.5
    assert works(quick)


@pytest.mark.slow
def test_slow_clients_hold_no_more_than_their_places(quick):
    """As many as are admitted trickle; others are told so at once, and later served."""
    connections = [socket.create_connection(
        (quick.base_url.host, quick.base_url.port)) for _ in range(4)]  # fmt: skip
    for connection in connections:
        connection.sendall(head(10_000))
    time.sleep(0.2)
    begun = time.monotonic()
    assert quick.post(URL, files=FILES, data=DATA).status_code == 503
    assert time.monotonic() - begun < 1
    assert quick.get("/livez").status_code == 200
    time.sleep(1.8)
    assert works(quick)
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999, 1.0])
def test_clients_that_leave_at_any_moment(quick, part, caplog):
    request = whole_request()
    for _ in range(5):
        with connect(quick) as connection:
            connection.sendall(request[: int(part * len(request))])
    deadline = time.monotonic() + 20
    while not works(quick):
        assert time.monotonic() < deadline
    assert "unexpected error" not in caplog.text


def test_a_client_that_closes_its_half_after_the_request_is_answered_or_dropped(quick):
    with connect(quick) as connection:
        connection.sendall(whole_request())
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
    assert works(quick)


@pytest.mark.parametrize("path", [URL, "/v1/styles"])
def test_ten_gigabytes_are_refused_before_they_are_sent(quick, path):
    with connect(quick) as connection:
        connection.sendall(head(10 * 2**30, path))
        assert answer(connection)[0] == 413


def test_a_thousand_fields(quick):
    for count in (900, 3000):
        response = quick.post(URL, files=FILES, data={f"field{i}": "x" for i in range(count)})
        assert response.status_code in (400, 422)
        assert len(response.content) < 2000
    response = quick.post(URL, files=[("style", ("s", b"x"))] * 900)
    assert response.status_code in (400, 422)
    response = quick.post(URL, files=FILES, data={"a" * 100_000: "x"})
    assert response.status_code in (400, 422)
    assert len(response.content) < 2000
    assert works(quick)


@pytest.mark.slow
def test_five_hundred_connections_at_once(quick):
    with connect(quick) as kept:
        kept.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")  # and no more
        address = (quick.base_url.host, quick.base_url.port)
        connections = [socket.create_connection(address) for _ in range(500)]
        for connection in connections:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for connection in connections:
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            connection.close()
    assert works(quick)


def test_no_upload_stays_in_the_temporary_folder(quick, tmp_path, monkeypatch):
    """Bodies over 1 MiB are spooled to files; what comes of them must not matter."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    big = np.random.default_rng(0).bytes(3_000_000)
    for content in (big, encoded(photo(), "PNG") + big):
        assert quick.post(URL, files=FILES | {"content": content}, data=DATA).status_code < 500
    with connect(quick) as connection:
        connection.sendall(head(5_000_000) + b"--x\r\n" + big)
    time.sleep(0.3)
    assert list(folder.iterdir()) == []


def test_input_is_not_reflected_as_html(quick):
    response = quick.get("/<script>alert(1)</script>")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"


# Files


def chunky_png():
    """A PNG whose compressed text would fill gigabytes."""
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "0" * 30_000_000, zip=True)
    return encoded(photo(), "PNG", pnginfo=info)


HUGE = {"JPEG": (60_000, 60_000), "PNG": (2**31 - 1, 2**31 - 1), "GIF": (65_535, 65_535)}


def lying(format, width, height):
    """A small file whose header announces a huge picture."""
    data = bytearray(encoded(photo(8, 8), format))
    if format == "PNG":
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    elif format == "GIF":
        data[6:10] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    else:
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


BOMBS = {
    "text": chunky_png(),
    "profile": encoded(photo(), "PNG", icc_profile=b"\0" * 20_000_000),
    "exif": encoded(photo(), "JPEG", exif=b"Exif\0\0" + b"MM\0*" + b"\xff" * 60_000),
    "wide": encoded(Image.new("1", (65_000, 1)), "PNG"),
    **{f"lying {name}": lying(name, *size) for name, size in HUGE.items()},
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_or_read_in_little_time(quick, name):
    # The decoding processes have started once one has read a picture; on a busy machine that may
    # take longer than this server's deadline.
    good = {"data": {"name": "good"}, "files": {"file": encoded(photo(16, 16))}}
    assert any(quick.post("/v1/styles", **good).status_code != 504 for _ in range(20))
    begun = time.monotonic()
    response = quick.post("/v1/styles", data={"name": name}, files={"file": BOMBS[name]})
    assert response.status_code in (201, 413, 415, 422), response.text
    assert time.monotonic() - begun < 5


SEEDS = {name: encoded(photo(40, 30), name) for name in READ_FORMATS}
CASES = 300


@pytest.mark.parametrize("format", READ_FORMATS)
@seed(0)
@settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_mutated_files_give_a_picture_or_an_error_of_ours(format, data):
    """Bytes changed, cut out, doubled and cut off, near the header more than elsewhere."""
    file = bytearray(SEEDS[format])
    for _ in range(data.draw(st.integers(1, 6))):
        spread = data.draw(st.sampled_from([16, 64, len(file)]))
        place = data.draw(st.integers(0, max(0, min(spread, len(file)) - 1)))
        size = data.draw(st.integers(0, 8))
        file[place : place + size] = data.draw(st.binary(max_size=8))
    if data.draw(st.booleans()):
        del file[data.draw(st.integers(0, len(file))) :]
    try:
        image = read_image(bytes(file), max_pixels=100_000)
    except AdainError:
        return
    assert image.mode in ("RGB", "RGBA")
    assert image.width * image.height <= 100_000


@pytest.mark.slow
def test_random_requests_never_meet_a_bug(quick):
    """Forms of random fields and values, of which some are right."""
    chance = random.Random(0)
    values = ["0", "1", "-1", "nan", "inf", "1e309", "", "ä\x00", "png", "64", "x" * 5000, "true"]
    names = ["alpha", "weight", "size", "style_size", "format", "quality", "style_id", "mask", "zz"]
    files = [encoded(photo()), encoded(painting()), b"", b"GIF89a", os.urandom(300)]
    for _ in range(400):
        form = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(4))}
        sent = [
            (chance.choice(["content", "style", "mask", "zz"]), ("f", chance.choice(files)))
            for _ in range(chance.randrange(5))
        ]
        response = quick.post(URL, data={"style_size": "64", **form}, files=sent or None)
        assert response.status_code in (200, 400, 404, 413, 415, 422), (form, response.text)


def no_server_error(response):
    assert response.status_code in (503, 504, 507) or response.status_code < 500


@pytest.mark.slow
def test_requests_made_from_the_openapi_document(quick):
    """Schemathesis: what the document allows, and what it forbids."""
    schema = schemathesis.openapi.from_url(f"{quick.base_url}/openapi.json")
    for result in schema.get_all_operations():
        operation = result.ok()

        @seed(0)
        @settings(
            max_examples=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case):
            no_server_error(case.call(timeout=30))

        check()
    assert works(quick)


@pytest.mark.slow
def test_an_image_of_the_most_pixels_is_told_by_its_header():
    file = io.BytesIO()
    Image.new("1", (50_000, 30_000)).save(file, "PNG")
    assert MAX_PIXELS < 50_000 * 30_000
    with pytest.raises(AdainError, match="limit"):
        read_image(file.getvalue(), max_pixels=2 * MAX_PIXELS)
