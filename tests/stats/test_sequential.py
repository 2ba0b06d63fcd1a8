"""Tests and intervals that may be looked at again, and levels that are spent."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, comb, ndtri

from harness.errors import DesignError
from harness.stats.intervals import hall_p_value
from harness.stats.pairs import mcnemar_p_value, paired_difference
from harness.stats.sequential import (
    MAX_LOOKS,
    N_TARGET,
    SequentialRule,
    always_valid_p,
    confidence_sequence,
    mixture_interval,
    mixture_p_value,
    read_rule,
    spend,
)

GOLDEN = Path(__file__).parents[1] / "golden"
A = (0.2 * N_TARGET / 8.211968062068253 - 1) / 2
"""Of the Beta distribution of bets, for the default target."""


def golden(name):
    with (GOLDEN / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def counts(*numbers):
    return tuple(np.array(n) for n in numbers)


# ---- against others ------------------------------------------------------------------


@pytest.mark.parametrize("row", golden("sequential"))
def test_margins_are_those_of_drconfseq(row):
    """With so many items as here t is the normal distribution."""
    n, alpha = int(row["n"]), float(row["alpha"])
    d = np.tile([-0.5, 0.5], n // 2)
    found = confidence_sequence(
        d, confidence_level=1 - alpha, n_target=int(row["n_target"])
    )

    ours = found.interval.high / d.std(ddof=1)
    expected = float(row["margin"])
    assert ours >= expected
    if n > 500:
        assert ours == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("shape", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("n_looks", [2, 5, 10, 30])
def test_levels_of_more_data_are_those_of_sequential_analysis(shape, n_looks):
    rows = [
        row
        for row in golden("spending")
        if (row["shape"], int(row["n_looks"])) == (shape, n_looks)
    ]
    spent = [
        spend(0.05, k, shape=shape, n_looks=n_looks) for k in range(1, n_looks + 1)
    ]
    levels = [
        spend(0.05, k, shape=shape, n_looks=n_looks, accumulates=True)
        for k in range(1, n_looks + 1)
    ]

    assert np.cumsum(spent) == pytest.approx(
        [float(row["spent"]) for row in rows], rel=1e-6
    )
    bounds = np.array([float(row["bound"]) for row in rows])
    near = bounds < 8
    np.testing.assert_allclose(
        -ndtri(np.array(levels)[near] / 2), bounds[near], atol=1e-4
    )


def test_bounds_of_lan_and_demets():
    """Five looks at 5 %, as gsDesign and ldbounds print them."""
    levels = [
        spend(0.05, k, shape="obrien-fleming", n_looks=5, accumulates=True)
        for k in range(1, 6)
    ]

    np.testing.assert_allclose(
        -ndtri(np.array(levels) / 2),
        [4.8769, 3.3569, 2.6803, 2.2898, 2.0310],
        atol=2e-4,
    )


@pytest.mark.parametrize(
    ("better", "worse"), [(0, 0), (5, 0), (30, 10), (3, 40), (300, 200), (9000, 9300)]
)
def test_the_mixture_at_no_difference_is_the_beta_binomial_one(better, worse):
    """Robbins' mixture of likelihood ratios of a binomial at 1/2, in closed form."""
    log_ratio = (
        (better + worse) * math.log(2) + betaln(A + better, A + worse) - betaln(A, A)
    )

    assert float(mixture_p_value(*counts(better, worse))) == pytest.approx(
        min(1, math.exp(-log_ratio)), rel=1e-4
    )


def wealth(d, mean):
    """What bets on a larger mean grow to, item by item, mixed by quadrature."""

    def grown(k):
        return math.prod(1 + k * (x - mean) / (1 + mean) for x in d) * math.exp(
            (A - 1) * math.log1p(-(k**2))
        )

    norm = quad(lambda k: math.exp((A - 1) * math.log1p(-(k**2))), 0, 1)[0]
    return quad(grown, 0, 1)[0] / norm


def test_ends_are_means_against_which_bets_have_grown_to_20():
    d = [1.0] * 9 + [-1.0] * 2 + [0.0] * 8
    low, high = confidence_sequence(np.array(d)).interval

    for end in (low, high):
        both = wealth(d, end) + wealth([-x for x in d], -end)
        assert both / 2 == pytest.approx(20, rel=1e-4)


