"""Item fit: against eRm, calibration of the test, its power, edges by name."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DesignError
from harness.stats.irt.ability import abilities
from harness.stats.irt.item_fit import expected_answers, item_fit, mean_squares

GOLDEN = Path(__file__).parents[2] / "golden" / "irt_person_item_fit.csv"

LSAT6 = [
    *(3, 6, 2, 11, 1, 1, 3, 4, 1, 8, 0, 16, 0, 3, 2, 15),
    *(10, 29, 14, 81, 3, 28, 15, 80, 16, 56, 21, 173, 11, 61, 28, 298),
]
"""Respondents with each pattern of five answers, 00000 to 11111."""

nan = np.nan


@pytest.fixture(scope="module")
def erm():
    with GOLDEN.open() as lines:
        rows = list(csv.DictReader(lines))
    return {
        what: np.array([float(r["value"]) for r in rows if r["what"] == what])
        for what in {r["what"] for r in rows}
    }


@pytest.fixture(scope="module")
def lsat6():
    patterns = np.arange(32)[:, None] >> np.arange(4, -1, -1) & 1
    return np.repeat(patterns, LSAT6, axis=0).astype(float)


def test_mean_squares_of_lsat6_agree_with_erm(model, erm, lsat6):
    items = model(1.0, erm["difficulty"], name="rasch")
    fit = item_fit(items, lsat6)

    np.testing.assert_allclose(fit.outfit, erm["outfit"], atol=1e-5)
    np.testing.assert_allclose(fit.infit, erm["infit"], atol=1e-5)
    assert fit.n_answers.tolist() == [1000] * 5


def test_lsat6_fits_the_rasch_model(model, lsat6):
    """As everybody finds: Bock and Lieberman (1970), lme4's SD of ability .755."""
    easiness = [2.730, 0.999, 0.240, 1.306, 2.099]
    items = model(1.0, -np.array(easiness), ability_sd=0.755, name="rasch")
    fit = item_fit(items, lsat6)

    # At most five groups, rest scores of 0 to 4; the lowest are too rare for their own.
    assert fit.df.tolist() == [3, 3, 2, 3, 3]
    assert (fit.p_value > 0.05).all()


def test_mean_squares_by_their_definition(simulated_test):
    items, theta, answers = simulated_test(30, 4, c=0.1)
    answers[3:9, 1] = nan
    theta[20] = nan
    outfit, infit = mean_squares(items, answers, theta)
    for j in range(4):
        rows = [r for r in range(30) if r != 20 and not np.isnan(answers[r, j])]
        p = [items.probabilities(theta[[r]])[0, j] for r in rows]
        squares = [(answers[r, j] - q) ** 2 for r, q in zip(rows, p, strict=True)]
        variances = [q * (1 - q) for q in p]

        assert outfit[j] == pytest.approx(np.mean(np.divide(squares, variances)))
        assert infit[j] == pytest.approx(sum(squares) / sum(variances))


def test_mean_squares_of_true_abilities_are_1(simulated_test):
    items, theta, answers = simulated_test(4000, 40)
    outfit, infit = mean_squares(items, answers, theta)

    np.testing.assert_allclose(infit, 1, atol=0.06)
    assert outfit.mean() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("c", [0.0, 0.2])
