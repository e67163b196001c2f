"""The service answers, and asks nobody: no connection goes out, and no program is started.

Its own decoding processes are, and they ask nobody either.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import PngImagePlugin

from benchmarks.server import free_port
from tests.conftest import wait_until_ready
from tests.pictures import encoded, painting, photo

# Python runs this at its start, and tells the hook of every connection and every program from
# then on (PEP 578). The probe is for the test to see that it does.
HOOK = """
import os, socket, sys

def record(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname",
                 "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"):
        with open(os.environ["RECORD"], "a") as file:
            shown = arguments[:2] if event == "subprocess.Popen" else arguments[-2:]
            print(event, *map(repr, shown), file=file)

sys.addaudithook(record)
socket.socket().connect_ex(("127.0.0.1", 9))
"""


PROBE = "('127.0.0.1', 9)"
DECODER = "'-m', 'anyio.to_process'"


def noted(record):
    """What processes of the service did, but for the probe of each and the start of decoders."""
    lines = record.read_text().splitlines()
    return [line for line in lines if PROBE not in line and DECODER not in line]


@pytest.fixture
def recorded(tmp_path):
    """A client of `adain serve`, and the file of what the process did."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    record = tmp_path / "record"
    port = free_port()
    variables = {
        "PYTHONPATH": str(tmp_path),
        "RECORD": str(record),
        "ADAIN_DATA_DIR": str(tmp_path),
    }
    command = [Path(sys.executable).with_name("adain"), "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60,
            transport=httpx.HTTPTransport(retries=10),
        ) as client:  # fmt: skip
            wait_until_ready(client)
            yield client, record
    finally:
        server.terminate()
        assert server.wait(60) == 0


@pytest.mark.slow
def test_nothing_goes_out(recorded):
    client, record = recorded
    assert PROBE in record.read_text().splitlines()[0], "the hook sees connections"
    at_start = noted(record)
    assert [line for line in at_start if line.startswith("socket.")] == []

    url = "http://192.0.2.1/picture.png"
    text = PngImagePlugin.PngInfo()
    text.add_text("XML:com.adobe.xmp", f'<x xmlns:stRef="{url}" href="{url}"/>')
    files = {"content": (url, encoded(photo(), pnginfo=text)), "style": encoded(painting())}
    data = {"style_size": "64"}
    assert client.post("/v1/stylize", files=files, data=data).status_code == 200
    saved = client.post("/v1/styles", files={"file": files["style"]}, data={"name": url})
    data |= {"style_id": saved.json()["id"]}
    assert client.post("/v1/stylize", files=files, data=data).status_code == 200
    for wrong in ({"style_id": url}, {"style": url}, {"size": url}):
        response = client.post("/v1/stylize", files={"content": files["content"]}, data=wrong)
        assert response.status_code in (404, 422)
    for body in (url.encode(), f"%!PS\n({url}) run".encode(), f'<svg href="{url}"/>'.encode()):
        response = client.post("/v1/stylize", files=files | {"style": body}, data=data)
        assert response.status_code == 415
    for path in ("/", "/docs", "/openapi.json", "/metrics", "/v1/styles", f"/v1/styles/{url}"):
        client.get(path, headers={"Referer": url, "X-Forwarded-Host": url})
        client.get(path, headers={"Referer": url, "Host": "192.0.2.1"})
    assert noted(record) == at_start
