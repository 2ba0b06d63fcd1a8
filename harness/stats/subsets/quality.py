"""How well does a few items' score stand in for the full one? Results, as tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution, Estimate
from harness.stats.subsets.choose import SubsetMethod
from harness.stats.subsets.estimate import Estimator
from harness.stats.subsets.held_out import Unit

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

MEASURES = (
    "bias",
    "mae",
    "seed_sd",
    "half_width",
    "item_half_width",
    "coverage",
    "monotonicity",
    "rank_correlation",
)
"""What is told of each method, estimator and size, in the order of the table."""


Method = SubsetMethod | Literal["adaptive"]
"""A way to choose items once for all, or for each respondent in turn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubsetQuality:
    """How well one way to choose, and to estimate, does at one size.

    Every measure is of respondents held out. Errors are estimated minus full score.
    Where many subsets were drawn, a value is the mean over draws and its interval
    holds the central draws; elsewhere intervals are over groups.

    Attributes
    ----------
    method, estimator : str
        See `choose_subset` and `estimate_full`; method ``full`` is the reference,
        ``adaptive`` that of `adaptive_test`, ``search`` whatever `select_stable` chose
        on the others.
    n_items, n_draws : int
        Items in a subset, and subsets drawn.
    bias, mae : Estimate
        Mean error and mean absolute error; mean over groups of the mean over each.
    seed_sd : Estimate
        E of the paper, from subset scores: SD (ddof=1) over the training seeds of a
        model that are held out together, averaged over models and steps.
    half_width : Estimate
        Half the interval for the full score, mean over respondents.
    item_half_width : Estimate
        Half the interval for all items that could have been asked, of which the full
        set is a sample too: the root of the sum of squares with the full set's.
    coverage : Estimate
        Share of respondents whose interval holds their full score.
    monotonicity : Estimate
        Kendall's tau-b of score and step, mean over training runs.
    rank_correlation : Estimate
        Kendall's tau-b between subset and full scores of the models, at the last step
        of each run, mean over runs. Models may be held out in different parts, and
        then be ranked by different subsets, which lowers it if anything.
    beats_random : float
        Share of random subsets of the same size whose `mae` is larger, ties by half;
        ``nan`` for these themselves and the full set.
    values, low, high : ndarray, shape (n_folds, n_respondents)
        Estimates and intervals of every respondent, in each fold; of the first draw.
    """

    method: Method | Literal["full", "search"]
    estimator: Estimator
    n_items: int
    n_draws: int
    bias: Estimate
    mae: Estimate
    seed_sd: Estimate
    half_width: Estimate
    item_half_width: Estimate
    coverage: Estimate
    monotonicity: Estimate
    rank_correlation: Estimate
    beats_random: float
    values: Floats
    low: Floats
    high: Floats

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All estimates, in the order of the table."""
        return tuple(getattr(self, name) for name in MEASURES)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "method": self.method,
            "estimator": self.estimator,
            "n_items": self.n_items,
            "n_draws": self.n_draws,
            **{name: getattr(self, name).to_dict() for name in MEASURES},
            "beats_random": None
            if math.isnan(self.beats_random)
            else self.beats_random,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubsetEvaluation:
    """Subset methods, judged on models that they were not fitted on.

    Attributes
    ----------
    rows : tuple of SubsetQuality
        The full set first, then each method, estimator and size.
    full : ndarray, shape (n_respondents,)
        Scores over all items.
    fold : ndarray, shape (n_respondents,)
        The part in which each respondent was held out.
    groups : ndarray, shape (n_respondents,)
        Which respondents were held out together, from 0.
    unit : {"model", "run", "group"}
        What they are: a model, a training run, or a group that the caller made.
    n_items_total : int
        Items that all respondents have scored: the full set.
    """

    rows: tuple[SubsetQuality, ...]
    full: Floats
    fold: Codes
    groups: Codes
    unit: Unit
    n_items_total: int
    n_groups: int
    n_folds: int
    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "n_respondents": len(self.full),
            "n_items_total": self.n_items_total,
            "held_out": self.unit,
            "n_groups": self.n_groups,
            "n_folds": self.n_folds,
            "confidence_level": self.confidence_level,
            "rows": [row.to_dict() for row in self.rows],
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each method, estimator and size.

        Columns: ``method``, ``estimator``, ``n_items``, ``share`` (of all items),
        ``n_draws``; each of `MEASURES`, with ``_low`` and ``_high``;
        ``beats_random``; ``cautions`` (codes, separated by spaces).
        """
        import pandas as pd

        return pd.DataFrame([self._flat(row) for row in self.rows])

    def fidelity_frame(self) -> pd.DataFrame:
        """Return a row for each respondent, fold, method, estimator and size.

        Columns: ``method``, ``estimator``, ``n_items``, ``fold``, ``respondent`` (its
        row), ``group``, ``is_held_out``, ``full``, ``value``, ``low``, ``high``. A
        respondent is held out in one fold, and learnt from in the others.
        """
        import pandas as pd

        n_folds, n = self.n_folds, len(self.full)
        fold = np.repeat(np.arange(n_folds), n)
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "method": row.method,
                        "estimator": row.estimator,
                        "n_items": row.n_items,
                        "fold": fold,
                        "respondent": np.tile(np.arange(n), n_folds),
                        "group": np.tile(self.groups, n_folds),
                        "is_held_out": fold == np.tile(self.fold, n_folds),
                        "full": np.tile(self.full, n_folds),
                        "value": row.values.ravel(),
                        "low": row.low.ravel(),
                        "high": row.high.ravel(),
                    }
                )
                for row in self.rows
            ],
            ignore_index=True,
        )

    def _flat(self, row: SubsetQuality) -> dict[str, Any]:
        codes = dict.fromkeys(c.code for e in row.estimates for c in e.cautions)
        measures: dict[str, float] = {}
        for name, estimate in zip(MEASURES, row.estimates, strict=True):
            ends = estimate.interval
            measures |= {name: estimate.value}
            measures |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
        return {
            "method": row.method,
            "estimator": row.estimator,
            "n_items": row.n_items,
            "share": row.n_items / self.n_items_total,
            "n_draws": row.n_draws,
            **measures,
            "beats_random": row.beats_random,
            "cautions": " ".join(codes),
        }
