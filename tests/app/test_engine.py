import asyncio
import threading

import pytest
import torch

from app.engine import Engine, StyleCache
from model.adain import ChannelStatistics


@pytest.fixture
def engine(stylizer):
    engine = Engine(stylizer, 4)
    yield engine
    engine.close()


def statistics(value):
    return ChannelStatistics(torch.full((1, 1, 1, 1), value), torch.ones(1, 1, 1, 1))


def test_the_cache_displaces_what_was_unused_for_longest():
    cache = StyleCache(2 * statistics(0.0).nbytes)
    a, b, c = (statistics(float(i)) for i in range(3))
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)
    assert cache.get("b") is None
    assert cache.get("a") is a
    assert cache.get("c") is c
    cache.put("c", a)
    assert cache.size == cache.capacity, "what replaces its like takes no more room"


def test_a_cache_without_room_keeps_nothing():
    cache = StyleCache(0)
    cache.put("a", statistics(0.0))
    assert cache.get("a") is None


def test_keys_tell_files_and_sizes_apart():
    keys = {StyleCache.key(file, size) for file in (b"1", b"2") for size in (64, 128)}
    assert len(keys) == 4


def test_work_runs_one_piece_at_a_time_in_the_order_asked_for(engine):
    running, most, order = [], [], []

    def work(name):
        running.append(name)
        most.append(len(running))
        order.append(name)
        threading.Event().wait(0.01)
        running.remove(name)
        return name

    async def ask():
        return await asyncio.gather(*(engine.run(lambda n=n: work(n)) for n in range(5)))

    results = asyncio.run(ask())
    assert [timed.result for timed in results] == order == list(range(5))
    assert max(most) == 1
    assert results[4].queue_seconds > results[0].queue_seconds
    assert results[0].model_seconds >= 0.01


def test_an_error_of_the_work_reaches_the_caller_and_the_engine_goes_on(engine):
    def fail():
        raise ZeroDivisionError

    async def ask():
        with pytest.raises(ZeroDivisionError):
            await engine.run(fail)
        return await engine.run(lambda: "well")

    assert asyncio.run(ask()).result == "well"


def test_work_that_is_cancelled_while_it_waits_never_runs(engine):
    release, ran = threading.Event(), []

    async def ask():
        first = asyncio.create_task(engine.run(release.wait))
        waiting = asyncio.create_task(engine.run(lambda: ran.append(1)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        release.set()
        await first
        await engine.run(lambda: None)

    asyncio.run(ask())
    assert ran == []


def test_the_engine_is_ready_after_its_warm_up(engine):
    assert not engine.ready
    asyncio.run(engine.warm_up())
    assert engine.ready
