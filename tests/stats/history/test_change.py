"""Change points: brute force, ruptures, false alarms, detection, blips, edges."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.errors import DesignError
from harness.stats.history.change import change_points, change_points_of_all
from harness.stats.history.penalties import PRICES, RATES, penalty_factor
from harness.stats.history.segments import (
    SHORTEST,
    Series,
    level_starts,
    line_slope,
    partition,
    slope_beside_a_step,
    successive_df,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "change_ruptures.csv"

nan = math.nan


def noisy(*levels, sd=1.0, seed=1):
    """Return a series of (level, number of points), with normal noise."""
    rng = np.random.default_rng(seed)
    level = np.concatenate([np.full(n, float(value)) for value, n in levels])
    return level + sd * rng.standard_normal(len(level))


def places(found):
    return [step.place for step in found.steps]


def codes(found):
    return [caution.code for caution in found.cautions]


# ---- against others --------------------------------------------------------------


def cost_of(y, w, starts, penalty):
    ends = [0, *starts, len(y)]
    total = penalty * len(starts)
    for a, b in itertools.pairwise(ends):
        level = np.average(y[a:b], weights=w[a:b])
        total += float((w[a:b] * (y[a:b] - level) ** 2).sum())
    return total


def brute_force(y, w, penalty):
    """Return the best division of all that there are."""
    n = len(y)
    divisions = [
        starts
        for k in range(n // SHORTEST)
        for starts in itertools.combinations(range(1, n), k)
        if min(np.diff([0, *starts, n])) >= SHORTEST
    ]
    return min(divisions, key=lambda starts: cost_of(y, w, starts, penalty))


def one_partition(y, w, penalty):
    n = np.array([len(y)])
    _, last = partition(y[None], w[None], n, np.array([penalty]))
    return tuple(np.flatnonzero(level_starts(last, n)[0]).tolist())


@given(
    arrays(np.float64, st.integers(2, 9), elements=st.integers(-9, 9)),
    st.sampled_from([0.5, 3.0, 20.0]),
    st.integers(0, 2**32 - 1),
)
def test_the_division_is_the_best_of_all(y, penalty, seed):
    w = np.random.default_rng(seed).uniform(0.5, 2, len(y))
    found = one_partition(y, w, penalty)

    assert min(np.diff([0, *found, len(y)])) >= SHORTEST
    assert cost_of(y, w, found, penalty) == pytest.approx(
        cost_of(y, w, brute_force(y, w, penalty), penalty)
    )


def test_series_side_by_side_have_the_divisions_that_they_have_alone():
    rng = np.random.default_rng(2)
    series = [noisy((0, n), (3, n + 2), seed=n) for n in (2, 5, 9)]
    series.append(rng.standard_normal(3))
    together = change_points_of_all(series)

    for alone, found in zip(map(change_points, series), together, strict=True):
        assert places(found) == places(alone)
        assert found.blips == alone.blips
        assert codes(found) == codes(alone)
        assert found.levels == pytest.approx(alone.levels, nan_ok=True)
        assert found.sd == pytest.approx(alone.sd, nan_ok=True)


def test_ruptures_finds_the_same_divisions():
    with GOLDEN.open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == 18
    for row in rows:
        y = np.array(row["values"].split(), dtype=float)
        y -= y.mean()
        found = one_partition(y, np.ones(len(y)), float(row["penalty"]))
        assert found == tuple(map(int, row["starts"].split()))


def test_degrees_of_freedom_are_those_of_von_neumann():
    # Ann. Math. Stat. 12 (1941) 153: var(delta^2 / 2) = sigma^4 (3n - 4) / (n - 1)^2.
    n, sigma2 = 9, 1.0
    variance = sigma2**2 * (3 * n - 4) / (n - 1) ** 2

    assert successive_df(n) == pytest.approx(2 * sigma2**2 / variance)


# ---- false alarms and detection --------------------------------------------------


def share_with_steps(n_points, n_series, *, seed, **options):
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((n_series, n_points))
    if options.get("trend") == "linear":
        series = series + 0.3 * np.arange(n_points)
    if "ses" in options:
        options["ses"] = np.ones((n_series, n_points))
    found = change_points_of_all(list(series), **options)
    return np.mean([bool(one.steps) for one in found])


def within(share, rate, n):
    """Whether a share of n is a rate's, by four of its standard errors."""
    return abs(share - rate) < 4 * math.sqrt(rate * (1 - rate) / n)


