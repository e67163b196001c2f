import copy
import math
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from app.starter import PAINTINGS
from benchmarks import batch, gallery, load, methods, scale, soak, styles
from benchmarks.__main__ import SECTIONS, illustrated, sections
from benchmarks.library import measure as measure_request
from benchmarks.limit import multiply_adds, networks
from benchmarks.plain import Plain
from benchmarks.plots import PLOTS
from benchmarks.server import measure as measure_server
from benchmarks.speed import CACHED, PLAIN, measure
from model import Stylizer, read_image
from model.formats import WRITE_FORMATS
from model.networks.plain_decoder import PlainDecoder
from model.weights import load_encoder
from tests.pictures import difference, encoded, painting, photo

ROOT = Path(__file__).parents[2]


def test_the_plain_implementation_is_the_same_method():
    torch.manual_seed(0)
    decoder = PlainDecoder()
    stylizer = Stylizer(load_encoder(), copy.deepcopy(decoder))
    content, style = photo(96, 64), painting(64)
    ours = stylizer.stylize(content, stylizer.encode_style(style, style_size=64))
    assert difference(Plain(decoder).stylize(content, style), ours) < 0.1


@pytest.mark.slow
def test_speed_measures_each_method_in_a_process_of_its_own():
    results = measure([PLAIN, CACHED], "cpu", 64, 2)
    for seconds, peak in results.values():
        assert seconds > 0
        assert peak > 100


@pytest.mark.slow
def test_server_overhead_is_measured_over_http(client):
    total, model = measure_server(client, 64, "jpeg", 2)
    assert total > model > 0


def test_the_styles_of_the_gallery_are_starters():
    assert {f"{name}.webp" for name in gallery.STYLES} <= {each.file for each in PAINTINGS}


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_request_with_a_saved_style_and_with_a_picture(client, known):
    style = client.get("/v1/styles").json()["styles"][0]["id"]
    sent = (None, style) if known else (encoded(painting()), None)
    assert measure_request(client, encoded(photo()), *sent) > 0


@pytest.mark.parametrize("side", [64, 128])
def test_the_multiply_adds_are_those_that_pytorch_counts(stylizer, style, side):
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        networks(stylizer, torch.rand(1, 3, side, side), style)
    convolutions = counter.get_flop_counts()["Global"]
    counted = sum(flops for call, flops in convolutions.items() if "conv" in str(call))
    # A multiply-add is two operations; a replicated border is folded too, and cut off.
    assert counted / 2 == pytest.approx(multiply_adds(side), rel=0.25 * 64 / side)


@pytest.mark.slow
@pytest.mark.parametrize("period", [0, 0.5])
def test_load_measures_every_request(serve, tmp_path, period):
    content = tmp_path / "content.jpg"
    content.write_bytes(encoded(photo()))
    with serve(data_dir=tmp_path) as client:
        saved = load.save_style(client)
        before = stylized(client)
        arguments = ["--content", str(content), "--saved", saved, "--period", str(period)]
        answers = load.load(client.base_url, 3, 2, arguments)
        assert answers["200"]["num_requests"] == stylized(client) - before > 3
    if period:
        assert answers["200"]["num_requests"] <= 3 * (1 + 2 / period)
    rate, share, refused, *times = load.describe(answers, bare=10.0)
    assert float(rate) > 0
    assert float(share.rstrip("%")) == pytest.approx(10 * float(rate), abs=1)
    assert refused == "0"
    assert sorted(times) == times


def stylized(client):
    """How many stylizations succeeded, as the service counts."""
    [count] = re.findall(
        r'adain_requests_total{method="POST",route="/v1/stylize",status="200"} ([\d.]+)',
        client.get("/metrics").text,
    )
    return float(count)


def test_an_unexpected_answer_ends_the_load():
    with pytest.raises(SystemExit, match="500"):
        load.describe({"500": {"num_requests": 1}}, 1.0)


