"""How does the variance ledger read? A line for each source of noise of a score."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import DesignError
from harness.report.sheets.power import scores_name
from harness.report.sheets.sheet import NOTES, Column, Footnotes, Sheet
from harness.report.text import (
    MAX_SENTENCES,
    percent,
    score,
    spread,
    spread_interval,
)
from harness.stats.estimate import Estimate, Interval
from harness.stats.facets import LABELS, FacetScores
from harness.stats.ledger_table import TaskLedger

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: tuple[Column, ...] = (
    ("source", False),
    ("levels", True),
    ("SD", True),
    ("interval", False),
    ("of the score's\nvariance %", True),
    (NOTES, False),
)

REMARK = (
    "SD: how far one level differs from others, as the square root of its component, "
    "0 where that is negative; % is of the variance of the mean as run"
)


def ledger_sheet(
    rows: Sequence[TaskLedger], refused: Sequence[tuple[FacetScores, DesignError]]
) -> Sheet:
    """Return a part for each model and task, a line for each effect."""
    notes = Footnotes()
    parts = []
    for row in rows:
        marks = notes.marks(row.cautions)
        parts.append(
            (f"{scores_name(row.scores)} {marks}".strip(), tuple(_lines(row, notes)))
        )
    return Sheet(
        columns=COLUMNS,
        parts=tuple(parts),
        label="task",
        notes=notes.texts,
        remarks=(
            REMARK,
            *(f"{scores_name(who)}: {error} [{error.code}]" for who, error in refused),
        ),
        sentences=tuple(map(_sentence, rows[:MAX_SENTENCES])),
        frame=lambda: ledger_frame(rows),
    )


def ledger_frame(rows: Sequence[TaskLedger]) -> pd.DataFrame:
    """Return a tidy row for each model, task and effect."""
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.ledger.to_frame()
        labels = {name: getattr(row.scores, name) for name in (*LABELS, "settings")}
        labels["metric"] = row.scores.metric
        for place, (name, value) in enumerate(labels.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _lines(row: TaskLedger, notes: Footnotes) -> Iterator[tuple[str, ...]]:
    for effect in row.ledger.effects:
        sd = _root(effect.variance)
        yield (
            effect.name,
            f"{effect.n_levels:,}",
            spread(sd.value),
            spread_interval(sd),
            percent(effect.share),
            notes.marks(effect.variance.cautions),
        )


def _root(variance: Estimate) -> Estimate:
    """Return the SD that a component is the square of; 0 if that is negative."""
    low, high = (math.sqrt(max(end, 0)) for end in variance.interval)
    if math.isnan(variance.interval.low):
        low = high = math.nan
    value = variance.value
    value = value if math.isnan(value) else math.sqrt(max(value, 0))
    return replace(variance, value=value, interval=Interval(low, high))


def _sentence(row: TaskLedger) -> str:
    """Say how sure a score is, and what makes it unsure."""
    ledger = row.ledger
    variance = ledger.predicted_variance()
    name = scores_name(row.scores)
    if not variance > 0:
        return f"{name}: {score(ledger.mean)}, and no noise that these answers show."
    se = spread(math.sqrt(variance))
    most = max(ledger.effects, key=lambda e: e.share if e.is_estimated else -math.inf)
    unknown = [e.name for e in ledger.effects if not e.is_estimated]
    rest = f"; {', '.join(unknown)}: not estimated" if unknown else ""
    return (
        f"{name}: {score(ledger.mean)} with a standard error of {se}, "
        f"{percent(most.share)} % of its variance from {most.name}{rest}."
    )
