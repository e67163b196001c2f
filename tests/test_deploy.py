"""What is in deploy/ is valid, agrees with the service, and, where it can be run here, works."""

import http.client
import re
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import kubernetes_validate
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from app.engine.process import ProcessEngine
from app.ray_service import ENVIRONMENT, build
from app.settings import Settings
from benchmarks.proxy import example, find_nginx, nginx
from benchmarks.server import free_port
from benchmarks.soak import client_of
from tests.conftest import EngineThatKnows, serving
from tests.pictures import encoded, noise, painting, photo

DEPLOY = Path(__file__).parent.parent / "deploy"
MANIFESTS = sorted((DEPLOY / "k8s").glob("*.yaml"))
# The oldest that has all we use (sleep before a stop), and the newest that is known.
KUBERNETES = ("1.30", kubernetes_validate.latest_version())
FILES = {"content": encoded(photo()), "style": encoded(painting())}
DATA = {"style_size": "64"}


def load(path):
    return yaml.safe_load((DEPLOY / path).read_text())


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_the_manifests_are_valid(manifest, version):
    kubernetes_validate.validate(yaml.safe_load(manifest.read_text()), version, strict=True)


def test_a_wrong_manifest_is_found():
    manifest = load("k8s/deployment.yaml")
    manifest["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePolicy"):
        kubernetes_validate.validate(manifest, KUBERNETES[0], strict=True)


