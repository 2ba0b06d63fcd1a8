"""How does noise change from step to step, and from seed to seed?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.stats.estimate import Estimate, or_none
from harness.stats.ranks import RankMethod, monotonicity
from harness.stats.series import last_seed_sd
from harness.stats.variance import MetricVariance, TaskVariance


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNoise:
    """One metric of one row of the variance table at one step."""

    metric: str
    step: int | None
    mean: float
    """Over the seeds that have this step."""

    item_half_width: float
    """Half the interval over items, averaged over these seeds; ``nan`` if undefined."""

    seed_sd: Estimate
    """SD over these seeds, with its chi-square interval."""

    n_seeds: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "metric": self.metric,
            "step": self.step,
            "mean": self.mean,
            "item_half_width": or_none(self.item_half_width),
            "seed_sd": self.seed_sd.to_dict(),
            "n_seeds": self.n_seeds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedCurve:
    """One metric of one row of the variance table for one training seed."""

    metric: str
    train_seed: int | None
    last_step: int | None
    last: float
    """Score at the last step that this seed has."""

    item_half_width: float
    """Half the interval over items there; ``nan`` if undefined."""

    monotonicity: Estimate
    """Rank correlation of this seed's score and step."""

    n_steps: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "metric": self.metric,
            "train_seed": self.train_seed,
            "last_step": self.last_step,
            "last": self.last,
            "item_half_width": or_none(self.item_half_width),
            "monotonicity": self.monotonicity.to_dict(),
            "n_steps": self.n_steps,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Breakdown:
    """A row of the variance table, step by step or seed by seed."""

    row: TaskVariance
    parts: tuple[StepNoise, ...] | tuple[SeedCurve, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {**self.row.asked, "parts": [part.to_dict() for part in self.parts]}


def by_step(
    rows: Iterable[TaskVariance], *, ddof: int = 1, confidence_level: float = 0.95
) -> tuple[Breakdown, ...]:
    """Return the spread over seeds at each step, whose mean is E of the paper.

    Notes
    -----
    Cautions of each SD: those of `harness.stats.series.last_seed_sd`.
    """
    return tuple(
        Breakdown(
            row=row,
            parts=tuple(
                part
                for metric in _metrics(row)
                for part in _steps(metric, ddof, confidence_level)
            ),
        )
        for row in rows
    )


def by_seed(
    rows: Iterable[TaskVariance], *, rank_method: RankMethod = "tau-b"
) -> tuple[Breakdown, ...]:
    """Return each seed's last score and monotonicity, whose mean the table has.

    Notes
    -----
    Cautions: those of `harness.stats.ranks.monotonicity`.
    """
    return tuple(
        Breakdown(
            row=row,
            parts=tuple(
                part for metric in _metrics(row) for part in _seeds(metric, rank_method)
            ),
        )
        for row in rows
    )


def _metrics(row: TaskVariance) -> tuple[MetricVariance, ...]:
    return (row.discrete,) + ((row.continuous,) if row.continuous else ())


def _steps(
    metric: MetricVariance, ddof: int, confidence_level: float
) -> Iterable[StepNoise]:
    curve = metric.curve
    for column, step in enumerate(curve.steps):
        scores = curve.scores[:, column]
        here = ~np.isnan(scores)
        if not here.any():
            continue
        widths = curve.half_widths[here, column]
        widths = widths[~np.isnan(widths)]
        spread = last_seed_sd(scores, ddof=ddof, confidence_level=confidence_level)
        method = spread.method.replace("the last checkpoint", "this step")
        yield StepNoise(
            metric=metric.metric,
            step=step,
            mean=float(scores[here].mean()),
            item_half_width=float(widths.mean()) if len(widths) else math.nan,
            seed_sd=replace(spread, quantity="seed_sd_at_step", method=method),
            n_seeds=int(here.sum()),
        )


def _seeds(metric: MetricVariance, rank_method: RankMethod) -> Iterable[SeedCurve]:
    curve = metric.curve
    for place, seed in enumerate(curve.train_seeds):
        scores = curve.scores[place]
        here = np.flatnonzero(~np.isnan(scores))
        if not len(here):
            continue
        yield SeedCurve(
            metric=metric.metric,
            train_seed=seed,
            last_step=curve.steps[here[-1]],
            last=float(scores[here[-1]]),
            item_half_width=float(curve.half_widths[place, here[-1]]),
            monotonicity=monotonicity(scores[None], method=rank_method),
            n_steps=len(here),
        )
