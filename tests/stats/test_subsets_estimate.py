"""Full scores from a few answers: hand calculations, coverage, edges."""

import json
import math

import numpy as np
import pytest
from scipy.special import expit
from stats.subset_designs import answers, calibration, item_model, training_runs

from harness.errors import DesignError
from harness.stats.irt.ability import abilities
from harness.stats.irt.information import choose_items
from harness.stats.subsets.calibrate import calibrate
from harness.stats.subsets.choose import Subset, choose_subset
from harness.stats.subsets.estimate import estimate_full, mixing

FOUR = item_model(np.ones(4), [-1, 1, -2, 3])
"""Asked the first two, one right and one wrong, an ability of 0 is the most likely."""


def subset(items, weights, n_total, method="anchors-irt"):
    return Subset(
        method=method,
        items=np.asarray(items),
        weights=np.asarray(weights, dtype=float),
        item_ids=tuple(map(str, items)),
        n_items_total=n_total,
        fitted_on=(),
    )


def test_estimates_worked_by_hand():
    """P = .880797 and .047426 for the two items not asked.

    p-irt = (1 + .880797 + .047426) / 4; the weighted mean of (1, 0) is .75; with
    b = .05 and v = .2 its share is .0025 / (.2 / 8 + .0025) = 1/11.
    """
    few = subset([0, 1], [0.75, 0.25], 4)
    known = calibration(FOUR, error=0.05, variance=0.2)
    y = np.array([[1.0, 0.0]])
    weighted, predicted, mixed = (
        estimate_full(y, few, estimator=e, calibration=known).values[0]
        for e in ("weighted", "p-irt", "gp-irt")
    )

    assert weighted == 0.75
    assert predicted == pytest.approx(0.482056, abs=5e-7)
    assert mixing(known, 2) == pytest.approx(1 / 11)
    assert mixed == pytest.approx(0.75 / 11 + 0.4820557 * 10 / 11, abs=5e-7)


@pytest.mark.parametrize("estimator", ["weighted", "p-irt", "gp-irt"])
def test_standard_error_is_the_documented_sum_written_as_a_loop(estimator):
    rng = np.random.default_rng(3)
    n_total, asked = 9, [1, 4, 6]
    items = item_model(
        rng.lognormal(0, 0.3, n_total),
        rng.normal(0, 1, n_total),
        guessing=rng.uniform(0, 0.3, n_total),
        ability_sd=1.4,
    )
    known = calibration(items, error=0.03, variance=0.21)
    few = subset(asked, [0.5, 0.2, 0.3], n_total)
    y = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found = estimate_full(y, few, estimator=estimator, calibration=known)
    theta = abilities(choose_items(items, asked), y, method="map").ability
    share = {"weighted": 1, "p-irt": 0, "gp-irt": mixing(known, 3)}[estimator]
    rest = [j for j in range(n_total) if j not in asked]

    for t, se in zip(theta, found.se, strict=True):
        p, slope = [], []
        for j in range(n_total):
            a, b, c = items.discrimination[j], items.difficulty[j], items.guessing[j]
            logistic = expit(a * (t - b))
            p.append(c + (1 - c) * logistic)
            slope.append(a * (1 - c) * logistic * (1 - logistic))
        pq = [q * (1 - q) for q in p]
        known_of = sum(slope[j] ** 2 / pq[j] for j in asked) + 1 / 1.4**2
        d = (1 - share) * sum(slope[j] for j in rest) / n_total
        total = (d / known_of) ** 2 / 1.4**2 + sum(pq[j] for j in rest) / n_total**2
        for w, j in zip(few.weights, asked, strict=True):
            each = share * (w - 1 / n_total) + d * slope[j] / (pq[j] * known_of)
            total += each**2 * pq[j]
        anchored = sum(w * p[j] for w, j in zip(few.weights, asked, strict=True))
        total += (share * (anchored - sum(p) / n_total)) ** 2
        total += ((1 - share) * 6 / 9 * 0.03) ** 2 * math.pi / 2

        assert se == pytest.approx(math.sqrt(total), rel=1e-9)


