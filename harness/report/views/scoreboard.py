"""Where do models stand? Their means at the last checkpoint, task by task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.frames import CONDITION
from harness.report import text
from harness.report.cells import Bar, Cell, Line, Table, number_cell, row_badges
from harness.report.section import Section
from harness.report.views.compare import candidates, side_badges
from harness.stats.compare.results import Comparison, RankRange, TaskComparison
from harness.stats.scores import METRICS, UNKNOWN_METRIC

if TYPE_CHECKING:
    from harness.report.gather import ReportData, Row

UNCLEAR = text.SIGNS["unclear"]
"""Stands beside a score that cannot be told from the best."""


def scoreboard(data: ReportData) -> Table:
    """Return a line for each condition and a column for each model."""
    rows = {(_condition(r.variance), r.variance.model): r for r in data.rows}
    failed: Counter[tuple[Any, str]] = Counter()
    asked: dict[tuple[Any, ...], Any] = {_condition(v): v for v in data.variance}
    # Where a model has rows, under whatever settings, its failures are badges on them.
    known_rows = {(c[:-1], model) for c, model in rows}
    for failure in data.failures:
        condition = _condition(failure)
        if (condition[:-1], failure.model) not in known_rows:
            failed[condition, failure.model] += failure.n_failed
            asked.setdefault(condition, failure)
    conditions = sorted(asked)
    models = tuple(sorted({model for _, model in [*rows, *failed]}))
    names = text.labels([asked[c] for c in conditions], with_model=False)
    ranks = {
        _condition(task): {rank.name: rank for rank in task.ranks}
        for task in (data.comparison.tasks if data.comparison else ())
    }
    lines = []
    for condition, name in zip(conditions, names, strict=True):
        known = [rows[condition, m] for m in models if (condition, m) in rows]
        chance = known[0].variance.chance if known else math.nan
        metric = known[0].variance.discrete.metric if known else ""
        cells = [
            Cell(text=name, detail=metric),
            number_cell(chance, text.score, "this metric has no score of a guesser"),
        ]
        for model in models:
            row = rows.get((condition, model))
            own = ranks.get(condition, {})
            cells.append(_score_cell(row, failed[condition, model], model, own))
        lines.append(Line(cells=tuple(cells), task=str(condition[0])))
    return Table(
        caption="Mean score at the last checkpoint, with its interval over items",
        headings=(
            ("Task", False),
            ("Chance", True),
            *((text.clean(m), True) for m in models),
        ),
        lines=tuple(lines),
        models=("", "", *models),
    )


def _score_cell(
    row: Row | None, n_failed: int, model: str, ranks: Mapping[str, RankRange]
) -> Cell:
    if row is None and not n_failed:
        return Cell(text=text.UNDEFINED, reason="not evaluated", model=model)
    if row is None:
        badge = f"{text.count(n_failed, 'trial')} failed"
        return Cell(text="no result", badges=(badge,), model=model)
    mean = row.variance.discrete.mean
    return Cell(
        text=text.score(mean.value) + (f" {UNCLEAR}" if is_open(ranks, model) else ""),
        value=None if math.isnan(mean.value) else mean.value,
        detail=" · ".join(
            filter(None, [text.interval(mean), rank_words(ranks, model)])
        ),
        reason="" if not math.isnan(mean.value) else mean.cautions[0].text,
        badges=(*row_badges(row), *_verdict(row)),
        bar=score_bar(
            mean.value,
            *mean.interval,
            row.variance.discrete.metric,
            row.variance.chance,
        ),
        model=model,
    )


def _verdict(row: Row) -> tuple[str, ...]:
    if text.is_at_chance(row.variance):
        return ("at chance",)
    return ("seeds leave it open",) if text.is_open_over_seeds(row.variance) else ()


def _condition(row: Any) -> tuple[Any, ...]:
    return (*(getattr(row, name) for name in CONDITION), row.settings)


def comparison_board(comparison: Comparison) -> Section:
    """Return the scores of all choices, with the ranks that each may have."""
    names = text.task_labels(comparison.tasks)
    lines = [
        _board_line(comparison, task, name, task.task)
        for task, name in zip(comparison.tasks, names, strict=True)
    ]
    if comparison.average:
        name = f"average of {text.count(len(comparison.tasks), 'task')}"
        lines.append(_board_line(comparison, comparison.average, name, ""))
    # The baseline stays, whichever candidate the page is narrowed to.
    models = ("", "", *candidates(comparison))
    table = Table(
        caption="Scores with their intervals over items, and possible ranks",
        headings=(
            ("Task", False),
            (f"{text.clean(comparison.baseline)} (baseline)", True),
            *((text.clean(name), True) for name in candidates(comparison)),
        ),
        lines=tuple(lines),
        models=models,
    )
    return Section(
        name="standings",
        title="Scoreboard",
        view={"table": table, "level": comparison.confidence_level},
    )


def _board_line(
    comparison: Comparison, task: TaskComparison, name: str, key: str
) -> Line:
    sides = {side.name: side for side in task.sides}
    ranks = {rank.name: rank for rank in task.ranks}
    cells = [Cell(text=name, detail=task.metric)]
    for choice in comparison.names:
        model = None if choice == comparison.baseline else choice
        side = sides.get(choice)
        if side is None:
            cells.append(Cell(text=text.UNDEFINED, reason="not compared", model=model))
            continue
        cells.append(
            Cell(
                text=text.score(side.score.value)
                + (f" {UNCLEAR}" if is_open(ranks, choice) else ""),
                value=None if math.isnan(side.score.value) else side.score.value,
                detail=" · ".join(
                    filter(None, [text.interval(side.score), rank_words(ranks, choice)])
                ),
                badges=side_badges(side),
                bar=score_bar(side.score.value, *side.score.interval, task.metric),
                model=model,
            )
        )
    return Line(cells=tuple(cells), task=key)


def is_open(ranks: Mapping[str, RankRange], name: str) -> bool:
    """Return whether a choice is one of several that may be the best."""
    tops = sum(rank.is_top for rank in ranks.values())
    return name in ranks and ranks[name].is_top and tops > 1


def rank_words(ranks: Mapping[str, RankRange], name: str) -> str:
    """Return the ranks that a choice may have, as in ``rank 1–3``; empty of none."""
    if name not in ranks or len(ranks) < 2:
        return ""
    low, high = ranks[name].low, ranks[name].high
    return f"rank {low}" if low == high else f"rank {low}–{high}"


def score_bar(
    value: float, low: float, high: float, metric: str, chance: float = math.nan
) -> Bar | None:
    """Return a bar over the range of the metric; ``None`` where it has no end."""
    bounds = METRICS.get(metric, UNKNOWN_METRIC)
    if not math.isfinite(bounds.high - bounds.low) or math.isnan(low):
        return None

    def place(score: float) -> float:
        return 100 * (score - bounds.low) / (bounds.high - bounds.low)

    return Bar(
        low=place(low),
        high=place(high),
        value=place(value),
        chance=None if math.isnan(chance) else place(chance),
    )
