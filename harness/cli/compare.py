"""The command that compares: models, steps and seeds, of stores and foreign results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from harness.cli.app import ANALYSE, INCOMPLETE, app, schema_app
from harness.cli.options import (
    ConfidenceOption,
    FormatOption,
    FormulationOption,
    Json,
    MetricOption,
    TableFormat,
    TaskOption,
    named_path,
)
from harness.cli.streams import (
    open_output,
    print_json,
    refuse_overwriting,
    say,
    say_problems,
)
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.stats.calibration import Calibration
    from harness.stats.compare.results import Comparison
    from harness.stats.pairs import Correction

PLAIN = {TableFormat.table, TableFormat.json}
"""What --json does not contradict."""

SUFFIXES = {".html": "html", ".md": "md", ".json": "json", ".csv": "csv"}


@app.command(
    rich_help_panel=ANALYSE,
    epilog="Example: evalvar compare results/quickstart zoo-tiny zoo-small",
)
def compare(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD…",
            help="Stores or folders of results, and who is compared: MODEL, "
            "MODEL@STEP, MODEL#SEED, tag:NAME or baseline. The first is the baseline; "
            "without any, all models at their last step.",
        ),
    ],
    baseline: Annotated[
        str | None, typer.Option(help="Who the others are compared with.")
    ] = None,
    metric: MetricOption = None,
    is_continuous: Annotated[
        bool, typer.Option("--continuous", help="Each task's continuous metric.")
    ] = False,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    step: Annotated[
        int | None, typer.Option(min=0, help="Of whoever names none: not the last.")
    ] = None,
    delta: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LOSS|TASK=LOSS",
            help="Largest loss that counts as no worse, in score units.",
        ),
    ] = None,
    correction: Annotated[
        str, typer.Option(help="For several tasks: holm, bh or none.")
    ] = "holm",
    min_items: Annotated[
        int, typer.Option(min=2, help="Below so many items nothing is judged.")
    ] = 30,
    clusters: Annotated[
        Path | None,
        typer.Option(
            parser=named_path,
            help="A CSV of item_id and cluster: which items belong together.",
        ),
    ] = None,
    fixed: Annotated[
        bool,
        typer.Option(
            "--these-checkpoints",
            help="Leave the variance over training seeds out of the intervals.",
        ),
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Compare in spite of this difference, such as template."),
    ] = None,
    sequential: Annotated[
        str | None,
        typer.Option(
            help="Allow for looking again: cs, spending, obrien-fleming:N or pocock:N."
        ),
    ] = None,
    look: Annotated[
        int, typer.Option(min=1, help="Which look this is, where levels are spent.")
    ] = 1,
    pattern: Annotated[
        str | None,
        typer.Option(help="What paths of results say: such as {model}/step{step}."),
    ] = None,
    confidence: ConfidenceOption = 0.95,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            parser=named_path,
            help="Also write it: .html, .md, .json or .csv; may be given again.",
        ),
    ] = None,
) -> None:
    """Say who is better, at which task, and how surely, paired by item."""
    from harness.library import load
    from harness.report.sheets.compare import compare_sheets
    from harness.report.sheets.sheet import show
    from harness.stats.calibration import a_a

    _refuse_both(
        {"--json": json_, f"--format {format_}": format_ not in PLAIN},
        {"--continuous": is_continuous, "--metric": metric is not None},
    )
    kinds = [_kind(path) for path in outputs or ()]
    sources, names = _sorted_words(words)
    refuse_overwriting(outputs or (), [*sources, clusters])
    found = load(*sources, pattern=pattern)
    comparison = found.compare(
        *names,
        step=step,
        baseline=baseline,
        metric=metric,
        kind="continuous" if is_continuous else "discrete",
        task=task,
        formulation=formulation,
        correction=cast("Correction", correction),
        delta=_losses(delta),
        min_items=min_items,
        confidence_level=confidence,
        clusters=None if clusters is None else _read_clusters(clusters),
        fixed=("train_seed",) if fixed else (),
        allow=allow or (),
        sequential=sequential,
        look=look,
    )
    _refuse_unscored(comparison)
    equal = a_a(
        found.responses(),
        metric=metric,
        kind="continuous" if is_continuous else "discrete",
        task=task,
        formulation=formulation,
        confidence_level=confidence,
    )
    for path, kind in zip(outputs or (), kinds, strict=True):
        with open_output(path) as write:
            write(_written(comparison, kind, equal))
    if json_ or format_ is TableFormat.json:
        print_json("evalvar.compare/1", _document(comparison, equal))
    elif format_ is TableFormat.table:
        sheets = compare_sheets(
            comparison, calibration=equal, next_command=_next_command(sources)
        )
        for sheet in sheets:
            show(sheet)
        for path in outputs or ():
            print(f"report: {path}")
    else:
        print(_written(comparison, str(format_), equal), end="")
    say_problems(found.problems)
    if n_left_out := sum(one.is_left_out for one in found.problems):
        say(f"{n_left_out} left out, everything else was compared")
        raise typer.Exit(INCOMPLETE)


def _refuse_unscored(comparison: Comparison) -> None:
    """Complain where nothing is compared since answers have no scores."""
    if not comparison.is_unscored:
        return
    whys = comparison.uncompared
    what, why = whys[0]
    more = f", and {len(whys) - 1} more" if len(whys) > 1 else ""
    raise InputError(
        f"nothing can be compared: at {what} {why}{more}; scores are missing or not "
        "finite",
        code="nothing-scored",
    )


@schema_app.command(
    "compare", epilog="Example: evalvar schema compare > compare.schema.json"
)
def compare_() -> None:
    """Print the JSON Schema of what compare --json prints."""
    from harness.stats.compare.schema import compare_schema

    print(json.dumps(compare_schema(), indent=2))


def _document(
    comparison: Comparison, equal: Sequence[Calibration]
) -> dict[str, object]:
    """Return what the JSON Schema describes, all but its name."""
    calibration = [row.to_dict() for row in equal]
    return {**comparison.to_dict(), "calibration": calibration}


def _written(comparison: Comparison, kind: str, equal: Sequence[Calibration]) -> str:
    """Return a comparison as a file of this kind holds it."""
    from harness.report.sheets.compare import compare_sheets
    from harness.report.sheets.sheet import markup

    if kind == "html":
        from harness.report.page import render_comparison

        title = f"{', '.join(comparison.names[1:])} against {comparison.baseline}"
        return render_comparison(comparison, title=title, calibration=equal)
    if kind == "json":
        document = {"schema": "evalvar.compare/1", **_document(comparison, equal)}
        return json.dumps(document, indent=2, allow_nan=False) + "\n"
    sheets = compare_sheets(comparison, calibration=equal)
    if kind == "csv":
        return markup(sheets[0], "csv")
    return "\n".join(markup(sheet, "md") for sheet in sheets)


def _refuse_both(*pairs: Mapping[str, bool]) -> None:
    """Complain of two options that each say what the other does."""
    for options in pairs:
        if all(options.values()):
            raise InputError(
                f"{' and '.join(options)} contradict each other; give one of them",
                code="bad-option",
            )


def _kind(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: there is no format of that name; end it in {', '.join(SUFFIXES)}",
            code="unknown-format",
        )
    return SUFFIXES[path.suffix.lower()]


def _sorted_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell sources from names of who is compared."""
    if "" in words:
        raise InputError("a word is empty; name a source or a model", code="bad-option")
    sources = [w for w in words if "://" in w or Path(w).exists()]
    names = [w for w in words if w not in sources]
    if not sources:
        raise InputError(
            f"none of {', '.join(words)} is a store or a folder of results; name one "
            "first, and who is compared after it",
            code="results-missing",
        )
    return list(dict.fromkeys(sources)), list(dict.fromkeys(names))


