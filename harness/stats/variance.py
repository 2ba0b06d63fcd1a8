"""How much of each benchmark's score is noise? The variance table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import CONDITION
from harness.stats.components import seed_components
from harness.stats.estimate import UNDEFINED, Caution, Estimate, undefined
from harness.stats.intervals import (
    HALL,
    WILSON,
    check_level,
    is_binary,
    mean_intervals,
    score_interval,
    standard_error,
)
from harness.stats.ranks import RankMethod, monotonicity, monotonicity_interval
from harness.stats.reference import PublishedComparison, compare_to_published
from harness.stats.scores import METRICS, UNKNOWN_METRIC
from harness.stats.series import last_seed_sd, last_step, seed_sd, signal_to_noise
from harness.stats.tables import Asked, MetricScores, ScoreTable, mean_or_nan
from harness.streams import stream

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Scores of one metric by training seed and step.

    Attributes
    ----------
    metric : str
        Which score: ``acc``, ``prob_correct``, …
    train_seeds, steps : tuple
        The rows and the columns, ascending; ``None`` where a checkpoint names none.
    scores : ndarray, shape (n_seeds, n_steps)
        Mean over items; ``nan`` where that checkpoint was not evaluated.
    half_widths : ndarray, shape (n_seeds, n_steps)
        Half the interval over items, in the units of `scores`.
    """

    metric: str
    train_seeds: tuple[int | None, ...]
    steps: tuple[int | None, ...]
    scores: Floats
    half_widths: Floats

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "metric": self.metric,
            "train_seeds": list(self.train_seeds),
            "steps": list(self.steps),
            "scores": _nested(self.scores),
            "half_widths": _nested(self.half_widths),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricVariance:
    """What one metric of one task shows for one model."""

    metric: str
    curve: Curve
    mean: Estimate
    """µ: mean over seeds at the last checkpoint; its interval is over items."""

    item_half_width: Estimate
    """Half the interval over items, averaged over seeds and checkpoints."""

    item_se_last: Estimate
    """Standard error over items of one checkpoint, the last, averaged over seeds."""

    seed_sd: Estimate
    """E of the paper: SD over seeds at each checkpoint, averaged over checkpoints."""

    seed_sd_last: Estimate
    """SD over seeds at the last checkpoint: the spread of what `mean` averages."""

    seed_share: Estimate
    """Share of the variance between seeds at the last checkpoint that is training
    seed; the rest is item sampling, which more items would remove."""

    corrected_sd: Estimate
    """SD over seeds at the last checkpoint without what item sampling adds."""

    snr: Estimate
    """µ over the SD between seeds, both at the last checkpoint."""

    snr_above_chance: Estimate
    """(µ - chance) over that SD: does not move when the scale is shifted."""

    monotonicity: Estimate
    """Rank correlation of score and step, per seed, averaged over seeds."""

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All estimates, in the order of the table."""
        return (
            self.mean,
            self.item_half_width,
            self.item_se_last,
            self.seed_sd,
            self.seed_sd_last,
            self.seed_share,
            self.corrected_sd,
            self.snr,
            self.snr_above_chance,
            self.monotonicity,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "metric": self.metric,
            "curve": self.curve.to_dict(),
            **{estimate.quantity: estimate.to_dict() for estimate in self.estimates},
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskVariance(Asked):
    """One row of the variance table: a model, under one condition and settings."""

    n_seeds: int
    """Training seeds that count as replicates."""

    n_checkpoints: int
    """Distinct steps."""

    chance: float
    """Expected discrete score of a guesser; ``nan`` where there is no such level."""

    discrete: MetricVariance
    continuous: MetricVariance | None
    """``None`` where no likelihood was stored."""

    published: PublishedComparison | None
    """The seed SD as a multiple of a published one; ``None`` where there is none."""

    cautions: tuple[Caution, ...] = ()
    """What concerns the data; each estimate carries its own besides."""

    @property
    def all_cautions(self) -> tuple[Caution, ...]:
        """The row's and its estimates' cautions, each text once."""
        parts = [self.discrete] + ([self.continuous] if self.continuous else [])
        estimates = (e for part in parts for e in part.estimates)
        return tuple(
            dict.fromkeys([*self.cautions, *(c for e in estimates for c in e.cautions)])
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **self.asked,
            "is_partial": self.is_partial,
            "n_seeds": self.n_seeds,
            "n_checkpoints": self.n_checkpoints,
            "chance": None if math.isnan(self.chance) else self.chance,
            "discrete": self.discrete.to_dict(),
            "continuous": self.continuous.to_dict() if self.continuous else None,
            "published": self.published.to_dict() if self.published else None,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def variance_table(
    tables: Iterable[ScoreTable],
    *,
    ddof: int = 1,
    confidence_level: float = 0.95,
    rank_method: RankMethod = "tau-b",
    entropy: int = 0,
) -> tuple[TaskVariance, ...]:
    """Return a row for each table of scores, in their order.

    Scores of checkpoints are means over the items that all of them have scored; a
    checkpoint of which no answer could be scored counts as not evaluated.

    Parameters
    ----------
    tables : iterable of ScoreTable
        From `harness.stats.tables.score_tables`.
    ddof : {1, 0}
        Subtracted from the number of seeds in the denominator of each SD.
    confidence_level : float
        Of every interval; above 0 and below 1.
    rank_method : {"tau-b", "tau-a", "spearman", "sign"}
        Which rank correlation monotonicity is.
    entropy : int
        Where random splits of the items start; the same number, the same intervals.

    Raises
    ------
    DesignError
        ``bad-confidence-level``, ``bad-ddof``, ``unknown-method``.

    Notes
    -----
    Cautions of a row: those of its table. Of an estimate: ``items-not-shared``,
    ``unscored-responses``, ``unscored-checkpoints``, ``no-shared-items``,
    ``constant-over-items`` and those of `harness.stats.series`,
    `harness.stats.components` and `harness.stats.ranks`.
    """
    check_level(confidence_level)
    options = _Options(ddof, confidence_level, rank_method, entropy)
    return tuple(_task_variance(table, options) for table in tables)


def variance_frame(rows: Iterable[TaskVariance]) -> pd.DataFrame:
    """Return the variance table as a tidy frame: a row for each `TaskVariance`.

    Columns: ``model``, ``task``, ``formulation``, ``num_fewshot``, ``template``,
    ``generation``, ``settings``, ``n_items``, ``chance``, ``metric_discrete``,
    ``metric_continuous``, ``mean``, ``low``, ``high``, ``seed_sd_last``, ``seed_sd``,
    ``seed_share``, ``corrected_sd``, ``mean_continuous``,
    ``seed_sd_last_continuous``, ``seed_sd_continuous``,
    ``item_half_width``, ``item_se_last``, ``snr_discrete``, ``snr_continuous``,
    ``snr_above_chance``, ``monotonicity_discrete``, ``monotonicity_continuous``,
    ``n_seeds``, ``n_checkpoints``; ``_low`` and ``_high`` of each quantity that has an
    interval; ``cautions`` (codes, separated by spaces). Where no metric is named, the
    discrete one is meant.
    """
    import pandas as pd

    return pd.DataFrame([_flat(row) for row in rows], columns=list(_COLUMNS))


_WITH_ENDS = (
    "seed_sd_last",
    "seed_sd",
    "seed_share",
    "corrected_sd",
    "snr_above_chance",
    "snr_discrete",
    "monotonicity_discrete",
    "snr_continuous",
    "monotonicity_continuous",
)
"""Columns beside which both ends of their interval stand."""

_COLUMNS = (
    "model",
    *CONDITION,
    "settings",
    "n_items",
    "chance",
    "metric_discrete",
    "metric_continuous",
    "mean",
    "low",
    "high",
    "seed_sd_last",
    "seed_sd",
    "seed_share",
    "corrected_sd",
    "item_half_width",
    "item_se_last",
    "mean_continuous",
    "seed_sd_last_continuous",
    "seed_sd_continuous",
    "snr_discrete",
    "snr_continuous",
    "snr_above_chance",
    "monotonicity_discrete",
    "monotonicity_continuous",
    "n_seeds",
    "n_checkpoints",
    *(f"{name}_{end}" for name in _WITH_ENDS for end in ("low", "high")),
    "cautions",
)


@dataclass(frozen=True, slots=True)
class _Options:
    ddof: int
    confidence_level: float
    rank_method: RankMethod
    entropy: int


def _task_variance(table: ScoreTable, options: _Options) -> TaskVariance:
    def part(scores: MetricScores) -> MetricVariance:
        return _metric_variance(scores, table.train_seeds, table.steps, options)

    discrete = part(table.discrete)
    published = None
    if (table.discrete.metric, options.ddof) in {("acc", 1), ("exact_match", 1)}:
        published = compare_to_published(
            discrete.seed_sd,
            task=table.task,
            formulation=table.formulation,
            n_items=table.n_items,
        )
    return TaskVariance(
        **table.asked,
        n_seeds=len(table.train_seeds),
        n_checkpoints=len(table.steps),
        chance=table.discrete.chance,
        discrete=discrete,
        continuous=part(table.continuous) if table.continuous else None,
        published=published,
        cautions=table.cautions,
    )


def _metric_variance(
    scored: MetricScores,
    train_seeds: tuple[int | None, ...],
    steps: tuple[int | None, ...],
    options: _Options,
) -> MetricVariance:
    """Summarise the scores of one metric."""
    level = options.confidence_level
    table = scored.scores
    shared, evaluated, cautions = scored.shared()
    bounds = METRICS.get(scored.metric, UNKNOWN_METRIC)
    limits = (bounds.low, bounds.high)
    n = int(shared.sum())
    shape = table.shape[:2]
    scores, half_widths = np.full(shape, np.nan), np.full(shape, np.nan)
    cells = table[evaluated][:, shared]
    if n:
        low, high = mean_intervals(cells, confidence_level=level, bounds=limits)
        scores[evaluated] = cells.mean(-1)
        half_widths[evaluated] = (high - low) / 2
    curve = Curve(
        metric=scored.metric,
        train_seeds=train_seeds,
        steps=steps,
        scores=scores,
        half_widths=half_widths,
    )
    column, last_cautions = last_step(scores) if n else (0, ())
    last = scores[:, column]
    here = ~np.isnan(last)
    spread = last_seed_sd(
        last, ddof=options.ddof, bounds=limits, confidence_level=level
    )
    if n:
        seeds = table[here, column][:, shared]
        mean = _mean_estimate(seeds.mean(0), level, limits)
        width = _width_estimate(half_widths, is_binary(cells), n, level)
        error = _last_error(half_widths[here, column], n, level)
        seed_share, corrected_sd = _seed_split(seeds, spread, level)
        rank = monotonicity_interval(
            np.where(evaluated[..., None], table, np.nan)[..., shared],
            method=options.rank_method,
            confidence_level=level,
            rng=stream(options.entropy, "halves of items"),
        )
    else:
        nothing = Caution(
            "no-shared-items",
            "no item was scored at every checkpoint; evaluate the same items on each",
        )
        mean, width, error, seed_share, corrected_sd = (
            undefined(q, n=0, method="mean", code=nothing.code, text=nothing.text)
            for q in (
                "mean",
                "item_half_width",
                "item_se_last",
                "seed_share",
                "corrected_sd",
            )
        )
        rank = monotonicity(scores, method=options.rank_method)

    def with_cautions(estimate: Estimate, *more: Caution) -> Estimate:
        return replace(estimate, cautions=(*estimate.cautions, *more, *cautions))

    def ratio(quantity: str, above: float | None) -> Estimate:
        return signal_to_noise(
            last,
            above=above,
            ddof=options.ddof,
            bounds=limits,
            n_items=n,
            confidence_level=level,
            quantity=quantity,
        )

    return MetricVariance(
        metric=scored.metric,
        curve=curve,
        mean=with_cautions(mean, *last_cautions),
        item_half_width=with_cautions(width),
        item_se_last=with_cautions(error, *last_cautions),
        seed_sd=with_cautions(
            seed_sd(scores, ddof=options.ddof, confidence_level=level)
        ),
        seed_sd_last=with_cautions(spread, *last_cautions),
        seed_share=with_cautions(seed_share, *last_cautions),
        corrected_sd=with_cautions(corrected_sd, *last_cautions),
        snr=with_cautions(ratio("snr", None), *last_cautions),
        snr_above_chance=with_cautions(
            ratio("snr_above_chance", scored.chance), *last_cautions
        ),
        monotonicity=with_cautions(rank),
    )


def _mean_estimate(
    items: Floats, confidence_level: float, bounds: tuple[float, float]
) -> Estimate:
    found = score_interval(items, confidence_level=confidence_level, bounds=bounds)
    method = f"mean over seeds at the last checkpoint; {found.method}"
    return replace(found, quantity="mean", method=method)


def _seed_split(
    seeds: Floats, spread: Estimate, confidence_level: float
) -> tuple[Estimate, Estimate]:
    """Return `seed_share` and `corrected_sd` of (seeds, items) scores.

    Where `spread`, the SD over seeds, is not defined, neither are they.
    """
    reason = spread.cautions[0] if len(seeds) < 2 else None
    try:
        found = seed_components(seeds, confidence_level=confidence_level)
    except DesignError as error:
        why = reason or Caution(error.code, str(error))
        share, sd = (
            undefined(
                name,
                n=len(seeds),
                method="variance components of seeds and items",
                code=why.code,
                text=why.text,
            )
            for name in ("seed_share", "corrected_sd")
        )
        return share, sd
    return found.seed_share, found.corrected_sd


def _width_estimate(
    half_widths: Floats,
    binary: Flags,
    n: int,
    confidence_level: float,
) -> Estimate:
    known = half_widths[~np.isnan(half_widths)]
    names = [WILSON] * bool(binary.any()) + [HALL] * (not binary.all())
    method = f"mean over checkpoints of half the {' or '.join(names)}"
    cautions = _width_cautions(np.array(len(known) < len(binary)), n)
    if not len(known):
        return undefined(
            "item_half_width",
            n=n,
            method=method,
            code=cautions[0].code,
            text=cautions[0].text,
        )
    return Estimate(
        quantity="item_half_width",
        value=float(known.mean()),
        confidence_level=confidence_level,
        n=n,
        method=method,
        cautions=cautions,
    )


def _last_error(half_widths: Floats, n: int, confidence_level: float) -> Estimate:
    errors = standard_error(half_widths, confidence_level=confidence_level)
    known = errors[~np.isnan(errors)]
    method = (
        "half the interval over items, over the normal quantile; mean over seeds at "
        "the last checkpoint"
    )
    cautions = _width_cautions(np.array(len(known) < len(errors)), n)
    return Estimate(
        quantity="item_se_last",
        value=mean_or_nan(known),
        confidence_level=confidence_level,
        n=n,
        method=method,
        cautions=cautions,
    )


def _width_cautions(is_missing: Flags, n: int) -> tuple[Caution, ...]:
    if not is_missing.any():
        return ()
    return (
        Caution(
            "constant-over-items",
            f"{n} item{'s' if n > 1 else ''} with one and the same score tell nothing "
            "of the spread over items; more items would",
        ),
    )


def _nested(values: Floats) -> list[list[float | None]]:
    return [[None if v != v else v for v in line] for line in values.tolist()]


def _flat(row: TaskVariance) -> dict[str, Any]:
    discrete, continuous = row.discrete, row.continuous
    return {
        "model": row.model,
        **{name: getattr(row, name) for name in CONDITION},
        "settings": row.settings,
        "n_items": row.n_items,
        "chance": row.chance,
        "metric_discrete": discrete.metric,
        "metric_continuous": continuous.metric if continuous else None,
        "mean": discrete.mean.value,
        "low": discrete.mean.interval.low,
        "high": discrete.mean.interval.high,
        "seed_sd_last": discrete.seed_sd_last.value,
        "seed_sd": discrete.seed_sd.value,
        "seed_share": discrete.seed_share.value,
        "corrected_sd": discrete.corrected_sd.value,
        "item_half_width": discrete.item_half_width.value,
        "item_se_last": discrete.item_se_last.value,
        "mean_continuous": continuous.mean.value if continuous else math.nan,
        "seed_sd_last_continuous": (
            continuous.seed_sd_last.value if continuous else math.nan
        ),
        "seed_sd_continuous": continuous.seed_sd.value if continuous else math.nan,
        "snr_discrete": discrete.snr.value,
        "snr_continuous": continuous.snr.value if continuous else math.nan,
        "snr_above_chance": discrete.snr_above_chance.value,
        "monotonicity_discrete": discrete.monotonicity.value,
        "monotonicity_continuous": (
            continuous.monotonicity.value if continuous else math.nan
        ),
        "n_seeds": row.n_seeds,
        "n_checkpoints": row.n_checkpoints,
        **_ends(discrete, continuous),
        "cautions": " ".join(dict.fromkeys(c.code for c in row.all_cautions)),
    }


def _ends(
    discrete: MetricVariance, continuous: MetricVariance | None
) -> dict[str, float]:
    """Return both ends of the intervals of `_WITH_ENDS`."""
    ends: dict[str, float] = {}
    for column in _WITH_ENDS:
        part = continuous if column.endswith("_continuous") else discrete
        name = column.removesuffix("_continuous").removesuffix("_discrete")
        low, high = getattr(part, name).interval if part else UNDEFINED
        ends |= {f"{column}_low": low, f"{column}_high": high}
    return ends
