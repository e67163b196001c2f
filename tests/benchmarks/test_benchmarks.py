import re

import pytest

from app.starter import PAINTINGS
from benchmarks import gallery
from benchmarks.library import measure as measure_request
from benchmarks.plain import Plain
from benchmarks.server import measure as measure_server
from benchmarks.speed import CACHED, PLAIN, measure
from tests.pictures import difference, encoded, painting, photo


def test_the_plain_implementation_is_the_same_method(stylizer):
    content, style = photo(96, 64), painting(64)
    ours = stylizer.stylize(content, stylizer.encode_style(style, style_size=64))
    assert difference(Plain().stylize(content, style), ours) < 0.1


@pytest.mark.slow
def test_speed_measures_each_method_in_a_process_of_its_own():
    results = measure([PLAIN, CACHED], "cpu", 64, 2)
    for seconds, peak in results.values():
        assert seconds > 0
        assert peak > 100


def test_server_overhead_is_measured_over_http(client):
    total, model = measure_server(client, 64, "jpeg", 2)
    assert total > model > 0


def test_the_styles_of_the_gallery_are_starters():
    assert {f"{name}.webp" for name in gallery.STYLES} <= {each.file for each in PAINTINGS}


@pytest.mark.parametrize("known", [True, False])
def test_a_request_with_a_saved_style_and_with_a_picture(client, known):
    style = client.get("/v1/styles").json()["styles"][0]["id"]
    sent = (None, style) if known else (encoded(painting()), None)
    assert measure_request(client, encoded(photo()), *sent) > 0


def test_the_gallery_names_the_sources_of_its_pictures():
    assert all(re.search(name, gallery.__doc__) for name in gallery.CONTENTS)
