"""Item curves: bins beside the model, bands round it, and none where there are few."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from harness.errors import DesignError
from harness.stats.intervals import mean_intervals
from harness.stats.irt.curves import MAX_BINS, MIN_PER_BIN, curve_bands, item_curve
from harness.stats.irt.fit import fit_irt

GOLDEN = Path(__file__).parents[2] / "golden"

nan = np.nan


def test_bins_hold_respondents_in_order_of_ability(simulated_test):
    items, theta, answers = simulated_test(47, 3)
    curve = item_curve(items, answers, theta, 1)

    order = np.argsort(theta)
    bins = np.array_split(order, 9)
    assert curve.item_id == "i1"
    assert curve.bin_n.tolist() == [6, 6, 5, 5, 5, 5, 5, 5, 5]
    for b, rows in enumerate(bins):
        assert curve.bin_ability[b] == pytest.approx(theta[rows].mean())
        assert curve.bin_observed[b] == answers[rows, 1].mean()
        assert curve.bin_expected[b] == pytest.approx(
            items.probabilities(theta[rows])[:, 1].mean()
        )
        low, high = mean_intervals(answers[rows, 1])
        assert (curve.bin_low[b], curve.bin_high[b]) == (low, high)


def test_wilson_of_a_bin_of_ten(model):
    """Bowyer et al., arXiv 2503.01747: 8 of 10 right is [.4902, .9433]."""
    answers = np.repeat([[1.0], [0], [1]], [8, 2, 90], axis=0)
    theta = np.repeat([-1.0, 0], [10, 90])
    curve = item_curve(model(1, 0), answers, theta, 0)

    assert curve.bin_low[0] == pytest.approx(0.4902, abs=5e-5)
    assert curve.bin_high[0] == pytest.approx(0.9433, abs=5e-5)
    wide = item_curve(model(1, 0), answers, theta, 0, confidence_level=0.99)
    assert wide.bin_low[0] < curve.bin_low[0]
    assert wide.confidence_level == 0.99


def test_the_curve_is_the_model_and_reaches_all_respondents(model):
    items = model([1, 2], [0, 1], [0, 0.25])
    theta = np.array([-6.0, 0, 5])
    curve = item_curve(items, np.ones((3, 2)), theta, 1)

    assert (curve.ability[0], curve.ability[-1]) == (-6, 5)
    np.testing.assert_allclose(
        curve.probability, items.probabilities(curve.ability)[:, 1]
    )
    assert curve.guessing == 0.25


@pytest.mark.parametrize(
    ("n", "n_bins"),
    [(0, 0), (2 * MIN_PER_BIN - 1, 0), (2 * MIN_PER_BIN, 2), (1000, MAX_BINS)],
)
def test_no_bins_of_fewer_than_five(simulated_test, codes, n, n_bins):
    items, theta, answers = simulated_test(n + 4, 2)
    answers[:2, 0] = nan
    theta[2:4] = nan
    curve = item_curve(items, answers, theta, 0, covariance=np.zeros((2, 3, 3)))

    assert len(curve.bin_n) == len(curve.bin_low) == n_bins
    assert curve.bin_n.sum() == (n if n_bins else 0)
    assert (curve.bin_n >= MIN_PER_BIN).all()
    assert codes(curve) == ([] if n_bins else ["too-few-for-bins"])
    assert len(curve.probability) > 100


def test_as_json_and_as_a_table(simulated_test):
    items, theta, answers = simulated_test(20, 2)
    curve = item_curve(items, answers, theta, 0)

    row = json.loads(json.dumps(curve.to_dict()))
    assert len(row["bins"]) == 4
    assert row["low"] is row["high"] is None
    assert set(row["bins"][0]) == {
        "ability",
        "expected",
        "observed",
        "low",
        "high",
        "n",
    }


@pytest.mark.slow
def test_intervals_hold_the_model_s_share(simulated_test):
    items, theta, answers = simulated_test(400, 400)
    curves = [item_curve(items, answers, theta, j) for j in range(400)]
    held = [
        (c.bin_low <= c.bin_expected) & (c.bin_expected <= c.bin_high) for c in curves
    ]

    assert 0.93 <= np.mean(held) <= 0.98


def test_a_band_by_hand(model):
    """At 1, logit P = 2 (1 - .5) = 1; its slope in (a, b) is (.5, -2), c is fixed."""
    covariance = np.zeros((1, 3, 3))
    covariance[0, :2, :2] = [[0.04, -0.01], [-0.01, 0.0225]]
    low, high = curve_bands(model(2, 0.5), covariance, np.array([1.0]))

    # .25 x .04 + 4 x .0225 + 2 x (.5)(-2)(-.01) = .01 + .09 + .02 = .12
    reach = 1.959964 * 0.12**0.5
    assert low[0, 0] == pytest.approx(1 / (1 + np.exp(reach - 1)), abs=1e-6)
    assert high[0, 0] == pytest.approx(1 / (1 + np.exp(-reach - 1)), abs=1e-6)
    level = norm.cdf(1) - norm.cdf(-1)
    low, _ = curve_bands(
        model(2, 0.5), covariance, np.array([1.0]), confidence_level=level
    )
    assert logit(low[0, 0]) == pytest.approx(1 - 0.12**0.5)


@pytest.mark.parametrize("c", [0.0, 0.2])
def test_slopes_of_the_logit_are_those_of_differences(model, c):
    """With one parameter at a time unsure, and little, a band is its effect."""
    theta = np.linspace(-3, 3, 7)
    for place, step in enumerate(np.eye(3) * 1e-5):
        covariance = np.zeros((1, 3, 3))
        covariance[0, place, place] = 1e-10
        low, high = curve_bands(model(1.3, 0.4, c), covariance, theta)
        up, down = (
            model(*(np.array([1.3, 0.4, c]) + way * step)).probabilities(theta)
            for way in (1, -1)
        )

        found = (logit(high) - logit(low)) / 1.959964
        assert found == pytest.approx(np.abs(logit(up) - logit(down)), rel=1e-3)


def test_a_rasch_band_is_that_of_glmer(model):
    """``golden/irt_rasch.R``: on the logit, the error of the item's easiness."""
    with (GOLDEN / "irt_rasch.csv").open() as file:
        rows = list(csv.DictReader(file))
    easiness, se = (
        np.array([float(row[name]) for row in rows])
        for name in ("glmer_easiness", "glmer_se")
    )
    responses = np.loadtxt(
        GOLDEN / "irt_rasch_responses.csv", delimiter=",", skiprows=1
    )
    found = fit_irt(responses, model="rasch")
    theta = np.array([-2.0, 0, 1.5])

    low, high = curve_bands(found.items, found.covariance, theta)
    for end, sign in ((low, -1), (high, 1)):
        r = expit(theta[:, None] + easiness + sign * 1.959964 * se)
        assert end == pytest.approx(r, abs=1e-4)


