"""Batches: the pictures that each job gives alone, and each job's failure its own."""

import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image

from app.engine import batch
from app.engine.interface import Job, JobStatus
from model.adain import ChannelStatistics
from model.controls import Controls
from model.errors import ParameterError
from model.painting import Painting
from tests.pictures import difference, photo


@pytest.fixture
def batches(stylizer):
    """How many pictures the encoder got, each time."""
    seen = []
    hook = stylizer.encoder.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    yield seen
    hook.remove()


def paint_all(stylizer, jobs):
    return batch.paint_all(stylizer, jobs, [JobStatus() for _ in jobs], lambda: None)


def wrong(style):
    """A style of too many channels, which only the painting finds out."""
    doubled = [
        ChannelStatistics(tap.mean.repeat(1, 2, 1, 1), tap.std.repeat(1, 2, 1, 1))
        for tap in style.taps
    ]
    return replace(style, taps=tuple(doubled))


def plain_job(style, seed=0):
    return Job(Painting.plan(photo(seed=seed), 1), [style], 64)


def test_each_job_of_a_batch_has_its_own_controls(stylizer, style, other_style, batches):
    cut_out = photo(seed=3)
    cut_out.putalpha(Image.radial_gradient("L").resize(cut_out.size))
    mask = Image.linear_gradient("L").resize(cut_out.size)
    controls = [
        (photo(), [style], {}),
        (photo(seed=2), [style, other_style], {"weights": [3, 1], "alpha": 0.6}),
        (cut_out, [other_style], {"preserve_color": True}),
        (cut_out, [style, other_style], {"masks": [mask, mask]}),
    ]
    jobs = [
        Job(Painting.plan(content, len(styles), Controls(**rest)), styles, 64)
        for content, styles, rest in controls
    ]
    results = paint_all(stylizer, jobs)
    assert batches == [4]
    for job, painted, (content, styles, rest) in zip(jobs, results, controls, strict=True):
        alone = stylizer.stylize(content, styles, **rest)
        assert difference(job.painting.finish(painted.pixels), alone) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("culprit", range(5))
def test_a_job_that_fails_fails_alone(stylizer, style, batches, culprit):
    styles = [style] * 5
    styles[culprit] = wrong(style)
    results = paint_all(stylizer, [plain_job(s, seed) for seed, s in enumerate(styles)])
    for seed, result in enumerate(results):
        if seed == culprit:
            assert isinstance(result, RuntimeError)
        else:
            painted = Painting.plan(photo(seed=seed), 1).finish(result.pixels)
            assert difference(painted, stylizer.stylize(photo(seed=seed), style)) < 0.01
    assert batches[0] == 5


def test_styles_that_are_not_known_are_computed_and_returned(stylizer, style):
    picture = photo(64, 64)
    known, new = paint_all(stylizer, [plain_job(style), plain_job(picture)])
    assert known.styles == [style]
    encoded = stylizer.encode_style(picture, style_size=64)
    assert new.styles[0].to_bytes() == encoded.to_bytes()
    assert new.style_seconds > known.style_seconds


def test_no_style_is_encoded_for_who_has_gone(stylizer, batches):
    job = Job(Painting.plan(photo(), 2), [photo(seed=1), photo(seed=2)], 64)
    status = JobStatus()
    [result] = batch.paint_all(stylizer, [job], [status], status.gone.set)
    assert isinstance(result, batch.AbandonedError)
    assert batches == [1]


def test_a_batch_of_which_nothing_is_left(stylizer, style, batches):
    [result] = paint_all(stylizer, [Job(plain_job(style).painting, [photo()], style_size=1)])
    assert isinstance(result, ParameterError)
    assert batches == []


TIGHT = """
import resource
from pathlib import Path
from app.engine.batch import paint_all
from app.engine.interface import Job, Result, JobStatus
from model import Stylizer
from model.controls import Controls
from model.painting import Painting
from tests.pictures import photo

stylizer = Stylizer.load(device="cpu", precision="float32", content_cache_bytes=0)
content = photo(512, 512)
style = stylizer.encode_style(content, style_size=64)
jobs = [Job(Painting.plan(content, 1), [style], 64) for _ in range(8)]
batches = []
stylizer.encoder.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
stylizer.paint([jobs[0].painting], [[style]])

def virtual():
    return int(Path("/proc/self/status").read_text().partition("VmSize:")[2].split()[0]) * 1024

free, largest = 700 * 2**20, resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_AS, (virtual() + free, largest))
results = paint_all(stylizer, jobs, [JobStatus()] * 8, lambda: None)
assert all(isinstance(result, Result) for result in results), results
# The process is as well as before.
again = paint_all(stylizer, jobs[:1], [JobStatus()], lambda: None)
assert (again[0].pixels == results[-1].pixels).all()
print(*batches)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded by RLIMIT_AS")
def test_a_batch_that_does_not_fit_the_memory_is_halved():
    run = subprocess.run(
        [sys.executable, "-c", TIGHT], check=True, capture_output=True, text=True
    ).stdout
    sizes = [int(size) for size in run.split()]
    assert sizes[:2] == [1, 8]
    assert 4 in sizes
    assert max(sizes[2:]) < 8
