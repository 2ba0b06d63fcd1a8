"""How does the variance table read step by step, and seed by seed?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.frames import CONDITION
from harness.report.sheets.sheet import (
    NOTES,
    STANDING,
    Column,
    Footnotes,
    Sheet,
    standing,
)
from harness.report.text import (
    PARTIAL,
    condition_name,
    correlation,
    score,
    seed_name,
    spread,
    spread_interval,
    step_name,
)
from harness.stats.breakdown import Breakdown, SeedCurve, StepNoise

if TYPE_CHECKING:
    import pandas as pd

STEP_COLUMNS: tuple[Column, ...] = (
    ("metric", False),
    ("step", True),
    ("mean", True),
    ("items\n±", True),
    ("seed\nSD", True),
    ("interval", False),
    ("seeds", True),
    (NOTES, False),
)

SEED_COLUMNS: tuple[Column, ...] = (
    ("metric", False),
    ("seed", True),
    ("last\nstep", True),
    ("score", True),
    ("items\n±", True),
    ("mono", True),
    ("steps", True),
    (NOTES, False),
)


def step_sheet(rows: Sequence[Breakdown]) -> Sheet:
    """Return a part for each row of the variance table, a line for each step."""
    return _sheet(rows, STEP_COLUMNS)


def seed_sheet(rows: Sequence[Breakdown]) -> Sheet:
    """Return a part for each row of the variance table, a line for each seed."""
    return _sheet(rows, SEED_COLUMNS)


def breakdown_frame(rows: Sequence[Breakdown]) -> pd.DataFrame:
    """Return a tidy row for each step or seed of each metric."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "model": found.row.model,
                **{name: getattr(found.row, name) for name in CONDITION},
                "settings": found.row.settings,
                **_flat(part),
                "is_partial": found.row.is_partial,
            }
            for found in rows
            for part in found.parts
        ]
    )


def _sheet(rows: Sequence[Breakdown], columns: tuple[Column, ...]) -> Sheet:
    notes = Footnotes()
    parts = tuple(
        (
            f"{found.row.model}, {condition_name(found.row)}"
            f"{PARTIAL if found.row.is_partial else ''}",
            tuple(_cells(part, notes) for part in found.parts),
        )
        for found in rows
    )
    return Sheet(
        columns=columns,
        parts=parts,
        label="row",
        notes=notes.texts,
        remarks=standing(
            caution
            for found in rows
            for part in found.parts
            if isinstance(part, StepNoise)
            for caution in part.seed_sd.cautions
        ),
        frame=lambda: breakdown_frame(rows),
    )


def _cells(part: StepNoise | SeedCurve, notes: Footnotes) -> tuple[str, ...]:
    if isinstance(part, StepNoise):
        return (
            part.metric,
            step_name(part.step),
            score(part.mean),
            spread(part.item_half_width),
            spread(part.seed_sd.value),
            spread_interval(part.seed_sd),
            str(part.n_seeds),
            notes.marks(c for c in part.seed_sd.cautions if c.code not in STANDING),
        )
    return (
        part.metric,
        seed_name(part.train_seed),
        step_name(part.last_step),
        score(part.last),
        spread(part.item_half_width),
        correlation(part.monotonicity.value),
        str(part.n_steps),
        notes.marks(part.monotonicity.cautions),
    )


def _flat(part: StepNoise | SeedCurve) -> dict[str, Any]:
    if isinstance(part, StepNoise):
        return {
            "metric": part.metric,
            "step": part.step,
            "mean": part.mean,
            "item_half_width": part.item_half_width,
            "seed_sd": part.seed_sd.value,
            "low": part.seed_sd.interval.low,
            "high": part.seed_sd.interval.high,
            "n_seeds": part.n_seeds,
        }
    return {
        "metric": part.metric,
        "train_seed": part.train_seed,
        "last_step": part.last_step,
        "last": part.last,
        "item_half_width": part.item_half_width,
        "monotonicity": part.monotonicity.value,
        "n_steps": part.n_steps,
    }