@pytest.mark.parametrize(
    ("method", "estimator"),
    [
        ("anchors-irt", "weighted"),
        ("anchors-irt", "p-irt"),
        ("anchors-irt", "gp-irt"),
        ("information", "p-irt"),
        ("random", "weighted"),
        ("random", "p-irt"),
    ],
)
def test_intervals_cover_when_the_model_is_true(method, estimator):
    """1,500 respondents, 40 of 300 items; binomial bound of 4 standard errors."""
    rng = np.random.default_rng(17)
    items = item_model(rng.lognormal(0, 0.3, 300), rng.normal(0, 1, 300))
    ability = rng.normal(0, 1, 1500)
    y = answers(items, ability, rng=rng)
    known = calibration(items, ability=ability[:300], error=1e-3, variance=0.2)
    few = choose_subset(y[:2], 40, method=method, calibration=known, rng=rng)
    found = estimate_full(y[:, few.items], few, estimator=estimator, calibration=known)
    full = y.mean(1)

    covered = np.mean((found.low <= full) & (full <= found.high))
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 1500)
    assert abs(np.mean(found.values - full)) < 0.01
    narrow = estimate_full(
        y[:, few.items],
        few,
        estimator=estimator,
        calibration=known,
        confidence_level=0.5,
    )
    assert np.all(narrow.high - narrow.low < found.high - found.low)


def test_interval_of_a_draw_covers_over_draws():
    """2,000 draws of 60 of 200 items: for the mean of these 200, not of all items."""
    rng = np.random.default_rng(4)
    y = (rng.random((1, 200)) < 0.7).astype(float)
    hits = []
    for _ in range(2000):
        few = choose_subset(y, 60, method="random", rng=rng)
        found = estimate_full(y[:, few.items], few)
        hits.append(found.low[0] <= y.mean() <= found.high[0])

    assert abs(np.mean(hits) - 0.95) < 0.02


def test_interval_of_a_draw_is_wilson_s_narrowed_by_what_is_left():
    """8 of 10 right: Wilson [.4902, .9433]; of 40 items, sqrt(3/4) of either arm."""
    few = subset(range(10), np.full(10, 0.1), 40, method="random")
    found = estimate_full(np.array([[1.0] * 8 + [0.0] * 2]), few)

    assert found.values[0] == pytest.approx(0.8)
    assert found.low[0] == pytest.approx(
        0.8 - math.sqrt(0.75) * (0.8 - 0.4902), abs=1e-4
    )
    assert found.high[0] == pytest.approx(
        0.8 + math.sqrt(0.75) * (0.9433 - 0.8), abs=1e-4
    )
    assert found.se[0] == pytest.approx((found.high[0] - found.low[0]) / 2 / 1.959964)


@pytest.mark.parametrize("estimator", ["weighted", "p-irt", "gp-irt"])
@pytest.mark.parametrize("method", ["random", "anchors-irt"])
def test_all_items_leave_nothing_to_estimate(method, estimator):
    known = calibration(FOUR, error=0.05)
    every = subset(range(4), np.full(4, 0.25), 4, method=method)
    y = np.array([[1.0, 0.0, 1.0, 1.0]])
    found = estimate_full(y, every, estimator=estimator, calibration=known)

    assert found.values[0] == pytest.approx(0.75)
    assert found.low[0] == pytest.approx(0.75) == found.high[0]


