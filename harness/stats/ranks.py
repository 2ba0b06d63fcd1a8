"""Does a score rise with training? Rank correlations of score and step."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, undefined

Floats = npt.NDArray[np.float64]
RankMethod = Literal["tau-b", "tau-a", "spearman"]

RANK_NAMES: dict[RankMethod, str] = {
    "tau-b": "Kendall's tau-b",
    "tau-a": "Kendall's tau-a",
    "spearman": "Spearman's rho",
}

DIGITS = 12
"""Scores that agree in so many digits of the largest are ties: the same answers,
summed in another order, must not rank."""


def rank_correlations(scores: Floats, *, method: RankMethod = "tau-b") -> Floats:
    """Return the rank correlation of each series with its order.

    Kendall's ``tau-b = (C - D) / sqrt(n0 (n0 - ties))`` with C rising and D falling
    among the n0 pairs of steps; ``tau-a = (C - D) / n0``; Spearman's rho is the
    correlation of average ranks. Steps are in ascending order and never tie.

    Parameters
    ----------
    scores : ndarray, shape (n_series, n_steps)
        ``nan`` where a step is missing; it is left out of that series.

    Returns
    -------
    ndarray, shape (n_series,)
        ``nan`` for a series of fewer than 2 steps, or of one value only.

    References
    ----------
    M. G. Kendall, Biometrika 33 (1945) 239.
    """
    if method == "spearman":
        return _spearman(scores)
    if method not in RANK_NAMES:
        raise DesignError(
            f"there is no rank correlation {method!r}; choose one of "
            f"{', '.join(RANK_NAMES)}",
            code="unknown-method",
        )
    n_series, n_steps = scores.shape
    balance = np.zeros(n_series)
    ties = np.zeros(n_series)
    # One pass for each distance between two steps: no table of all pairs. A missing
    # step compares as neither greater, less nor equal.
    for lag in range(1, n_steps):
        later, earlier = scores[:, lag:], scores[:, :-lag]
        balance += np.count_nonzero(later > earlier, axis=1)
        balance -= np.count_nonzero(later < earlier, axis=1)
        ties += np.count_nonzero(later == earlier, axis=1)
    n = np.sum(~np.isnan(scores), axis=1)
    pairs = n * (n - 1) / 2
    untied = pairs - ties
    scale = pairs if method == "tau-a" else np.sqrt(pairs * untied)
    return np.where(untied > 0, balance / np.where(untied > 0, scale, 1), np.nan)


def monotonicity(scores: Floats, *, method: RankMethod = "tau-b") -> Estimate:
    """Return the rank correlation of score and step, averaged over seeds.

    One correlation for each seed by `rank_correlations`, then their mean. 1 where
    every later checkpoint is better, 0 where the order says nothing, negative where
    later is worse.

    Parameters
    ----------
    scores : ndarray, shape (n_seeds, n_steps)
        Steps ascending; higher is better; ``nan`` where not evaluated.

    Notes
    -----
    Cautions: ``one-checkpoint``; ``constant-over-steps``, where a seed's score never
    changes: it has no rank correlation and is left out of the mean.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), section 3, which leaves the handling
    of ties and the averaging open; its continuous scores fall, ours rise.
    """
    taus = rank_correlations(ties_made_equal(scores), method=method)
    has_two = np.sum(~np.isnan(scores), axis=1) >= 2
    n_defined = int(np.sum(~np.isnan(taus)))
    name = f"{RANK_NAMES[method]} of score and step, mean over seeds"
    if not has_two.any():
        return undefined(
            "monotonicity",
            n=0,
            method=name,
            code="one-checkpoint",
            text="needs at least 2 checkpoints of one training run, has 1",
        )
    n_constant = int(has_two.sum()) - n_defined
    text = (
        f"the score of {n_constant} of {has_two.sum()} seeds never changes over steps"
    )
    if n_defined == 0:
        return undefined(
            "monotonicity", n=0, method=name, code="constant-over-steps", text=text
        )
    return Estimate(
        quantity="monotonicity",
        value=float(np.nanmean(taus)),
        n=n_defined,
        method=name,
        cautions=(Caution("constant-over-steps", text),) if n_constant else (),
    )


def ties_made_equal(scores: Floats) -> Floats:
    """Return `scores` with differences of rounding error removed."""
    size = np.abs(scores[np.isfinite(scores)]).max(initial=0)
    return scores if size == 0 else np.round(scores / size, DIGITS) * size


def _spearman(scores: Floats) -> Floats:
    import pandas as pd

    present = ~np.isnan(scores)
    ranks = pd.DataFrame(scores).rank(axis=1).to_numpy()
    places = np.where(present, present.cumsum(axis=1), np.nan)
    enough = present.sum(axis=1) >= 2
    out = np.full(len(scores), np.nan)
    if enough.any():
        x, y = (
            v[enough] - np.nanmean(v[enough], axis=1, keepdims=True)
            for v in (places, ranks)
        )
        size = np.sqrt(np.nansum(x * x, axis=1) * np.nansum(y * y, axis=1))
        with np.errstate(invalid="ignore"):
            out[enough] = np.nansum(x * y, axis=1) / size
    return out
