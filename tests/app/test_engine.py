import asyncio
import threading

import pytest

from app.batch import Job
from app.engine import BATCH_PIXELS, Engine
from model.errors import ParameterError
from model.painting import Painting
from tests.pictures import difference, photo

ALIKE, OTHER = (96, 64), (64, 96)


@pytest.fixture
def batches():
    """How many stylizations the engine took at once, each time."""
    return []


@pytest.fixture
def engine(stylizer, batches):
    engine = Engine(stylizer, 3, batches.append)
    yield engine
    engine.close()


class Gate:
    """What the model's thread waits at; by then everything else has been asked for."""

    def __init__(self):
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self):
        self.reached.set()
        assert self.open.wait(60)


def ask_behind_a_gate(engine, jobs, meanwhile=lambda asked: None):
    """Ask for `jobs` while the model is busy; return the results, or the errors."""
    gate = Gate()

    async def ask():
        first = asyncio.create_task(engine.stylize(job(engine, (32, 32), on_start=gate)))
        await asyncio.to_thread(gate.reached.wait)
        asked = [asyncio.create_task(engine.stylize(each)) for each in jobs]
        await asyncio.sleep(0.05)
        meanwhile(asked)
        gate.open.set()
        await first
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask())


def job(engine, size, *, style=None, style_size=64, **hooks):
    painting = Painting.plan(photo(*size), 1)
    return Job(painting, [style or photo(64, 64)], style_size, **hooks)


def test_jobs_of_different_sizes_begin_one_by_one_in_the_order_asked_for(engine, batches):
    order = []
    sizes = [ALIKE, OTHER, (80, 80)]
    jobs = [job(engine, s, on_start=lambda s=s: order.append(s)) for s in sizes]
    results = ask_behind_a_gate(engine, jobs)
    assert order == sizes
    assert batches == [1, 1, 1, 1]
    assert results[2].queue_seconds > results[0].queue_seconds
    assert results[0].model_seconds > results[0].painted.style_seconds > 0


def test_jobs_of_one_size_that_wait_together_are_painted_at_once(engine, batches, style):
    order = []
    sizes = [ALIKE, OTHER, ALIKE, ALIKE, ALIKE]
    jobs = [
        job(engine, s, style=style, on_start=lambda i=i: order.append(i))
        for i, s in enumerate(sizes)
    ]
    results = ask_behind_a_gate(engine, jobs)
    # Three at most; the last one of that size comes after what was asked for before it.
    assert batches == [1, 3, 1, 1]
    assert order == [0, 2, 3, 1, 4]
    for size, result in zip(sizes, results, strict=True):
        alone = engine.stylizer.stylize(photo(*size), style)
        painted = Painting.plan(photo(*size), 1).finish(result.painted.pixels)
        assert difference(painted, alone) < 0.01


def test_a_batch_has_a_bound_in_pixels(engine, batches, monkeypatch):
    monkeypatch.setitem(BATCH_PIXELS, "cpu", 2 * 96 * 64 + 1)
    ask_behind_a_gate(engine, [job(engine, ALIKE) for _ in range(3)])
    assert batches == [1, 2, 1]


def test_an_error_of_one_job_reaches_its_caller_alone(engine, batches):
    jobs = [job(engine, ALIKE), job(engine, ALIKE, style_size=1), job(engine, ALIKE)]
    good, bad, other = ask_behind_a_gate(engine, jobs)
    assert batches == [1, 3]
    assert isinstance(bad, ParameterError)
    assert good.painted.pixels.shape == other.painted.pixels.shape == (64, 96, 3)


def test_a_job_that_is_cancelled_while_it_waits_never_begins(engine, batches):
    begun = []
    jobs = [job(engine, ALIKE, on_start=lambda i=i: begun.append(i)) for i in range(3)]
    results = ask_behind_a_gate(engine, jobs, lambda asked: asked[1].cancel())
    assert begun == [0, 2]
    assert batches == [1, 2]
    assert isinstance(results[1], asyncio.CancelledError)


def test_closing_drops_what_waits_and_finishes_what_runs(engine):
    gate = Gate()

    async def ask():
        first = asyncio.create_task(engine.stylize(job(engine, ALIKE, on_start=gate)))
        await asyncio.to_thread(gate.reached.wait)
        waiting = asyncio.create_task(engine.stylize(job(engine, ALIKE)))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(asyncio.to_thread(engine.close))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open.set()
        await closing
        return await first

    assert asyncio.run(ask()).painted.pixels.shape == (64, 96, 3)


def test_the_engine_is_ready_after_its_warm_up(engine):
    assert not engine.ready
    asyncio.run(engine.warm_up())
    assert engine.ready
