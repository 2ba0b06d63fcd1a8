"""Abilities: against R and integration, coverage, a plain loop, edges by name."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DesignError
from harness.stats.irt import ability as module
from harness.stats.irt.ability import abilities, log_likelihoods
from harness.stats.irt.information import information_at
from harness.stats.irt.model import ItemModel

GOLDEN = Path(__file__).parents[2] / "golden" / "irt_person_item_fit.csv"
METHODS = ["eap", "map", "mle"]

nan = np.nan


@pytest.fixture(scope="module")
def erm():
    with GOLDEN.open() as lines:
        rows = list(csv.DictReader(lines))
    return {
        what: np.array([float(r["value"]) for r in rows if r["what"] == what])
        for what in {r["what"] for r in rows}
    }


def log_posterior(items, answers, theta, prior_sd):
    """One respondent, one ability: the definition, item by item."""
    total = -((theta / prior_sd) ** 2) / 2
    for y, p in zip(answers, items.probabilities(np.array([theta]))[0], strict=True):
        if not np.isnan(y):
            total += np.log(p if y else 1 - p)
    return total


def test_maximum_likelihood_of_lsat6_agrees_with_erm(model, erm):
    """For Rasch items every pattern of one raw score has the same ability."""
    items = model(1.0, erm["difficulty"], name="rasch")
    patterns = np.tri(5)[:4]
    ours = abilities(items, patterns, method="mle")

    # eRm searches by numerical differences; at ours the expected score is the raw one.
    np.testing.assert_allclose(ours.ability, erm["ability"], atol=5e-6)
    np.testing.assert_allclose(ours.se, erm["ability_se"], atol=5e-5)
    np.testing.assert_allclose(
        items.probabilities(ours.ability).sum(1), [1, 2, 3, 4], atol=1e-12
    )
    other = abilities(items, patterns[:, ::-1], method="mle")
    np.testing.assert_allclose(other.ability, ours.ability)


@pytest.mark.parametrize("c", [0.0, 0.2])
@pytest.mark.parametrize("ability_sd", [1.0, 0.6])
def test_posterior_means_agree_with_adaptive_integration(simulated_test, c, ability_sd):
    from scipy.integrate import quad

    items, _, answers = simulated_test(6, 12, c=c, ability_sd=ability_sd)
    answers[0], answers[1] = 1, 0
    answers[2, :11] = nan
    ours = abilities(items, answers, method="eap")
    for row, mean, sd in zip(answers, ours.ability, ours.se, strict=True):

        def moment(power, row=row):
            def density(t):
                return t**power * np.exp(log_posterior(items, row, t, ability_sd))

            return quad(density, -9, 9, epsabs=1e-13, epsrel=1e-11, limit=300)[0]

        mass, first, second = (moment(power) for power in range(3))
        assert mean == pytest.approx(first / mass, abs=1e-7)
        assert sd == pytest.approx(np.sqrt(second / mass - mean**2), abs=1e-7)


@pytest.mark.parametrize("method", ["map", "mle"])
@pytest.mark.parametrize("c", [0.0, 0.2])
def test_modes_agree_with_scipy_s_search(simulated_test, method, c):
    from scipy.optimize import minimize_scalar

    items, _, answers = simulated_test(40, 25, c=c, ability_sd=0.8)
    answers[:, 3] = nan
    answers[5, 4:9] = nan
    prior_sd = 0.8 if method == "map" else np.inf
    ours = abilities(items, answers, method=method)
    for r in np.flatnonzero(~np.isnan(ours.ability)):

        def loss(t, r=r):
            return -log_posterior(items, answers[r], t, prior_sd)

        # Guessing may leave several maxima: ours is the highest of all abilities.
        near = min(np.linspace(-8, 8, 161), key=loss)
        best = minimize_scalar(
            loss, bounds=(near - 0.2, near + 0.2), options={"xatol": 1e-10}
        )
        assert ours.ability[r] == pytest.approx(best.x, abs=1e-6)


def test_standard_errors_are_the_information_of_the_items_answered(simulated_test):
    items, _, answers = simulated_test(20, 30, ability_sd=0.7)
    mle = abilities(items, answers, method="mle")
    posterior = abilities(items, answers, method="map")

    np.testing.assert_allclose(
        mle.se, 1 / np.sqrt(information_at(items, mle.ability)), rtol=1e-6
    )
    np.testing.assert_allclose(
        posterior.se,
        1 / np.sqrt(information_at(items, posterior.ability) + 0.7**-2),
        rtol=1e-6,
    )
    answers[:, 15:] = nan
    half = abilities(items, answers, method="map")
    assert (half.se > posterior.se).all()
    assert (half.n_answers == 15).all()


def test_each_method_gives_another_number(simulated_test):
    items, _, answers = simulated_test(5, 15)
    eap, mode, mle = (abilities(items, answers, method=m) for m in METHODS)

    assert not np.isclose(eap.ability, mode.ability, atol=1e-4).any()
    has_mle = ~np.isnan(mle.ability)
    assert (np.abs(mode.ability) < np.abs(mle.ability))[has_mle].all()
    assert len({eap.method, mode.method, mle.method}) == 3


def test_girth_agrees_while_it_does_not_underflow(simulated_test):
    girth = pytest.importorskip("girth")
    items, _, answers = simulated_test(100, 40)
    theirs = girth.ability_eap(
        answers.T.astype(int),
        items.difficulty,
        items.discrimination,
        {"quadrature_n": 121, "quadrature_bounds": (-7, 7)},
    )

    np.testing.assert_allclose(
        abilities(items, answers, method="eap").ability, theirs, atol=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
def test_nothing_underflows_at_14_000_items(simulated_test, method):
    """girth 0.8.0's posterior mean is nan from 1,200 items on."""
    items, theta, answers = simulated_test(60, 14_000)
    ours = abilities(items, answers, method=method)
    low, high = ours.intervals(confidence_level=0.999)

    assert np.sqrt(np.mean((ours.ability - theta) ** 2)) < 0.03
    assert 0.01 < ours.se.min() < ours.se.max() < 0.1
    assert ((low < theta) & (theta < high)).all()
    assert ours.cautions == ()


