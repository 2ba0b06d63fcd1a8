"""What is shown of scores without items? A table, and why nothing tests them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.aggregates import Aggregate
from harness.report import text
from harness.report.cells import Cell, Line, Table
from harness.report.section import Section
from harness.report.sheets.aggregates import COLUMNS, NO_TEST, aggregate_cells


def aggregates_section(rows: Sequence[Aggregate]) -> Section:
    """Return the section of scores that were published without their items."""
    return Section(
        name="aggregates",
        title="Without items",
        view={"table": _table(rows), "no_test": NO_TEST},
    )


def _table(rows: Sequence[Aggregate]) -> Table:
    return Table(
        caption="Scores without items",
        headings=tuple(
            (f"{name[0].upper()}{name[1:]}", is_number) for name, is_number in COLUMNS
        ),
        lines=tuple(
            Line(
                cells=tuple(
                    Cell(text=text.clean(shown), value=number)
                    for shown, number in zip(
                        aggregate_cells(row), _numbers(row), strict=True
                    )
                ),
                task=row.task,
                model=row.model,
            )
            for row in rows
        ),
    )


def _numbers(row: Aggregate) -> tuple[float | None, ...]:
    value = row.value if math.isfinite(row.value) else None
    return (None, row.train_seed, row.step, None, None, value, row.n_items, None)
