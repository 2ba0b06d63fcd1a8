"""The command that compares equal models: how often a verdict is a false alarm."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.app import ANALYSE, app
from harness.cli.options import (
    ConfidenceOption,
    FormatOption,
    FormulationOption,
    Json,
    MetricOption,
    ModelOption,
    StepsOption,
    StorePath,
    TableFormat,
    TaskOption,
    step_range,
)
from harness.cli.streams import asked_responses, show_rows
from harness.errors import DesignError


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar calibrate results/prompts"
)
def calibrate(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    is_continuous: Annotated[
        bool, typer.Option("--continuous", help="Each task's continuous metric.")
    ] = False,
    confidence: ConfidenceOption = 0.95,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say how often equal models are found to differ: the real false-alarm rate."""
    from harness.report.sheets.calibration import calibration_sheet
    from harness.stats import calibration

    rows, refused = calibration.calibrate(
        asked_responses(store, model, task, formulation),
        metric=metric,
        kind="continuous" if is_continuous else "discrete",
        task=task,
        formulation=formulation,
        steps=step_range(steps),
        confidence_level=confidence,
    )
    if not rows and not refused:
        raise DesignError(
            "no task has a continuous metric; leave --continuous out",
            code="unknown-metric",
        )
    if not rows:
        raise refused[0][1]
    sheet = calibration_sheet(rows, refused)
    show_rows("calibration", rows, [sheet], format_, json_)
