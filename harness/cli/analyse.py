"""Commands that analyse a store: variance, snr, items, irt, subset."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from harness.cli.app import ANALYSE, app, subset_app
from harness.cli.options import (
    ConfidenceOption,
    ContinuousOption,
    EntropyOption,
    FormatOption,
    FormulationOption,
    Json,
    LargerOption,
    MetricOption,
    ModelOption,
    StepsOption,
    StorePath,
    TableFormat,
    TaskOption,
    counts,
    model_pairs,
    step_range,
)
from harness.cli.streams import (
    asked_responses,
    nothing_paired,
    open_store,
    print_json,
    show_rows,
)
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.stats.irt.fit import MethodName
    from harness.stats.irt.model import ModelName
    from harness.stats.ranks import RankMethod
    from harness.stats.respondents import Respondents
    from harness.stats.subsets.quality import Method
    from harness.stats.tables import Kind, ScoreTable


TWO_VALUED = {"acc", "acc_norm", "acc_bytes", "exact_match"}
"""Metrics of which an answer's score is 0 or 1."""


class HoldOut(StrEnum):
    """What subsets are judged on, whole."""

    model = "model"
    run = "run"


class By(StrEnum):
    """What a line of the variance table is."""

    task = "task"
    step = "step"
    seed = "seed"
    formulation = "formulation"


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar status results/quickstart"
)
def status(store: StorePath, json_: Json = False) -> None:
    """Show which trials of a store are done, why others failed, and bare scores."""
    from harness import terminal
    from harness.aggregates import read_aggregates
    from harness.answered import trials_of_parts

    opened = open_store(store)
    trials = trials_of_parts(opened)
    bare = read_aggregates(opened.aggregates())
    if json_:
        document = terminal.status_dict(trials)
        document["aggregates"] = [one.to_dict() for one in bare]
        print_json("evalvar.status/1", document)
        return
    if len(trials) or not bare:
        terminal.show_status(trials)
    if bare:
        from harness.report.sheets.aggregates import aggregate_sheet
        from harness.report.sheets.sheet import show

        show(aggregate_sheet(bare))


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar variance results/quickstart"
)
def variance(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    continuous: ContinuousOption = None,
    ddof: Annotated[
        int | None,
        typer.Option(
            min=0, max=1, help="1: sample SD over seeds, as if absent; 0: population."
        ),
    ] = None,
    confidence: ConfidenceOption = 0.95,
    monotonicity: Annotated[
        str | None,
        typer.Option(
            help="Rank correlation: tau-b, tau-a, spearman or sign; tau-b if absent."
        ),
    ] = None,
    by: Annotated[
        By | None,
        typer.Option(
            "--by", help="A line for each task, as if absent, or for each part of it."
        ),
    ] = None,
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger", help="A line for each source of noise: items, seeds, templates…"
        ),
    ] = False,
    entropy: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Where random draws start; same number, same output. 0 if absent.",
        ),
    ] = None,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say how much of each benchmark's score is noise."""
    if ledger:
        unused = {
            "--by": by,
            "--continuous": continuous,
            "--ddof": ddof,
            "--monotonicity": monotonicity,
            "--entropy": entropy,
        }
        if given := [name for name, value in unused.items() if value is not None]:
            raise InputError(
                "--ledger has a line for each source of noise of one metric, which "
                f"--metric names; leave {' and '.join(given)} out",
                code="unfit-method",
            )
        sources = store, model, task, formulation, steps, metric
        _show_ledger(*sources, confidence, format_, json_)
        return
    from harness.report.sheets.breakdown import seed_sheet, step_sheet
    from harness.report.sheets.formulation import formulation_sheet
    from harness.report.sheets.variance import variance_sheet
    from harness.stats.breakdown import by_seed, by_step
    from harness.stats.formulation_table import formulation_table
    from harness.stats.variance import variance_table

    ddof = 1 if ddof is None else ddof
    entropy = entropy or 0
    method = cast("RankMethod", "tau-b" if monotonicity is None else monotonicity)
    tables = _tables(store, model, task, formulation, steps, metric, continuous)
    if by is By.formulation:
        pairs, unlike = formulation_table(
            tables,
            ddof=ddof,
            confidence_level=confidence,
            rank_method=method,
            entropy=entropy,
        )
        if not pairs:
            chosen = "--task" if task else "--formulation" if formulation else None
            raise unlike[0][2] if unlike else nothing_paired(store, chosen)
        sheet = formulation_sheet(pairs, unlike)
        show_rows("variance-by-formulation", pairs, [sheet], format_, json_)
        return
    rows = variance_table(
        tables,
        ddof=ddof,
        confidence_level=confidence,
        rank_method=method,
        entropy=entropy,
    )
    if by is By.step:
        points = by_step(rows, ddof=ddof, confidence_level=confidence)
        show_rows("variance-by-step", points, [step_sheet(points)], format_, json_)
    elif by is By.seed:
        seeds = by_seed(rows, rank_method=method)
        show_rows("variance-by-seed", seeds, [seed_sheet(seeds)], format_, json_)
    else:
        show_rows("variance", rows, [variance_sheet(rows)], format_, json_)


