"""Seed SD and mean over SD: worked examples, scipy, properties, edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from stats.seed_designs import SEED_SHAPES, coverage

from harness.errors import DesignError
from harness.stats.ranks import monotonicity
from harness.stats.series import (
    largest_of_normal,
    last_seed_sd,
    last_step,
    outlying_seed,
    robust_seed_sd,
    seed_sd,
    signal_to_noise,
)

WORKED = np.array(
    [[0.30, 0.34, 0.37, 0.41], [0.28, 0.35, 0.36, 0.40], [0.31, 0.33, 0.39, 0.39]]
)
"""Three seeds, four checkpoints: worked by hand in docs/explanation/variance.md."""

nan = math.nan


def test_seed_sd_of_the_worked_example():
    assert seed_sd(WORKED).value == pytest.approx(0.0126376, abs=5e-8)
    assert seed_sd(WORKED, ddof=0).value == pytest.approx(0.0103186, abs=5e-8)


def test_last_seed_sd_of_the_worked_example():
    """41, 40 and 39 % differ by .01; chi-square with 2 df: 7.3778 and .0506356."""
    found = last_seed_sd(WORKED[:, -1])

    assert found.value == pytest.approx(0.01)
    assert found.interval == pytest.approx(
        (0.01 * math.sqrt(2 / 7.3778), 0.01 * math.sqrt(2 / 0.0506356)), rel=1e-5
    )
    assert found.n == 3
    assert last_seed_sd(WORKED[:, -1], ddof=0).value == pytest.approx(
        0.01 * math.sqrt(2 / 3)
    )
    # With 2 degrees of freedom the quantile of p is -2 ln(1 - p).
    half = last_seed_sd(WORKED[:, -1], confidence_level=0.5)
    assert half.interval.high == pytest.approx(0.01 / math.sqrt(math.log(4 / 3)))


@pytest.mark.parametrize(
    ("last", "code", "n"),
    [
        ([0.5], "one-seed", 1),
        ([0.5, nan], "one-seed", 1),
        ([nan, nan], "one-seed", 0),
        ([0.5, 0.5], "constant-over-seeds", 2),
    ],
)
def test_last_seed_sd_says_when_it_is_not_defined(last, code, n):
    found = last_seed_sd(np.array(last))

    assert math.isnan(found.value)
    assert [caution.code for caution in found.cautions] == [code]
    assert found.n == n


def test_last_seed_sd_of_one_step_is_the_seed_sd():
    one = WORKED[:, -1:]

    assert last_seed_sd(one[:, 0]).value == seed_sd(one).value
    assert last_seed_sd(one[:, 0]).interval == seed_sd(one).interval


def test_snr_of_the_worked_example():
    assert signal_to_noise(WORKED[:, -1]).value == pytest.approx(40)
    assert signal_to_noise(WORKED[:, -1], above=0.25).value == pytest.approx(15)
    assert signal_to_noise(WORKED[:, -1], ddof=0).value == pytest.approx(40 * 1.5**0.5)


def test_snr_of_arc_challenge_in_the_paper():
    """Madaan et al., table 2: 39.71 with an SD of 0.87 is 45.89, to their rounding."""
    seeds = np.linspace(-1, 1, 10)
    seeds = 39.71 + 0.87 * seeds / seeds.std(ddof=1)

    assert signal_to_noise(seeds).value == pytest.approx(45.89, rel=0.006)


def test_the_same_answers_summed_in_another_order_tie():
    thirds = np.array([[0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.7]])
    assert thirds[0, 0] != thirds[0, 1]

    assert monotonicity(thirds).value == pytest.approx(2 / math.sqrt(3 * 2))
    assert math.isnan(seed_sd(thirds[:, :2].T).value)


tables = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.integers(0, 20).map(lambda x: x / 20),
)


def same(one, other):
    assert one == pytest.approx(other, abs=1e-12, nan_ok=True)


@given(tables, st.randoms(use_true_random=False))
def test_order_of_seeds_does_not_matter(table, random):
    shuffled = table[random.sample(range(len(table)), len(table))]

    same(seed_sd(shuffled).value, seed_sd(table).value)
    same(monotonicity(shuffled).value, monotonicity(table).value)
    same(signal_to_noise(shuffled[:, -1]).value, signal_to_noise(table[:, -1]).value)


@given(tables, st.sampled_from([0.25, 3.0]), st.sampled_from([0.5, 2.0]))
def test_shift_and_scale(table, shift, scale):
    moved = table * scale + shift
    last, moved_last = table[:, -1], moved[:, -1]

    same(seed_sd(moved).value, scale * seed_sd(table).value)
    same(monotonicity(moved).value, monotonicity(table).value)
    assert signal_to_noise(
        moved_last, above=0.25 * scale + shift
    ).value == pytest.approx(
        signal_to_noise(last, above=0.25).value, abs=1e-9, nan_ok=True
    )


@given(tables)
def test_a_missing_step_is_as_if_it_were_not_there(table):
    holed = np.insert(table, 1, nan, axis=1)

    same(monotonicity(holed).value, monotonicity(table).value)
    same(seed_sd(holed).value, seed_sd(table).value)


def test_steps_with_one_seed_do_not_enter_seed_sd():
    table = np.array([[0.1, 0.2, 0.3], [0.2, nan, 0.4]])

    assert seed_sd(table).value == pytest.approx(0.1 / math.sqrt(2))


def test_seed_sd_counts_the_fewest_seeds_of_a_step():
    """What its interval is by; a step with one seed is no step of it."""
    scores = np.random.default_rng(2).normal(size=(10, 4))
    scores[2:, 1] = scores[1:, 2] = nan
    found, two = seed_sd(scores), seed_sd(scores[:2])

    assert (found.n, two.n) == (2, 2)
    low, high = np.array(found.interval) / found.value
    assert (low, high) == pytest.approx(np.array(two.interval) / two.value)


def test_the_interval_of_seed_sd_is_chi_square_s_at_one_step():
    from scipy.stats import chi2

    estimate = seed_sd(WORKED[:, :1], ddof=0, confidence_level=0.9)

    sd = np.std(WORKED[:, 0], ddof=1)
    assert estimate.interval == (
        pytest.approx(sd * math.sqrt(2 / chi2.ppf(0.95, 2))),
        pytest.approx(sd * math.sqrt(2 / chi2.ppf(0.05, 2))),
    )


def test_the_interval_of_snr_inverts_the_noncentral_t():
    from scipy.stats import nct

    estimate = signal_to_noise(WORKED[:, -1], above=0.25)

    t = estimate.value * math.sqrt(3)
    low, high = (end * math.sqrt(3) for end in estimate.interval)
    assert nct.cdf(t, 2, low) == pytest.approx(0.975, abs=1e-4)
    assert nct.cdf(t, 2, high) == pytest.approx(0.025, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 10])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0], ids=["repeating", "half", "apart"])
def test_seed_sd_interval_covers(n_seeds, share):
    """At least 93 % however the checkpoints of a run depend; 97 at most if fully."""
    rng = np.random.default_rng(7)
    run = rng.normal(0, math.sqrt(share), (2000, n_seeds, 1))
    step = rng.normal(0, math.sqrt(1 - share), (2000, n_seeds, 5))
    ends = np.array([seed_sd(x).interval for x in 50 + run + step])

    covered = np.mean((ends[:, 0] <= 1) & (ends[:, 1] >= 1))
    assert covered >= 0.93
    assert share < 1 or covered <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("truth", [0.0, 2.0, 100.0])
def test_snr_interval_covers(truth):
    rng = np.random.default_rng(8)
    ends = np.array(
        [
            signal_to_noise(x, above=1.0).interval
            for x in rng.normal(1 + truth, 1, (2000, 5))
        ]
    )

    assert 0.93 <= np.mean((ends[:, 0] <= truth) & (ends[:, 1] >= truth)) <= 0.97


def test_snr_of_log_likelihoods_is_a_magnitude():
    assert signal_to_noise(-WORKED[:, -1]).value == pytest.approx(40)


def test_snr_below_chance_is_negative():
    assert signal_to_noise(WORKED[:, -1], above=0.5).value == pytest.approx(-10)


@pytest.mark.parametrize(
    ("estimate", "code"),
    [
        (seed_sd(WORKED[:1]), "one-seed"),
        (seed_sd(np.full((3, 2), 0.5)), "constant-over-seeds"),
        (signal_to_noise(WORKED[:1, -1]), "one-seed"),
        (signal_to_noise(np.full(3, 0.5)), "constant-over-seeds"),
        (signal_to_noise(WORKED[:, -1], above=nan), "no-chance-level"),
    ],
)
def test_what_cannot_be_said_is_not_zero(estimate, code):
    assert math.isnan(estimate.value)
    assert [c.code for c in estimate.cautions] == [code]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_of_a_large_snr_joins_that_of_a_smaller(sign):
    seeds = np.array([-1.0, 0, 1])
    ends = [
        signal_to_noise(seeds, above=sign * above).interval for above in (57.7, 57.8)
    ]

    assert ends[0] == pytest.approx(ends[1], rel=0.01)
    assert ends[1].low < ends[1].high


def test_even_the_largest_snr_has_an_interval():
    estimate = signal_to_noise(np.array([1e9, 1e9 + 0.01]))

    assert estimate.interval.low < estimate.value < estimate.interval.high


def test_the_last_step_is_the_last_that_all_seeds_have():
    assert last_step(WORKED) == (3, ())

    for table, column, word in [
        ([[1, 2, 3], [1, 2, nan]], 1, "further"),
        ([[1, 2, nan], [1, nan, 3], [nan, 2, 3]], 2, "lack"),
        ([[nan, 1], [nan, 1]], 1, None),
    ]:
        found, cautions = last_step(np.array(table, dtype=float))
        assert found == column
        assert [c.code for c in cautions] == ["unequal-last-steps"] * bool(word)
        assert word is None or word in cautions[0].text


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: seed_sd(WORKED, ddof=2), "bad-ddof"),
        (lambda: signal_to_noise(WORKED[:, 0], ddof=-1), "bad-ddof"),
    ],
)
def test_bad_options_are_refused(call, code):
    with pytest.raises(DesignError) as caught:
        call()

    assert caught.value.code == code


def test_one_seed_in_all_is_one_caution():
    one, two = np.array([[0.1, 0.2]]), np.array([[0.1, nan], [nan, 0.2]])

    assert seed_sd(one).cautions == signal_to_noise(one[:, -1]).cautions
    assert "at one step" in seed_sd(two).cautions[0].text
    assert "at the last step" in signal_to_noise(two[:, -1]).cautions[0].text


@pytest.mark.parametrize(
    ("last", "bounds", "told"),
    [
        ([0.97, 0.98, 0.99], (0, 1), ["near-bound"]),
        ([0.01, 0.02, 0.03], (0, 1), ["near-bound"]),
        ([0.47, 0.48, 0.49], (0, 1), []),
        ([0.97, 0.98, 0.99], (-math.inf, math.inf), []),
        ([-0.03, -0.02, -0.01], (-math.inf, 0), ["near-bound"]),
        ([0.94, 0.95, 0.96], (0, 1), []),
    ],
)
def test_seeds_near_the_end_of_their_scale_are_told(last, bounds, told, codes):
    """The last mean is 5 SDs from the end, the first 2."""
    for estimate in (
        last_seed_sd(np.array(last), bounds=bounds),
        signal_to_noise(np.array(last), bounds=bounds),
    ):
        assert codes(estimate) == [*told, "shape-of-seeds"]


FAILED = [0.41, 0.40, 0.42, 0.41, 0.40, 0.43, 0.41, 0.42, 0.40, 0.21]


def test_a_seed_that_stands_out_is_told(codes):
    found = last_seed_sd(np.array(FAILED))
    told = next(c for c in found.cautions if c.code == "outlying-seed")

    assert told in signal_to_noise(np.array(FAILED)).cautions
    assert "seed 10 of 10 in their order lies 2.81 SDs" in told.text
    for last in (FAILED[:-1], FAILED[-4:]):
        assert "outlying-seed" not in codes(last_seed_sd(np.array(last)))


@pytest.mark.parametrize(
    ("n", "at_5", "at_1"),
    [(5, 1.715, 1.764), (6, 1.887, 1.973), (8, 2.126, 2.274), (10, 2.290, 2.482)],
)
def test_the_largest_deviate_is_grubbs_s(n, at_5, at_1):
    """Two-sided critical values of his table of 1969."""
    assert largest_of_normal(n, 0.05) == pytest.approx(at_5, abs=1e-3)
    assert largest_of_normal(n, 0.01) == pytest.approx(at_1, abs=1e-3)


def test_normal_seeds_hardly_ever_show_one_as_far_out():
    seeds = np.random.default_rng(6).normal(size=(4000, 10))

    assert np.mean([bool(outlying_seed(x)) for x in seeds]) == pytest.approx(
        0.01, abs=0.005
    )


def test_few_items_behind_a_ratio_are_told(codes):
    one, few, many = (
        signal_to_noise(WORKED[:, -1], n_items=n) for n in (None, 99, 100)
    )

    assert codes(few) == ["few-items", "shape-of-seeds"]
    assert codes(one) == codes(many) == ["shape-of-seeds"]
    assert one.interval == few.interval


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [5, 10])
@pytest.mark.parametrize("shape", SEED_SHAPES)
def test_the_robust_interval_covers_more_than_chi_square_s(n_seeds, shape):
    scores = SEED_SHAPES[shape](np.random.default_rng(12), (4000, n_seeds))
    robust = coverage([robust_seed_sd(x).interval for x in scores], 1)
    plain = coverage([last_seed_sd(x).interval for x in scores], 1)

    assert robust >= (0.95 if n_seeds == 5 else 0.87)
    if shape not in ("normal", "uniform"):
        assert robust > plain + 0.05


def test_bonett_s_interval_by_hand():
    """n = 10 cuts 2 at either end: 1.96 is z, 10 / 8.04 is c."""
    values = np.array([1, 2, 4, 4, 5, 6, 7, 7, 9, 15.0])
    estimate = robust_seed_sd(values)

    middle = sum([4, 4, 5, 6, 7, 7]) / 6
    squares = sum((v - 6) ** 2 for v in values)
    kurtosis = 10 * sum((v - middle) ** 4 for v in values) / squares**2
    c = 10 / (10 - 1.959964)
    half = 1.959964 * c * math.sqrt((kurtosis - 0.7) / 9)
    assert estimate.interval == (
        pytest.approx(math.sqrt(c * squares / 9 * math.exp(-half)), rel=1e-6),
        pytest.approx(math.sqrt(c * squares / 9 * math.exp(half)), rel=1e-6),
    )
    assert estimate.value == pytest.approx(np.std(values, ddof=1))
    assert [c.code for c in estimate.cautions] == ["shape-of-seeds"]


def test_the_robust_interval_is_wider_for_heavier_tails():
    even = robust_seed_sd(np.arange(6.0)).interval
    far = robust_seed_sd(np.array([0, 0.1, 0.2, 0.3, 0.4, 9.0])).interval

    assert far.high / far.low > even.high / even.low
    level = robust_seed_sd(np.arange(6.0), confidence_level=0.8).interval
    assert even.low < level.low < level.high < even.high


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ([0.5, nan], "one-seed"),
        ([0.1 + 0.2, 0.3], "constant-over-seeds"),
        ([0.1, 0.2, 0.4, 0.5], "few-seeds"),
    ],
)
def test_seeds_too_few_for_a_robust_interval(last, code, codes):
    estimate = robust_seed_sd(np.array(last))

    assert codes(estimate) == [code]
    assert math.isnan(estimate.interval.low)
    assert math.isnan(estimate.value) == (code != "few-seeds")


def test_an_average_over_checkpoints_is_surer_than_it_says(codes):
    """Chi-square counts seeds alone: over five unlike checkpoints it covers 100 %."""
    assert codes(seed_sd(WORKED)) == ["shape-of-seeds", "conservative-interval"]
    assert codes(seed_sd(WORKED[:, :1])) == ["shape-of-seeds"]
