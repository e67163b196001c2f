"""Features of contents that are kept for the next call, up to so many bytes."""

import numpy as np
import torch

from model.content_cache import ContentCache, key_of, nbytes


def content(value):
    """Pixels of one value, and features of it."""
    pixels = np.full((8, 16, 3), value, np.uint8)
    return pixels, (torch.full((1, 3, 8, 16), float(value)), [torch.zeros(1, 64, 8, 16)])


def test_what_was_unused_for_longest_is_displaced():
    (a, of_a), (b, of_b), (c, of_c) = map(content, range(3))
    cache = ContentCache(2 * nbytes(of_a))
    cache.put(a, of_a)
    cache.put(b, of_b)
    assert cache.get(a.copy()) is of_a
    cache.put(c, of_c)
    assert cache.get(b) is None
    assert cache.get(a) is of_a
    assert cache.get(c) is of_c
    assert cache.size == 2 * nbytes(of_a)
    cache.put(c, of_c)
    assert cache.size == 2 * nbytes(of_a), "what is there takes no more room"


def test_what_is_larger_than_the_cache_is_not_kept():
    pixels, features = content(1)
    cache = ContentCache(nbytes(features) - 1)
    cache.put(pixels, features)
    assert cache.get(pixels) is None
    assert cache.size == 0


def test_keys_tell_pixels_and_shapes_apart():
    pixels, _ = content(1)
    turned = pixels.transpose(1, 0, 2)
    assert len({key_of(each) for each in (pixels, turned, content(2)[0])}) == 3
    assert key_of(pixels[:, ::-1]) == key_of(pixels), "one value, whatever the layout"
