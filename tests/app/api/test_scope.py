import pytest

from app.api.scope import client_of
from app.settings import Settings
from tests.conftest import EngineThatKnows, serving
from tests.pictures import encoded, painting, photo


@pytest.mark.parametrize(
    ("address", "client"),
    [
        (("192.0.2.7", 4711), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 4711), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::1", 4711), "2001:db8:1:2::/64"),
        (("unknown", 0), ""),
        (None, ""),
    ],
)
def test_a_client_is_an_address_or_the_network_of_one(address, client):
    assert client_of({"type": "http", "client": address}) == client


def test_the_engine_knows_who_asks(stylizer):
    settings = Settings()
    engine = EngineThatKnows(stylizer, settings)
    with serving(settings, engine) as client:
        for headers in ({}, {"X-Forwarded-For": "198.51.100.7"}):
            client.post(
                "/v1/stylize",
                files={"content": encoded(photo()), "style": encoded(painting())},
                headers=headers,
            ).raise_for_status()
    assert engine.clients[-2:] == ["127.0.0.1", "198.51.100.7"]
