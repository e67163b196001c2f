import re

import pytest

from benchmarks import gallery
from benchmarks.plain import Plain
from benchmarks.server import measure as measure_server
from benchmarks.speed import CACHED, PLAIN, measure
from tests.pictures import difference, painting, photo


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


@pytest.mark.parametrize("paint", [gallery.night, gallery.glass, gallery.dawn, gallery.ink])
def test_painted_styles_are_always_the_same(paint):
    first, second = paint(), paint()
    assert first.size == (gallery.SIDE, gallery.SIDE)
    assert difference(first, second) == 0
    assert max(high - low for low, high in first.getextrema()) > 150


def test_the_gallery_names_the_sources_of_its_pictures():
    assert all(re.search(name, gallery.__doc__) for name in gallery.CONTENTS)
