"""How do templates score on the whole, if few answers can be afforded?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.resample import RNGLike, SeedLike, check_scores

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of performance over templates, those of the source."""

PRIOR_VARIANCE = 100.0
"""The source's C: variance of the normal prior of logits, which is next to none."""

SAME = 1e-12
"""Log-likelihoods that differ by less, relative to their size, differ by rounding."""

MAX_STEPS, CLOSE = 100, 1e-8
"""Of Newton's method: at most so many, of which about eight are taken, until logits
move by less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TemplateQuantiles:
    """How a model scores over templates, from some of the answers.

    Attributes
    ----------
    quantiles : ndarray, shape (n_probabilities,)
        Of the estimated means, at `probabilities`.
    naive : ndarray, shape (n_probabilities,)
        Of the means over the answers that each template has: too wide by their chance.
    means : ndarray, shape (n_templates,)
        Estimated mean of each template over all items.
    n_seen : int
        Answers behind it, of ``n_templates * n_items``.
    """

    probabilities: tuple[float, ...]
    quantiles: Floats
    naive: Floats
    means: Floats
    n_seen: int
    n_templates: int
    n_items: int
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "probabilities": list(self.probabilities),
            "quantiles": self.quantiles.tolist(),
            "naive": [None if v != v else v for v in self.naive.tolist()],
            "means": self.means.tolist(),
            "n_seen": self.n_seen,
            "n_templates": self.n_templates,
            "n_items": self.n_items,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each quantile."""
        import pandas as pd

        return pd.DataFrame(
            {
                "probability": self.probabilities,
                "quantile": self.quantiles,
                "naive": self.naive,
                "n_seen": self.n_seen,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BudgetErrors:
    """How far off quantiles over templates are that few answers give.

    Attributes
    ----------
    budgets : tuple of int
        Answers bought of ``n_templates * n_items``.
    truth : ndarray, shape (n_probabilities,)
        Quantiles of the means of the full grid.
    error, naive_error : ndarray, shape (n_budgets, n_probabilities)
        Root of the mean squared error over draws of which answers are bought.
    bias, naive_bias : ndarray, shape (n_budgets, n_probabilities)
        Mean error: that of the naive estimate is outwards.
    """

    probabilities: tuple[float, ...]
    budgets: tuple[int, ...]
    truth: Floats
    error: Floats
    naive_error: Floats
    bias: Floats
    naive_bias: Floats
    prior_variance: float
    n_draws: int
    n_templates: int
    n_items: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "probabilities": list(self.probabilities),
            "budgets": list(self.budgets),
            "truth": self.truth.tolist(),
            "error": self.error.tolist(),
            "naive_error": self.naive_error.tolist(),
            "bias": self.bias.tolist(),
            "naive_bias": self.naive_bias.tolist(),
            "prior_variance": self.prior_variance,
            "n_draws": self.n_draws,
            "n_templates": self.n_templates,
            "n_items": self.n_items,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each budget and quantile."""
        import pandas as pd

        shape = self.error.shape
        return pd.DataFrame(
            {
                "budget": np.repeat(self.budgets, shape[1]),
                "probability": np.tile(self.probabilities, shape[0]),
                "truth": np.tile(self.truth, shape[0]),
                "error": self.error.ravel(),
                "naive_error": self.naive_error.ravel(),
                "bias": self.bias.ravel(),
                "naive_bias": self.naive_bias.ravel(),
            }
        )


def template_quantiles(
    scores: Floats,
    *,
    probabilities: Sequence[float] = PROBABILITIES,
    prior_variance: float = PRIOR_VARIANCE,
) -> TemplateQuantiles:
    """Return quantiles of performance over templates from part of the answers.

    PromptEval with neither covariates of templates nor of items: the Rasch model
    ``logit P(score[t, i] = 1) = theta[t] + beta[i]`` is fitted to the answers that are
    there, and each template's mean is over its answers where seen and over their
    probabilities where not. It borrows from other templates how hard the items are that
    a template was not asked, and from the data what the model assumes: that no item
    suits some templates more than others.

    Parameters
    ----------
    scores : ndarray, shape (n_templates, n_items)
        From 0 to 1; ``nan`` where there is no answer.
    probabilities : sequence of float
        From 0 to 1.
    prior_variance : float
        Of each theta and beta, which are normal about 0. The source's 100 leaves a fit
        to about as many answers as there are parameters to chance; 1, about what logits
        vary by, halves the error there and more, and changes little with many answers.

    Raises
    ------
    DesignError
        ``scores-not-bounded``, ``no-responses``.

    Notes
    -----
    There is no interval: of these quantiles the spread over refits is not the error,
    since the fit draws them together. `budget_errors` says how far off they are, on a
    grid that is there in full.

    Cautions: ``templates-not-asked``, which have the mean of the prior, and no naive
    mean.

    References
    ----------
    F. Maia Polo et al., arXiv 2405.17202 (2024), and its code, which flips an answer at
    random where all agree; here the prior alone keeps the logits finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    seen = ~np.isnan(scores)
    if not seen.any():
        raise DesignError(
            "no template has an answer; give some of them", code="no-responses"
        )
    known = scores[seen]
    if known.min() < 0 or known.max() > 1:
        raise DesignError(
            f"the model of templates is for scores from 0 to 1, these go from "
            f"{known.min():.3g} to {known.max():.3g}; choose a metric that is bounded",
            code="scores-not-bounded",
        )
    means = _completed(scores, seen, prior_variance).mean(1)
    naive = _naive_means(scores, seen)
    cautions = []
    if n_apart := int(np.isnan(naive).sum()):
        text = (
            f"{n_apart} of {len(scores)} templates have no answer; ask each something"
        )
        cautions.append(Caution("templates-not-asked", text))
    return TemplateQuantiles(
        probabilities=tuple(probabilities),
        quantiles=np.quantile(means, probabilities),
        naive=np.nanquantile(naive, probabilities),
        means=means,
        n_seen=int(seen.sum()),
        n_templates=len(scores),
        n_items=scores.shape[1],
        cautions=tuple(cautions),
    )


def budget_errors(
    scores: Floats,
    budgets: Sequence[int],
    *,
    probabilities: Sequence[float] = PROBABILITIES,
    prior_variance: float = PRIOR_VARIANCE,
    n_draws: int = 20,
    rng: RNGLike | SeedLike | None = None,
) -> BudgetErrors:
    """Return how far off `template_quantiles` are at some budgets, on a full grid.

    Answers are bought by `balanced_sample`, anew in each draw; the naive estimate is
    from the same ones.

    Parameters
    ----------
    scores : ndarray, shape (n_templates, n_items)
        All of them, from 0 to 1.
    budgets : sequence of int
        Answers bought; ``2 * n_items`` costs as much as two templates in full.
    probabilities, prior_variance
        As for `template_quantiles`.

    Raises
    ------
    DesignError
        ``missing-scores``, ``scores-not-bounded``, ``subset-size``.
    """
    rng = np.random.default_rng(rng)
    scores = np.asarray(scores, dtype=np.float64)
    check_scores(scores)
    truth = np.quantile(scores.mean(1), probabilities)
    found = np.empty((2, len(budgets), n_draws, len(truth)))
    for b, budget in enumerate(budgets):
        for draw in range(n_draws):
            seen = balanced_sample(scores.shape, budget, rng=rng)
            part = template_quantiles(
                np.where(seen, scores, np.nan),
                probabilities=probabilities,
                prior_variance=prior_variance,
            )
            found[:, b, draw] = part.quantiles, part.naive
    apart = found - truth
    error, naive_error = np.sqrt((apart**2).mean(2))
    bias, naive_bias = apart.mean(2)
    return BudgetErrors(
        probabilities=tuple(probabilities),
        budgets=tuple(budgets),
        truth=truth,
        error=error,
        naive_error=naive_error,
        bias=bias,
        naive_bias=naive_bias,
        prior_variance=prior_variance,
        n_draws=n_draws,
        n_templates=len(scores),
        n_items=scores.shape[1],
    )


def balanced_sample(
    shape: tuple[int, int],
    budget: int,
    *,
    rng: RNGLike | SeedLike | None = None,
) -> Flags:
    """Return which answers to buy so that templates and items are asked evenly.

    The source's two-way balanced sampling: a template that has fewest answers is asked
    next, and of the items it has not answered one that was asked least; ties at random.

    Parameters
    ----------
    shape : tuple of int
        Numbers of templates and of items.
    budget : int
        From 1 to their product.

    Raises
    ------
    DesignError
        ``subset-size``.

    References
    ----------
    F. Maia Polo et al., arXiv 2405.17202 (2024), algorithm 2.
    """
    rng = np.random.default_rng(rng)
    n_templates, n_items = shape
    if not 1 <= budget <= n_templates * n_items:
        raise DesignError(
            f"{budget} answers cannot be bought of {n_templates} templates × {n_items} "
            f"items; choose 1 to {n_templates * n_items}",
            code="subset-size",
        )
    seen = np.zeros(shape, dtype=bool)
    n_asked = np.zeros(n_items, dtype=np.intp)
    order: npt.NDArray[np.intp] = np.empty(0, dtype=np.intp)
    least_asked: list[int] = []
    for answer in range(budget):
        # Each template once a round, which is what asking the least asked comes to.
        if answer % n_templates == 0:
            order = rng.permutation(n_templates)
        row = seen[order[answer % n_templates]]
        if not least_asked:
            least = np.flatnonzero(n_asked == n_asked.min())
            least_asked = rng.permutation(least).tolist()
        for place in range(len(least_asked)):
            if not row[least_asked[place]]:
                item = least_asked.pop(place)
                break
        else:
            often = np.where(row, budget, n_asked)
            item = int(rng.choice(np.flatnonzero(often == often.min())))
        row[item] = True
        n_asked[item] += 1
    return seen


def _naive_means(scores: Floats, seen: Flags) -> Floats:
    n_seen = seen.sum(1).astype(np.float64)
    return np.asarray(
        np.where(seen, scores, 0).sum(1) / np.where(n_seen > 0, n_seen, np.nan)
    )


def _completed(scores: Floats, seen: Flags, prior_variance: float) -> Floats:
    """Return scores where seen, and elsewhere their probability by the Rasch model.

    The mode of ``log-likelihood - (|theta|^2 + |beta|^2) / (2 C)`` with the last beta
    0, by Newton's method.
    """
    from scipy.special import expit

    right = np.where(seen, scores, 0)
    theta, beta = np.zeros(len(scores)), np.zeros(scores.shape[1])
    height = -np.inf
    step_of_theta, step_of_beta, length = np.zeros_like(theta), np.zeros_like(beta), 1.0
    for _ in range(MAX_STEPS):
        logit = theta[:, None] + beta
        softplus = np.logaddexp(0, logit)
        size = theta @ theta + beta @ beta
        found = float((right * logit - seen * softplus).sum())
        found -= float(size) / (2 * prior_variance)
        if found < height - SAME * (1 + abs(height)):
            # The step overshot: go half of it back.
            length /= 2
            theta -= length * step_of_theta
            beta -= length * step_of_beta
            continue
        height, length = found, 1.0
        p = expit(logit)
        weight = seen * p * (1 - p)
        error = right - seen * p
        step_of_theta, step_of_beta[:-1] = _newton_step(
            weight.sum(1) + 1 / prior_variance,
            weight[:, :-1].sum(0) + 1 / prior_variance,
            weight[:, :-1],
            error.sum(1) - theta / prior_variance,
            error[:, :-1].sum(0) - beta[:-1] / prior_variance,
        )
        if max(np.abs(step_of_theta).max(), np.abs(step_of_beta).max()) < CLOSE:
            break
        theta += step_of_theta
        beta += step_of_beta
    return np.where(seen, scores, expit(theta[:, None] + beta))


def _newton_step(
    rows: Floats, columns: Floats, between: Floats, slope: Floats, slopes: Floats
) -> tuple[Floats, Floats]:
    """Solve ``[[diag(rows), between], [between.T, diag(columns)]] x = slope``.

    Whichever side is longer is eliminated first, which its diagonal makes cheap.
    """
    if len(rows) > len(columns):
        second, first = _newton_step(columns, rows, between.T, slopes, slope)
        return first, second
    scaled = between / columns
    schur = np.diag(rows) - scaled @ between.T
    first = np.asarray(np.linalg.solve(schur, slope - scaled @ slopes), dtype=float)
    return first, (slopes - between.T @ first) / columns
