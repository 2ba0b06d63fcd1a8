"""How does the variance table read? A row for each task, a part for each model."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.sheets.sheet import NOTES, STANDING, Footnotes, Sheet
from harness.report.text import (
    AT_CHANCE,
    UNDEFINED,
    clean,
    condition_name,
    correlation,
    findings,
    is_at_chance,
    percent,
    ratio,
    score,
    shown_cautions,
    spread,
)
from harness.stats.variance import TaskVariance, variance_frame

LEGEND = f"{AT_CHANCE} guessing explains it: chance lies in the interval over items"

SHARE = (
    "train seed %: of the variance between seeds at the last checkpoint, what is the "
    "training seed's; the rest is item sampling"
)

COLUMNS = (
    ("task", False),
    ("form", False),
    ("items", True),
    ("chance", True),
    ("mean", True),
    ("items\n±\navg", True),
    ("seed\nSD\nlast", True),
    ("seed\nSD\navg", True),
    ("train\nseed\n%", True),
    ("SNR\ndisc", True),
    ("SNR\nabove\nch.", True),
    ("SNR\ncont", True),
    ("mono\ndisc", True),
    ("mono\ncont", True),
    ("seeds", True),
    ("steps", True),
    (NOTES, False),
)


def variance_sheet(rows: Sequence[TaskVariance]) -> Sheet:
    """Return the variance table, its notes, and sentences that say what was found."""
    notes = Footnotes()
    models = dict.fromkeys(row.model for row in rows)
    parts = tuple(
        (model, tuple(_cells(row, notes) for row in rows if row.model == model))
        for model in models
    )
    return Sheet(
        columns=COLUMNS,
        parts=parts,
        label="model",
        notes=notes.texts,
        remarks=_remarks(rows),
        sentences=tuple(findings(rows)),
        frame=lambda: variance_frame(rows),
    )


def _remarks(rows: Sequence[TaskVariance]) -> tuple[str, ...]:
    """Explain what the table uses: marks, shares, and which metrics stand behind it."""
    remarks = [LEGEND] if any(map(is_at_chance, rows)) else []
    shares = (row.discrete.seed_share.value for row in rows)
    if any(value == value for value in shares):
        remarks.append(SHARE)
    metrics: dict[str, dict[str, None]] = {}
    for row in rows:
        second = row.continuous.metric if row.continuous else "no likelihood stored"
        pair = f"{row.discrete.metric} / {second}"
        metrics.setdefault(pair, {})[clean(row.task)] = None
    # Of one pair of metrics there is no telling apart.
    words = [
        pair + (f" ({', '.join(tasks)})" if len(metrics) > 1 else "")
        for pair, tasks in metrics.items()
    ]
    remarks.append(f"discrete / continuous metric: {'; '.join(words)}")
    return tuple(remarks)


def _cells(row: TaskVariance, notes: Footnotes) -> tuple[str, ...]:
    discrete, continuous = row.discrete, row.continuous
    return (
        condition_name(row),
        row.formulation or UNDEFINED,
        f"{row.n_items}{' part.' if row.is_partial else ''}",
        score(row.chance),
        (AT_CHANCE if is_at_chance(row) else "") + score(discrete.mean.value),
        spread(discrete.item_half_width.value),
        spread(discrete.seed_sd_last.value),
        spread(discrete.seed_sd.value),
        percent(discrete.seed_share.value),
        ratio(discrete.snr.value),
        ratio(discrete.snr_above_chance.value),
        ratio(continuous.snr.value) if continuous else UNDEFINED,
        correlation(discrete.monotonicity.value),
        correlation(continuous.monotonicity.value) if continuous else UNDEFINED,
        str(row.n_seeds),
        str(row.n_checkpoints),
        # They are of intervals, which this table does not show.
        notes.marks(c for c in shown_cautions(row) if c.code not in STANDING),
    )
