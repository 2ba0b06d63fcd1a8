"""Quadrature and its iterations: plain loops, fine grids, units, order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DesignError
from harness.stats.irt.joint import fit_joint
from harness.stats.irt.likelihood import (
    Answers,
    Curves,
    Grid,
    better_grid,
    expect,
    grid_for,
    settle,
)
from harness.stats.irt.marginal import Kind, Shrinkage, fit_marginal
from harness.stats.irt.uncertainty import covariance, of_parameters

nan = math.nan


@pytest.fixture
def drawn():
    """Return a maker of responses to a 2PL."""

    def make(n_respondents, n_items, *, missing=0.0, rng=0):
        rng = np.random.default_rng(rng)
        a = np.exp(rng.normal(0, 0.3, n_items))
        theta = rng.normal(size=(n_respondents, 1))
        p = 1 / (1 + np.exp(-a * (theta - rng.normal(size=n_items))))
        responses = (rng.random(p.shape) < p) * 1.0
        responses[rng.random(p.shape) < missing] = nan
        return responses

    return make


def by_loops(responses, curves, grid):
    """Return log-likelihood, abilities, and expected right answers, cell by cell."""
    guess = np.zeros(len(curves.slope)) if curves.guess is None else curves.guess
    total, abilities, scores = 0.0, [], np.zeros((len(guess), 2))
    for row in responses:
        likelihood = np.exp(grid.log_weights)
        for x, a, d, c in zip(row, curves.slope, curves.intercept, guess, strict=True):
            p = c + (1 - c) / (1 + np.exp(-(a * grid.nodes + d)))
            if not math.isnan(x):
                likelihood = likelihood * (p if x else 1 - p)
        total += math.log(likelihood.sum())
        posterior = likelihood / likelihood.sum()
        abilities.append(float(posterior @ grid.nodes))
        for j, (a, d, c) in enumerate(
            zip(curves.slope, curves.intercept, guess, strict=True)
        ):
            knows = 1 / (1 + np.exp(-(a * grid.nodes + d)))
            p = c + (1 - c) * knows
            if not math.isnan(row[j]):
                known = knows / p if row[j] else 0 * p
                error = posterior * (known - knows)
                scores[j] += [error @ grid.nodes, error.sum()]
    return total, abilities, scores


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("guess", [None, 0.2])
def test_a_pass_agrees_with_plain_loops(drawn, missing, guess):
    responses = drawn(20, 9, missing=missing)
    rng = np.random.default_rng(5)
    guess = None if guess is None else np.full(9, guess)
    curves = Curves(rng.normal(1, 0.5, 9), rng.normal(size=9), guess)
    grid = grid_for(curves)
    total, abilities, scores = by_loops(responses, curves, grid)

    found = expect(Answers.of(responses), curves, grid)

    assert found.log_likelihood == pytest.approx(total)
    assert found.ability == pytest.approx(abilities)
    assert found.score() == pytest.approx(scores)


@pytest.mark.parametrize("guess", [None, 0.2])
def test_sufficient_statistics_and_masked_products_agree(drawn, guess):
    """All answered, told or not told that they are: two ways to the same sums."""
    responses = drawn(50, 30)
    guess = None if guess is None else np.full(30, guess)
    curves = Curves(np.ones(30), np.zeros(30), guess)
    grid = grid_for(curves)
    fast = expect(Answers(responses, None), curves, grid)
    slow = expect(Answers(responses, np.ones_like(responses)), curves, grid)

    assert slow.log_likelihood == pytest.approx(fast.log_likelihood, abs=1e-9)
    assert slow.score() == pytest.approx(fast.score())
    for one, other in zip(slow.information(), fast.information(), strict=True):
        assert one == pytest.approx(other)


@pytest.mark.parametrize("n_items", [5, 100, 2_000])
def test_the_log_likelihood_is_that_of_a_finer_grid(drawn, n_items):
    """mirt's, on its own 61 nodes, is off by 1,080 at 5,000 items."""
    answers = Answers.of(drawn(60, n_items))
    fitted = fit_marginal(answers, Kind(shrinkage=Shrinkage()))
    nodes = np.linspace(-8, 8, 16_001 if n_items < 2_000 else 4_001)
    log_weights = -(nodes**2) / 2 - math.log(2 * math.pi) / 2
    fine = Grid(nodes, log_weights + math.log(nodes[1] - nodes[0]))

    exact = expect(answers, fitted.curves, fine)

    assert fitted.log_likelihood == pytest.approx(exact.log_likelihood, abs=1e-4)
    assert fitted.ability == pytest.approx(exact.ability, abs=1e-6)
    assert fitted.ability_sd == pytest.approx(exact.ability_sd, rel=1e-4)


def test_nodes_are_closer_than_posteriors_are_wide(drawn):
    answers = Answers.of(drawn(40, 2_000))
    found = settle(answers, Curves(np.ones(2_000), np.zeros(2_000)))

    assert np.diff(found.nodes).max() < found.narrowest
    assert found.narrowest == pytest.approx(1 / math.sqrt(1 + 2_000 / 4), rel=1e-3)
    assert found.narrowest < 1.01 * found.ability_sd.min()


def test_a_grid_follows_respondents_who_are_far_out():
    """All right on 200 easy items: beyond the 4 SD that a grid usually has."""
    responses = np.ones((3, 200))
    found = settle(Answers.of(responses), Curves(np.full(200, 2.0), np.full(200, -6.0)))

    assert 4.5 < found.ability[0] < 7
    assert not found.is_cut[0]
    assert found.nodes[0] > 3  # and follows them only


