"""Which items and abilities together make the responses most likely?

Newton steps on all items given the abilities, then on all abilities given the items,
with weak priors on both; no quadrature. Its bias is of the order of 1 / items in the
abilities and of 1 / respondents in the items: for thousands of items.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from harness.stats.irt.likelihood import Answers, Curves
from harness.stats.irt.marginal import STEEP, Fitted, Kind, bounded, newton_step, start

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Information = tuple[Floats, Floats, Floats]

TOLERANCE = 0.01
"""Converged when a pass moves no item by more of its standard error."""

MOST_PASSES = 200
"""Passes before giving up; 14,000 items take 7."""

BLOCK = 256
"""Items at a time, so that their curves stay in the processor's cache."""


def fit_joint(answers: Answers, kind: Kind) -> tuple[Fitted, Information]:
    """Return the curves and abilities of maximal penalised joint likelihood.

    Abilities have the prior N(0, 1), and after each pass mean 0 and, with the
    variance of their errors added, SD 1. In single precision: responses are 0 and 1.

    Returns
    -------
    Fitted
        With no `log_likelihood`.
    information : tuple of ndarray, shape (n_items,)
        On slopes, on slopes with intercepts, on intercepts, given the abilities.
    """
    right = np.ascontiguousarray(answers.right.T, dtype=np.float32)
    asked = None
    if answers.asked is not None:
        asked = np.ascontiguousarray(answers.asked.T, dtype=np.float32)
    here = start(answers, kind)
    theta = _first_abilities(answers)
    n = 0
    while True:
        n += 1
        score, information = _of_items(right, asked, here, theta)
        before = here
        here, scale = newton_step(before, score, information, kind)
        by_theta, precision = _of_abilities(right, asked, here, theta)
        theta = theta + np.clip(by_theta / precision, -1, 1)
        location = theta.mean()
        sd = float(np.sqrt(theta.var() + (1 / precision).mean()))
        theta = (theta - location) / sd
        here[1] += here[0] * location
        here[0] *= sd
        size = float(np.abs((bounded(here) - before) * scale).max())
        if size < TOLERANCE or n >= MOST_PASSES:
            break
    if np.median(here[0]) < 0:
        here[0] *= -1
        theta = -theta
    fitted = Fitted(
        curves=Curves(*here),
        ability=theta,
        ability_sd=1 / np.sqrt(precision),
        log_likelihood=np.nan,
        n_iterations=n,
        converged=size < TOLERANCE,
        held=np.abs(here[0]) > STEEP,
    )
    return fitted, _of_items(right, asked, here, theta)[1]


def _first_abilities(answers: Answers) -> Floats:
    """Return the standardised log-odds of each respondent's right answers."""
    n_asked = answers.right.shape[1] if answers.asked is None else answers.asked.sum(1)
    share = (answers.right.sum(1) + 0.5) / (n_asked + 1)
    odds = np.log(share / (1 - share))
    return np.asarray((odds - odds.mean()) / max(float(odds.std()), 1e-6))


def _of_items(
    right: Singles, asked: Singles | None, here: Floats, theta: Floats
) -> tuple[Floats, Information]:
    """Return the slope of the log-likelihood in (slope, intercept), and information."""
    powers = (theta[:, None] ** np.arange(3)).astype(np.float32)
    score = np.empty((len(right), 2))
    curvature = np.empty((len(right), 3))
    for part, error, variance in _blocks(right, asked, here, theta):
        score[part] = error @ powers[:, 1::-1]
        curvature[part] = variance @ powers
    return score, (curvature[:, 2], curvature[:, 1], curvature[:, 0])


def _of_abilities(
    right: Singles, asked: Singles | None, here: Floats, theta: Floats
) -> tuple[Floats, Floats]:
    """Return the slope of the log posterior in each ability, and its curvature."""
    slope = here[0].astype(np.float32)
    score, curvature = -theta, np.ones(len(theta))
    for part, error, variance in _blocks(right, asked, here, theta):
        score = score + slope[part] @ error
        curvature += slope[part] ** 2 @ variance
    return score, curvature


def _blocks(
    right: Singles, asked: Singles | None, here: Floats, theta: Floats
) -> Iterator[tuple[slice, Singles, Singles]]:
    """Yield errors ``x - p`` and ``p (1 - p)`` of some items × all respondents."""
    slope, intercept, single = (v.astype(np.float32) for v in (*here[:2], theta))
    for first in range(0, len(right), BLOCK):
        part = slice(first, first + BLOCK)
        p = np.multiply.outer(-slope[part], single)
        p -= intercept[part, None]
        with np.errstate(over="ignore"):  # to infinity, and so to a probability of 0
            np.exp(p, out=p)
        p += 1
        np.reciprocal(p, out=p)
        error = right[part] - p
        p *= 1 - p
        if asked is not None:
            error *= asked[part]
            p *= asked[part]
        yield part, error, p
