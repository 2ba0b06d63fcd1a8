"""How does an item analysis read? A row for each task; on request, its worst items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.report.sheets.sheet import NOTES, Footnotes, Refused, Sheet, refusals
from harness.report.text import (
    UNDEFINED,
    between,
    clean,
    condition_name,
    correlation,
    items_asked,
    score,
)
from harness.stats.item_table import TaskItems

if TYPE_CHECKING:
    import pandas as pd

TASK_COLUMNS = (
    ("task", False),
    ("form", False),
    ("metric", False),
    ("items", True),
    ("check-\npoints", True),
    ("runs", True),
    ("alpha", True),
    ("median\nitem-\nrest r", True),
    ("surely\nnegative", True),
    ("all\nright", True),
    ("all\nwrong", True),
    ("alike", True),
    ("halves\nrandom", True),
    ("halves\nability", True),
    (NOTES, False),
)

ITEM_COLUMNS = (
    ("item", True),
    ("id", False),
    ("answers", True),
    ("difficulty", True),
    ("item-\nrest r", True),
    ("interval", False),
    ("point-\nbiserial", True),
    ("flags", False),
)


def item_sheet(rows: Sequence[TaskItems], refused: Refused = ()) -> Sheet:
    """Return a row for each task: reliability, flags, stability."""
    notes = Footnotes()
    return Sheet(
        columns=TASK_COLUMNS,
        parts=(("", tuple(_task_cells(row, notes) for row in rows)),),
        notes=notes.texts,
        remarks=refusals(refused),
        # Of many tasks they would bury the table.
        sentences=pruning_sentences(rows[0]) if len(rows) == 1 else (),
        frame=lambda: item_frame(rows),
    )


def worst_items_sheet(row: TaskItems, *, limit: int) -> Sheet:
    """Return the items that discriminate least, flagged ones first."""
    analysis = row.analysis
    flags = [item_flags(row, j) for j in range(len(analysis.item_ids))]
    order = worst_first(row)
    return Sheet(
        columns=ITEM_COLUMNS,
        parts=(
            (
                f"{condition_name(row.who)}: the {min(limit, len(flags))} items to "
                "look at first",
                tuple(_item_cells(row, j, flags[j]) for j in order[:limit]),
            ),
        ),
        frame=lambda: item_frame([row]),
    )


def item_frame(rows: Sequence[TaskItems]) -> pd.DataFrame:
    """Return a tidy row for each item of each task."""
    import pandas as pd

    frames = []
    for row in rows:
        frame = row.analysis.to_frame()
        # The place in the task, which is not that among the items put.
        places = np.array(row.who.item_indexes)
        frame["item_index"] = places
        for name in ("same_id_as", "same_responses_as"):
            frame[name] = frame[name].map(lambda j, places=places: places[j], "ignore")
        frame["is_partial"] = row.who.is_partial
        names = {**row.who.condition, "metric": row.who.metric}
        for place, (name, value) in enumerate(names.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def worst_first(row: TaskItems) -> list[int]:
    """Return the items, the suspicious first: those that may be wrong, then copies.

    Then those that tell nothing, and the rest by how little they discriminate.
    """
    analysis = row.analysis
    is_copy = (analysis.same_id_as >= 0) | (analysis.same_responses_as >= 0)
    is_flat = analysis.is_all_right | analysis.is_all_wrong
    worth = np.nan_to_num(analysis.item_rest, nan=0.0)
    keys = (worth, ~is_flat, ~is_copy, ~analysis.is_surely_negative)
    return [int(j) for j in np.lexsort(keys)]


def item_flags(row: TaskItems, item: int) -> tuple[str, ...]:
    """Return what is odd about an item, in words; others by their place in the task."""
    analysis, named = row.analysis, row.who.item_indexes
    flags = []
    if analysis.is_all_right[item]:
        flags.append("all right")
    if analysis.is_all_wrong[item]:
        flags.append("all wrong")
    if analysis.is_surely_negative[item]:
        flags.append("negative discrimination")
    if analysis.same_id_as[item] >= 0:
        flags.append(f"same question as {named[analysis.same_id_as[item]]}")
    if analysis.same_responses_as[item] >= 0:
        flags.append(f"answered alike with {named[analysis.same_responses_as[item]]}")
    return tuple(flags)


def pruning_sentences(row: TaskItems) -> tuple[str, ...]:
    """Say what dropping the least discriminating items does to held-out models."""
    sentences = []
    for model, effect in row.pruning:
        table = effect.to_frame().set_index("quantity")
        mean = {str(k): v for k, v in table.loc["mean"].to_dict().items()}
        is_chance = mean["random_low"] <= mean["pruned"] <= mean["random_high"]
        sentences.append(
            f"{condition_name(row.who)}: without the "
            f"{int((~effect.kept).sum())} of {len(effect.kept)} items that "
            f"discriminate least among the other models, the mean of "
            f"{clean(model)} goes from {score(mean['full'])} to "
            f"{score(mean['pruned'])}; as many items left out at random give "
            f"{score(mean['random_low'])} to {score(mean['random_high'])}"
            + (", so that is chance." if is_chance else ".")
        )
    return tuple(sentences)


def _task_cells(row: TaskItems, notes: Footnotes) -> tuple[str, ...]:
    who, analysis, stability = row.who, row.analysis, row.stability
    known = analysis.item_rest[~np.isnan(analysis.item_rest)]
    alike = (analysis.same_id_as >= 0) | (analysis.same_responses_as >= 0)
    nan = float("nan")
    return (
        condition_name(who),
        who.formulation or UNDEFINED,
        who.metric,
        items_asked(len(who.item_ids), is_partial=who.is_partial),
        str(analysis.n_respondents),
        str(analysis.n_independent),
        correlation(analysis.reliability.value),
        correlation(float(np.median(known)) if len(known) else nan),
        str(int(analysis.is_surely_negative.sum())),
        str(int(analysis.is_all_right.sum())),
        str(int(analysis.is_all_wrong.sum())),
        str(int(alike.sum())),
        correlation(stability.random.value if stability else nan),
        correlation(stability.ability.value if stability else nan),
        notes.marks(row.cautions),
    )


def _item_cells(row: TaskItems, item: int, flags: Sequence[str]) -> tuple[str, ...]:
    analysis = row.analysis
    ends = float(analysis.low[item]), float(analysis.high[item])
    return (
        str(row.who.item_indexes[item]),
        analysis.item_ids[item][:12],
        str(int(analysis.n_answers[item])),
        score(float(analysis.difficulty[item])),
        correlation(float(analysis.item_rest[item])),
        between(*ends, correlation),
        correlation(float(analysis.point_biserial[item])),
        ", ".join(flags),
    )
