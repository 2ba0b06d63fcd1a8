"""How does a history read? A row for each task, then what broke; marks; what lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.report.sheets.sheet import NOTES, Footnotes, Sheet
from harness.report.text import (
    UNDEFINED,
    between,
    clean,
    condition_name,
    count,
    score,
    signed,
    signed_interval,
    spread,
)
from harness.stats.history.points import History
from harness.stats.history.regressions import Regression
from harness.stats.history.table import TaskHistory

if TYPE_CHECKING:
    import pandas as pd

    from harness.errors import DesignError
    from harness.marks import Mark
    from harness.stats.history.missing import Missing

STATES = {
    "new": "▼ new regression",
    "known": "▼ known regression",
    "acknowledged": "▽ acknowledged",
    "recovered": "↺ recovered",
    "on course": "on course",
    "improved": "▲ improved",
    "too few points": "… too few points",
}
"""How states read: a word and a sign, never colour alone."""

COLUMNS = (
    ("task", False),
    ("form", False),
    ("items", True),
    ("points", True),
    ("first", True),
    ("last", True),
    ("steps", False),
    ("noise\nSD", True),
    ("from", False),
    ("next point", False),
    ("state", False),
    (NOTES, False),
)

CHANGED = "◇"
"""Marks a point at which a setting changed."""

MOST = 20
"""Sentences of one kind below a table."""


def history_sheet(
    rows: Sequence[TaskHistory],
    refused: Sequence[tuple[History, DesignError]] = (),
) -> Sheet:
    """Return a row for each task, a part for each model, and what broke in words."""
    notes = Footnotes()
    models = dict.fromkeys(row.history.model for row in rows)
    return Sheet(
        columns=COLUMNS,
        parts=tuple(
            (
                model,
                tuple(_cells(row, notes) for row in rows if row.history.model == model),
            )
            for model in models
        ),
        label="model",
        notes=notes.texts,
        remarks=(
            *_changes([row.history for row in rows]),
            *(f"{condition_name(h)}: {e} [{e.code}]" for h, e in refused),
        ),
        sentences=_sentences(rows),
        frame=lambda: history_frame(rows),
    )


def history_frame(rows: Sequence[TaskHistory]) -> pd.DataFrame:
    """Return a tidy row for each point of each history."""
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.history.to_frame()
        starts = {step.place: step.size.value for step in row.change.steps}
        frame["level"] = row.change.levels
        frame["step_size"] = [starts.get(k, math.nan) for k in frame["place"]]
        frame["is_blip"] = frame["place"].isin(row.change.blips)
        frame["state"] = row.state
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def regression_sentence(one: Regression) -> str:
    """Say what broke, since when, by how much, and whether it is over."""
    name = f"{clean(one.model)} · {clean(one.task)}"
    first, latest = one.between
    since = one.first_bad.label
    if one.by == "date" and one.first_bad.step is not None and one.first_bad.when:
        since += f" of {one.first_bad.when.date().isoformat()}"
    if first.place != latest.place:
        since += f" (between {first.label} and {latest.label})"
    size = f"{signed(one.difference.value)} {signed_interval(one.difference.interval)}"
    told = (
        f"{name}: {STATES[one.state]} since {since}, {size.strip()} over "
        f"{count(one.difference.n, 'item')}, after {one.last_good.label}"
    )
    if one.state == "recovered":
        return f"{told}; over by {one.current.label}."
    if not one.is_confirmed:
        return f"{told}; one point so far, the next will tell."
    return f"{told}; {count(one.age, 'point')} so far."


def _cells(row: TaskHistory, notes: Footnotes) -> tuple[str, ...]:
    history, floor = row.history, row.noise.floor
    return (
        condition_name(history),
        history.formulation or UNDEFINED,
        f"{len(history.item_indexes):,}{' part.' if history.is_partial else ''}",
        str(len(history.points)),
        score(history.points[0].score),
        score(history.points[-1].score),
        _steps(row),
        spread(floor.value),
        row.noise.used or UNDEFINED,
        between(*row.expected.interval, score) or UNDEFINED,
        STATES[row.state],
        notes.marks(row.cautions),
    )


def _steps(row: TaskHistory) -> str:
    """Return the last steps of a history, each with its size and its point."""
    points = row.history.points
    words = [
        f"{signed(step.size.value)} at {points[step.place].label}"
        for step in row.change.steps
    ]
    if not words:
        return UNDEFINED
    return ("… " if len(words) > 2 else "") + ", ".join(words[-2:])


def _changes(histories: Sequence[History]) -> list[str]:
    """Say at which points settings changed, once for all tasks that share it."""
    found: dict[str, dict[str, None]] = {}
    for history in histories:
        for point in history.points:
            if point.changes:
                what = "; ".join(map(str, point.changes))
                key = f"{clean(history.model)} {point.label}: {clean(what)}"
                found.setdefault(key, {})[clean(history.task)] = None
    words = []
    for key, tasks in found.items():
        some = list(tasks)
        more = f" and {len(some) - 3} more" if len(some) > 3 else ""
        words.append(f"{CHANGED} {key} ({', '.join(some[:3])}{more})")
    return _first(words, "changes of settings")


def _sentences(rows: Sequence[TaskHistory]) -> tuple[str, ...]:
    broken = [one for row in rows for one in row.regressions]
    broken.sort(
        key=lambda one: ("new", "known", "acknowledged", "recovered").index(one.state)
    )
    if not broken:
        n = len(rows)
        return (f"Nothing broke at {count(n, 'task')}.",) if n else ()
    return tuple(_first([regression_sentence(one) for one in broken], "regressions"))


def _first(words: list[str], noun: str) -> list[str]:
    if len(words) <= MOST:
        return words
    return [*words[:MOST], f"… and {len(words) - MOST} more {noun}"]


# ---- missing runs ----------------------------------------------------------------


def missing_sheet(found: Sequence[Missing]) -> Sheet:
    """Return a row for each run, task or seed that is missing."""
    notes = Footnotes()
    rows = tuple(
        (clean(one.model), run.what, str(run.n), clean(run.text))
        for one in found
        for run in one.runs
    )
    marked = {one.model: notes.marks(one.cautions) for one in found}
    paces = [
        f"{clean(one.model)}: {_pace(one)}{' ' * bool(marked[one.model])}"
        f"{marked[one.model]}"
        for one in found
    ]
    n = sum(run.n for one in found for run in one.runs)
    return Sheet(
        columns=(("model", False), ("what", False), ("runs", True), ("missing", False)),
        parts=(("", rows),) if rows else (),
        notes=notes.texts,
        remarks=tuple(paces),
        sentences=() if n else ("Nothing is missing.",),
        frame=lambda: missing_frame(found),
    )


def missing_frame(found: Sequence[Missing]) -> pd.DataFrame:
    """Return a tidy row for each run that is missing."""
    import pandas as pd

    rows = [run.to_dict() for one in found for run in one.runs]
    columns = ["what", "model", "task", "step", "train_seed", "expected", "n", "text"]
    return pd.DataFrame(rows, columns=columns)


def _pace(one: Missing) -> str:
    if math.isnan(one.pace):
        return "no pace"
    if one.by == "step":
        return f"a checkpoint every {one.pace:,.0f} steps"
    return f"a run every {one.pace:.2g} days"


# ---- marks -----------------------------------------------------------------------


def marks_sheet(marks: Sequence[Mark]) -> Sheet:
    """Return a row for each mark, in the order given."""
    return Sheet(
        columns=(
            ("kind", False),
            ("name", False),
            ("checkpoint", False),
            ("task", False),
            ("set on", False),
            ("by", False),
            ("until", False),
            ("reason", False),
        ),
        parts=(("", tuple(_mark_cells(mark) for mark in marks)),) if marks else (),
        frame=lambda: _marks_frame(marks),
        remarks=() if marks else ("none was set",),
    )


def _mark_cells(mark: Mark) -> tuple[str, ...]:
    checkpoint = mark.model or "all models"
    if mark.kind != "acknowledged":
        checkpoint = str(mark.reference)
    return (
        mark.kind,
        clean(mark.name) or UNDEFINED,
        clean(checkpoint),
        clean(mark.task or "all tasks"),
        mark.set_at.date().isoformat(),
        clean(mark.author or "unknown"),
        mark.until.isoformat() if mark.until else UNDEFINED,
        clean(mark.reason) or UNDEFINED,
    )


def _marks_frame(marks: Sequence[Mark]) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = [mark.to_dict() for mark in marks]
    return pd.DataFrame(rows)
