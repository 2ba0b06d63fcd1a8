"""Commands that analyse a store: status, variance, snr, items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from harness.cli.app import ANALYSE, app
from harness.cli.options import (
    ConfidenceOption,
    ContinuousOption,
    DdofOption,
    EntropyOption,
    FormatOption,
    FormulationOption,
    Json,
    MetricOption,
    ModelOption,
    MonotonicityOption,
    StorePath,
    TableFormat,
    TaskOption,
)
from harness.cli.streams import nothing_stored, open_store, print_json
from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.sheets.sheet import Sheet
    from harness.stats.ranks import RankMethod
    from harness.stats.tables import Kind, Respondents, ScoreTable


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
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    metric: MetricOption = None,
    continuous: ContinuousOption = None,
    ddof: DdofOption = 1,
    confidence: ConfidenceOption = 0.95,
    monotonicity: MonotonicityOption = "tau-b",
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say how much of each benchmark's score is noise."""
    from harness.report.sheets.variance import variance_sheet
    from harness.stats.variance import variance_table

    rows = variance_table(
        _tables(store, model, task, formulation, metric, continuous),
        ddof=ddof,
        confidence_level=confidence,
        rank_method=cast("RankMethod", monotonicity),
    )
    _show("variance", rows, [variance_sheet(rows)], format_, json_)


@app.command(rich_help_panel=ANALYSE, epilog="Example: evalvar snr results/quickstart")
def snr(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    metric: MetricOption = None,
    is_continuous: Annotated[
        bool, typer.Option("--continuous", help="Each task's continuous metric.")
    ] = False,
    last: Annotated[
        int, typer.Option("--last", help="Checkpoints of a run whose SD is the noise.")
    ] = 5,
    signal: Annotated[
        str, typer.Option(help="Spread of models: range, rel-std or mean-distance.")
    ] = "range",
    scale: Annotated[
        str, typer.Option(help="Divide by: mean, chance (mean above it) or score (no).")
    ] = "mean",
    larger: Annotated[
        list[str] | None,
        typer.Option(help="SMALL=LARGE: a model and the larger one it stands for."),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Say which tasks' mean has the largest SNR.")
    ] = False,
    confidence: ConfidenceOption = 0.95,
    entropy: EntropyOption = 0,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say which benchmarks tell models apart: signal, noise and their ratio."""
    from harness.report.sheets.signal import signal_sheet
    from harness.stats.signal_table import best_tasks, signal_table

    kind: Kind = "continuous" if is_continuous else "discrete"
    options: dict[str, Any] = {
        "n_last": last,
        "signal": signal,
        "scale": scale,
        "confidence_level": confidence,
        "entropy": entropy,
    }
    people = _people(store, model, task, formulation, metric, kind)
    rows = signal_table(people, larger=_pairs(larger or []), **options)
    chosen = best_tasks(rows, **options) if best else None
    _show("snr", rows, [signal_sheet(rows, chosen)], format_, json_)


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar items results/quickstart --task zoo_facts_cloze",
)
def items(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    metric: MetricOption = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Items shown where one task is asked for.")
    ] = 20,
    share: Annotated[
        float, typer.Option(help="Share of items that pruning leaves out.")
    ] = 0.25,
    confidence: ConfidenceOption = 0.95,
    entropy: EntropyOption = 0,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say which items tell checkpoints apart, and which look broken."""
    from harness.report.sheets.items import item_sheet, worst_items_sheet
    from harness.stats.item_table import item_table

    rows = item_table(
        _people(store, model, task, formulation, metric),
        confidence_level=confidence,
        share=share,
        entropy=entropy,
    )
    sheets = [item_sheet(rows)]
    if len(rows) == 1:
        sheets.append(worst_items_sheet(rows[0], limit=limit))
    _show("items", rows, sheets, format_, json_)


def _tables(
    store: str,
    model: str | None,
    task: str | None,
    formulation: str | None,
    metric: str | None,
    continuous: str | None = None,
) -> tuple[ScoreTable, ...]:
    """Return the tables of scores of a store that there must be."""
    from harness.stats.tables import score_tables

    # Of all tasks: which weights of a checkpoint count is not for one to say.
    responses = open_store(store).responses(model=model)
    asked = responses
    for name, value in (("task", task), ("formulation", formulation)):
        if value is not None:
            asked = asked[asked[name] == value]
    if asked.empty:
        raise nothing_stored(store, model, task, formulation)
    return score_tables(
        responses,
        task=task,
        formulation=formulation,
        discrete=metric,
        continuous=continuous,
    )


def _people(
    store: str,
    model: str | None,
    task: str | None,
    formulation: str | None,
    metric: str | None,
    kind: Kind = "discrete",
) -> tuple[Respondents, ...]:
    """Return who answered what, of all models."""
    from harness.stats.tables import respondents

    first, second = (metric, None) if kind == "discrete" else (None, metric)
    tables = _tables(store, model, task, formulation, first, second)
    people = respondents(tables, kind=kind)
    if not people:
        raise InputError(
            f"{store}: no task of these has a continuous metric; leave "
            "--continuous out",
            code="nothing-stored",
        )
    return people


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """Read SMALL=LARGE."""
    pairs = {}
    for word in words:
        small, equals, large = word.partition("=")
        if not (small and equals and large):
            raise InputError(
                f"--larger {word!r} is not SMALL=LARGE, two names of models",
                code="unknown-model",
            )
        pairs[small] = large
    return pairs


def _show(
    verb: str,
    rows: Sequence[Any],
    sheets: Sequence[Sheet],
    format_: TableFormat,
    json_: bool,
) -> None:
    """Print the result of a verb as it was asked for."""
    from harness.report.sheets.sheet import markup, show

    if json_ or format_ is TableFormat.json:
        print_json(f"evalvar.{verb}/1", {"rows": [row.to_dict() for row in rows]})
    elif format_ is TableFormat.csv:
        print(markup(sheets[0], "csv"), end="")
    elif format_ is TableFormat.md:
        print("\n".join(markup(sheet, "md") for sheet in sheets), end="")
    else:
        for sheet in sheets:
            show(sheet)