def pod_templates():
    cluster = load("ray/rayservice.yaml")["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [load("k8s/deployment.yaml")["spec"]["template"], *(each["template"] for each in groups)]


@pytest.mark.parametrize("template", pod_templates(), ids=["service", "head", "painters"])
def test_every_pod_is_valid_and_can_do_no_harm(template):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": template["spec"]}
    kubernetes_validate.validate(pod, KUBERNETES[0], strict=True)
    spec = template["spec"]
    user = re.search(r"^USER (\d+):(\d+)$", (DEPLOY.parent / "Dockerfile").read_text(), re.M)
    assert spec["securityContext"]["runAsNonRoot"]
    assert str(spec["securityContext"]["runAsUser"]) == user[1]
    assert not spec["automountServiceAccountToken"]
    [container] = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


def environment(container):
    return {each["name"]: each.get("value") for each in container["env"]}


def test_the_deployment_agrees_with_the_service_and_leaves_it_time_to_end():
    deployment, service = load("k8s/deployment.yaml"), load("k8s/service.yaml")
    spec = deployment["spec"]["template"]["spec"]
    [container] = spec["containers"]
    variables = environment(container)
    known = {f"ADAIN_{name.upper()}" for name in Settings.model_fields} | {"OMP_NUM_THREADS"}
    assert variables.keys() <= known
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = int(variables["ADAIN_GRACE_SECONDS"])
    assert spec["terminationGracePeriodSeconds"] > pause + grace
    assert variables["OMP_NUM_THREADS"] == container["resources"]["requests"]["cpu"]
    assert (
        f"EXPOSE {container['ports'][0]['containerPort']}"
        in (DEPLOY.parent / "Dockerfile").read_text()
    )
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        load("k8s/pdb.yaml")["spec"]["selector"]["matchLabels"],
        load("k8s/networkpolicy.yaml")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    name = deployment["metadata"]["name"]
    assert load("k8s/hpa.yaml")["spec"]["scaleTargetRef"]["name"] == name
    ports = [
        port for rule in load("k8s/networkpolicy.yaml")["spec"]["egress"] for port in rule["ports"]
    ]
    assert {port["port"] for port in ports} == {5432, 53}, "the database, and its name"


def test_the_configuration_of_serve_is_valid_on_kubernetes_too():
    config = load("ray/serve.yaml")
    [application] = ServeDeploySchema.model_validate(config).applications
    assert application.import_path == "app.ray_service:build"
    deployments = build(application.args)
    assert deployments._bound_deployment.name == application.deployments[0].name
    on_kubernetes = load("ray/rayservice.yaml")["spec"]
    assert yaml.safe_load(on_kubernetes["serveConfigV2"]) == config
    cluster = on_kubernetes["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        assert environment(container).items() >= ENVIRONMENT.items()
    pins = (DEPLOY.parent / "constraints.txt").read_text()
    assert f"ray=={cluster['rayVersion']}\n" in pins


# nginx


@pytest.fixture
def replicas(stylizer, tmp_path):
    settings = Settings(data_dir=tmp_path, max_refine_seconds=10)
    one, two = ProcessEngine(stylizer, settings), ProcessEngine(stylizer, settings)
    with serving(settings, one) as first, serving(settings, two) as second:
        yield [first, second]


@contextmanager
def running_nginx(text, port):
    """nginx with a configuration: a client of it."""
    if find_nginx() is None:
        pytest.skip("NGINX IS NOT TESTED: it is not installed (apt-get install nginx-light)")
    with (
        nginx(text, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield client


@pytest.fixture
def proxy(replicas):
    """nginx with our example, in front of two real services."""
    port = free_port()
    text = example(port, *(replica.base_url.port for replica in replicas))
    with running_nginx(text, port) as client:
        yield client


SUB_PATH = """
events {}
http {
    server {
        listen 127.0.0.1:PORT;
        location /paint/ {
            proxy_set_header Host $http_host;
            proxy_pass http://127.0.0.1:SERVICE/;
        }
    }
}
"""


@pytest.mark.slow
def test_the_service_knows_the_clients_of_nginx(stylizer, tmp_path):
    settings = Settings(data_dir=tmp_path)
    engine, port = EngineThatKnows(stylizer, settings), free_port()
    with serving(settings, engine) as service:
        own = service.base_url.port
        with (
            running_nginx(example(port, own, own), port) as client,
            client_of(port, "127.0.0.3") as other,
        ):
            for each in (client, other):
                each.post("/v1/stylize", files=FILES, data=DATA).raise_for_status()
    assert engine.clients[-2:] == ["127.0.0.1", "127.0.0.3"]


@pytest.mark.slow
def test_the_service_under_a_path_of_another_server(stylizer, tmp_path):
    settings = Settings(
        data_dir=tmp_path / "data", root_path="/paint", api_keys="secret", grace_seconds=1
    )
    key = {"X-API-Key": "secret"}
    with serving(settings, ProcessEngine(stylizer, settings)) as service:
        port = free_port()
        text = SUB_PATH.replace("PORT", str(port)).replace("SERVICE", str(service.base_url.port))
        with running_nginx(text, port) as client:
            assert client.get("/paint/v1/styles").status_code == 401
            [first, *_] = client.get("/paint/v1/styles", headers=key).json()["styles"]
            assert client.get(first["thumbnail"]).headers["content-type"] == "image/webp"
            page = client.get("/paint/").text
            links = re.findall(r'(?:src|href)="([^"#]+)"', page)
            assert "page/main.js" in links
            for link in links:
                assert client.get(f"/paint/{link}").status_code == 200, link
            docs = client.get("/paint/docs").text
            assert "openapi.json" in docs
            assert "/paint" in client.get("/paint/openapi.json").text
            sent = {"files": {"file": FILES["style"]}, "data": {"name": "Mine"}}
            saved = client.post("/paint/v1/styles", headers=key, **sent)
            assert client.get(saved.headers["location"], headers=key).json()["name"] == "Mine"
            # Pictures are admitted under any path: a body over 64 KiB is no form without them.
            large = {"content": encoded(noise(256, 256)), "style": FILES["style"]}
            done = client.post("/paint/v1/stylize", files=large, data=DATA, headers=key)
            assert done.status_code == 200, done.text


def stylized(client):
    """How many pictures a service has painted."""
    count = re.search(
        r'adain_stage_seconds_count{stage="model"} ([\d.]+)', client.get("/metrics").text
    )
    return float(count[1]) if count else 0.0


@pytest.mark.slow
def test_both_replicas_are_asked_and_questions_reach_the_one_that_knows(proxy, replicas):
    def post(number, **fields):
        headers = {"X-Request-ID": f"request-{number}"}
        # From an address each: one alone may ask for no more than ten pictures at once.
        with client_of(proxy.base_url.port, f"127.0.0.{2 + number}") as client:
            return client.post("/v1/stylize", files=FILES, data=DATA | fields, headers=headers)

    # Where a request goes depends on the replicas' ports, which differ: of a few requests all may
    # go to one, of 24 one time in eight million.
    for number in range(24):
        response = post(number)
        assert response.status_code == 200
        assert response.headers["x-request-id"] == f"request-{number}"
    before = [stylized(replica) for replica in replicas]
    assert min(before) > 0
    with ThreadPoolExecutor() as threads:
        for number in range(2):
            name = f"request-{number}"
            asked = threads.submit(post, number, refine="2")
            deadline = time.monotonic() + 10
            while proxy.get(f"/v1/requests/{name}").status_code != 200:
                assert time.monotonic() < deadline
            assert proxy.delete(f"/v1/requests/{name}").status_code == 204
            assert asked.result().status_code == 200


@pytest.mark.slow
def test_clients_that_ask_too_often_are_told_so_and_large_bodies_are_refused(proxy):
    answers = Counter(proxy.post("/v1/stylize", data={"alpha": "2"}).status_code for _ in range(30))
    assert answers.keys() == {422, 429}
    connection = http.client.HTTPConnection(proxy.base_url.host, proxy.base_url.port, timeout=10)
    connection.putrequest("POST", "/v1/styles")
    connection.putheader("Content-Length", str(64 * 2**20 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.slow
def test_a_client_with_many_connections_leaves_room_to_others(proxy):
    def connect(source):
        address = proxy.base_url.host, proxy.base_url.port
        return socket.create_connection(address, timeout=10, source_address=(source, 0))

    head = b"PATCH /v1/styles/any HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(60):  # half-sent bodies: 40 wait, the others are refused
            stack.enter_context(closing(connect("127.0.0.2"))).sendall(head)
        refused = stack.enter_context(closing(connect("127.0.0.2")))
        refused.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert refused.recv(12) == b"HTTP/1.1 429"
        assert proxy.get("/livez").status_code == 200


def test_the_limits_of_nginx_are_those_of_the_service():
    text, settings = (DEPLOY / "nginx.conf").read_text(), Settings()
    [megabytes] = re.findall(r"client_max_body_size (\d+)m;", text)
    assert int(megabytes) * 2**20 == settings.max_body_bytes
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", text)
    assert settings.deadline_seconds < int(seconds) < settings.deadline_seconds + 10
