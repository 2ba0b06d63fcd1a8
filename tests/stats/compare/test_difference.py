"""Differences of several choices at once, against one pair at a time and simulation."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from harness.stats.compare.difference import (
    FEW_APART,
    Answers,
    Items,
    Moments,
    intervals,
    p_values,
    pair_moments,
)
from harness.stats.pairs import paired_difference

CLUSTERS = np.repeat(np.arange(40), 5)


def scores(rng, *, n_seeds=1, n_items=200, p=0.6):
    return (rng.random((n_seeds, n_items)) < p).astype(float)


def answers(*tables, run=None):
    return [Answers(scores=table, run=run) for table in tables]


@pytest.mark.parametrize("codes", [None, CLUSTERS])
def test_of_one_seed_it_is_the_paired_difference(codes):
    rng = np.random.default_rng(0)
    tables = [scores(rng), scores(rng, p=0.7), rng.random((1, 200))]
    items = Items(n=200, codes=codes)
    found = pair_moments(answers(*tables), items)
    ends, p = intervals(found, 0.9), p_values(found)

    for k, (first, second) in enumerate([(0, 1), (0, 2), (1, 2)]):
        one = paired_difference(
            tables[second][0], tables[first][0], clusters=codes, confidence_level=0.9
        )
        assert_allclose(found.difference[k], one.difference.value, atol=1e-14)
        assert_allclose(found.se[k], one.difference.se)
        assert_allclose((ends[0][k], ends[1][k]), one.difference.interval, atol=1e-12)
        assert_allclose(p[k], one.p_value, rtol=1e-9)


def test_seed_part_is_the_anova_component_of_each_side():
    rng = np.random.default_rng(1)
    first, second = rng.random((3, 50)), rng.random((4, 50)) + rng.random((4, 1))
    (found,) = (pair_moments(answers(first, second), Items(n=50)),)

    seed = interaction = 0.0
    for table in (first, second):
        cell = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
        s = len(table)
        seed += table.mean(1).var(ddof=1) / s
        interaction += (cell**2).sum() / ((s - 1) * 49) / 50 / s
    d = second.mean(0) - first.mean(0)
    assert_allclose(found.seed, seed)
    assert_allclose(found.interaction, interaction)
    assert_allclose(found.variance, d.var(ddof=1) / 50)
    assert_allclose(found.se**2, d.var(ddof=1) / 50 + seed - interaction)


def test_seeds_are_paired_where_they_are_the_same_runs():
    rng = np.random.default_rng(2)
    run = rng.normal(size=(3, 1))
    early, late = run + rng.random((3, 80)), run + 1 + rng.random((3, 80))
    apart = pair_moments(answers(early, late), Items(n=80))
    paired = pair_moments(answers(early, late, run="a"), Items(n=80))

    each = (late - early).mean(1)
    assert_allclose(paired.seed, each.var(ddof=1) / 3)
    assert paired.seed_df == 2
    assert 2 <= apart.seed_df <= 4
    assert paired.se < apart.se / 5


def test_seeds_that_are_given_leave_the_interval_over_items():
    rng = np.random.default_rng(3)
    tables = answers(rng.random((3, 60)), rng.random((3, 60)))
    drawn = pair_moments(tables, Items(n=60))
    given = pair_moments(tables, Items(n=60), over_seeds=False)

    assert_allclose(intervals(given, 0.95), intervals(drawn.for_these_seeds, 0.95))
    assert math.isinf(given.seed_df[0])


def test_one_seed_on_either_side_leaves_the_interval_over_items():
    rng = np.random.default_rng(4)
    found = pair_moments(answers(rng.random((3, 60)), rng.random((1, 60))), Items(n=60))

    assert found.seed == 0
    assert math.isinf(found.seed_df[0])


def test_identical_repeats_of_seeds_add_no_seed_variance():
    rng = np.random.default_rng(5)
    once = scores(rng), scores(rng, p=0.8)
    single = pair_moments(answers(*once), Items(n=200))
    copies = pair_moments(
        answers(*(np.repeat(table, 3, axis=0) for table in once)), Items(n=200)
    )

    assert copies.seed == 0
    assert_allclose(copies.se, single.se)


def test_p_value_is_the_level_at_which_the_interval_reaches_0():
    rng = np.random.default_rng(6)
    tables = [rng.random((s, 70)) + 0.05 * k for k, s in enumerate([2, 3, 5, 1])]
    found = pair_moments(answers(*tables), Items(n=70))
    p = p_values(found)
    low, high = intervals(found, 1 - p)

    assert_allclose(np.minimum(np.abs(low), np.abs(high)), 0, atol=1e-9)


@pytest.mark.parametrize("n_apart", [1, 3, 5])
def test_few_items_apart_leave_no_small_p_value_for_any_scores(n_apart):
    first = np.linspace(0, 1, 100)[None]
    second = first.copy()
    second[0, :n_apart] += 0.1
    found = pair_moments(answers(first, second), Items(n=100))
    low, high = intervals(found, 0.95)

    assert_allclose(p_values(found), 2.0 ** (1 - n_apart))
    assert low <= 0 < high


def test_scores_that_are_the_same_everywhere_are_not_apart():
    scores_of_both = np.ones((1, 40))
    found = pair_moments(answers(scores_of_both, scores_of_both), Items(n=40))

    assert found.least_p.tolist() == [1.0]
    assert p_values(found).tolist() == [1.0]


def test_exact_turns_of_signs_are_those_of_scipy():
    from scipy.stats import permutation_test

    rng = np.random.default_rng(7)
    d = np.zeros(60)
    d[:FEW_APART] = rng.normal(0.3, 1, FEW_APART)
    found = pair_moments(answers(np.zeros((1, 60)), d[None]), Items(n=60))
    exact = permutation_test(
        (d[:FEW_APART],), np.mean, permutation_type="samples", n_resamples=np.inf
    )

    assert_allclose(found.least_p, exact.pvalue)


def test_average_over_tasks_adds_variances_and_weighs_tasks_alike():
    rng = np.random.default_rng(8)
    sizes = 30, 90, 15
    tasks = np.repeat(np.arange(3), sizes)
    first, second = rng.random((1, 135)), rng.random((1, 135))
    found = pair_moments(answers(first, second), Items(n=135, tasks=tasks))

    d = (second - first)[0]
    parts = [d[tasks == t] for t in range(3)]
    se = math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / 3
    assert_allclose(found.difference, np.mean([part.mean() for part in parts]))
    assert_allclose(found.se, se)


def test_average_counts_clusters_that_tasks_share_once():
    rng = np.random.default_rng(9)
    d = rng.random(50)
    tasks, codes = np.repeat([0, 1], 50), np.tile(np.arange(50), 2)
    twice = answers(np.zeros((1, 100)), np.tile(d, 2)[None])
    shared = pair_moments(twice, Items(n=100, tasks=tasks, codes=codes))
    apart = pair_moments(twice, Items(n=100, tasks=tasks))

    # The same questions in two tasks tell nothing that one of them does not.
    assert_allclose(shared.se, d.std(ddof=1) / math.sqrt(50))
    assert_allclose(apart.se, shared.se / math.sqrt(2))


def test_average_lets_a_seeds_effects_on_tasks_go_together():
    rng = np.random.default_rng(10)
    effect = rng.normal(size=(4, 1))
    together = np.hstack([effect + rng.random((4, 40)), effect + rng.random((4, 40))])
    against = np.hstack([effect + rng.random((4, 40)), -effect + rng.random((4, 40))])
    items = Items(n=80, tasks=np.repeat([0, 1], 40))
    other = rng.random((4, 80))

    sd = [
        float(pair_moments(answers(other, table), items).seed[0])
        for table in (together, against)
    ]
    assert sd[0] > 20 * sd[1]


def test_undefined_where_nothing_is_known():
    none = pair_moments(answers(np.empty((1, 0)), np.empty((1, 0))), Items(n=0))
    one = pair_moments(answers(np.ones((1, 1)), np.zeros((1, 1))), Items(n=1))
    same = pair_moments(answers(np.full((1, 9), 0.5), np.full((1, 9), 0.7)), Items(n=9))

    for found in (none, same):
        assert np.isnan(intervals(found, 0.95)).all()
        assert np.isnan(p_values(found)).all()
    assert p_values(one) == 1
    assert len(pair_moments(answers(np.ones((1, 3))), Items(n=3))) == 0
    assert len(Moments.unknown(2)[:1]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("is_binary", [True, False])
def test_intervals_over_seeds_and_items_cover(n_seeds, spread, is_binary):
    rng = np.random.default_rng([n_seeds, int(100 * spread), is_binary])
    n_sims, n_items = 1500, 400
    missed = missed_999 = 0
    easy = np.clip(rng.beta(2, 2, (n_sims, n_items)), 0.02, 0.98)
    truth = 0.0
    for p in easy:
        tables = []
        for shift in (0, 0.03):
            seeds = rng.normal(0, spread, (n_seeds, 1))
            chance = p + shift + seeds
            draw = rng.random((n_seeds, n_items))
            if is_binary:
                tables.append((draw < chance).astype(float))
            else:
                tables.append(chance + 0.3 * (draw - 0.5))
        found = pair_moments(answers(*tables), Items(n=n_items))
        truth = 0.03
        low, high = intervals(found, np.array([0.95]))
        missed += not low[0] <= truth <= high[0]
        low, high = intervals(found, np.array([0.999]))
        missed_999 += not low[0] <= truth <= high[0]
    covered = 1 - missed / n_sims

    assert covered > (0.925 if n_seeds == 2 else 0.93)
    assert covered < (0.995 if n_seeds == 2 else 0.985)
    assert missed_999 / n_sims < 0.006


def test_scores_that_are_the_same_everywhere_leave_a_rule_of_three():
    table = scores(np.random.default_rng(3), n_items=300)
    seeds = np.repeat(table, 2, axis=0) * 0.5
    tasks = np.repeat([0, 1], [100, 200])
    for given, items, n in (
        (table * 0.5, Items(n=300), 300),
        (table, Items(n=300, tasks=tasks), 200),
        (table, Items(n=300, codes=np.repeat([0, 1, 2], [60, 60, 180])), 300 / 180),
        (seeds, Items(n=300), 300),
    ):
        found = pair_moments(answers(given, given), items)
        low, high = intervals(found, 0.95, widest=2.0)

        # The probability that no unit differs is 5 % where so large a share does.
        assert_allclose((1 - high / 2) ** n, 0.05)
        assert_allclose(low, -high)
        assert p_values(found) == 1
        assert np.isnan(intervals(found, 0.95)[0])


def test_seeds_that_differ_stay_in_the_interval_of_equal_means():
    rng = np.random.default_rng(4)
    first = rng.random((3, 200)) + np.array([[0.0], [0.1], [0.2]])
    moments = pair_moments(answers(first, first), Items(n=200))
    given = moments.for_these_seeds

    low, high = (ends[0] for ends in intervals(moments, 0.95, widest=1.0))
    least = intervals(given, 0.95, widest=1.0)[1][0]
    assert low == -high
    assert high > 0.1 > least > 0


def test_scores_beyond_what_can_be_squared_have_no_interval():
    big = np.full((1, 200), 1e300)
    some = big * np.random.default_rng(5).random((1, 200))
    for first, second in ((big, -big), (some, -some)):
        found = pair_moments(answers(first, second), Items(n=200))

        assert found.difference[0] < -1e299
        assert np.isnan(intervals(found, 0.95)[0])
