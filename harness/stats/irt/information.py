"""How much do items tell of an ability, and where? Fisher information."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.stats.irt.model import ItemModel

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

BLOCK = 2**17
"""Numbers held at a time for a table of abilities and items: they fit in a cache."""

GRID = 161
"""Points of a curve where the caller names none."""

REACH = 4.0
"""How far a curve goes either way where the caller does not say, in SDs of ability."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InformationCurve:
    """What a set of items tells at each ability.

    Attributes
    ----------
    ability : ndarray, shape (n_points,)
        Ascending, in units of the model's abilities.
    information : ndarray, shape (n_points,)
        Summed over the items, per squared unit of ability.
    se : ndarray, shape (n_points,)
        Standard error that the items alone would leave: ``1 / sqrt(information)``,
        infinite where they tell nothing.
    n_items : int
        How many items were summed.
    """

    ability: Floats
    information: Floats
    se: Floats
    n_items: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; an infinite standard error becomes ``None``."""
        return {
            "ability": self.ability.tolist(),
            "information": self.information.tolist(),
            "se": [s if np.isfinite(s) else None for s in self.se.tolist()],
            "n_items": self.n_items,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each point: ability, information, se."""
        import pandas as pd

        return pd.DataFrame(
            {
                "ability": self.ability,
                "information": self.information,
                "se": self.se,
            }
        )


def item_information(items: ItemModel, ability: Floats) -> Floats:
    """Return Fisher's information of each item on each ability.

    ``I = a^2 (Q / P) ((P - c) / (1 - c))^2`` with ``Q = 1 - P``; without guessing
    (c = 0) that is ``a^2 P Q``.

    Parameters
    ----------
    ability : ndarray, shape (n_abilities,)
        In units of the model's abilities.

    Returns
    -------
    ndarray, shape (n_abilities, n_items)
        Per squared unit of ability.

    References
    ----------
    F. M. Lord, *Applications of Item Response Theory to Practical Testing Problems*
    (1980), equation 5-9.
    """
    a, c = items.discrimination, items.guessing
    z = a * (np.asarray(ability, dtype=np.float64)[:, None] - items.difficulty)
    # One exponential gives both tails of the logistic curve, neither of them by 1 - P.
    odds = np.exp(-np.abs(z))
    information = a**2 * (odds / (1 + odds) ** 2)
    if c.any():
        above = np.where(z > 0, 1, odds) / (1 + odds)
        information *= (1 - c) * above / (c + (1 - c) * above)
    return np.asarray(information)


def information_at(items: ItemModel, ability: Floats) -> Floats:
    """Return the information of all items together at each ability.

    The sum of `item_information` over the items, which are independent given the
    ability. Shape (n_abilities,); per squared unit of ability.
    """
    total = np.empty(len(ability))
    for rows in blocks(len(ability), len(items.item_ids)):
        total[rows] = item_information(items, ability[rows]).sum(axis=1)
    return total


def standard_error_at(information: Floats, *, prior_sd: float = np.inf) -> Floats:
    """Return the standard error of an ability, ``1 / sqrt(I + 1 / prior_sd^2)``.

    Without `prior_sd` that of the maximum likelihood estimate for many items; with it,
    that of the posterior mode under a normal prior, which is finite even before the
    first item. Infinite where there is neither information nor prior.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(1 / np.sqrt(information + prior_sd**-2.0))


def information_curve(
    items: ItemModel,
    *,
    ability: Floats | None = None,
    chosen: npt.ArrayLike | None = None,
) -> InformationCurve:
    """Return the information of a set of items over a range of abilities.

    Parameters
    ----------
    ability : ndarray, shape (n_points,), optional
        Where to look. By default `GRID` points as far as `REACH` SDs of ability
        either way.
    chosen : array_like of int, optional
        Columns of the items that are summed, such as a subset's; all by default.
    """
    if ability is None:
        ability = np.linspace(-REACH, REACH, GRID) * items.ability_sd
    if chosen is not None:
        items = choose_items(items, chosen)
    information = information_at(items, ability)
    return InformationCurve(
        ability=ability,
        information=information,
        se=standard_error_at(information),
        n_items=len(items.item_ids),
    )


def choose_items(items: ItemModel, chosen: npt.ArrayLike) -> ItemModel:
    """Return the model of some of the items, in the order of their columns given."""
    columns = np.asarray(chosen, dtype=np.intp)
    return ItemModel(
        model=items.model,
        item_ids=tuple(items.item_ids[i] for i in columns),
        discrimination=items.discrimination[columns],
        difficulty=items.difficulty[columns],
        guessing=items.guessing[columns],
        ability_sd=items.ability_sd,
    )


def expected_scores(items: ItemModel, ability: Floats) -> Floats:
    """Return the share of all items that each ability is expected to get right.

    The mean of P(right) over the items: the test characteristic curve, divided by the
    number of items. Shape (n_abilities,); ``nan`` where the ability is.
    """
    scores = np.empty(len(ability))
    for rows in blocks(len(ability), len(items.item_ids)):
        scores[rows] = items.probabilities(ability[rows]).mean(axis=1)
    return scores


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows so that a block of the table stays within `BLOCK`."""
    size = max(1, BLOCK // max(1, n_columns))
    for start in range(0, n_rows, size):
        yield slice(start, start + size)
