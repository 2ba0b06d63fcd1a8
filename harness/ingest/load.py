"""Whose answers are in these files? Foreign results, into a store or into memory."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harness.errors import ErrorCode, HarnessError, InputError
from harness.frames import AGGREGATES, JOINED, RESPONSES, TRIALS
from harness.ingest.content import Content
from harness.ingest.every_eval_ever import EveryEvalEver
from harness.ingest.inspect import Inspect
from harness.ingest.lighteval import Lighteval
from harness.ingest.lm_eval import LmEval
from harness.ingest.names import PathPattern, completed
from harness.ingest.parts import Found, Part, Problem, Reader
from harness.ingest.plain import Csv, Parquet
from harness.ingest.sniff import HEAD_BYTES, Claimed, is_store, sniff
from harness.records import digest
from harness.store import Store, as_frame, joined

if TYPE_CHECKING:
    import pandas as pd

READERS: tuple[Reader, ...] = (
    Inspect(),
    Lighteval(),
    EveryEvalEver(),
    LmEval(),
    Csv(),
    Parquet(),
)
"""In the order in which they are asked whether a file is theirs."""

HELD_BYTES = 2**26
"""A part that is larger is read twice instead of being held, and what was read is
written when it is more."""

COMMIT_SECONDS = 5.0
"""Trials that are whole wait no longer for the next one."""

TOLD_BYTES = 2**26
"""Of a larger file it is told how far it is read."""

IMPORTED = "import"
"""What stands for the suite of a trial that no suite of ours asked for."""

IDENTITY = (
    "model", "train_seed", "step", "task", "template", "formulation", "num_fewshot",
    "generation", "fewshot_seed", "sample_seed", "weights_digest", "task_digest",
    "template_digest", "task_version", "output_type", "dtype", "batch_size",
    "max_length", "backend",
)  # fmt: skip
"""What makes two trials of equal answers two; when and where they ran does not."""

DEFAULTS: Mapping[str, Any] = {
    "template": "default", "formulation": "", "num_fewshot": 0, "generation": "",
    "fewshot_seed": 0, "sample_seed": 0, "output_type": "unknown", "sampled": False,
}  # fmt: skip
"""Columns that may not be null, where a file says nothing; `unknown` says so."""

Listen = Callable[[float, float, str], None]
"""Told how many bytes of how many are read, and what of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTrial:
    """One model's answers to one task, as they went into a store."""

    trial_id: str
    format: str
    model: str
    train_seed: int | None
    step: int | None
    task: str
    template: str
    n_items: int
    repeats: int
    is_new: bool
    """Whether it was not in the store yet."""

    unknown: tuple[str, ...]
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import came to."""

    trials: tuple[ImportedTrial, ...]
    n_aggregates: int
    """Scores without items that were found."""

    n_new_aggregates: int
    n_files: int
    """Files that some reader took for results."""

    n_other_files: int
    problems: tuple[Problem, ...]

    @property
    def n_found(self) -> int:
        """Trials and scores without items, new or not."""
        return len(self.trials) + self.n_aggregates

    @property
    def n_new(self) -> int:
        """Trials that were not there yet."""
        return sum(trial.is_new for trial in self.trials)

    @property
    def n_new_responses(self) -> int:
        """Responses of the new trials."""
        return sum(t.n_items * t.repeats for t in self.trials if t.is_new)

    @property
    def n_left_out(self) -> int:
        """Files, or parts of them, that could not be taken."""
        return sum(problem.is_left_out for problem in self.problems)

    @property
    def unknown(self) -> dict[str, int]:
        """How many trials' files are silent on what."""
        return dict(Counter(name for trial in self.trials for name in trial.unknown))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            **asdict(self),
            "n_new": self.n_new,
            "n_new_responses": self.n_new_responses,
            "n_left_out": self.n_left_out,
            "unknown": self.unknown,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loaded:
    """Foreign results in memory."""

    responses: pd.DataFrame
    """Columns of `frames.JOINED`."""

    trials: pd.DataFrame
    """Columns of `frames.TRIALS`."""

    aggregates: pd.DataFrame
    """Columns of `frames.AGGREGATES`."""

    problems: tuple[Problem, ...]
    unknown: Mapping[str, int]
    """How many trials' files are silent on what."""


