"""How probable are the responses, whatever the abilities? One pass of quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError

Floats = npt.NDArray[np.float64]

FARTHEST = 8.0
"""Abilities beyond so many SD are left out: one respondent in 10^15."""

WIDEST_STEP = 0.25
"""Largest distance of two nodes, in SD of the population."""

MARGIN = 0.8
"""Step of a new grid over the SD of the narrowest posterior, so that it lasts."""

MOST_CELLS = 25_000_000
"""Most items times nodes: tables of 200 MB, of which two to five are held at once."""

USUAL = 4.0
"""Abilities, in SD, that a first grid reaches; it grows where a posterior does."""

STEEPEST = 10.0
"""Bound of a discrimination per SD of ability, beyond which an item is a step."""

FARTHEST_INTERCEPT = 20.0
"""Bound of the log-odds at mean ability."""

NOBODY = 1e-14
"""Posterior probability of a node that is left out of a grid."""

CUT = 1e-10
"""Posterior probability at an end of a grid that shows it to be too short."""

BLOCK = 128
"""Items at a time, so that their curves stay in the processor's cache."""

FACTORS = 6
"""Curves multiplied before one logarithm: each below e^100, so nothing overflows."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Responses as sums need them: what is missing counts as 0 in both tables."""

    right: Floats
    asked: Floats | None
    """1 where answered; ``None`` where all are, for then sums over items suffice."""

    @classmethod
    def of(cls, responses: Floats) -> Answers:
        """Take responses apart, respondents × items, ``nan`` where missing."""
        known = ~np.isnan(responses)
        asked = None if known.all() else known.astype(np.float64)
        return cls(np.where(known, responses, 0.0), asked)

    @property
    def n_right(self) -> Floats:
        """Right answers to each item."""
        return np.asarray(self.right.sum(0))

    @property
    def n_asked(self) -> Floats:
        """Answers to each item."""
        if self.asked is None:
            return np.full(self.right.shape[1], float(len(self.right)))
        return np.asarray(self.asked.sum(0))


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Items as ``c + (1 - c) / (1 + exp(-(slope theta + intercept)))``.

    Abilities are standard normal here, whatever the model's own units.
    """

    slope: Floats
    intercept: Floats
    guess: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Abilities at equal distances, with the logarithm of their prior weights."""

    nodes: Floats
    log_weights: Floats

    @property
    def step(self) -> float:
        """Distance of two nodes."""
        return float(self.nodes[1] - self.nodes[0])


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """What the responses say of the abilities, given the curves.

    Attributes
    ----------
    ability, ability_sd : ndarray, shape (n_respondents,)
        Mean and SD of each posterior.
    weight : ndarray, shape (n_nodes,) or (n_items, n_nodes)
        Respondents expected at each node; by item where responses are missing.
    knows, slack : ndarray, shape (n_items, n_nodes)
        Each curve without guessing, and that times its complement.
    moments : ndarray, shape (n_items, 2)
        Right answers from knowledge, times theta to the power 0 and 1.
    narrowest : float
        Smallest SD of a posterior that all items could give, at any node.
    reach : tuple of float
        The nodes just beyond which no respondent can be.
    is_cut : tuple of bool
        Whether a respondent can be at the first node, and at the last.
    guessed, ignorant : ndarray, shape (n_items,)
        Right answers without knowledge, and all answers without; 3PL only.
    """

    nodes: Floats
    log_likelihood: float
    ability: Floats
    ability_sd: Floats
    weight: Floats
    knows: Floats
    slack: Floats
    moments: Floats
    narrowest: float
    reach: tuple[float, float]
    is_cut: tuple[bool, bool]
    guessed: Floats | None
    ignorant: Floats | None

    def score(self) -> Floats:
        """Return the slope of the log-likelihood in (slope, intercept), by item.

        The expected slope of the complete data's is that of the marginal one
        (Fisher's identity).
        """
        return (self.moments - self.sums(self.knows, 2))[:, ::-1]

    def information(self) -> tuple[Floats, Floats, Floats]:
        """Return that of complete data: slope twice, slope and intercept, intercept."""
        sums = self.sums(self.slack, 3)
        return sums[:, 2], sums[:, 1], sums[:, 0]

    def sums(self, values: Floats, n_powers: int) -> Floats:
        """Return ``sum over nodes of weight values theta^k``, (n_items, n_powers)."""
        powers = self.nodes[:, None] ** np.arange(n_powers)
        if self.weight.ndim == 1:
            return np.asarray(values @ (self.weight[:, None] * powers))
        return np.asarray((values * self.weight) @ powers)


def grid_for(
    curves: Curves,
    low: float = -USUAL,
    high: float = USUAL,
    *,
    narrowest: float = 1.0,
) -> Grid:
    """Return nodes between which no posterior can fall.

    The trapezoidal rule integrates a normal density of SD s with the relative error
    ``2 exp(-2 pi^2 s^2 / h^2)`` at node distance h: 5e-9 at h = s. So h is kept below
    the smallest SD, ``1 / sqrt(1 + information)``, that the items give anywhere, and
    below `narrowest`, where that is known.

    Raises
    ------
    DesignError
        ``grid-too-coarse``, where so many nodes do not fit into memory.
    """
    coarse = np.linspace(low, high, max(25, math.ceil((high - low) / 0.1)))
    peak = float(_information(curves, coarse).max())
    step = min(WIDEST_STEP, MARGIN * min(narrowest, 1 / math.sqrt(1 + peak)))
    n_nodes = math.ceil((high - low) / step) + 1
    n_items = len(curves.slope)
    if n_items * n_nodes > MOST_CELLS:
        raise DesignError(
            f"{n_items} items make posteriors so narrow that {n_nodes} nodes of "
            f"quadrature are needed, {n_items * n_nodes:,} cells where {MOST_CELLS:,} "
            "fit; fit them with method='joint', which needs none",
            code="grid-too-coarse",
        )
    nodes = np.linspace(low, high, n_nodes)
    log_density = -(nodes**2) / 2 - math.log(2 * math.pi) / 2
    return Grid(nodes, log_density + math.log(nodes[1] - nodes[0]))