def test_quadrature_follows_a_posterior_far_outside_the_prior(model):
    """14,000 items, all right: the posterior is at 8 SDs, narrow, and not symmetric."""
    items = model(1.0, np.random.default_rng(3).normal(0, 1, 14_000))
    ours = abilities(items, np.ones((1, 14_000)), method="eap")
    nodes = np.linspace(5, 12, 701)
    height = [-np.log1p(np.exp(items.difficulty - t)).sum() - t**2 / 2 for t in nodes]
    height = np.array(height)
    weights = np.exp(height - height.max())

    assert ours.ability.item() == pytest.approx(np.average(nodes, weights=weights))
    assert ours.ability.item() > 7


def test_steep_items_and_distant_ones_are_integrated_too(model):
    items = model([40.0, 0.05, 25.0], [0.5, 300.0, 0.7])
    answers = np.array([[1.0, 0, 0], [1, 1, 1], [0, 0, 1]])
    ours = abilities(items, answers, method="eap")
    nodes = np.linspace(-9, 9, 200_001)
    for row, mean in zip(answers, ours.ability, strict=True):
        height = log_likelihoods(items, row[None], nodes)[0] - nodes**2 / 2
        weights = np.exp(height - height.max())

        assert mean == pytest.approx(np.average(nodes, weights=weights), abs=1e-6)


@pytest.mark.parametrize("c", [0.0, 0.25])
def test_log_likelihoods_item_by_item(simulated_test, c):
    items, _, answers = simulated_test(4, 9, c=c)
    answers[1, 2:5] = nan
    nodes = np.linspace(-3, 3, 300)
    table = log_likelihoods(items, answers, nodes)

    plain = [[log_posterior(items, row, t, np.inf) for t in nodes] for row in answers]
    np.testing.assert_allclose(table, plain, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_response_is_as_no_item(simulated_test, model, method):
    items, _, answers = simulated_test(8, 12)
    answers[:, 6:] = nan
    fewer = model(items.discrimination[:6], items.difficulty[:6])

    ours = abilities(items, answers, method=method)
    theirs = abilities(fewer, answers[:, :6], method=method)

    np.testing.assert_allclose(ours.ability, theirs.ability, atol=1e-8)
    np.testing.assert_allclose(ours.se, theirs.se, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_respondents_do_not_depend_on_their_neighbours(simulated_test, method):
    items, _, answers = simulated_test(30, 200, c=0.1)
    together = abilities(items, answers, method=method)
    alone = [abilities(items, row[None], method=method) for row in answers]

    np.testing.assert_allclose(
        together.ability, [one.ability.item() for one in alone], atol=1e-9
    )
    np.testing.assert_allclose(together.se, [one.se.item() for one in alone], atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(0.2, 5))
def test_another_unit_of_ability_changes_nothing_else(seed, shift, scale):
    rng = np.random.default_rng(seed)
    a, b = np.exp(rng.normal(0, 0.3, 10)), rng.normal(0, 1, 10)
    answers = 1.0 * (rng.random((4, 10)) < 0.6)

    def items(a, b):
        return ItemModel(
            model="2pl",
            item_ids=tuple("abcdefghij"),
            discrimination=a,
            difficulty=b,
            guessing=np.zeros(10),
        )

    plain = abilities(items(a, b), answers, method="mle")
    moved = abilities(items(a / scale, shift + b * scale), answers, method="mle")

    np.testing.assert_allclose(
        moved.ability, shift + scale * plain.ability, atol=1e-6 * scale
    )
    np.testing.assert_allclose(moved.se, scale * plain.se, rtol=1e-6)


def test_all_right_and_all_wrong_have_no_likeliest_ability(model, codes):
    items = model([1, 2, 0.5], [0, 1, -1])
    answers = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 1], [1, nan, nan]])
    ours = abilities(items, answers, method="mle")

    assert np.isnan(ours.ability).tolist() == [True, True, False, True]
    assert np.isnan(ours.se).tolist() == [True, True, False, True]
    assert codes(ours) == ["no-finite-ability"]
    assert "3 of 4 respondents (first: rows 0, 1, 3)" in ours.cautions[0].text
    for method in ("eap", "map"):
        shrunken = abilities(items, answers, method=method)
        assert shrunken.ability[0] > shrunken.ability[2] > shrunken.ability[1]
        assert shrunken.cautions == ()