@pytest.mark.parametrize("n_points", [10, 25])
def test_quiet_series_show_a_step_at_the_stated_rate(n_points):
    share = share_with_steps(n_points, 2000, seed=n_points)

    assert within(share, 0.05, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("n_points", [10, 14, 40, 200])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"false_alarms": 0.01},
        {"trend": "linear"},
        {"ses": None},
        {"false_alarms": 0.1, "trend": "linear"},
    ],
)
def test_quiet_series_show_a_step_at_the_stated_rate_whatever_is_asked(
    n_points, options
):
    n = 4000 if n_points < 100 else 1000
    share = share_with_steps(n_points, n, seed=n_points, **options)

    # The price is itself from a simulation, of 4,000 series at least.
    assert within(share, options.get("false_alarms", 0.05), n / 2)


@pytest.mark.parametrize(("size", "least"), [(2, 0.68), (3, 0.92), (4, 0.97)])
def test_steps_are_found_where_they_are(size, least):
    series = [noisy((0, 10), (-size, 10), seed=s) for s in range(400)]
    found = change_points_of_all(series)

    near = [any(abs(place - 10) <= 1 for place in places(one)) for one in found]
    assert np.mean(near) >= least
    assert np.mean([len(one.steps) > 1 for one in found]) < 0.08


def test_intervals_hold_the_size_and_the_place():
    series = [noisy((0, 12), (-4, 12), seed=s) for s in range(1000)]
    found = [one for one in change_points_of_all(series) if len(one.steps) == 1]
    steps = [one.steps[0] for one in found]

    assert len(found) > 880
    holds = [step.size.interval.low <= -4 <= step.size.interval.high for step in steps]
    assert 0.93 < np.mean(holds) < 0.97
    assert np.mean([step.earliest <= 12 <= step.latest for step in steps]) > 0.95


def test_a_slope_is_no_step():
    rising = 0.8 * np.arange(30) + noisy((0, 30))
    found = change_points(rising, trend="linear")

    assert places(found) == []
    assert found.slope == pytest.approx(0.8, abs=0.1)
    assert len(change_points(rising).steps) > 1
    assert places(
        change_points(rising - 8 * (np.arange(30) >= 18), trend="linear")
    ) == [18]


@given(st.integers(5, 15), st.integers(0, 999), st.floats(-2, 2))
def test_a_slope_beside_a_step_is_that_of_least_squares(n, seed, rise):
    rng = np.random.default_rng(seed)
    y, w, x = rng.standard_normal(n), rng.uniform(0.5, 2, n), np.arange(float(n))
    y = y + rise * x
    root = np.sqrt(w)
    fits = []
    for place in range(SHORTEST, n - SHORTEST + 1):
        columns = np.column_stack([np.ones(n), x, x >= place])
        found, squares, *_ = np.linalg.lstsq(
            columns * root[:, None], y * root, rcond=None
        )
        fits.append((float(squares[0]), float(found[1])))
    series = Series(x[None], y[None], w[None], np.array([n]))

    assert slope_beside_a_step(series, line_slope(series))[0] == pytest.approx(
        min(fits)[1]
    )


def test_a_rise_of_the_scores_moves_no_step():
    for seed in range(40):
        y = noisy((0, 8), (3, 8), seed=seed)
        rising = y + 0.7 * np.arange(16)
        assert places(change_points(y, trend="linear")) == places(
            change_points(rising, trend="linear")
        )


# ---- blips -----------------------------------------------------------------------


@pytest.mark.parametrize("place", [1, 7, 13])
@pytest.mark.parametrize("size", [-30, 8])
def test_a_blip_of_one_point_is_no_step(place, size):
    y = noisy((0, 15), sd=0.5)
    y[place] += size
    found = change_points(y)

    assert found.blips == (place,)
    assert found.steps == ()
    assert found.level_of[place] == -1


@pytest.mark.parametrize("place", [0, 14])
def test_an_end_that_lies_apart_is_not_yet_a_step(place):
    y = noisy((0, 15), sd=0.5)
    y[place] -= 9
    found = change_points(y)

    assert found.blips == (place,)
    assert found.steps == ()


def test_the_second_point_makes_a_step():
    y = noisy((0, 14), (-9, 2), sd=0.5)

    assert places(change_points(y)) == [14]
    assert change_points(y).blips == ()


def test_a_blip_beside_a_step_leaves_the_step():
    y = noisy((0, 8), (6, 1), (-6, 8), sd=0.5)
    found = change_points(y)

    assert found.blips == (8,)
    assert places(found) == [9]
    assert found.steps[0].size.value == pytest.approx(-6, abs=0.6)


# ---- without noise, with known noise, options -------------------------------------


def test_a_step_without_noise_is_found_and_nothing_else():
    y = np.repeat([0.7, 0.4, 0.6], [6, 8, 5])
    found = change_points(y)

    assert places(found) == [6, 14]
    assert [step.size.value for step in found.steps] == pytest.approx([-0.3, 0.2])
    assert found.levels == pytest.approx(y)
    assert found.starts == (0, 6, 14)
    assert [found.level_at(place) for place in (0, 6, 18)] == [0, 1, 2]