def test_chosen_items_have_no_interval_without_a_calibration(codes):
    found = estimate_full(np.array([[1.0, 0.0]]), subset([0, 1], [0.75, 0.25], 4))

    assert found.values[0] == 0.75
    assert np.isnan([found.low[0], found.high[0], found.se[0]]).all()
    assert codes(found) == ["no-interval"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["low"] == [None]
    assert found.to_frame().columns.tolist() == ["value", "se", "low", "high"]


def test_predictions_need_a_calibration():
    with pytest.raises(DesignError, match=r"calibrate\(\)") as caught:
        estimate_full(np.array([[1.0]]), subset([0], [1], 4), estimator="p-irt")

    assert caught.value.code == "no-calibration"


@pytest.mark.parametrize(
    ("y", "options", "code"),
    [
        ([[1.0, 0.0, 1.0]], {}, "responses-shape"),
        ([1.0, 0.0], {}, "responses-shape"),
        ([[1.0, math.nan]], {}, "missing-scores"),
        ([[1.0, 0.0]], {"estimator": "best"}, "unknown-method"),
        ([[1.0, 0.0]], {"confidence_level": 95}, "bad-confidence-level"),
    ],
)
def test_what_cannot_be_used_is_refused(y, options, code):
    with pytest.raises(DesignError) as caught:
        estimate_full(np.array(y), subset([0, 1], [0.5, 0.5], 4), **options)

    assert caught.value.code == code


def test_calibration_holds_all_items_and_says_what_it_dropped():
    rng = np.random.default_rng(8)
    scores, who = training_runs(5, 2, 3, 40, rng=rng, spread=0.3)
    scores[:, 3], scores[:, 8] = 1, 0
    groups = list(zip(who["models"], who["train_seeds"], strict=True))
    found = calibrate(scores, groups=groups, item_ids=[f"q{j}" for j in range(40)])
    average = np.array([found.ability.mean()])

    assert found.dropped == ("q3", "q8")
    assert found.items.item_ids == tuple(f"q{j}" for j in range(40))
    assert found.n_respondents == 30
    assert found.n_groups == 10
    assert found.response_variance == pytest.approx(scores.var(axis=1).mean())
    assert found.items.probabilities(average)[0, [3, 8]] == pytest.approx(
        [30.5 / 31, 0.5 / 31]
    )
    assert 0 < found.validation_error < 0.2
    assert calibrate(scores).validation_error != found.validation_error
    by_model = calibrate(scores, groups=who["models"], runs=groups)
    assert (by_model.n_groups, by_model.n_runs, found.n_runs) == (5, 10, 10)
    assert np.array_equal(by_model.items.difficulty, found.items.difficulty)
    assert by_model.validation_error != found.validation_error
    assert not np.array_equal(
        calibrate(scores).items.difficulty, found.items.difficulty
    )


def test_threshold_keeps_the_mean():
    """Mean of 0, .1, …, .9 squared is .285: 3 of 10 are above .36."""
    values = np.tile(np.arange(10) ** 2 / 100, 30)
    scores = np.random.default_rng(9).permutation(values).reshape(15, 20)
    found = calibrate(scores)

    assert found.threshold == pytest.approx(0.36)
    assert found.binary(scores).mean() == pytest.approx(0.3)
    assert np.isnan(found.binary(np.array([[math.nan]]))).all()


def test_five_groups_are_too_few_to_validate_by(codes):
    rng = np.random.default_rng(8)
    scores, _ = training_runs(4, 2, 3, 40, rng=rng)
    known = calibrate(scores, groups=[row % 5 for row in range(24)])
    few = choose_subset(scores, 5, method="anchors-irt", calibration=known, rng=1)
    answered = scores[:, few.items]
    mixed = estimate_full(answered, few, estimator="gp-irt", calibration=known)
    predicted = estimate_full(answered, few, estimator="p-irt", calibration=known)
    weighted = estimate_full(answered, few, calibration=known)

    assert math.isnan(known.validation_error)
    assert "no-validation" in codes(known)
    assert np.isnan(mixed.values).all()
    assert codes(mixed) == codes(predicted) == ["no-validation"]
    assert np.all(np.isfinite(predicted.se))
    assert codes(weighted) == []


def test_scores_beyond_0_and_1_have_no_such_model():
    with pytest.raises(DesignError, match="another metric") as caught:
        calibrate(np.array([[-1.5, 0.2], [0.3, 0.4]]))

    assert caught.value.code == "scores-not-bounded"
