"""Intervals of a mean over items: others' figures, coverage, properties, edges."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from stats import designs

from harness.errors import DesignError
from harness.stats.clusters import clustered_se
from harness.stats.intervals import (
    EDGE_ITEMS,
    INTERVAL_NAMES,
    hall_interval,
    hall_p_value,
    is_binary,
    mean_intervals,
    score_interval,
    standard_error,
    wilson_interval,
)
from harness.stats.resample import bca_interval, bootstrap_means, percentile_interval

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


EIGHT_OF_TEN = zeros_and_ones(8, 10)
PASSAGES = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("method", "low", "high"),
    [
        ("clt", 0.552, 1.048),
        ("wilson", 0.4902, 0.9433),
        ("beta", 0.4822, 0.9398),
        ("auto", 0.4902, 0.9433),
    ],
)
def test_methods_of_8_in_10(method, low, high):
    """Bowyer et al., arXiv 2503.01747: Wald, Wilson, and a uniform prior."""
    found = score_interval(EIGHT_OF_TEN, method=method)

    assert found.interval == pytest.approx((low, high), abs=5e-4)
    assert (found.value, found.n) == (0.8, 10)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (3, 17), (60, 61), (412, 1000)])
@pytest.mark.parametrize(
    ("method", "theirs"), [("clt", "normal"), ("wilson", "wilson")]
)
def test_shares_agree_with_statsmodels(right, n, method, theirs):
    from statsmodels.stats.proportion import proportion_confint

    found = score_interval(
        zeros_and_ones(right, n), method=method, bounds=(0, 1), confidence_level=0.9
    )

    if right or method == "wilson":
        expected = proportion_confint(right, n, alpha=0.1, method=theirs)
        assert found.interval == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (3, 17), (61, 61), (412, 1000)])
def test_beta_agrees_with_scipy(right, n):
    from scipy.stats import beta

    posterior = beta(1 + right, 1 + n - right)
    found = score_interval(zeros_and_ones(right, n), method="beta")

    assert found.interval == pytest.approx(posterior.interval(0.95))
    assert found.se == pytest.approx(posterior.std())


@pytest.mark.parametrize("kind", ["miller", "cr0", "cr1"])
def test_clustered_interval_is_t_of_the_clustered_error(kind):
    from scipy.stats import t

    found = score_interval(EIGHT_OF_TEN, method=kind, clusters=PASSAGES)

    se = float(clustered_se(EIGHT_OF_TEN, PASSAGES, kind=kind))
    assert found.se == se
    assert found.interval == pytest.approx(t.interval(0.95, 3, loc=0.8, scale=se))
    assert found.n == 4


def test_cr1_agrees_with_statsmodels_interval():
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 40, 500)
    scores = rng.random(500) + rng.random(40)[clusters]
    fit = sm.OLS(scores, np.ones(500)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True
    )
    found = score_interval(scores, method="cr1", clusters=clusters)

    assert found.interval == pytest.approx(fit.conf_int()[0], rel=1e-10)


def test_bootstrap_intervals_are_near_those_of_scipy():
    """Within 5 % of the width, which is what 10,000 resamples tell."""
    from scipy.stats import bootstrap

    scores = np.random.default_rng(2).exponential(1, 60)
    for ours, theirs in (("percentile", "percentile"), ("bca", "BCa")):
        found = score_interval(scores, method=ours, rng=1)
        expected = bootstrap((scores,), np.mean, method=theirs, rng=1, batch=500)

        ends = expected.confidence_interval
        assert found.interval == pytest.approx(ends, abs=0.05 * (ends.high - ends.low))
        assert found.se == pytest.approx(expected.standard_error, rel=0.03)


def test_wilson_of_clusters_by_its_definition():
    from scipy.stats import norm, t

    scores = designs.clustered(np.random.default_rng(3), 1, [5] * 40, 0.3, 0.3)[0][0]
    clusters = np.repeat(np.arange(40), 5)
    found = score_interval(scores, clusters=clusters)

    p, se = scores.mean(), float(clustered_se(scores, clusters))
    n = p * (1 - p) / se**2 * (norm.ppf(0.975) / t.ppf(0.975, 39)) ** 2
    assert found.interval == pytest.approx([float(x) for x in wilson_interval(p, n)])
    assert n < 150


def test_hall_of_clusters_has_the_clustered_error():
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(30), rng.integers(1, 9, 30))
    scores = rng.random(len(clusters)) + rng.normal(0, 1, 30)[clusters]
    found = score_interval(scores, clusters=clusters)
    plain = score_interval(scores, method="cr1", clusters=clusters)

    assert found.se == plain.se == float(clustered_se(scores, clusters))
    # The same width to the skewness of the clusters, which the other does not follow.
    assert found.interval != plain.interval
    assert found.interval == pytest.approx(plain.interval, abs=0.2 * plain.se)


@pytest.mark.parametrize("method", ["auto", "wilson", "percentile", "bca"])
def test_clusters_of_one_item_are_no_clusters(method):
    scores = zeros_and_ones(40, 120)
    alone = score_interval(scores, method=method, rng=1)
    found = score_interval(scores, method=method, clusters=range(120), rng=1)

    assert found.interval == pytest.approx(alone.interval, abs=0.01)


@pytest.mark.parametrize("method", ["auto", "hall", "percentile", "bca"])
def test_clusters_count(method):
    scores = zeros_and_ones(40, 120)
    apart = score_interval(scores, method=method, rng=1).interval
    found = score_interval(
        scores, method=method, clusters=np.arange(120) // 4, rng=1
    ).interval

    assert found.high - found.low > 1.5 * (apart.high - apart.low)


@pytest.mark.parametrize("method", ["auto", "clt", "hall", "bca"])
def test_ten_identical_repeats_leave_the_interval_unchanged(method):
    """errorbars takes them for items, and its error falls by sqrt(10)."""
    rng = np.random.default_rng(5)
    for scores in (zeros_and_ones(60, 200), rng.random(200)):
        once = score_interval(scores, method=method, rng=1)
        ten = score_interval(np.repeat(scores[:, None], 10, 1), method=method, rng=1)

        assert ten.interval == pytest.approx(once.interval, rel=1e-9)
        assert (ten.n, ten.se) == (200, pytest.approx(once.se))


def test_repeats_that_differ_narrow_the_interval():
    """Miller 2024: var(x) + E var / K. Uniform chances: K = 4 leaves 1/2."""
    scores, _ = designs.of_mixed_difficulty(np.random.default_rng(6), 1, 9_000, 4, 1, 1)

    one, four = (score_interval(x).se for x in (scores[0, :, :1], scores[0]))
    assert (four / one) ** 2 == pytest.approx(1 / 2, rel=0.03)


def test_a_missing_repeat_is_left_out_of_its_item():
    scores = np.array([[0.0, np.nan], [1, 0], [np.nan, 1], [0.5, 0.25]])

    assert score_interval(scores).value == pytest.approx((0 + 0.5 + 1 + 0.375) / 4)


def test_each_method_gives_another_interval():
    found = {}
    for method in INTERVAL_NAMES:
        clusters = np.arange(60) // 3 if method in ("miller", "cr0", "cr1") else None
        estimate = score_interval(
            zeros_and_ones(17, 60), method=method, clusters=clusters, rng=1
        )
        found[method] = tuple(round(end, 9) for end in estimate.interval)
        assert estimate.method.startswith(INTERVAL_NAMES[method])

    assert len({*found.values()}) == len(found)


def test_auto_says_what_it_chose_and_why():
    binary = score_interval(EIGHT_OF_TEN)
    other = score_interval(EIGHT_OF_TEN / 2)
    clustered = score_interval(EIGHT_OF_TEN, clusters=PASSAGES)
    drawn = score_interval(EIGHT_OF_TEN, method="bca", n_resamples=300, rng=1)

    assert binary.method == (
        "Wilson score interval over items, chosen for scores of 0 and 1"
    )
    assert other.method.startswith("skewness-corrected t interval")
    assert clustered.method.endswith("; 4 clusters")
    assert drawn.method == "BCa bootstrap; 300 resamples"


@pytest.mark.parametrize("n", [2, 10, 100, 299, 1000])
@pytest.mark.parametrize("scale", [1, 0.5])
def test_auto_is_never_the_normal_interval(n, scale):
    scores = zeros_and_ones(n // 2, n) * scale
    found = score_interval(scores)

    assert found.interval != score_interval(scores, method="clt").interval
    assert "CLT" not in found.method


def test_auto_is_the_interval_of_the_variance_table():
    for scores in (EIGHT_OF_TEN, np.random.default_rng(7).random(30)):
        assert score_interval(scores, bounds=(0, 1)).interval == pytest.approx(
            [float(end) for end in mean_intervals(scores, bounds=(0, 1))]
        )


def test_level_resamples_and_rng_change_the_number():
    scores = np.random.default_rng(8).random(120)

    def ends(rng, n_resamples=1_000, level=0.95):
        return score_interval(
            scores,
            method="percentile",
            n_resamples=n_resamples,
            confidence_level=level,
            rng=rng,
        ).interval

    assert ends(1) == ends(1)
    assert ends(1) != ends(2)
    assert ends(1) != ends(1, n_resamples=500)
    assert ends(1, level=0.8).low > ends(1).low
    for method in ("clt", "hall"):
        narrow, wide = (
            score_interval(scores, method=method, confidence_level=level).interval
            for level in (0.8, 0.95)
        )
        assert narrow.high < wide.high


@pytest.mark.parametrize(
    ("scores", "options", "found"),
    [
        (EIGHT_OF_TEN, {}, ["near-the-edge"]),
        (zeros_and_ones(10, 20), {}, []),
        (zeros_and_ones(9, 2000), {}, ["near-the-edge"]),
        (zeros_and_ones(29, 2000), {"method": "clt"}, ["near-the-edge"]),
        (zeros_and_ones(29, 2000), {}, []),
        (np.ones(10), {}, ["constant-over-items"]),
        (np.full(10, 0.3), {}, ["constant-over-items"]),
        ([0.3], {}, ["constant-over-items"]),
        (np.arange(99) / 98, {"method": "percentile"}, ["few-items"]),
        (np.arange(99) / 98, {"method": "bca"}, ["few-items"]),
        (np.arange(100) / 98, {"method": "bca"}, []),
        (np.arange(299) / 98, {"method": "clt"}, ["few-items"]),
        (np.arange(300) / 98, {"method": "clt"}, []),
        (np.linspace(0, 1, 400) ** 40, {"method": "clt"}, ["few-items"]),
        (np.arange(30) / 98, {}, []),
        (np.arange(19), {}, ["few-items"]),
        (np.arange(20), {}, []),
        (np.arange(39) % 3 / 2, {}, ["few-items"]),
        (np.arange(40) % 3 / 2, {}, []),
        (np.arange(39) % 4 / 2, {}, []),
        (np.arange(19), {"clusters": range(19)}, ["few-clusters"]),
        (np.arange(20), {"clusters": range(20)}, []),
        (np.arange(29), {"clusters": range(29), "method": "cr1"}, ["few-clusters"]),
        (np.arange(30), {"clusters": range(30), "method": "miller"}, []),
        (
            zeros_and_ones(18, 36),
            {"clusters": np.repeat(range(9), 4)},
            ["near-the-edge", "few-clusters"],
        ),
        (zeros_and_ones(20, 40), {"clusters": np.arange(40) % 10}, []),
        (np.arange(30), {"clusters": range(30), "method": "bca"}, ["few-clusters"]),
        (np.arange(30), {"clusters": [1] * 30}, ["one-cluster"]),
        # As few as sum m^2 = 16,920 tells of sum m^4, for clusters that are copies.
        (
            np.repeat(np.arange(722), [90, 90, *[1] * 720]),
            {"clusters": np.repeat(np.arange(722), [90, 90, *[1] * 720])},
            ["few-clusters"],
        ),
        ([*[0.5] * 300, *np.arange(24)], {}, ["one-score-prevails"]),
        ([*[0.5] * 300, *np.arange(25)], {}, []),
        # 12 items that are right, in 3 clusters: as few as 3.
        (
            zeros_and_ones(12, 400),
            {"clusters": np.arange(400) // 4},
            ["near-the-edge"],
        ),
        ([], {}, ["no-items"]),
        (np.empty((0, 3)), {}, ["no-items"]),
    ],
)
def test_cautions(scores, options, found, codes):
    estimate = score_interval(np.array(scores, dtype=float), **options, rng=1)

    assert codes(estimate) == found


@pytest.mark.parametrize("method", ["auto", *INTERVAL_NAMES])
@pytest.mark.parametrize("score", [0, 0.4, 1])
def test_scores_that_never_vary_have_no_width_of_zero(method, score, codes):
    clusters = PASSAGES if method in ("miller", "cr0", "cr1") else None
    if method in ("wilson", "beta") and score == 0.4:
        return
    found = score_interval(
        np.full(10, float(score)), method=method, clusters=clusters, rng=1
    )

    assert "constant-over-items" in codes(found)
    assert np.isnan(found.interval.low) or found.interval.high > found.interval.low
    # Other than the posterior's, a standard error cannot be learnt.
    assert np.isnan(found.se) != (method == "beta")


def test_all_right_in_clusters_is_as_if_a_cluster_were_an_item():
    found = score_interval(np.ones(60), clusters=np.arange(60) // 2)

    assert found.interval.high == 1
    assert found.interval.low == pytest.approx(0.878, abs=0.001)
    assert found.interval.low < score_interval(np.ones(30)).interval.low


def test_one_cluster_has_no_interval():
    for scores in (EIGHT_OF_TEN, EIGHT_OF_TEN / 2):
        found = score_interval(scores, clusters=["a"] * 10)

        assert np.isnan(found.interval).all()
        assert np.isnan(found.se)


@pytest.mark.parametrize(
    ("scores", "options", "code"),
    [
        (EIGHT_OF_TEN, {"confidence_level": 95}, "bad-confidence-level"),
        (EIGHT_OF_TEN, {"method": "wald"}, "unknown-method"),
        (EIGHT_OF_TEN / 2, {"method": "wilson"}, "unfit-method"),
        (EIGHT_OF_TEN / 2, {"method": "beta"}, "unfit-method"),
        (EIGHT_OF_TEN, {"method": "clt", "clusters": PASSAGES}, "unfit-method"),
        (EIGHT_OF_TEN, {"method": "beta", "clusters": PASSAGES}, "unfit-method"),
        (EIGHT_OF_TEN, {"method": "cr1"}, "unfit-method"),
        (EIGHT_OF_TEN, {"clusters": [1, 2]}, "unequal-lengths"),
        ([0.5, np.nan], {}, "missing-scores"),
        ([[0.5, 0.3], [np.nan, np.nan]], {}, "missing-scores"),
        (EIGHT_OF_TEN, {"method": "bca", "n_resamples": 99}, "too-few-resamples"),
    ],
)
def test_what_has_no_interval_is_refused(scores, options, code):
    with pytest.raises(DesignError) as caught:
        score_interval(np.array(scores), **options)

    assert caught.value.code == code


@given(tables, st.floats(0.5, 0.999))
def test_p_value_and_interval_of_hall_agree(scores, level):
    """0 is left out just where p is below 1 - level."""
    shifted = scores - 0.4
    low, high = hall_interval(shifted, confidence_level=level)
    p_value = hall_p_value(shifted)

    assert np.isnan(low) == np.isnan(p_value)
    if not np.isnan(low) and min(abs(low), abs(high)) > 1e-6:
        assert (p_value < 1 - level) == (not low <= 0 <= high)


def test_hall_p_value_without_skewness_is_that_of_t():
    from scipy.stats import ttest_1samp

    scores = np.array([-0.2, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.2]) - 0.1
    symmetric = np.concatenate([scores, 2 * 0.4 - scores])

    assert hall_p_value(symmetric) == pytest.approx(ttest_1samp(symmetric, 0).pvalue)
    assert np.isnan(hall_p_value(scores[:1]))


def covers(low, high, truth):
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("n", [30, 100, 1_000, 10_000])
def test_wilson_holds_93_to_97_percent_or_says_so(n):
    """Exact, from binomial probabilities: no simulation."""
    from scipy.stats import binom

    right = np.arange(n + 1)
    low, high = wilson_interval(right / n, n)
    told = np.minimum(right, n - right) < EDGE_ITEMS
    expected = np.geomspace(0.3, n / 2, 60)
    for p in [*expected / n, *(1 - expected / n)]:
        probability = binom.pmf(right, n, p)
        level = probability[(low <= p) & (p <= high)].sum()

        # Discreteness: within .2 % beyond either end at isolated points.
        assert 0.928 <= level <= 0.972 or probability[told].sum() > 0.5
        assert level >= 0.89


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


MANY_CLUSTERS = [
    ([10] * 30, 0.25, 0.05),
    ([10] * 30, 0.5, 0.3),
    ([10] * 50, 0.9, 0.3),
    ([4] * 100, 0.95, 0.1),
    ([10] * 300, 0.05, 0.3),
    ([10] * 1_000, 0.98, 0.1),
    ([1, 2, 3, 5, 9, 14] * 10, 0.4, 0.2),
    ([1, 2, 3, 5, 9, 14] * 20, 0.85, 0.2),
]
FEW_CLUSTERS = [([10] * 12, 0.5, 0.1), ([2] * 200 + [60] * 12, 0.6, 0.1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "p", "correlation", "scale"),
    [
        *((*design, scale) for design in MANY_CLUSTERS for scale in (1, 0.5)),
        *((*design, 1) for design in FEW_CLUSTERS),
    ],
)
def test_coverage_over_clusters_is_93_to_97_percent(sizes, p, correlation, scale):
    """Wilson's, and Hall's of halves; two standard errors of 1,500 data sets aside.

    Most data sets carry no caution.
    """
    rng = np.random.default_rng(20240601)
    scores, clusters, truth = designs.clustered(rng, 1_500, sizes, p, correlation)
    found = [score_interval(row * scale, clusters=clusters) for row in scores]

    assert np.mean([bool(e.cautions) for e in found]) < 0.5
    low, high = np.array([e.interval for e in found]).T
    assert 0.917 <= covers(low, high, truth * scale) <= 0.979


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_repeats"), [(50, 4), (200, 3), (1_000, 10)])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.5, 1), (4, 0.5)])
def test_coverage_over_repeated_items_is_93_to_97_percent(n, n_repeats, a, b):
    rng = np.random.default_rng(20240601)
    scores, truth = designs.of_mixed_difficulty(rng, 3_000, n, n_repeats, a, b)

    assert 0.93 <= covers(*mean_intervals(scores.mean(-1)), truth) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 300])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: designs.right_or_wrong(rng, 2_000, n, 0.4),
        lambda rng, n: designs.probabilities(rng, 2_000, n, 0.3, 1.2),
        lambda rng, n: designs.log_likelihoods(rng, 2_000, n),
    ],
    ids=["right .4", "skewed", "nats"],
)
def test_coverage_of_the_bootstrap_is_93_to_97_percent(draw, n):
    rng = np.random.default_rng(20240601)
    scores, truth = draw(rng, n)
    means = bootstrap_means(scores, n_resamples=2_000, rng=rng)

    assert 0.925 <= covers(*percentile_interval(means), truth) <= 0.975
    assert 0.93 <= covers(*bca_interval(means, scores), truth) <= 0.97


@pytest.mark.slow
def test_the_normal_interval_fails_where_it_is_told_to():
    """Skewed scores of 50 items: 86 % instead of 95, and Hall's is right."""
    rng = np.random.default_rng(20240601)
    scores, truth = designs.probabilities(rng, 2_000, 50, 0.1, 5)
    found = [score_interval(row, method="clt") for row in scores]

    low, high = np.array([e.interval for e in found]).T
    assert covers(low, high, truth) < 0.9
    assert all(e.cautions for e in found)
    assert 0.93 <= covers(*mean_intervals(scores), truth) <= 0.97
