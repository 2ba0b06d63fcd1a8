"""The command that compares: models, steps and seeds, of stores and foreign results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from harness.cli.app import ANALYSE, app, schema_app
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
from harness.cli.streams import open_output, print_json
from harness.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from harness.marks import Marks
    from harness.stats.calibration import Calibration
    from harness.stats.compare.results import Choice, Comparison
    from harness.stats.pairs import Correction

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
    from harness.report.sheets.compare import compare_sheets
    from harness.report.sheets.sheet import show
    from harness.stats.calibration import a_a
    from harness.stats.compare.table import compare as compared

    kinds = [_kind(path) for path in outputs or ()]
    sources, names = _sorted_words(words)
    found = _Sources(sources, pattern)
    comparison = compared(
        found.responses,
        found.choices(names, step),
        baseline=None if baseline is None else found.name(baseline, step),
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
        trials=found.trials,
    )
    equal = a_a(
        found.responses,
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
            comparison, calibration=equal, next_command=found.next_command
        )
        for sheet in sheets:
            show(sheet)
        for path in outputs or ():
            print(f"report: {path}")
    else:
        print(_written(comparison, str(format_), equal), end="")


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


class _Sources:
    """All answers of the sources named, and whose they are."""

    def __init__(self, sources: Sequence[str], pattern: str | None) -> None:
        import pandas as pd

        parts = [_Source(source, pattern) for source in sources]
        self.marks = [part.marks for part in parts if part.marks is not None]
        clashing = _in_several([part.models for part in parts])
        for part in parts:
            part.rename(clashing)
        self.responses, self.trials = parts[0].responses, parts[0].trials
        if len(parts) > 1:
            self.responses = pd.concat([p.responses for p in parts], ignore_index=True)
            self.trials = pd.concat([p.trials for p in parts], ignore_index=True)
        self.models = list(dict.fromkeys(m for part in parts for m in part.models))
        store = next((part.path for part in parts if part.marks is not None), "")
        self.next_command = f"evalvar power {store}" if store else ""

    def choices(self, names: Sequence[str], step: int | None) -> list[Choice]:
        """Return who is compared: those named, or every model."""
        from dataclasses import replace

        if names:
            return [self._choice(name, step) for name in names]
        return [replace(self._choice(m, step), name=m) for m in self.models]

    def name(self, word: str, step: int | None) -> str:
        """Return how the choice that a word means is called."""
        return self._choice(word, step).name

    def _choice(self, word: str, step: int | None) -> Choice:
        from harness.stats.compare.results import Choice

        if word in self.models:
            return Choice(name=word, model=word, step=step)
        if word == "baseline" or word.startswith("tag:"):
            reference = self._reference(word)
            return Choice(name=word, model=reference.model, step=reference.step)
        rest, sharp, seed = word.rpartition("#")
        model, at, number = (rest if sharp else word).rpartition("@")
        try:
            return Choice(
                name=word,
                model=model if at else rest if sharp else word,
                step=int(number) if at else step,
                train_seeds=(int(seed),) if sharp else None,
            )
        except ValueError:
            raise InputError(
                f"{word!r} is not MODEL, MODEL@STEP, MODEL#SEED or MODEL@STEP#SEED; "
                f"the models are {', '.join(self.models)}",
                code="unknown-model",
            ) from None

    def _reference(self, word: str) -> Any:
        if len(self.marks) != 1:
            raise InputError(
                f"{word} is for one store, which keeps tags; here are "
                f"{len(self.marks)}",
                code="unknown-tag",
            )
        if word != "baseline":
            return self.marks[0].tag(word.removeprefix("tag:"))
        reference = self.marks[0].baseline()
        if reference is None:
            raise InputError(
                "no baseline is set; `evalvar baseline set` does, or name a model",
                code="no-baseline",
            )
        return reference


class _Source:
    """What one store, or one folder of foreign results, holds."""

    def __init__(self, path: str, pattern: str | None) -> None:
        from harness.ingest.sniff import is_store

        self.path = path
        self.marks: Marks | None = None
        self.responses: pd.DataFrame
        self.trials: pd.DataFrame
        if "://" in path or is_store(Path(path)):
            from harness.marks import read_marks
            from harness.store import Store

            store = Store(path)
            self.responses, self.trials = store.responses(), store.trials().to_pandas()
            self.marks = read_marks(store)
        else:
            from harness.ingest.load import load_results

            loaded = load_results([path], pattern=pattern)
            self.responses, self.trials = loaded.responses, loaded.trials
            if self.responses.empty:
                raise InputError(
                    f"{path}: scores without items, which cannot be paired; give "
                    "results with samples, as lm-eval's --log_samples writes them",
                    code="nothing-stored",
                )
        if self.responses.empty:
            raise InputError(
                f"{path}: no finished trial; there is nothing to compare",
                code="nothing-stored",
            )
        self.models = sorted(self.responses["model"].unique())

    def rename(self, clashing: set[str]) -> None:
        """Put the source's name before those of models that others have, too."""
        own = {model: f"{Path(self.path).name}/{model}" for model in clashing}
        if not own.keys() & set(self.models):
            return
        for name in ("responses", "trials"):
            frame = getattr(self, name)
            models = frame["model"].astype(object).map(lambda m: own.get(m, m))
            setattr(self, name, frame.assign(model=models))
        self.models = [own.get(model, model) for model in self.models]


def _in_several(parts: Sequence[Sequence[str]]) -> set[str]:
    seen: set[str] = set()
    several: set[str] = set()
    for models in parts:
        several |= seen & {*models}
        seen |= {*models}
    return several
