"""How able is each respondent, given the items? EAP, MAP and maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.irt.information import blocks, information_at, standard_error_at
from harness.stats.irt.model import ItemModel

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
AbilityMethod = Literal["eap", "map", "mle"]

ABILITY_NAMES: dict[AbilityMethod, str] = {
    "eap": "mean of the posterior (EAP) under a normal prior",
    "map": "mode of the posterior (MAP) under a normal prior",
    "mle": "maximum likelihood",
}

MAX_STEPS = 100
"""Newton steps after which a maximum counts as not found. Six are usual."""

START_NODES = 81
"""Abilities, and quantiles of difficulty, where the search for a maximum starts."""

NODES_PER_SD = 1.5
"""Quadrature nodes in an SD of the narrowest posterior. The trapezoidal rule is then
exact to 1e-15 for a normal density: its error is ``2 exp(-2 (pi NODES_PER_SD)^2)``."""

NODES_AT_A_TIME = 128
"""Quadrature nodes held at a time, each with a row of all items."""

TAIL = 40.0
"""A posterior density lower than its peak by ``exp(-TAIL)`` is left out."""

LEAST = np.finfo(np.float64).tiny
"""Stands for a curvature of 0, so that a step is long and not undefined."""

FAR = 1e6
"""An ability as good as infinite: there the likelihood has reached its limit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Abilities:
    """How able each respondent is, in units of the model's abilities.

    Attributes
    ----------
    ability : ndarray, shape (n_respondents,)
        ``nan`` where there is none, for which a caution says why.
    se : ndarray, shape (n_respondents,)
        Standard error, items taken as known: SD of the posterior (EAP), or
        ``1 / sqrt(I + 1 / ability_sd^2)`` (MAP), ``1 / sqrt(I)`` (MLE) with the
        expected information I of the items answered.
    n_answers : ndarray of int, shape (n_respondents,)
        Items that each respondent answered.
    method : str
        How it was computed, in the words the report prints.
    """

    ability: Floats
    se: Floats
    n_answers: npt.NDArray[np.intp]
    method: str
    cautions: tuple[Caution, ...] = ()

    def intervals(self, *, confidence_level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the ends of normal intervals, ``ability +- z se``."""
        from scipy.special import ndtri

        half_width = ndtri(0.5 + confidence_level / 2) * self.se
        return self.ability - half_width, self.ability + half_width

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "ability": [None if v != v else v for v in self.ability.tolist()],
            "se": [None if v != v else v for v in self.se.tolist()],
            "n_answers": self.n_answers.tolist(),
            "method": self.method,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each respondent: ability, se, n_answers, method."""
        import pandas as pd

        return pd.DataFrame(
            {
                "ability": self.ability,
                "se": self.se,
                "n_answers": self.n_answers,
                "method": self.method,
            }
        )


def abilities(
    items: ItemModel, responses: Floats, *, method: AbilityMethod = "eap"
) -> Abilities:
    """Return how able each respondent is, given items whose parameters are known.

    With log-likelihood ``l(theta) = sum_j y_j log P_j + (1 - y_j) log Q_j`` over the
    items answered, which are independent given the ability:

    - ``eap``: the mean of the posterior ``exp(l) N(theta; 0, ability_sd^2)``, by the
      trapezoidal rule on nodes as dense as the narrowest posterior asks for; for normal
      abilities no other estimate has a smaller squared error;
    - ``map``: the mode of that posterior, by Newton's method;
    - ``mle``: the maximum of l alone, without a prior, by Newton's method.

    The first two are drawn towards 0 where items are few. All is summed in logarithms,
    so that 14,000 items do not underflow.

    Parameters
    ----------
    items : ItemModel
        The n_items items, in the order of the columns of `responses`.
    responses : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` not asked.

    Raises
    ------
    DesignError
        ``unknown-method``; ``responses-shape``; ``responses-not-binary``.

    Notes
    -----
    Cautions: ``no-answers``; ``no-finite-ability``: all that was answered is right, or
    all wrong (or, where there is guessing, no better than guessed), so that the
    likelihood is largest at infinity.

    References
    ----------
    R. D. Bock, R. J. Mislevy, Applied Psychological Measurement 6 (1982) 431 (EAP).
    F. M. Lord, *Applications of Item Response Theory* (1980), sections 4.5 to 5.4.
    """
    if method not in ABILITY_NAMES:
        raise DesignError(
            f"there is no estimate of ability {method!r}; choose one of "
            f"{', '.join(ABILITY_NAMES)}",
            code="unknown-method",
        )
    answers = check_answers(items, responses)
    is_asked = ~np.isnan(answers)
    n_answers = is_asked.sum(axis=1)
    ability, se = np.full((2, len(answers)), np.nan)
    prior_sd = np.inf if method == "mle" else items.ability_sd
    start, is_finite = _start(items, answers, prior_sd)
    rows = np.flatnonzero(is_finite & (n_answers > 0))
    if len(rows):
        modes, information = posterior_modes(
            np.where(is_asked[rows], items.discrimination, 0),
            items.difficulty,
            items.guessing,
            answers[rows],
            start=start[rows],
            prior_sd=prior_sd,
            step=items.ability_sd,
        )
        ability[rows] = modes
        se[rows] = standard_error_at(information, prior_sd=prior_sd)
        if method == "eap":
            ability[rows], se[rows] = _means(items, answers[rows], modes)
    return Abilities(
        ability=ability,
        se=se,
        n_answers=n_answers,
        method=ABILITY_NAMES[method],
        cautions=_cautions(ability, n_answers),
    )


def check_answers(items: ItemModel, responses: Floats) -> Floats:
    """Return responses as numbers, or say why they are no answers to these items.

    Raises
    ------
    DesignError
        ``responses-shape``, ``responses-not-binary``.
    """
    answers = np.asarray(responses, dtype=np.float64)
    n_items = len(items.item_ids)
    if answers.ndim != 2 or answers.shape[1] != n_items:
        raise DesignError(
            f"the responses have shape {answers.shape}, and the model has {n_items} "
            "items; give a row for each respondent and a column for each item",
            code="responses-shape",
        )
    is_bad = ~((answers == 0) | (answers == 1) | np.isnan(answers))
    if is_bad.any():
        first = ", ".join(
            f"{answers[r, i]:g} of respondent {r} to item {items.item_ids[i]}"
            for r, i in np.argwhere(is_bad)[:3]
        )
        raise DesignError(
            f"{is_bad.sum()} responses are neither 0 nor 1 nor missing (nan), first "
            f"{first}; take a metric that is right or wrong, such as acc",
            code="responses-not-binary",
        )
    return answers


def log_likelihoods(items: ItemModel, answers: Floats, ability: Floats) -> Floats:
    """Return the log-likelihood of each respondent's answers at each ability.

    ``l = sum_j y_j log P_j + (1 - y_j) log Q_j`` over the items answered.

    Parameters
    ----------
    answers : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` not asked.
    ability : ndarray, shape (n_abilities,)

    Returns
    -------
    ndarray, shape (n_respondents, n_abilities)
        Natural log.
    """
    from scipy.special import log_expit

    right = (answers == 1).astype(np.float64)
    wrong = (answers == 0).astype(np.float64)
    c = items.guessing
    total = np.empty((len(answers), len(ability)))
    for first in range(0, len(ability), NODES_AT_A_TIME):
        nodes = slice(first, first + NODES_AT_A_TIME)
        z = items.discrimination * (ability[nodes, None] - items.difficulty)
        log_right = log_expit(z)
        log_wrong = log_right - z
        if c.any():
            with np.errstate(divide="ignore"):
                log_right = np.logaddexp(np.log(c), np.log1p(-c) + log_right)
            log_wrong += np.log1p(-c)
        total[:, nodes] = right @ log_right.T + wrong @ log_wrong.T
    return total


def posterior_modes(
    discrimination: Floats,
    difficulty: Floats,
    guessing: Floats,
    answers: Floats,
    *,
    start: Floats,
    prior_sd: float,
    step: float,
) -> tuple[Floats, Floats]:
    """Return where each respondent's posterior is highest, and the information there.

    Newton's method on the slope of ``l(theta) - theta^2 / (2 prior_sd^2)``, no step
    longer than `step`, halved within the bracket that the signs of the slope give; so
    it finds the maximum wherever there is one next to `start`.

    Parameters
    ----------
    discrimination : ndarray, shape (n_respondents, n_items)
        0 for an item that was not asked, which then tells nothing.
    difficulty, guessing : ndarray, shape (n_items,) or (n_respondents, n_items)
    answers : ndarray, shape (n_respondents, n_items)
    start : ndarray, shape (n_respondents,)
    prior_sd : float
        Infinite for the likelihood alone.

    Returns
    -------
    mode, information : ndarray, shape (n_respondents,)
        The information is the expected one of the items, without the prior's;
        the mode is ``nan`` where none was found in `MAX_STEPS`.
    """
    mode = start.astype(np.float64)
    information = np.zeros(len(mode))
    low, high = np.full(len(mode), -np.inf), np.full(len(mode), np.inf)
    active = np.arange(len(mode))
    for _ in range(MAX_STEPS):
        slope, curvature = np.empty((2, len(active)))
        for part in blocks(len(active), answers.shape[1]):
            rows = active[part]
            slope[part], curvature[part], information[rows] = _slopes(
                discrimination[rows],
                difficulty if difficulty.ndim == 1 else difficulty[rows],
                guessing if guessing.ndim == 1 else guessing[rows],
                answers[rows],
                mode[rows],
            )
        here = mode[active]
        slope -= here * prior_sd**-2.0
        is_below = slope > 0
        low[active] = np.where(is_below, here, low[active])
        high[active] = np.where(is_below, high[active], here)
        with np.errstate(over="ignore"):
            newton = slope / np.maximum(curvature + prior_sd**-2.0, LEAST)
        there = here + np.clip(newton, -step, step)
        is_outside = (there < low[active]) | (there > high[active])
        middle = (low[active][is_outside] + high[active][is_outside]) / 2
        there[is_outside] = middle
        mode[active] = there
        active = active[np.abs(there - here) > 1e-9 * step]
        if not len(active):
            break
    mode[active] = np.nan
    return mode, information


def _slopes(
    a: Floats, b: Floats, c: Floats, y: Floats, theta: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return slope, curvature (negated) and expected information of l at theta.

    With L the logistic part of P and ``r = L / P``: slope ``a r (y - P)``, information
    ``a^2 r Q L``, curvature ``a^2 r (Q L - (1 - r) (y - P))``. Where guessing makes the
    curvature negative, the information stands in for it.
    """
    from scipy.special import expit

    z = a * (theta[:, None] - b)
    above, below = expit(z), expit(-z)
    if not c.any():
        # As 1 - P and not as y - P, which is 0 long before the slope is.
        residual = np.where(y == 1, below, -above)
        information = np.asarray((a * a * above * below).sum(axis=1))
        return (a * residual).sum(axis=1), information, information
    with np.errstate(divide="ignore"):
        r = expit(z - np.log(c))
    q = (1 - c) * below
    residual = np.where(y == 1, q, q - 1)
    expected = a * a * r * q * above
    information = expected.sum(axis=1)
    observed = (expected - a * a * r * (1 - r) * residual).sum(axis=1)
    curvature = np.where(observed > 0, observed, information)
    return (a * r * residual).sum(axis=1), curvature, information


def _start(
    items: ItemModel, answers: Floats, prior_sd: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the best of some abilities, and whether it beats infinite ones."""
    # Where respondents are, and where items are: a fit may leave some far outside.
    usual = np.linspace(-4, 4, START_NODES) * items.ability_sd
    quantiles = np.quantile(items.difficulty, np.linspace(0, 1, START_NODES))
    nodes = np.r_[-FAR, usual, quantiles, FAR]
    height = log_likelihoods(items, answers, nodes) - nodes**2 / 2 * prior_sd**-2.0
    inner = height[:, 1:-1]
    is_finite = inner.max(axis=1) > np.maximum(height[:, 0], height[:, -1])
    return nodes[1:-1][inner.argmax(axis=1)], np.asarray(is_finite)


def _means(items: ItemModel, answers: Floats, modes: Floats) -> tuple[Floats, Floats]:
    """Return mean and SD of each posterior."""
    nodes, weights = posterior(items, answers, modes)
    mean = weights @ nodes
    return mean, np.sqrt((weights * (nodes - mean[:, None]) ** 2).sum(axis=1))


def posterior(
    items: ItemModel, answers: Floats, modes: Floats
) -> tuple[Floats, Floats]:
    """Return nodes that all posteriors share, and each respondent's weights on them.

    The nodes are equally far apart, `NODES_PER_SD` in the SD of the narrowest
    posterior there could be, since no log-posterior is more curved than
    ``sum a^2 L (1 - L) + 1 / ability_sd^2`` with L the logistic part of P; and they
    reach as far as any posterior does.

    Parameters
    ----------
    answers : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` not asked.
    modes : ndarray, shape (n_respondents,)
        Where each posterior is highest.

    Returns
    -------
    nodes : ndarray, shape (n_nodes,)
    weights : ndarray, shape (n_respondents, n_nodes)
        Each row adds up to 1.
    """
    sd = items.ability_sd
    step = sd / 4
    # 9 SDs from its mode nothing is left even of the prior, than which no posterior
    # without guessing is flatter.
    coarse = np.arange(min(modes.min(), 0) - 9 * sd, max(modes.max(), 0) + 9 * sd, step)
    height = _log_posteriors(items, answers, coarse)
    is_high = (height > height.max(axis=1, keepdims=True) - TAIL).any(axis=0)
    reach = coarse[is_high]
    low = min(reach[0], modes.min()) - step
    high = max(reach[-1], modes.max()) + step
    spacing = 1 / (NODES_PER_SD * np.sqrt(_steepest(items, low, high) + sd**-2.0))
    nodes = np.arange(low, high + spacing, spacing)
    height = _log_posteriors(items, answers, nodes)
    weights = np.exp(height - height.max(axis=1, keepdims=True))
    return nodes, weights / weights.sum(axis=1, keepdims=True)


def _log_posteriors(items: ItemModel, answers: Floats, ability: Floats) -> Floats:
    prior = (ability / items.ability_sd) ** 2 / 2
    return log_likelihoods(items, answers, ability) - prior


def _steepest(items: ItemModel, low: float, high: float) -> float:
    """Return the largest curvature that a log-likelihood has between two abilities."""
    a = items.discrimination
    logistic = replace(items, guessing=np.zeros_like(a))
    information = information_at(logistic, np.linspace(low, high, 4 * START_NODES))
    # One item that is steeper than the nodes are dense may peak between them.
    return float(max(information.max(), (a**2).max() / 4))


def _cautions(ability: Floats, n_answers: npt.NDArray[np.intp]) -> tuple[Caution, ...]:
    cautions = []
    is_missing = np.isnan(ability)
    for code, rows, text in (
        (
            "no-answers",
            np.flatnonzero(n_answers == 0),
            "answered none of the items and have no ability; ask them some",
        ),
        (
            "no-finite-ability",
            np.flatnonzero(is_missing & (n_answers > 0)),
            "answered as an infinite ability would: all right, all wrong, or no better "
            "than guessed; take EAP or MAP, or ask harder or easier items",
        ),
    ):
        if len(rows):
            first = ", ".join(map(str, rows[:3]))
            cautions.append(
                Caution(
                    code,
                    f"{len(rows)} of {len(ability)} respondents (first: rows {first}) "
                    f"{text}",
                )
            )
    return tuple(cautions)
