"""Commands that hand results on: export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.app import SHARE, app
from harness.cli.options import (
    ConfidenceOption,
    ModelOption,
    StorePath,
    TaskOption,
)
from harness.cli.streams import (
    asked_responses,
    open_output,
    open_store,
    refuse_overwriting,
)
from harness.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


class To(StrEnum):
    """What an export is for."""

    lm_eval = "lm-eval"
    eee = "eee"
    every_eval_ever = "every-eval-ever"
    parquet = "parquet"
    csv = "csv"
    openmetrics = "openmetrics"
    mlflow = "mlflow"


class Rows(StrEnum):
    """What a row of a plain table is."""

    scores = "scores"
    responses = "responses"


ONLY_OF = {
    "table": (To.parquet, To.csv),
    "metric": (To.eee, To.parquet, To.csv, To.openmetrics, To.mlflow),
    "confidence": (To.eee, To.openmetrics, To.mlflow),
    "timestamps": (To.openmetrics,),
    "force": (To.parquet, To.csv, To.openmetrics),
    "experiment": (To.mlflow,),
    "organization": (To.eee,),
}
"""Options that say something to some exports only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    store: str
    place: str
    model: str | None
    task: str | None
    metric: str | None
    confidence: float
    table: Rows
    timestamps: bool
    experiment: str
    organization: str
    force: bool

    def responses(self) -> pd.DataFrame:
        """Return the answers of the model, of all tasks."""
        return asked_responses(self.store, self.model, self.task, None)

    def measured(self) -> Any:
        """Return the scores of each checkpoint."""
        from harness.export.measured import measured

        return measured(
            self.responses(),
            metric=self.metric,
            task=self.task,
            confidence_level=self.confidence,
        )


@app.command(
    rich_help_panel=SHARE,
    epilog="Example: evalvar export results/quickstart --to lm-eval -o lm_eval_output",
)
def export(
    ctx: typer.Context,
    store: StorePath,
    to: Annotated[To, typer.Option("--to", help="For which tool.")],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="A folder (lm-eval, eee); a file (parquet), or - for stdout too (csv, "
            "openmetrics); an address such as sqlite:///mlflow.db (mlflow).",
        ),
    ],
    model: ModelOption = None,
    task: TaskOption = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", help="Only this metric, instead of each task's own two."
        ),
    ] = None,
    table: Annotated[
        Rows, typer.Option("--table", help="What a row is, with parquet and csv.")
    ] = Rows.scores,
    confidence: ConfidenceOption = 0.95,
    timestamps: Annotated[
        bool,
        typer.Option("--timestamps", help="Say when, with openmetrics."),
    ] = False,
    experiment: Annotated[
        str, typer.Option("--experiment", help="Name of the experiment, with mlflow.")
    ] = "evalvar",
    organization: Annotated[
        str,
        typer.Option("--organization", help="Who evaluated it, with eee."),
    ] = "unknown",
    force: Annotated[
        bool,
        typer.Option("--force", help="Write over a file that is no earlier export."),
    ] = False,
) -> None:
    """Write results for another tool: lm-eval's files, tables, monitors, trackers."""
    if not output:
        raise InputError("--output is empty; name a place", code="bad-option")
    if to is To.every_eval_ever:
        to = To.eee
    for name, some in ONLY_OF.items():
        source = ctx.get_parameter_source(name)
        if to not in some and source is not None and source.name == "COMMANDLINE":
            raise InputError(
                f"--{name} says nothing with --to {to.value}; it does with "
                f"{', '.join(one.value for one in some)}",
                code="bad-option",
            )
    if output == "-" and to not in (To.csv, To.openmetrics):
        raise InputError(
            f"--to {to.value} has no stream to go to; name a place with -o",
            code="bad-option",
        )
    refuse_overwriting([Path(output)], [store])
    WAYS[to](
        _Asked(
            store=store,
            place=output,
            model=model,
            task=task,
            metric=metric,
            confidence=confidence,
            table=table,
            timestamps=timestamps,
            experiment=experiment,
            organization=organization,
            force=force,
        )
    )


