"""Where are the results? Append-only Delta tables; the only importer of deltalake.

``trials`` has one row per attempt, ``responses`` one per answer. An attempt's
responses are committed first and its row in ``trials`` after them; readers take
their list of attempts from ``trials``. So a crash between the two commits leaves
nothing that anyone can see, and several drivers may write at once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from harness.errors import InputError, StoreError
from harness.frames import (
    AGGREGATES,
    IDENTITY,
    JOINED,
    MARKS,
    RESPONSES,
    STORE_FORMAT,
    TRIALS,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.dataset as ds

DESCRIPTION = "evalvar.store/"
"""What each table's description begins with; the format's number follows."""

TABLES = {"responses": RESPONSES, "trials": TRIALS}

LATER = {"aggregates": AGGREGATES, "marks": MARKS}
"""Tables that a store has once something is in them."""

ADDED = {"responses": {"cluster"}, "trials": {"lower_is_better"}}
"""Columns that stores lack which were written before there were any; null there."""

UNFIT = re.compile(r"[\x00-\x1f\[\]\\^|]|%[0-9A-Fa-f]{2}")
"""What delta-rs 1.6 panics at in a local path, or takes for another character."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
BACKTRACE = re.compile(r"\n +0: ")

ABOUT = {"attempt_id", "cluster"}
"""What is said of a response and is no part of it."""

EVIDENCE = tuple(name for name in RESPONSES.names if name not in ABOUT)
"""What two stores must agree on to hold the same content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """What a store holds, in numbers."""

    path: str
    format: int
    n_trials_done: int
    n_trials_failed: int
    n_responses: int
    n_checkpoints: int
    n_tasks: int
    n_files: int
    n_bytes: int
    content_digest: str
    """Equal for two stores with the same answers, whoever computed them, and when."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