def test_a_grid_that_is_too_coarse_is_refined(drawn):
    answers = Answers.of(drawn(40, 500))
    curves = Curves(np.ones(500), np.zeros(500))
    nodes = np.linspace(-4, 4, 33)
    coarse = Grid(nodes, -(nodes**2) / 2)
    better = better_grid(coarse, expect(answers, curves, coarse), curves)

    assert better is not None
    assert better.step < 1 / math.sqrt(1 + 500 / 4) < coarse.step


def test_an_extrapolation_that_loses_is_taken_back(drawn, monkeypatch):
    answers = Answers.of(drawn(800, 6))
    fitted = fit_marginal(answers, Kind())
    monkeypatch.setattr("harness.stats.irt.marginal.LARGEST_LOSS", -math.inf)
    slow = fit_marginal(answers, Kind())

    assert slow.n_iterations > fitted.n_iterations
    assert slow.log_likelihood == pytest.approx(fitted.log_likelihood, abs=1e-4)


def test_too_many_nodes_are_refused(monkeypatch):
    monkeypatch.setattr("harness.stats.irt.likelihood.MOST_CELLS", 1_000)
    with pytest.raises(DesignError, match="method='joint'") as refused:
        grid_for(Curves(np.ones(100), np.zeros(100)))

    assert refused.value.code == "grid-too-coarse"


@pytest.mark.parametrize("kind", [Kind(), Kind(common_slope=True)])
def test_nothing_near_is_more_likely(drawn, kind):
    """At the maximum the score of the marginal log-likelihood is 0."""
    answers = Answers.of(drawn(800, 8, missing=0.1))
    fitted = fit_marginal(answers, kind)
    by_slope, by_intercept = settle(answers, fitted.curves).score().T

    assert fitted.converged
    assert np.abs(by_intercept).max() < 0.05
    if kind.common_slope:
        by_slope = by_slope.sum()
    assert np.abs(by_slope).max() < 0.05


def test_units_of_a_test_that_measures_nothing():
    """Coin flips: priors must not draw every slope to 0 without end."""
    coins = np.random.default_rng(0).integers(0, 2, (60, 40)) * 1.0
    fitted = fit_marginal(Answers.of(coins), Kind(shrinkage=Shrinkage()))

    assert fitted.converged
    assert np.abs(fitted.curves.slope).mean() < 0.5


def test_joint_and_marginal_fits_agree_on_long_tests(drawn):
    responses = drawn(100, 1_500)
    responses = responses[:, np.ptp(responses, axis=0) > 0]
    answers, kind = Answers.of(responses), Kind(shrinkage=Shrinkage())
    marginal, (joint, _) = fit_marginal(answers, kind), fit_joint(answers, kind)

    assert joint.ability == pytest.approx(marginal.ability, abs=0.1)
    assert joint.curves.intercept == pytest.approx(marginal.curves.intercept, abs=0.15)


@pytest.mark.parametrize("n_items", [101, 200])
@pytest.mark.parametrize(
    "kind",
    [
        Kind(),
        Kind(common_slope=True),
        Kind(shrinkage=Shrinkage()),
        Kind(shrinkage=Shrinkage(), common_slope=True),
    ],
)
def test_errors_item_by_item_are_nearly_exact(drawn, monkeypatch, n_items, kind):
    """Beyond 100 items the one stands for the other: to 8 %."""
    answers = Answers.of(drawn(600, n_items))
    curves = fit_marginal(answers, kind).curves
    near = covariance(answers, curves, kind)
    monkeypatch.setattr("harness.stats.irt.uncertainty.FEW_ITEMS", n_items)
    exact = covariance(answers, curves, kind)

    difficulty = [of_parameters(own, curves)[:, 1, 1] for own in (near, exact)]
    for one, other in (
        (near[:, 0, 0], exact[:, 0, 0]),
        (near[:, 1, 1], exact[:, 1, 1]),
        difficulty,
    ):
        assert np.sqrt(one / other) == pytest.approx(1, abs=0.08)
    assert not near[:, 2].any()
    assert not exact[:, 2].any()


@pytest.mark.slow
def test_errors_with_guessing_item_by_item_are_nearly_exact(drawn, monkeypatch):
    """Expected, not observed information: to 10 % in the median."""
    answers = Answers.of(drawn(600, 101))
    kind = Kind(shrinkage=Shrinkage(), guessing=0.2)
    curves = fit_marginal(answers, kind).curves
    near = covariance(answers, curves, kind)
    monkeypatch.setattr("harness.stats.irt.uncertainty.FEW_ITEMS", 101)
    exact = covariance(answers, curves, kind)

    difficulty = [of_parameters(own, curves)[:, 1, 1] for own in (near, exact)]
    for one, other in (
        (near[:, 1, 1], exact[:, 1, 1]),
        (near[:, 2, 2], exact[:, 2, 2]),
        difficulty,
    ):
        assert np.median(np.sqrt(one / other)) == pytest.approx(1, abs=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    responses = rng.integers(0, 2, (40, 6)) * 1.0
    responses[:2] = [[0] * 6, [1] * 6]
    responses[2:, 0] = responses[2:, 1:].mean(1) > 0.5
    rows, columns = rng.permutation(40), rng.permutation(6)
    kind = Kind(shrinkage=Shrinkage())
    one = fit_marginal(Answers.of(responses), kind)
    other = fit_marginal(Answers.of(responses[np.ix_(rows, columns)]), kind)

    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-3)
    assert other.curves.slope == pytest.approx(one.curves.slope[columns], abs=1e-2)
    assert other.ability == pytest.approx(one.ability[rows], abs=1e-2)