def test_an_item_that_the_able_get_wrong_turns_the_rule_round(model):
    """All right is not extreme, but right exactly where ability helps is."""
    items = model([1, 1, -1], [0, 0, 0])
    mle = abilities(items, np.array([[1.0, 1, 1], [1, 1, 0]]), method="mle")

    assert mle.ability[0] == pytest.approx(np.log(2))
    assert np.isnan(mle.ability[1])


def test_no_better_than_guessed_has_no_likeliest_ability(model, codes):
    items = model(1.5, np.linspace(-1, 1, 8), 0.25)
    # The hardest alone is right: most likely guessed.
    answers = np.eye(8)[[7]]

    ours = abilities(items, answers, method="mle")
    assert np.isnan(ours.ability.item())
    assert codes(ours) == ["no-finite-ability"]
    assert np.isfinite(abilities(items, answers, method="eap").ability).all()


def test_one_wrong_of_14_000_is_finite(model):
    items = model(1.0, np.zeros(14_000))
    answers = np.ones((1, 14_000))
    answers[0, 0] = 0

    ours = abilities(items, answers, method="mle")
    assert ours.ability.item() == pytest.approx(np.log(13_999))


@pytest.mark.parametrize("method", METHODS)
def test_who_answered_nothing_has_no_ability(model, codes, method):
    items = model([1, 2], [0, 1])
    ours = abilities(items, np.array([[nan, nan], [1, 0]]), method=method)

    assert np.isnan(ours.ability).tolist() == [True, False]
    assert codes(ours) == ["no-answers"]
    nobody = abilities(items, np.full((3, 2), nan), method=method)
    assert np.isnan(nobody.se).all()
    assert "3 of 3" in nobody.cautions[0].text


def test_steps_of_ability_are_crossed_by_halving(model):
    """Items as steep as a step tell Newton's method nothing of where the step is."""
    items = model(1e4, [0.013, 0.021])
    mle = abilities(items, np.array([[1.0, 0]]), method="mle")

    assert mle.ability.item() == pytest.approx(0.017, abs=1e-3)


def test_a_search_that_does_not_end_is_no_ability(simulated_test, monkeypatch, codes):
    items, _, answers = simulated_test(3, 20)
    monkeypatch.setattr(module, "MAX_STEPS", 1)

    ours = abilities(items, answers, method="mle")
    assert np.isnan(ours.ability).all()
    assert codes(ours) == ["no-finite-ability"]


@pytest.mark.parametrize(
    ("answers", "options", "code", "words"),
    [
        (np.ones((2, 2)), {"method": "wle"}, "unknown-method", "eap, map, mle"),
        (np.ones((2, 3)), {}, "responses-shape", r"\(2, 3\), and the model has 2"),
        (np.ones(2), {}, "responses-shape", r"\(2,\)"),
        (
            np.array([[1, 0.5], [2, nan]]),
            {},
            "responses-not-binary",
            "2 responses .* 0.5 of respondent 0 to item i1, 2 of respondent 1",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(model, answers, options, code, words):
    with pytest.raises(DesignError, match=words) as caught:
        abilities(model([1, 2], [0, 1]), answers, **options)

    assert caught.value.code == code


def test_results_as_json_and_as_a_table(model):
    ours = abilities(model(1, [0, 1]), np.array([[1.0, 0], [1, 1]]), method="mle")

    row = json.loads(json.dumps(ours.to_dict()))
    assert row["ability"] == [pytest.approx(0.5), None]
    assert row["se"][1] is None
    assert row["n_answers"] == [2, 2]
    assert row["cautions"][0]["code"] == "no-finite-ability"
    assert list(ours.to_frame()) == ["ability", "se", "n_answers", "method"]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("n_items", "c"), [(30, 0.0), (100, 0.0), (1000, 0.0), (100, 0.25)]
)
def test_coverage_is_93_to_97_percent(simulated_test, method, n_items, c):
    items, theta, answers = simulated_test(4000, n_items, c=c, rng=20240601)
    ours = abilities(items, answers, method=method)
    low, high = ours.intervals()
    is_known = ~np.isnan(ours.ability)

    covered = (low <= theta) & (theta <= high)
    assert 0.93 <= covered[is_known].mean() <= 0.97
    wide = ours.intervals(confidence_level=0.99)
    assert (wide[0][is_known] < low[is_known]).all()


def test_no_estimate_has_a_smaller_squared_error_than_the_posterior_mean(
    simulated_test,
):
    items, theta, answers = simulated_test(3000, 10)
    errors = [
        np.nanmean((abilities(items, answers, method=m).ability - theta) ** 2)
        for m in METHODS
    ]

    assert errors[0] == min(errors)
    # The mean squared error is the mean posterior variance.
    se = abilities(items, answers, method="eap").se
    assert errors[0] == pytest.approx((se**2).mean(), rel=0.06)
