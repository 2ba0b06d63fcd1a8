"""The crossed bootstrap: closed forms, a plain loop, coverage, edges."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t
from stats.seed_designs import coverage, normal_scores, probit_scores

from harness.errors import DesignError
from harness.stats.crossed import STATISTICS, crossed_bootstrap
from harness.stats.ranks import monotonicity
from harness.stats.resample import bootstrap_means
from harness.stats.series import last_seed_sd, seed_sd, signal_to_noise

nan = math.nan


@pytest.fixture(scope="module")
def scores():
    """Four seeds, three steps that rise, sixty items of 0 and 1."""
    rng = np.random.default_rng(1)
    steps = [
        probit_scores(rng, n_seeds=4, n_items=60, mean=mean, seed_sd=0.05)[0, :, 0]
        for mean in (0.3, 0.45, 0.6)
    ]
    return np.stack(steps, axis=1)


def codes(estimate):
    return [caution.code for caution in estimate.cautions]


def test_statistics_are_those_of_the_series(scores):
    matrix = scores.mean(-1)
    theirs = {
        "mean": matrix[:, -1].mean(),
        "seed_sd": seed_sd(matrix).value,
        "seed_sd_last": last_seed_sd(matrix[:, -1]).value,
        "snr": signal_to_noise(matrix[:, -1]).value,
        "monotonicity": monotonicity(matrix).value,
    }

    assert list(theirs) == list(STATISTICS)
    for name, value in theirs.items():
        estimate = crossed_bootstrap(scores, name, n_resamples=100, rng=1)
        assert estimate.value == pytest.approx(value)
        assert estimate.quantity == name


def test_seeds_alone_are_student_s_t(scores):
    """The bootstrap SE of a mean is (S - 1) / S of s^2 / S: scaled, t is exact."""
    last = scores[:, -1].mean(-1)
    found = crossed_bootstrap(
        scores, "mean", resample=["seeds"], n_resamples=100_000, rng=2
    )

    theirs = t.interval(0.95, 3, last.mean(), last.std(ddof=1) / 2)
    assert found.interval == pytest.approx(theirs, rel=0.01)
    assert found.se == pytest.approx(last.std(ddof=1) / 2, rel=0.01)
    assert found.n == 4


def test_items_alone_are_student_s_t(scores):
    items = scores[:, -1].mean(0)
    found = crossed_bootstrap(
        scores, "mean", resample=["items"], n_resamples=50_000, rng=3
    )

    theirs = t.interval(0.95, 59, items.mean(), items.std(ddof=0) / math.sqrt(60))
    assert found.interval == pytest.approx(theirs, rel=0.01)
    assert found.n == 60


def test_both_are_the_closed_form_of_mean_squares(scores):
    """Owen 2007: the interaction counts in each part, and is taken off once."""
    table = scores[:, -1]
    n_seeds, n_items = table.shape
    row, column = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    rest = table - row - column + table.mean()
    seeds = row.var(ddof=1) / n_seeds
    items = column.var(ddof=0) / n_items
    both = (rest**2).sum() / (n_seeds - 1) / n_items / (n_seeds * n_items)
    found = crossed_bootstrap(scores, "mean", n_resamples=100_000, rng=4)

    assert found.se**2 == pytest.approx(seeds + items - both, rel=0.03)
    half = math.sqrt(
        t.ppf(0.975, 3) ** 2 * seeds
        + t.ppf(0.975, 59) ** 2 * items
        - norm.ppf(0.975) ** 2 * both
    )
    assert found.interval.high - found.value == pytest.approx(half, rel=0.02)


def plain_bootstrap(scores, statistic, n_resamples, rng):
    """Return values of resampled seeds, items and both, one resample at a time."""
    rng = np.random.default_rng(rng)
    n_seeds = len(scores)
    means = bootstrap_means(scores, n_resamples=n_resamples, rng=rng)
    rows = []
    for r in range(n_resamples):
        picks = [int(rng.integers(n_seeds)) for _ in range(n_seeds)]
        alone, drawn = scores.mean(-1), means[:, :, r]
        again = [[drawn[s, step] for step in range(drawn.shape[1])] for s in picks]
        rows.append([statistic(alone[picks]), statistic(drawn), statistic(again)])
    return np.array(rows)


def test_a_loop_over_resamples_gives_the_same(scores):
    def last_mean(matrix):
        return sum(row[-1] for row in matrix) / len(matrix)

    rows = plain_bootstrap(scores, last_mean, 300, 5)
    seeds, items, both = rows.var(0)
    interaction = 4 / 3 * max(both - seeds - items, 0)
    se2 = 4 / 3 * seeds + items - interaction
    found = crossed_bootstrap(scores, "mean", n_resamples=300, rng=5)

    assert found.se == pytest.approx(math.sqrt(max(se2, 4 / 3 * seeds, items)))


def test_a_function_does_as_a_name_does(scores):
    def last_mean(matrices):
        return matrices[:, :, -1].mean(1)

    mine, named = (
        crossed_bootstrap(scores, statistic, n_resamples=200, rng=6)
        for statistic in (last_mean, "mean")
    )
    assert mine.quantity == "last_mean"
    assert mine.interval == named.interval


def test_the_same_rng_gives_the_same_bits_and_another_does_not(scores):
    first, again, other = (
        crossed_bootstrap(scores, "monotonicity", n_resamples=200, rng=rng)
        for rng in (7, np.random.default_rng(7), 8)
    )

    assert first == again
    assert first.interval != other.interval


def test_each_option_changes_the_interval(scores):
    def interval(**options):
        return crossed_bootstrap(
            scores, "mean", **{"n_resamples": 500, "rng": 9, **options}
        ).interval

    both = interval()
    low = interval(confidence_level=0.8)
    assert both.low < low.low < low.high < both.high
    for resample in (["seeds"], ["items"]):
        alone = interval(resample=resample)
        assert alone != both
    assert interval(n_resamples=501) != both


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 3, 0, 2]])
def test_the_value_does_not_depend_on_the_order_of_seeds(order):
    rng = np.random.default_rng(10)
    table = rng.random((4, 3, 6))
    for name in STATISTICS:
        one, other = (
            crossed_bootstrap(x, name, n_resamples=100, rng=1).value
            for x in (table, table[order])
        )
        assert one == pytest.approx(other, nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 10])
@pytest.mark.parametrize(
    ("mean", "seed_sd", "n_items"),
    [(0.5, 0.0, 100), (0.25, 0.02, 300), (0.9, 0.01, 1000)],
)
def test_the_mean_is_covered(n_seeds, mean, seed_sd, n_items):
    rng = np.random.default_rng(11)
    found = []
    for _ in range(500):
        table = probit_scores(
            rng, n_seeds=n_seeds, n_items=n_items, mean=mean, seed_sd=seed_sd
        )[0]
        found.append(crossed_bootstrap(table, "mean", n_resamples=300, rng=rng))

    covered = coverage([estimate.interval for estimate in found], mean)
    is_told = all("few-seeds" in codes(estimate) for estimate in found)
    assert is_told == (n_seeds < 4)
    assert 0.93 - 0.018 <= covered <= (1 if is_told else 0.97 + 0.012)


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 10])
@pytest.mark.parametrize(
    ("residual", "low", "high"), [(0.002, 0, 0.92), (0.4, 0.99, 1)]
)
def test_percentiles_of_seed_sd_do_not_cover_and_chi_square_s_do(
    n_seeds, residual, low, high
):
    """Why its interval is no bootstrap: too narrow over seeds, too wide over items."""
    rng = np.random.default_rng(12)
    tables = normal_scores(
        rng,
        n_seeds=n_seeds,
        n_items=100,
        seed=0.02**2,
        item=0.1,
        residual=residual,
        n_tables=600,
    )
    truth = math.sqrt(0.02**2 + residual / 100)
    percentiles, chi_squares = [], []
    for table in tables:
        means = bootstrap_means(table, n_resamples=400, rng=rng).T
        picks = rng.integers(n_seeds, size=means.shape)
        drawn = np.take_along_axis(means, picks, 1).std(1, ddof=1)
        percentiles.append(np.quantile(drawn, [0.025, 0.975]))
        chi_squares.append(last_seed_sd(table.mean(-1)).interval)

    assert low <= coverage(percentiles, truth) <= high
    assert 0.93 - 0.018 <= coverage(chi_squares, truth) <= 0.97 + 0.014


@pytest.mark.parametrize("name", ["seed_sd", "seed_sd_last", "snr"])
def test_spreads_over_seeds_are_always_told(scores, name):
    found = crossed_bootstrap(scores, name, n_resamples=100, rng=1)

    assert "biased-resamples" in codes(found)


def test_resamples_on_one_side_of_the_value_are_told():
    table = normal_scores(
        np.random.default_rng(13), n_seeds=3, n_items=40, seed=0, item=1, residual=1
    )[0, :, None]

    def spread(matrices):
        return np.ptp(matrices[:, :, -1], axis=1)

    found = crossed_bootstrap(table, spread, resample=["items"], rng=1)
    assert codes(found) == ["biased-resamples"]
    assert "+" in found.cautions[0].text


def test_few_seeds_and_few_answers_are_told():
    table = np.zeros((3, 1, 100))
    table[:, :, :19] = 1
    table[0, :, 50] = 1

    assert codes(crossed_bootstrap(table, "mean", rng=1)) == ["few-seeds", "near-bound"]
    assert "near-bound" in codes(crossed_bootstrap(1 - table, "mean", rng=1))
    assert codes(crossed_bootstrap(table, "mean", resample=["seeds"], rng=1)) == [
        "few-seeds"
    ]
    assert codes(crossed_bootstrap(table + 0.1, "mean", rng=1)) == ["few-seeds"]
    table[:, :, 19] = 1
    assert codes(crossed_bootstrap(table, "mean", resample=["items"], rng=1)) == []


def test_resamples_without_the_statistic_are_left_out_and_counted():
    table = normal_scores(
        np.random.default_rng(14), n_seeds=3, n_items=40, seed=1, item=1, residual=1
    )[0, :, None]

    found = crossed_bootstrap(table, "snr", rng=1)
    assert "undefined-resamples" in codes(found)
    assert math.isfinite(found.se)


def test_what_does_not_move_has_no_interval():
    found = crossed_bootstrap(np.ones((4, 2, 30)), "mean", rng=1)

    assert found.value == 1
    assert math.isnan(found.interval.low)
    assert codes(found) == ["near-bound", "constant-resamples"]


def test_what_is_not_defined_says_so():
    found = crossed_bootstrap(np.ones((4, 2, 30)), "monotonicity", rng=1)

    assert math.isnan(found.value)
    assert codes(found) == ["undefined-statistic"]


def test_a_seed_whose_score_never_changes_has_no_part_in_monotonicity():
    table = np.array([[[0.1], [0.2], [0.3]], [[0.5], [0.5], [0.5]]])

    found = crossed_bootstrap(table, "monotonicity", resample=["seeds"], rng=1)
    assert found.value == monotonicity(table.mean(-1)).value == 1


@pytest.mark.parametrize(
    ("table", "options", "code"),
    [
        (np.ones((1, 2, 5)), {}, "too-few-replicates"),
        (np.ones((2, 2, 1)), {}, "too-few-items"),
        (np.full((2, 2, 5), nan), {}, "missing-scores"),
        (np.ones((2, 2, 5)), {"n_resamples": 99}, "too-few-resamples"),
        (np.ones((2, 2, 5)), {"statistic": "median"}, "unknown-method"),
        (np.ones((2, 2, 5)), {"resample": ["steps"]}, "unknown-method"),
        (np.ones((2, 2, 5)), {"resample": []}, "unknown-method"),
    ],
)
def test_what_cannot_be_resampled_is_refused(table, options, code):
    with pytest.raises(DesignError) as caught:
        crossed_bootstrap(table, **{"statistic": "mean", **options})

    assert caught.value.code == code


def test_one_seed_may_have_its_items_resampled(scores):
    found = crossed_bootstrap(scores[:1], "mean", resample=["items"], rng=1)

    assert found.interval.low < found.value < found.interval.high
