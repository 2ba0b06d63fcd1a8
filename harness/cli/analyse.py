"""Commands that analyse a store: status, variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from harness.cli.app import ANALYSE, app
from harness.cli.options import (
    ConfidenceOption,
    ContinuousOption,
    DdofOption,
    Json,
    MetricOption,
    MonotonicityOption,
    StorePath,
    TableFormat,
)
from harness.cli.streams import nothing_stored, open_store, print_json

if TYPE_CHECKING:
    from harness.stats.ranks import RankMethod


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar status results/quickstart"
)
def status(store: StorePath, json_: Json = False) -> None:
    """Show which trials of a store are done, and why others failed."""
    from harness import terminal

    trials = open_store(store).trials().to_pandas()
    if json_:
        print_json("evalvar.status/1", terminal.status_dict(trials))
    else:
        terminal.show_status(trials)


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar variance results/quickstart"
)
def variance(
    store: StorePath,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    metric: MetricOption = None,
    continuous: ContinuousOption = None,
    ddof: DdofOption = 1,
    confidence: ConfidenceOption = 0.95,
    monotonicity: MonotonicityOption = "tau-b",
    format_: Annotated[
        TableFormat, typer.Option("--format", help="How the table is printed.")
    ] = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say how much of each benchmark's score is noise."""
    from harness.report.sheets.sheet import markup, show
    from harness.report.sheets.variance import variance_sheet
    from harness.stats.tables import score_tables
    from harness.stats.variance import variance_table

    # Of all tasks: which weights of a checkpoint count is not for one to say.
    responses = open_store(store).responses(model=model)
    if responses.empty or task not in (None, *responses["task"].unique()):
        raise nothing_stored(store, model, task)
    rows = variance_table(
        score_tables(responses, task=task, discrete=metric, continuous=continuous),
        ddof=ddof,
        confidence_level=confidence,
        rank_method=cast("RankMethod", monotonicity),
    )
    if json_ or format_ is TableFormat.json:
        print_json("evalvar.variance/1", {"rows": [row.to_dict() for row in rows]})
    elif format_ is TableFormat.table:
        show(variance_sheet(rows))
    else:
        print(markup(variance_sheet(rows), format_.value), end="")
