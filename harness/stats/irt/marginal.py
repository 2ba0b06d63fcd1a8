"""Which items make the responses most likely, whatever the abilities?

Expectation and maximisation, with abilities standard normal. Each item takes one
Newton step against the expected responses (Lange 1995); then location and scale of
the abilities are set back to 0 and 1 (parameter expansion; Liu, Rubin and Wu 1998),
which with many items the likelihood hardly holds; every second step extrapolates
(SQUAREM; Varadhan and Roland 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.irt.likelihood import (
    FARTHEST_INTERCEPT,
    STEEPEST,
    Answers,
    Curves,
    Expectation,
    better_grid,
    expect,
    grid_for,
    settle,
)

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-4
"""Converged when a pass moves no parameter by more of its standard error."""

MOST_PASSES = 500
"""Passes before giving up; 5 items take some 50, 14,000 some 30."""

STEEP = 6.0
"""Slope per SD of ability beyond which an item is held, with a normal prior of SD 1
on the excess: where ability parts right from wrong without exception, or nearly so,
the likelihood rises for ever."""

LONGEST_STEP = 1.0
"""Of a parameter in one pass: Newton overshoots where an item nearly separates."""

LEAST_INFORMATION = 1e-6
"""Floor of the information on a parameter, so that a step is a number."""

FARTHEST_JUMP = 50.0
"""Most passes that one extrapolation may stand for."""

LARGEST_LOSS = 0.1
"""Log-likelihood that an extrapolation may lose before it is taken back."""

GUESS_WEIGHT = 20.0
"""Imagined answers behind the prior on guessing, a Beta of mode g with parameters
``20 g + 1`` and ``20 (1 - g) + 1``: the default of BILOG."""


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """Weak priors: each item's parameters are normal about the mean of all items.

    The slope's SD is relative to the mean slope, so that the scale of the abilities,
    which is the respondents', does not matter.
    """

    slope: float = 0.5
    intercept: float = 3.0

    def of_slopes(self, slope: Floats) -> tuple[float, float]:
        """Return mean and precision."""
        mean = float(slope.mean())
        # Where a test measures nothing, the mean of 0 must not draw all slopes to 0.
        return mean, (self.slope * max(mean, 0.2)) ** -2

    def of_intercepts(self, intercept: Floats) -> tuple[float, float]:
        """Return mean and precision."""
        return float(intercept.mean()), self.intercept**-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is free: a slope for each item, guessing, and how strongly it is held."""

    common_slope: bool = False
    shrinkage: Shrinkage | None = None
    guessing: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """Curves at the end of the iterations, and the abilities that go with them.

    `held` are the items on a bound, whose estimates are none; `n_iterations` is 0
    where a package does not tell.
    """

    curves: Curves
    ability: Floats
    ability_sd: Floats
    log_likelihood: float
    n_iterations: int
    converged: bool
    held: npt.NDArray[np.bool_]


def fit_marginal(answers: Answers, kind: Kind) -> Fitted:
    """Return the curves of maximal marginal (with `shrinkage`, penalised) likelihood.

    Parameters
    ----------
    answers : Answers
        Of items that vary, by respondents who answered.

    Raises
    ------
    DesignError
        ``grid-too-coarse``.
    """
    here = start(answers, kind)
    grid = grid_for(_curves(here))
    moves: list[Floats] = []
    fallback: Floats | None = None
    reached = -math.inf
    n = 0
    while True:
        n += 1
        expected = expect(answers, _curves(here), grid)
        better = better_grid(grid, expected, _curves(here))
        if better is not None:
            grid, moves, fallback = better, [], None
            continue
        objective = expected.log_likelihood + _log_prior(here, kind)
        if fallback is not None and objective < reached - LARGEST_LOSS:
            here, fallback = fallback, None
            continue
        after, scale = _maximised(here, expected, kind)
        moves.append((after - here) * scale)
        converged = bool(np.abs(moves[-1]).max() < TOLERANCE)
        if converged or n >= MOST_PASSES:
            break
        fallback = None
        if len(moves) == 2:
            fallback, reached = after, objective
            after = _extrapolated(here, moves[0], moves[1], scale)
            moves = []
        here = after
    if np.median(here[0]) < 0:
        here[0] *= -1
        expected = settle(answers, _curves(here))
    return Fitted(
        curves=_curves(here),
        ability=expected.ability,
        ability_sd=expected.ability_sd,
        log_likelihood=expected.log_likelihood,
        n_iterations=n,
        converged=converged,
        held=np.abs(here[0]) > STEEP,
    )


