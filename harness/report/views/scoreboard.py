"""Where do models stand? Their means at the last checkpoint, task by task."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from harness.frames import CONDITION
from harness.report import text
from harness.report.cells import (
    Bar,
    Cell,
    Line,
    Table,
    number_cell,
    row_badges,
)
from harness.report.gather import ReportData, Row
from harness.stats.scores import METRICS, UNKNOWN_METRIC
from harness.stats.variance import MetricVariance


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
            cells.append(_score_cell(row, failed[condition, model], model))
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


def _score_cell(row: Row | None, n_failed: int, model: str) -> Cell:
    if row is None and not n_failed:
        return Cell(text=text.UNDEFINED, reason="not evaluated", model=model)
    if row is None:
        badge = f"{text.count(n_failed, 'trial')} failed"
        return Cell(text="no result", badges=(badge,), model=model)
    mean = row.variance.discrete.mean
    return Cell(
        text=text.score(mean.value),
        value=None if math.isnan(mean.value) else mean.value,
        detail=text.interval(mean),
        reason="" if not math.isnan(mean.value) else mean.cautions[0].text,
        badges=(*row_badges(row), *_verdict(row)),
        bar=_bar(row.variance.discrete, row.variance.chance),
        model=model,
    )


def _verdict(row: Row) -> tuple[str, ...]:
    if text.is_at_chance(row.variance):
        return ("at chance",)
    return ("seeds leave it open",) if text.is_open_over_seeds(row.variance) else ()


def _bar(part: MetricVariance, chance: float) -> Bar | None:
    bounds = METRICS.get(part.metric, UNKNOWN_METRIC)
    low, high = part.mean.interval
    if not math.isfinite(bounds.high - bounds.low) or math.isnan(low):
        return None

    def place(value: float) -> float:
        return 100 * (value - bounds.low) / (bounds.high - bounds.low)

    return Bar(
        low=place(low),
        high=place(high),
        value=place(part.mean.value),
        chance=None if math.isnan(chance) else place(chance),
    )


def _condition(row: Any) -> tuple[Any, ...]:
    return (*(getattr(row, name) for name in CONDITION), row.settings)