class Store:
    """A folder, or an object-store address, that holds the tables.

    Parameters
    ----------
    path : str or Path
        A local folder, or any address that delta-rs reads (``s3://…``).

    Raises
    ------
    InputError
        ``store-missing``; ``store-format``: written by another version;
        ``not-a-store``: a file is there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if not self.path:
            raise InputError(
                "the store's name is empty; name a folder or an address",
                code="not-a-store",
            )
        if "://" not in self.path and Path(path).is_file():
            raise _something_else(path)
        for name in TABLES:
            self._table(name)

    @classmethod
    def create(cls, path: str | Path) -> Store:
        """Open the store at `path`, making it if it is not there.

        Raises
        ------
        InputError
            ``store-format``; ``not-a-store``: the folder holds something else.
        StoreError
            ``store-not-written``.
        """
        with _writing(path):
            if "://" not in str(path):
                _make_folder(Path(path))
            for name in TABLES:  # before anything is made
                if DeltaTable.is_deltatable(_address(path, name)):
                    _open(path, name)
            for name, schema in TABLES.items():
                _make_table(_address(path, name), schema)
        return cls(path)

    # ---- writing -----------------------------------------------------------------

    def append(self, trials: pa.Table, responses: Sequence[pa.Table]) -> None:
        """Commit attempts: their responses first, then the attempts themselves.

        Raises
        ------
        StoreError
            ``store-not-written``: nothing of these attempts is visible then.
        """
        with _writing(self.path):
            if responses:
                rows = pa.concat_tables(responses).select(RESPONSES.names)
                write_deltalake(
                    _address(self.path, "responses"),
                    rows.cast(RESPONSES),
                    mode="append",
                    schema_mode="merge",  # older stores lack a column
                )
            write_deltalake(
                _address(self.path, "trials"),
                trials.cast(TRIALS),
                mode="append",
                schema_mode="merge",
            )

    def append_aggregates(self, rows: pa.Table) -> None:
        """Commit scores without items, as `frames.AGGREGATES`.

        Raises
        ------
        StoreError
            ``store-not-written``.
        """
        self._append_later("aggregates", rows)

    def append_marks(self, rows: pa.Table) -> None:
        """Commit what people said of checkpoints, as `frames.MARKS`.

        Raises
        ------
        StoreError
            ``store-not-written``.
        """
        self._append_later("marks", rows)

    def compact(self, *, drop_replaced: bool = False) -> dict[str, int]:
        """Merge small files; return how many there were and are, per table.

        Parameters
        ----------
        drop_replaced : bool
            Delete the merged files at once, and with them the table's past versions;
            a reader that is at work on them fails. They are kept otherwise.
        """
        counts = {}
        later = [n for n in LATER if DeltaTable.is_deltatable(_address(self.path, n))]
        for name in (*TABLES, *later):
            table = self._table(name)
            counts[f"{name}_before"] = len(table.file_uris())
            with _writing(self.path):
                table.optimize.compact()
                table.create_checkpoint()
                if drop_replaced:
                    table.vacuum(
                        retention_hours=0,
                        dry_run=False,
                        enforce_retention_duration=False,
                    )
            counts[name] = len(self._table(name).file_uris())
        return counts

    # ---- reading -----------------------------------------------------------------

    def attempts(self) -> pa.Table:
        """Return all attempts, failed ones too, as `frames.TRIALS`."""
        return self._read("trials", TRIALS.names)

    def trials(self) -> pa.Table:
        """Return one row per trial: the first attempt that was done, else the last.

        Two drivers may have done the same trial; then the first one counts, for
        every reader alike.
        """
        return _one_attempt_each(self.attempts())

    def status(self) -> dict[str, str]:
        """Return ``done`` or ``failed`` for every trial that was attempted."""
        trials = self.trials()
        return dict(
            zip(
                trials["trial_id"].to_pylist(),
                trials["status"].to_pylist(),
                strict=True,
            )
        )

    def aggregates(self) -> pa.Table:
        """Return scores without items, as `frames.AGGREGATES`; each once."""
        rows = self._read_later("aggregates")
        order = rows.group_by("aggregate_id", use_threads=False).aggregate([])
        first = pc.index_in(order["aggregate_id"], value_set=rows["aggregate_id"])
        return rows.take(first)

    def marks(self) -> pa.Table:
        """Return all marks, as `frames.MARKS`, in the order in which they were set."""
        rows = self._read_later("marks")
        return rows.sort_by([("set_at", "ascending"), ("mark_id", "ascending")])

    def cells(self, attempt_ids: Sequence[str]) -> pa.Table:
        """Return which item and repeat each response of these attempts is."""
        return self._read(
            "responses",
            ["attempt_id", "item_index", "repeat"],
            filter=pc.field("attempt_id").isin(list(attempt_ids)),
        )

    def response_table(
        self,
        columns: Sequence[str] | None = None,
        *,
        model: str | None = None,
        task: str | None = None,
    ) -> pa.Table:
        """Return the visible responses with their trial's identity, as `frames.JOINED`.

        Parameters
        ----------
        columns : sequence of str, optional
            Which columns of `frames.JOINED`; all of them by default.
        model, task : str, optional
            Only the responses of this model or task.
        """
        trials = self.trials()  # before the responses: whatever it names is there
        trials = trials.filter(pc.equal(trials["status"], "done"))
        for name, value in (("model", model), ("task", task)):
            if value is not None:
                trials = trials.filter(pc.equal(trials[name], value))
        wanted = list(columns or JOINED.names)
        own = [n for n in RESPONSES.names if n in wanted or n == "attempt_id"]
        rows = self._read("responses", own)
        return joined(trials, rows, wanted)

    def responses(
        self,
        columns: Sequence[str] | None = None,
        *,
        model: str | None = None,
        task: str | None = None,
    ) -> pd.DataFrame:
        """Return `response_table` as a data frame; names are categories.

        Lists and maps stay Arrow's: as Python objects they cost more than all else.
        """
        return as_frame(self.response_table(columns, model=model, task=task))

    def info(self) -> StoreInfo:
        """Count what the store holds."""
        trials = self.trials()
        done = trials.filter(pc.equal(trials["status"], "done"))
        rows = self.response_table(EVIDENCE)
        actions = [pa.table(self._table(n).get_add_actions()) for n in TABLES]
        checkpoints = done.group_by(["model", "train_seed", "step"]).aggregate([])
        return StoreInfo(
            path=self.path,
            format=STORE_FORMAT,
            n_trials_done=done.num_rows,
            n_trials_failed=trials.num_rows - done.num_rows,
            n_responses=rows.num_rows,
            n_checkpoints=checkpoints.num_rows,
            n_tasks=len(pc.unique(done["task"])),
            n_files=sum(table.num_rows for table in actions),
            n_bytes=sum(pc.sum(t["size_bytes"]).as_py() or 0 for t in actions),
            content_digest=_content_digest(rows),
        )

    def verify(self) -> list[str]:
        """Return what is wrong with the store, a sentence each; empty if nothing is."""
        problems = []
        attempts = self.attempts()
        done = attempts.filter(pc.equal(attempts["status"], "done"))
        rows = self._read(
            "responses", ["attempt_id", "item_id", "item_index", "repeat"]
        )
        counts = rows.group_by("attempt_id").aggregate([("item_id", "count")])
        found = dict(
            zip(
                counts["attempt_id"].to_pylist(),
                counts["item_id_count"].to_pylist(),
                strict=True,
            )
        )
        for attempt in done.select(
            ["attempt_id", "trial_id", "n_items", "repeats"]
        ).to_pylist():
            expected = attempt["n_items"] * attempt["repeats"]
            there = found.get(attempt["attempt_id"], 0)
            if there != expected:
                problems.append(
                    f"trial {attempt['trial_id']} has {there} responses, "
                    f"{expected} were written"
                )
        cells = rows.group_by(["attempt_id", "item_index", "repeat"]).aggregate([])
        if cells.num_rows != rows.num_rows:
            problems.append(
                f"{rows.num_rows - cells.num_rows} responses stand twice in an attempt"
            )
        return problems

    def _append_later(self, name: str, rows: pa.Table) -> None:
        schema = LATER[name]
        address = _address(self.path, name)
        with _writing(self.path):
            if not DeltaTable.is_deltatable(address):
                _make_table(address, schema)
            write_deltalake(
                address, rows.select(schema.names).cast(schema), mode="append"
            )

    def _read_later(self, name: str) -> pa.Table:
        if not DeltaTable.is_deltatable(_address(self.path, name)):
            return LATER[name].empty_table()
        return self._read(name, LATER[name].names).cast(LATER[name])

    def _table(self, name: str) -> DeltaTable:
        return _open(self.path, name)

    def _read(
        self, name: str, columns: Sequence[str], filter: pc.Expression | None = None
    ) -> pa.Table:
        table = self._table(name)
        added = ADDED.get(name, set()) & {*columns}
        with _reading(self.path):
            dataset = table.to_pyarrow_dataset()
            try:
                lacking = [c for c in added if c not in dataset.schema.names]
                there = [name for name in columns if name not in lacking]
                rows = dataset.to_table(columns=there, filter=filter)
            except (OSError, pa.ArrowException) as error:
                file = _unreadable(dataset)
                if file is None or file in str(error):
                    raise
                raise OSError(f"{name}/{file}: {error}") from error
        for column in lacking:
            kind = TABLES[name].field(column).type
            rows = rows.append_column(column, pa.nulls(rows.num_rows, kind))
        return rows.select(list(columns))


def joined(trials: pa.Table, rows: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """Put the identity of their trial beside responses; those of no trial are left out.

    Parameters
    ----------
    trials, rows : Table
        `frames.TRIALS`, and of `frames.RESPONSES` what is wanted and ``attempt_id``.
    wanted : sequence of str
        Columns of `frames.JOINED`.
    """
    place = pc.index_in(
        rows["attempt_id"], value_set=trials["attempt_id"].combine_chunks()
    )
    if place.null_count:  # seldom; a filter copies every row
        visible = pc.is_valid(place)
        rows, place = rows.filter(visible), place.filter(visible)
    for name in IDENTITY:
        if name in wanted:
            column = trials[name].combine_chunks()
            if pa.types.is_string(column.type):
                column = _in_name_order(column)
            rows = rows.append_column(name, column.take(place.combine_chunks()))
    return rows.select(wanted)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a data frame; names are categories.

    Lists and maps stay Arrow's: as Python objects they cost more than all else.
    """
    import pandas as pd

    types = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
    types |= {t: pd.ArrowDtype(t) for t in table.schema.types if pa.types.is_nested(t)}
    frame: pd.DataFrame = table.to_pandas(types_mapper=types.get)
    return frame


