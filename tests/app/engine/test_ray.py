"""The whole application on a Ray cluster of two CPUs: Ray's proxy, the service, two models."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from ray import serve

from app.engine.interface import Job, JobStatus
from app.errors import ServiceError
from app.ray_service import RayEngine, build
from app.settings import Settings
from benchmarks.ray import REPLICAS, processes
from benchmarks.server import Server, wait_until_ready
from model.images import read_image
from model.painting import Painting
from tests import cluster as clusters
from tests import postgres
from tests.app.api.test_problems import BAD_REQUESTS, CONTENT, STYLE, check
from tests.conftest import serving
from tests.pictures import difference, encoded, painting, photo

pytestmark = pytest.mark.slow
URL = "/v1/stylize"
GOOD = {"files": [CONTENT, STYLE], "data": {"style_size": "64"}}
ON_RAY, ALONE = ("--engine", "ray"), {"RAY_ADDRESS": "local"}
LIMITS = {"max_body_bytes": 2_000_000, "max_pixels": 1_000_000, "max_size": 512, "max_styles": 4}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("ray"))
    return {
        "device": "cpu",
        "precision": "float32",
        "ray_replicas": 2,
        "data_dir": folder,
        **LIMITS,
    }


@pytest.fixture(scope="module")
def client(cluster, settings):
    serve.run(build(settings), name="adain")
    with httpx.Client(base_url=cluster, timeout=60) as client:
        wait_until_ready(cluster)
        yield client
    serve.delete("adain")


@contextmanager
def load(client, clients=6, pause=0.0):
    """Clients that ask without end; yields how often which status was answered."""
    answers, ended = Counter(), threading.Event()

    def ask():
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            while not ended.is_set():
                answers[own.post(URL, **GOOD).status_code] += 1
                time.sleep(pause)

    with ThreadPoolExecutor(clients) as threads:
        asking = [threads.submit(ask) for _ in range(clients)]
        try:
            yield answers
        finally:
            ended.set()
        for each in asking:
            each.result()


def wait(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def as_sent(url):
    """A good request as bytes, and the address to send them to."""
    request = httpx.Request("POST", url.join(URL), **GOOD)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    message = f"POST {URL} HTTP/1.1\r\n{head}\r\n".encode() + request.read()
    return message, (url.host, url.port)


def test_the_result_is_what_the_stylizer_gives(client, stylizer, style):
    response = client.post(URL, **GOOD, headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 200, response.text
    # The models have one CPU each, and so another order of sums.
    assert difference(read_image(response.content), stylizer.stylize(photo(), style)) < 0.01
    assert response.headers["x-request-id"] == "abc-1"
    assert float(response.headers["server-timing"].partition("model;dur=")[2].partition(",")[0])


@pytest.mark.parametrize(
    ("status", "code", "detail", "request_"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys()
)
def test_a_bad_request_gets_the_same_problem_through_rays_proxy(
    client, status, code, detail, request_
):
    check(client.post(URL, **request_), status, code, detail)


def test_the_page_its_files_and_the_library_are_there(client):
    assert "adain" in client.get("/").text
    assert client.get("/page/main.js").status_code == 200
    assert len(client.get("/v1/styles").json()["styles"]) == 12
    assert client.get("/v1/limits").json()["max_size"] == 512
    assert 'device="cpu"' in client.get("/metrics").text


def test_a_full_service_refuses_and_loses_nothing(client):
    """More at once than are admitted: the others hear when to come again."""
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: client.post(URL, **GOOD), range(40)))
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    check(refused, 503, "queue-full", "try again")
    assert int(refused.headers["retry-after"]) >= 1
    assert client.post(URL, **GOOD).status_code == 200


def test_rays_proxy_bounds_what_a_connection_may_send(client):
    many = client.get("/livez", headers={f"x-{number}": "" for number in range(101)})
    check(many, 431, "head-too-large", "more than 100 headers")
    question = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answered = b""
    with closing(socket.create_connection((client.base_url.host, client.base_url.port), 10)) as one:
        one.sendall(200 * question)
        with contextlib.suppress(ConnectionResetError):
            while received := one.recv(2**16):
                answered += received
    assert answered.count(b"HTTP/1.1 200") < 200, "closed, since more than five are not awaited"
    assert client.get("/livez").status_code == 200


def test_a_model_that_is_killed_costs_no_request(client):
    with load(client) as answers:
        wait(lambda: answers[200] > 20)
        before = processes(REPLICAS)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        reached = answers[200]
        wait(lambda: answers[200] > reached + 60)
        # Ray replaces it.
        wait(lambda: len(processes(REPLICAS)) == 2)
    assert answers.keys() == {200}
    assert before[0] not in processes(REPLICAS)


def test_a_storm_of_clients_that_leave_holds_nothing_up(client):
    message, address = as_sent(client.base_url)
    chance = random.Random(0)
    for _ in range(60):
        with closing(socket.create_connection(address, 10)) as connection:
            connection.sendall(message[: chance.choice([10, len(message) // 2, len(message)])])
            time.sleep(chance.choice([0, 0.02]))
    wait(lambda: "adain_in_work 0.0" in client.get("/metrics").text, 30)
    assert client.post(URL, **GOOD).status_code == 200


def test_a_new_version_is_rolled_out_without_an_error(client, settings):
    with load(client, clients=3, pause=0.05) as answers:
        wait(lambda: answers[200] > 5)
        before = processes(REPLICAS)
        serve.run(build(settings | {"max_batch": 4}), name="adain")
        reached = answers[200]
        wait(lambda: answers[200] > reached + 10)
    assert answers.keys() == {200}
    assert not set(before) & set(processes(REPLICAS))


def engine_of(**options):
    """An engine whose only model paints nothing before it is told to, and the engine's loop."""
    model = serve.deployment(
        clusters.Silent, name="silent", ray_actor_options={"num_cpus": 0}, **options
    )
    return RayEngine(serve.run(model.bind(), name="silent", route_prefix=None))


