"""What did each checkpoint score, and how sure is that? One row for each metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.frames import CONDITION, SETTINGS
from harness.stats.estimate import Estimate
from harness.stats.intervals import score_interval
from harness.stats.scores import (
    METRICS,
    UNKNOWN_METRIC,
    default_metrics,
    lower_is_better,
    score_responses,
    told_scores,
)
from harness.stats.tables import asked_metrics, chosen_responses, plain

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

WHO = ("model", "train_seed", "step")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One checkpoint's score at one task, under one condition and settings."""

    model: str
    train_seed: int | None
    step: int | None
    task: str
    formulation: str
    num_fewshot: int
    template: str
    generation: str
    backend: str
    weights_digest: str | None
    metric: str
    score: Estimate
    """Over items, with their clusters where they are known; repeats are averaged. As
    its tool gave it: not negated where less is better."""

    bounds: tuple[float, float]
    """Lowest and highest possible score; infinite where that is not known."""

    lower_is_better: bool | None
    """Whether less is better; ``None`` where nobody says and the name is unknown."""

    n_items: int
    """Items with a score; with clusters `score.n` counts these instead."""

    n_items_total: int
    n_unscored: int
    """Items of which no answer could be scored; they are left out."""

    finished_at: datetime | None
    """When its last answer was given, where that is known."""

    responses: pd.DataFrame
    """Its answers, with columns of `frames.JOINED`."""

    values: npt.NDArray[np.float64]
    """The score of each answer; ``nan`` where there is none."""

    @property
    def seconds(self) -> float | None:
        """When its last answer was given, in seconds since 1970."""
        return None if self.finished_at is None else self.finished_at.timestamp()

    @property
    def condition(self) -> str:
        """The task, and what else is asked where it is not the usual."""
        parts = [
            self.formulation,
            f"{self.num_fewshot}-shot" if self.num_fewshot else "",
            self.template if self.template != "default" else "",
            self.generation,
        ]
        return " ".join([self.task, *filter(None, parts)])


def measured(
    responses: pd.DataFrame,
    *,
    metric: str | None = None,
    task: str | None = None,
    confidence_level: float = 0.95,
) -> Iterator[Measured]:
    """Yield the scores of each checkpoint, in order of their names.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`. Answers of weights that were replaced since
        are left out.
    metric : str, optional
        Instead of each task's own discrete and continuous one.
    task : str, optional
        Only this task.
    confidence_level : float
        Of the intervals.

    Raises
    ------
    DesignError
        ``no-responses``, ``unknown-metric``, ``bad-confidence-level``.
    """
    chosen = chosen_responses(
        responses, task=task, formulation=None, steps=(None, None)
    )
    scored = score_responses(chosen[chosen["is_current"]], asked_metrics(metric))
    keys = [*WHO, *CONDITION, *SETTINGS]
    for _, part in scored.groupby(keys, sort=True, observed=True, dropna=False):
        metrics = default_metrics(part) if metric is None else (metric,)
        for name in filter(None, metrics):
            values = told_scores(part, name)
            if not np.isnan(values).all():
                yield _measured(part, name, values, confidence_level)


def _measured(
    part: pd.DataFrame,
    metric: str,
    values: npt.NDArray[np.float64],
    confidence_level: float,
) -> Measured:
    import pandas as pd

    places, item = np.unique(part["item_index"].to_numpy(), return_inverse=True)
    n_scored = np.bincount(item[~np.isnan(values)], minlength=len(places))
    total = np.bincount(item, np.nan_to_num(values), minlength=len(places))
    is_scored = n_scored > 0
    known = METRICS.get(metric.partition(",")[0], UNKNOWN_METRIC)
    is_lower = lower_is_better(part, metric)
    low, high = (-known.high, -known.low) if is_lower else (known.low, known.high)
    first, last = part.iloc[0], part["finished_at"].max()
    return Measured(
        **{name: plain(first[name]) for name in (*WHO, *CONDITION)},
        backend=str(first["backend"]),
        weights_digest=plain(first["weights_digest"]),
        metric=metric,
        score=score_interval(
            total[is_scored] / n_scored[is_scored],
            clusters=_clusters(part, item, is_scored),
            confidence_level=confidence_level,
            bounds=(low, high),
        ),
        bounds=(low, high),
        lower_is_better=is_lower,
        n_items=int(is_scored.sum()),
        n_items_total=int(part["n_items_total"].max()),
        n_unscored=int((~is_scored).sum()),
        finished_at=None if pd.isna(last) else last.to_pydatetime(),
        responses=part,
        values=values,
    )


def _clusters(
    part: pd.DataFrame, item: npt.NDArray[np.intp], is_scored: npt.NDArray[np.bool_]
) -> list[Any] | None:
    """Return the cluster of each scored item, if all are known."""
    if part["cluster"].isna().any():
        return None
    _, first = np.unique(item, return_index=True)
    clusters: list[Any] = part["cluster"].to_numpy()[first][is_scored].tolist()
    return clusters
