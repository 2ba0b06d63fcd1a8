"""How do subset methods read? A row for each method and size, beside chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.sheets.sheet import NOTES, Footnotes, Refused, Sheet, refusals
from harness.report.text import (
    HELD_OUT,
    PARTIAL,
    condition_name,
    correlation,
    percent,
    spread,
)
from harness.stats.subset_table import TaskSubsets
from harness.stats.subsets.quality import SubsetQuality

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    ("method", False),
    ("estimator", False),
    ("items", True),
    ("bias", True),
    ("mean\nabs.\nerror", True),
    ("better\nthan\nrandom\n%", True),
    ("seed\nSD\navg", True),
    ("items\n±", True),
    ("covers\n%", True),
    ("mono", True),
    ("rank\ntau", True),
    (NOTES, False),
)

REMARK = (
    "better than random %: random subsets of the same size with a larger mean absolute "
    "error; covers %: held-out checkpoints whose interval holds their full score"
)


def subset_sheet(rows: Sequence[TaskSubsets], refused: Refused) -> Sheet:
    """Return a part for each task, a row for each method and size."""
    notes = Footnotes()
    parts = []
    units = " or ".join(sorted({f"{HELD_OUT[one.evaluation.unit]}s" for one in rows}))
    remark = f"every number is of {units} held out; {REMARK}"
    for row in rows:
        marks = notes.marks(row.cautions)
        title = f"{condition_name(row.who)}{PARTIAL if row.who.is_partial else ''}"
        qualities = tuple(_cells(one, notes) for one in row.evaluation.rows)
        parts.append((f"{title} {marks}".strip(), qualities))
    return Sheet(
        columns=COLUMNS,
        parts=tuple(parts),
        label="task",
        notes=notes.texts,
        remarks=((remark,) if rows else ()) + refusals(refused),
        frame=lambda: subset_frame(rows),
    )


def subset_frame(rows: Sequence[TaskSubsets]) -> pd.DataFrame:
    """Return a tidy row for each task, method, estimator and size."""
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.evaluation.to_frame()
        frame["is_partial"] = row.who.is_partial
        names = {**row.who.condition, "metric": row.who.metric}
        for place, (name, value) in enumerate(names.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _cells(one: SubsetQuality, notes: Footnotes) -> tuple[str, ...]:
    cautions = [c for estimate in one.estimates for c in estimate.cautions]
    return (
        one.method,
        one.estimator,
        f"{one.n_items:,}",
        spread(one.bias.value),
        spread(one.mae.value),
        percent(one.beats_random),
        spread(one.seed_sd.value),
        spread(one.item_half_width.value),
        percent(one.coverage.value),
        correlation(one.monotonicity.value),
        correlation(one.rank_correlation.value),
        notes.marks(cautions),
    )
