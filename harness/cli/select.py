"""Commands that choose items: select stable, select discriminative."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from harness.cli.app import select_app
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
    counts,
    named_path,
    step_range,
)
from harness.cli.streams import (
    asked_responses,
    nothing_stored,
    open_output,
    show_rows,
)
from harness.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from harness.selection import Selection
    from harness.stats.subsets.choose import SubsetMethod


class To(StrEnum):
    """What is written of chosen items."""

    selection = "selection"
    samples = "samples"
    suite = "suite"
    ids = "ids"


class Noise(StrEnum):
    """Variance among answers."""

    unbiased = "unbiased"
    p1 = "p1"


class HeldOutOf(StrEnum):
    """What the choice is judged on."""

    responses = "responses"
    both = "both"


OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=named_path,
        help="The file to write; - is stdout, alone.",
    ),
]
ToOption = Annotated[
    To | None,
    typer.Option(
        "--to",
        help="What is written: a selection, which run takes; samples, as lm-eval's "
        "--samples; suite, that of --suite with the items in it; ids, one a line.",
    ),
]
SuiteOption = Annotated[
    Path | None,
    typer.Option("--suite", help="The suite to put the items into, with --to suite."),
]


@select_app.command(
    epilog="Example: evalvar select stable results/quickstart -o stable.json"
)
def stable(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Take so many items, whatever is tolerated."),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            help="Numbers of items to search, separated by commas; 5 to 70 % of all "
            "if absent."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these ways to choose: stratified, anchors-correct, anchors-irt; "
            "random is always beside them."
        ),
    ] = None,
    max_error: Annotated[
        float, typer.Option(help="Mean absolute error tolerated, in score units.")
    ] = 0.03,
    max_extra_sd: Annotated[
        float, typer.Option(help="How much larger the seed SD may be, as a share.")
    ] = 0.25,
    max_monotonicity_loss: Annotated[
        float, typer.Option(help="How much smaller monotonicity may be.")
    ] = 0.1,
    min_rank_agreement: Annotated[
        float, typer.Option(help="Kendall's tau of models with all items, at least.")
    ] = 0.9,
    output: OutputOption = None,
    to: ToOption = None,
    suite: SuiteOption = None,
    draws: Annotated[
        int, typer.Option(help="Random subsets drawn at each size.")
    ] = 200,
    confidence: ConfidenceOption = 0.95,
    entropy: EntropyOption = 0,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Find the fewest items that keep level, seed noise, curves and ranks."""
    from harness.report.sheets.select import stable_sheet
    from harness.selection import stable_selection
    from harness.stats.respondents import respondents
    from harness.stats.stable_table import stable_table
    from harness.stats.subsets.stable import SEARCHED, Tolerances
    from harness.stats.tables import score_tables

    if size is not None and sizes is not None:
        raise InputError(
            "--size takes so many items and --sizes searches how many; give one of "
            "the two",
            code="bad-option",
        )
    _refuse_two_outputs(output, to, format_, json_)
    base = _base(to, suite, output)
    with _written(output, to) as write:
        tables = score_tables(
            asked_responses(store, model, task, formulation),
            task=task,
            formulation=formulation,
            steps=step_range(steps),
            discrete=metric,
        )
        rows, refused = stable_table(
            respondents(tables),
            n_items=size,
            sizes=counts("--sizes", sizes) if sizes is not None else None,
            methods=cast("list[SubsetMethod]", method) if method else SEARCHED,
            tolerances=Tolerances(
                max_error=max_error,
                max_extra_sd=max_extra_sd,
                max_monotonicity_loss=max_monotonicity_loss,
                min_rank_agreement=min_rank_agreement,
            ),
            n_draws=draws,
            confidence_level=confidence,
            entropy=entropy,
        )
        if not rows:
            raise refused[0][1]
        if not _is_alone(output, to):
            sheet = stable_sheet(rows, refused)
            show_rows("select-stable", rows, [sheet], format_, json_)
        if write is not None:
            write(_text(stable_selection(rows, entropy=entropy), to, base))


