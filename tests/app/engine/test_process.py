import asyncio
import threading
import time
from concurrent.futures import Future
from dataclasses import replace

import pytest
from PIL import Image

import model.stylizer
from app.engine import process
from app.engine.interface import Job, JobStatus, Refinement
from app.engine.process import MAX_PATIENCE, ProcessEngine, Ticket
from app.settings import Settings
from model.controls import Controls
from model.errors import ParameterError
from model.optimization.optimize import refinement
from model.painting import Painting
from model.runtime import BATCH_PIXELS
from tests.pictures import difference, photo

ALIKE, OTHER = (96, 64), (64, 96)


@pytest.fixture
def worker(stylizer):
    worker = ProcessEngine(stylizer, Settings(max_batch=3))
    yield worker
    worker.close()


class Gate(JobStatus):
    """What the model's thread waits at; by then everything else has been asked for."""

    def __init__(self):
        super().__init__()
        self.reached, self.open = threading.Event(), threading.Event()

    def enter(self, stage):
        super().enter(stage)
        self.reached.set()
        assert self.open.wait(60)


class Order(JobStatus):
    """Notes when its job begins, among others."""

    def __init__(self, begun, name):
        super().__init__()
        self.begun, self.name = begun, name

    def enter(self, stage):
        super().enter(stage)
        self.begun.append(self.name)


def ask_behind_a_gate(worker, jobs, meanwhile=lambda asked: None):
    """Ask for `jobs` while the model is busy; return the results, or the errors, and the order."""
    gate, order = Gate(), []

    async def ask():
        first = asyncio.create_task(worker.stylize(job((32, 32)), gate))
        await asyncio.to_thread(gate.reached.wait)
        asked = [
            asyncio.create_task(worker.stylize(each, Order(order, i)))
            for i, each in enumerate(jobs)
        ]
        await asyncio.sleep(0.05)
        meanwhile(asked)
        gate.open.set()
        assert (await first).batch == 1
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask()), order


def job(size, *, style=None, style_size=64, client=""):
    painting = Painting.plan(photo(*size), 1)
    return Job(painting, [style or photo(64, 64)], style_size, client=client)


@pytest.mark.parametrize(
    ("clients", "expected"), [("aaaab", [0, 4, 1, 2, 3]), ("aabb", [0, 2, 1, 3])]
)
def test_clients_take_turns(worker, style, clients, expected):
    jobs = [  # of a size each, so that no two are in one batch, and too large to pass the first
        job((64 + 8 * number, 64), style=style, client=client)
        for number, client in enumerate(clients)
    ]
    _, order = ask_behind_a_gate(worker, jobs)
    assert order == expected


def test_small_jobs_pass_a_larger_one_for_a_while(worker, monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 2e-4)
    large, middle, small = (128, 128), (96, 96), (64, 64)
    _, order = ask_behind_a_gate(worker, [job(large), job(middle), job(small)])
    assert order == [2, 1, 0]
    asked = time.perf_counter()
    ticket, soon, late = (
        Ticket(job(size), JobStatus(), Future(), asked + seconds)
        for size, seconds in ((large, 0), (small, 1), (small, 3))
    )
    assert soon.turn < ticket.turn < late.turn, "no job passes that comes much later"
    huge = Ticket(job((512, 512)), JobStatus(), Future(), asked)
    assert huge.turn == asked + MAX_PATIENCE


async def open_and_finish(gate, tasks, done):
    """Open the gate once all tasks wait; return their results, and note the order of their ends."""
    for task in tasks:
        task.add_done_callback(lambda task: done.append(task.get_name()))
    await asyncio.sleep(0.05)
    gate.open.set()
    return await asyncio.gather(*tasks)


def several_styles():
    return Job(Painting.plan(photo(*ALIKE), 3), [photo(64, 64)] * 3, 64)


def one_tile():
    return job(ALIKE)


def many_tiles():
    return job((136, 136))


