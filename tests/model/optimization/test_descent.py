"""Descent on losses whose minimum is known."""

import math
from itertools import islice

import pytest
import torch

from model.optimization import descent
from model.optimization.descent import MAX_RESTARTS, Budget, DivergenceError, descend
from model.optimization.objective import Losses

START = torch.full((1, 3, 16, 16), 0.5)
TARGET = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SCALES = torch.linspace(1, 30, 16)


def losses(total):
    return Losses(total, total, total, total, total)


def valley(image):
    """A quadratic, thirty times steeper one way than the other; least at TARGET."""
    return losses(((image - TARGET) * SCALES).square().sum())


@pytest.mark.parametrize(("optimizer", "steps"), [("lbfgs", 60), ("adam", 400)])
def test_it_finds_the_minimum(optimizer, steps):
    *_, last = descend(valley, START, Budget(steps=steps), optimizer=optimizer)
    torch.testing.assert_close(last.image, TARGET, atol=2e-3, rtol=0)
    assert last.total < 1e-3 * valley(START).total


def test_each_step_is_the_best_so_far_and_says_its_loss():
    steps = list(descend(valley, START, Budget(steps=30)))
    totals = [step.total for step in steps]
    assert totals == sorted(totals, reverse=True)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert torch.equal(steps[0].image, START)
    for step in steps:
        assert valley(step.image).total.item() == pytest.approx(step.total, rel=1e-4)


def test_the_initial_picture_stays_as_it_is():
    start = START.clone()
    list(descend(valley, start, Budget(steps=5)))
    assert torch.equal(start, START)
    assert not start.requires_grad


def test_it_ends_with_the_steps():
    steps = list(descend(valley, START, Budget(steps=4)))
    assert [step.fraction for step in steps] == [0.25, 0.5, 0.75, 1.0]


def test_it_ends_with_the_seconds():
    seconds = iter(range(1000))
    steps = list(descend(valley, START, Budget(seconds=3), clock=lambda: next(seconds)))
    assert [step.seconds for step in steps] == [1, 2, 3]
    assert steps[-1].fraction == 1


def test_what_pytorch_imports_for_its_first_optimizer_is_not_in_the_budget(monkeypatch):
    passed = [0]
    make = descent.stepper

    def import_and_make(*of):
        passed[0] += 100
        return make(*of)

    def seconds():
        passed[0] += 1
        return passed[0]

    monkeypatch.setattr(descent, "stepper", import_and_make)
    steps = descend(valley, START, Budget(seconds=3), clock=seconds)
    assert [step.seconds for step in steps] == [1, 2, 3]


def test_it_ends_where_the_loss_stops_falling():
    steps = list(descend(lambda x: losses((x - TARGET).square().sum() + 1), START, Budget()))
    assert 20 < len(steps) < 60
    assert steps[-1].total == pytest.approx(1, abs=1e-4)


def test_it_ends_at_nothing():
    [only] = descend(lambda x: losses((x - START).square().sum()), START, Budget())
    assert only.total == 0


def test_who_has_enough_stops_asking():
    asked = []

    def counted(image):
        asked.append(1)
        return valley(image)

    list(islice(descend(counted, START, Budget()), 3))
    assert len(asked) == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e9])
def test_a_step_off_the_cliff_is_taken_back(bad):
    """Beyond the middle the loss is no use; the least of what can be reached lies before it."""

    def cliff(image):
        total = valley(image).total
        return losses(torch.where(image.mean() < 0.505, total, total.detach() * bad))

    steps = list(descend(cliff, START, Budget(steps=100)))
    assert math.isfinite(steps[-1].total)
    assert steps[-1].total < 0.9 * steps[0].total
    assert all(step.image.isfinite().all() for step in steps)


def test_what_always_fails_ends_with_the_best_so_far():
    calls = []

    def once(image):
        calls.append(1)
        return losses(image.sum() if len(calls) == 1 else image.sum() * math.nan)

    steps = list(descend(once, START, Budget()))
    assert len(steps) == MAX_RESTARTS + 2
    assert torch.equal(steps[-1].image, START)


def test_a_loss_that_is_not_finite_from_the_start_is_an_error():
    with pytest.raises(DivergenceError, match="the loss is nan at the start"):
        list(descend(lambda x: losses(x.sum() * math.nan), START, Budget()))