def better_grid(grid: Grid, expected: Expectation, curves: Curves) -> Grid | None:
    """Return another grid where this one is too coarse, too short or too long."""
    low, high = float(grid.nodes[0]), float(grid.nodes[-1])
    if grid.step > expected.narrowest:
        return grid_for(curves, low, high, narrowest=expected.narrowest)
    lower = max(low - expected.is_cut[0], -FARTHEST)
    higher = min(high + expected.is_cut[1], FARTHEST)
    if lower < low or higher > high:
        return grid_for(curves, lower, higher, narrowest=expected.narrowest)
    first, last = expected.reach
    if last - first < 0.7 * (high - low):
        return grid_for(curves, first, last, narrowest=expected.narrowest)
    return None


def expect(answers: Answers, curves: Curves, grid: Grid) -> Expectation:
    """Return the posterior expectations at `curves`, in log space throughout.

    With all responses known, ``log L(theta) = theta (X a) + X d - sum of log(1 +
    exp(a theta + d))``, so that no table of respondents × items × nodes is needed.
    """
    nodes, right = grid.nodes, answers.right
    slope, intercept, guess = curves.slope, curves.intercept, curves.guess
    n_items = len(slope)
    knows, slack = (np.empty((n_items, len(nodes))) for _ in range(2))
    by_item = answers.asked is not None
    log_wrong = np.zeros(knows.shape if by_item or guess is not None else len(nodes))
    information = np.zeros(len(nodes))
    for start in range(0, n_items, BLOCK):
        here = slice(start, start + BLOCK)
        odds = np.multiply.outer(slope[here], nodes)
        odds += intercept[here, None]
        np.exp(odds, out=odds)
        whole = odds + 1
        if log_wrong.ndim == 2:
            np.log(whole, out=log_wrong[here])
        else:
            starts = np.arange(0, len(whole), FACTORS)
            log_wrong += np.log(np.multiply.reduceat(whole, starts)).sum(0)
        np.divide(odds, whole, out=knows[here])
        np.divide(knows[here], whole, out=slack[here])
        information += slope[here] ** 2 @ slack[here]
    np.negative(log_wrong, out=log_wrong)

    p = None
    if guess is None:
        joint = np.multiply.outer(right @ slope, nodes) + (right @ intercept)[:, None]
    else:
        p = guess[:, None] + (1 - guess)[:, None] * knows
        log_wrong += np.log1p(-guess)[:, None]
        joint = right @ (np.log(p) - log_wrong)
    if answers.asked is not None:
        joint += answers.asked @ log_wrong
    else:
        joint += log_wrong.sum(0) if log_wrong.ndim == 2 else log_wrong
    joint += grid.log_weights
    top = joint.max(1, keepdims=True)
    posterior = np.exp(joint - top)
    total = posterior.sum(1, keepdims=True)
    posterior /= total

    possible = np.flatnonzero(posterior.max(0) > NOBODY)
    ability = posterior @ nodes
    variance = posterior @ nodes**2 - ability**2
    guessed = ignorant = None
    if p is None:
        moments = np.stack([answers.n_right, ability @ right], axis=1)
    else:
        n_right = right.T @ posterior
        from_knowledge = n_right * (knows / p)
        moments = from_knowledge @ (nodes[:, None] ** np.arange(2))
        guessed = n_right.sum(1) - moments[:, 0]
        ignorant = answers.n_asked - moments[:, 0]
    return Expectation(
        nodes=nodes,
        log_likelihood=float((top + np.log(total)).sum()),
        ability=ability,
        ability_sd=np.sqrt(np.maximum(variance, 0)),
        weight=posterior.sum(0)
        if answers.asked is None
        else answers.asked.T @ posterior,
        knows=knows,
        slack=slack,
        moments=moments,
        narrowest=1 / math.sqrt(1 + information.max()),
        reach=(
            float(nodes[max(possible[0] - 1, 0)]),
            float(nodes[min(possible[-1] + 1, len(nodes) - 1)]),
        ),
        is_cut=(
            bool(posterior[:, 0].max() > CUT),
            bool(posterior[:, -1].max() > CUT),
        ),
        guessed=guessed,
        ignorant=ignorant,
    )


def settle(answers: Answers, curves: Curves) -> Expectation:
    """Return the expectations on a grid that is fine and long enough for `curves`."""
    grid = grid_for(curves)
    while True:
        expected = expect(answers, curves, grid)
        better = better_grid(grid, expected, curves)
        if better is None:
            return expected
        grid = better


def _information(curves: Curves, nodes: Floats) -> Floats:
    """Return the test's at each node; guessing could only lower it."""
    from scipy.special import expit

    total = np.zeros(len(nodes))
    for start in range(0, len(curves.slope), BLOCK):
        here = slice(start, start + BLOCK)
        slope = curves.slope[here]
        p = expit(np.multiply.outer(slope, nodes) + curves.intercept[here, None])
        total += slope**2 @ (p * (1 - p))
    return total
