"""The variance table, step by step and seed by seed."""

import json
import math

import numpy as np
import pytest

from harness.stats.breakdown import by_seed, by_step
from harness.stats.tables import score_tables
from harness.stats.variance import variance_table

SCORES = np.array([[30, 34, 37, 41], [28, 35, 36, 40], [31, 33, 39, 39]])
STEPS = (0, 10, 100, 1000)


@pytest.fixture
def rows(simulated):
    cells = {
        (seed, step): [1] * n + [0] * (100 - n)
        for seed, line in enumerate(SCORES)
        for step, n in zip(STEPS, line, strict=True)
    }
    return variance_table(score_tables(simulated(cells)))


def test_the_spread_at_each_step_averages_to_e(rows):
    """Madaan et al.'s E of the worked example: .015275, .01, .015275, .01."""
    (found,) = by_step(rows)

    own = [part for part in found.parts if part.metric == "acc"]
    spreads = [part.seed_sd.value for part in own]
    assert spreads == pytest.approx([0.015275, 0.01, 0.015275, 0.01], abs=5e-7)
    assert np.mean(spreads) == pytest.approx(rows[0].discrete.seed_sd.value)
    assert [part.step for part in own] == list(STEPS)
    assert [part.mean for part in own] == pytest.approx(SCORES.mean(0) / 100)
    assert "at this step" in own[0].seed_sd.method
    assert {part.metric for part in found.parts} == {"acc", "prob_correct"}


def test_options_change_the_spread(rows):
    (population,) = by_step(rows, ddof=0)
    (wide,) = by_step(rows, confidence_level=0.99)
    (plain,) = by_step(rows)

    assert population.parts[1].seed_sd.value == pytest.approx(0.01 * math.sqrt(2 / 3))
    assert wide.parts[1].seed_sd.interval.high > plain.parts[1].seed_sd.interval.high


def test_the_monotonicity_of_each_seed_averages_to_that_of_the_table(rows):
    (found,) = by_seed(rows)
    (other,) = by_seed(rows, rank_method="tau-a")

    own = [part for part in found.parts if part.metric == "acc"]
    taus = [part.monotonicity.value for part in own]
    assert taus == pytest.approx([1, 1, 0.912871], abs=5e-7)
    assert np.mean(taus) == pytest.approx(rows[0].discrete.monotonicity.value)
    assert [part.last for part in own] == pytest.approx([0.41, 0.40, 0.39])
    assert [part.last_step for part in own] == [1000] * 3
    assert other.parts[2].monotonicity.value == pytest.approx(5 / 6)


def test_missing_checkpoints_are_left_out(simulated):
    cells = {(0, 10): [1, 0, 1, 0], (1, 10): [1, 1, 1, 0], (1, 20): [1, 1, 1, 1]}
    rows = variance_table(score_tables(simulated(cells)))

    (steps,), (seeds,) = by_step(rows), by_seed(rows)

    assert [part.n_seeds for part in steps.parts if part.step == 20] == [1, 1]
    assert [part.last_step for part in seeds.parts] == [10, 20, 10, 20]
    json.dumps([steps.to_dict(), seeds.to_dict()], allow_nan=False)
