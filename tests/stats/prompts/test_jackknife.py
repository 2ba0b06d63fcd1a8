"""Leaving prompts out: each by itself, and what the interval makes of it."""

import numpy as np
import pytest
from scipy.stats import t
from stats.prompts.designs import binary

from harness.stats.estimate import Estimate
from harness.stats.prompts.cells import reward_cells
from harness.stats.prompts.jackknife import LeftOut, left_out_interval


def moments(rewards):
    found = LeftOut.of(reward_cells(rewards)).all
    return found.one, found.mean, found.noise


def test_each_way_to_leave_out_is_that_table():
    rng = np.random.default_rng(1)
    rewards = binary(rng, rng.random((5, 4)), 3)
    found = LeftOut.of(reward_cells(rewards))

    def of(part, *index):
        return [getattr(part, name)[index] for name in ("one", "mean", "noise")]

    for n in range(5):
        without = np.delete(rewards, n, 0)
        assert of(found.system, n) == pytest.approx(moments(without), abs=1e-15)
        for u in range(4):
            both = np.delete(without, u, 1)
            assert of(found.both, n, u) == pytest.approx(moments(both), abs=1e-15)
    for u in range(4):
        without = np.delete(rewards, u, 1)
        assert of(found.user, u) == pytest.approx(moments(without), abs=1e-15)


def an_estimate(value, level=0.9):
    return Estimate(
        quantity="mean", value=value, n=9, confidence_level=level, method="mean"
    )


def without_each(values, axis):
    n = values.shape[axis]
    return (n * values.mean(axis, keepdims=True) - values) / (n - 1)


def test_of_a_mean_over_system_prompts_it_is_student_s():
    values = np.random.default_rng(2).normal(1, 1, 9)
    found = left_out_interval(an_estimate(values.mean()), [without_each(values, 0)])
    half = t.ppf(0.95, 8) * values.std(ddof=1) / 3

    assert found.se == pytest.approx(values.std(ddof=1) / 3)
    assert found.interval == pytest.approx((values.mean() - half, values.mean() + half))


def test_of_a_mean_over_both_cells_count_once():
    """The variance of a two-way mean: (MS_row + MS_column - MS_cell) / cells."""
    rng = np.random.default_rng(3)
    table = rng.normal(size=(9, 1)) + rng.normal(size=(1, 7)) + rng.normal(size=(9, 7))
    rows, columns = table.mean(1), table.mean(0)
    own = table - rows[:, None] - columns + table.mean()
    expected = rows.var(ddof=1) / 9 + columns.var(ddof=1) / 7 - (own**2).sum() / 48 / 63
    both = without_each(without_each(table, 0), 1)
    left_out = [without_each(rows, 0), without_each(columns, 0), both]
    found = left_out_interval(an_estimate(table.mean()), left_out)

    assert found.se**2 == pytest.approx(expected)


def test_a_positive_quantity_keeps_its_interval_above_less_the_noise():
    values = np.random.default_rng(4).exponential(1, 9) ** 3
    left_out = [without_each(values, 0)]
    low, high = left_out_interval(
        an_estimate(values.mean(), 0.999), left_out, offset=0.5
    ).interval
    plain = left_out_interval(an_estimate(values.mean(), 0.999), left_out).interval

    assert low > -0.5 > plain.low
    assert high > plain.high
