"""The bootstrap of means: R, scipy, a plain loop, exact sums, edges."""

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DesignError
from harness.stats import resample
from harness.stats.resample import (
    bca_interval,
    bootstrap_mean,
    bootstrap_means,
    percentile_interval,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "boot_bca.csv"
nan = float("nan")


@pytest.fixture(scope="module")
def boot():
    """Scores, resampled means and interval ends that R's boot printed."""
    with GOLDEN.open() as lines:
        rows = list(csv.DictReader(line for line in lines if line[0] != "#"))
    names = {row["what"] for row in rows}
    return {
        n: np.array([float(r["value"]) for r in rows if r["what"] == n]) for n in names
    }


@pytest.fixture
def scores():
    return np.random.default_rng(3).exponential(1, (3, 40))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_of_the_resamples_that_r_drew(boot, level):
    """Within .5 % of the width: R interpolates between resamples on another scale."""
    means = boot["mean"]
    percentile = percentile_interval(means, confidence_level=level)
    bca = bca_interval(means, boot["score"], confidence_level=level)

    for ours, theirs in (
        (percentile, boot[f"percentile {level:.2f}"]),
        (bca, boot[f"bca {level:.2f}"]),
    ):
        assert ours == pytest.approx(theirs, abs=0.005 * np.ptp(theirs))
    # The correction is several times what the two scales differ by.
    assert abs(bca[1] - percentile[1]) > 0.02 * np.ptp(boot[f"bca {level:.2f}"])


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_intervals_of_the_resamples_that_scipy_drew(scores, method):
    from scipy.stats import bootstrap

    theirs = bootstrap(
        (scores[0],), np.mean, method=method, n_resamples=2_000, rng=1, batch=100
    )
    means = theirs.bootstrap_distribution
    ours = (
        percentile_interval(means)
        if method == "percentile"
        else bca_interval(means, scores[0])
    )

    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)


def test_resamples_have_the_standard_error_that_theory_gives(scores):
    """SD of the mean of n draws from the n scores; 20,000 of them tell it to 2 %."""
    means = bootstrap_means(scores, n_resamples=20_000, rng=1)

    expected = scores.std(axis=1) / np.sqrt(scores.shape[1])
    assert means.mean(1) == pytest.approx(scores.mean(1), abs=0.005)
    assert means.std(1) == pytest.approx(expected, rel=0.02)


def test_a_plain_loop_draws_the_same_means(scores):
    found = bootstrap_means(scores, n_resamples=300, rng=7)

    entropy = np.random.default_rng(7).integers(2**32, size=4).tolist()
    for r in range(300):
        stream = np.random.Generator(np.random.PCG64([*entropy, r]))
        picks = stream.integers(40, size=40, dtype=np.int32)
        assert found[:, r] == pytest.approx(scores[:, picks].mean(1), rel=1e-12)


def test_a_plain_loop_draws_the_same_clusters(scores):
    clusters = np.arange(40) // 3
    found = bootstrap_means(scores, clusters=clusters, n_resamples=200, rng=7)

    entropy = np.random.default_rng(7).integers(2**32, size=4).tolist()
    for r in range(200):
        stream = np.random.Generator(np.random.PCG64([*entropy, r]))
        picks = stream.integers(14, size=14, dtype=np.int32)
        items = np.concatenate([np.flatnonzero(clusters == c) for c in picks])
        assert found[:, r] == pytest.approx(scores[:, items].mean(1), rel=1e-12)


@pytest.mark.parametrize("kind", ["0 and 1", "continuous", "clustered"])
@pytest.mark.parametrize(("block", "n_workers"), [(0, 1), (7, 3), (1_000, 2)])
def test_no_block_size_and_no_number_of_workers_changes_a_bit(
    monkeypatch, scores, kind, block, n_workers
):
    table = (scores > 0.7) * 1.0 if kind == "0 and 1" else scores
    clusters = np.arange(40) // 4 if kind == "clustered" else None
    one = bootstrap_means(table, clusters=clusters, n_resamples=999, rng=5)
    monkeypatch.setattr(resample, "BLOCK", block * 40)
    other = bootstrap_means(
        table, clusters=clusters, n_resamples=999, n_workers=n_workers, rng=5
    )

    np.testing.assert_array_equal(one, other)


def test_order_of_adding_up_changes_no_bit():
    """Means of scores that are no binary fractions are those of exact sums."""
    table = np.random.default_rng(8).random((2, 101)) / 3
    one = bootstrap_means(table, n_resamples=200, rng=1)
    alone = np.stack([bootstrap_means(row, n_resamples=200, rng=1) for row in table])

    np.testing.assert_array_equal(one, alone)


def test_a_shorter_run_draws_the_first_of_a_longer(scores):
    longer = bootstrap_means(scores, n_resamples=1_500, rng=2)

    for n_resamples in (1, 999, 1_000, 1_499):
        shorter = bootstrap_means(scores, n_resamples=n_resamples, rng=2)
        np.testing.assert_array_equal(shorter, longer[:, :n_resamples])


