"""What do commands take? The arguments and options that several share."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import InputError


def named_path(words: str) -> Path:
    """Read a path, which the empty one, the folder where we are, is by mistake."""
    if not words:
        raise typer.BadParameter("it is empty; name a file")
    return Path(words)


SuitePath = Annotated[
    Path, typer.Argument(help="A suite file, such as suites/quickstart.yaml.")
]
StorePath = Annotated[
    str, typer.Argument(help="A store: a folder, or an address such as s3://….")
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Where results go; results/SUITE-NAME if absent."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Models in memory at once, instead of the suite's."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Join this Ray cluster (auto, or HOST:PORT) instead of starting one."
    ),
]
DdofOption = Annotated[
    int, typer.Option(min=0, max=1, help="1: sample SD over seeds; 0: population.")
]
MetricOption = Annotated[
    str | None,
    typer.Option("--metric", help="Discrete metric instead of each task's own."),
]
ContinuousOption = Annotated[
    str | None,
    typer.Option("--continuous", help="Continuous metric, likewise."),
]
ConfidenceOption = Annotated[
    float, typer.Option("--confidence", help="Level of every interval, such as 0.95.")
]
MonotonicityOption = Annotated[
    str,
    typer.Option(
        "--monotonicity", help="Rank correlation: tau-b, tau-a, spearman or sign."
    ),
]


TaskOption = Annotated[str | None, typer.Option("--task", help="Only this task.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Only this model.")]
FormulationOption = Annotated[
    str | None,
    typer.Option("--formulation", help="Only choice, or only cloze."),
]
StepsOption = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="FIRST:LAST",
        help="Only these steps; either may be absent; or one step alone.",
    ),
]
LargerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--larger",
        metavar="SMALL=LARGE",
        help="A model and the larger one that it stands for; may be given again.",
    ),
]
EntropyOption = Annotated[
    int,
    typer.Option(
        "--entropy", min=0, help="Where random draws start; same number, same output."
    ),
]


class TableFormat(StrEnum):
    """How a table is printed."""

    table = "table"
    md = "md"
    csv = "csv"
    json = "json"


FormatOption = Annotated[
    TableFormat, typer.Option("--format", help="How the table is printed.")
]


def counts(option: str, words: str) -> list[int]:
    """Read whole numbers separated by commas."""
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise InputError(
            f"{option} {words!r} is not numbers separated by commas, such as 20,50,100",
            code="subset-size",
        ) from None


def step_range(words: str | None) -> tuple[int | None, int | None]:
    """Read FIRST:LAST, either of which may be absent; or one step alone."""
    first, colon, last = (":" if words is None else words).partition(":")
    if not colon:
        colon, last = first, first
    try:
        low, high = int(first) if first else None, int(last) if last else None
    except ValueError:
        colon, low, high = "", None, None
    if not colon:
        raise InputError(
            f"--steps {words!r} is not FIRST:LAST, such as 1000:5000 or 1000:, nor "
            "one step",
            code="bad-steps",
        )
    if low is not None and high is not None and low > high:
        raise InputError(
            f"--steps {words!r} ends before it begins; give the smaller number first",
            code="bad-steps",
        )
    return low, high


def model_pairs(words: Sequence[str] | None) -> dict[str, str]:
    """Read SMALL=LARGE."""
    pairs = {}
    for word in words or ():
        small, equals, large = word.partition("=")
        if not (small and equals and large):
            raise InputError(
                f"--larger {word!r} is not SMALL=LARGE, two names of models",
                code="unknown-model",
            )
        pairs[small] = large
    if both := sorted({*pairs} & {*pairs.values()}):
        raise InputError(
            f"--larger takes {both[0]!r} for a small model and for a large one; a "
            "model is one of them",
            code="unknown-model",
        )
    return pairs
