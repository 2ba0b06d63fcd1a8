"""Paired differences: worked examples, scipy, a plain loop, coverage, edges."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stats import designs

from harness.errors import DesignError
from harness.stats.clusters import clustered_se
from harness.stats.intervals import hall_interval, hall_p_value
from harness.stats.pairs import (
    MCNEMAR,
    TANGO,
    adjust_p_values,
    all_pairs,
    mcnemar_p_value,
    noise_split,
    pair_intervals,
    paired_difference,
    tango_interval,
)
from harness.stats.resample import bootstrap_means

A = np.array([1.0, 1, 0, 1, 0, 1])
B = np.array([1.0, 0, 0, 1, 0, 0])
CLUSTERS = [0, 0, 0, 1, 1, 2]
nan = math.nan


def models(n_models=6, n_items=50, *, continuous=False):
    rng = np.random.default_rng(11)
    item = rng.normal(0, 1, n_items)
    ability = rng.normal(0, 1, (n_models, 1))
    scores = 1 / (1 + np.exp(-ability - item - rng.normal(0, 1, (n_models, n_items))))
    return scores if continuous else np.round(scores)


def counted(better, worse, n):
    """Return 0 and 1 of two models with the given discordant items."""
    first = np.repeat([1.0, 0.0, 1.0], [better, worse, n - better - worse])
    second = np.repeat([0.0, 1.0, 1.0], [better, worse, n - better - worse])
    return first, second


def test_two_of_six():
    """Miller's quantities, worked by hand: two items better, none worse."""
    found = paired_difference(A, B)

    assert found.difference.value == pytest.approx(1 / 3)
    assert found.difference.se == pytest.approx(0.210819, abs=5e-7)
    assert found.se_unpaired == pytest.approx(0.298142, abs=5e-7)
    assert (found.n_better, found.n_worse, found.n_equal) == (2, 0, 4)
    assert found.p_value == 0.5
    assert (found.difference.method, found.test) == (TANGO, MCNEMAR)


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        (1, 0, 1),
        (2, 0, 0.5),
        (3, 0, 0.25),
        (5, 0, 0.0625),
        (6, 1, 0.125),
        (0, 0, 1),
        (4, 4, 1),
        (300, 0, 2.0**-299),
    ],
)
def test_no_win_is_no_certainty(better, worse, expected):
    """olmo-eval gives p = 0 to 1-0, 2-0, 3-0 and 5-0, and .0124 to 6-1."""
    found = paired_difference(*counted(better, worse, better + worse + 5))

    assert found.p_value == pytest.approx(expected)
    assert mcnemar_p_value(np.array(worse), np.array(better)) == pytest.approx(expected)


def test_mcnemar_agrees_with_scipy_and_statsmodels():
    from scipy.stats import binomtest
    from statsmodels.stats.contingency_tables import mcnemar

    for better, worse in ((3, 9), (20, 11), (7, 7), (41, 60)):
        found = mcnemar_p_value(np.array(better), np.array(worse))

        assert found == pytest.approx(binomtest(better, better + worse).pvalue)
        assert found == pytest.approx(mcnemar([[5, better], [worse, 9]]).pvalue)