def test_expected_answers_are_those_given_the_other_answers(simulated_test, c):
    """By leaving the item out of the posterior and integrating anew."""
    items, _, answers = simulated_test(5, 7, c=c, ability_sd=0.8)
    answers[4, 2:5] = nan
    ours = expected_answers(items, answers)
    nodes = np.linspace(-8, 8, 4001)
    p = items.probabilities(nodes)
    for r, row in enumerate(answers):
        for j in range(7):
            others = np.array([i for i in range(7) if i != j and not np.isnan(row[i])])
            weights = np.exp(-((nodes / 0.8) ** 2) / 2) * np.prod(
                np.where(row[others] == 1, p[:, others], 1 - p[:, others]), axis=1
            )

            if np.isnan(row[j]):
                assert np.isnan(ours[r, j])
            else:
                expected = np.average(p[:, j], weights=weights)
                assert ours[r, j] == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_respondents", "n_items", "c", "name"),
    [
        (500, 5, 0.0, "rasch"),
        (500, 5, 0.0, "2pl"),
        (500, 40, 0.0, "rasch"),
        (1000, 20, 0.25, "3pl"),
        (100, 30, 0.0, "2pl"),
        (400, 200, 0.0, "2pl"),
    ],
)
def test_p_values_of_known_items_are_uniform(
    simulated_test, answer, n_respondents, n_items, c, name
):
    items, _, _ = simulated_test(2, n_items, c=c, name=name)
    rng = np.random.default_rng(20240601)
    p_values = []
    for _ in range(2000 // n_items + 1):
        theta = rng.normal(size=n_respondents)
        fit = item_fit(items, answer(items, theta, rng), n_estimated=0)
        p_values.append(fit.p_value)
    p = np.concatenate(p_values)
    p = p[~np.isnan(p)]

    assert len(p) > 1900
    assert 0.035 <= np.mean(p < 0.05) <= 0.07
    for level in (0.25, 0.5, 0.75):
        assert np.mean(p < level) == pytest.approx(level, abs=0.04)


def test_a_wrong_curve_is_found(simulated_test, model):
    """Half of the discrimination it is said to have, and the other items fit."""
    items, theta, answers = simulated_test(1000, 25)
    rng = np.random.default_rng(3)
    flat = model(items.discrimination[0] / 4, items.difficulty[0])
    answers[:, 0] = rng.random(1000) < flat.probabilities(theta)[:, 0]
    fit = item_fit(items, answers, n_estimated=0)

    assert fit.p_value[0] < 1e-6
    assert fit.infit[0] > 1.1
    assert np.median(fit.p_value[1:]) > 0.2


def test_estimated_parameters_cost_degrees_of_freedom(simulated_test):
    items, _, answers = simulated_test(600, 8)
    known, fitted = (item_fit(items, answers, n_estimated=n) for n in (0, None))

    assert (known.df - fitted.df == 2).all()
    np.testing.assert_array_equal(known.chi_square, fitted.chi_square)
    assert (known.p_value > fitted.p_value).all()


@pytest.mark.parametrize("name", ["rasch", "2pl"])
def test_the_order_of_rows_does_not_matter(simulated_test, name):
    """Sorted by their answers they once were found not to fit, at p = 1e-90."""
    items, _, answers = simulated_test(800, 6, name=name)
    by_answer = answers[np.lexsort(answers.T)]

    one, other = item_fit(items, answers), item_fit(items, by_answer)

    np.testing.assert_allclose(one.chi_square, other.chi_square)
    np.testing.assert_array_equal(one.df, other.df)


def test_chi_square_of_rest_scores_by_hand(model):
    """Two items of one difficulty: e after right and after wrong, two groups."""
    items = model(1.0, [0.0, 0.0], name="rasch")
    counts = {(0, 0): 40, (0, 1): 25, (1, 0): 15, (1, 1): 60}
    answers = np.repeat(list(counts), list(counts.values()), axis=0).astype(float)
    fit = item_fit(items, answers, n_estimated=0)

    nodes = np.linspace(-9, 9, 5001)
    p = 1 / (1 + np.exp(-nodes))
    prior = np.exp(-(nodes**2) / 2)
    low, high = np.average(p, weights=prior * (1 - p)), np.average(p, weights=prior * p)
    # The first item, after a wrong and after a right answer to the second.
    groups = [(15, 55, low), (60, 85, high)]
    by_hand = sum((y - n * e) ** 2 / (n * e * (1 - e)) for y, n, e in groups)
    assert fit.df[0] == 2
    assert fit.chi_square[0] == pytest.approx(by_hand)


def test_a_small_last_group_joins_the_one_before(model):
    """Nearly all have one rest score; the few others are no group of their own."""
    items = model(1.0, [0.0, 0.0], name="rasch")
    answers = np.repeat([[0.0, 0], [1, 0], [1, 1]], [50, 40, 4], axis=0)
    fit = item_fit(items, answers, n_estimated=0)

    assert fit.df[0] == 1
    assert np.isfinite(fit.chi_square[0])


def test_missing_answers_and_silent_respondents_change_nothing(simulated_test):
    items, _, answers = simulated_test(300, 12)
    plain = item_fit(items, answers)
    more = item_fit(items, np.vstack([answers, np.full((3, 12), nan)]))

    for name in ("outfit", "infit", "chi_square", "p_value", "n_answers"):
        np.testing.assert_allclose(getattr(more, name), getattr(plain, name))
    answers[:100, 0] = nan
    assert item_fit(items, answers).n_answers.tolist() == [200, *[300] * 11]


def test_too_few_answers_are_no_test(simulated_test, codes):
    items, _, answers = simulated_test(30, 40)
    fit = item_fit(items, answers)

    assert np.isnan(fit.p_value).any()
    assert codes(fit)[0] == "too-few-answers"
    assert "add up to 15, at least 60 answers" in fit.cautions[0].text
    assert np.isfinite(fit.infit).all()
    np.testing.assert_array_equal(np.isnan(fit.p_value), fit.df == 0)


def test_all_right_has_neither_mean_squares_nor_test(model, codes):
    items = model([1, 2], [0, 1])
    fit = item_fit(items, np.ones((40, 2)))

    assert np.isnan(fit.outfit).all()
    assert np.isnan(fit.infit).all()
    assert "no-finite-ability" in codes(fit)
    nobody = item_fit(items, np.full((2, 2), nan))
    assert np.isnan(nobody.chi_square).all()
    row = json.loads(json.dumps(nobody.to_dict()))
    assert row["p_value"] == [None, None]
    assert row["item_id"] == ["i0", "i1"]


def test_scores_that_are_no_answers_are_refused(model):
    with pytest.raises(DesignError) as caught:
        item_fit(model([1, 2], [0, 1]), np.full((4, 2), 0.5))

    assert caught.value.code == "responses-not-binary"


def test_an_impossible_answer_is_infinitely_surprising(model):
    items = model(400.0, [0.0, 0.0])
    outfit, infit = mean_squares(items, np.array([[1.0, 0]]), np.array([-2.0]))

    assert outfit.tolist() == [np.inf, 0]
    assert infit[0] == np.inf
    answers = np.repeat([[1.0, 0, 1], [0, 1, 1]], 20, axis=0)
    fit = item_fit(model(400.0, [-3.0, 0, 3]), answers)
    row = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert row["outfit"] == [None if not np.isfinite(v) else v for v in fit.outfit]


def test_nothing_underflows_with_surprising_answers(model):
    """The ablest respondents get the easiest item wrong, at steepness 30."""
    items = model(30.0, np.linspace(-3, 3, 60))
    theta = np.linspace(-2, 2, 50)
    answers = 1.0 * (theta[:, None] > items.difficulty)
    answers[-5:, 0] = 0
    fit = item_fit(items, answers)
    expected = expected_answers(items, answers)

    assert np.isfinite(expected).all()
    assert ((expected >= 0) & (expected <= 1)).all()
    assert fit.outfit[0] > 1e6
    assert abilities(items, answers).cautions == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_respondents", "n_items", "n_tests"),
    [("2pl", 500, 10, 60), ("rasch", 500, 10, 60), ("3pl", 2000, 20, 20)],
)
def test_p_values_of_fitted_items_are_uniform(
    model, answer, name, n_respondents, n_items, n_tests
):
    """What fitting takes is what the degrees of freedom give back."""
    from harness.stats.irt.fit import fit_irt

    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(n_tests):
        a = 1.0 if name == "rasch" else np.exp(rng.normal(0, 0.3, n_items))
        c = 0.25 if name == "3pl" else 0.0
        truth = model(a, rng.normal(0, 1, n_items), c)
        answers = answer(truth, rng.normal(size=n_respondents), rng)
        fitted = fit_irt(answers, model=name, method="marginal").items
        p_values.append(item_fit(fitted, answers).p_value)
    p = np.concatenate(p_values)
    p = p[~np.isnan(p)]

    assert len(p) >= 390
    assert 0.02 <= np.mean(p < 0.05) <= 0.08
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.07)
