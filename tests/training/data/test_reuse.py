"""Pairs whose items come back: a function of the seed and the position alone."""

import numpy as np
import pytest
import torch

from tests.pictures import painting, photo, write_pictures
from tests.training.data.test_pairs import CPU, same, stream
from training.data.patterns import KINDS, pattern
from training.data.pictures import Pictures
from training.data.reuse import CONTENTS, NEW_CONTENTS, ReusedPair, ReusedPairs, draw, recolor
from training.loop.stream import Place


@pytest.fixture
def sets(tmp_path):
    write_pictures(tmp_path, {"contents": photo, "styles": painting}, 3)
    return [Pictures([tmp_path / name], shortest=16, longest=64) for name in ("contents", "styles")]


def make_pairs(sets, *, identity_share=0.0, seed=0, workers=0):
    return ReusedPairs(*sets, identity_share=identity_share, seed=seed, workers=workers)


def take(pairs, places, count):
    batches = pairs.batches(places, CPU)
    return [next(batches) for _ in range(count)]


def test_a_batch_depends_on_the_seed_and_its_place_alone(sets):
    batches = take(make_pairs(sets), stream(), 6)
    assert same(batches, take(make_pairs(sets), stream(), 6))
    assert same(batches[4:], take(make_pairs(sets), stream(step=4, position=8), 2))
    assert not same(batches, take(make_pairs(sets, seed=1), stream(), 6))


def test_processes_share_out_what_one_process_would_take(sets):
    one = take(make_pairs(sets), stream(batch=4), 3)
    both = [take(make_pairs(sets), stream(rank=rank, processes=2), 3) for rank in range(2)]
    for whole, *parts in zip(one, *both, strict=True):
        assert same([whole], [ReusedPair(*map(torch.cat, zip(*parts, strict=True)))])


@pytest.mark.slow
def test_workers_make_the_same_batches(sets):
    assert same(take(make_pairs(sets), stream(), 6), take(make_pairs(sets, workers=1), stream(), 6))


def test_an_item_is_the_same_crop_wherever_it_comes_back(sets):
    pairs, seen = make_pairs(sets), {}
    for position in range(400):
        pair = pairs[Place(position, 16, 0.5)]
        for kind, item, image in (
            ("content", pair.content_item, pair.content),
            ("style", pair.style_item, pair.style),
        ):
            known = seen.setdefault((kind, int(item)), image)
            assert torch.equal(known, image)
    assert len(seen) < 500, "of 800 that were drawn"


def test_items_come_back_about_as_often_as_new_ones_enter():
    random = np.random.default_rng(0)
    items = [draw(position, CONTENTS, NEW_CONTENTS, random) for position in range(4000)]
    assert 4000 / len(set(items)) == pytest.approx(1 / NEW_CONTENTS, rel=0.2)
    assert max(items[:10]) < CONTENTS + 5
    assert min(items[2000:]) >= 1000


def test_a_share_of_contents_is_its_own_style(sets):
    pairs = make_pairs(sets, identity_share=0.3)
    items = [pairs[Place(position, 16, 0.5)] for position in range(300)]
    assert 0.2 < torch.stack([item.identity for item in items]).mean() < 0.4
    for item in items:
        if item.identity:
            assert torch.equal(item.content, item.style)


def test_a_batch_can_be_named(sets):
    (batch,) = take(make_pairs(sets, identity_share=0.5), stream(batch=8), 1)
    names = make_pairs(sets, identity_share=0.5).describe(batch).split("; ")
    assert len(names) == 8
    for name, identity in zip(names, batch.identity, strict=True):
        assert name.endswith(" in itself") == bool(identity)


def test_a_recoloured_style_stays_a_picture():
    style, random = torch.rand(3, 8, 8), np.random.default_rng(0)
    results = [recolor(style, random) for _ in range(60)]
    assert all(0 <= result.min() <= result.max() <= 1 for result in results)
    assert sum(torch.equal(result, style) for result in results) > 20
    assert any(torch.equal(result[0], result[1]) for result in results), "a grey one"


@pytest.mark.parametrize("kind", KINDS)
def test_a_pattern_is_a_picture_in_the_given_colours(kind):
    colors = np.array([[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]])
    for seed in range(6):
        made = pattern(48, colors, np.random.default_rng(seed), kind)
        assert made.shape == (48, 48, 3)
        assert made.dtype == np.float32
        assert 0 <= made.min() <= made.max() <= 1
        assert made[..., 1].mean() < made[..., [0, 2]].max(), "red and blue, and no green"
    same_again = pattern(48, colors, np.random.default_rng(5), kind)
    assert np.array_equal(made, same_again)
