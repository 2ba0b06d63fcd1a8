"""The command that says what templates do: prompts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from harness.cli.app import ANALYSE, app
from harness.cli.options import (
    ConfidenceOption,
    EntropyOption,
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
from harness.cli.streams import asked_responses, print_json, show_rows


class Mode(StrEnum):
    """How the variance among answers is estimated."""

    unbiased = "unbiased"
    p1 = "p1"


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar prompts results/prompts --mode p1",
)
def prompts(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    mode: Annotated[
        Mode,
        typer.Option(
            help="Variance among answers: unbiased, or p1's plug-in, as published."
        ),
    ] = Mode.unbiased,
    epsilon: Annotated[
        float, typer.Option(help="How near a reliable mean is, in score units.")
    ] = 0.01,
    delta: Annotated[
        float, typer.Option(help="How often it need not be as near.")
    ] = 0.1,
    confidence: ConfidenceOption = 0.95,
    entropy: EntropyOption = 0,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say whether templates differ, or whether it is the answers' randomness."""
    from harness.report.sheets.prompts import (
        order_sheet,
        template_sheet,
        variance_sheet,
    )
    from harness.stats.facets import facet_scores
    from harness.stats.prompt_table import prompt_table
    from harness.stats.template_table import order_table, template_table

    tables = facet_scores(
        asked_responses(store, model, task, formulation),
        metric=metric,
        task=task,
        formulation=formulation,
        steps=step_range(steps),
    )
    rows, refused = template_table(
        tables,
        epsilon=epsilon,
        delta=delta,
        confidence_level=confidence,
        entropy=entropy,
    )
    if not rows:
        raise refused[0][1]
    variances, unsplit = prompt_table(
        tables, mode=mode.value, confidence_level=confidence
    )
    orders, unordered = order_table(tables, confidence_level=confidence)
    refused = (*refused, *unordered)
    if json_ or format_ is TableFormat.json:
        document = {
            "templates": [row.to_dict() for row in rows],
            "variances": [row.to_dict() for row in variances],
            "orders": [row.to_dict() for row in orders],
        }
        print_json("evalvar.prompts/1", document)
        return
    # One template is told of once.
    apart = [(who, error) for who, error in unsplit if len(who.levels["template"]) > 1]
    if variances:
        sheets = [template_sheet(rows, refused), variance_sheet(variances, apart)]
    else:
        sheets = [template_sheet(rows, (*refused, *apart))]
    if orders:
        sheets.append(order_sheet(orders))
    show_rows("prompts", rows, sheets, format_, json_)
