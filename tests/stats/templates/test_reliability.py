"""Reliable numbers of resamplings: all subsets, normal theory, edges."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm

from harness.errors import DesignError
from harness.stats.templates.reliability import reliable_number


def exhaustively(means, k, delta):
    """Return how near subsets of k are, looking at them all."""
    apart = [
        abs(np.mean(some) - np.mean(means)) for some in itertools.combinations(means, k)
    ]
    return np.percentile(apart, 100 * (1 - delta / 2))


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_smallest_size_of_all_subsets(seed):
    means = np.random.default_rng(seed).normal(0.5, 0.03, 9)
    found = reliable_number(means, epsilon=0.013, delta=0.2, rng=seed)

    known = [exhaustively(means, k, 0.2) for k in range(1, 10)]
    assert found.deviation == pytest.approx(known, abs=1e-12)
    assert found.deviation[found.n_needed - 1] < 0.013
    assert (found.deviation[: found.n_needed - 1] >= 0.013).all()


def test_random_subsets_are_like_all_of_them():
    means = np.random.default_rng(7).normal(0.5, 0.03, 14)
    found = reliable_number(means, n_subsets=3_000, rng=1)

    assert found.deviation[6] == pytest.approx(exhaustively(means, 7, 0.1), rel=0.05)


def test_one_and_two_are_looked_at_in_full():
    means = np.array([0.0, 0.1, 0.2, 0.7])
    found = reliable_number(means, delta=0.5, n_subsets=1, rng=0)

    assert found.deviation[0] == pytest.approx(
        np.quantile([0.25, 0.15, 0.05, 0.45], 0.75)
    )
    pairs = [abs(a + b - 0.5) / 2 for a, b in itertools.combinations(means, 2)]
    assert found.deviation[1] == pytest.approx(np.quantile(pairs, 0.75))
    assert found.deviation[-1] == 0


def test_with_many_resamplings_it_is_what_normal_theory_says():
    means = norm.ppf((np.arange(1_500) + 0.5) / 1_500) * 0.02 + 0.6
    found = reliable_number(means, n_subsets=2_000, rng=1)

    # Its rule is met at z(1 - delta / 4); the companion's at z(1 - delta / 2).
    assert found.n_needed == pytest.approx((1.96 * 2) ** 2, abs=2)
    assert found.n_analytic == pytest.approx((1.6449 * 2) ** 2, rel=5e-3)
    assert found.cautions == ()


def test_without_end_the_sd_is_that_of_those_not_seen():
    found = reliable_number(np.array([0.4, 0.5, 0.6]), epsilon=0.05, rng=1)

    assert found.sd == pytest.approx(np.sqrt(0.02 / 3))
    assert found.n_analytic == pytest.approx((1.6449 * 0.1 / 0.05) ** 2, rel=1e-4)


def test_few_resamplings_ask_for_enough_on_average():
    rng = np.random.default_rng(5)
    n, sd, epsilon = 8, 0.1, 0.02
    needed = [
        reliable_number(means, epsilon=epsilon, n_subsets=1, rng=1).n_analytic
        for means in rng.normal(0.5, sd, (400, n))
    ]

    # (z sd / epsilon)^2 of the true SD; with ddof=0 it is 7/8 of that.
    assert np.mean(needed) == pytest.approx((1.6449 * sd / epsilon) ** 2, rel=0.06)


@pytest.mark.parametrize("option", [{"epsilon": 0.03}, {"delta": 0.4}])
def test_less_asked_needs_fewer(option):
    means = np.random.default_rng(2).normal(0.5, 0.05, 100)

    strict = reliable_number(means, rng=1)
    assert reliable_number(means, rng=1, **option).n_needed < strict.n_needed
    assert reliable_number(means, rng=1, **option).n_analytic < strict.n_analytic


def test_where_most_are_needed_it_says_that_they_run_out():
    found = reliable_number(np.random.default_rng(3).normal(0.5, 0.2, 20), rng=1)

    assert found.n_needed > 10
    assert found.cautions[0].code == "resamplings-run-out"
    assert found.n_analytic > 20


def test_resamplings_that_agree_need_one():
    found = reliable_number(np.full(10, 0.4), rng=1)

    assert found.n_needed == 1
    assert found.n_analytic == 0


def test_the_same_stream_gives_the_same_number():
    means = np.random.default_rng(4).normal(0.5, 0.05, 50)

    assert (
        reliable_number(means, rng=5).deviation
        == reliable_number(means, rng=5).deviation
    ).all()


@pytest.mark.parametrize(
    ("means", "options", "code"),
    [
        ([0.5], {}, "too-few-replicates"),
        ([0.5, np.nan], {}, "missing-scores"),
        ([0.5, 0.6], {"epsilon": 0}, "bad-tolerance"),
        ([0.5, 0.6], {"epsilon": 1e-300}, "bad-tolerance"),
        ([0.5, 0.6], {"epsilon": float("nan")}, "bad-tolerance"),
        ([0.5, 0.6], {"delta": 1}, "bad-tolerance"),
    ],
)
def test_what_is_no_question_is_refused(means, options, code):
    with pytest.raises(DesignError) as e:
        reliable_number(np.array(means), **options)
    assert e.value.code == code


def test_a_reliable_number_is_a_table():
    found = reliable_number(np.array([0.4, 0.5, 0.6]), rng=1)

    assert list(found.to_frame()["n"]) == [1, 2, 3]
    assert found.to_dict()["deviation"][-1] == 0
