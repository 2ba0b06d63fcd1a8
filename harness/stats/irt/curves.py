"""How does the chance of a right answer rise with ability? Fitted and observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution
from harness.stats.intervals import mean_intervals
from harness.stats.irt.information import GRID, REACH, choose_items
from harness.stats.irt.model import ItemModel

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

MIN_PER_BIN = 5
"""Fewer respondents are no proportion that could be set beside a curve."""

MAX_BINS = 10
"""Bins of respondents, in order of ability and equally large."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemCurve:
    """One item's characteristic curve, and the answers it was fitted to.

    Attributes
    ----------
    ability, probability : ndarray, shape (n_points,)
        The fitted curve: P(right) at each ability.
    guessing : float
        What the curve starts from.
    bin_ability : ndarray, shape (n_bins,)
        Mean ability of the respondents in each bin; empty where they are too few.
    bin_expected, bin_observed : ndarray, shape (n_bins,)
        Share of right answers that the curve says, averaged over the very abilities of
        the bin, and the share that was right.
    bin_low, bin_high : ndarray, shape (n_bins,)
        Wilson's interval of the observed share, at `confidence_level`.
    bin_n : ndarray of int, shape (n_bins,)
        Respondents in each bin.
    """

    item_id: str
    ability: Floats
    probability: Floats
    guessing: float
    bin_ability: Floats
    bin_expected: Floats
    bin_observed: Floats
    bin_low: Floats
    bin_high: Floats
    bin_n: npt.NDArray[np.intp]
    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "item_id": self.item_id,
            "ability": self.ability.tolist(),
            "probability": self.probability.tolist(),
            "guessing": self.guessing,
            "bins": self.to_frame().to_dict("records"),
            "confidence_level": self.confidence_level,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each bin: ability, expected, observed, low, high, n."""
        import pandas as pd

        return pd.DataFrame(
            {
                "ability": self.bin_ability,
                "expected": self.bin_expected,
                "observed": self.bin_observed,
                "low": self.bin_low,
                "high": self.bin_high,
                "n": self.bin_n,
            }
        )


def item_curve(
    items: ItemModel,
    responses: Floats,
    ability: Floats,
    column: int,
    *,
    confidence_level: float = 0.95,
) -> ItemCurve:
    """Return an item's fitted curve and the share of right answers along it.

    Respondents who answered the item are sorted by ability and cut into bins of equal
    number: as many as have `MIN_PER_BIN` each, and at most `MAX_BINS`. The abilities
    are taken as known, and the item is one of those they were estimated from; with few
    items that draws the observed shares towards a steeper curve.

    Parameters
    ----------
    responses : ndarray, shape (n_respondents, n_items)
        1 right, 0 wrong, ``nan`` not asked.
    ability : ndarray, shape (n_respondents,)
        Respondents with ``nan`` are left out.
    column : int
        Which of the items.

    Notes
    -----
    Cautions: ``too-few-for-bins``, fewer than two bins' worth of respondents.
    """
    one = choose_items(items, [column])
    answers = np.asarray(responses, dtype=np.float64)[:, column]
    known = np.flatnonzero(~np.isnan(answers) & ~np.isnan(ability))
    known = known[np.argsort(ability[known], kind="stable")]
    n_bins = min(MAX_BINS, len(known) // MIN_PER_BIN)
    cautions: tuple[Caution, ...] = ()
    if n_bins < 2:
        n_bins = 0
        text = (
            f"{len(known)} respondents answered {one.item_ids[0]}; two bins of "
            f"{MIN_PER_BIN} need {2 * MIN_PER_BIN}"
        )
        cautions = (Caution("too-few-for-bins", text),)
    bins = np.array_split(known, n_bins) if n_bins else []
    ends = [
        mean_intervals(answers[rows], confidence_level=confidence_level)
        for rows in bins
    ]
    reach = REACH * items.ability_sd
    points = np.linspace(
        ability[known].min(initial=-reach), ability[known].max(initial=reach), GRID
    )
    expected = one.probabilities(ability)[:, 0]
    return ItemCurve(
        item_id=one.item_ids[0],
        ability=points,
        probability=one.probabilities(points)[:, 0],
        guessing=float(one.guessing[0]),
        bin_ability=np.array([ability[rows].mean() for rows in bins]),
        bin_expected=np.array([expected[rows].mean() for rows in bins]),
        bin_observed=np.array([answers[rows].mean() for rows in bins]),
        bin_low=np.array([low for low, _ in ends], dtype=np.float64),
        bin_high=np.array([high for _, high in ends], dtype=np.float64),
        bin_n=np.array([len(rows) for rows in bins], dtype=np.intp),
        confidence_level=confidence_level,
        cautions=cautions,
    )
