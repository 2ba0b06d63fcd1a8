"""What is in a plain table of scores? A row for each score: item, model, score."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from harness.directions import lower_of
from harness.errors import InputError, SchemaError
from harness.ingest.bounded import MOST_TIMES
from harness.ingest.parts import BATCH_ROWS, BrokenFile, Found, Part, Problem
from harness.ingest.rows import MOST_REPEAT, metric_name, moment, refuse_gaps
from harness.ingest.spool import SCORES, Key, Spool
from harness.records import digest

REQUIRED = ("item_id", "model", "score")

NUMBERS = {
    "step": 2**63 - 1,
    "train_seed": 2**63 - 1,
    "num_fewshot": 2**31 - 1,
    "fewshot_seed": 2**63 - 1,
    "sample_seed": 2**63 - 1,
    "repeat": MOST_REPEAT,
}
"""Columns of whole numbers from 0, and the largest that a store holds."""

TRIAL = (
    *("model", "step", "train_seed", "task", "template", "num_fewshot"),
    *("fewshot_seed", "sample_seed", "formulation", "generation", "finished_at"),
)
"""What tells trials apart."""

COLUMNS = (
    *(*REQUIRED, *TRIAL[1:], "repeat", "metric", "lower_is_better"),
    *("prompt", "text", "answer", "target", "cluster"),
)
"""All that are read."""

ALSO = {"item": "item_id"}
"""Another name of a column."""

OFTEN = {
    "item_id": ("id", "question_id", "doc_id", "sample_id", "example_id", "index"),
    "model": ("checkpoint", "model_name", "name", "system"),
    "score": ("acc", "accuracy", "correct", "is_correct", "value", "result"),
}
"""What such columns are often called elsewhere; a message names them as near."""

DELIMITERS = ",\t;|"

UNSCORED = ("", "nan", "null", "none", "na", "n/a")
"""Words for a score that there is not."""

WORTH = {"true": 1.0, "false": 0.0}

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
WHOLE = r"^([0-9]{1,19})(\.0*)?$"
OWN_ID = r"^[0-9a-f]{16}$"

BLOCK_BYTES = 2**23
"""How much of a CSV is read at once; no row is longer."""

MOST_CHARS = 2**28
"""Text in one batch; a Parquet may repeat a long one for a few bytes."""

MOST_TOLD = 3
"""Offenders that a message names."""


class Csv:
    """Reads CSV and TSV, in UTF-8."""

    format = "csv"

    def claims(self, path: Path, head: bytes) -> bool:
        """Return whether `path` is a table with most of the columns that it needs."""
        if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
            return False
        try:
            names, _ = _header(head)
        except InputError:
            return False
        return _looks_right(names)

    def read(self, path: Path) -> Iterator[Found]:
        """Yield what is in a table.

        Raises
        ------
        InputError
            ``results-broken``, ``results-too-large``, ``missing-columns``;
            ``duplicate-response``: a score is given twice.
        """
        try:
            with path.open("rb") as file:
                head = file.read(BLOCK_BYTES)
        except OSError as error:
            raise BrokenFile(f"it cannot be read: {error.strerror}") from None
        names, delimiter = _header(head)
        columns = _columns(names)
        yield from _read(
            _Table(
                path=path,
                format=self.format,
                columns=columns,
                ignored=[n for n in names if n not in columns.values()],
                batches=_csv_batches(path, delimiter, list(columns.values())),
                delimiter=delimiter,
                directions={},
            )
        )


class Parquet:
    """Reads Parquet with the same columns."""

    format = "parquet"

    def claims(self, path: Path, head: bytes) -> bool:
        """Return whether `path` is a table with most of the columns that it needs."""
        if path.suffix != ".parquet" or not head.startswith(b"PAR1"):
            return False
        try:
            return _looks_right(pq.read_schema(path).names)
        except (OSError, pa.ArrowException):
            return True  # who reads it will say what is wrong

    def read(self, path: Path) -> Iterator[Found]:
        """Yield what is in a table.

        Raises
        ------
        InputError
            As `Csv.read`.
        """
        with _parquet_file(path) as file:
            n_rows, n_bytes = file.metadata.num_rows, path.stat().st_size
            if n_rows > MOST_TIMES * n_bytes:
                raise InputError(
                    f"it says that it has {n_rows:,} rows in {n_bytes:,} bytes; it is "
                    "no file of results",
                    code="results-too-large",
                )
            names = file.schema_arrow.names
            columns = _columns(names)
            yield from _read(
                _Table(
                    path=path,
                    format=self.format,
                    columns=columns,
                    ignored=[n for n in names if n not in columns.values()],
                    batches=_parquet_batches(file, list(columns.values())),
                    delimiter=None,
                    directions={},
                )
            )


class _Table(NamedTuple):
    """A table before its columns are read."""

    path: Path
    format: str
    columns: dict[str, str]
    """Our name to that of the file."""

    ignored: list[str]
    batches: Iterator[pa.RecordBatch]
    delimiter: str | None
    directions: dict[tuple[str, str], bool | None]
    """Of each task's metrics, whether more is better; filled while it is read."""

    def lines(self, rows: Sequence[int]) -> str:
        """Say where these rows are, the first of them, as a person counts."""
        told = [self._line(row) for row in rows[:MOST_TOLD]]
        unit = "row" if self.delimiter is None else "line"
        more = f" and {len(rows) - len(told)} more" if len(rows) > len(told) else ""
        several = "s" if len(rows) > 1 else ""
        return f"{unit}{several} {', '.join(map(str, told))}{more}"

    def _line(self, row: int) -> int:
        """Return the line on which a row begins; of a Parquet the row, from 1."""
        if self.delimiter is None:
            return row + 1
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            at, before = -1, 1
            try:
                for cells in reader:
                    at += bool(cells)  # Arrow leaves empty lines out too
                    if at == row + 1:
                        return before
                    before = reader.line_num + 1
            except csv.Error:  # a cell of over 128 KiB
                pass
        return row + 2


