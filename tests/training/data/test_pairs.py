import numpy as np
import pytest
import torch

from tests.pictures import painting, photo, write_pictures
from training.data.pairs import Pair, Pairs, random_crop
from training.data.pictures import Pictures
from training.loop.schedule import Stage
from training.loop.stream import Place, Stream

CPU = torch.device("cpu")


@pytest.fixture
def sets(tmp_path):
    write_pictures(tmp_path, {"contents": photo, "styles": painting}, 3)
    return [Pictures([tmp_path / name], shortest=16, longest=64) for name in ("contents", "styles")]


def make_pairs(sets, *, identity_share=0.0, reconstruction=0.0, seed=0, workers=0):
    return Pairs(
        *sets,
        identity_share=identity_share,
        reconstruction=reconstruction,
        seed=seed,
        workers=workers,
    )


def stream(step=0, position=0, rank=0, processes=1, sides=(32, 48), batch=2):
    stages = tuple(Stage(side, batch, 1 / len(sides)) for side in sides)
    return Stream(
        stages,
        lambda step: min(1.0, step / 6),
        step=step,
        position=position,
        rank=rank,
        processes=processes,
    )


def take(pairs, places, count):
    batches = pairs.batches(places, CPU)
    return [next(batches) for _ in range(count)]


def same(one: list[Pair], other: list[Pair]) -> bool:
    items = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return all(torch.equal(a, b) for a, b in items)


def test_a_crop_is_a_square_of_the_picture_at_some_scale():
    picture = torch.arange(3 * 40 * 60, dtype=torch.float32).reshape(3, 40, 60)
    picture = (255 * picture / picture.max()).to(torch.uint8)
    random = np.random.default_rng(0)
    crops = [random_crop(picture, 16, random) for _ in range(50)]
    assert {crop.shape for crop in crops} == {(3, 16, 16)}
    assert min(crop.min() for crop in crops) >= 0
    assert max(crop.max() for crop in crops) <= 1
    # Rows of the picture rise to the right: some crops are mirrored, and others not.
    assert len({bool(crop[0, 0, 0] < crop[0, 0, -1]) for crop in crops}) == 2
    # Scales differ: so do the steps from row to row.
    assert len({round((crop[0, 8, 8] - crop[0, 7, 8]).item(), 3) for crop in crops}) > 5


def test_a_crop_larger_than_the_picture_is_enlarged():
    crop = random_crop(torch.full((3, 20, 30), 51, dtype=torch.uint8), 32, np.random.default_rng(0))
    assert crop.shape == (3, 32, 32)
    assert torch.allclose(crop, torch.tensor(0.2))


def test_a_batch_depends_on_the_seed_and_its_place_alone(sets):
    batches = take(make_pairs(sets), stream(), 6)
    assert same(batches, take(make_pairs(sets), stream(), 6))
    assert same(batches[4:], take(make_pairs(sets), stream(step=4, position=8), 2))
    assert not same(batches, take(make_pairs(sets, seed=1), stream(), 6))


@pytest.mark.slow
def test_workers_make_the_same_batches(sets):
    assert same(take(make_pairs(sets), stream(), 6), take(make_pairs(sets, workers=1), stream(), 6))


def test_processes_share_out_what_one_process_would_take(sets):
    one = take(make_pairs(sets), stream(batch=4), 3)
    both = [take(make_pairs(sets), stream(rank=rank, processes=2), 3) for rank in range(2)]
    for whole, *parts in zip(one, *both, strict=True):
        assert same([whole], [Pair(*map(torch.cat, zip(*parts, strict=True)))])


def test_crops_grow_with_the_stages(sets):
    sides = [batch.content.shape[-1] for batch in take(make_pairs(sets), stream(), 6)]
    assert sides == [32, 32, 32, 48, 48, 48]


def test_a_share_of_contents_is_its_own_style(sets):
    pairs = make_pairs(sets, identity_share=0.3)
    items = [pairs[Place(position, 16, 0.5)] for position in range(300)]
    shares = torch.stack([item.identity for item in items]).mean()
    assert 0.2 < shares < 0.4
    for item in items:
        assert torch.equal(item.content, item.style) == bool(item.identity)


def test_all_contents_are_their_own_style_in_the_first_part_of_a_run(sets):
    pairs = make_pairs(sets, reconstruction=0.1)
    assert all(pairs[Place(position, 16, 0.05)].identity for position in range(20))
    assert not any(pairs[Place(position, 16, 0.1)].identity for position in range(20))


def test_a_batch_can_be_named(sets):
    (batch,) = take(make_pairs(sets, identity_share=0.5), stream(batch=8), 1)
    names = make_pairs(sets, identity_share=0.5).describe(batch).split("; ")
    assert len(names) == 8
    for name, identity in zip(names, batch.identity, strict=True):
        assert name.endswith(" in itself") == bool(identity)
        assert "contents/" in name
        assert ("styles/" in name) != bool(identity)
