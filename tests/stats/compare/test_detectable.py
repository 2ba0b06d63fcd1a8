"""What could have been found: power at the difference that is told."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from harness.stats.compare.detectable import smallest_detectable
from harness.stats.compare.difference import (
    Answers,
    Items,
    Moments,
    p_values,
    pair_moments,
)
from harness.stats.compare.looks import anytime_p_values


def counted(n, better, worse):
    """Return what is known of two checkpoints that differ on some items."""
    d = np.repeat([1.0, -1.0, 0.0], [better, worse, n - better - worse])
    first = np.maximum(-d, 0)
    return pair_moments(
        [Answers(scores=x[None]) for x in (first, first + d)], Items(n=n)
    )


def share_found(rng, n, share, delta, *, level=0.95, n_target=None, n_sims=4000):
    """Return how often a true difference is found, in its direction."""
    share = max(share, delta)
    p = ((share + delta) / 2, (share - delta) / 2, 1 - share)
    b, c, _ = rng.multinomial(n, p, size=n_sims).T
    unlike, which = np.unique(np.stack([b, c], 1), axis=0, return_inverse=True)
    parts = Moments.together([counted(n, *pair) for pair in unlike])
    if n_target is None:
        found = p_values(parts) < 1 - level
    else:
        found = anytime_p_values(parts, n_target=n_target) < 1 - level
    return (found & (parts.difference > 0))[which].mean()


@pytest.mark.parametrize(
    ("n", "n_apart"),
    [(200, 0), (200, 2), (1000, 2), (200, 10), (100, 45), (500, 225), (40, 30)],
)
@pytest.mark.parametrize("level", [0.95, 0.999])
def test_a_difference_of_shares_is_found_4_times_in_5(n, n_apart, level):
    half = n_apart // 2
    (told,) = smallest_detectable(counted(n, n_apart - half, half), level)
    found = share_found(np.random.default_rng(n), n, n_apart / n, told, level=level)

    assert 0.77 < found < 0.83


def test_it_is_found_by_a_confidence_sequence():
    for n, half in ((200, 0), (500, 60)):
        (told,) = smallest_detectable(counted(n, half, half), 0.95, n_target=500)
        rng = np.random.default_rng(1)

        assert 0.77 < share_found(rng, n, 2 * half / n, told, n_target=500) < 0.83


def test_power_of_few_is_that_of_a_sum_by_hand():
    (told,) = smallest_detectable(counted(200, 0, 0), 0.95)

    # All that differ are better, and 6 of them are significant.
    assert_allclose(stats.binom.sf(5, 200, told), 0.8, atol=1e-6)


def test_what_no_test_could_find_is_undefined():
    five, six = (smallest_detectable(counted(n, 0, 0), 0.95)[0] for n in (5, 6))

    assert math.isnan(five)
    assert_allclose(six**6, 0.8, atol=1e-6)
    assert math.isnan(smallest_detectable(Moments.unknown(1), 0.95)[0])
    assert math.isnan(smallest_detectable(counted(50, 3, 3), 1.0)[0])
    two = of_seeds(np.random.default_rng(1), 2, 200, 0.1, 0.05)
    assert smallest_detectable(two, 0.9999)[0] > 1
    assert math.isnan(smallest_detectable(two, 0.9999, widest=1.0)[0])


def test_many_at_once_are_as_each_alone():
    parts = [counted(n, b, c) for n, b, c in ((50, 0, 3), (900, 90, 70), (300, 9, 4))]
    levels = np.array([0.95, 0.99, 0.995])
    told = smallest_detectable(Moments.together(parts), levels)

    alone = [smallest_detectable(p, v)[0] for p, v in zip(parts, levels, strict=True)]
    assert_allclose(told, alone, rtol=1e-6)


def of_seeds(rng, n_seeds, n, spread, delta):
    """Return checkpoints of two models of several seeds, and their difference."""
    item = rng.normal(0, 1, n)
    shifts = (0.0, stats.norm.ppf(0.5 + delta) * math.sqrt(2.25 + spread**2))
    sides = [
        stats.norm.cdf(shift + item + rng.normal(0, spread, (n_seeds, 1)) + noise)
        for shift in shifts
        for noise in [rng.normal(0, 0.5, (n_seeds, n))]
    ]
    scores = [(rng.random(side.shape) < side).astype(float) for side in sides]
    return pair_moments(
        [Answers(scores=one, run=k) for k, one in enumerate(scores)], Items(n=n)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_seeds", "spread"), [(2, 0.1), (3, 0.1), (3, 0.3), (5, 0.2)]
)
def test_a_difference_over_seeds_is_found_about_4_times_in_5(n_seeds, spread):
    rng, n_sims = np.random.default_rng(3), 700
    shown = [of_seeds(rng, n_seeds, 300, spread, 0.05) for _ in range(n_sims)]
    told = float(np.median(smallest_detectable(Moments.together(shown), 0.95)))
    true = Moments.together(
        [of_seeds(rng, n_seeds, 300, spread, told) for _ in range(n_sims)]
    )
    found = ((p_values(true) < 0.05) & (true.difference > 0)).mean()

    # One in two seeds' spreads is smaller than the median, and so is what is told.
    assert 0.7 < found < 0.88


def test_of_scores_that_are_no_counts_it_is_half_an_interval_and_a_quantile():
    rng = np.random.default_rng(4)
    d = rng.normal(0, 0.2, 400)
    sides = [Answers(scores=x[None]) for x in (np.zeros(400), d)]
    (told,) = smallest_detectable(pair_moments(sides, Items(n=400)), 0.95)

    se = d.std(ddof=1) / 20
    assert_allclose(
        told, (stats.t.ppf(0.975, 399) + stats.norm.ppf(0.8)) * se, rtol=0.01
    )
