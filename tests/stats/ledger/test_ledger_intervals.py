"""Intervals of components: exact cases, coverage by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import chi2
from stats.ledger.designs import binary_scores, crossed_codes, normal_scores, some

from harness.stats.ledger.intervals import LARGE_SAMPLE, component_interval
from harness.stats.ledger.ledger import variance_ledger


def interval(weights, squares, df):
    return component_interval(
        np.array(weights, dtype=float),
        np.array(squares, dtype=float),
        np.array(df, dtype=float),
        confidence_level=0.9,
    )


def test_one_mean_square_has_the_chi_square_interval():
    low, high, _ = interval([0.5], [4], [7])

    assert low == pytest.approx(0.5 * 4 * 7 / chi2.ppf(0.95, 7))
    assert high == pytest.approx(0.5 * 4 * 7 / chi2.ppf(0.05, 7))


def test_of_many_it_is_that_of_the_one_that_counts():
    alone = interval([1], [4], [7])
    added = interval([1, 1, -1], [4, 1e-9, 1e-9], [7, 5, 9])

    assert added[2] == LARGE_SAMPLE
    assert added[:2] == pytest.approx(alone[:2], abs=1e-6)


def test_a_sum_of_two_of_the_same_df_is_near_chi_square_of_both():
    """Equal parts add up to chi-square with df added, where the interval is exact."""
    low, high, _ = interval([1, 1], [2, 2], [6, 6])
    exact = 4 * 12 / chi2.ppf(0.95, 12)

    assert low == pytest.approx(exact, abs=1e-9)
    assert high > 4 * 12 / chi2.ppf(0.05, 12) * 0.97


@pytest.mark.slow
@pytest.mark.parametrize("share_missing", [0, 0.2])
def test_intervals_of_normal_effects_cover(share_missing):
    truth = {
        ("seed",): 0.02,
        ("item",): 0.1,
        ("template",): 0.01,
        ("seed", "item"): 0.03,
        ("seed", "template"): 0.005,
        ("item", "template"): 0.03,
        (): 0.06,
    }
    covered = coverage(
        crossed_codes(seed=5, item=100, template=4),
        truth,
        ("seed", "item", "template"),
        n_tables=220,
        share_missing=share_missing,
    )

    # 1,200 tables gave 0.948 to 0.963; the error of 220 is 0.015.
    assert (np.abs(covered - 0.95) < 0.05).all()


@pytest.mark.slow
def test_intervals_of_binary_answers_cover():
    truth = {
        ("seed",): 0.001,
        ("item",): 0.015,
        ("template",): 0.001,
        ("seed", "item"): 0.001,
        ("seed", "template"): 0.0003,
        ("item", "template"): 0.001,
    }
    truth[()] = 0.25 - sum(truth.values())
    covered = coverage(
        crossed_codes(seed=5, item=100, template=4),
        truth,
        ("seed", "item", "template"),
        n_tables=220,
        draw=binary_scores,
    )

    assert (np.abs(covered - 0.95) < 0.05).all()


def coverage(
    codes, truth, residual, *, n_tables, share_missing=0.0, draw=normal_scores
):
    rng = np.random.default_rng(21)
    covered = np.zeros((n_tables, len(truth)))
    for table in range(n_tables):
        scores = draw(rng, codes, truth)
        rows = rng.random(len(scores)) >= share_missing
        found = variance_ledger(scores[rows], some(codes, rows))
        for column, (facets, variance) in enumerate(truth.items()):
            low, high = found.effect(*(facets or residual)).variance.interval
            covered[table, column] = low <= variance <= high
    return covered.mean(0)


@pytest.mark.slow
@pytest.mark.parametrize("share_missing", [0, 0.3])
def test_components_and_the_variance_of_the_mean_are_unbiased(share_missing):
    """Over tables: components their truths, predicted the variance of means seen."""
    codes = crossed_codes(seed=6, item=30, template=4, repeat=2)
    truth = {
        ("seed",): 0.02,
        ("item",): 0.1,
        ("seed", "item"): 0.03,
        ("item", "template"): 0.03,
        (): 0.06,
    }
    rng = np.random.default_rng(22)
    n_tables = 300
    values, predicted, means = np.zeros((n_tables, len(truth))), [], []
    for table in range(n_tables):
        scores = normal_scores(rng, codes, truth)
        rows = rng.random(len(scores)) >= share_missing
        found = variance_ledger(scores[rows], some(codes, rows))
        everything = ("seed", "item", "template", "repeat")
        values[table] = [found.effect(*(f or everything)).variance.value for f in truth]
        predicted.append(found.predicted_variance())
        means.append(found.mean)
    errors = values.std(0) / math.sqrt(n_tables)

    assert (np.abs(values.mean(0) - list(truth.values())) < 3.5 * errors).all()
    assert np.mean(predicted) == pytest.approx(np.var(means, ddof=1), rel=0.25)