@pytest.mark.parametrize(
    ("better", "worse", "n"), [(7, 1, 21), (1, 7, 21), (0, 3, 40), (12, 30, 400)]
)
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_tango_by_its_definition(better, worse, n, level):
    """The likelihood under D is maximised by search, and T at both ends is z."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import norm

    ends = tango_interval(np.array(better), np.array(worse), n, confidence_level=level)
    for end, sign in zip(ends, (1, -1), strict=True):
        d = float(end)

        def deviance(q, d=d):
            counts = better, worse, n - better - worse
            shares = q + d, q, 1 - 2 * q - d
            return -sum(
                k * math.log(max(s, 1e-300))
                for k, s in zip(counts, shares, strict=True)
            )

        q = minimize_scalar(
            deviance,
            bounds=(max(0, -d), (1 - d) / 2),
            method="bounded",
            options={"xatol": 1e-12},
        ).x
        t = (better - worse - n * d) / math.sqrt(n * (2 * q + d - d * d))
        assert t == pytest.approx(sign * norm.ppf(0.5 + level / 2), rel=1e-4)


def test_tango_of_161_patients():
    """Complete response before and after therapy (Cavo et al. 2012): 6 against 16.

    -.0621 from -.1240 to -.0054 by Tango_asymptotic_score_CI_paired_2x2 of the R
    package contingencytables, as its tests have it (tests/testthat/test-ch8.R).
    """
    low, high = tango_interval(np.array(6), np.array(16), 161)

    assert (low, high) == (
        pytest.approx(-0.1240, abs=5e-5),
        pytest.approx(-0.0054, abs=5e-5),
    )


def test_models_that_never_differ_have_a_width():
    """z^2 / (n + z^2), as Wilson's at none right."""
    found = paired_difference(np.ones(40), np.ones(40))

    reach = 1.959964**2 / (40 + 1.959964**2)
    assert found.difference.interval == pytest.approx((-reach, reach), abs=1e-6)
    assert [c.code for c in found.difference.cautions] == ["few-discordant"]
    assert found.p_value == 1


@pytest.mark.parametrize(("better", "worse"), [(9, 0), (0, 9)])
def test_always_better_and_always_worse_end_at_one(better, worse):
    found = paired_difference(*counted(better, worse, 9)).difference.interval

    ends = (0.402, 1) if better else (-1, -0.402)
    assert found == pytest.approx(ends, abs=5e-4)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_tango_turns_with_its_models_and_holds_the_difference(better, worse, equal):
    n = better + worse + equal
    if n:
        low, high = tango_interval(np.array(better), np.array(worse), n)
        turned = tango_interval(np.array(worse), np.array(better), n)

        assert -1 <= low <= (better - worse) / n <= high <= 1
        assert (low, high) == (-turned[1], -turned[0])


def test_scores_between_get_hall_s_interval_and_test():
    a, b = models(2, continuous=True)
    found = paired_difference(a, b)

    assert found.difference.interval == pytest.approx(
        [float(end) for end in hall_interval(a - b)]
    )
    assert found.p_value == pytest.approx(float(hall_p_value(a - b)))
    assert found.difference.se == pytest.approx((a - b).std(ddof=1) / math.sqrt(50))


def test_repeats_are_averaged_before_they_are_compared():
    a, b = models(2)
    found = paired_difference(np.repeat(a[:, None], 10, 1), np.repeat(b[:, None], 4, 1))

    assert found == paired_difference(a, b)


