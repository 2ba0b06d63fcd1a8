"""Commands that share what was found: report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from harness.cli.app import SHARE, app
from harness.cli.options import (
    ConfidenceOption,
    ContinuousOption,
    DdofOption,
    EntropyOption,
    LargerOption,
    MetricOption,
    MonotonicityOption,
    StorePath,
    counts,
    model_pairs,
    named_path,
)
from harness.cli.streams import open_output, open_store, refuse_overwriting
from harness.errors import DesignError

if TYPE_CHECKING:
    from harness.stats.ranks import RankMethod


@app.command(
    rich_help_panel=SHARE,
    epilog="Example: evalvar report results/quickstart -o reports/quickstart.html",
)
def report(
    store: StorePath,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            parser=named_path,
            help="The HTML file to write; - is stdout.",
        ),
    ],
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    metric: MetricOption = None,
    continuous: ContinuousOption = None,
    ddof: DdofOption = 1,
    confidence: ConfidenceOption = 0.95,
    monotonicity: MonotonicityOption = "tau-b",
    subsets: Annotated[
        str | None,
        typer.Option(help="Judge subsets of so many items too, such as 20,50,100."),
    ] = None,
    discriminative: Annotated[
        int | None,
        typer.Option(
            min=1, help="Choose so many items that tell templates apart, such as 2."
        ),
    ] = None,
    larger: LargerOption = None,
    entropy: EntropyOption = 0,
) -> None:
    """Write one self-contained interactive HTML page."""
    from harness.aggregates import read_aggregates
    from harness.marks import read_marks
    from harness.report.gather import gather
    from harness.report.page import render

    sizes = () if subsets is None else counts("--subsets", subsets)
    pairs = model_pairs(larger)
    refuse_overwriting([output], [store])
    opened = open_store(store)
    with open_output(output) as write:
        data = gather(
            opened.responses(),
            opened.attempts().to_pandas(),
            title=title or Path(store).name,
            discrete=metric,
            continuous=continuous,
            ddof=ddof,
            confidence_level=confidence,
            rank_method=cast("RankMethod", monotonicity),
            subset_sizes=sizes,
            discriminative=discriminative,
            larger=pairs,
            marks=read_marks(opened),
            aggregates=read_aggregates(opened.aggregates()),
            entropy=entropy,
        )
        if sizes and data.rows and not data.subsets:
            reason = next(r for r in data.refusals if r.analysis == "subsets")
            raise DesignError(reason.text, code=reason.code)
        write(render(data))
    if str(output) != "-":
        print(f"report: {output}")
