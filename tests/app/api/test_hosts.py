"""Requests under foreign host names, and from pages of other origins, over a real server."""

from contextlib import closing
from http.client import HTTPConnection

import pytest

from app.api.middleware.hosts import allowed_hosts, is_loopback
from app.settings import Settings
from tests.pictures import encoded, painting, photo

REBOUND = {"Host": "evil.example:8000"}
FOREIGN = {"Origin": "https://evil.example"}


@pytest.fixture(scope="module")
def guarded(serve, tmp_path_factory):
    """A server with a library of its own that listens on this machine alone."""
    with serve(data_dir=tmp_path_factory.mktemp("guarded"), host="127.0.0.1") as client:
        yield client


def save(client, headers):
    files = {"file": encoded(painting())}
    return client.post("/v1/styles", data={"name": "a"}, files=files, headers=headers)


@pytest.mark.parametrize("path", ["/", "/v1/styles", "/livez", "/metrics", "/page/main.js"])
def test_a_host_name_that_was_made_to_point_here_reads_nothing(guarded, path):
    refused = guarded.get(path, headers=REBOUND)
    assert refused.status_code == 421
    assert refused.json()["type"] == "urn:adain:problem:wrong-host"
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:8000"])
def test_this_machine_has_several_names(guarded, host):
    assert guarded.get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["", "evil.example", "[", "127.0.0.1.evil.example"])
def test_other_names_are_refused(guarded, host):
    assert guarded.get("/livez", headers={"Host": host}).status_code in (400, 421)


def test_two_names_at_once_are_refused(guarded):
    with closing(HTTPConnection(guarded.base_url.host, guarded.base_url.port)) as connection:
        connection.putrequest("GET", "/livez", skip_host=True)
        connection.putheader("Host", "localhost")
        connection.putheader("Host", "evil.example")
        connection.endheaders()
        assert connection.getresponse().status == 421


@pytest.mark.parametrize(
    "headers",
    [
        FOREIGN,
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_origin_changes_nothing(guarded, headers):
    refused = save(guarded, headers)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:adain:problem:foreign-origin"
    style = save(guarded, {}).json()
    url = f"/v1/styles/{style['id']}"
    assert guarded.delete(url, headers=headers).status_code == 403
    assert guarded.patch(url, data={"name": "b"}, headers=headers).status_code == 403
    asked = {"content": encoded(photo()), "style": encoded(painting())}
    assert guarded.post("/v1/stylize", files=asked, headers=headers).status_code == 403
    assert guarded.get(url, headers=headers).json()["name"] == "a"
    assert guarded.delete(url).status_code == 204


@pytest.mark.slow
def test_the_services_own_page_and_named_origins_may(serve, tmp_path):
    with serve(data_dir=tmp_path, cors_origins="https://art.example") as client:
        own = f"http://{client.base_url.netloc.decode()}"
        assert save(client, {"Origin": own, "Sec-Fetch-Site": "same-origin"}).status_code == 201
        named = save(client, {"Origin": "https://art.example", "Sec-Fetch-Site": "cross-site"})
        assert named.status_code == 409, "the name is taken: it was not refused"
        assert save(client, FOREIGN).status_code == 403


@pytest.mark.slow
def test_named_hosts_alone_are_allowed(serve, tmp_path):
    with serve(data_dir=tmp_path, allowed_hosts="art.example,127.0.0.1") as client:
        for host, status in {"art.example:80": 200, "127.0.0.1": 200, "localhost": 421}.items():
            assert client.get("/livez", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        ({"host": "0.0.0.0"}, None),
        ({"host": "::"}, None),
        ({"host": "0.0.0.0", "allowed_hosts": "A.example"}, ["a.example"]),
        ({"host": "10.1.2.3"}, ["localhost", "127.0.0.1", "::1", "10.1.2.3"]),
        ({"allowed_hosts": "a.example,*"}, None),
    ],
)
def test_which_hosts_are_allowed(settings, hosts):
    assert allowed_hosts(Settings(**settings)) == hosts


def test_who_is_reached_by_this_machine_alone():
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "10.1.2.3", "art.example")] == [False] * 3