def test_clusters_count():
    a, b = models(2, 60)
    clusters = np.arange(60) // 3
    found = paired_difference(a, b, clusters=clusters)

    assert found.difference.se == float(clustered_se(a - b, clusters))
    assert found.difference.n == 20
    assert found.difference.method.endswith("20 clusters")
    few = paired_difference(a, b, clusters=np.arange(60) // 4).difference
    assert [c.code for c in found.difference.cautions] == []
    assert [c.code for c in few.cautions] == ["few-clusters"]
    assert found.p_value != paired_difference(a, b).p_value


def test_level_and_bounds_change_the_interval():
    a, b = np.array([0.9, 0.1, 0.8, 1.0]), np.array([0.1, 0.0, 0.1, 0.0])

    wide = paired_difference(a, b).difference.interval
    assert paired_difference(a, b, confidence_level=0.5).difference.interval != wide
    assert wide.high > 1
    assert paired_difference(a, b, bounds=(0, 1)).difference.interval.high == 1


def test_a_constant_difference_tells_no_spread():
    found = paired_difference(np.array([0.1, 0.2, 0.3]), np.array([0, 0.1, 0.2]))

    assert np.isnan(found.difference.interval).all()
    assert [c.code for c in found.difference.cautions] == ["constant-over-items"]
    assert np.isnan(found.p_value)


@pytest.mark.parametrize("score", [0.0, 0.3])
def test_one_item_has_no_standard_error(score):
    found = paired_difference(np.array([score]), np.array([1.0]))

    assert np.isnan(found.difference.se)
    assert np.isnan(found.se_unpaired)
    assert found.difference.cautions


def test_no_items_have_no_difference():
    found = paired_difference(np.empty(0), np.empty(0))

    assert np.isnan(found.difference.value)
    assert [c.code for c in found.difference.cautions] == ["no-items"]
    assert np.isnan(found.p_value)


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize(
    "clusters", [None, np.arange(50) // 4, np.arange(50), np.arange(50) ** 2 // 400]
)
def test_all_pairs_are_the_pairs_one_by_one(continuous, clusters):
    scores = models(continuous=continuous)
    found = all_pairs(scores, clusters=clusters)

    for i in range(6):
        for j in range(6):
            if i == j:
                continue
            one = paired_difference(scores[i], scores[j], clusters=clusters)
            assert found.difference[i, j] == pytest.approx(one.difference.value)
            assert found.se[i, j] == pytest.approx(one.difference.se)
            z = one.difference.value / one.difference.se
            assert found.z[i, j] == pytest.approx(z)
            if not continuous:
                assert found.n_better[i, j] == one.n_better
            assert found.p_value[i, j] == pytest.approx(one.p_value)
            assert found.test == one.test
    assert found.n == (50 if clusters is None else len(set(clusters)))
    assert np.isnan(found.n_better).all() == continuous


def test_all_pairs_agree_with_scipy_s_paired_t_test():
    """Their p-values too, where differences have no skewness to correct for."""
    from scipy.stats import ttest_rel

    half = models(continuous=True)
    scores = np.concatenate([half, 1 - half], axis=1)
    scores[0] += 0.05
    found = all_pairs(scores)

    theirs = ttest_rel(scores[0], scores[1])
    assert found.z[0, 1] == pytest.approx(theirs.statistic)
    assert found.p_value[0, 1] == pytest.approx(theirs.pvalue)


def test_nearly_equal_models_keep_their_difference():
    """A subtraction of variances leaves only rounding; the direct sum does not."""
    scores = models(2, continuous=True)
    scores[1] = scores[0] + 1e-9 * models(2, continuous=True)[1]
    found = all_pairs(scores)

    d = scores[0] - scores[1]
    assert found.se[0, 1] == pytest.approx(d.std(ddof=1) / math.sqrt(50), rel=1e-6)
    for clusters in (None, np.arange(50) // 4):
        one = paired_difference(*scores, clusters=clusters)
        p_value = all_pairs(scores, clusters=clusters).p_value[0, 1]
        assert p_value == pytest.approx(one.p_value, rel=1e-3)


def test_equal_models_have_no_z():
    for continuous in (False, True):
        scores = models(2, continuous=continuous)
        scores[1] = scores[0]
        found = all_pairs(scores)

        assert (found.difference[0, 1], found.se[0, 1]) == (0, 0)
        assert np.isnan(found.z).all()
        assert np.isnan(found.p_value[0, 1]) == continuous


def test_one_cluster_has_no_standard_error_of_a_pair():
    found = all_pairs(models(), clusters=[0] * 50)

    assert np.isnan(found.se).all()


def test_pair_intervals_are_the_quantiles_of_differences():
    scores = models()
    means = bootstrap_means(scores, n_resamples=400, rng=1)
    low, high = pair_intervals(means, confidence_level=0.9)

    for i in range(6):
        for j in range(6):
            if i != j:
                ends = np.quantile(means[i] - means[j], [0.05, 0.95])
                assert (low[i, j], high[i, j]) == pytest.approx(ends)
    assert np.isnan(np.diagonal(low)).all()
    assert pair_intervals(means)[0][0, 1] < low[0, 1]


def test_bootstrap_and_closed_form_agree_on_the_error_of_a_pair():
    scores = models(n_items=400)
    means = bootstrap_means(scores, n_resamples=10_000, rng=1)

    spread = (means[0] - means[1]).std()
    assert spread == pytest.approx(all_pairs(scores).se[0, 1], rel=0.03)


def test_corrections_by_hand():
    """Three p-values. Holm: 3, 2 and 1 times; BH: 3 / rank times, from the largest."""
    p = np.full((3, 3), nan)
    p[0, 1] = p[1, 0] = 0.01
    p[0, 2] = p[2, 0] = 0.04
    p[1, 2] = p[2, 1] = 0.03

    holm, bh = adjust_p_values(p), adjust_p_values(p, correction="bh")
    assert (holm[0, 1], holm[1, 2], holm[0, 2]) == pytest.approx((0.03, 0.06, 0.06))
    assert (bh[0, 1], bh[1, 2], bh[0, 2]) == pytest.approx((0.03, 0.04, 0.04))
    assert holm[1, 0] == holm[0, 1]
    np.testing.assert_array_equal(adjust_p_values(p, correction="none"), p)


def test_a_pair_without_p_value_is_not_counted():
    p = np.array([[nan, 0.02, nan], [0.02, nan, 0.5], [nan, 0.5, nan]])
    found = adjust_p_values(p)

    assert found[0, 1] == pytest.approx(0.04)
    assert np.isnan(found[0, 2])
    assert np.isnan(adjust_p_values(np.full((2, 2), nan))).all()


def test_noise_split_by_hand():
    """Item means 1/2, 1 and 0, 1/2 of two repeats each.

    A's variances .5 and 0, B's 0 and .5: prediction .25 + .25. Differences 1/2 and 1/2
    do not vary: data 0 - .125 - .125.
    """
    found = noise_split(np.array([[0, 1.0], [1, 1]]), np.array([[0, 0.0], [0, 1]]))

    assert (found.prediction, found.data) == (0.5, -0.25)
    assert found.total == 0.25
    assert [c.code for c in found.cautions] == ["negative-component"]
    assert (found.n_items, found.n_repeats) == (2, 2)
    assert found.to_dict()["data"] == -0.25


def test_noise_split_recovers_what_it_was_given():
    """Uniform chances, independent of each other: E p (1 - p) = 1/6, var p = 1/12."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(300):
        first, _ = designs.of_mixed_difficulty(rng, 1, 200, 3, 1, 1)
        second, _ = designs.of_mixed_difficulty(rng, 1, 200, 5, 1, 1)
        split = noise_split(first[0], second[0])
        found.append((split.data, split.prediction))

    data, prediction = np.array(found).T
    for values, truth in ((data, 2 / 12), (prediction, 2 / 6)):
        error = values.std(ddof=1) / math.sqrt(len(values))
        assert abs(values.mean() - truth) < 4 * error


def test_results_are_plain_rows():
    pair = paired_difference(np.array([0.5]), np.array([0.2]))
    document = json.loads(json.dumps(pair.to_dict(), allow_nan=False))

    assert document["p_value"] is None
    assert document["difference"]["value"] == 0.3
    assert pair.to_frame()["n_better"].tolist() == [1]
    pairs = all_pairs(models(3), names=["a", "b", "c"])
    assert json.loads(json.dumps(pairs.to_dict(), allow_nan=False))["z"][0][0] is None
    frame = pairs.to_frame()
    assert frame["first"].tolist() == ["a", "a", "b"]
    assert frame["second"].tolist() == ["b", "c", "c"]
    assert frame["n_worse"].tolist() == [
        pairs.n_better[1, 0],
        pairs.n_better[2, 0],
        pairs.n_better[2, 1],
    ]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: paired_difference(A, B[:5]), "unequal-lengths"),
        (lambda: paired_difference(A, B * nan), "missing-scores"),
        (lambda: paired_difference(A, B, clusters=[1]), "unequal-lengths"),
        (lambda: paired_difference(A, B, confidence_level=1), "bad-confidence-level"),
        (lambda: all_pairs(np.array([A, B * nan])), "missing-scores"),
        (lambda: all_pairs(np.array([A, B])[:, :1]), "too-few-items"),
        (lambda: all_pairs(np.array([A, B]), names=["a"]), "unequal-lengths"),
        (lambda: pair_intervals(np.ones((2, 50))), "too-few-resamples"),
        (
            lambda: pair_intervals(np.ones((2, 50)), confidence_level=2),
            "bad-confidence-level",
        ),
        (
            lambda: adjust_p_values(np.ones((2, 2)), correction="sidak"),
            "unknown-method",
        ),
        (lambda: noise_split(A[:, None], B[:, None]), "too-few-replicates"),
        (lambda: noise_split(A[None, :], B[None, :]), "too-few-items"),
        (lambda: noise_split(A[:, None], B[:5, None]), "unequal-lengths"),
        (lambda: noise_split(A.reshape(3, 2), nan * B.reshape(3, 2)), "missing-scores"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, code):
    with pytest.raises(DesignError) as caught:
        call()

    assert caught.value.code == code


@pytest.mark.parametrize("n", [30, 100, 1_000])
@pytest.mark.parametrize(
    ("better", "worse"), [(0.2, 0.1), (0.3, 0.3), (0.25, 0.05), (0.5, 0.1)]
)
def test_tango_holds_93_to_97_percent(n, better, worse):
    rng = np.random.default_rng(20240601)
    first, second, truth = designs.paired(rng, 10_000, n, better, worse)
    d = first - second
    low, high = tango_interval((d > 0).sum(1), (d < 0).sum(1), n)

    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(30, 0.02), (100, 0.01), (1_000, 0.001)])
def test_where_tango_holds_too_much_it_says_so(n, share):
    """With 1 or 2 discordant items expected it covers more than 97 %."""
    rng = np.random.default_rng(20240601)
    first, second, truth = designs.paired(rng, 2_000, n, share, share)
    found = [paired_difference(a, b) for a, b in zip(first, second, strict=True)]

    low, high = np.array([e.difference.interval for e in found]).T
    assert np.mean((low <= truth) & (truth <= high)) > 0.97
    assert np.mean([bool(e.difference.cautions) for e in found]) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100, 1_000])
def test_hall_of_differences_holds_93_to_97_percent(n):
    rng = np.random.default_rng(20240601)
    first, second, truth = designs.paired_probabilities(rng, 10_000, n, 0.02)
    low, high = hall_interval(first - second)

    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "p", "correlation"),
    [
        ([5] * 60, 0.3, 0.2),
        ([5] * 200, 0.85, 0.2),
        ([1, 2, 3, 5, 9, 14] * 30, 0.5, 0.05),
    ],
)
def test_coverage_of_clustered_differences_is_93_to_97_percent(sizes, p, correlation):
    """Two standard errors of 1,500 data sets aside, most of them without caution."""
    rng = np.random.default_rng(20240601)
    first, clusters, better = designs.clustered(rng, 1_500, sizes, p, correlation)
    second, _, worse = designs.clustered(rng, 1_500, sizes, p - 0.05, correlation)
    found = [
        paired_difference(a, b, clusters=clusters).difference
        for a, b in zip(first, second, strict=True)
    ]

    assert np.mean([bool(e.cautions) for e in found]) < 0.5
    low, high = np.array([e.interval for e in found]).T
    covered = np.mean((low <= better - worse) & (better - worse <= high))
    assert 0.917 <= covered <= 0.979


@pytest.mark.slow
def test_where_few_differences_of_repeats_mislead_they_say_so():
    """6 of 500 items expected to differ, up or down: 86 % instead of 95."""
    rng = np.random.default_rng(20240601)
    differs = rng.random((1_000, 500)) < 6 / 500
    d = differs * rng.choice([-1, -1 / 3, 1 / 3, 1], (1_000, 500))
    found = [paired_difference(row, 0 * row).difference for row in d]

    low, high = np.array([e.interval for e in found]).T
    assert np.mean((low <= 0) & (high >= 0)) < 0.9
    assert all(e.cautions for e in found)


@pytest.mark.slow
@pytest.mark.parametrize("n_better", [1, 4])
def test_mcnemar_is_wrong_at_most_as_often_as_it_says(n_better):
    rng = np.random.default_rng(20240601)
    first, second, _ = designs.paired(rng, 20_000, 60, n_better / 40, n_better / 40)
    d = first - second

    found = mcnemar_p_value((d > 0).sum(1), (d < 0).sum(1)) <= 0.05
    assert found.mean() <= 0.05