@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.1, 0.6])
@pytest.mark.parametrize("share", [0.65, 0.9])
def test_bets_are_fair(mean, share):
    """The expectation over all outcomes of 6 items is 1, whatever share differs."""
    n, better, worse = 6, (share + mean) / 2, (share - mean) / 2
    expected = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c <= n:
            e = n - b - c
            chance = (
                comb(n, b) * comb(n - b, c) * better**b * worse**c * (1 - share) ** e
            )
            expected += chance * wealth([1] * b + [-1] * c + [0] * e, mean)

    assert expected == pytest.approx(1, abs=1e-6)


# ---- levels hold under peeking -------------------------------------------------------


def looks(n_items, every=20):
    return np.arange(every, n_items + 1, every)


def test_peeking_inflates_mcnemar_and_not_the_mixture():
    """1,000 pairs of equal models that differ on 20 % of 1,000 items, 50 looks."""
    rng = np.random.default_rng(11)
    draw = rng.random((1000, 1000))
    at = looks(1000) - 1
    better, worse = (
        np.cumsum(x, axis=1, dtype=np.int32)[:, at] for x in (draw < 0.1, draw > 0.9)
    )
    ordinary = (mcnemar_p_value(better, worse) < 0.05).any(1).mean()
    ours = (mixture_p_value(better, worse) < 0.05).any(1).mean()

    assert ordinary > 0.2
    assert ours < 0.05


def peeked(rng, d, clusters=None, every=20):
    """Share of series of differences in which some look finds what is not there."""
    found = np.zeros((2, len(d)), dtype=bool)
    for i, row in enumerate(d):
        for n in looks(len(row), every):
            some = None if clusters is None else clusters[:n]
            found[0, i] |= always_valid_p(row[:n], clusters=some) < 0.05
            if clusters is None:
                found[1, i] |= hall_p_value(row[:n], df=n - 1) < 0.05
    return found.mean(axis=1)


def limit(n_sims):
    """What chance alone leaves below it with 99.9 %, of a share of 5 %."""
    return 0.05 + 3.1 * math.sqrt(0.05 * 0.95 / n_sims)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "skewed", "halves"])
def test_peeking_does_not_inflate_the_asymptotic_sequence(kind):
    rng = np.random.default_rng(12)
    shape = 300, 600
    d = {
        "normal": lambda: rng.normal(0, 0.2, shape),
        "skewed": lambda: rng.exponential(1, shape) - 1,
        "halves": lambda: rng.choice(
            [-1, -0.5, 0, 0.5, 1], shape, p=[0.02, 0.1, 0.76, 0.1, 0.02]
        ),
    }[kind]()
    ours, ordinary = peeked(rng, d)

    assert ours < limit(300)
    assert ordinary > 0.15


@pytest.mark.slow
def test_peeking_does_not_inflate_clusters():
    """Passages of 10 questions that go together, looked at after every 4."""
    rng = np.random.default_rng(13)
    clusters = np.repeat(np.arange(60), 10)
    d = rng.normal(0, 0.2, (300, 60))[:, clusters] + rng.normal(0, 0.3, (300, 600))
    ours, _ = peeked(rng, d, clusters, every=40)

    assert ours < limit(300)


@pytest.mark.parametrize(
    ("shape", "n_looks"), [("open", None), ("pocock", 200), ("obrien-fleming", 200)]
)
def test_two_hundred_nights_hold_their_level(shape, n_looks):
    """Each night has a new checkpoint; all of them are as good as the baseline."""
    rng = np.random.default_rng(14)
    p = rng.random((4000, 200))
    levels = [spend(0.05, k, shape=shape, n_looks=n_looks) for k in range(1, 201)]

    assert (p < 0.05).any(1).mean() > 0.99
    assert (p < levels).any(1).mean() < limit(4000)
    assert sum(levels) <= 0.05 + 1e-12