def _next_command(sources: Sequence[str]) -> str:
    """Return what says what more answers would tell, where a store has them."""
    from harness.ingest.sniff import is_store

    stores = (one for one in sources if "://" in one or is_store(Path(one)))
    return next((f"evalvar power {store}" for store in stores), "")


def _losses(words: Sequence[str] | None) -> float | dict[str, float] | None:
    """Read LOSS, or TASK=LOSS for each of several tasks."""
    losses: dict[str, float] = {}
    for word in words or ():
        task, _, number = word.rpartition("=")
        try:
            losses[task] = float(number)
        except ValueError:
            raise InputError(
                f"--delta {word!r} is not LOSS or TASK=LOSS, such as 0.01 or "
                "arc_easy=0.02",
                code="bad-option",
            ) from None
    if "" in losses and len(losses) > 1:
        raise InputError(
            "--delta gives a loss for all tasks and one for some; give a TASK=LOSS "
            "for each that has one",
            code="bad-option",
        )
    return losses.get("", losses or None)


def _read_clusters(path: Path) -> dict[str, str]:
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(
            f"{path}: cannot be read: {reason}", code="results-broken"
        ) from None
    if missing := [n for n in ("item_id", "cluster") if n not in frame.columns]:
        raise InputError(
            f"{path}: lacks the column {missing[0]}; it needs item_id and cluster",
            code="missing-columns",
        )
    return dict(zip(frame["item_id"], frame["cluster"], strict=True))
