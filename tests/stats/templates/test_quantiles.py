"""Quantiles over templates from few answers: scikit-learn's fit, truth, edges."""

import numpy as np
import pytest
from scipy.special import expit

from harness.errors import DesignError
from harness.stats.templates.quantiles import (
    balanced_sample,
    budget_errors,
    template_quantiles,
)

nan = np.nan


def rasch_answers(rng, n_templates, n_items, sd=0.5):
    logit = rng.normal(0.2, sd, (n_templates, 1)) + rng.normal(0, 1.5, n_items)
    return (rng.random(logit.shape) < expit(logit)) * 1.0


def plainly(scores, prior_variance, solver="lbfgs"):
    """Return means as the source computes them: scikit-learn on a wide table."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, columns = np.nonzero(~np.isnan(scores))
    n, m = scores.shape
    design = np.hstack([np.eye(n)[rows], np.eye(m)[columns]])[:, :-1]
    fit = linear_model.LogisticRegression(
        C=prior_variance,
        fit_intercept=False,
        tol=1e-12,
        max_iter=10_000,
        solver=solver,
    ).fit(design, scores[rows, columns])
    theta, beta = fit.coef_[0][:n], np.append(fit.coef_[0][n:], 0)
    filled = np.where(np.isnan(scores), expit(theta[:, None] + beta), scores)
    return filled.mean(1)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
@pytest.mark.parametrize("prior_variance", [100, 1])
def test_means_are_those_of_scikit_learn_s_fit(shape, prior_variance):
    rng = np.random.default_rng(1)
    scores = rasch_answers(rng, *shape)
    scores[~balanced_sample(shape, 90, rng=rng)] = nan
    found = template_quantiles(scores, prior_variance=prior_variance)

    assert found.means == pytest.approx(plainly(scores, prior_variance), abs=1e-5)
    assert found.quantiles == pytest.approx(
        np.percentile(found.means, [5, 25, 50, 75, 95])
    )
    assert found.n_seen == 90


@pytest.mark.parametrize("seed", [2, 9])
def test_a_step_that_overshoots_is_taken_back(seed):
    rng = np.random.default_rng(seed)
    luck = rng.random((12, 10))
    scores = (luck < expit(rng.normal(0, 4, (12, 1)) + rng.normal(0, 4, 10))) * 1.0
    scores[rng.random((12, 10)) >= 0.3] = nan
    found = template_quantiles(scores, prior_variance=1e6)

    theirs = plainly(scores, 1e6, solver="newton-cholesky")
    assert found.means == pytest.approx(theirs, abs=1e-6)


def test_with_all_answers_quantiles_are_those_of_the_grid():
    scores = rasch_answers(np.random.default_rng(2), 20, 40)
    found = template_quantiles(scores)

    assert found.quantiles == pytest.approx(found.naive)
    assert found.means == pytest.approx(scores.mean(1))


def test_the_naive_estimate_is_the_mean_of_what_is_seen():
    scores = np.array([[1, 0, nan], [nan, 1, 1], [nan, nan, nan]])
    found = template_quantiles(scores, probabilities=(0, 0.5, 1))

    assert found.naive == pytest.approx([0.5, 0.75, 1])
    assert found.cautions[0].code == "templates-not-asked"
    assert "1 of 3" in found.cautions[0].text


def test_answers_that_all_agree_keep_finite_logits():
    scores = np.ones((4, 6))
    scores[0, 3:] = nan
    found = template_quantiles(scores)

    assert 0.98 < found.means[0] < 1
    assert (found.means[1:] == 1).all()


def test_borrowing_between_templates_pays_and_a_prior_pays_more():
    scores = rasch_answers(np.random.default_rng(3), 60, 120)
    options = {"n_draws": 8, "rng": 1}
    published = budget_errors(scores, [240, 2_400], **options)
    ours = budget_errors(scores, [240, 2_400], prior_variance=1, **options)

    assert (published.error[1] < published.naive_error[1]).mean() > 0.5
    assert ours.error[0].mean() < published.error[0].mean() / 2
    assert (ours.error[0, [0, 4]] < ours.naive_error[0, [0, 4]] / 2).all()
    # Chance sends the naive quantiles outwards.
    assert published.naive_bias[0, 0] < 0 < published.naive_bias[0, -1]
    assert published.truth == pytest.approx(
        np.quantile(scores.mean(1), [0.05, 0.25, 0.5, 0.75, 0.95])
    )


def test_at_the_whole_budget_nothing_is_wrong():
    scores = rasch_answers(np.random.default_rng(4), 5, 6)
    found = budget_errors(scores, [30], n_draws=2, rng=1)

    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.naive_error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "budget"), [((7, 11), 40), ((11, 4), 30), ((3, 3), 9)]
)
def test_a_balanced_sample_asks_templates_and_items_evenly(shape, budget):
    seen = balanced_sample(shape, budget, rng=1)

    assert seen.sum() == budget
    assert np.ptp(seen.sum(1)) <= 1
    assert np.ptp(seen.sum(0)) <= 2


def test_a_balanced_sample_follows_its_stream():
    assert (
        balanced_sample((5, 9), 20, rng=3) == balanced_sample((5, 9), 20, rng=3)
    ).all()
    assert (
        balanced_sample((5, 9), 20, rng=3) != balanced_sample((5, 9), 20, rng=4)
    ).any()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: balanced_sample((3, 4), 13), "subset-size"),
        (lambda: balanced_sample((3, 4), 0), "subset-size"),
        (lambda: template_quantiles(np.full((2, 2), nan)), "no-responses"),
        (lambda: template_quantiles(np.array([[0, 2.0]])), "scores-not-bounded"),
        (lambda: budget_errors(np.full((2, 2), nan), [2]), "missing-scores"),
    ],
)
def test_what_cannot_be_told_is_refused(call, code):
    with pytest.raises(DesignError) as e:
        call()
    assert e.value.code == code


def test_quantiles_are_tables():
    scores = rasch_answers(np.random.default_rng(5), 4, 6)
    errors = budget_errors(scores, [8, 12], n_draws=2, rng=1)
    scores[1:, :3] = nan
    scores[0] = nan
    found = template_quantiles(scores)

    assert len(found.to_frame()) == 5
    assert found.to_dict()["n_seen"] == 9
    assert list(errors.to_frame()["budget"]) == [8] * 5 + [12] * 5
    assert errors.to_dict()["prior_variance"] == 100