def refined():
    return replace(several_styles(), refinement=Refinement(refinement(1, 64), [photo(64, 64)] * 3))


def paint_among_small_ones(worker, large, count, style, monkeypatch):
    """Paint a large job while small ones wait; return it, and the order in which they ended."""
    monkeypatch.setattr(model.stylizer, "MAX_UNTILED_PIXELS", 128 * 128)
    monkeypatch.setattr(model.stylizer, "TILE", 64)
    gate, done = Gate(), []

    async def ask():
        tasks = [asyncio.create_task(worker.stylize(large(), gate), name="large")]
        await asyncio.to_thread(gate.reached.wait)
        for side in range(16, 16 + count):  # of a size each, so that no two are in one batch
            small = worker.stylize(job((side, side), style=style), JobStatus())
            tasks.append(asyncio.create_task(small, name="small"))
        return await open_and_finish(gate, tasks, done)

    painted, *_ = asyncio.run(ask())
    return painted, done


@pytest.mark.slow
@pytest.mark.parametrize("large", [several_styles, one_tile, many_tiles, refined])
def test_a_large_job_lets_small_ones_pass_in_between(worker, style, monkeypatch, large):
    painted, order = paint_among_small_ones(worker, large, 2, style, monkeypatch)
    assert order == ["small", "small", "large"]
    alone = worker.stylizer.paint([large().painting], [painted.styles])[0]
    assert large is refined or difference(painted.pixels, alone) < 0.01


@pytest.mark.slow
def test_small_jobs_pass_in_the_middle_of_a_style(worker, style):
    gate, begun = Gate(), []
    last = worker.stylizer.encoder.conv4_1
    hook = last.register_forward_hook(lambda *_: begun.append("the style's last layer"))

    async def ask():
        large = asyncio.create_task(worker.stylize(job(ALIKE, style_size=256), gate))
        await asyncio.to_thread(gate.reached.wait)
        small = worker.stylize(job((16, 16), style=style), Order(begun, "a small job"))
        await open_and_finish(gate, [large, asyncio.create_task(small)], [])

    asyncio.run(ask())
    hook.remove()
    assert begun[0] == "a small job"


def test_each_client_gets_as_much_time_as_a_large_job(worker, style, monkeypatch):
    jobs = [job((16, 16), style=style, client=client) for client in ("a", "a", "b")]
    own, passed = worker._pause(1000), []
    seconds = {"a": 0.3, "b": 0.1}

    def paint_next(may):
        able = [each for each in jobs if may(each)][:1]
        for each in able:
            jobs.remove(each)
            passed.append(each.client)
            time.sleep(seconds[each.client])
        return [Ticket(each, JobStatus(), Future(), 0) for each in able]

    monkeypatch.setattr(worker, "_paint_next", paint_next)
    time.sleep(0.1)
    own()
    assert passed == ["a", "b"]
    own()
    assert passed == ["a", "b"]
    time.sleep(0.3)
    own()
    assert passed == ["a", "b", "a"]


@pytest.mark.slow
def test_a_batch_lets_smaller_jobs_pass(worker, style):
    before, gate, done = Gate(), Gate(), []

    async def ask():
        tasks = [asyncio.create_task(worker.stylize(job((32, 32)), before), name="first")]
        await asyncio.to_thread(before.reached.wait)
        tasks += [
            asyncio.create_task(worker.stylize(job(ALIKE), status), name="batch")
            for status in (gate, JobStatus(), JobStatus())
        ]
        await asyncio.sleep(0.05)
        before.open.set()
        await asyncio.to_thread(gate.reached.wait)
        small = worker.stylize(job((16, 16), style=style), JobStatus())
        tasks.append(asyncio.create_task(small, name="small"))
        return await open_and_finish(gate, tasks, done)

    assert [result.batch for result in asyncio.run(ask())] == [1, 3, 3, 3, 1]
    assert done == ["first", "small", "batch", "batch", "batch"]


