"""Can verdicts be trusted? Equal models compared with each other, as models are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.report import text
from harness.report.cells import Cell, Drawn, Line, Table, estimate_cell
from harness.report.figures.calibration import shares_figure
from harness.report.section import Section
from harness.report.sheets.calibration import UNKNOWN, calibration_line, wholes
from harness.stats.calibration import Calibration

MAX_DRAWN = 200
"""Points of a curve; of more p-values, every so many."""

AT = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Where the table reads the curve."""


def calibration_section(rows: Sequence[Calibration]) -> Section:
    """Return the section; where nothing was measured twice, it says what would be."""
    drawn = tuple(_drawn(row, place) for place, row in enumerate(wholes(rows)))
    return Section(
        name="calibration",
        title="A/A",
        view={
            "drawn": drawn,
            "unknown": f"{UNKNOWN[0].upper()}{UNKNOWN[1:]}.",
            "table": _table(rows),
            "cautions": text.alike(
                (_name(row), caution) for row in rows for caution in row.cautions
            ),
            "methods": tuple(
                dict.fromkeys(f"{row.draws}: {row.rate.method}." for row in rows)
            ),
        },
        drawn=drawn,
    )


def _name(row: Calibration) -> str:
    return f"{row.draws}, {_task(row)}"


def _task(row: Calibration) -> str:
    return "all tasks" if row.task is None else text.clean(row.task)


def _drawn(row: Calibration, place: int) -> Drawn:
    n = len(row.p_values)
    ranks = np.arange(1, n + 1)
    some = np.unique(np.linspace(0, n - 1, min(n, MAX_DRAWN)).astype(int))
    p_values = [text.place(float(row.p_values[i])) or 0.0 for i in some]
    shares = [float(ranks[i] / n) for i in some]
    is_few = math.isnan(row.rate.value)
    return Drawn(
        name=f"calibration-{place}",
        kind="plain",
        title=f"Equal models by {row.draws}",
        about="Calibration: ",
        sentence=f"{calibration_line(row)}.",
        figure=None
        if is_few
        else shares_figure(
            p_values,
            shares,
            [
                f"p up to {text.p_value(p)}: {text.percent(share)} % of "
                f"{text.count(n, 'pair')}"
                for p, share in zip(p_values, shares, strict=True)
            ],
            band=row.band,
            nominal=row.nominal,
        ),
        table=_shares_table(row),
    )


def _shares_table(row: Calibration) -> Table:
    n = len(row.p_values)
    return Table(
        caption=f"Shares of pairs by p-value: {row.draws}",
        headings=(
            ("p up to", True),
            ("Pairs", True),
            ("Share, %", True),
            ("By chance, %", True),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=f"{p:g}", value=p),
                    Cell(text=f"{below:,}", value=below),
                    Cell(text=text.percent(below / n) if n else text.UNDEFINED),
                    Cell(
                        text=text.between(
                            max(p - row.band, 0), min(p + row.band, 1), text.percent
                        )
                    ),
                )
            )
            for p in AT
            for below in [int(np.searchsorted(row.p_values, p, side="right"))]
        ),
    )


def _table(rows: Sequence[Calibration]) -> Table:
    return Table(
        caption="Equal models that were found to differ",
        headings=(
            ("Task", False),
            ("Pairs differ by", False),
            ("Pairs", True),
            ("Found to differ", True),
            ("Rate, %", True),
            ("Nominal, %", True),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(
                        text=_task(row),
                        detail=" · ".join(
                            filter(
                                None,
                                [row.metric, row.formulation, _shots(row.num_fewshot)],
                            )
                        ),
                    ),
                    Cell(text=row.draws),
                    Cell(text=f"{row.n_pairs:,}", value=row.n_pairs),
                    Cell(text=f"{row.n_false:,}", value=row.n_false),
                    estimate_cell(row.rate, text.percent, text.percent_interval),
                    Cell(text=text.percent(row.nominal), value=row.nominal),
                ),
                task=row.task or "",
            )
            for row in rows
        ),
    )


def _shots(n: int | None) -> str:
    return "" if n is None else f"{n}-shot"
