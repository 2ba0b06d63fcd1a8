"""Ranges of ranks, by hand and by simulation."""

import numpy as np
import pytest

from harness.stats.compare.difference import Answers, Items, p_values, pair_moments
from harness.stats.compare.multiplicity import corrected
from harness.stats.compare.ranks import rank_ranges


def test_ranges_count_who_is_surely_better_and_worse():
    difference = np.array([[np.nan, 1, 2], [-1, np.nan, 1], [-2, -1, np.nan]])
    p = np.array([[np.nan, 0.2, 0.001], [0.2, np.nan, np.nan], [0.001, np.nan, np.nan]])
    low, high = rank_ranges(difference, p)

    assert low.tolist() == [1, 1, 2]
    assert high.tolist() == [2, 3, 3]


@pytest.mark.slow
def test_true_ranks_are_within_range_19_times_in_20():
    rng = np.random.default_rng(1)
    skill = np.array([0.5, 0.53, 0.54, 0.6, 0.62])
    truth = np.array([5, 4, 3, 2, 1])
    n_sims, n_items, held = 600, 300, 0
    first, second = np.triu_indices(5, 1)
    for _ in range(n_sims):
        easy = rng.normal(0, 0.15, n_items)
        tables = [
            Answers(scores=(rng.random((1, n_items)) < p + easy).astype(float))
            for p in skill
        ]
        moments = pair_moments(tables, Items(n=n_items))
        adjusted, _ = corrected(p_values(moments))
        d, p = np.full((2, 5, 5), np.nan)
        d[second, first], d[first, second] = moments.difference, -moments.difference
        p[second, first] = p[first, second] = adjusted
        low, high = rank_ranges(d, p)
        held += bool(((low <= truth) & (truth <= high)).all())

    assert held / n_sims >= 0.95
