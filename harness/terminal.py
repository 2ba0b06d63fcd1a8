"""How does a terminal show a plan, a status, an import, a machine's findings?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from harness.doctor import Finding
    from harness.ingest.load import Imported, ImportedTrial
    from harness.plan import Plan

BY_PATH = frozenset({"model", "train_seed", "step", "task"})
"""What the path of a file may say in its place."""

UNKNOWN = {
    "train_seed": "training seed",
    "num_fewshot": "number of few-shot examples",
    "template_digest": "chat template and system prompt",
    "weights_digest": "revision of the weights",
    "sample_seed": "seed of sampled text",
    "fewshot_seed": "seed of the few-shot examples",
    "n_items_total": "number of items that the task holds",
}
"""How columns are called that a file says nothing of."""

MARKS = {"ok": "[green]✓[/]", "note": "[yellow]·[/]", "error": "[red]✗[/]"}


def show_plan(plan: Plan) -> None:
    """Print one row per model and condition, and what remains in all."""
    from harness.plan import n_answers

    total: Counter[tuple[str, ...]] = Counter()
    left: Counter[tuple[str, ...]] = Counter()
    stored: Counter[tuple[str, ...]] = Counter()
    asked: Counter[tuple[str, ...]] = Counter()
    for trial in plan.trials:
        template = trial.request.template.name
        how = [] if template == "default" else [template]
        how += [f"{name} {value}" for name, value in trial.request.generation]
        some = f" of {trial.info.n_items}" if trial.items is not None else ""
        key: tuple[str, ...] = (
            trial.checkpoint.model,
            trial.info.task + (f" ({', '.join(how)})" if how else ""),
            trial.info.formulation or "–",
            str(trial.info.num_fewshot),
            f"{trial.n_items}{some}",
        )
        total[key] += 1
        left[key] += bool(plan.left_of(trial))
        stored[key] += plan.n_stored(trial)
        asked[key] += n_answers(trial)
    table = Table("model", "task", "formulation", box=None, header_style="bold")
    for name in ("few-shot", "items", "trials", "remaining"):
        table.add_column(name, justify="right")
    if plan.left:
        table.add_column("answers stored", justify="right")
    for key, n in total.items():
        there = [f"{stored[key]:,} of {asked[key]:,}"] if plan.left else []
        table.add_row(*map(_plain, (*key, n, left[key], *there)))
    console = _console()
    console.print(table)
    document = plan.to_dict()
    console.print(
        f"{plan.n_checkpoints} checkpoints, {document['n_trials']} trials: "
        f"{document['n_done']} stored, {document['n_remaining']} remain"
        + (f" ({plan.n_failed} failed before)" if plan.n_failed else "")
        + f", {document['n_requests_remaining']} requests"
        + (f", about {plan.seconds:.0f} worker-seconds" if plan.seconds else ""),
        highlight=False,
    )


def status_dict(trials: pd.DataFrame) -> dict[str, Any]:
    """Return counts of trials done, partial and failed, and each failure, as JSON.

    A partial one is done, with fewer items than its task has.
    """
    failed = trials[trials["status"] == "failed"]
    columns = ["trial_id", "model", "train_seed", "step", "task", "error_code", "error"]
    # A column of seeds with a gap came as floats; a seed is a whole number.
    whole = failed[columns].astype({"train_seed": "Int64", "step": "Int64"})
    rows = whole.astype(object).where(whole.notna(), None)
    return {
        "n_done": int((trials["status"] == "done").sum()),
        "n_partial": int(_is_partial(trials).sum()),
        "n_failed": len(failed),
        "failed": rows.to_dict("records"),
    }


def show_status(trials: pd.DataFrame) -> None:
    """Print done and failed trials by model and task, then the distinct errors."""
    table = Table("model", "task", box=None, header_style="bold")
    table.add_column("done", justify="right")
    table.add_column("failed", justify="right")
    for (model, task), some in trials.groupby(["model", "task"], sort=True):
        done = int((some["status"] == "done").sum())
        table.add_row(*map(_plain, (model, task, done, len(some) - done)))
    console = _console()
    console.print(table)
    for (task, n, total), _ in trials[_is_partial(trials)].groupby(
        ["task", "n_items", "n_items_total"]
    ):
        console.print(_plain(f"{task}: a partial run, {n} of {total} items"))
    failed = trials[trials["status"] == "failed"]
    for (code, error), some in failed.groupby(["error_code", "error"]):
        console.print(_plain(f"{len(some)} × {error} [{code}]"))
    console.print(
        f"{len(trials) - len(failed)} trials done, {len(failed)} failed",
        highlight=False,
    )


def _is_partial(trials: pd.DataFrame) -> pd.Series[bool]:
    is_done = trials["status"] == "done"
    return is_done & (trials["n_items"] < trials["n_items_total"])


def show_imported(imported: Imported) -> None:
    """Print what came in by format, model and task, and what its files do not say."""
    from harness.report.text import count

    table = Table("format", "model", "step", "seed", "task", box=None)
    table.header_style = "bold"
    for name in ("items", "new", "already there"):
        table.add_column(name, justify="right")
    kinds: dict[tuple[str, str, str], list[ImportedTrial]] = {}
    for trial in imported.trials:
        kinds.setdefault((trial.format, trial.model, trial.task), []).append(trial)
    for (format_, model, task), some in sorted(kinds.items()):
        n_new = sum(trial.is_new for trial in some)
        cells = [
            *(format_, model),
            _range([trial.step for trial in some]),
            _range([trial.train_seed for trial in some]),
            task,
            _range([trial.n_items for trial in some]),
            *(n_new, len(some) - n_new),
        ]
        table.add_row(*map(_plain, cells))
    console = _console()
    if imported.trials:
        console.print(table)
        n, n_new = len(imported.trials), imported.n_new
        console.print(
            f"{count(n_new, 'new trial')} of {n:,}, with "
            f"{count(imported.n_new_responses, 'response')}"
        )
    if imported.n_aggregates:
        console.print(
            f"{count(imported.n_aggregates, 'score')} without items, "
            f"{imported.n_new_aggregates:,} of them new: `evalvar status` and the "
            "report show them, and nothing can compare them item by item"
        )
    for sentence in _unknown(imported):
        console.print(_plain(sentence))


def _unknown(imported: Imported) -> list[str]:
    """Say once for each kind what files do not say, and what can be done."""
    from harness.report.text import count

    said = []
    for name, n in imported.unknown.items():
        of = (
            "no file says"
            if n == len(imported.trials)
            else (f"{count(n, 'trial')} of {len(imported.trials):,} do not say")
        )
        what = UNKNOWN.get(name, name.replace("_", " "))
        add = (
            f"; give it by the path: --pattern '…{{{name}}}…'"
            if name in BY_PATH
            else ""
        )
        said.append(f"{of} the {what}{add}")
    return said


def _range(values: Sequence[int | None]) -> str:
    """Return a number, or the least and the largest and how many there are."""
    known = sorted({value for value in values if value is not None})
    if not known:
        return "unknown"
    few = f"{known[0]}" if len(known) == 1 else f"{known[0]}–{known[-1]} ({len(known)})"
    return few if len(known) == len({*values}) else f"{few}, unknown"


def show_mapping(values: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    table = Table(box=None, show_header=False)
    for name, value in values.items():
        table.add_row(name.removeprefix("n_").replace("_", " "), _plain(value))
    _console().print(table)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what was looked at, with a mark before each."""
    table = Table(box=None, show_header=False)
    for finding in findings:
        table.add_row(MARKS[finding.level], finding.what, _plain(finding.text))
    _console().print(table)


def _console() -> Console:
    console = Console()
    # A file or a pipe has no edge to fold at.
    return console if console.is_terminal else Console(width=10_000)


def one_line(words: object) -> str:
    """Return words on one line, with nothing in them that steers a terminal."""
    line = " ".join(str(words).split())
    if line.isprintable():
        return line
    from harness.report.text import clean  # it loads what doctor may find missing

    return clean(line)


def _plain(words: object) -> Text:
    return Text(one_line(words), overflow="fold")