def test_known_items_have_no_width_and_held_ones_no_band(model, codes):
    items = model([1, 2], [0, 1], [0, 0.25])
    covariance = np.zeros((2, 3, 3))
    covariance[1] = np.nan
    known, held = (
        item_curve(items, np.ones((9, 2)), np.arange(9.0), j, covariance=covariance)
        for j in (0, 1)
    )

    assert known.low == pytest.approx(known.probability)
    assert known.high == pytest.approx(known.probability)
    assert codes(known) == ["too-few-for-bins"]
    assert np.isnan(held.low).all()
    assert np.isnan(held.high).all()
    assert codes(held) == ["too-few-for-bins", "no-band"]
    assert "i1 has no band" in held.cautions[1].text
    assert held.to_dict()["low"] is None
    assert known.to_dict()["low"] == known.low.tolist()


def test_a_band_needs_a_level(model):
    with pytest.raises(DesignError) as refused:
        curve_bands(model(1, 0), np.zeros((1, 3, 3)), np.zeros(1), confidence_level=95)

    assert refused.value.code == "bad-confidence-level"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_items", "n_respondents", "c"),
    [
        ("2pl", 20, 600, 0),
        ("2pl", 30, 60, 0),
        ("2pl", 110, 600, 0),
        ("rasch", 15, 40, 0),
        ("3pl", 12, 2_000, 0.25),
    ],
)
def test_bands_cover_the_true_curves(simulated_test, name, n_items, n_respondents, c):
    """Of items and respondents drawn anew, at abilities where respondents are."""
    inside = []
    for rep in range(12):
        items, _, answers = simulated_test(
            n_respondents, n_items, c=c, name=name, rng=[rep, n_items]
        )
        found = fit_irt(answers, model=name)
        at = np.array([-2.0, -1, 0, 1, 2])
        kept = [items.item_ids.index(f"i{j}") for j in found.items.item_ids]
        true = items.probabilities(at)[:, kept]
        low, high = curve_bands(found.items, found.covariance, at)
        known = ~np.isnan(low)
        assert known.mean() > 0.95
        inside.append(((low <= true) & (true <= high))[known].mean())

    assert found.items.model == name
    assert np.mean(inside) == pytest.approx(0.95, abs=0.025)
