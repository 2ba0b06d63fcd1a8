"""What would the full score be, given the answers to a few items?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.intervals import check_level, mean_intervals, standard_error
from harness.stats.irt.ability import abilities
from harness.stats.irt.information import blocks, choose_items, item_information
from harness.stats.resample import check_scores
from harness.stats.subsets.calibrate import Calibration
from harness.stats.subsets.choose import Subset

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Estimator = Literal["weighted", "plain", "p-irt", "gp-irt"]

ESTIMATOR_NAMES: dict[Estimator, str] = {
    "weighted": "weighted mean of the answers",
    "plain": "plain mean of the answers",
    "p-irt": "answers, and the model's prediction for the items not asked",
    "gp-irt": "mixture of the weighted mean and p-irt",
}
"""Each estimator in the words the report prints."""

DRAWN = "interval of a draw without replacement"
MODELLED = "normal interval under the calibrated model"

NO_INTERVAL: tuple[Caution, ...] = (
    Caution(
        "no-interval",
        "the items were chosen, not drawn: an interval needs their calibration",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FullScores:
    """Scores on all items, estimated from a few.

    Attributes
    ----------
    values, se, low, high : ndarray, shape (n_respondents,)
        Estimates, their standard errors and the ends of their intervals, in score
        units; ``nan`` where there are none.
    estimator : str
        A key of `ESTIMATOR_NAMES`.
    n_items, n_items_total : int
        How many were answered, of how many.
    method : str
        How estimate and interval were computed, in the words the report prints.
    """

    values: Floats
    se: Floats
    low: Floats
    high: Floats
    estimator: Estimator
    confidence_level: float
    n_items: int
    n_items_total: int
    method: str
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "estimator": self.estimator,
            "method": self.method,
            "confidence_level": self.confidence_level,
            "n_items": self.n_items,
            "n_items_total": self.n_items_total,
            **{
                name: [None if v != v else v for v in getattr(self, name).tolist()]
                for name in ("values", "se", "low", "high")
            },
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each respondent: value, se, low, high."""
        import pandas as pd

        return pd.DataFrame(
            {"value": self.values, "se": self.se, "low": self.low, "high": self.high}
        )


def estimate_full(
    answers: Floats,
    subset: Subset,
    *,
    estimator: Estimator = "weighted",
    calibration: Calibration | None = None,
    confidence_level: float = 0.95,
) -> FullScores:
    """Estimate the mean score over all items from the answers to a subset.

    With y the answers, w the weights, n of N items asked, and P the calibrated model
    at the respondent's MAP ability::

        weighted   sum over asked w y
        plain      mean over asked y
        p-irt      (n/N) mean over asked y + (1 - n/N) mean over the others P
        gp-irt     l weighted + (1 - l) p-irt,   l = b^2 / (v / 4n + b^2)

    with b the calibration's validation error and v its response variance.

    The interval is for the mean over the N items, not over those that could have been
    asked: it has no width where all are asked. For items drawn at random it is that of
    `mean_intervals`, narrowed by ``sqrt(1 - n/N)``; strata are given no credit. For
    others it is ``value +- z se`` under the calibrated model, item parameters taken as
    known: with ability theta and prior SD s, information I of the answers, and
    ``D = sum over others P' / N``, the squared error expected of the mixture is::

        sum over asked (l (w - 1/N) + (1 - l) D P' / (PQ (I + 1/s^2)))^2 PQ
          + ((1 - l) D / (I + 1/s^2))^2 / s^2          prior
          + sum over others PQ / N^2                   answers not seen
          + (l (sum over asked w P - mean P))^2        anchors unlike the rest
          + ((1 - l) (1 - n/N) b)^2 pi / 2             model unlike the data

    with l = 1 for ``weighted`` and 0 for ``p-irt``.

    Parameters
    ----------
    answers : ndarray, shape (n_respondents, n_items)
        Scores on the items of `subset`, in its order; no missing values.
    estimator : {"weighted", "plain", "p-irt", "gp-irt"}
        ``weighted`` is called IRT in its source where items are IRT anchors, ``gp-irt``
        IRT++. ``plain`` is what a run of these items alone scores; chosen items have
        no interval for it.
    calibration : Calibration, optional
        Needed for ``p-irt`` and ``gp-irt``, and for the interval of ``weighted``
        where items were chosen.

    Raises
    ------
    DesignError
        ``unknown-method``, ``no-calibration``, ``missing-scores``,
        ``responses-shape``, ``bad-confidence-level``.

    Notes
    -----
    Cautions: ``no-interval``, for chosen items without a calibration;
    ``no-validation``, where the calibration has no validation error: p-irt's interval
    then lacks it, and gp-irt is not defined.

    References
    ----------
    F. Maia Polo et al., tinyBenchmarks, arXiv 2402.14992 (2024), section 4, and its
    code for l. The intervals are ours.
    """
    check_level(confidence_level)
    _check(answers, subset, estimator)
    is_drawn = subset.method in ("random", "stratified")
    if estimator == "plain" or (
        estimator == "weighted" and (is_drawn or calibration is None)
    ):
        return _designed(
            answers, subset, confidence_level, estimator=estimator, is_drawn=is_drawn
        )
    if calibration is None:
        raise DesignError(
            f"{estimator} predicts the answers to items that were not asked, and needs "
            "a calibration; make one with calibrate()",
            code="no-calibration",
        )
    return _modelled(answers, subset, calibration, estimator, confidence_level)


