"""Refinements over HTTP: a better picture, told of on the way, ended at any time."""

import base64
import io
import json
import re
import threading
import time

import httpx
import pytest
from PIL import Image
from pydantic import ValidationError

from app.settings import Settings
from tests.pictures import difference, encoded, painting, photo

URL = "/v1/stylize"
FILES = {"content": encoded(photo()), "style": encoded(painting())}
DATA = {"style_size": "64"}
LONG = 10


@pytest.fixture(scope="module")
def client(serve, tmp_path_factory):
    with serve(data_dir=tmp_path_factory.mktemp("data"), max_refine_seconds=LONG) as client:
        yield client


def picture(response):
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content))


class Asked:
    """A refinement in work, asked for by someone else."""

    def __init__(self, client, id, seconds=LONG):
        self.begun = time.monotonic()
        self._url, self._headers = str(client.base_url), {"X-Request-ID": id}
        self._data = DATA | {"refine": str(seconds)}
        self._thread = threading.Thread(target=self._post)
        self._thread.start()

    def _post(self):
        with httpx.Client(base_url=self._url, timeout=60) as client:
            self._response = client.post(URL, files=FILES, data=self._data, headers=self._headers)
        self.seconds = time.monotonic() - self.begun

    def response(self):
        self._thread.join()
        return self._response


def events(client, id):
    """Yield the events of a request, once it is known."""
    deadline = time.monotonic() + 20
    while True:
        with client.stream("GET", f"/v1/requests/{id}/events") as response:
            if response.status_code == 200:
                assert response.headers["content-type"].startswith("text/event-stream")
                name = None
                for line in response.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        yield name, json.loads(value)
                return
        assert time.monotonic() < deadline


@pytest.mark.slow
def test_a_refined_picture_is_another_and_took_as_long_as_asked(client):
    plain = picture(client.post(URL, files=FILES, data=DATA))
    response = client.post(URL, files=FILES, data=DATA | {"refine": "2.5"})
    assert difference(picture(response), plain) > 3
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
    assert 2400 < float(stages["refine"]) < 6000
    assert float(stages["model"]) < float(stages["refine"])
    assert 'adain_stage_seconds_count{stage="refine"} 1.0' in client.get("/metrics").text


@pytest.mark.slow
def test_watchers_see_the_picture_get_better(client):
    asked = Asked(client, "watched", 4)
    told = list(events(client, "watched"))
    final = picture(asked.response())
    names = [name for name, _ in told]
    assert names[0] == "status"
    assert names[-1] == "end"
    stages = [data["stage"] for name, data in told if name == "status"]
    assert stages[-1] in ("refining", "encoding")
    steps = [data for name, data in told if name == "refinement"]
    assert len(steps) >= 3
    assert [s["fraction"] for s in steps] == sorted(s["fraction"] for s in steps)
    assert steps[-1]["style"] < steps[0]["style"]
    last = Image.open(io.BytesIO(base64.b64decode(steps[-1]["preview"])))
    assert last.size == final.size
    # A JPEG of strong small strokes differs from what it is of.
    assert difference(last.convert("RGB"), final) < 0.5 * difference(photo(), final)


def test_a_refinement_ends_when_it_is_enough(client):
    asked = Asked(client, "enough")
    next(data for name, data in events(client, "enough") if name == "refinement")
    assert client.get("/v1/requests/enough").json() == {"stage": "refining", "ahead": 0}
    assert client.delete("/v1/requests/enough").status_code == 204
    assert picture(asked.response()).size == photo().size
    assert asked.seconds < LONG - 2


@pytest.mark.slow
def test_the_model_does_not_refine_for_who_has_gone(client):
    with pytest.raises(httpx.ReadTimeout):
        client.post(URL, files=FILES, data=DATA | {"refine": str(LONG)}, timeout=2)
    begun = time.monotonic()
    picture(client.post(URL, files=FILES, data=DATA))
    assert time.monotonic() - begun < LONG - 4


@pytest.mark.slow
def test_styles_whose_statistics_are_known_are_refined_too(client):
    saved = client.post("/v1/styles", files={"file": FILES["style"]}, data={"name": "x"}).json()
    for style in ({"files": FILES}, {"files": {"content": FILES["content"]}}):
        data = DATA if len(style["files"]) == 2 else DATA | {"style_id": saved["id"]}
        plain = picture(client.post(URL, **style, data=data))
        refined = picture(client.post(URL, **style, data=data | {"refine": "2"}))
        assert difference(refined, plain) > 1


@pytest.mark.parametrize("value", ["11", "-1", "nan", "inf", "x"])
def test_seconds_out_of_range(client, value):
    response = client.post(URL, files=FILES, data=DATA | {"refine": value})
    assert response.status_code == 422
    assert "refine" in response.json()["detail"]


@pytest.mark.slow
def test_a_service_that_offers_none_says_so(serve, tmp_path):
    with serve(data_dir=tmp_path) as client:
        response = client.post(URL, files=FILES, data=DATA | {"refine": "1"})
        assert response.status_code == 422
        assert "not offered" in response.json()["detail"]
        assert client.get("/v1/limits").json()["max_refine_seconds"] == 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/events"), ("DELETE", "")])
def test_requests_that_are_not_in_work(client, method, path):
    response = client.request(method, f"/v1/requests/nothing{path}")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:adain:problem:unknown-request"


def test_a_refinement_must_fit_the_deadline():
    with pytest.raises(ValidationError, match="must be less than deadline_seconds"):
        Settings(max_refine_seconds=60, deadline_seconds=60)