def _address(path: str | Path, name: str) -> str:
    """Return where a table is; delta-rs takes a colon in a relative path for a URL."""
    return f"{path}/{name}" if "://" in str(path) else str(Path(path, name).absolute())


def _open(path: str | Path, name: str) -> DeltaTable:
    with _reading(path):
        try:
            table = DeltaTable(_address(path, name))
        except TableNotFoundError:
            if not any(DeltaTable.is_deltatable(_address(path, n)) for n in TABLES):
                raise
        else:
            _check_format(path, name, table)
            return table
    raise InputError(
        f"{path}: its table {name} is missing; bring it back, or `evalvar run SUITE` "
        "makes an empty one",
        code="store-missing",
    )


def _unreadable(dataset: ds.Dataset) -> str | None:
    """Return the first file of a table that cannot be read."""
    for file in dataset.get_fragments():
        try:
            file.to_table()
        except (OSError, pa.ArrowException):
            return str(file.path)
    return None


def _check_format(path: str | Path, name: str, table: DeltaTable) -> None:
    description = table.metadata().description or ""
    number = description.removeprefix(DESCRIPTION)
    if number != str(STORE_FORMAT):
        version = number if description.startswith(DESCRIPTION) else "unknown"
        raise InputError(
            f"{path}: a store of format {version}, this evalvar reads "
            f"{STORE_FORMAT}; use the evalvar that wrote it, or another folder",
            code="store-format",
        )
    there = {field.name for field in table.schema().fields} | ADDED.get(name, set())
    lacking = [c for c in (TABLES | LATER)[name].names if c not in there]
    if lacking:
        raise InputError(
            f"{path}: its table {name} lacks {', '.join(lacking[:3])}, which evalvar "
            "has written since; use the evalvar that wrote it, or run the suite anew "
            "into another folder",
            code="store-format",
        )


