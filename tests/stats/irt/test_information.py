"""Fisher information: hand calculation, its definition, curves and their edges."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.irt.information import (
    choose_items,
    expected_scores,
    information_at,
    information_curve,
    item_information,
    standard_error_at,
)


def test_the_worked_example_of_fluid_benchmarking(model):
    """a = 1.5, b = .5 at ability 0: P = .320821, information .490264."""
    items = model(1.5, 0.5)

    assert items.probabilities(np.zeros(1)).item() == pytest.approx(0.320821, abs=5e-7)
    assert item_information(items, np.zeros(1)).item() == pytest.approx(
        0.490264, abs=5e-7
    )


@pytest.mark.parametrize("c", [0.0, 0.25])
def test_information_is_the_expected_squared_slope(model, c):
    """By its definition, with the slope of log P and log Q by differences."""
    items = model([0.6, 1.0, 2.5], [-1, 0.3, 2], c)
    theta, h = np.linspace(-3, 3, 13), 1e-5

    p, up, down = (items.probabilities(theta + d) for d in (0, h, -h))
    by_right = (np.log(up) - np.log(down)) / (2 * h)
    by_wrong = (np.log(1 - up) - np.log(1 - down)) / (2 * h)
    np.testing.assert_allclose(
        item_information(items, theta),
        p * by_right**2 + (1 - p) * by_wrong**2,
        rtol=1e-7,
        atol=1e-9,
    )


def test_lord_s_formula_with_guessing(model):
    """Lord (1980), equation 5-9, written out for one item."""
    a, b, c, theta = 1.2, 0.4, 0.2, 1.1
    p = c + (1 - c) / (1 + np.exp(-a * (theta - b)))
    expected = a**2 * (1 - p) / p * ((p - c) / (1 - c)) ** 2

    assert information_at(model(a, b, c), np.array([theta])) == pytest.approx(expected)


def test_all_items_together_are_their_sum(simulated_test):
    items, theta, _ = simulated_test(300, 1000, c=0.1)
    whole = information_at(items, theta)

    np.testing.assert_allclose(whole, item_information(items, theta).sum(1))
    half, other = (
        information_curve(items, ability=theta, chosen=range(start, 1000, 2))
        for start in (0, 1)
    )
    np.testing.assert_allclose(half.information + other.information, whole)
    assert half.n_items == 500


@given(st.floats(0.01, 50), st.floats(-5, 5), st.floats(0, 0.5), st.floats(-40, 40))
def test_guessing_takes_information_away_and_none_is_negative(a, b, c, theta):
    from harness.stats.irt.model import ItemModel

    def one(guessing):
        return ItemModel(
            model="3pl",
            item_ids=("i",),
            discrimination=np.array([a]),
            difficulty=np.array([b]),
            guessing=np.array([guessing]),
        )

    plain = item_information(one(0.0), np.array([theta])).item()
    guessed = item_information(one(c), np.array([theta])).item()

    assert 0 <= guessed <= plain * (1 + 1e-12)
    assert plain <= a**2 / 4 * (1 + 1e-12)


def test_standard_error_with_and_without_a_prior():
    information = np.array([0.0, 3.0, 99.0])

    assert standard_error_at(information).tolist() == pytest.approx(
        [np.inf, 1 / np.sqrt(3), 1 / np.sqrt(99)]
    )
    assert standard_error_at(information, prior_sd=1.0).tolist() == pytest.approx(
        [1, 0.5, 0.1]
    )
    assert standard_error_at(information, prior_sd=2.0)[0] == 2


def test_a_curve_over_the_abilities_there_are(model):
    curve = information_curve(model([1, 2], [0, 1], ability_sd=0.5))

    assert (curve.ability[0], curve.ability[-1]) == (-2, 2)
    np.testing.assert_allclose(curve.se, 1 / np.sqrt(curve.information))
    frame = curve.to_frame()
    assert list(frame) == ["ability", "information", "se"]
    assert len(frame) == len(curve.ability)


def test_where_items_tell_nothing_the_error_is_infinite_and_null_in_json(model):
    curve = information_curve(model(2, 0), ability=np.array([0.0, 1e4]))

    assert curve.se.tolist() == [1.0, np.inf]
    assert json.loads(json.dumps(curve.to_dict()))["se"] == [1.0, None]


def test_chosen_items_keep_their_parameters(model):
    items = choose_items(model([1, 2, 3], [4, 5, 6], [0, 0.1, 0.2]), [2, 0])

    assert items.item_ids == ("i2", "i0")
    assert items.discrimination.tolist() == [3, 1]
    assert items.difficulty.tolist() == [6, 4]
    assert items.guessing.tolist() == [0.2, 0]


def test_expected_scores_are_mean_probabilities(simulated_test):
    items, theta, _ = simulated_test(300, 700, c=0.2)
    expected = [items.probabilities(np.array([t])).mean() for t in theta]

    np.testing.assert_allclose(expected_scores(items, theta), expected)
    assert np.isnan(expected_scores(items, np.array([np.nan])))