def load_results(
    paths: Sequence[str | Path],
    *,
    pattern: str | None = None,
    format: str | None = None,
    cluster_field: str | None = None,
) -> Loaded:
    """Read foreign results into memory.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, and folders that are searched.
    pattern : str, optional
        What the path of a file says of its model, training seed, step or task, such
        as ``{model}/seed{train_seed}/step{step}``; completes what the file does not
        say.
    format : str, optional
        Only this format.
    cluster_field : str, optional
        A field of lm-eval's ``doc`` that says which items belong together.

    Raises
    ------
    InputError
        ``results-missing``: a path is not there, or nothing in it could be read;
        ``unknown-format``, ``pattern-field``.
    """
    source = _Source(paths, pattern, format, cluster_field, held=math.inf)
    rows, trials, unknown, aggregates = [], {}, Counter[str](), {}
    for taken in source:
        if not isinstance(taken, _Taken):
            aggregates[taken["aggregate_id"]] = taken
        elif taken.trial_id not in trials:
            trials[taken.trial_id] = taken.row("")
            unknown.update(taken.unknown)
            rows += _identified(taken.batches, taken.row(""))
        else:
            source.say_twice(taken, trials[taken.trial_id]["location"])
    if not trials and not aggregates:
        raise _nothing(paths, source.problems)
    made = pa.Table.from_pylist([*trials.values()], schema=TRIALS)
    responses = pa.concat_tables(rows) if rows else RESPONSES.empty_table()
    return Loaded(
        responses=as_frame(joined(made, responses, JOINED.names)),
        trials=made.to_pandas(),
        aggregates=_aggregate_table(aggregates).to_pandas(),
        problems=tuple(source.problems),
        unknown=dict(unknown),
    )


def holds_results(path: str | Path) -> bool:
    """Return whether there is a file, here or below, that some reader takes for its."""
    if not os.path.lexists(path):
        return False
    for one in sniff([path], READERS).claimed:
        with one.path.open("rb") as file:
            if one.reader.claims(one.path, file.read(HEAD_BYTES)):
                return True  # not by its name alone
    return False


def import_results(
    store: Store | str | Path | None,
    paths: Sequence[str | Path],
    *,
    pattern: str | None = None,
    format: str | None = None,
    cluster_field: str | None = None,
    dry_run: bool = False,
    listen: Listen | None = None,
) -> Imported:
    """Read foreign results into a store; what is there already stays as it is.

    A trial becomes visible when all of its responses are written, so that an import
    that was interrupted leaves whole trials, and the next one does the rest.

    Parameters
    ----------
    store : Store, str, Path or None
        Where they go. At a path a store is made, when there is something to write and
        not before; None for a dry run where there is none.
    paths, pattern, format, cluster_field
        As in `load_results`.
    dry_run : bool
        Read everything, write nothing.
    listen : callable, optional
        Told of the progress.

    Raises
    ------
    InputError
        ``results-missing``: a path is not there, or has no results in it;
        ``unknown-format``, ``pattern-field``.
        ``not-a-store``: the folder at a path holds something else.
    StoreError
        ``store-not-read``, ``store-not-written``.
    """
    source = _Source(paths, pattern, format, cluster_field, listen)
    if not source.sniffed.claimed and not source.problems:
        raise _nothing(paths, source.problems)
    there = store if isinstance(store, Store) else None
    status = there.status() if there else {}
    known = {trial_id for trial_id, said in status.items() if said == "done"}
    trials, aggregates = [], {}
    writer = _Writer(None if dry_run else store)
    try:
        for taken in source:
            if not isinstance(taken, _Taken):
                aggregates[taken["aggregate_id"]] = taken
                continue
            is_new = taken.trial_id not in known
            known.add(taken.trial_id)
            trials.append(taken.imported(is_new))
            if is_new:
                writer.add(taken)
    except KeyboardInterrupt:
        writer.flush()
        raise
    writer.flush()
    scored = set(there.aggregates()["aggregate_id"].to_pylist()) if there else set()
    new = {name: row for name, row in aggregates.items() if name not in scored}
    writer.add_aggregates(new)
    return Imported(
        trials=tuple(trials),
        n_aggregates=len(aggregates),
        n_new_aggregates=len(new),
        n_files=len(source.sniffed.claimed),
        n_other_files=source.sniffed.n_other,
        problems=tuple(source.problems),
    )