def _to_lm_eval(asked: _Asked) -> None:
    import pyarrow.compute as pc

    from harness.export.folder import export_folder
    from harness.export.lm_eval import write_lm_eval
    from harness.frames import RESPONSES

    store = open_store(asked.store)
    responses = store.response_table(
        RESPONSES.names, model=asked.model, task=asked.task
    )
    if not responses.num_rows:
        asked.responses()  # says why
    trials = store.trials()
    there = pc.unique(responses["attempt_id"])
    trials = trials.filter(pc.is_in(trials["attempt_id"], value_set=there))
    with export_folder(Path(asked.place), To.lm_eval.value) as folder:
        n_runs = write_lm_eval(responses, trials, folder)
    _say(asked, f"{trials.num_rows} trials in {n_runs} runs")


def _to_parquet(asked: _Asked) -> None:
    from harness.export.tables import is_table, write_parquet

    _refuse_others(asked, is_table)
    rows = _table(asked)
    write_parquet(rows, Path(asked.place))
    _say(asked, f"{rows.num_rows} {asked.table.value}")


def _to_csv(asked: _Asked) -> None:
    from harness.export.tables import is_table, write_csv

    _refuse_others(asked, is_table)
    with open_output(Path(asked.place)) as write:
        rows = _table(asked)
        write_csv(rows, write)
    _say(asked, f"{rows.num_rows} {asked.table.value}")


def _to_openmetrics(asked: _Asked) -> None:
    from harness.export.openmetrics import is_openmetrics, openmetrics

    _refuse_others(asked, is_openmetrics)
    with open_output(Path(asked.place)) as write:
        write(openmetrics(asked.measured(), timestamps=asked.timestamps))
    _say(asked, "the last step of each model")


def _to_every_eval_ever(asked: _Asked) -> None:
    from harness.export.every_eval_ever import write_every_eval_ever
    from harness.export.folder import export_folder

    scores = asked.measured()
    with export_folder(Path(asked.place), To.eee.value) as folder:
        n = write_every_eval_ever(scores, folder, organization=asked.organization)
    _say(asked, f"{n} evaluations")


def _to_mlflow(asked: _Asked) -> None:
    from harness.export.mlflow import write_mlflow

    n_runs, n_new = write_mlflow(
        asked.measured(), asked.place, experiment=asked.experiment
    )
    _say(asked, f"{n_runs} runs, {n_new} new numbers")


def _table(asked: _Asked) -> Any:
    from harness.export.tables import response_table, score_table

    if asked.table is Rows.scores:
        return score_table(asked.responses(), metric=asked.metric, task=asked.task)
    if asked.metric is not None:
        raise InputError(
            "--metric says nothing with --table responses, which have all evidence",
            code="bad-option",
        )
    return response_table(asked.responses(), task=asked.task)


def _refuse_others(asked: _Asked, is_ours: Callable[[Path], bool]) -> None:
    """Refuse to write over a file that is no earlier export, nor empty."""
    place = Path(asked.place)
    if asked.force or not place.is_file() or not place.stat().st_size:
        return
    if not is_ours(place):
        raise InputError(
            f"{place}: there is a file that is no earlier export; name another, or "
            "write over it with --force",
            code="file-exists",
        )


def _say(asked: _Asked, what: str) -> None:
    if asked.place != "-":
        print(f"{asked.place}: {what}")


WAYS: dict[To, Callable[[_Asked], None]] = {
    To.lm_eval: _to_lm_eval,
    To.eee: _to_every_eval_ever,
    To.parquet: _to_parquet,
    To.csv: _to_csv,
    To.openmetrics: _to_openmetrics,
    To.mlflow: _to_mlflow,
}