def start(answers: Answers, kind: Kind) -> Floats:
    """Return slopes of 1 and intercepts of the shares of right answers, in rows."""
    n_right, n_asked = answers.n_right, answers.n_asked
    share = (n_right + 0.5) / (n_asked + 1)
    rows = [np.ones(len(share)), np.log(share / (1 - share))]
    if kind.guessing is not None:
        rows.append(np.full(len(share), min(kind.guessing, 0.9 * share.min())))
    return np.stack(rows)


def _curves(rows: Floats) -> Curves:
    return Curves(*rows)


def _maximised(
    here: Floats, expected: Expectation, kind: Kind
) -> tuple[Floats, Floats]:
    """Return the parameters after one pass, and one over their standard errors."""
    rows, scale = newton_step(here, expected.score(), expected.information(), kind)
    location = expected.ability.mean()
    square = (expected.ability**2 + expected.ability_sd**2).mean()
    rows[1] += rows[0] * location
    rows[0] *= math.sqrt(square - location**2)
    if expected.guessed is not None and expected.ignorant is not None:
        weight = expected.ignorant + GUESS_WEIGHT
        guess = (expected.guessed + GUESS_WEIGHT * (kind.guessing or 0)) / weight
        rows = np.vstack([rows, guess])
        scale = np.vstack([scale, np.sqrt(weight / (guess * (1 - guess)))])
    return bounded(rows), scale


def newton_step(
    here: Floats,
    score: Floats,
    information: tuple[Floats, Floats, Floats],
    kind: Kind,
) -> tuple[Floats, Floats]:
    """Return slopes and intercepts after a Newton step, and one over their errors.

    Parameters
    ----------
    here : ndarray, shape (2 or more, n_items)
        Slopes and intercepts now.
    score : ndarray, shape (n_items, 2)
        Slope of the log-likelihood in them; priors are added here.
    information : tuple of ndarray, shape (n_items,)
        Minus its curvature: in the slope, in both, in the intercept.
    """
    slope, intercept = here[:2]
    by_slope, by_intercept = score[:, 0], score[:, 1]
    aa, ad, dd = information
    if kind.shrinkage is not None:
        mean, precision = kind.shrinkage.of_intercepts(intercept)
        by_intercept = by_intercept - precision * (intercept - mean)
        dd = dd + precision
        if not kind.common_slope:
            mean, precision = kind.shrinkage.of_slopes(slope)
            by_slope = by_slope - precision * (slope - mean)
            aa = aa + precision
    excess = _excess(slope)
    by_slope = by_slope - excess
    aa = aa + (excess != 0)
    dd = np.maximum(dd, LEAST_INFORMATION)
    rise, curvature = by_slope - by_intercept * ad / dd, aa - ad**2 / dd
    if kind.common_slope:
        rise, curvature = (np.full(len(dd), total.sum()) for total in (rise, curvature))
    curvature = np.maximum(curvature, LEAST_INFORMATION)
    by = np.clip(rise / curvature, -LONGEST_STEP, LONGEST_STEP)
    then = np.clip((by_intercept - ad * by) / dd, -LONGEST_STEP, LONGEST_STEP)
    return np.stack([slope + by, intercept + then]), np.sqrt([curvature, dd])


def _excess(slope: Floats) -> Floats:
    return np.asarray(slope - np.clip(slope, -STEEP, STEEP))


def _extrapolated(here: Floats, first: Floats, second: Floats, scale: Floats) -> Floats:
    """Return where a geometric series of moves would end.

    `here` is where the second move began; moves are in units of standard errors.
    """
    bend = float(np.linalg.norm(second - first))
    length = float(np.linalg.norm(first)) / max(bend, 1e-300)
    length = min(max(length, 1.0), FARTHEST_JUMP)
    start = here - first / scale
    target = start + (2 * length * first + length**2 * (second - first)) / scale
    return bounded(target)


def bounded(rows: Floats) -> Floats:
    """Return the parameters, in place, within what cannot overflow."""
    bounds = np.array([STEEPEST, FARTHEST_INTERCEPT])[:, None]
    rows[:2] = np.clip(rows[:2], -bounds, bounds)
    rows[2:] = np.clip(rows[2:], 1e-6, 1 - 1e-6)
    return rows


def _log_prior(here: Floats, kind: Kind) -> float:
    total = -float((_excess(here[0]) ** 2).sum()) / 2
    if kind.shrinkage is not None:
        mean, precision = kind.shrinkage.of_intercepts(here[1])
        total -= precision * float(((here[1] - mean) ** 2).sum()) / 2
        if not kind.common_slope:
            mean, precision = kind.shrinkage.of_slopes(here[0])
            total -= precision * float(((here[0] - mean) ** 2).sum()) / 2
    if kind.guessing is not None:
        g = kind.guessing
        guess = here[2]
        logs = g * np.log(guess) + (1 - g) * np.log1p(-guess)
        total += GUESS_WEIGHT * float(logs.sum())
    return total
