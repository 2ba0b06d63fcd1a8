"""Which formulation serves each task? Choice against cloze, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate
from harness.stats.formulation import (
    FormulationComparison,
    compare_formulations,
    correlation_over_models,
)
from harness.stats.ranks import RankMethod
from harness.stats.scores import METRICS, UNKNOWN_METRIC
from harness.stats.tables import Kind, MetricScores, ScoreTable, formulation_pairs
from harness.streams import stream

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskFormulation:
    """One model on one task, by letter and by text."""

    choice: ScoreTable
    cloze: ScoreTable
    metric: str
    comparison: FormulationComparison
    over_models: Estimate
    """Pearson's correlation of the two means at the last checkpoint, over all models
    of these two tasks."""

    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; ``nan`` and an infinite end become ``None``."""
        return {
            **self._names,
            "is_partial": self.choice.is_partial or self.cloze.is_partial,
            **self.comparison.to_dict(),
            "correlation_over_models": self.over_models.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each estimate, as `FormulationComparison` does."""
        frame = self.comparison.to_frame()
        for place, (name, value) in enumerate(self._names.items()):
            frame.insert(place, name, value)
        return frame

    @property
    def _names(self) -> dict[str, Any]:
        return {
            "model": self.cloze.model,
            "choice_task": self.choice.task,
            "cloze_task": self.cloze.task,
            "num_fewshot": self.cloze.num_fewshot,
            "template": self.cloze.template,
            "generation": self.cloze.generation,
            "settings": self.cloze.settings,
            "metric": self.metric,
        }


Refused = tuple[ScoreTable, ScoreTable, DesignError]
"""A pair of choice and cloze that cannot be compared, and why."""


def formulation_table(
    tables: Iterable[ScoreTable],
    *,
    kind: Kind = "discrete",
    ddof: int = 1,
    rank_method: RankMethod = "tau-b",
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[TaskFormulation, ...], tuple[Refused, ...]]:
    """Return choice against cloze for each pair of tables, and what was refused.

    Pairs are those of `harness.stats.tables.formulation_pairs`. Their scores are put
    side by side by training seed, step and item; a checkpoint without a step has no
    place in the order and is left out.

    Parameters
    ----------
    kind : {"discrete", "continuous"}
        Which metric.
    ddof, rank_method, confidence_level
        As `compare_formulations` takes them.
    entropy : int
        Where random draws start; the same number, the same result.

    Raises
    ------
    DesignError
        ``bad-ddof``, ``unknown-method``, ``bad-confidence-level``.

    Notes
    -----
    Refused: ``items-differ``, where no checkpoint or no item is in both;
    ``metrics-differ``, where the two are scored by different metrics. Cautions: those
    of the tables and of `compare_formulations`.
    """
    rows: list[TaskFormulation] = []
    refused: list[Refused] = []
    for choice, cloze in formulation_pairs(tables):
        one, other = choice.of(kind), cloze.of(kind)
        if one is None or other is None:
            continue
        try:
            rows.append(
                _compared(
                    choice,
                    cloze,
                    one,
                    other,
                    ddof,
                    rank_method,
                    confidence_level,
                    entropy,
                )
            )
        except DesignError as error:
            if error.code not in ("items-differ", "metrics-differ"):
                raise
            refused.append((choice, cloze, error))
    return _with_correlation(rows, confidence_level), tuple(refused)


def _compared(
    choice: ScoreTable,
    cloze: ScoreTable,
    one: MetricScores,
    other: MetricScores,
    ddof: int,
    rank_method: RankMethod,
    confidence_level: float,
    entropy: int,
) -> TaskFormulation:
    if one.metric != other.metric:
        raise DesignError(
            f"{choice.task} is scored by {one.metric} and {cloze.task} by "
            f"{other.metric}; name one metric for both",
            code="metrics-differ",
        )
    # A seed may have no name; such a one comes first, as in the tables.
    seeds = sorted(
        {*choice.train_seeds, *cloze.train_seeds}, key=lambda s: (s is not None, s or 0)
    )
    steps = sorted({s for s in (*choice.steps, *cloze.steps) if s is not None})
    bounds = METRICS.get(one.metric, UNKNOWN_METRIC)
    comparison = compare_formulations(
        _side_by_side(choice, one.scores, seeds, steps),
        _side_by_side(cloze, other.scores[..., _order(choice, cloze)], seeds, steps),
        steps=steps,
        chance=one.chance if one.chance == other.chance else math.nan,
        bounds=(bounds.low, bounds.high),
        ddof=ddof,
        rank_method=rank_method,
        confidence_level=confidence_level,
        rng=stream(entropy, f"formulations of {cloze.task} by {cloze.model}"),
    )
    own = [*choice.cautions, *cloze.cautions, *comparison.cautions]
    return TaskFormulation(
        choice=choice,
        cloze=cloze,
        metric=one.metric,
        comparison=comparison,
        over_models=comparison.correlation,
        cautions=tuple(dict.fromkeys(own)),
    )


def _order(choice: ScoreTable, cloze: ScoreTable) -> Codes:
    """Return the columns of cloze in the order of choice's items.

    Two tasks may hold the same items in another order, and an item twice.
    """
    mine, theirs = (
        np.argsort(np.array(t.item_ids), kind="stable") for t in (choice, cloze)
    )
    order = np.empty_like(mine)
    order[mine] = theirs
    return order


def _side_by_side(
    table: ScoreTable, scores: Floats, seeds: list[int | None], steps: list[int]
) -> Floats:
    """Return scores by these seeds and steps; ``nan`` where there are none."""
    out = np.full((len(seeds), len(steps), scores.shape[-1]), np.nan)
    rows = [seeds.index(seed) for seed in table.train_seeds]
    named = [t for t, step in enumerate(table.steps) if step is not None]
    columns = [steps.index(step) for step in table.steps if step is not None]
    out[np.ix_(rows, columns)] = scores[:, named]
    return out


def _with_correlation(
    rows: list[TaskFormulation], confidence_level: float
) -> tuple[TaskFormulation, ...]:
    """Tell each row how the two formulations correlate over the models of its task."""
    groups: dict[tuple[Any, ...], list[TaskFormulation]] = {}
    for row in rows:
        groups.setdefault(_tasks_of(row), []).append(row)
    over_models = {
        key: correlation_over_models(
            np.array([row.comparison.choice.mean.value for row in group]),
            np.array([row.comparison.cloze.mean.value for row in group]),
            confidence_level=confidence_level,
        )
        for key, group in groups.items()
    }
    return tuple(replace(row, over_models=over_models[_tasks_of(row)]) for row in rows)


def _tasks_of(row: TaskFormulation) -> tuple[Any, ...]:
    """Return all that two rows share which differ in nothing but the model."""
    names = {name: value for name, value in row._names.items() if name != "model"}
    return tuple(names.values())