def job():
    return Job(Painting.plan(photo(), 1), [painting(64)], 64)


def test_as_many_as_may_wait_for_the_model_and_no_more(cluster):
    engine = engine_of(max_ongoing_requests=1, max_queued_requests=1)

    async def ask():
        await engine.start()
        asked = []
        for _ in range(3):
            asked.append(asyncio.create_task(engine.stylize(job(), JobStatus())))
            await asyncio.sleep(0.5)
        with pytest.raises(ServiceError, match="as many wait") as caught:
            await asked[2]
        assert caught.value.code == "queue-full"
        for each in asked[:2]:
            each.cancel()

    asyncio.run(ask())
    serve.delete("silent")


def test_a_model_that_dies_at_every_try_is_an_error_of_ours(cluster):
    engine = engine_of()

    async def ask():
        await engine.start()
        asked = asyncio.create_task(engine.stylize(job(), JobStatus()))
        killed = set()
        while not asked.done():
            for process in processes("ray::ServeReplica:silent"):
                if process not in killed:
                    await asyncio.sleep(1)
                    os.kill(process, signal.SIGKILL)
                    killed.add(process)
            await asyncio.sleep(0.1)
        with pytest.raises(ServiceError, match="ended before they were done") as caught:
            await asked
        assert caught.value.code == "model-lost"
        assert len(killed) == 2

    asyncio.run(ask())
    serve.delete("silent")


def test_replicas_of_the_service_share_a_library(ray_engines, tmp_path):
    """Saved through one, used through the other; deleted, gone from both and their statistics."""
    with postgres.running(tmp_path) as url:
        settings = Settings(database_url=url)
        with (
            serving(settings, ray_engines.engine) as one,
            serving(settings, ray_engines.engine) as two,
        ):
            file = {"file": encoded(painting())}
            saved = one.post("/v1/styles", data={"name": "x"}, files=file).json()["id"]
            request = {"files": [CONTENT], "data": {"style_id": saved, "style_size": "64"}}
            first, second = (each.post(URL, **request) for each in (two, one))
            assert first.status_code == 200
            assert first.content == second.content
            assert "style;dur=0.0," in second.headers["server-timing"], "encoded by the other"
            assert two.delete(f"/v1/styles/{saved}").status_code == 204
            for each in (one, two):
                assert each.post(URL, **request).status_code == 404


def test_the_command_serves_and_finishes_what_it_accepted():
    """What is being painted, and what has yet to ask for the model: half of it comes later."""
    # Not compressed, it is more than gRPC lets pass by itself, as a request and as a job.
    content = encoded(photo(1200, 1200), compress_level=0)
    assert len(content) > 4 * 2**20
    files = {"content": content, "style": encoded(painting())}
    with (
        # On one slow core, the default of 30 seconds is not enough for the larger one.
        closing(Server(*ON_RAY, ADAIN_GRACE_SECONDS="120", **ALONE)) as server,
        ThreadPoolExecutor() as threads,
    ):
        server.start()
        message, address = as_sent(httpx.URL(server.url))
        with closing(socket.create_connection(address, 60)) as connection:
            connection.sendall(message[: len(message) // 2])
            time.sleep(1)  # until the service has it
            asked = threads.submit(
                httpx.post, server.url + URL, files=files, data={"style_size": "64"}, timeout=120
            )
            wait(lambda: "adain_in_work 1.0" in httpx.get(f"{server.url}/metrics").text)
            stopped = threads.submit(server.stop)
            wait(lambda: httpx.get(f"{server.url}/readyz").status_code == 404)
            time.sleep(3)  # longer than Ray lets those live that have nothing to do
            connection.sendall(message[len(message) // 2 :])
            answer = HTTPResponse(connection)
            answer.begin()
            assert answer.status == 200
            assert read_image(answer.read()).size == photo().size
        assert asked.result().status_code == 200
        stopped.result()


def test_what_is_not_done_when_the_grace_period_ends_gets_503():
    files = {"content": encoded(photo(1000, 1000)), "style": encoded(painting())}
    with (
        closing(Server(*ON_RAY, ADAIN_GRACE_SECONDS="0", **ALONE)) as server,
        ThreadPoolExecutor() as threads,
    ):
        server.start()
        asked = threads.submit(httpx.post, server.url + URL, files=files, timeout=60)
        wait(lambda: "adain_in_work 1.0" in httpx.get(f"{server.url}/metrics").text)
        server.stop()
        check(asked.result(), 503, "stopping", "ended before this was done")


def test_the_command_says_why_it_does_not_start(tmp_path):
    missing = str(tmp_path / "missing.safetensors")
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = [taken.getsockname()[1], free.getsockname()[1]]
        free.close()
        said = [complaint(port, ADAIN_DECODER=missing) for port in ports]
    assert "Ray could not start the service" in said[0]
    assert "Failed to bind" in said[0]
    assert f"{missing}: no such file" in said[1]


def complaint(port, **environment):
    """What a server on Ray says that must fail."""
    command = [Path(sys.executable).with_name("adain"), "serve", "--engine", "ray"]
    ended = subprocess.run(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ | {"RAY_ADDRESS": "local"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    return next(line for line in ended.stderr.splitlines() if line.startswith("adain: error: "))