def test_percentiles():
    times = Counter({1.0: 1, 2.0: 1, 3.0: 1, 4.0: 1})
    assert load.percentile(times, 0.5) == 3.0
    assert load.percentile(Counter({1.0: 1, 2.0: 1}), 0.99) == 2.0


@pytest.mark.slow
def test_batches_and_further_styles_are_measured(stylizer, style):
    seconds, matrix = batch.measure(stylizer, style, 64, [1, 2], 1)
    assert seconds.keys() == {1, 2}
    assert matrix > 0
    times = styles.measure(stylizer, [1, 2], 64, 1)
    assert times["new", 2] > times["known", 2] > 0


@pytest.mark.slow
def test_what_a_day_needs_follows_from_what_a_picture_needs():
    cores, sizes = scale.measure(64, (400, 300))
    assert cores.keys() == {"read", "paint", *WRITE_FORMATS}
    assert min(cores.values()) > 0
    assert sizes["sent"] > sizes["jpeg"] > 500
    few, many = (scale.needs(daily, 64, cores, 100) for daily in (scale.DAY, 100 * scale.DAY))
    assert few["rate"] == scale.PEAK
    assert many["cpu_only"] == pytest.approx(100 * few["cpu_only"])
    assert few["cpu_only"] > few["jpeg_cores"]
    gpu_seconds = 2 * multiply_adds(64) / 100e12
    assert few["gpus"] == pytest.approx(scale.PEAK * gpu_seconds / scale.BUSY)


@pytest.mark.slow
def test_methods_are_compared_by_the_same_losses(stylizer):
    pair = methods.Pair(stylizer, photo(64, 64), painting(64))
    results, curves = methods.run(pair, None, [2, 4], [0.2])
    refined, optimised = curves[methods.REFINED], curves[methods.PAPER]
    ours = f"ours, {methods.STEPS} steps"
    by_name = {result.method: result for result in results}
    assert list(by_name) == ["AdaIN", "AdaIN + 0.2 s", "2 steps", "4 steps", ours]
    assert by_name["AdaIN + 0.2 s"].style <= by_name["AdaIN"].style
    assert by_name["4 steps"].style < by_name["2 steps"].style
    assert by_name[ours].style < by_name["4 steps"].style
    assert by_name["2 steps"].structure > 0.5, "hardly moved from the content"
    assert len(optimised.style) == 4
    assert refined.reaches(math.inf) == refined.seconds[0]
    assert refined.reaches(-1) == math.inf
    assert methods.passes_share(pair, rounds=2) > 0


@pytest.mark.slow
def test_the_soak_finds_every_answer_right_and_a_wrong_one(client, stylizer):
    made = soak.cases(stylizer, large=(640, 480), sizes=3)
    run = soak.Soak(made, lambda number: number == len(made))
    run.work(client)
    assert run.found == {"calm": {"right": len(made)}}
    wrong = soak.Case(made[0].request, 200, made[0].expected + 1)
    run = soak.Soak([wrong, soak.Case(made[0].request, 404)], lambda number: number == 2)
    run.phase = "attacked"
    run.work(client)
    assert run.found == {"attacked": {"wrong (200)": 2}}
    assert len(run.seconds["attacked"]) == 1


def test_a_page_keeps_the_sections_that_are_not_run_anew():
    page = "# Benchmarks\n\ntext\n\n## Tiles\n\na\n\n## The page\n\nb\n"
    assert sections(page) == {"Tiles": "## Tiles\n\na\n", "The page": "## The page\n\nb\n"}


def test_plots_are_drawn_from_the_page(tmp_path):
    page = (ROOT / "docs" / "benchmarks" / "README.md").read_text()
    kept = sections(page)
    for name in PLOTS:
        text = illustrated(name, kept, tmp_path)
        assert text == kept[SECTIONS[name][0]], "the page has its plot already"
        assert read_image(tmp_path / f"{name}.png").width > 300


def test_the_gallery_names_the_sources_of_its_pictures():
    assert all(re.search(name, gallery.__doc__) for name in gallery.CONTENTS)
