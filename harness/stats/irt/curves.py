"""How does the chance of a right answer rise with ability? Fitted and observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution
from harness.stats.intervals import check_level, mean_intervals
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
    low, high : ndarray, shape (n_points,)
        Its pointwise band, of `curve_bands`, at `confidence_level`.
    guessing : float
        What the curve starts from.
    bin_ability : ndarray, shape (n_bins,)
        Mean ability of the respondents in each bin; empty where they are too few.
    bin_expected, bin_observed : ndarray, shape (n_bins,)
        Share of right answers that the curve says, averaged over the very abilities of
        the bin, and the share that was right.
    bin_low, bin_high : ndarray, shape (n_bins,)
        Wilson's interval of the observed share, at `confidence_level` too.
    bin_n : ndarray of int, shape (n_bins,)
        Respondents in each bin.
    """

    item_id: str
    ability: Floats
    probability: Floats
    low: Floats
    high: Floats
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
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        has_band = not np.isnan(self.low).any()
        return {
            "item_id": self.item_id,
            "ability": self.ability.tolist(),
            "probability": self.probability.tolist(),
            "low": self.low.tolist() if has_band else None,
            "high": self.high.tolist() if has_band else None,
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


def curve_bands(
    items: ItemModel,
    covariance: Floats,
    ability: Floats,
    *,
    confidence_level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return the ends of a pointwise band round each item's curve.

    ``logit P ± z sqrt(g' V g)``, put back on the scale of P, with V the covariance of
    (a, b, c) and ``g = (w (theta - b), -w a, 1 / (P (1 - c)))`` the slope of ``logit
    P`` in them, ``w = (P - c) / (P (1 - c))``. Without guessing w is 1, and ``logit
    P`` a straight line in what was fitted, a and -a b. The band stays between 0 and 1.
    It is for the curve at each ability by itself, and takes estimates as normal.

    Parameters
    ----------
    covariance : ndarray, shape (n_items, 3, 3)
        As `harness.stats.irt.model.IrtFit` has it; ``nan`` gives no band.
    ability : ndarray, shape (n_abilities,)

    Returns
    -------
    low, high : ndarray, shape (n_abilities, n_items)

    References
    ----------
    D. Thissen, H. Wainer, Journal of Educational Statistics 15 (1990) 113, on such
    bands, which they draw from normal parameters.
    """
    from scipy.special import expit, ndtri

    check_level(confidence_level)
    a, b, c = items.discrimination, items.difficulty, items.guessing
    apart = np.asarray(ability)[:, None] - b
    rise = np.exp(a * apart)
    odds = rise + c / (1 - c) * (1 + rise)
    w = rise / ((1 - c) * odds)
    slopes = np.stack([w * apart, -w * a, (1 + rise) / ((1 - c) ** 2 * odds)], axis=-1)
    variance = np.einsum("tij,ijk,tik->ti", slopes, covariance, slopes)
    # Known items have none, which rounding may leave just below 0.
    reach = ndtri(0.5 + confidence_level / 2) * np.sqrt(np.maximum(variance, 0))
    return expit(np.log(odds) - reach), expit(np.log(odds) + reach)


def item_curve(
    items: ItemModel,
    responses: Floats,
    ability: Floats,
    column: int,
    *,
    covariance: Floats | None = None,
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
    covariance : ndarray, shape (n_items, 3, 3), optional
        As `curve_bands` takes it.

    Notes
    -----
    Cautions: ``too-few-for-bins``, fewer than two bins' worth of respondents;
    ``no-band``, where the item's parameters have no standard errors.
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
    if covariance is None:
        covariance = np.full((len(items.item_ids), 3, 3), np.nan)
    low, high = curve_bands(
        one, covariance[[column]], points, confidence_level=confidence_level
    )
    if np.isnan(low).any():
        text = (
            f"the curve of {one.item_ids[0]} has no band: its parameters have no "
            "standard errors, as on a bound or where answers do not determine them"
        )
        cautions += (Caution("no-band", text),)
    expected = one.probabilities(ability)[:, 0]
    return ItemCurve(
        item_id=one.item_ids[0],
        ability=points,
        probability=one.probabilities(points)[:, 0],
        low=low[:, 0],
        high=high[:, 0],
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