def _make_folder(folder: Path) -> None:
    """Refuse a place that holds something else, or where nothing can be written."""
    unfit = UNFIT.search(str(folder.absolute()))
    if unfit:
        raise OSError(f"a Delta table cannot have {unfit[0]!r} in its path")
    logs = [folder / name / "_delta_log" for name in TABLES]
    # A table's folder without its log is one that another driver is making.
    if folder.is_file() or (
        folder.is_dir()
        and {entry.name for entry in folder.iterdir()} - {*TABLES, *LATER}
        and not any(log.is_dir() for log in logs)
    ):
        raise _something_else(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for log in logs:
        if log.is_dir() and not os.access(log, os.W_OK):
            raise PermissionError(f"{log} is read-only")


def _something_else(path: str | Path) -> InputError:
    return InputError(
        f"{path}: something else is there; give a new or empty folder",
        code="not-a-store",
    )


def _make_table(address: str, schema: pa.Schema) -> None:
    try:
        DeltaTable.create(
            address,
            schema=schema,
            mode="ignore",
            description=f"{DESCRIPTION}{STORE_FORMAT}",
        )
    except DeltaError:
        if not DeltaTable.is_deltatable(address):  # made by another driver meanwhile
            raise


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    try:
        yield
    except TableNotFoundError:
        raise InputError(
            f"{path}: there is no store; `evalvar run SUITE` makes one",
            code="store-missing",
        ) from None
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path}: cannot be read: {_reason(error)}", code="store-not-read"
        ) from error


@contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        raise StoreError(
            f"{path}: cannot be written: {_reason(error)}; "
            "what was stored before is untouched",
            code="store-not-written",
        ) from error


def _reason(error: Exception) -> str:
    """Return what delta-rs says on one line, without its colours and backtrace."""
    words, *_ = BACKTRACE.split(COLOUR.sub("", str(error)))
    return " ".join(words.split()) or type(error).__name__


def _one_attempt_each(attempts: pa.Table) -> pa.Table:
    """Keep the first done attempt of every trial, or else its last failed one."""
    if attempts.num_rows == 0:
        return attempts
    failed = pc.not_equal(attempts["status"], "done")
    moment = pc.cast(attempts["finished_at"], pa.int64())
    order = pa.table(
        {
            "place": pa.array(range(attempts.num_rows), pa.int64()),
            "trial_id": attempts["trial_id"],
            "failed": pc.cast(failed, pa.int8()),
            # Earliest of the done ones, latest of the failed ones.
            "moment": pc.if_else(failed, pc.negate(moment), moment),
            "attempt_id": attempts["attempt_id"],
        }
    ).sort_by(
        [(n, "ascending") for n in ("trial_id", "failed", "moment", "attempt_id")]
    )
    first = order.group_by("trial_id", use_threads=False).aggregate(
        [("place", "first")]
    )
    return attempts.take(first.sort_by("trial_id")["place_first"])


def _in_name_order(column: pa.Array) -> pa.DictionaryArray:
    """Encode names as categories that sort as the names do."""
    names = pc.unique(column).drop_null().sort()
    return pa.DictionaryArray.from_arrays(pc.index_in(column, names), names)


def _content_digest(rows: pa.Table) -> str:
    keys = [("trial_id", "ascending"), ("item_index", "ascending")]
    ordered = rows.sort_by([*keys, ("repeat", "ascending")]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ordered.schema.remove_metadata()) as writer:
        writer.write_table(ordered.replace_schema_metadata())
    return hashlib.sha256(sink.getvalue()).hexdigest()[:16]
