"""How do signal and noise read? A row for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.sheets.sheet import NOTES, Footnotes, Refused, Sheet, refusals
from harness.report.text import (
    UNDEFINED,
    between,
    condition_name,
    items_asked,
    ratio,
    ratio_interval,
    share,
    spread,
)
from harness.stats.signal_table import TaskSignal
from harness.stats.task_filter import SubtaskFilter

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    ("task", False),
    ("form", False),
    ("metric", False),
    ("items", True),
    ("models", True),
    ("runs", True),
    ("last\nn", True),
    ("signal", True),
    ("noise", True),
    ("SNR", True),
    ("interval", False),
    ("SNR of\nequals", True),
    ("decisions\nright", True),
    ("total\nvariation", True),
    (NOTES, False),
)


def signal_sheet(
    rows: Sequence[TaskSignal],
    refused: Refused = (),
    best: tuple[Sequence[TaskSignal], SubtaskFilter] | None = None,
) -> Sheet:
    """Return a row for each task, and which tasks to keep where that was asked."""
    notes = Footnotes()
    cells = tuple(_cells(row, notes) for row in rows)
    return Sheet(
        columns=COLUMNS,
        parts=(("", cells),),
        notes=notes.texts,
        remarks=refusals(refused),
        sentences=(best_sentence(*best),) if best else (),
        frame=lambda: signal_frame(rows),
    )


def signal_frame(rows: Sequence[TaskSignal]) -> pd.DataFrame:
    """Return a tidy row for each task."""
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.signal_noise.to_frame()
        frame["total_variation"] = row.total_variation.value
        frame["is_partial"] = row.who.is_partial
        names = {**row.who.condition, "metric": row.who.metric, "n_items": row.n_items}
        for place, (name, value) in enumerate(names.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def best_sentence(rows: Sequence[TaskSignal], best: SubtaskFilter) -> str:
    """Say which tasks to keep, and what that gives on models that did not choose."""
    names = ", ".join(condition_name(rows[i].who) for i in best.chosen)
    first, everything = (
        f"{ratio(one.value)} {between(*one.interval, ratio)}".rstrip()
        for one in (best.snr_of_first[len(best.chosen) - 1], best.snr_of_first[-1])
    )
    told = (
        f"The mean of {names} has the largest SNR, {first}, of the {len(rows)} tasks "
        f"taken best first; all of them have {everything}."
    )
    gain = best.gain
    if gain.value != gain.value:
        return f"{told} Whether that holds for other models is open: " + (
            f"{gain.cautions[0].text}."
        )
    return (
        f"{told} On models that did not choose, the chosen have {ratio(gain.value)} "
        f"{ratio_interval(gain)} times the SNR of all."
    )


def _cells(row: TaskSignal, notes: Footnotes) -> tuple[str, ...]:
    found = row.signal_noise
    right = found.decision_accuracy
    decisions = UNDEFINED if right.value != right.value else share(right.value, 1)
    return (
        condition_name(row.who),
        row.who.formulation or UNDEFINED,
        row.who.metric,
        items_asked(row.n_items, is_partial=row.who.is_partial),
        str(found.n_models),
        str(found.n_runs),
        str(found.n_last),
        spread(found.signal.value),
        spread(found.noise.value),
        ratio(found.snr.value),
        between(*found.snr.interval, ratio),
        ratio(found.snr_of_equals),
        decisions,
        spread(row.total_variation.value),
        notes.marks(row.cautions),
    )
