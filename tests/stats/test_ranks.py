"""Rank correlations and monotonicity: scipy, plain loops, coverage, edges."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from stats.series_designs import CURVES, ability_curves, item_scores

from harness.errors import DesignError
from harness.stats.ranks import (
    BLOCK,
    RANK_NAMES,
    monotonicity,
    monotonicity_interval,
    rank_correlations,
    settled_monotonicity,
)

WORKED = np.array(
    [[0.30, 0.34, 0.37, 0.41], [0.28, 0.35, 0.36, 0.40], [0.31, 0.33, 0.39, 0.39]]
)
"""Three seeds, four checkpoints: worked by hand in docs/explanation/variance.md."""

nan = math.nan

tables = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.integers(0, 20).map(lambda x: x / 20),
)


def plain(row, method):
    """Return the definition of each rank correlation, pair by pair."""
    y = [v for v in row if not math.isnan(v)]
    pairs = itertools.pairwise(y) if method == "sign" else itertools.combinations(y, 2)
    signs = [int(np.sign(b - a)) for a, b in pairs]
    if len(set(y)) < 2:
        return nan
    if method == "tau-b":
        untied = sum(map(abs, signs))
        return sum(signs) / math.sqrt(len(signs) * untied) if untied else nan
    return sum(signs) / len(signs)


def test_monotonicity_of_the_worked_example():
    taus = rank_correlations(WORKED)

    assert taus == pytest.approx([1, 1, 0.912871], abs=5e-7)
    assert monotonicity(WORKED).value == pytest.approx(0.970957, abs=5e-7)


@pytest.mark.parametrize("n_steps", [2, 3, 7, 40])
@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_kendall_and_spearman_agree_with_scipy(n_steps, levels):
    from scipy.stats import kendalltau, spearmanr

    rng = np.random.default_rng(n_steps * levels)
    scores = rng.integers(0, levels, (30, n_steps)) / levels
    scores[rng.random(scores.shape) < 0.2] = nan
    varied = [len(set(row[~np.isnan(row)])) > 1 for row in scores]

    tau, rho = (rank_correlations(scores, method=m) for m in ("tau-b", "spearman"))

    np.testing.assert_array_equal(~np.isnan(tau), varied)
    np.testing.assert_array_equal(~np.isnan(rho), varied)
    for row, b, r in zip(scores[varied], tau[varied], rho[varied], strict=True):
        y = row[~np.isnan(row)]
        assert b == pytest.approx(kendalltau(range(len(y)), y).statistic, abs=1e-12)
        assert r == pytest.approx(spearmanr(range(len(y)), y).statistic, abs=1e-12)


def test_tau_a_counts_ties_against():
    """Six pairs of steps, five rise, one ties: 5/6."""
    assert rank_correlations(WORKED[2:], method="tau-a") == pytest.approx([5 / 6])


@pytest.mark.parametrize("method", RANK_NAMES)
def test_a_constant_series_has_no_rank_correlation(method):
    scores = np.array([[0.5, 0.5, 0.5], [0.1, nan, nan], [0.1, nan, 0.2]])

    np.testing.assert_allclose(
        rank_correlations(scores, method=method), [nan, nan, 1], equal_nan=True
    )


@pytest.mark.parametrize("method", RANK_NAMES)
def test_no_series_of_two_steps_at_all(method):
    assert np.isnan(rank_correlations(np.array([[0.5], [nan]]), method=method)).all()


def test_likelihoods_of_any_size_still_rank():
    assert monotonicity(np.array([[1e-30, 2e-30, 3e-30]])).value == 1
    assert monotonicity(np.array([[-3e5, -2e5, -1e5]])).value == 1


@given(tables)
def test_backwards_in_time_changes_the_sign(table):
    for method in RANK_NAMES:
        np.testing.assert_allclose(
            rank_correlations(table[:, ::-1], method=method),
            -rank_correlations(table, method=method),
            atol=1e-12,
        )


def test_a_constant_seed_is_left_out_of_the_mean_and_said():
    estimate = monotonicity(np.array([[0.5, 0.5, 0.5], [0.1, 0.2, 0.3]]))

    assert (estimate.value, estimate.n) == (1, 1)
    assert estimate.cautions[0].code == "constant-over-steps"
    assert "1 of 2 seeds" in estimate.cautions[0].text


@pytest.mark.parametrize("method", ["tau-b", "tau-a", "sign"])
@pytest.mark.parametrize("n_steps", [2, 9, 254, 255, 300])
def test_fast_forms_are_the_definition(method, n_steps):
    """In one byte and in two; more series than a block holds, by any leading axes."""
    rng = np.random.default_rng(n_steps)
    scores = rng.integers(0, 6, (2, 3, 2, n_steps)) / 5
    scores[rng.random(scores.shape) < 0.15] = nan
    scores[0, 0] = np.sort(rng.random(n_steps))

    found = rank_correlations(scores, method=method)

    expected = [plain(row, method) for row in scores.reshape(12, n_steps).tolist()]
    assert found.shape == (2, 3, 2)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-12)


def test_more_series_than_a_block():
    scores = np.random.default_rng(1).normal(size=(BLOCK + 3, 5))

    np.testing.assert_array_equal(
        rank_correlations(scores)[BLOCK:], rank_correlations(scores[BLOCK:])
    )
    assert rank_correlations(scores[:0]).shape == (0,)


@pytest.mark.parametrize("method", RANK_NAMES)
def test_a_likelihood_of_zero_is_a_score(method):
    """log 0 is minus infinity: lower than all others, and not missing."""
    scores = np.array([[-math.inf, -math.inf, -2.0, nan, -1.0], [1, 1, 2, nan, 3.0]])

    least, other = rank_correlations(scores, method=method)
    most, mirrored = rank_correlations(-scores, method=method)

    assert least == other
    assert most == mirrored == -other


def test_the_sign_index_counts_consecutive_steps():
    """Up, up, level, down: (2 - 1) / 4; a missing step joins its neighbours."""
    rows = [[1, 2, 3, 3, 1], [1, nan, 2, 3, 1]]

    assert rank_correlations(rows, method="sign") == pytest.approx([1 / 4, 1 / 3])


def test_a_range_of_steps():
    steps = [0, 10, 100, 1000]
    scores = np.array([[4.0, 1.0, 2.0, 3.0]])

    assert rank_correlations(scores) == pytest.approx([0])
    for first, last, columns in [(10, None, [1, 2, 3]), (None, 10, [0, 1])]:
        bounds = {"steps": steps, "first": first, "last": last}
        expected = rank_correlations(scores[:, columns])
        assert rank_correlations(scores, **bounds) == expected
        assert monotonicity(scores, **bounds).value == expected
    nothing = monotonicity(scores, steps=steps, first=50, last=20)
    assert nothing.cautions[0].code == "one-checkpoint"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"method": "pearson"}, "unknown-method"),
        ({"first": 10}, "bad-steps"),
        ({"steps": [1, 2, 3]}, "bad-steps"),
        ({"steps": [1, 2, 2, 3]}, "bad-steps"),
    ],
)
def test_bad_options_are_refused(options, code):
    with pytest.raises(DesignError) as caught:
        monotonicity(WORKED, **options)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("scores", "code"),
    [
        (WORKED[:, :1], "one-checkpoint"),
        (np.full((3, 2), 0.5), "constant-over-steps"),
    ],
)
def test_what_cannot_be_said_is_not_zero(scores, code):
    estimate = monotonicity(scores)

    assert math.isnan(estimate.value)
    assert [c.code for c in estimate.cautions] == [code]


def cells_of(kind="wiggling", shape=(3, 8, 200), seed=1):
    rng = np.random.default_rng(seed)
    return item_scores(ability_curves(kind, *shape[:2], rng=rng), shape[2], rng=rng)


def codes(estimate):
    return [caution.code for caution in estimate.cautions]


@pytest.mark.parametrize("method", RANK_NAMES)
def test_the_interval_is_around_the_monotonicity_of_means(method):
    cells = cells_of()

    found = monotonicity_interval(cells, method=method, n_splits=50, rng=1)

    assert found.value == monotonicity(cells.mean(-1), method=method).value
    assert -1 <= found.interval.low < found.value < found.interval.high <= 1
    assert found.n == 3


@pytest.mark.parametrize("new_seeds", [False, True])
def test_the_interval_is_its_definition(new_seeds):
    """Split by split and part by part, with the same streams."""
    from scipy.stats import t

    cells = cells_of(shape=(3, 6, 41))
    found = monotonicity_interval(cells, new_seeds=new_seeds, n_splits=70, rng=5)

    entropy = np.random.default_rng(5).integers(2**32, size=4).tolist()
    halves, quarters = [], []
    for r in range(70):
        stream = np.random.Generator(np.random.PCG64([*entropy, r]))
        part = stream.permuted(np.arange(41) % 4)
        for k in (1, 2, 3):
            is_in = np.isin(part, [0, k])
            means = [cells[..., flags].sum(-1) for flags in (is_in, ~is_in)]
            halves.append([rank_correlations(mean) for mean in means])
        means = [cells[..., part == k].sum(-1) for k in range(4)]
        quarters.append([rank_correlations(mean) for mean in means])
    halves, quarters = (np.nan_to_num(np.array(x)) for x in (halves, quarters))
    v2 = (np.diff(halves.mean(-1), axis=1) ** 2 / 2).mean()
    v4 = quarters.mean(-1).var(1, ddof=1).mean()
    ratio = min(max(v2 / v4, 0.5), 1)
    se, df = math.sqrt(v2 * ratio), 5
    if new_seeds:
        gaps = halves[:, 0] - halves[:, 1]
        shared = [
            np.mean(gaps[:, i] * gaps[:, j] / 2) for i, j in ((0, 1), (0, 2), (1, 2))
        ]
        taus = rank_correlations(cells.mean(-1))
        se = math.sqrt(taus.var(ddof=1) / 3 + max(np.mean(shared) * ratio, 0))
        df = 2

    assert found.se == pytest.approx(se, rel=1e-9)
    assert found.interval.low == pytest.approx(
        max(found.value - t.ppf(0.975, df) * se, -1), rel=1e-9
    )


def test_intervals_depend_on_the_random_stream_alone():
    cells = cells_of() + np.random.default_rng(2).normal(size=(3, 8, 200)) * 1e-3

    one, same, other = (
        monotonicity_interval(cells, n_splits=100, rng=rng) for rng in (1, 1, 2)
    )
    scaled = monotonicity_interval(cells[..., ::1] * 1024, n_splits=100, rng=1)

    assert one == same
    assert one.se != other.se
    assert one.se == pytest.approx(scaled.se)
    assert one.se == pytest.approx(other.se, rel=0.2)


def test_seeds_that_could_have_been_trained_widen_the_interval():
    cells = cells_of("wiggling", (4, 8, 2000))

    these, others = (
        monotonicity_interval(cells, new_seeds=new, n_splits=100, rng=1)
        for new in (False, True)
    )

    assert others.se > these.se
    assert "these seeds" in these.method
    assert "items and seeds" in others.method


def test_a_level_and_a_range_of_steps_change_the_interval():
    cells = cells_of()
    wide, narrow, short = (
        monotonicity_interval(cells, n_splits=50, rng=1, **options)
        for options in (
            {},
            {"confidence_level": 0.5},
            {"steps": range(8), "first": 3},
        )
    )

    assert wide.interval.low < narrow.interval.low
    assert wide.se == narrow.se != short.se


def test_a_checkpoint_that_was_not_evaluated_is_as_if_it_were_not_there():
    cells = cells_of(shape=(2, 8, 100))
    holed = np.insert(cells, 3, nan, axis=1)

    assert monotonicity_interval(holed, n_splits=50, rng=1) == monotonicity_interval(
        cells, n_splits=50, rng=1
    )
    assert settled_monotonicity(holed, rng=1).interval == pytest.approx(
        settled_monotonicity(cells, rng=1).interval, abs=0.1
    )


def test_items_that_a_checkpoint_lacks_are_refused():
    cells = cells_of()
    cells[0, 0, 5] = nan
    for interval in (monotonicity_interval, settled_monotonicity):
        with pytest.raises(DesignError, match="5") as caught:
            interval(cells)

        assert caught.value.code == "missing-scores"


@pytest.mark.parametrize(
    ("cells", "options", "code"),
    [
        (cells_of(shape=(2, 6, 7)), {}, "few-items"),
        (cells_of(shape=(1, 6, 80)), {"new_seeds": True}, "one-seed"),
        (np.linspace(0, 1, 6)[None, :, None] * np.ones(40), {}, "settled-order"),
    ],
)
def test_a_value_without_an_interval_says_why(cells, options, code):
    found = monotonicity_interval(cells, n_splits=20, **options)

    assert found.value == monotonicity(cells.mean(-1)).value
    assert math.isnan(found.interval.low)
    assert codes(found) == [code]


def test_what_has_no_monotonicity_has_no_interval():
    found = monotonicity_interval(np.ones((2, 3, 40)))

    assert codes(found) == ["constant-over-steps"]


def test_few_steps_reversals_or_items_are_told():
    few, more = (
        monotonicity_interval(cells_of("chance", (3, n, 200)), n_splits=50)
        for n in (7, 8)
    )
    rising = monotonicity_interval(cells_of("rising", (1, 10, 3000)), n_splits=50)
    short = monotonicity_interval(cells_of("chance", (1, 10, 99)), n_splits=50)

    assert codes(few) == ["few-steps"]
    assert codes(more) == []
    assert codes(rising) == ["few-reversals"]
    assert codes(short) == ["few-items"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_seeds", "n_steps", "n_items"), [(1, 10, 100), (3, 10, 300), (1, 20, 1000)]
)
@pytest.mark.parametrize("kind", CURVES)
def test_the_interval_over_items_covers(kind, n_seeds, n_steps, n_items):
    """The mean over all sets of so many items, asked of the same checkpoints."""
    rng = np.random.default_rng(3)
    abilities = ability_curves(kind, n_seeds, n_steps, rng=rng)
    found = [
        monotonicity_interval(
            item_scores(abilities, n_items, rng=rng), n_splits=100, rng=rng
        )
        for _ in range(200)
    ]

    truth = np.mean([e.value for e in found])
    covers = [e.interval.low <= truth <= e.interval.high for e in found]
    assert 0.90 <= np.mean(covers) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wiggling", "chance"])
def test_the_interval_over_items_and_seeds_covers(kind):
    rng = np.random.default_rng(4)
    found = [
        monotonicity_interval(
            item_scores(ability_curves(kind, 4, 10, rng=rng), 200, rng=rng),
            new_seeds=True,
            n_splits=100,
            rng=rng,
        )
        for _ in range(200)
    ]

    truth = np.mean([e.value for e in found])
    covers = [e.interval.low <= truth <= e.interval.high for e in found]
    assert 0.90 <= np.mean(covers) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("kind", CURVES)
def test_what_items_settle_holds_the_curve_of_endless_items(kind):
    rng = np.random.default_rng(5)
    covers = []
    for _ in range(100):
        abilities = ability_curves(kind, 2, 10, rng=rng)
        found = settled_monotonicity(
            item_scores(abilities, 200, rng=rng), n_resamples=200, rng=rng
        )
        truth = rank_correlations(abilities, method="tau-a").mean()
        covers.append(found.interval.low <= truth <= found.interval.high)

    assert np.mean(covers) >= 0.93


def test_resampled_items_alone_miss_a_rising_curve():
    """Why the interval is no percentile bootstrap: it would say .6 to .95 of a 1."""
    rng = np.random.default_rng(6)
    cells = item_scores(ability_curves("rising", 1, 10, rng=rng), 100, rng=rng)
    picks = rng.integers(100, size=(500, 100))

    resampled = rank_correlations(cells[0][:, picks].mean(-1).T)

    assert np.quantile(resampled, 0.975) < 1
    assert resampled.mean() < rank_correlations(cells.mean(-1)).item()
    assert settled_monotonicity(cells, rng=1).interval.high == 1


def test_settled_pairs_of_an_exact_design():
    """Steps 1 and 2 hardly differ, step 3 is far above: 2 of 3 pairs are settled."""
    rng = np.random.default_rng(7)
    low = rng.normal(size=400)
    cells = np.stack(
        [low, low + rng.normal(0.001, 1, 400), low + 2 + rng.normal(size=400)]
    )

    found = settled_monotonicity(cells[None], rng=1)

    assert found.value == pytest.approx(2 / 3)
    assert found.interval == pytest.approx((1 / 3, 1))
    assert codes(found) == ["conservative-interval"]
    falling = settled_monotonicity(cells[None, ::-1], rng=1)
    assert falling.interval == pytest.approx((-1, -1 / 3))
    sure = settled_monotonicity(cells[None], rng=1, confidence_level=1e-9)
    assert sure.interval.high - sure.interval.low < 2 / 3
    last_two = settled_monotonicity(cells[None], steps=[1, 2, 3], first=2, rng=1)
    assert last_two.interval == pytest.approx((1, 1))


def test_the_same_answers_twice_are_never_settled():
    rng = np.random.default_rng(8)
    once = rng.random((1, 1, 50))

    found = settled_monotonicity(np.repeat(once, 3, axis=1), rng=1)

    assert found.value == 0
    assert found.interval == (-1, 1)


@pytest.mark.parametrize(
    ("cells", "code"),
    [(np.ones((2, 1, 50)), "one-checkpoint"), (np.ones((2, 4, 1)), "few-items")],
)
def test_nothing_to_settle(cells, code):
    found = settled_monotonicity(cells)

    assert math.isnan(found.value)
    assert codes(found) == [code]
    assert "few-items" in codes(settled_monotonicity(cells_of(shape=(1, 4, 20)), rng=1))
