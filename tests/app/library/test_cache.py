from app.library.cache import StyleCache
from tests.pictures import plain_style


def test_the_cache_displaces_what_was_unused_for_longest():
    cache = StyleCache(2 * plain_style(0.0).nbytes)
    a, b, c = (plain_style(float(i)) for i in range(3))
    cache.put("a", a)
    cache.put("b", b)
    assert cache.get("a") is a
    cache.put("c", c)
    assert cache.get("b") is None
    assert cache.get("a") is a
    assert cache.get("c") is c
    cache.put("c", a)
    assert cache.size == 2 * a.nbytes, "what replaces its like takes no more room"


def test_a_cache_without_room_keeps_nothing():
    cache = StyleCache(0)
    cache.put("a", plain_style(0.0))
    assert cache.get("a") is None


def test_keys_tell_files_and_sizes_apart():
    keys = {StyleCache.key(file, size) for file in ("1", "2") for size in (64, 128)}
    assert len(keys) == 4
