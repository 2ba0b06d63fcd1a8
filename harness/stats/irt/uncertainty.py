"""How sure are the items? Standard errors from the observed information."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.stats.irt.likelihood import (
    Answers,
    Curves,
    Grid,
    expect,
    grid_for,
    settle,
)
from harness.stats.irt.marginal import GUESS_WEIGHT, Kind

Floats = npt.NDArray[np.float64]

FEW_ITEMS = 100
"""Up to so many items the information is that of all parameters at once. Beyond,
items hold each other only by the location and scale of the abilities."""

FLAT = 1e-9
"""Smallest over largest information of a likelihood that has a single maximum;
differences leave 1e-10."""

STEP = 1e-5
"""Of a parameter, in which its score is differenced."""


def covariance(answers: Answers, curves: Curves, kind: Kind) -> Floats:
    """Return the inverse of the observed information, item by item.

    Up to `FEW_ITEMS` items it is exact: minus the second derivative of the marginal
    log-likelihood (and of the log priors, where there are any), by differences of its
    score. With more items, abilities are known but for location and scale: the
    variance is that of a regression on known abilities, plus that of the mean and SD
    of N respondents, ``1 / N`` and ``1 / (2 N)``, on which all items hang.

    Returns
    -------
    ndarray, shape (n_items, 3, 3)
        Of slope, intercept and guessing level, the last 0 where there is none;
        ``nan`` where responses do not determine the parameters together, as those to
        two items do not determine two slopes.
    """
    if len(curves.slope) <= FEW_ITEMS:
        return _exact(answers, curves, kind)
    return _by_item(answers, curves, kind)


def of_parameters(covariance: Floats, curves: Curves) -> Floats:
    """Return that of discrimination, difficulty and guessing, to first order.

    The difficulty is ``-intercept / slope``.
    """
    slope = curves.slope
    change = np.zeros_like(covariance)
    change[:, 0, 0] = change[:, 2, 2] = 1
    change[:, 1, 0] = curves.intercept / slope**2
    change[:, 1, 1] = -1 / slope
    return np.asarray(change @ covariance @ np.swapaxes(change, 1, 2))


def _exact(answers: Answers, curves: Curves, kind: Kind) -> Floats:
    nodes = settle(answers, curves).nodes
    grid = grid_for(curves, float(nodes[0]), float(nodes[-1]))
    n = len(curves.slope)
    slopes = curves.slope[:1] if kind.common_slope else curves.slope
    guess = (
        np.empty(0)
        if curves.guess is None
        else np.log(curves.guess / (1 - curves.guess))
    )
    here = np.concatenate([slopes, curves.intercept, guess])
    n_slopes = len(slopes)
    at_here = _score(here, answers, kind, grid, n)
    information = np.empty((len(here), len(here)))
    for k in range(len(here)):
        there = here.copy()
        there[k] += STEP
        information[k] = (at_here - _score(there, answers, kind, grid, n)) / STEP
    information = (information + information.T) / 2
    priors = np.zeros(len(here))
    if kind.shrinkage is not None:
        of_slopes, of_intercepts = _prior_precision(curves, kind)
        priors[:n_slopes] = of_slopes
        priors[n_slopes : n_slopes + n] = of_intercepts
    information += np.diag(priors)
    values, vectors = np.linalg.eigh(information)
    # A direction in which the likelihood is flat leaves no parameter determined.
    flat = values[0] < FLAT * values[-1]
    inverse = np.full_like(vectors, np.nan) if flat else (vectors / values) @ vectors.T
    places = np.arange(n)
    rows = [places * (not kind.common_slope), n_slopes + places]
    if curves.guess is not None:
        rows.append(n_slopes + n + places)
    at = np.stack(rows, axis=1)
    return _padded(inverse[at[:, :, None], at[:, None, :]], curves)


def _padded(blocks: Floats, curves: Curves) -> Floats:
    """Return covariances with that of the guessing level, from its log-odds' or 0."""
    if curves.guess is None:
        return np.pad(blocks, ((0, 0), (0, 1), (0, 1)))
    width = np.ones((len(blocks), 3))
    width[:, 2] = curves.guess * (1 - curves.guess)
    return np.asarray(width[:, :, None] * blocks * width[:, None, :])


