"""Which sections has the page of a comparison? Its own, and nothing that is slow."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.section import Filters, Section
from harness.report.text import SIGNS
from harness.report.views.calibration import calibration_section
from harness.report.views.compare import (
    candidates,
    compare_sections,
    difference_findings,
    verdict_chips,
)
from harness.report.views.scoreboard import comparison_board
from harness.stats.calibration import Calibration
from harness.stats.compare.results import Comparison


def comparison_sections(
    comparison: Comparison, calibration: Sequence[Calibration] | None
) -> list[Section]:
    """Return the sections of a comparison's page, the summary first."""
    rows = comparison.differences
    filters = Filters(
        tasks=tuple(sorted({row.task for row in rows})),
        models=candidates(comparison) if len(comparison.choices) > 2 else (),
        verdicts=tuple(v for v in SIGNS if v in {row.verdict for row in rows}),
        model_word="Candidate",
        has_text=True,
    )
    summary = Section(
        name="compared",
        title="Summary",
        view={
            "chips": verdict_chips(comparison),
            "findings": difference_findings(comparison),
        },
    )
    differences, *others = compare_sections(comparison)
    return [
        summary,
        *([filters.section] if rows else []),
        differences,
        comparison_board(comparison),
        *others,
        *([] if calibration is None else [calibration_section(calibration)]),
    ]