@pytest.mark.slow
def test_small_jobs_get_half_of_the_time_of_a_large_one(worker, style, monkeypatch):
    _, order = paint_among_small_ones(worker, several_styles, 40, style, monkeypatch)
    assert order[0] == order[-1] == "small"


def test_work_counts_regions_and_styles_to_encode(style):
    one = job((100, 100))
    assert one.work == 100 * 100 + 0.5 * 64**2
    assert replace(one, styles=[style]).work == 100 * 100
    masks = [Image.new("L", (100, 100), 128)] * 2
    painting = Painting.plan(photo(100, 100), 2, Controls(masks=masks))
    assert Job(painting, [style, style], 64).work == pytest.approx(1.4 * 100 * 100)
    longer = replace(one, refinement=Refinement(refinement(2, 64), [photo(64, 64)]))
    assert longer.work == one.work + 2_000_000


def test_jobs_of_different_sizes_begin_one_by_one_in_the_order_asked_for(worker):
    results, order = ask_behind_a_gate(worker, [job(s) for s in (ALIKE, OTHER, (80, 80))])
    assert order == [0, 1, 2]
    assert [result.batch for result in results] == [1, 1, 1]
    assert results[2].queue_seconds > results[0].queue_seconds
    assert results[0].model_seconds > results[0].style_seconds > 0


@pytest.mark.slow
def test_jobs_of_one_size_that_wait_together_are_painted_at_once(worker, style):
    sizes = [ALIKE, OTHER, ALIKE, ALIKE, ALIKE]
    results, order = ask_behind_a_gate(worker, [job(s, style=style) for s in sizes])
    # Three at most; the last one of that size comes after what was asked for before it.
    assert [result.batch for result in results] == [3, 1, 3, 3, 1]
    assert order == [0, 2, 3, 1, 4]
    for size, result in zip(sizes, results, strict=True):
        alone = worker.stylizer.stylize(photo(*size), style)
        painted = Painting.plan(photo(*size), 1).finish(result.pixels)
        assert difference(painted, alone) < 0.01


def test_a_batch_has_a_bound_in_pixels(worker, monkeypatch):
    monkeypatch.setitem(BATCH_PIXELS, "cpu", 2 * 96 * 64 + 1)
    results, _ = ask_behind_a_gate(worker, [job(ALIKE) for _ in range(3)])
    assert [result.batch for result in results] == [2, 2, 1]


def test_an_error_of_one_job_reaches_its_caller_alone(worker):
    jobs = [job(ALIKE), job(ALIKE, style_size=1), job(ALIKE)]
    (good, bad, other), order = ask_behind_a_gate(worker, jobs)
    assert sorted(order) == [0, 1, 2]
    assert isinstance(bad, ParameterError)
    assert good.batch == other.batch == 3
    assert good.pixels.shape == other.pixels.shape == (64, 96, 3)


def test_a_job_that_is_cancelled_while_it_waits_never_begins(worker):
    jobs = [job(ALIKE) for _ in range(3)]
    results, order = ask_behind_a_gate(worker, jobs, lambda asked: asked[1].cancel())
    assert order == [0, 2]
    assert results[0].batch == results[2].batch == 2
    assert isinstance(results[1], asyncio.CancelledError)


def test_closing_drops_what_waits_and_finishes_what_runs(worker):
    gate = Gate()

    async def ask():
        first = asyncio.create_task(worker.stylize(job(ALIKE), gate))
        await asyncio.to_thread(gate.reached.wait)
        waiting = asyncio.create_task(worker.stylize(job(ALIKE), JobStatus()))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(asyncio.to_thread(worker.close))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open.set()
        await closing
        return await first

    assert asyncio.run(ask()).pixels.shape == (64, 96, 3)


def test_the_worker_is_ready_after_its_warm_up(worker):
    assert not worker.ready
    asyncio.run(worker.warm_up())
    assert worker.ready
