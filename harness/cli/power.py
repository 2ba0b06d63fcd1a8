"""The command that says what to buy next: power."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    named_path,
    step_range,
)
from harness.cli.streams import (
    asked_responses,
    nothing_stored,
    open_output,
    open_store,
    say,
    show_rows,
)
from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.growth import Wish
    from harness.stats.power_table import TaskPower


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar power results/quickstart --task zoo_facts_cloze --se 0.02",
)
def power(
    store: StorePath,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    steps: StepsOption = None,
    metric: MetricOption = None,
    se: Annotated[
        float | None, typer.Option("--se", help="Standard error to be reached.")
    ] = None,
    difference: Annotated[
        float | None,
        typer.Option(help="Difference of two models that a test is to find."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Seconds to spend, of one worker.")
    ] = None,
    power_: Annotated[
        float, typer.Option("--power", help="Probability of finding a difference.")
    ] = 0.8,
    correlation: Annotated[
        float | None,
        typer.Option(
            help="Of two models over items and templates; that of the store's "
            "models if absent, 0.5 where it has one."
        ),
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACET",
            help="No others are meant than those asked: item, train_seed, template, "
            "fewshot_seed or repeat; may be given again.",
        ),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SECONDS",
            help="Instead of what was measured: load, item or answer; or what each "
            "further level of a facet costs by itself, such as train_seed=3600. More "
            "templates are bought only where they have a price.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            parser=named_path,
            help="Write the suite that buys what is asked for; - is stdout, alone.",
        ),
    ] = None,
    suite: Annotated[
        Path | None, typer.Option(help="The suite that the store came from.")
    ] = None,
    confidence: ConfidenceOption = 0.95,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Say how sure a score is, what could be told apart, and what to buy next."""
    from harness.report.sheets.power import power_sheet
    from harness.stats.facets import facet_scores
    from harness.stats.power_table import Target, power_table

    target = Target(se=se, difference=difference, seconds=budget)
    if write is not None and (suite is None or target == Target()):
        raise InputError(
            "--write needs --suite, the file that the store came from, and one of "
            "--se, --difference and --budget",
            code="bad-target",
        )
    if suite is not None and write is None:
        raise InputError(
            "--suite is what --write starts from; give both, or neither",
            code="bad-option",
        )
    if str(write) == "-" and (json_ or format_ is not TableFormat.table):
        raise InputError(
            "--write - prints the suite where the table goes; name a file, or leave "
            f"{'--json' if json_ else '--format'} out",
            code="bad-option",
        )
    responses = asked_responses(store, None, task, formulation)
    models = sorted(responses["model"].unique())
    if model is not None and model not in models:
        raise nothing_stored(store, model, known=models)
    rows, refused = power_table(
        facet_scores(
            responses,
            metric=metric,
            task=task,
            formulation=formulation,
            steps=step_range(steps),
        ),
        open_store(store).trials().to_pandas(),
        model=model,
        target=target,
        correlation=correlation,
        fixed=fixed or (),
        costs=_costs(cost),
        power=power_,
        confidence_level=confidence,
    )
    if not rows:
        raise refused[0][1]
    if write is not None and suite is not None:
        _write(suite, write, rows)
        if str(write) == "-":
            return
    sheet = power_sheet(rows, refused, target=target, power=power_)
    show_rows("power", rows, [sheet], format_, json_)


def _costs(words: Sequence[str] | None) -> dict[str, float]:
    """Read NAME=SECONDS."""
    costs: dict[str, float] = {}
    for word in words or ():
        name, _, seconds = word.partition("=")
        try:
            cost = float(seconds)
        except ValueError:
            cost = math.nan
        if not 0 <= cost < math.inf:
            raise InputError(
                f"--cost {word!r} is not NAME=SECONDS, such as train_seed=3600",
                code="bad-target",
            )
        if name in costs:
            raise InputError(
                f"--cost gives {name} twice, {costs[name]:g} and {cost:g}; give one",
                code="bad-target",
            )
        costs[name] = cost
    return costs


def _write(suite: Path, into: Path, rows: Sequence[TaskPower]) -> None:
    """Write the suite that buys the designs that are wanted, and say what it lacks."""
    from harness.cli.run import zoo_root
    from harness.growth import grown_suite

    wishes = [_wish(row) for row in rows if row.wanted is not None]
    if not wishes:
        raise InputError(
            "no design within what the tasks hold reaches what is asked, so that there "
            "is no suite to write; ask for less",
            code="bad-target",
        )
    text, to_do = grown_suite(suite, wishes, into=into, zoo=zoo_root())
    with open_output(into) as write:
        write(text)
    if not any(wish.added for wish in wishes):
        say("note: the designs as run reach what is asked; the suite is as it was")
    for one in to_do:
        say(f"to do: {one}")
    if str(into) != "-":
        say(f"written: {into}; `evalvar plan {into}` shows what is missing")


def _wish(row: TaskPower) -> Wish:
    from harness.growth import FACETS, Wish

    scores, wanted, now = row.scores, row.wanted, row.score.counts
    counts = wanted.counts if wanted else {}
    return Wish(
        model=scores.model,
        task=scores.task,
        formulation=scores.formulation,
        num_fewshot=scores.num_fewshot,
        n_items_total=scores.n_items_total,
        added={
            facet: math.ceil(counts[facet]) - math.ceil(now[facet])
            for facet in FACETS
            if facet in counts and counts[facet] > now.get(facet, math.inf)
        },
        counts={facet: math.ceil(n) for facet, n in counts.items()},
    )
