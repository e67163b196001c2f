import math

import pytest

from training.errors import TrainingError
from training.loop.schedule import Stage, TrainingBudget, learning_rate, parse_stages, stage_at


def test_stages_are_read():
    assert parse_stages(["96x12@35", "128x6@45", "160"], 4) == (
        Stage(96, 12, 0.35),
        Stage(128, 6, 0.45),
        Stage(160, 4, 0.2),
    )
    assert [stage.share for stage in parse_stages(["64", "96"], 8)] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["big"], "SIDE"),
        (["96x"], "SIDE"),
        (["96@"], "SIDE"),
        (["-96"], "SIDE"),
        (["100"], "multiple of 8"),
        (["8"], "16 or more"),
        (["96x0"], "at least one"),
        (["96@50"], "add up to 100, not 50"),
        (["96@60", "128@60"], "add up to 100, not 120"),
        (["96@100", "128"], "add up to 100"),
    ],
)
def test_wrong_stages_are_refused(stages, message):
    with pytest.raises(TrainingError, match=message):
        parse_stages(stages, 8)


def test_each_stage_has_its_share_of_the_run():
    stages = parse_stages(["64@25", "96@25", "128@50"], 8)
    sides = [stage_at(stages, fraction).side for fraction in (0, 0.24, 0.26, 0.49, 0.51, 1.0)]
    assert sides == [64, 64, 96, 96, 128, 128]


def test_the_rate_rises_then_falls_to_a_hundredth():
    rates = [learning_rate(1.0, fraction / 100) for fraction in range(101)]
    peak = rates.index(max(rates))
    assert 1 <= peak <= 3
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[0] == 0
    assert max(rates) == pytest.approx(1, rel=0.01)
    assert rates[-1] == pytest.approx(0.01)


def test_a_budget_is_in_steps_or_in_minutes():
    assert TrainingBudget(200, None).fraction(50, 1e9) == 0.25
    assert TrainingBudget(None, 2).fraction(10**9, 30) == 0.25
    assert TrainingBudget(None, 2).fraction(0, 1e9) == 1


@pytest.mark.parametrize(
    "budget", [(None, None), (10, 1.0), (0, None), (-5, None), (None, math.nan), (None, math.inf)]
)
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(TrainingError, match="steps"):
        TrainingBudget(*budget)
