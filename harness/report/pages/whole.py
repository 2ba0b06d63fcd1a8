"""Which sections has the report of a store? All there are."""

from __future__ import annotations

from harness.report import text
from harness.report.gather import ReportData
from harness.report.section import Filters, Section
from harness.report.views.aggregates import aggregates_section
from harness.report.views.calibration import calibration_section
from harness.report.views.compare import compare_sections
from harness.report.views.items import items_views
from harness.report.views.ledger import ledger_view
from harness.report.views.method import checkpoints, facts, failures, methods, tasks
from harness.report.views.noise import noise_table, noise_views
from harness.report.views.prompts import prompt_view
from harness.report.views.regressions import regressions_section, states
from harness.report.views.scoreboard import scoreboard
from harness.report.views.signal import signal_view
from harness.report.views.subsets import subset_view
from harness.report.views.summary import cautions, chips
from harness.report.views.trend import panel_views


def whole_sections(data: ReportData) -> list[Section]:
    """Return the sections of a report, from what is read first to what is last."""
    panels = panel_views(data)
    noise = noise_views(data)
    ledger = ledger_view(data)
    prompts = prompt_view(data)
    signal = signal_view(data)
    items = items_views(data)
    subsets = subset_view(data)
    filters = Filters(
        tasks=tuple(sorted({row.variance.task for row in data.rows})),
        models=tuple(sorted({row.variance.model for row in data.rows})),
        verdicts=tuple(
            verdict
            for verdict, n in (
                data.comparison.verdicts.items() if data.comparison else ()
            )
            if n
        ),
        states=states(data.courses),
        has_trend=True,
    )
    return [
        Section(
            name="summary",
            title="Summary",
            view={
                "data": data,
                "chips": chips(data),
                "cautions": cautions(data),
                "findings": text.findings(data.variance),
            },
        ),
        *([filters.section] if data.rows else []),
        Section(
            name="scoreboard",
            title="Scoreboard",
            view={"data": data, "scoreboard": scoreboard(data)},
        ),
        *([aggregates_section(data.aggregates)] if data.aggregates else []),
        *(
            compare_sections(data.comparison)
            if data.comparison
            else [Section(name="uncompared", title="Differences")]
        ),
        regressions_section(data.courses, data.uncharted, data.missing),
        Section(
            name="trend",
            title="Trend",
            view={"panels": panels},
            drawn=tuple(one for panel in panels for one in panel.drawn),
        ),
        Section(
            name="noise",
            title="Noise",
            view={"data": data, "noise": noise, "noise_table": noise_table(data)},
            drawn=tuple(noise),
        ),
        calibration_section(data.calibration),
        Section(
            name="ledger",
            title="Sources",
            view={"ledger": ledger},
            drawn=ledger.drawn if ledger else (),
            scripts=("ledger.js",),
        ),
        Section(
            name="prompts",
            title="Templates",
            view={"data": data, "prompts": prompts},
            drawn=prompts.drawn if prompts else (),
            scripts=("prompts.js",),
        ),
        Section(
            name="signal",
            title="Signal",
            view={"signal": signal},
            drawn=signal.drawn if signal else (),
            scripts=("suites.js",),
        ),
        Section(
            name="items",
            title="Items",
            view={"items": items},
            drawn=tuple(one for view in items for one in view.drawn),
            scripts=("items.js",),
        ),
        Section(
            name="subsets",
            title="Subsets",
            view={"subsets": subsets},
            drawn=tuple(
                one
                for panel in (subsets.panels if subsets else ())
                for one in panel.drawn
            ),
        ),
        Section(name="method", title="Method", view={"methods": methods(data)}),
        Section(
            name="data",
            title="Data",
            view={
                "facts": facts(data),
                "failures": failures(data.failures),
                "checkpoints": checkpoints(data),
                "tasks": tasks(data),
            },
        ),
    ]
