"""How do comparisons of equal models read? A line for each task, a part for each kind.

`calibration_lines` is what every report says of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.sheets.power import scores_name
from harness.report.sheets.sheet import NOTES, Column, Footnotes, Sheet
from harness.report.text import (
    UNDEFINED,
    clean,
    count,
    generation_words,
    percent,
    percent_interval,
)
from harness.stats.calibration import (
    DRAWS,
    MIN_ITEMS,
    MIN_SEEDS,
    Calibration,
    Refused,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: tuple[Column, ...] = (
    ("task", False),
    ("form", False),
    ("metric", False),
    ("pairs", True),
    ("apart", True),
    ("false\nalarms", True),
    ("%", True),
    ("interval", False),
    ("may be\n%", True),
    (NOTES, False),
)

TITLES = {
    "repeats": "repeats of the same checkpoint",
    "few-shot seeds": "few-shot seeds of the same checkpoint",
    "training seeds": "halves of the training seeds of one model at one step",
}
"""What is compared with what."""

UNKNOWN = (
    f"no checkpoint was measured twice, on {MIN_ITEMS} items and with other answers, "
    "so the share of false alarms is not known; repeats, few-shot seeds or "
    f"{MIN_SEEDS} training seeds would tell"
)

REMARK = (
    "apart: pairs that tell as much without a member in common, at least; the interval "
    "of the share of false alarms is for these"
)


def calibration_sheet(
    rows: Sequence[Calibration], refused: Sequence[Refused] = ()
) -> Sheet:
    """Return a part for each kind of pairs, a line for each task and one for all."""
    notes = Footnotes()
    parts = []
    for draws in DRAWS:
        own = tuple(_cells(row, notes) for row in rows if row.draws == draws)
        if own:
            parts.append((TITLES[draws], own))
    return Sheet(
        columns=COLUMNS,
        parts=tuple(parts),
        label="pairs",
        notes=notes.texts,
        remarks=(
            REMARK,
            *(f"{scores_name(who)}: {error} [{error.code}]" for who, error in refused),
        ),
        sentences=tuple(f"{line}." for line in calibration_lines(rows)),
        frame=lambda: calibration_frame(rows),
    )


def calibration_frame(rows: Sequence[Calibration]) -> pd.DataFrame:
    """Return a tidy row for each kind of pairs and task."""
    import pandas as pd

    return pd.concat([row.to_frame() for row in rows], ignore_index=True)


def calibration_lines(rows: Sequence[Calibration]) -> tuple[str, ...]:
    """Say how many false alarms each kind of pairs had, or that nobody knows."""
    return tuple(map(calibration_line, wholes(rows))) or (f"A/A: {UNKNOWN}",)


def calibration_line(row: Calibration) -> str:
    """Say how many false alarms there are, and how many there may be."""
    told = (
        f"A/A, {TITLES[row.draws]}: false alarms {row.n_false:,} of "
        f"{count(row.n_pairs, 'pair')}"
    )
    nominal = f"nominal {percent(row.nominal)} %"
    if math.isnan(row.rate.value):
        return f"{told}; too few for a rate, {nominal}"
    level = percent(row.rate.confidence_level)
    told += (
        f" ({percent(row.rate.value)} %, {level} % interval "
        f"{percent_interval(row.rate)} %, {nominal})"
    )
    if row.is_inflated:
        told += ": more than there may be, so verdicts are less sure than they say"
    return told


def wholes(rows: Sequence[Calibration]) -> tuple[Calibration, ...]:
    """Return the row of all tasks together for each kind of draws."""
    found: dict[str, Calibration] = {}
    for row in rows:  # A kind's first row is that of all tasks, or its only one.
        found.setdefault(row.draws, row)
    return tuple(found.values())


def _cells(row: Calibration, notes: Footnotes) -> tuple[str, ...]:
    return (
        _name(row),
        row.formulation or UNDEFINED,
        row.metric or UNDEFINED,
        f"{row.n_pairs:,}",
        f"{row.rate.n:,}",
        f"{row.n_false:,}",
        percent(row.rate.value),
        percent_interval(row.rate),
        percent(row.nominal),
        notes.marks(row.cautions),
    )


def _name(row: Calibration) -> str:
    if row.task is None:
        return "all tasks"
    shots = f"{row.num_fewshot}-shot" if row.num_fewshot else ""
    generation = generation_words(row.generation or "")
    words = (row.task, shots, f"({generation})" if generation else "")
    return clean(" ".join(filter(None, words)))
