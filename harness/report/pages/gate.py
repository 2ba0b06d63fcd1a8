"""Which sections has the page of a gate? The verdict first, and what it rests on."""

from __future__ import annotations

from harness.gate.results import STATES, GateResult
from harness.report.section import Filters, Section
from harness.report.views.calibration import calibration_section
from harness.report.views.gate import gate_flips, gate_summary, gated_section


def gate_sections(result: GateResult) -> list[Section]:
    """Return the sections of a gate's page."""
    filters = Filters(
        tasks=tuple(sorted({cell.task for cell in result.cells})),
        models=(),
        states=tuple(state for state in STATES if result.counts[state]),
        has_text=True,
    )
    return [
        gate_summary(result),
        *([filters.section] if result.cells else []),
        gated_section(result),
        *gate_flips(result),
        calibration_section(result.calibration),
    ]
