"""Where do commands read and write? Stores, files, and the two streams."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.options import TableFormat
from harness.errors import InputError
from harness.whole import whole_file

if TYPE_CHECKING:
    import pandas as pd

    from harness.ingest.parts import Problem
    from harness.report.sheets.sheet import Sheet
    from harness.store import Store


MOST_PROBLEMS = 20
"""So many are told one by one; all of them are in the JSON of an import."""


def open_store(store: str) -> Store:
    """Return a store that is there."""
    from harness.store import Store

    try:
        return Store(store)
    except InputError as error:
        from harness.ingest.load import holds_results

        if error.code not in ("store-missing", "not-a-store"):
            raise
        if "://" in store or not holds_results(store):
            raise
        raise InputError(
            f"{store}: results of other tools, and no store; `evalvar import {store} "
            "--store NEW` makes one of them",
            code=error.code,
        ) from None


def asked_responses(
    store: str, model: str | None, task: str | None, formulation: str | None
) -> pd.DataFrame:
    """Return the responses of a model, among which there must be those asked for.

    Of all tasks: which weights of a checkpoint count is not for one to say.
    """
    filters = {"model": model, "task": task, "formulation": formulation}
    for name, value in filters.items():
        if value == "":
            raise InputError(
                f"--{name} is empty; give a name, or leave it out",
                code="nothing-stored",
            )
    stored = open_store(store)
    asked = responses = stored.responses(model=model)
    if responses.empty:
        there = set(stored.responses(["model"])["model"])
        if not there and (n_bare := stored.aggregates().num_rows):
            raise only_scores(store, n_bare)
        raise nothing_stored(store, *filters.values(), known=sorted(there))
    names = [model]
    for name, value in (("task", task), ("formulation", formulation)):
        if value is None:
            continue
        names.append(value)
        known = set(asked[name].dropna().unique()) - {""}
        asked = asked[asked[name] == value]
        if asked.empty:
            raise nothing_stored(store, *names, known=sorted(known))
    return responses


def nothing_stored(
    store: str, *names: str | None, known: Sequence[str] = ()
) -> InputError:
    """Return the complaint that a store has no finished trial of these."""
    of = "".join(f" of {name}" for name in names if name)
    there = f"; it has {', '.join(known)}" if known else ""
    return InputError(
        f"{store}: no finished trial{of}{there}; `evalvar status {store}` shows what "
        "is there",
        code="nothing-stored",
    )


def only_scores(store: str, n: int) -> InputError:
    """Return the complaint that a store has scores, and no answers behind them."""
    return InputError(
        f"{store}: no answers, only {n:,} scores without items, of which there is no "
        f"paired test nor any noise; `evalvar status {store}` shows them, and samples "
        "(--log_samples) are what is needed",
        code="nothing-stored",
    )


def nothing_paired(store: str, chosen: str | None) -> InputError:
    """Return the complaint that no task was asked in both formulations."""
    what_to_do = (
        f"leave {chosen} out, which leaves one side of a pair"
        if chosen
        else "give a task in both formulations in the suite"
    )
    return InputError(
        f"{store}: no model was asked the same items by letter and by text; "
        f"{what_to_do}",
        code="nothing-stored",
    )


def refuse_overwriting(
    outputs: Iterable[Path], inputs: Iterable[str | Path | None]
) -> None:
    """Refuse to write what is read, or one file twice, before any work is done.

    Beside the results in a folder that is read a report may be written.
    """
    read = [
        Path(os.path.realpath(one)) for one in inputs if one and "://" not in str(one)
    ]
    written = set()
    for output in outputs:
        if str(output) == "-":
            continue
        there = Path(os.path.realpath(output))  # a loop of links is no error here
        if there in written:
            raise InputError(
                f"{output} is to be written twice; name each output once",
                code="bad-option",
            )
        written.add(there)
        if any(_is_part(there, one) for one in read):
            raise InputError(
                f"{output} is read by this command; write to another file",
                code="file-exists",
            )


def _is_part(file: Path, read: Path) -> bool:
    """Return whether a file is among what is read: results, or a store's tables."""
    if file == read:
        return True
    if read not in file.parents:
        return False
    if any((folder / "_delta_log").is_dir() for folder in file.parents):
        return True
    from harness.ingest.load import holds_results

    return file.is_file() and holds_results(file)


@contextlib.contextmanager
def open_output(path: Path) -> Iterator[Any]:
    """Open a place for a file before the work starts; it appears when it is whole."""
    if str(path) == "-":
        yield sys.stdout.write
        return
    with whole_file(path) as there, there.open("w", encoding="utf-8") as file:
        yield file.write


def print_json(schema: str, document: dict[str, Any]) -> None:
    """Print one JSON document, which names its schema."""
    print(json.dumps({"schema": schema, **document}, indent=2, allow_nan=False))


def say(words: str) -> None:
    """Print one line on standard error."""
    from harness.terminal import one_line

    print(one_line(words), file=sys.stderr)


def show_rows(
    verb: str,
    rows: Sequence[Any],
    sheets: Sequence[Sheet],
    format_: TableFormat,
    json_: bool,
) -> None:
    """Print the result of a verb as it was asked for."""
    from harness.report.sheets.sheet import markup, show

    if json_ or format_ is TableFormat.json:
        print_json(f"evalvar.{verb}/1", {"rows": [row.to_dict() for row in rows]})
    elif format_ is TableFormat.csv:
        print(markup(sheets[0], "csv"), end="")
    elif format_ is TableFormat.md:
        print("\n".join(markup(sheet, "md") for sheet in sheets), end="")
    else:
        for sheet in sheets:
            show(sheet)


def say_problems(problems: Sequence[Problem]) -> None:
    """Say what of foreign files could not be taken, or was taken otherwise."""
    for problem in problems[:MOST_PROBLEMS]:
        say(f"{problem.place}: {problem.reason} [{problem.code}]")
    more = len(problems) - MOST_PROBLEMS
    if more > 0:
        say(f"{more} more problems; `evalvar import --json` lists all")