@pytest.mark.parametrize("shape", ["pocock", "obrien-fleming"])
def test_looks_at_more_data_use_up_their_level(shape):
    """Statistics of a Brownian motion: unlike separate nights nothing is left over."""
    rng = np.random.default_rng(15)
    steps = rng.normal(size=(20_000, 10))
    z = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, 11))
    share = {}
    for accumulates in (True, False):
        levels = [
            spend(0.05, k, shape=shape, n_looks=10, accumulates=accumulates)
            for k in range(1, 11)
        ]
        share[accumulates] = (np.abs(z) > -ndtri(np.array(levels) / 2)).any(1).mean()

    assert share[True] == pytest.approx(0.05, abs=0.005)
    assert share[False] < 0.045


def test_real_differences_are_found():
    """A sequence pays for its freedom with items, and does not lose its power."""
    rng = np.random.default_rng(16)
    draw = rng.random((400, 2000))
    better, worse = (draw < 0.13).sum(1), (draw > 0.93).sum(1)

    assert (mixture_p_value(better, worse) < 0.05).mean() > 0.95


# ---- properties ----------------------------------------------------------------------

ternary = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60)
others = st.lists(
    st.sampled_from([-1.0, -0.5, 0.25, 1.0]), min_size=3, max_size=60
).filter(lambda d: len(set(d)) > 1 and not set(d) <= {-1.0, 0.0, 1.0})


@settings(max_examples=30)
@given(ternary | others)
def test_the_p_value_and_the_interval_say_the_same(d):
    d = np.array(d)
    p = always_valid_p(d)
    if not 1e-4 < p < 0.999:
        return
    tighter, wider = (
        confidence_sequence(d, confidence_level=1 - p * by).interval
        for by in (1.001, 0.999)
    )

    assert not tighter.low <= 0 <= tighter.high
    assert wider.low <= 0 <= wider.high


@settings(max_examples=30)
@given(ternary | others)
def test_exchanging_the_models_turns_the_interval_around(d):
    d = np.array(d)
    one, other = confidence_sequence(d), confidence_sequence(-d)

    assert one.interval.low == pytest.approx(
        -other.interval.high, abs=1e-7, nan_ok=True
    )
    assert always_valid_p(d) == pytest.approx(always_valid_p(-d), nan_ok=True)


@settings(max_examples=30)
@given(ternary)
def test_it_is_wider_than_an_interval_for_one_look(d):
    d = np.array(d)
    ours = confidence_sequence(d)
    once = paired_difference(np.maximum(d, 0), np.maximum(-d, 0)).difference

    assert ours.value == once.value
    assert ours.interval.low <= once.interval.low + 1e-9
    assert ours.interval.high >= once.interval.high - 1e-9
    assert -1 <= ours.interval.low <= ours.value <= ours.interval.high <= 1