def _show_ledger(
    store: str,
    model: str | None,
    task: str | None,
    formulation: str | None,
    steps: str | None,
    metric: str | None,
    confidence: float,
    format_: TableFormat,
    json_: bool,
) -> None:
    """Print the ledger of each model and task, of the last step if none is asked."""
    from harness.report.sheets.ledger import ledger_sheet
    from harness.stats.facets import facet_scores
    from harness.stats.ledger_table import ledger_table

    tables = facet_scores(
        asked_responses(store, model, task, formulation),
        metric=metric,
        task=task,
        formulation=formulation,
        steps=step_range(steps),
    )
    rows, refused = ledger_table(
        tables, all_steps=steps is not None, confidence_level=confidence
    )
    if not rows:
        raise refused[0][1]
    sheet = ledger_sheet(rows, refused)
    show_rows("variance-ledger", rows, [sheet], format_, json_)


@app.command(rich_help_panel=ANALYSE, epilog="Example: evalvar snr results/quickstart")
def snr(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
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
    larger: LargerOption = None,
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
    if is_continuous and metric in TWO_VALUED:
        raise InputError(
            f"--metric {metric} is right or wrong, and --continuous asks for one that "
            "is neither; leave one of the two out",
            code="unfit-method",
        )
    people = _people(store, model, task, formulation, steps, metric, kind)
    rows, refused = signal_table(people, larger=model_pairs(larger), **options)
    if not rows:
        raise refused[0][1]
    chosen = best_tasks(rows, **options) if best else None
    show_rows("snr", rows, [signal_sheet(rows, refused, chosen)], format_, json_)


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar items results/quickstart --task zoo_facts_cloze",
)
def items(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Items shown of each row; 20 if absent, where one task is asked for.",
        ),
    ] = None,
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

    rows, refused = item_table(
        _people(store, model, task, formulation, steps, metric),
        confidence_level=confidence,
        share=share,
        entropy=entropy,
    )
    if not rows:
        raise refused[0][1]
    sheets = [item_sheet(rows, refused)]
    if limit is not None or task is not None or len(rows) == 1:
        sheets += [worst_items_sheet(row, limit=limit or 20) for row in rows]
    show_rows("items", rows, sheets, format_, json_)


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar irt results/quickstart --fit rasch",
)
def irt(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    fit: Annotated[
        str, typer.Option(help="Item response model: rasch, 1pl, 2pl or 3pl.")
    ] = "2pl",
    method: Annotated[
        str, typer.Option(help="How it is fitted: auto, marginal, joint or girth.")
    ] = "auto",
    confidence: ConfidenceOption = 0.95,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Fit an item response model: how able checkpoints are, how hard items."""
    from harness.report.sheets.irt import ability_sheet, irt_sheet
    from harness.stats.irt_table import irt_table

    rows, refused = irt_table(
        _people(store, model, task, formulation, steps, metric),
        model=cast("ModelName", fit),
        method=cast("MethodName", method),
        confidence_level=confidence,
    )
    if not rows:
        raise refused[0][1]
    sheets = [irt_sheet(rows, refused)]
    if len(rows) == 1:
        sheets.append(ability_sheet(rows[0]))
    show_rows("irt", rows, sheets, format_, json_)


@subset_app.command(
    epilog="Example: evalvar subset evaluate results/quickstart --sizes 20,50,100"
)
def evaluate(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    sizes: Annotated[
        str, typer.Option(help="Numbers of items, separated by commas.")
    ] = "20,50,100",
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these ways to choose: stratified, anchors-correct, anchors-irt, "
            "information, adaptive; random is always beside them."
        ),
    ] = None,
    hold_out: Annotated[
        HoldOut | None,
        typer.Option(
            help="Judge on whole models, or on training runs, whose models' other "
            "seeds then help to choose; models by default, runs where there is one."
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(help="Random subsets drawn at each size.")
    ] = 200,
    confidence: ConfidenceOption = 0.95,
    entropy: EntropyOption = 0,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Judge small subsets of items on models held out, beside random subsets."""
    from harness.report.sheets.subsets import subset_sheet
    from harness.stats.subset_table import subset_table
    from harness.stats.subsets.evaluate import METHODS

    chosen = METHODS
    if method:
        # An unknown name is left in, for the statistics to refuse.
        names = cast("list[Method]", method)
        chosen = {name: METHODS.get(name, ("weighted",)) for name in names}
    rows, refused = subset_table(
        _people(store, model, task, formulation, steps, metric),
        counts("--sizes", sizes),
        methods=chosen,
        hold_out=hold_out.value if hold_out else None,
        n_draws=draws,
        confidence_level=confidence,
        entropy=entropy,
    )
    if not rows:
        raise refused[0][1]
    show_rows("subset", rows, [subset_sheet(rows, refused)], format_, json_)


def _tables(
    store: str,
    model: str | None,
    task: str | None,
    formulation: str | None,
    steps: str | None,
    metric: str | None,
    continuous: str | None = None,
) -> tuple[ScoreTable, ...]:
    """Return the tables of scores of a store that there must be."""
    from harness.stats.tables import score_tables

    responses = asked_responses(store, model, task, formulation)
    return score_tables(
        responses,
        task=task,
        formulation=formulation,
        steps=step_range(steps),
        discrete=metric,
        continuous=continuous,
    )


def _people(
    store: str,
    model: str | None,
    task: str | None,
    formulation: str | None,
    steps: str | None,
    metric: str | None,
    kind: Kind = "discrete",
) -> tuple[Respondents, ...]:
    """Return who answered what, of all models."""
    from harness.stats.respondents import respondents

    first, second = (metric, None) if kind == "discrete" else (None, metric)
    tables = _tables(store, model, task, formulation, steps, first, second)
    people = respondents(tables, kind=kind)
    if not people:
        raise InputError(
            f"{store}: no task of these has a continuous metric; leave "
            "--continuous out",
            code="nothing-stored",
        )
    return people
