"""Prediction of the next point: R's formula, coverage, steps that do not poison it."""

import math

import numpy as np
import pytest
from stats.history.designs import history

from harness.errors import DesignError
from harness.stats.history.change import change_points
from harness.stats.history.prediction import predict, prediction_interval

nan = math.nan

SERIES = np.array([0.61, 0.64, 0.60, 0.66, 0.63, 0.67, 0.65, 0.69])


def codes(found):
    return [caution.code for caution in found.cautions]


def test_a_mean_predicts_as_r_does():
    # R 4.2.2: predict(lm(y ~ 1), data.frame(x = 8), interval = "prediction")
    found = predict(SERIES)

    assert found.mean == pytest.approx(0.64375)
    assert found.interval == pytest.approx((0.5679874058, 0.7195125942))
    assert found.df == 7


def test_a_line_predicts_as_r_does():
    # R 4.2.2: predict(lm(y ~ x), data.frame(x = 8), interval = "prediction")
    found = predict(SERIES, trend="linear")

    assert found.mean == pytest.approx(0.6860714286)
    assert found.interval == pytest.approx((0.6206020121, 0.751540845))
    assert found.df == 6


def covered(draw, n, n_sims=4000, **options):
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(n_sims):
        y = draw(rng, n + 1)
        inside += predict(y[:-1], last_n=n, **options).where(y[-1]) == "inside"
    return inside / n_sims


@pytest.mark.parametrize("trend", ["none", "linear"])
def test_of_normal_points_the_stated_share_is_covered(trend):
    def draw(rng, n):
        return rng.standard_normal(n) + 0.4 * np.arange(n) * (trend == "linear")

    assert covered(draw, 6, trend=trend) == pytest.approx(0.95, abs=0.014)
    assert covered(draw, 6, trend=trend, confidence_level=0.8) == pytest.approx(
        0.8, abs=0.026
    )


@pytest.mark.slow
def test_other_points_are_covered_nearly_as_often():
    def heavy(rng, n):
        return rng.standard_t(5, n)

    def flat(rng, n):
        return rng.uniform(size=n)

    def neighbours(rng, n):
        noise = rng.standard_normal(n + 1)
        return noise[1:] + noise[:-1]  # correlated by a half

    for n in (5, 10, 20):
        assert 0.92 < covered(heavy, n) < 0.96
        assert 0.95 < covered(flat, n) < 0.995
        assert 0.9 < covered(neighbours, n) < 0.96


def test_where_a_score_lies_and_how_often_one_lies_so_far():
    found = predict(SERIES)
    low, high = found.interval

    assert found.where(low - 0.001) == "below"
    assert found.where(high + 0.001) == "above"
    assert found.where(found.mean) == "inside"
    assert found.where(nan) == "unknown"
    assert found.p_value(low) == pytest.approx(0.05)
    assert found.p_value(found.mean) == pytest.approx(1)
    assert math.isnan(found.p_value(nan))


def test_only_the_last_points_count_and_gaps_are_passed_over():
    y = np.concatenate([[9, 9], SERIES, [nan]])
    found = predict(y, last_n=8)

    assert found.places == tuple(range(2, 10))
    assert found.mean == pytest.approx(SERIES.mean())
    assert found.n == 8


def test_the_place_of_a_line_counts_gaps():
    line = np.arange(8.0) + 0.01 * np.array([0, 1, -1, 0, 1, -1, 0, 0])

    assert predict(line, trend="linear").mean == pytest.approx(8, abs=0.1)
    assert predict(np.append(line, nan), trend="linear").mean == pytest.approx(
        9, abs=0.1
    )


def test_what_scores_cannot_be_is_not_predicted():
    rising = np.array([0.5, 0.61, 0.7, 0.82, 0.9, 0.99])
    free = predict(rising, trend="linear")
    found = predict(rising, trend="linear", bounds=(0, 1))

    assert free.mean > 1
    assert found.mean == 1
    assert found.interval.high == 1
    assert found.interval.low == pytest.approx(1 - (free.mean - free.interval.low))


@pytest.mark.parametrize(
    ("y", "code"),
    [([], "few-points"), ([1, 2, 3, 4], "few-points"), ([1.0] * 6, "constant-history")],
)
def test_where_nothing_can_be_predicted(y, code):
    found = predict(np.array(y, dtype=float))

    assert codes(found) == [code]
    assert math.isnan(found.interval.low)
    assert found.where(0.5) == "unknown"
    assert math.isnan(found.p_value(0.5))
    assert found.to_dict()["low"] is None


def test_a_step_does_not_poison_what_comes_after():
    rng = np.random.default_rng(1)
    means = np.repeat([0.7, 0.5], [10, 6]) + 0.01 * rng.standard_normal(16)
    means[13] = 0.2
    course = history(means)
    plain = prediction_interval(course)
    found = prediction_interval(course, change=change_points(means))

    assert found.places == (10, 11, 12, 14, 15)
    assert found.interval.low > plain.interval.low + 0.3
    assert found.sd < plain.sd / 5


def test_what_was_predicted_of_a_point_takes_those_before():
    course = history(np.append(SERIES, 0.1))

    assert prediction_interval(course, before=8).to_dict() == predict(SERIES).to_dict()
    assert prediction_interval(course, before=8, confidence_level=0.5).interval.low > (
        prediction_interval(course, before=8).interval.low
    )


def test_the_ends_of_the_metric_are_those_of_the_prediction():
    course = history([0.5, 0.61, 0.7, 0.82, 0.9, 0.99], metric="acc")
    other = history([0.5, 0.61, 0.7, 0.82, 0.9, 0.99], metric="own,none")

    assert prediction_interval(course, trend="linear").interval.high == 1
    assert prediction_interval(other, trend="linear").interval.high > 1


@pytest.mark.parametrize(
    ("options", "code"),
    [({"last_n": 1}, "bad-n-last"), ({"confidence_level": 0}, "bad-confidence-level")],
)
def test_what_cannot_be_asked(options, code):
    with pytest.raises(DesignError) as caught:
        predict(SERIES, **options)

    assert caught.value.code == code