class _Source:
    """What is in foreign files: trials as `_Taken`, and scores without items.

    Files that cannot be read become `problems`, and the next one follows.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        pattern: str | None,
        format: str | None,
        cluster_field: str | None,
        listen: Listen | None = None,
        *,
        held: float = HELD_BYTES,
    ) -> None:
        readers: list[Reader] = [
            LmEval(cluster_field=cluster_field) if isinstance(one, LmEval) else one
            for one in READERS
        ]
        self.sniffed = sniff(paths, readers, format=format)
        self.problems = [*self.sniffed.problems]
        self._fields = self._said_by_paths(pattern)
        self.listen: Listen = listen or (lambda *_: None)
        self._tell: Callable[[str], None] = lambda _: None
        self.held = held
        self._taken: dict[Path, Path] = {}

    def __iter__(self) -> Iterator[_Taken | dict[str, Any]]:
        total = sum(claimed.n_bytes for claimed in self.sniffed.claimed)
        done = 0
        for claimed, fields in zip(self.sniffed.claimed, self._fields, strict=True):
            self._tell = partial(self.listen, done, total)
            self._tell(claimed.path.name)
            yield from self._of_file(claimed, fields or {})
            done += claimed.n_bytes
        self.listen(total, total, "")

    def _said_by_paths(self, pattern: str | None) -> Sequence[Mapping[str, Any] | None]:
        """Return what the path of each file says; None where it does not match."""
        files = self.sniffed.claimed
        if pattern is None:
            return [None] * len(files)
        matcher = PathPattern(pattern)
        said = [matcher.fields(str(one.path), one.below) for one in files]
        others = [
            one for one, fields in zip(files, said, strict=True) if fields is None
        ]
        if files and len(others) == len(files):
            raise InputError(
                f"pattern {pattern!r} matches none of {len(files)} files, such as "
                f"{others[0].below}",
                code="pattern-field",
            )
        if others:
            self._add(
                Problem(
                    file=str(others[0].path),
                    line=None,
                    reason=f"--pattern {pattern!r} does not match {len(others)} of "
                    f"{len(files)} files, this one first; they are taken as they are",
                    code="pattern-field",
                    is_left_out=False,
                )
            )
        return said

    def _of_file(
        self, claimed: Claimed, fields: Mapping[str, Any]
    ) -> Iterator[_Taken | dict[str, Any]]:
        file = str(claimed.path)
        try:
            for found in claimed.reader.read(claimed.path):
                for problem in found.problems:
                    self._add(problem)
                for part in found.parts:
                    yield from self._of_part(claimed, found, part, fields)
                for score in found.aggregates:
                    made = _named(self._completed(claimed, score, fields), claimed.path)
                    content = {n: v for n, v in made.items() if n != "location"}
                    yield {**made, "aggregate_id": digest(content)}
        except HarnessError as error:
            self._add(_problem(file, error))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._add(
                Problem(file=file, line=None, reason=reason, code="results-broken")
            )

    def _of_part(
        self,
        claimed: Claimed,
        found: Found,
        part: Part,
        fields: Mapping[str, Any],
    ) -> Iterator[_Taken]:
        file = part.files[0] if part.files else claimed.path
        who = {name: part.trial.get(name) for name in ("model", "task")}
        # Results name the samples beside them, which are files of their own too.
        if self._taken.setdefault(file.resolve(), claimed.path) != claimed.path:
            return
        size = file.stat().st_size

        def tell(n_rows: int) -> None:
            if size > TOLD_BYTES:
                self._tell(f"{file.name}: {n_rows:,} answers")

        try:
            trial = self._completed(claimed, part.trial, fields)
            unknown = tuple(n for n in part.unknown if trial.get(n) is None)
            trial = {**_named(trial, file), "location": str(file)}
            who = {name: trial.get(name) for name in who}
            yield _Taken(part, found.format, trial, unknown, str(file), self.held, tell)
        except HarnessError as error:
            self._add(_problem(str(file), error, **who))
        if n_twice := part.n_twice():
            reason = f"{n_twice} of its samples stand there twice and count once"
            self._remark(str(file), reason, "results-twice")

    def say_twice(self, taken: _Taken, first: str) -> None:
        """Note that a trial is there again."""
        who = f"{taken.trial['model']} at {taken.trial['task']}"
        reason = f"its answers of {who} are those of {first}, and count once"
        self._remark(taken.file, reason, "results-twice")

    def _completed(
        self, claimed: Claimed, said: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a trial or a score with what the path says of it."""
        made, contradicted = completed(said, fields)
        for name, (own, other) in contradicted.items():
            self._add(
                Problem(
                    file=str(claimed.path),
                    line=None,
                    reason=f"its {name} is {own!r}, by its path {other!r}; the file "
                    "is believed",
                    code="results-contradict",
                    is_left_out=False,
                )
            )
        return {**made, "location": str(claimed.path)}

    def _remark(self, file: str, reason: str, code: ErrorCode) -> None:
        self._add(
            Problem(file=file, line=None, reason=reason, code=code, is_left_out=False)
        )

    def _add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


