"""Does each item behave as the model says? Mean squares and a chi-square test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution
from harness.stats.irt.ability import abilities, check_answers, posterior
from harness.stats.irt.information import blocks, choose_items
from harness.stats.irt.model import ItemModel, ModelName

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.intp]

N_PARAMETERS: dict[ModelName, int] = {"rasch": 1, "1pl": 1, "2pl": 2, "3pl": 3}
"""How many parameters of its own an item of each model has."""

MAX_GROUPS = 10
"""Groups of respondents that the chi-square test compares, as in Yen (1981)."""

MIN_VARIANCE = 5.0
"""Least binomial variance, ``sum e (1 - e)``, of a group: below it, a count of right
answers is too far from normal."""

TIE = 1e-9
"""Expectations that differ by less are the same, but for rounding errors."""

CHI_SQUARE = "Yen's chi-square, expected from each respondent's other answers"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemFit:
    """How well each item's answers agree with its fitted curve.

    Attributes
    ----------
    item_ids : tuple of str
        The items, in the order of the arrays.
    outfit, infit : ndarray, shape (n_items,)
        Mean squares, 1 where the answers are as noisy as the model says; above it they
        are noisier, below it too regular; infinite after an answer whose probability is
        below any number. ``nan`` where no respondent has a finite maximum likelihood
        ability.
    chi_square, p_value : ndarray, shape (n_items,)
        ``nan`` where too few answers leave no degree of freedom.
    df : ndarray of int, shape (n_items,)
        Groups less estimated parameters.
    n_answers : ndarray of int, shape (n_items,)
        Respondents who answered each item.
    method : str
        How the chi-square was computed, in the words the report prints.
    """

    item_ids: tuple[str, ...]
    outfit: Floats
    infit: Floats
    chi_square: Floats
    df: Counts
    p_value: Floats
    n_answers: Counts
    method: str
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; what is not finite becomes ``None``."""
        columns = self.to_frame().drop(columns="method").to_dict("list")
        return {
            "method": self.method,
            **{
                str(name): [
                    None if isinstance(v, float) and not math.isfinite(v) else v
                    for v in values
                ]
                for name, values in columns.items()
            },
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each item, with all attributes but the cautions."""
        import pandas as pd

        return pd.DataFrame(
            {
                "item_id": self.item_ids,
                "outfit": self.outfit,
                "infit": self.infit,
                "chi_square": self.chi_square,
                "df": self.df,
                "p_value": self.p_value,
                "n_answers": self.n_answers,
                "method": self.method,
            }
        )


def item_fit(
    items: ItemModel, responses: Floats, *, n_estimated: int | None = None
) -> ItemFit:
    """Return how well each item's answers agree with its curve.

    Mean squares are those of `mean_squares`, at maximum likelihood abilities.

    The test is Yen's Q1: respondents in order of ability are cut into groups g, and
    ``X^2 = sum_g (sum_g (y - e))^2 / sum_g e (1 - e)``. Instead of an ability that the
    answer y itself has moved, which rejects too often in short tests, the expectation
    ``e = P(y = 1 | the respondent's other answers)`` is used, by averaging P over the
    posterior that these leave. Given the other answers y is a Bernoulli draw with that
    mean and independent of the grouping by e, whatever the number of items, so that
    X^2 is chi-square with as many degrees of freedom as groups for known items, less
    the item's estimated parameters for fitted ones. It assumes that the abilities are
    normal with the model's SD.

    Groups are cut at equal shares of the binomial variance: `MAX_GROUPS`, or as many
    as have at least `MIN_VARIANCE` each. Respondents with one and the same e stay
    together, as after the same raw score on the other items of a Rasch test.

    Parameters
    ----------
    items : ItemModel
        The n_items items, in the order of the columns of `responses`.
    responses : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` not asked.
    n_estimated : int, optional
        Parameters of each item that were estimated from these very responses; by
        default all that the model has. 0 where the items were fitted elsewhere.

    Raises
    ------
    DesignError
        ``responses-shape``; ``responses-not-binary``.

    Notes
    -----
    Cautions: ``too-few-answers``, where an item has no test; ``no-finite-ability``,
    where respondents are left out of the mean squares.

    References
    ----------
    W. M. Yen, Applied Psychological Measurement 5 (1981) 245, equation 2. M. Orlando,
    D. Thissen, ibid. 24 (2000) 50: why it must not be grouped by an ability that y has
    moved. A. E. Gelfand, D. K. Dey, H. Chang, Bayesian Statistics 4 (1992) 147: the
    posterior without one answer, ``1 / E[1 / P(y)]``.
    """
    answers = check_answers(items, responses)
    estimated = N_PARAMETERS[items.model] if n_estimated is None else n_estimated
    likeliest = abilities(items, answers, method="mle")
    outfit, infit = mean_squares(items, answers, likeliest.ability)
    expected = expected_answers(items, answers)
    chi_square, n_groups = np.empty(len(outfit)), np.empty(len(outfit), dtype=np.intp)
    for part in blocks(len(outfit), len(answers)):
        chi_square[part], n_groups[part] = _chi_squares(
            answers[:, part], expected[:, part]
        )
    df = np.maximum(n_groups - estimated, 0)
    return ItemFit(
        item_ids=items.item_ids,
        outfit=outfit,
        infit=infit,
        chi_square=np.where(df > 0, chi_square, np.nan),
        df=df,
        p_value=_p_values(df, chi_square),
        n_answers=np.sum(~np.isnan(answers), axis=0),
        method=CHI_SQUARE,
        cautions=_cautions(items, df, estimated)
        + tuple(c for c in likeliest.cautions if c.code == "no-finite-ability"),
    )


def mean_squares(
    items: ItemModel, responses: Floats, ability: Floats
) -> tuple[Floats, Floats]:
    """Return outfit and infit of each item at given abilities.

    ``outfit = mean of (y - P)^2 / (P Q)``, which a few surprising answers far from the
    item's difficulty can raise; ``infit = sum (y - P)^2 / sum P Q``, which weighs
    answers by their information. Both are over the respondents whose ability is not
    ``nan``. At estimated abilities they average a little below 1 where items are few.

    Parameters
    ----------
    responses : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` not asked.
    ability : ndarray, shape (n_respondents,)

    Returns
    -------
    outfit, infit : ndarray, shape (n_items,)

    References
    ----------
    B. D. Wright, G. N. Masters, *Rating Scale Analysis* (1982), chapter 5.
    """
    has_ability = ~np.isnan(ability)
    theta, answers = ability[has_ability], responses[has_ability]
    outfit, infit = np.empty((2, answers.shape[1]))
    for part, some in _parts(items, len(theta)):
        outfit[part], infit[part] = _mean_squares(some, answers[:, part], theta)
    return outfit, infit


def expected_answers(items: ItemModel, responses: Floats) -> Floats:
    """Return P(right) of each answer, given the respondent's other answers.

    With w the posterior weights given all answers, ``e = 1 / sum_q w_q / P_q`` after a
    right answer and ``1 - 1 / sum_q w_q / Q_q`` after a wrong one: dividing by its own
    likelihood takes an answer out of the posterior.

    Returns
    -------
    ndarray, shape (n_respondents, n_items)
        ``nan`` where the item was not asked.
    """
    modes = abilities(items, responses, method="map").ability
    expected = np.full(responses.shape, np.nan)
    rows = np.flatnonzero(~np.isnan(modes))
    if not len(rows):
        return expected
    answers = responses[rows]
    nodes, weights = posterior(items, answers, modes[rows])
    # Where a likelihood is below any number, the weight is 0, and so is the quotient.
    least = np.finfo(np.float64).tiny
    for part, some in _parts(items, len(nodes)):
        p, y = some.probabilities(nodes), answers[:, part]
        after_right = 1 / (weights @ (1 / np.maximum(p, least)))
        after_wrong = 1 - 1 / (weights @ (1 / np.maximum(1 - p, least)))
        # Rounding may leave 1e-16 beyond either end.
        values = np.clip(np.where(y == 1, after_right, after_wrong), 0, 1)
        expected[rows, part] = np.where(np.isnan(y), np.nan, values)
    return expected


def _mean_squares(items: ItemModel, y: Floats, theta: Floats) -> tuple[Floats, Floats]:
    from scipy.special import expit

    p = items.probabilities(theta)
    z = items.discrimination * (theta[:, None] - items.difficulty)
    # As 1 - P it would be 0 for answers that are no more than very surprising.
    q = (1 - items.guessing) * expit(-z)
    is_asked = ~np.isnan(y)
    against, towards = np.where(y == 1, (q, p), (p, q))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        outfit = (against / towards).sum(axis=0, where=is_asked)
        outfit /= is_asked.sum(axis=0)
        infit = (against**2).sum(axis=0, where=is_asked)
        infit /= (p * q).sum(axis=0, where=is_asked)
    return outfit, infit


def _parts(items: ItemModel, n_rows: int) -> Iterator[tuple[slice, ItemModel]]:
    """Yield some of the items at a time, and which columns they are."""
    columns = np.arange(len(items.item_ids))
    for part in blocks(len(columns), n_rows):
        yield part, choose_items(items, columns[part])


def _chi_squares(answers: Floats, expected: Floats) -> tuple[Floats, Counts]:
    """Return each item's chi-square and its number of groups."""
    # Missing answers have no variance and no residual, wherever they are sorted to.
    order = np.argsort(expected, axis=0)
    e = np.take_along_axis(expected, order, axis=0)
    variance = np.nan_to_num(e * (1 - e))
    residual = np.nan_to_num(np.take_along_axis(answers, order, axis=0) - e)
    middle, total = _shares(e, variance)
    most = np.minimum(MAX_GROUPS, total // MIN_VARIANCE)
    group = np.minimum(middle * most, MAX_GROUPS - 1).astype(np.intp)
    chi_square, n_groups = np.zeros(len(total)), np.zeros(len(total), dtype=np.intp)
    # Ties may leave a group too small: it is taken together with the next one, and the
    # last with the one before, which is held back for that.
    held, pending = np.zeros((2, len(total))), np.zeros((2, len(total)))
    for g in range(MAX_GROUPS):
        here = group == g
        pending += np.where(here, (residual, variance), 0).sum(axis=1)
        is_full = pending[1] >= MIN_VARIANCE
        chi_square += np.where(is_full, _ratio(held), 0)
        n_groups += is_full
        held = np.where(is_full, pending, held)
        pending = np.where(is_full, 0, pending)
    return chi_square + _ratio(held + pending), n_groups


def _shares(e: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return where in the sum of variances each respondent lies, and that sum.

    Respondents of equal e lie in the middle of them all and so in one group: no order
    among them can be trusted to be independent of their answers, neither that of the
    rows nor that of rounding errors.
    """
    running = np.cumsum(variance, axis=0)
    total = running[-1]
    is_new = np.ones(e.shape, dtype=bool)
    # A nan is never close to anything, and has no variance.
    is_new[1:] = ~(np.abs(np.diff(e, axis=0)) < TIE)
    before = np.where(is_new, running - variance, 0)
    start = np.maximum.accumulate(before, axis=0)
    is_last = np.vstack([is_new[1:], np.ones((1, e.shape[1]), dtype=bool)])
    after = np.where(is_last, running, np.inf)
    end = np.minimum.accumulate(after[::-1], axis=0)[::-1]
    return (start + end) / 2 / np.where(total > 0, total, 1), total


def _ratio(group: Floats) -> Floats:
    residual, variance = group
    return np.asarray(residual**2 / np.where(variance < MIN_VARIANCE, np.inf, variance))


def _p_values(df: Counts, chi_square: Floats) -> Floats:
    from scipy.special import chdtrc

    return np.where(df > 0, chdtrc(np.maximum(df, 1), chi_square), np.nan)


def _cautions(items: ItemModel, df: Counts, estimated: int) -> tuple[Caution, ...]:
    untested = np.flatnonzero(df < 1)
    if not len(untested):
        return ()
    first = ", ".join(items.item_ids[i] for i in untested[:3])
    needed = MIN_VARIANCE * (estimated + 1)
    return (
        Caution(
            "too-few-answers",
            f"{len(untested)} of {len(df)} items (first: {first}) have no chi-square "
            f"test: with {estimated} estimated parameters it needs answers whose "
            f"variances add up to {needed:g}, at least {4 * needed:g} answers",
        ),
    )