@select_app.command(
    epilog="Example: evalvar select discriminative results/prompts --size 4 "
    "-o prompts.json"
)
def discriminative(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    train_seed: Annotated[
        int | None, typer.Option(help="Only checkpoints of this training seed.")
    ] = None,
    metric: MetricOption = None,
    size: Annotated[int, typer.Option(min=1, help="How many items to take.")] = 2,
    mode: Annotated[
        Noise,
        typer.Option(
            help="Variance among answers: unbiased, or p1's plug-in, as published."
        ),
    ] = Noise.unbiased,
    hold_out: Annotated[
        HeldOutOf,
        typer.Option(help="Judge on other responses, or on other templates too: both."),
    ] = HeldOutOf.responses,
    output: OutputOption = None,
    to: ToOption = None,
    suite: SuiteOption = None,
    confidence: ConfidenceOption = 0.95,
    entropy: EntropyOption = 0,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Find the few items on which templates differ most, as p1 does, held out."""
    from harness.report.sheets.select import discriminative_sheet
    from harness.selection import discriminative_selection, named, refuse_twice
    from harness.stats.discriminative_table import discriminative_table
    from harness.stats.facets import facet_scores

    _refuse_two_outputs(output, to, format_, json_)
    base = _base(to, suite, output)
    with _written(output, to) as write:
        responses = asked_responses(store, model, task, formulation)
        if train_seed is not None:
            responses = _of_seed(store, responses, train_seed)
        tables = facet_scores(
            responses,
            metric=metric,
            task=task,
            formulation=formulation,
            steps=step_range(steps),
        )
        if write is not None:  # a task that is there twice is told before the work
            refuse_twice([named(o) for one in tables for o in one.checkpoints()])
        rows, refused = discriminative_table(
            tables,
            size,
            mode=mode.value,
            hold_out=hold_out.value,
            confidence_level=confidence,
            entropy=entropy,
        )
        if not rows:
            raise refused[0][1]
        if not _is_alone(output, to):
            sheet = discriminative_sheet(rows, refused)
            show_rows("select-discriminative", rows, [sheet], format_, json_)
        if write is not None:
            write(_text(discriminative_selection(rows, entropy=entropy), to, base))


def _of_seed(store: str, responses: pd.DataFrame, train_seed: int) -> pd.DataFrame:
    """Return the responses of one training seed that there must be."""
    seeds = responses["train_seed"]
    chosen = responses[(seeds == train_seed).fillna(False)]
    if chosen.empty:
        known = [str(seed) for seed in sorted(seeds.dropna().unique())]
        raise nothing_stored(store, f"training seed {train_seed}", known=known)
    return chosen


def _refuse_two_outputs(
    output: Path | None, to: To | None, format_: TableFormat, json_: bool
) -> None:
    """Refuse to print a table where standard output is for what is written."""
    if _is_alone(output, to) and (json_ or format_ is not TableFormat.table):
        given = "--json" if json_ else f"--format {format_.value}"
        raise InputError(
            f"{given} prints the table where the chosen items go; name a file with "
            "-o, or leave one of the two out",
            code="bad-option",
        )


def _is_alone(output: Path | None, to: To | None) -> bool:
    """Return whether standard output is for what is written, and nothing else."""
    return str(output) == "-" if output else to is not None


def _written(
    output: Path | None, to: To | None
) -> contextlib.AbstractContextManager[Callable[[str], Any] | None]:
    if output is None and to is None:
        return contextlib.nullcontext()
    return open_output(output or Path("-"))


def _base(to: To | None, suite: Path | None, output: Path | None) -> str:
    """Return the text of the suite that items are put into, if they are."""
    if (to is To.suite) != (suite is not None):
        raise InputError(
            "--to suite puts items into the suite that --suite names; give both, or "
            "neither",
            code="suite-missing",
        )
    if suite is None:
        return ""
    from harness.suite import load_suite

    load_suite(suite)  # complains of what is no suite
    folder = (output or Path("-")).parent
    if output and str(output) != "-" and folder.resolve() != suite.parent.resolve():
        raise InputError(
            f"{output}: relative paths of {suite} start from its folder; write the "
            f"new suite beside it, in {suite.parent}",
            code="output-not-written",
        )
    return suite.read_text(encoding="utf-8")


def _text(selection: Selection, to: To | None, base: str) -> str:
    if to is To.samples:
        return selection.to_samples()
    if to is To.ids:
        return selection.to_ids()
    return selection.to_suite(base) if to is To.suite else selection.to_json()