def mixing(calibration: Calibration, n_items: int) -> float:
    """Return the share of the weighted mean in gp-irt, ``b^2 / (v / 4n + b^2)``.

    More where the model errs (b, the validation error), less where few answers vary
    (v, the response variance) much. ``nan`` without a validation error.
    """
    error = calibration.validation_error**2
    return error / (calibration.response_variance / (4 * n_items) + error)


def _check(answers: Floats, subset: Subset, estimator: str) -> None:
    if estimator not in ESTIMATOR_NAMES:
        raise DesignError(
            f"there is no estimator {estimator!r}; choose one of "
            f"{', '.join(ESTIMATOR_NAMES)}",
            code="unknown-method",
        )
    if answers.ndim != 2 or answers.shape[1] != subset.n_items:
        raise DesignError(
            f"the answers have shape {answers.shape}, and the subset has "
            f"{subset.n_items} items; give a row for each respondent and a column for "
            "each item",
            code="responses-shape",
        )
    check_scores(answers)


def _designed(
    answers: Floats,
    subset: Subset,
    confidence_level: float,
    *,
    estimator: Estimator,
    is_drawn: bool,
) -> FullScores:
    """Return a mean of the answers, with the interval of a draw where it was one."""
    mean = answers.mean(1)
    values = mean if estimator == "plain" else answers @ subset.weights
    low = high = np.full(len(values), np.nan)
    method, cautions = ESTIMATOR_NAMES[estimator], NO_INTERVAL
    if is_drawn:
        unseen = math.sqrt(1 - subset.n_items / subset.n_items_total)
        ends = mean_intervals(answers, confidence_level=confidence_level)
        low, high = (values + unseen * (end - mean) for end in ends)
        method, cautions = f"{method}; {DRAWN}", ()
    return FullScores(
        values=values,
        se=standard_error((high - low) / 2, confidence_level=confidence_level),
        low=low,
        high=high,
        estimator=estimator,
        confidence_level=confidence_level,
        n_items=subset.n_items,
        n_items_total=subset.n_items_total,
        method=method,
        cautions=cautions,
    )


def _modelled(
    answers: Floats,
    subset: Subset,
    calibration: Calibration,
    estimator: Estimator,
    confidence_level: float,
) -> FullScores:
    """Return a mixture of weighted mean and prediction, with the model's interval."""
    from scipy.special import ndtri

    asked = choose_items(calibration.items, subset.items)
    theta = abilities(asked, calibration.binary(answers), method="map").ability
    share = 1.0 if estimator == "weighted" else 0.0
    if estimator == "gp-irt":
        share = mixing(calibration, subset.n_items)
    others, se = _expected(calibration, subset, theta, share)
    predicted = (answers.sum(1) + others) / subset.n_items_total
    values = share * (answers @ subset.weights) + (1 - share) * predicted
    half_width = ndtri(0.5 + confidence_level / 2) * se
    is_blind = math.isnan(calibration.validation_error) and estimator != "weighted"
    return FullScores(
        values=values,
        se=se,
        low=values - half_width,
        high=values + half_width,
        estimator=estimator,
        confidence_level=confidence_level,
        n_items=subset.n_items,
        n_items_total=subset.n_items_total,
        method=f"{ESTIMATOR_NAMES[estimator]}; {MODELLED}",
        cautions=tuple(
            c for c in calibration.cautions if is_blind and c.code == "no-validation"
        ),
    )


def _expected(
    calibration: Calibration, subset: Subset, theta: Floats, share: float
) -> tuple[Floats, Floats]:
    """Return the right answers expected to the items not asked, and the mixture's SE.

    The formula stands in `estimate_full`; `share` is l.
    """
    items, n_total = calibration.items, subset.n_items_total
    asked = subset.items
    rest = np.setdiff1d(np.arange(n_total), asked)
    precision = items.ability_sd**-2
    error = float(np.nan_to_num(calibration.validation_error))
    misfit = (1 - share) * len(rest) / n_total * error * math.sqrt(math.pi / 2)
    others, se = np.empty((2, len(theta)))
    for rows in blocks(len(theta), n_total):
        p = items.probabilities(theta[rows])
        pq = p * (1 - p)
        information = item_information(items, theta[rows])
        # Fisher's information of an item is P'^2 / PQ.
        slope = np.sign(items.discrimination) * np.sqrt(information * pq)
        others[rows] = p[:, rest].sum(1)
        known = information[:, asked].sum(1) + precision
        reach = (1 - share) * slope[:, rest].sum(1) / n_total
        seen = pq[:, asked]
        pull = np.divide(slope[:, asked], seen, out=np.zeros_like(seen), where=seen > 0)
        each = share * (subset.weights - 1 / n_total)
        each = each + (reach / known)[:, None] * pull
        unlike = share * (p[:, asked] @ subset.weights - p.mean(1))
        se[rows] = np.sqrt(
            (each**2 * seen).sum(1)
            + (reach / known) ** 2 * precision
            + pq[:, rest].sum(1) / n_total**2
            + unlike**2
            + misfit**2
        )
    return others, se
