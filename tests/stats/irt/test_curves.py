"""Item curves: bins beside the model, and none where respondents are few."""

import json

import numpy as np
import pytest

from harness.stats.intervals import mean_intervals
from harness.stats.irt.curves import MAX_BINS, MIN_PER_BIN, item_curve

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
    curve = item_curve(items, answers, theta, 0)

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