def test_the_target_says_where_it_is_narrowest():
    widths = {}
    for n_target in (100, 3000):
        for n in (100, 3000):
            low, high = mixture_interval(
                *counts(n // 10, n // 10), n, n_target=n_target
            )
            widths[n_target, n] = float(high - low)
            d = np.tile([-0.5, 0.5], n // 2)
            found = confidence_sequence(d, n_target=n_target).interval
            widths[n_target, n, "t"] = found.high - found.low

    assert widths[100, 100] < widths[3000, 100]
    assert widths[3000, 3000] < widths[100, 3000]
    assert widths[100, 100, "t"] < widths[3000, 100, "t"]
    assert widths[3000, 3000, "t"] < widths[100, 3000, "t"]


def test_many_pairs_are_as_each_by_itself():
    rng = np.random.default_rng(17)
    better, worse = rng.integers(0, 200, (2, 50))
    low, high = mixture_interval(better, worse, 500)

    for i in range(50):
        alone = mixture_interval(*counts(better[i], worse[i]), 500)
        assert (low[i], high[i]) == pytest.approx([float(x) for x in alone], abs=1e-9)


def test_clusters_are_what_counts():
    """Ten copies of each question are as wide as the questions, not as their copies."""
    rng = np.random.default_rng(18)
    d = rng.normal(0.1, 0.2, 50)
    clusters = np.repeat(np.arange(50), 10)
    copied = confidence_sequence(np.repeat(d, 10), clusters=clusters)
    naive = confidence_sequence(np.repeat(d, 10))

    assert copied.n == 50
    assert copied.method.endswith("50 clusters")
    assert copied.se == pytest.approx(confidence_sequence(d).se)
    assert copied.interval.high > naive.interval.high


# ---- edges ---------------------------------------------------------------------------


def test_one_item_says_next_to_nothing():
    low, high = confidence_sequence(np.array([1.0])).interval

    assert low < -0.98
    assert high == 1
    assert always_valid_p(np.array([1.0])) == pytest.approx(1, abs=1e-9)


def test_models_that_never_differ_have_an_interval_around_0():
    found = confidence_sequence(np.zeros(200))

    assert found.interval.low == pytest.approx(-found.interval.high)
    assert 0 < found.interval.high < 0.1
    assert found.se == 0
    assert always_valid_p(np.zeros(200)) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_one_model_that_is_always_better(sign):
    found = confidence_sequence(sign * np.ones(20_000))

    assert found.value == sign
    assert max(np.abs(found.interval)) == 1
    assert min(np.abs(found.interval)) > 0.99
    (low,), (high,) = mixture_interval(np.array([0]), np.array([19_999]), 20_000)
    assert low == pytest.approx(-1, abs=1e-6)
    assert high < -0.99


def test_what_does_not_vary_has_no_asymptotic_interval(codes):
    found = confidence_sequence(np.full(50, 0.5))

    assert np.isnan(found.interval).all()
    assert codes(found)[0] == "constant-over-items"
    assert math.isnan(always_valid_p(np.full(50, 0.5)))
    assert math.isnan(always_valid_p(np.array([0.5])))


def test_no_items(codes):
    found = confidence_sequence(np.array([]))

    assert math.isnan(found.value)
    assert codes(found) == ["no-items"]
    assert math.isnan(always_valid_p(np.array([])))


def test_the_interval_stays_within_what_scores_can_be():
    d = np.array([0.5, -0.5, 0.5])

    assert confidence_sequence(d).interval.high > 1
    assert confidence_sequence(d, bounds=(0, 1)).interval.high == 1


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: confidence_sequence(np.ones(3), n_target=0), "bad-count"),
        (lambda: confidence_sequence(np.array([np.nan])), "missing-scores"),
        (
            lambda: confidence_sequence(np.ones(3), confidence_level=1),
            "bad-confidence-level",
        ),
        (lambda: confidence_sequence(np.ones(3), clusters=["a"]), "unequal-lengths"),
        (lambda: spend(0.05, 0), "bad-count"),
        (lambda: spend(0.05, 31, shape="pocock", n_looks=30), "bad-count"),
        (lambda: spend(0.05, 1, shape="pocock"), "bad-count"),
        (lambda: spend(0.05, 1, n_looks=30), "bad-count"),
        (lambda: spend(0.05, 1, accumulates=True), "unfit-method"),
        (lambda: read_rule("bonferroni"), "unknown-method"),
        (lambda: read_rule("cs:30"), "unknown-method"),
        (lambda: read_rule("pocock"), "bad-count"),
        (lambda: read_rule("pocock:many"), "bad-count"),
        (lambda: read_rule("pocock:1"), "bad-count"),
        (lambda: read_rule(f"pocock:{MAX_LOOKS + 1}"), "bad-count"),
    ],
)
def test_what_makes_no_sense_is_refused(call, code):
    with pytest.raises(DesignError) as caught:
        call()

    assert caught.value.code == code


# ---- rules ---------------------------------------------------------------------------


def test_rules_are_read_from_words():
    assert read_rule(None) == SequentialRule()
    assert read_rule("cs") == SequentialRule(kind="cs")
    assert read_rule("spending") == SequentialRule(kind="spending")
    rule = read_rule("obrien-fleming:30")
    assert rule == SequentialRule(kind="spending", shape="obrien-fleming", n_looks=30)
    assert read_rule(rule) is rule
    assert read_rule("pocock:5").shape == "pocock"


def test_each_rule_has_its_level():
    assert read_rule(None).level(7) == 0.05
    assert read_rule("cs").level(7, alpha=0.1) == 0.1
    assert read_rule("spending").level(7) == spend(0.05, 7)
    assert read_rule("pocock:9").level(7) == spend(
        0.05, 7, shape="pocock", n_looks=9, accumulates=True
    )
    # 1 less a level that is no number is 1, and an interval of that level has no end.
    assert 0 < 1 - read_rule("obrien-fleming:200").level(1) < 1