def test_known_errors_stand_in_for_the_noise_seen():
    y = noisy((0, 8), (2, 8), sd=0.1)

    assert places(change_points(y, ses=np.full(16, 0.1))) == [8]
    assert places(change_points(y, ses=np.full(16, 10.0))) == []
    assert math.isnan(change_points(y, ses=np.full(16, 0.1)).sd)


def test_points_that_are_surer_weigh_more():
    y = np.array([0.0, 0.4, 0.0, 0.4, 5.0, 5.4, 5.0, 5.4])
    ses = np.tile([0.1, 0.5], 4)
    (step,) = change_points(y, ses=ses).steps

    weight = ses[:4] ** -2.0
    assert change_points(y, ses=ses).levels[0] == pytest.approx(
        np.average(y[:4], weights=weight)
    )
    assert step.size.se == pytest.approx(math.sqrt(2 / weight.sum()))


def test_fewer_false_alarms_take_clearer_steps():
    y = noisy((0, 10), (2, 10), seed=4)

    assert places(change_points(y, false_alarms=0.2))
    assert not places(change_points(y, false_alarms=0.001))


def test_the_confidence_level_widens_size_and_place():
    y = noisy((0, 15), (-2.5, 15), seed=3)
    (sure,) = change_points(y, confidence_level=0.99).steps
    (less,) = change_points(y, confidence_level=0.5).steps

    assert sure.size.interval.low < less.size.interval.low
    assert sure.latest - sure.earliest > less.latest - less.earliest
    assert sure.earliest <= sure.place <= sure.latest


def test_a_clearer_step_has_the_smaller_p_value():
    p = [
        change_points(noisy((0, 10), (s, 10), seed=4)).steps[0].p_value for s in (3, 5)
    ]

    assert 0.001 <= p[1] < p[0] <= 0.05


def test_prices_are_as_simulated_at_the_lengths_that_were():
    for (known, trend), table in PRICES.items():
        factor = penalty_factor([5, 500], RATES[2], trend=trend, known=known)
        assert factor.tolist() == pytest.approx([table[0][2], table[-1][2]])


@given(st.integers(5, 14), st.integers(0, 999), st.floats(0.1, 9), st.floats(-5, 5))
def test_scale_and_place_of_the_scores_do_not_matter(n, seed, scale, shift):
    y = noisy((0, n), (2, n), seed=seed)
    one, other = change_points(y), change_points(scale * y + shift)

    assert places(one) == places(other)
    assert one.blips == other.blips
    assert other.sd == pytest.approx(scale * one.sd)


# ---- edges -----------------------------------------------------------------------


def test_a_point_without_a_score_is_passed_over():
    y = noisy((0, 8), (-5, 8), sd=0.5)
    y[[3, 8]] = nan
    found = change_points(y)

    assert places(found) == [9]
    assert found.n_points == 14


@pytest.mark.parametrize("n", [0, 1, 4])
def test_of_few_points_nothing_is_said(n):
    found = change_points(np.arange(n))

    assert codes(found) == ["few-points"]
    assert not found.steps
    assert not found.blips
    assert np.isnan(found.levels).all()
    assert math.isnan(found.sd)


def test_equal_scores_have_no_step_and_no_noise():
    found = change_points(np.full(9, 0.1))

    assert codes(found) == ["constant-history"]
    assert not found.steps
    assert found.sd == pytest.approx(0)


@pytest.mark.parametrize("rate", [0, 0.0001, 0.3, nan])
def test_a_rate_that_was_not_simulated_is_refused(rate):
    with pytest.raises(DesignError) as caught:
        change_points(np.arange(9), false_alarms=rate)

    assert caught.value.code == "bad-share"


@pytest.mark.parametrize("ses", [np.ones(8), np.zeros(9), np.full(9, nan)])
def test_errors_that_are_none_are_refused(ses):
    with pytest.raises(DesignError) as caught:
        change_points(np.arange(9), ses=ses)

    assert caught.value.code == "unequal-lengths"


def test_a_level_that_is_none_is_refused():
    with pytest.raises(DesignError) as caught:
        change_points(np.arange(9), confidence_level=1)

    assert caught.value.code == "bad-confidence-level"


def test_what_was_found_as_json_and_as_a_frame():
    found = change_points(noisy((0, 10), (-5, 10)))
    row = found.to_dict()

    assert row["steps"][0]["size"]["value"] == found.steps[0].size.value
    assert row["levels"] == found.levels.tolist()
    assert found.to_frame()["place"].tolist() == [10]
    assert change_points(np.arange(3)).to_frame().empty
    assert change_points(np.arange(3)).to_dict()["levels"] == [None] * 3