def _score(
    here: Floats, answers: Answers, kind: Kind, grid: Grid, n_items: int
) -> Floats:
    """Return the slope of the log-likelihood, and of the log prior on guessing."""
    n_slopes = 1 if kind.common_slope else n_items
    slope = np.broadcast_to(here[:n_slopes], (n_items,))
    intercept = here[n_slopes : n_slopes + n_items]
    guess = None
    if kind.guessing is not None:
        guess = 1 / (1 + np.exp(-here[n_slopes + n_items :]))
    expected = expect(answers, Curves(slope, intercept, guess), grid)
    by_slope, by_intercept = expected.score().T
    if kind.common_slope:
        by_slope = by_slope.sum(keepdims=True)
    parts = [by_slope, by_intercept]
    guessed, ignorant = expected.guessed, expected.ignorant
    if guess is not None and guessed is not None and ignorant is not None:
        # On the log-odds scale: right guesses less those expected of the ignorant.
        parts.append(
            guessed
            + GUESS_WEIGHT * (kind.guessing or 0)
            - (ignorant + GUESS_WEIGHT) * guess
        )
    return np.concatenate(parts)


def _by_item(answers: Answers, curves: Curves, kind: Kind) -> Floats:
    expected = settle(answers, curves)
    n = len(answers.right)
    if curves.guess is None:
        return given_abilities(expected.information(), curves, kind, n)
    guess = curves.guess[:, None]
    p = guess + (1 - guess) * expected.knows
    known = (1 - guess) * expected.knows * expected.slack / p
    crossed = guess * (1 - guess) * expected.slack / p
    ignorance = expected.slack / expected.knows
    own = guess**2 * (1 - guess) * ignorance / p
    dd, ad, aa = expected.sums(known, 3).T
    width = curves.guess * (1 - curves.guess)
    third = np.column_stack(
        [
            expected.sums(crossed, 2)[:, ::-1],
            expected.sums(own, 1)[:, 0] + GUESS_WEIGHT * width,
        ]
    )
    return given_abilities((aa, ad, dd), curves, kind, n, of_guess=third)


def given_abilities(
    information: tuple[Floats, Floats, Floats],
    curves: Curves,
    kind: Kind,
    n_respondents: int,
    *,
    of_guess: Floats | None = None,
) -> Floats:
    """Return the covariance of a regression on known abilities, and that of these.

    As `covariance` does, of slope, intercept and guessing level.

    Parameters
    ----------
    information : tuple of ndarray, shape (n_items,)
        On the slope, on slope and intercept, on the intercept.
    of_guess : ndarray, shape (n_items, 3), optional
        On the log-odds of guessing, with slope, with intercept, and alone.
    """
    aa, ad, dd = information
    slope = curves.slope
    of_slopes, of_intercepts = _prior_precision(curves, kind)
    aa, dd = aa + of_slopes, dd + of_intercepts
    if kind.common_slope:
        variance = np.full(len(slope), 1 / (aa - ad**2 / dd).sum())
        both = -ad / dd * variance
        blocks = _squares(variance, both, 1 / dd - ad / dd * both)
    else:
        blocks = _squares(aa, ad, dd)
        if of_guess is not None:
            blocks = np.pad(blocks, ((0, 0), (0, 1), (0, 1)))
            blocks[:, 2, :] = blocks[:, :, 2] = of_guess
        blocks = np.asarray(np.linalg.inv(blocks))
    blocks[:, 0, 0] += slope**2 / (2 * n_respondents)
    blocks[:, 1, 1] += slope**2 / n_respondents
    return _padded(blocks, curves)


def _squares(first: Floats, both: Floats, second: Floats) -> Floats:
    return np.stack([first, both, both, second], axis=-1).reshape(-1, 2, 2)


def _prior_precision(curves: Curves, kind: Kind) -> tuple[float, float]:
    """Return those of slopes and intercepts; the priors' means are taken as known."""
    if kind.shrinkage is None:
        return 0.0, 0.0
    _, of_intercepts = kind.shrinkage.of_intercepts(curves.intercept)
    if kind.common_slope:
        return 0.0, of_intercepts
    _, of_slopes = kind.shrinkage.of_slopes(curves.slope)
    return of_slopes, of_intercepts