class _Taken:
    """A part that was read once, so that its identity is known.

    Attributes
    ----------
    batches : list of RecordBatch, or None
        Its rows, unless they are too many to be held.

    Raises
    ------
    HarnessError
        Whatever its reader complains of.
    """

    def __init__(
        self,
        part: Part,
        format: str,
        trial: Mapping[str, Any],
        unknown: tuple[str, ...],
        file: str,
        held: float,
        tell: Callable[[int], None],
    ) -> None:
        self.part, self.format, self.file = part, format, file
        self.unknown = unknown
        content = Content()
        self.batches: list[pa.RecordBatch] | None = []
        size = n_rows = 0
        for batch in content.through(part.rows()):
            size, n_rows = size + batch.nbytes, n_rows + batch.num_rows
            tell(n_rows)
            if size > held:
                self.batches = None
            elif self.batches is not None:
                self.batches.append(batch)
        if not content.n_rows:
            raise InputError("it has no answers in it", code="results-broken")
        self.trial = {
            "backend": format,
            "suite": IMPORTED,
            **DEFAULTS,
            **{name: value for name, value in trial.items() if value is not None},
            "n_items": content.n_items,
            "repeats": content.repeats,
        }
        self.trial.setdefault("n_items_total", content.n_items)
        self.trial_id = digest(
            [format, {n: self.trial.get(n) for n in IDENTITY}, content.digest]
        )

    def row(self, attempt_id: str) -> dict[str, Any]:
        """Return a row of `frames.TRIALS`."""
        identity = {
            "attempt_id": attempt_id or self.trial_id,
            "trial_id": self.trial_id,
        }
        return {**self.trial, **identity, "status": "done"}

    def imported(self, is_new: bool) -> ImportedTrial:
        """Return what is told of it."""
        told = ("model", "train_seed", "step", "task", "template", "n_items", "repeats")
        return ImportedTrial(
            trial_id=self.trial_id,
            format=self.format,
            is_new=is_new,
            unknown=self.unknown,
            file=self.file,
            **{name: self.trial.get(name) for name in told},  # type: ignore[arg-type]
        )


class _Writer:
    """Writes trials into a store, several small ones at once, a large one in pieces."""

    def __init__(self, store: Store | str | Path | None) -> None:
        self.store = store
        self._rows: list[pa.Table] = []
        self._trials: list[dict[str, Any]] = []
        self._size = 0
        self._committed_at = time.monotonic()

    def add(self, taken: _Taken) -> None:
        """Write a trial, now or with the next."""
        if self.store is None:
            return
        row = taken.row(uuid.uuid4().hex)
        batches = taken.batches
        for batch in (
            Content().through(taken.part.rows()) if batches is None else batches
        ):
            self._rows += _identified([batch], row)
            self._size += batch.nbytes
            if self._size > HELD_BYTES:
                self.flush()
        self._trials.append(row)
        if time.monotonic() - self._committed_at > COMMIT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Commit what there is: responses first, then the trials that are whole."""
        rows, trials = self._rows, self._trials
        # An interruption on the way must not write them once more.
        self._rows, self._trials, self._size = [], [], 0
        if self.store is not None and (rows or trials):
            made = pa.Table.from_pylist(trials, schema=TRIALS)
            self._made(self.store).append(made, rows)
        self._committed_at = time.monotonic()

    def add_aggregates(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Write scores without items."""
        if self.store is not None and rows:
            self._made(self.store).append_aggregates(_aggregate_table(rows))

    def _made(self, store: Store | str | Path) -> Store:
        """Return the store, made if it must be."""
        self.store = store if isinstance(store, Store) else Store.create(store)
        return self.store


def _named(said: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return what is said, with a name for a model that has none: its folder's."""
    return {
        **said,
        "model": said.get("model") or file.absolute().parent.name or "unknown",
    }


def _identified(
    batches: Sequence[pa.RecordBatch] | None, row: Mapping[str, Any]
) -> list[pa.Table]:
    """Return batches with the identifiers that the store joins on."""
    tables = []
    for batch in batches or ():
        table = pa.Table.from_batches([batch])
        for name in ("attempt_id", "trial_id"):
            values = pa.array([row[name]] * batch.num_rows, pa.string())
            table = table.append_column(name, values)
        tables.append(table.select(RESPONSES.names).cast(RESPONSES))
    return tables


def _aggregate_table(rows: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    defaults = {"template": "default", "formulation": "", "backend": "unknown"}
    return pa.Table.from_pylist(
        [{**defaults, **row} for row in rows.values()], schema=AGGREGATES
    )


def _problem(
    file: str,
    error: HarnessError,
    *,
    model: str | None = None,
    task: str | None = None,
) -> Problem:
    return Problem(
        file=file,
        model=model,
        task=task,
        line=getattr(error, "line", None),
        reason=str(error),
        code=error.code,
    )


def _nothing(paths: Sequence[str | Path], problems: Sequence[Problem]) -> InputError:
    named = ", ".join(map(str, paths))
    if not problems:
        if stores := [path for path in paths if is_store(Path(path))]:
            store = stores[0]
            return InputError(
                f"{store} is a store already; `evalvar compare {store}` reads it",
                code="results-missing",
            )
        return InputError(
            f"{named}: no results of {', '.join(r.format for r in READERS)} there",
            code="results-missing",
        )
    first = problems[0]
    more = f", and {len(problems) - 1} more problems" if len(problems) > 1 else ""
    return InputError(
        f"{named}: nothing could be read; {first.place}: {first.reason}{more}",
        code=first.code,
    )
