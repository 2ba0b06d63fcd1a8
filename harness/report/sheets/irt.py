"""How does a fitted item response model read? A row for each task, then checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.report.sheets.sheet import NOTES, Footnotes, Refused, Sheet, refusals
from harness.report.text import (
    UNDEFINED,
    condition_name,
    items_asked,
    ratio,
    score,
    seed_name,
    spread,
    step_name,
)
from harness.stats.irt_table import TaskIrt

if TYPE_CHECKING:
    import pandas as pd

TASK_COLUMNS = (
    ("task", False),
    ("form", False),
    ("model", False),
    ("items", True),
    ("dropped", True),
    ("check-\npoints", True),
    ("runs", True),
    ("log-\nlikelihood", True),
    ("difficulty\nmedian", True),
    ("slope\nmedian", True),
    ("misfit\np < .01", True),
    (NOTES, False),
)

ABILITY_COLUMNS = (
    ("model", False),
    ("seed", True),
    ("step", True),
    ("ability", True),
    ("se", True),
    ("score", True),
)


def irt_sheet(rows: Sequence[TaskIrt], refused: Refused) -> Sheet:
    """Return a row for each task, and why others have none."""
    notes = Footnotes()
    return Sheet(
        columns=TASK_COLUMNS,
        parts=(("", tuple(_cells(row, notes) for row in rows)),),
        notes=notes.texts,
        remarks=refusals(refused),
        frame=lambda: irt_frame(rows),
    )


def ability_sheet(row: TaskIrt) -> Sheet:
    """Return the checkpoints of one task, the most able first."""
    order = np.argsort(-row.fit.ability, kind="stable")
    return Sheet(
        columns=ABILITY_COLUMNS,
        parts=(
            (
                f"{condition_name(row.who)}: {row.fit.method}",
                tuple(_ability_cells(row, int(r)) for r in order),
            ),
        ),
        frame=row.ability_frame,
    )


def irt_frame(rows: Sequence[TaskIrt]) -> pd.DataFrame:
    """Return a tidy row for each fitted item of each task."""
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.item_frame()
        frame["is_partial"] = row.who.is_partial
        for place, (name, value) in enumerate(row.who.condition.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _cells(row: TaskIrt, notes: Footnotes) -> tuple[str, ...]:
    fit, items = row.fit, row.fit.items
    p_value = row.item_fit.p_value[~np.isnan(row.item_fit.p_value)]
    misfit = f"{int((p_value < 0.01).sum())} of {len(p_value)}"
    return (
        condition_name(row.who),
        row.who.formulation or UNDEFINED,
        items.model,
        items_asked(len(items.item_ids), is_partial=row.who.is_partial),
        f"{len(fit.dropped):,}",
        str(fit.n_respondents),
        str(row.who.n_runs),
        ratio(fit.log_likelihood),
        score(float(np.median(items.difficulty))),
        score(float(np.median(items.discrimination))),
        misfit if len(p_value) else UNDEFINED,
        notes.marks(row.cautions),
    )


def _ability_cells(row: TaskIrt, place: int) -> tuple[str, ...]:
    who = row.who
    return (
        who.models[place],
        seed_name(who.train_seeds[place]),
        step_name(who.steps[place]),
        score(float(row.fit.ability[place])),
        spread(float(row.fit.ability_se[place])),
        score(float(np.nanmean(who.scores[place]))),
    )