def test_as_many_resamples_as_asked():
    """lm-eval runs 1,000 of 1,999 (it drops what no chunk of 1,000 holds)."""
    zeros_and_ones = np.array([1.0, 0.0, 1.0] * 30)

    assert bootstrap_means(zeros_and_ones, n_resamples=1_999, rng=1).shape == (1_999,)
    assert bootstrap_mean(zeros_and_ones, n_resamples=1_999, rng=1).shape == (1_999,)


def test_rng_is_all_that_counts(scores):
    one, two, three = (
        bootstrap_means(scores, n_resamples=50, rng=s) for s in (1, 1, 2)
    )

    np.testing.assert_array_equal(one, two)
    assert (one != three).any()
    # A generator moves on, so that a second call draws anew.
    rng = np.random.default_rng(1)
    again = bootstrap_means(scores, n_resamples=50, rng=rng)
    np.testing.assert_array_equal(one, again)
    assert (bootstrap_means(scores, n_resamples=50, rng=rng) != one).any()


def test_few_values_are_drawn_by_their_counts_and_spread_alike():
    """Two-sample Kolmogorov-Smirnov: the same distribution by either way."""
    from scipy.stats import ks_2samp

    scores = np.random.default_rng(4).binomial(3, 0.3, 200) / 3
    short = bootstrap_mean(scores, n_resamples=5_000, rng=1)
    long = bootstrap_means(scores, n_resamples=5_000, rng=2)

    assert ks_2samp(short, long).pvalue > 0.001
    assert set(np.round(short * 600, 6) % 1) == {0.0}


def test_many_values_and_clusters_take_the_long_way():
    many = np.random.default_rng(4).random(50)
    few, clusters = np.round(many), np.arange(50) // 2

    np.testing.assert_array_equal(
        bootstrap_mean(many, n_resamples=20, rng=1),
        bootstrap_means(many, n_resamples=20, rng=1),
    )
    np.testing.assert_array_equal(
        bootstrap_mean(few, clusters=clusters, n_resamples=20, rng=1),
        bootstrap_means(few, clusters=clusters, n_resamples=20, rng=1),
    )


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_confidence_level_changes_the_ends(scores, level):
    means = bootstrap_means(scores, n_resamples=1_000, rng=1)
    wide = np.array([percentile_interval(means), bca_interval(means, scores)])
    narrow = np.array(
        [
            percentile_interval(means, confidence_level=level),
            bca_interval(means, scores, confidence_level=level),
        ]
    )

    assert (narrow[:, 1] - narrow[:, 0] < wide[:, 1] - wide[:, 0]).all()


def test_bca_of_clusters_of_one_is_that_of_items(scores):
    means = bootstrap_means(scores, n_resamples=500, rng=1)

    np.testing.assert_allclose(
        bca_interval(means, scores, clusters=range(40)), bca_interval(means, scores)
    )
    assert (
        bca_interval(means, scores, clusters=np.arange(40) // 8)[0]
        != bca_interval(means, scores)[0]
    ).all()


@pytest.mark.parametrize(
    ("scores", "clusters"), [([0.1] * 7, None), ([0.4], None), ([0.1, 0.5], [0, 0])]
)
def test_bca_is_not_defined_where_nothing_varies(scores, clusters):
    scores = np.array(scores)
    means = bootstrap_means(scores, clusters=clusters, n_resamples=200, rng=1)
    low, high = bca_interval(means, scores, clusters=clusters)

    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: bootstrap_means(np.array([0.1, nan]), rng=1), "missing-scores"),
        (lambda: bootstrap_means(np.array([0.1, -np.inf]), rng=1), "missing-scores"),
        (lambda: bootstrap_means(np.empty((2, 0)), rng=1), "too-few-items"),
        (lambda: percentile_interval(np.arange(199.0)), "too-few-resamples"),
        (
            lambda: bca_interval(np.arange(999.0), np.arange(5), confidence_level=0.99),
            "too-few-resamples",
        ),
    ],
)
def test_what_cannot_be_resampled_is_refused(call, code):
    with pytest.raises(DesignError) as caught:
        call()

    assert caught.value.code == code


def test_missing_scores_are_told_by_item():
    table = np.ones((2, 6))
    table[1, [1, 4]] = nan

    with pytest.raises(DesignError, match=r"2 of 12 scores .* items \[1, 4\]"):
        bootstrap_means(table)


def test_just_enough_resamples_will_do():
    assert percentile_interval(np.arange(200.0)) == pytest.approx((4.975, 194.025))


@pytest.mark.slow
def test_memory_stays_below_100_mb_over_the_input():
    table = (np.random.default_rng(1).random((400, 14_000)) < 0.4) * 1.0
    tracemalloc.start()
    bootstrap_means(table, n_resamples=1_000, rng=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # The other 9,000 means of each series take 29 MB.
    assert peak < 71e6
