"""How does choice against cloze read? A row for each task, a part for each model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.sheets.sheet import NOTES, Footnotes, Sheet
from harness.report.text import (
    clean,
    condition_name,
    correlation,
    crossing,
    formulation_sentences,
    interval,
    items_asked,
    ratio,
    score,
    spread,
)
from harness.stats.estimate import Caution
from harness.stats.formulation_table import Refused, TaskFormulation

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    ("task", False),
    ("form", False),
    ("items", True),
    ("mean", True),
    ("seed\nSD\navg", True),
    ("SNR", True),
    ("mono", True),
    ("choice\nless\ncloze", True),
    ("over items", False),
    ("over seeds too", False),
    ("ahead\nfrom\nstep", False),
    ("r over\nsteps", True),
    ("r over\nmodels", True),
    (NOTES, False),
)

REMARK = (
    "over the checkpoints and items that both formulations have; choice less cloze: "
    "at the last checkpoint, paired by item; ahead from step: the first from which "
    "choice stays above cloze"
)


def formulation_sheet(
    rows: Sequence[TaskFormulation], refused: Sequence[Refused] = ()
) -> Sheet:
    """Return two rows for each pair, choice and cloze, and what could not be paired."""
    notes = Footnotes()
    models = dict.fromkeys(row.cloze.model for row in rows)
    parts = tuple(
        (
            model,
            tuple(
                cells
                for row in rows
                if row.cloze.model == model
                for cells in _cells(row, notes)
            ),
        )
        for model in models
    )
    return Sheet(
        columns=COLUMNS,
        parts=parts,
        label="model",
        notes=notes.texts,
        remarks=((REMARK,) if rows else ())
        + tuple(
            f"{clean(choice.model)}, {condition_name(choice)}: {reason}"
            for choice, _, reason in refused
        ),
        sentences=formulation_sentences(rows),
        frame=lambda: formulation_frame(rows),
    )


def formulation_frame(rows: Sequence[TaskFormulation]) -> pd.DataFrame:
    """Return a tidy row for each estimate of each pair."""
    import pandas as pd

    return pd.concat([row.to_frame() for row in rows], ignore_index=True)


def _cells(row: TaskFormulation, notes: Footnotes) -> list[tuple[str, ...]]:
    found = row.comparison
    lines = []
    for name, table, part in (
        ("choice", row.choice, found.choice),
        ("cloze", row.cloze, found.cloze),
    ):
        own = (
            condition_name(table),
            name,
            items_asked(found.n_items, is_partial=table.is_partial),
            score(part.mean.value),
            spread(part.seed_sd.value),
            ratio(part.snr.value),
            correlation(part.monotonicity.value),
        )
        # What is of the pair stands beside its first row.
        pair: tuple[str, ...] = ("",) * 7
        if name == "choice":
            pair = (
                score(found.difference.value),
                interval(found.difference),
                interval(found.difference_over_seeds),
                crossing(found.crossing),
                correlation(found.correlation.value),
                correlation(row.over_models.value),
                notes.marks((*row.cautions, *_reasons(row))),
            )
        lines.append((*own, *pair))
    return lines


def _reasons(row: TaskFormulation) -> tuple[Caution, ...]:
    """Return why an estimate of the pair is not defined."""
    found = row.comparison
    wide = found.difference_over_seeds
    some = (wide, found.crossing, found.correlation, row.over_models)
    return tuple(e.cautions[0] for e in some if math.isnan(e.value))