def _read(table: _Table) -> Iterator[Found]:
    spool = Spool()
    n_rows = 0
    for batch in table.batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            for key, scores in _trials(table, part, n_rows):
                spool.add(key, scores)
            n_rows += part.num_rows
    spool.close()
    if not n_rows:
        raise BrokenFile("it has a header and no rows")
    parts = tuple(_part(table, spool, key) for key in spool.keys)
    yield Found(format=table.format, parts=parts, problems=_problems(table))


def _part(table: _Table, spool: Spool, key: Key) -> Part:
    scores = spool.trial(key)
    if again := scores.repeated_lines():
        hint = "" if "repeat" in table.columns else " in a column repeat"
        raise InputError(
            f"{table.lines(again)}: the same model, step, seeds, task, item, repeat "
            f"and metric as before; number repeated answers{hint}, or take them out",
            code="duplicate-response",
        )
    refuse_gaps(scores.n_items, scores.n_repeats, scores.n_answers)
    said = dict(zip(TRIAL, key, strict=True))
    said["finished_at"] = moment(said["finished_at"])
    unsaid = ("train_seed", "step", "num_fewshot", "weights_digest", "dtype", "backend")
    return Part(
        trial={
            **{name: value for name, value in said.items() if value is not None},
            "repeats": scores.n_repeats,
            "output_type": "generate_until",
            "lower_is_better": lower_of(
                {
                    metric: is_higher
                    for (task, metric), is_higher in table.directions.items()
                    if task == said["task"]
                }
            ),
            "sampled": scores.n_repeats > 1,
            "n_items": scores.n_items,
            "n_items_total": scores.n_items,
            "backend": "unknown",
            "location": str(table.path),
        },
        rows=lambda: spool.trial(key).batches(),
        unknown=tuple(name for name in unsaid if said.get(name) is None),
        files=(table.path,),
    )


def _problems(table: _Table) -> tuple[Problem, ...]:
    near = {
        name: close[0]
        for name in table.ignored
        if (close := difflib.get_close_matches(_plain_name(name), COLUMNS, 1, 0.8))
        and close[0] not in table.columns
    }
    if not near:
        return ()
    told = ", ".join(f"{name!r} (is it {ours}?)" for name, ours in near.items())
    return (
        Problem(
            file=str(table.path),
            line=None,
            reason=f"columns that are not read: {told}",
            code="missing-columns",
            is_left_out=False,
        ),
    )


