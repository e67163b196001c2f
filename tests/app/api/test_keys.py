"""API keys and cross-origin requests, over a real server."""

import pytest

from app.settings import Settings
from tests.pictures import encoded, painting, photo

FILES = {"content": encoded(photo()), "style": encoded(painting())}


@pytest.fixture(scope="module")
def guarded(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    with serve(data_dir=folder, api_keys="first-key, second-key") as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/styles", "/v1/limits", "/v1/requests/a", "/metrics"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "first-ke"},
        {"X-API-Key": "first-key, second-key"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic first-key"},
    ],
)
def test_without_a_key_there_is_nothing(guarded, path, headers):
    response = guarded.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["type"] == "urn:adain:problem:unauthorized"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "first-key"},
        {"X-API-Key": "second-key"},
        {"Authorization": "bearer first-key"},
    ],
)
def test_with_a_key_there_is_all(guarded, headers):
    data = {"style_size": "64"}
    assert guarded.post("/v1/stylize", files=FILES, data=data).status_code == 401
    answer = guarded.post("/v1/stylize", files=FILES, data=data, headers=headers)
    assert answer.status_code == 200
    styles = guarded.get("/v1/styles", headers=headers).json()["styles"]
    assert guarded.get(styles[0]["thumbnail"]).status_code == 200, "an <img> sends no key"


def test_health_and_page_need_no_key(guarded):
    for path in ("/livez", "/readyz", "/", "/page/main.js"):
        assert guarded.get(path).status_code == 200


def test_keys_are_not_shown():
    assert "secret" not in repr(Settings(api_keys="secret-key"))


ORIGIN = {"Origin": "https://example.com"}


@pytest.mark.slow
def test_other_origins_are_not_allowed_unless_they_are_named(client, serve, tmp_path):
    assert "access-control-allow-origin" not in client.get("/v1/styles", headers=ORIGIN).headers
    settings = {"cors_origins": "https://example.com", "api_keys": "k", "data_dir": tmp_path}
    with serve(**settings) as named:
        asked = ORIGIN | {
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "X-API-Key",
        }
        preflight = named.options("/v1/styles/a", headers=asked)
        assert preflight.status_code == 200, "which browsers send without a key"
        assert preflight.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        refused = named.get("/v1/styles", headers=ORIGIN)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN["Origin"]
        other = named.get("/v1/styles", headers={"Origin": "https://other.com"})
        assert "access-control-allow-origin" not in other.headers
