"""Intervals of a mean over items: others' figures, coverage, properties, edges."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats.intervals import is_binary, mean_intervals, standard_error

TABLE_1 = Path(__file__).parents[1] / "golden" / "madaan_tables.csv"


def zeros_and_ones(n_right, n):
    return np.repeat([1.0, 0.0], [n_right, n - n_right])


def test_wilson_of_8_in_10():
    """Bowyer et al., arXiv 2503.01747: 8 of 10 right is [.4902, .9433]."""
    low, high = mean_intervals(zeros_and_ones(8, 10))

    assert (low, high) == (
        pytest.approx(0.4902, abs=5e-5),
        pytest.approx(0.9433, abs=5e-5),
    )


@pytest.mark.parametrize("level", [0.68, 0.95, 0.99])
def test_a_normal_interval_gives_its_standard_error_back(level):
    from scipy.stats import norm

    low, high = norm.interval(level, loc=0.5, scale=0.03)

    assert standard_error(
        np.array((high - low) / 2), confidence_level=level
    ) == pytest.approx(0.03)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (3, 17), (60, 61), (412, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(right, n, level):
    from scipy.stats import binomtest

    theirs = binomtest(right, n).proportion_ci(level, method="wilson")
    low, high = mean_intervals(zeros_and_ones(right, n), confidence_level=level)

    assert (low, high) == (
        pytest.approx(theirs.low, abs=1e-12),
        pytest.approx(theirs.high, abs=1e-12),
    )


def test_half_widths_of_the_paper_s_table_1():
    """Half widths from the final means are near those averaged over checkpoints."""
    with TABLE_1.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 14
    for row in rows:
        n, mean = int(row["n_items"]), float(row["mean"]) / 100
        low, high = mean_intervals(zeros_and_ones(round(mean * n), n))

        analytic = 196 * np.sqrt(mean * (1 - mean) / n)
        assert 50 * (high - low) == pytest.approx(analytic, rel=0.02)
        assert 50 * (high - low) == pytest.approx(float(row["half_width"]), rel=0.25)


def test_hall_without_skewness_is_student_s_t():
    from scipy.stats import ttest_1samp

    scores = np.array([0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9])
    low, high = mean_intervals(scores)

    theirs = ttest_1samp(scores, 0).confidence_interval(0.95)
    assert (low, high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


def test_hall_by_its_definition():
    """g(T) at the ends is the quantile of t: not its inverse, but itself."""
    from scipy.stats import skew, t

    scores = np.random.default_rng(4).beta(0.4, 2, 35)
    n, c, sd = len(scores), skew(scores), scores.std(ddof=1)
    quantiles = []
    for end in mean_intervals(scores):
        ratio = (scores.mean() - end) / sd
        quantiles.append(ratio + c * ratio**2 / 3 + c**2 * ratio**3 / 27 + c / (6 * n))

    q = t.ppf(0.975, n - 1) / np.sqrt(n)
    assert quantiles == [pytest.approx(q), pytest.approx(-q)]


def test_a_skewed_interval_reaches_further_to_its_long_side():
    scores = np.random.default_rng(5).beta(0.4, 2, 50)
    low, high = mean_intervals(scores)

    assert high - scores.mean() > 1.1 * (scores.mean() - low)


def test_bounds_cut_the_interval():
    scores = np.array([1.0, 1.0, 1.0, 1.0, 0.5])

    assert mean_intervals(scores)[1] > 1
    assert mean_intervals(scores, bounds=(0, 1))[1] == 1


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ([], "no items"),
        ([0.5], "one item"),
        ([0.3] * 9, "one score"),
        ([0.1, np.nan], ""),
    ],
)
def test_no_interval_where_no_spread_can_be_learnt(scores, text):
    low, high = mean_intervals(np.array(scores))

    assert np.isnan(low)
    assert np.isnan(high)


def test_all_right_and_all_wrong_still_have_a_width():
    low, high = mean_intervals(np.stack([np.ones(10), np.zeros(10)]))

    assert high.tolist()[0] == 1
    assert low.tolist()[1] == 0
    assert high - low == pytest.approx([0.2775] * 2, abs=1e-4)


def test_series_are_independent_of_their_neighbours():
    rng = np.random.default_rng(6)
    table = np.stack([rng.random(20), (rng.random(20) < 0.4) * 1.0, np.ones(20)])

    together = np.array(mean_intervals(table))
    alone = np.array([mean_intervals(row) for row in table]).T

    np.testing.assert_array_equal(together, alone)
    assert is_binary(table).tolist() == [False, True, True]


tables = arrays(
    np.float64, st.integers(3, 40), elements=st.floats(0, 1).map(lambda x: round(x, 3))
)


@given(tables, st.randoms(use_true_random=False))
def test_order_of_items_does_not_matter(scores, random):
    shuffled = scores[random.sample(range(len(scores)), len(scores))]

    np.testing.assert_allclose(
        mean_intervals(shuffled), mean_intervals(scores), atol=1e-9
    )


@given(tables, st.floats(-5, 5), st.floats(0.1, 10))
def test_shift_and_scale_move_the_interval_along(scores, shift, scale):
    low, high = mean_intervals(scores)
    moved = np.array(mean_intervals(scores * scale + shift))

    # Zeros and ones are no longer that, and get another interval.
    if not is_binary(scores) and not np.isnan(low) and not np.isnan(moved).any():
        np.testing.assert_allclose(
            moved, [low * scale + shift, high * scale + shift], atol=1e-6
        )


@given(tables)
def test_the_interval_holds_the_mean(scores):
    low, high = mean_intervals(scores)

    if not np.isnan(low):
        assert low - 1e-9 <= scores.mean() <= high + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200, 500])
@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng, shape: 1.0 * (rng.random(shape) < 0.3), 0.3),
        (lambda rng, shape: 1.0 * (rng.random(shape) < 0.5), 0.5),
        (lambda rng, shape: rng.beta(0.3, 1.2, shape), 0.2),
        (lambda rng, shape: rng.beta(2, 8, shape), 0.2),
        (lambda rng, shape: rng.binomial(3, rng.beta(0.5, 1, shape)) / 3, 1 / 3),
        (lambda rng, shape: -rng.exponential(1, shape), -1.0),
    ],
    ids=["right .3", "right .5", "skewed", "unimodal", "three repeats", "nats"],
)
def test_coverage_is_93_to_97_percent(draw, truth, n):
    rng = np.random.default_rng(20240601)
    low, high = mean_intervals(draw(rng, (10_000, n)))

    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.97