def _header(head: bytes) -> tuple[list[str], str]:
    """Return the names in the first line, and what stands between them."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BrokenFile("it is UTF-16; save it as UTF-8", line=1)
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").splitlines()[:1]
    if not line:
        raise BrokenFile("it is empty")
    try:
        text = line[0].decode()
        rows = {d: next(csv.reader([text], delimiter=d)) for d in DELIMITERS}
    except UnicodeDecodeError:
        raise BrokenFile("it is not UTF-8 text", line=1) from None
    except (csv.Error, StopIteration) as error:
        raise BrokenFile(f"its header is no CSV: {error}", line=1) from None

    def fit(delimiter: str) -> tuple[int, int]:
        known = {_plain_name(name) for name in rows[delimiter]} & {*COLUMNS, *ALSO}
        return len(known), len(rows[delimiter])

    best = max(DELIMITERS, key=fit)
    return rows[best], best


def _plain_name(name: str) -> str:
    plain = name.strip().casefold()
    return ALSO.get(plain, plain)


def _looks_right(names: Sequence[str]) -> bool:
    return len({_plain_name(name) for name in names} & {*REQUIRED}) >= 2


def _columns(names: Sequence[str]) -> dict[str, str]:
    """Return the file's name of each of our columns that it has.

    Raises
    ------
    SchemaError
        ``missing-columns``: names what it has instead.
    """
    columns: dict[str, str] = {}
    for name in names:
        plain = _plain_name(name)
        if plain in COLUMNS and columns.setdefault(plain, name) is not name:
            raise BrokenFile(f"it has two columns {plain}", line=1)
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        others = [name for name in names if name not in columns.values()]
        told = []
        for name in missing:
            near = [one for one in others if _plain_name(one) in OFTEN[name]]
            near = near or difflib.get_close_matches(name, others, 3, 0.5)
            told.append(f"{name} (near: {', '.join(near)})" if near else name)
        has = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise SchemaError(
            f"it lacks {' and '.join(told)}; it has {has}; a table of scores has a row "
            "for each score, with columns item_id, model and score",
            code="missing-columns",
        )
    return columns


def _csv_batches(
    path: Path, delimiter: str, names: list[str]
) -> Iterator[pa.RecordBatch]:
    try:
        with pa.csv.open_csv(
            path,
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                include_columns=names,
                strings_can_be_null=False,
            ),
        ) as reader:
            yield from reader
    except (OSError, pa.ArrowException) as error:
        raise BrokenFile(f"it is no CSV in UTF-8: {error}") from None


def _parquet_file(path: Path) -> pq.ParquetFile:
    """Open a Parquet so that words which come again and again are unpacked once."""
    try:
        texts = [
            field.name
            for field in pq.read_schema(path)
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        return pq.ParquetFile(path, read_dictionary=texts)
    except (OSError, pa.ArrowException) as error:
        raise BrokenFile(f"it is no Parquet, or is cut off: {error}") from None


def _parquet_batches(
    file: pq.ParquetFile, names: list[str]
) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(BATCH_ROWS, columns=names, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise BrokenFile(f"it is damaged: {error}") from None


def _trials(
    table: _Table, batch: pa.RecordBatch, n_before: int
) -> Iterator[tuple[Key, pa.RecordBatch]]:
    """Yield the scores of each trial that a batch has, as `SCORES`."""
    n = batch.num_rows
    given = {
        ours: _unpacked(batch.column(theirs)) for ours, theirs in table.columns.items()
    }

    def text(name: str, default: str | None) -> pa.Array:
        if name not in given:
            return pa.array([default] * n, pa.string())
        words = _words(given[name])
        is_empty = pc.equal(words, "")
        return pc.if_else(is_empty, pa.scalar(default, pa.string()), words)

    def refuse(name: str, is_bad: pa.Array, need: str) -> None:
        bad = np.flatnonzero(pc.fill_null(is_bad, False).to_numpy(zero_copy_only=False))
        if len(bad):
            value = _words(given[name])[bad[0]].as_py() if name in given else None
            raise BrokenFile(
                f"{table.lines([n_before + int(row) for row in bad])}: {name} "
                f"{(value or '')[:40]!r} is no {need}"
            )

    numbers = {}
    for name, most in NUMBERS.items():
        numbers[name], is_bad = _whole(given.get(name), n, most)
        refuse(name, is_bad, f"whole number from 0 to {most:,}")
    score, is_bad = _scores(given["score"])
    refuse("score", is_bad, "number such as 0.5, nor empty")
    names = {
        "model": text("model", None),
        "task": text("task", table.path.stem),
        "template": text("template", "default"),
        "formulation": text("formulation", ""),
        "generation": text("generation", ""),
        "finished_at": text("finished_at", None),
    }
    item = text("item_id", None)
    refuse("item_id", pc.is_null(item), "name of an item")
    refuse("model", pc.is_null(names["model"]), "name of a model")
    made = {
        "item_id": _item_ids(item, names["task"]),
        "repeat": pc.fill_null(numbers["repeat"], 0).cast(pa.int16()),
        "prompt_digest": _each(text("prompt", None), digest),
        **{name: text(name, None) for name in ("text", "answer", "target", "cluster")},
        "metric": _each(text("metric", "score"), metric_name),
        "value": score,
        "line": pa.array(np.arange(n_before, n_before + n)),
    }
    scores = pa.RecordBatch.from_arrays(
        [made.get(field.name, pa.nulls(n, field.type)) for field in SCORES],
        schema=SCORES,
    )
    lower = pc.utf8_lower(text("lower_is_better", None))
    refuse(
        "lower_is_better", pc.invert(pc.is_in(lower, pa.array([*WORTH, None]))), "truth"
    )
    told = pa.table({"task": names["task"], "metric": made["metric"], "lower": lower})
    for row in told.group_by(told.column_names).aggregate([]).to_pylist():
        is_higher = None if row["lower"] is None else not WORTH[row["lower"]]
        if table.directions.setdefault((row["task"], row["metric"]), is_higher) is None:
            table.directions[row["task"], row["metric"]] = is_higher
    keys = pa.table({**names, **{k: v for k, v in numbers.items() if k in TRIAL}})
    keys = keys.select(TRIAL).append_column("row", pa.array(np.arange(n)))
    groups = keys.group_by(list(TRIAL), use_threads=False).aggregate([("row", "list")])
    for group in groups.to_pylist():
        rows = group.pop("row_list")
        part = scores if len(rows) == n else scores.take(pa.array(rows))
        yield tuple(group[name] for name in TRIAL), part


def _unpacked(column: pa.Array) -> pa.Array:
    """Return a column without its dictionary, if that is not too long to be true."""
    if not pa.types.is_dictionary(column.type):
        return column
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    if (pc.sum(lengths).as_py() or 0) > MOST_CHARS:
        raise InputError(
            f"{BATCH_ROWS:,} rows of it hold over {MOST_CHARS // 2**20} MiB of text",
            code="results-too-large",
        )
    return column.cast(column.type.value_type)


def _words(column: pa.Array) -> pa.Array:
    """Return a column as text; what is absent is empty."""
    try:
        if pa.types.is_floating(column.type):  # a whole number with gaps
            column = pc.if_else(pc.is_nan(column), None, column)
        return pc.fill_null(column.cast(pa.string()), "")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise BrokenFile(f"a column of it is {column.type}, no text") from None


def _whole(column: pa.Array | None, n: int, most: int) -> tuple[pa.Array, pa.Array]:
    """Return whole numbers, null where there is none, and where they are bad."""
    if column is None:
        return pa.nulls(n, pa.int64()), pa.array(np.zeros(n, dtype=bool))
    words = pc.utf8_trim_whitespace(_words(column))
    is_none = pc.is_in(pc.utf8_lower(words), value_set=pa.array(UNSCORED))
    is_number = pc.match_substring_regex(words, WHOLE)
    digits = pc.replace_substring_regex(words, r"\.0*$", "")
    # Nineteen digits may exceed 63 bits, but not 64.
    values = pc.if_else(is_number, digits, None).cast(pa.uint64())
    is_large = pc.greater(values, pa.scalar(most, pa.uint64()))
    is_bad = pc.or_(
        pc.invert(pc.or_(is_number, is_none)), pc.fill_null(is_large, False)
    )
    return pc.if_else(is_bad, None, values).cast(pa.int64()), is_bad


def _scores(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return scores, ``nan`` where there is none, and where they are bad."""
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
        column = column.cast(pa.float64(), safe=False)
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64())
        is_bad = pc.is_inf(values)
    else:
        words = pc.utf8_lower(pc.utf8_trim_whitespace(_words(column)))
        is_number = pc.match_substring_regex(words, NUMBER)
        known = pa.array([*UNSCORED, *WORTH])
        is_known = pc.is_in(words, value_set=known)
        values = pc.if_else(is_number, words, None).cast(pa.float64())
        for word, worth in WORTH.items():
            values = pc.if_else(pc.equal(words, word), worth, values)
        is_bad = pc.or_(
            pc.invert(pc.or_(is_number, is_known)),
            pc.fill_null(pc.is_inf(values), False),
        )
    return pc.fill_null(values, float("nan")), is_bad


def _item_ids(items: pa.Array, tasks: pa.Array) -> pa.Array:
    """Return ids of our own as they are, and names as digests within their task."""
    is_own = pc.match_substring_regex(items, OWN_ID)
    pairs = pc.binary_join_element_wise(tasks, items, "\0")
    named = _each(pairs, lambda pair: digest(pair.split("\0", 1)))
    return pc.if_else(is_own, items, named)


def _each(column: pa.Array, make: Any) -> pa.Array:
    """Return what `make` makes of each value; of equal ones once, of none none."""
    values = pc.unique(column)
    made = [None if v is None else make(v) for v in values.to_pylist()]
    return pa.array(made, pa.string()).take(pc.index_in(column, value_set=values))
