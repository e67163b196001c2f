"""GET /metrics after requests over a real server."""

import json
import re
import threading
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Metrics
from tests.pictures import encoded, painting, photo

FILES = {"content": encoded(photo()), "style": encoded(painting())}
DATA = {"style_size": "64"}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def client(serve, tmp_path):
    with serve(data_dir=tmp_path) as client:
        yield client


def read(client):
    """All samples: {(name, values of the labels by the labels' names): value}."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_answers_are_counted_by_route_and_status(client):
    client.post("/v1/stylize", files=FILES, data=DATA)
    client.post("/v1/stylize", files=FILES, data=DATA | {"alpha": "2"})
    for name in ("a", "b"):
        client.get(f"/v1/styles/{name}")
        client.get(f"/unknown/{name}")
    samples = read(client)
    route = ("adain_requests_total", "POST", "/v1/stylize")
    assert samples[(*route, "200")] == samples[(*route, "422")] == 1
    assert samples["adain_requests_total", "GET", "/v1/styles/{id}", "404"] == 2
    assert samples["adain_requests_total", "GET", "none", "404"] == 2, "one series for all of them"
    assert samples["adain_problems_total", "invalid-parameter"] == 1
    assert samples["adain_problems_total", "unknown-style"] == 2
    assert samples["adain_pixels_total",] == 96 * 64
    assert samples["adain_request_seconds_count", "/v1/stylize"] == 2


def test_invented_methods_share_one_series():
    metrics = Metrics()
    for number in range(20):
        metrics.count({"method": f"INVENTED{number}", "state": {}}, 405, 0.1)
    text = generate_latest(metrics.registry).decode()
    assert 'adain_requests_total{method="other",route="none",status="405"} 20.0' in text
    assert "INVENTED" not in text


def test_the_stages_agree_with_server_timing_and_known_styles_are_told(client):
    stages = {}
    for _ in range(2):
        response = client.post("/v1/stylize", files=FILES, data=DATA)
        for name, value in re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]):
            stages[name] = stages.get(name, 0) + float(value) / 1000
    samples = read(client)
    assert set(stages) == {"read", "decode", "queue", "style", "model", "encode"}
    for name, seconds in stages.items():
        assert samples["adain_stage_seconds_sum", name] == pytest.approx(seconds, abs=0.0002)
        assert samples["adain_stage_seconds_count", name] == 2
    assert samples["adain_styles_total", "computed"] == 1
    assert samples["adain_styles_total", "known"] == 1


def test_the_queue_is_seen(client, hold):
    held = hold()

    def post():
        with httpx.Client(base_url=client.base_url, timeout=60) as other:
            other.post("/v1/stylize", files=FILES, data=DATA)

    threads = [threading.Thread(target=post) for _ in range(3)]
    threads[0].start()
    assert held.reached.wait(30)  # alone: what came with it would be in its batch
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 30
    while read(client)["adain_in_work",] < 3 or read(client)["adain_queue_depth",] < 2:
        assert time.monotonic() < deadline
    held.release()
    for thread in threads:
        thread.join()
    samples = read(client)
    assert samples["adain_in_work",] == samples["adain_queue_depth",] == 0
    # The one that was held, and the two that waited: each tells how many were painted with it.
    assert samples["adain_batch_size_count",] == 3
    assert samples["adain_batch_size_sum",] == 1 + 2 + 2


def test_the_process_and_the_build_are_described(client, stylizer):
    text = client.get("/metrics").text
    assert f'weights="{stylizer.fingerprint}"' in text
    assert 'precision="float32"' in text
    assert read(client)["process_resident_memory_bytes",] > 10**8


def test_the_dashboard_asks_for_metrics_that_exist(client):
    client.post("/v1/stylize", files=FILES, data=DATA)
    client.get("/unknown")
    known = {name for name, *_ in read(client)}
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"(?:adain|process)_\w+", query)}
    assert len(asked) >= 10
    assert asked <= known
