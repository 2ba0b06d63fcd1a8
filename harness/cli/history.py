"""Commands on what was: history, tag, baseline, ack."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.app import ANALYSE, KEEP, app, baseline_app
from harness.cli.options import (
    ConfidenceOption,
    FormatOption,
    FormulationOption,
    Json,
    MetricOption,
    ModelOption,
    StorePath,
    TableFormat,
    TaskOption,
)
from harness.cli.streams import (
    asked_responses,
    open_store,
    print_json,
    show_rows,
)
from harness.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.marks import Mark
    from harness.store import Store


class By(StrEnum):
    """What a point of a history is."""

    step = "step"
    date = "date"


class Course(StrEnum):
    """What levels do between steps."""

    none = "none"
    linear = "linear"


StepOption = Annotated[
    str, typer.Option("--step", help="Which checkpoint: a step, or last.")
]
WhoOption = Annotated[str | None, typer.Option("--model", help="Whose checkpoint.")]
WhichTaskOption = Annotated[
    str | None, typer.Option("--task", help="For this task only; for all if absent.")
]


@app.command(
    rich_help_panel=ANALYSE, epilog="Example: evalvar history results/quickstart"
)
def history(
    store: StorePath,
    by: Annotated[
        By,
        typer.Option("--by", help="A point for each step, or each evaluation in time."),
    ] = By.step,
    model: ModelOption = None,
    task: TaskOption = None,
    formulation: FormulationOption = None,
    metric: MetricOption = None,
    is_continuous: Annotated[
        bool, typer.Option("--continuous", help="Each task's continuous metric.")
    ] = False,
    last: Annotated[
        int | None, typer.Option(min=1, help="Only the last points of each task.")
    ] = None,
    course: Annotated[
        Course | None,
        typer.Option(
            "--course",
            help="Whether levels slope: linear by step, none by date if absent.",
        ),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option(help="Rate at which a quiet history shows a step; 0.001 to 0.2."),
    ] = 0.05,
    confidence: ConfidenceOption = 0.95,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing", help="Which runs should be there and are not, instead."
        ),
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="DATE",
            help="Day that acknowledgements hold on and runs are expected up to; "
            "today if absent.",
        ),
    ] = None,
    format_: FormatOption = TableFormat.table,
    json_: Json = False,
) -> None:
    """Show how each task went: steps, noise, what comes next, what broke."""
    from harness.marks import read_marks
    from harness.report.sheets.history import history_sheet, missing_sheet
    from harness.stats.history.missing import missing_runs
    from harness.stats.history.points import histories, no_histories
    from harness.stats.history.table import history_table

    if missing and last is not None:
        raise InputError(
            "--missing looks at all runs; leave --last out", code="bad-option"
        )
    day = read_date("--on", on) if on else dt.datetime.now(dt.UTC).date()
    responses = asked_responses(store, model, task, formulation)
    found = histories(
        responses,
        by=by.value,
        metric=metric,
        kind="continuous" if is_continuous else "discrete",
        task=task,
        formulation=formulation,
        last=last,
        versions=_versions(open_store(store)),
    )
    if not found:
        raise no_histories(responses, by.value)
    if missing:
        end = dt.datetime.combine(day, dt.time.max, dt.UTC)
        lacking = missing_runs(found, now=end)
        sheet = missing_sheet(lacking)
        show_rows("missing", lacking, [sheet], format_, json_)
        return
    marks = read_marks(open_store(store))
    rows, refused = history_table(
        found,
        trend=course.value if course else None,
        false_alarms=false_alarms,
        confidence_level=confidence,
        is_acknowledged=lambda task, model: bool(
            marks.acknowledged(task, model, on=day)
        ),
    )
    show_rows("history", rows, [history_sheet(rows, refused)], format_, json_)


@app.command(
    rich_help_panel=KEEP,
    epilog="Example: evalvar tag results/nightly release --model m --step 4000",
)
def tag(
    store: StorePath,
    name: Annotated[
        str | None, typer.Argument(help="What to call it; without, tags are listed.")
    ] = None,
    model: WhoOption = None,
    step: StepOption = "last",
    reason: Annotated[str, typer.Option(help="Why, in your words.")] = "",
    json_: Json = False,
) -> None:
    """Give a checkpoint a name, which may be moved to another one later."""
    from harness.marks import read_marks, set_mark

    opened = open_store(store)
    if name is None:
        if model is not None:
            raise InputError("--model without a name; name the tag", code="bad-mark")
        last = {mark.name: mark for mark in read_marks(opened).of("tag")}
        _show("tags", list(last.values()), json_)
        return
    mark = set_mark(
        opened, "tag", name=name, model=model, step=_step(step), reason=reason
    )
    _told("tag", mark, f"tag {name} is {mark.reference}", json_)


@baseline_app.command(
    "set",
    epilog="Example: evalvar baseline set results/nightly --tag release "
    '--reason "version 2 is out"',
)
def set_(
    store: StorePath,
    reason: Annotated[str, typer.Option(help="Why, in your words; it is kept.")],
    model: WhoOption = None,
    step: Annotated[
        str | None,
        typer.Option("--step", help="Which checkpoint of --model: a step, or last."),
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", help="The checkpoint of this tag, as of now.")
    ] = None,
    task: WhichTaskOption = None,
    json_: Json = False,
) -> None:
    """Set the checkpoint that others are measured by, on purpose, with a reason."""
    from harness.marks import read_marks, set_mark

    opened = open_store(store)
    if tag is not None:
        if model is not None or step is not None:
            raise InputError(
                "--tag says which checkpoint; leave --model and --step out",
                code="bad-option",
            )
        reference = read_marks(opened).tag(tag)
        model, at = reference.model, reference.step
    else:
        at = _step(step or "last")
    mark = set_mark(
        opened,
        "baseline",
        name=tag or "",
        model=model,
        step=at,
        task=task,
        reason=reason,
    )
    of = f"of {task}" if task else "of all tasks"
    _told("baseline", mark, f"the baseline {of} is {mark.reference}", json_)


@baseline_app.command(epilog="Example: evalvar baseline show results/nightly")
def show(store: StorePath, json_: Json = False) -> None:
    """Show the baseline that holds, and those of single tasks."""
    from harness.marks import read_marks

    marks = read_marks(open_store(store))
    tasks = dict.fromkeys([None, *(mark.task for mark in marks.of("baseline"))])
    holding = dict.fromkeys(filter(None, map(marks.baseline_mark, tasks)))
    _show("baseline", list(holding), json_)


@baseline_app.command("history", epilog="Example: evalvar baseline history results/ci")
def past(store: StorePath, json_: Json = False) -> None:
    """Show every baseline that was set, the last one first."""
    from harness.marks import read_marks

    found = [m for m in read_marks(open_store(store)).log() if m.kind == "baseline"]
    _show("baseline", found, json_)


@app.command(
    rich_help_panel=KEEP,
    epilog="Example: evalvar ack results/nightly gsm8k --until 2026-12-31 "
    '--reason "tokenizer bug, fixed in the next run"',
)
def ack(
    store: StorePath,
    task: Annotated[str, typer.Argument(help="The task that got worse.")],
    until: Annotated[
        str, typer.Option("--until", metavar="DATE", help="Last day on which it holds.")
    ],
    reason: Annotated[str, typer.Option(help="Why, in your words; it is kept.")],
    model: Annotated[
        str | None, typer.Option("--model", help="Of this model; of all if absent.")
    ] = None,
    json_: Json = False,
) -> None:
    """Say that a regression is known: still shown, and not counted until that day."""
    from harness.marks import set_mark

    mark = set_mark(
        open_store(store),
        "acknowledged",
        task=task,
        model=model,
        reason=reason,
        until=read_date("--until", until),
    )
    of = f" of {model}" if model else ""
    _told(
        "ack",
        mark,
        f"regressions at {task}{of} are acknowledged until {mark.until}",
        json_,
    )


def read_date(option: str, words: str) -> dt.date:
    """Read a day."""
    try:
        return dt.date.fromisoformat(words)
    except ValueError:
        raise InputError(
            f"{option} {words!r} is no date such as 2026-12-31", code="bad-mark"
        ) from None


def _step(words: str) -> Any:
    """Read a step, or ``last``."""
    if words == "last":
        return words
    try:
        return int(words)
    except ValueError:
        raise InputError(
            f"--step {words!r} is neither a step, such as 4000, nor last",
            code="bad-steps",
        ) from None


def _told(verb: str, mark: Mark, words: str, json_: bool) -> None:
    from harness.terminal import one_line

    if json_:
        print_json(f"evalvar.{verb}/1", mark.to_dict())
    else:
        print(one_line(words))


def _show(verb: str, marks: list[Mark], json_: bool) -> None:
    from harness.report.sheets.history import marks_sheet
    from harness.report.sheets.sheet import show

    if json_:
        print_json(f"evalvar.{verb}/1", {"marks": [mark.to_dict() for mark in marks]})
    else:
        show(marks_sheet(marks))


def _versions(store: Store) -> dict[str, dict[str, str]]:
    """Return the versions of packages, by attempt."""
    trials: pa.Table = store.trials().select(["attempt_id", "versions"])
    rows = zip(*(column.to_pylist() for column in trials.columns), strict=True)
    return {attempt: dict(versions or ()) for attempt, versions in rows}
