"""How do comparisons of equal models read? A line for each task, a part for each kind.

`calibration_sentences` is what every report says of them.
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
from harness.stats.calibration import DRAWS, Calibration, Refused

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
        sentences=calibration_sentences(rows),
        frame=lambda: calibration_frame(rows),
    )


def calibration_frame(rows: Sequence[Calibration]) -> pd.DataFrame:
    """Return a tidy row for each kind of pairs and task."""
    import pandas as pd

    return pd.concat([row.to_frame() for row in rows], ignore_index=True)


def calibration_sentences(rows: Sequence[Calibration]) -> tuple[str, ...]:
    """Say how many false alarms there were of each kind of pairs, of all tasks."""
    told = []
    for draws in DRAWS:
        own = [row for row in rows if row.draws == draws]
        if not own:
            continue
        row = own[0]  # That of all tasks stands first.
        found = (
            f"{TITLES[draws][0].upper()}{TITLES[draws][1:]}, compared as models are: "
            f"false alarms {row.n_false:,} of {count(row.n_pairs, 'pair')}"
        )
        nominal = f"nominal {percent(row.nominal)} %"
        if math.isnan(row.rate.value):
            told.append(f"{found}, {nominal}; too few pairs for a rate.")
            continue
        level = percent(row.rate.confidence_level)
        found += (
            f" ({percent(row.rate.value)} %; {level} % interval "
            f"{percent_interval(row.rate)}), {nominal}"
        )
        if row.is_inflated:
            found += ": more than there may be, so verdicts are less sure than they say"
        told.append(f"{found}.")
    return tuple(told)


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
