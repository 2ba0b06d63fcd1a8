"""How do scores and responses become one plain table? Parquet and CSV, row by row."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.frames import CONDITION, JOINED
from harness.stats.scores import (
    default_metrics,
    lower_is_better,
    score_responses,
    told_scores,
)
from harness.stats.tables import asked_metrics, chosen_responses
from harness.whole import whole_file

if TYPE_CHECKING:
    import pandas as pd

Table = Literal["scores", "responses"]

SCORE_COLUMNS = (
    *("item_id", "item_index", "model", "step", "train_seed", "task", "formulation"),
    *("num_fewshot", "template", "generation", "fewshot_seed", "sample_seed"),
    *("repeat", "status", "cluster", "finished_at"),
)
"""What a score stands beside; `OF_METRIC` follows. `harness.ingest.plain`
reads such a table back."""

OF_METRIC = ("metric", "score", "lower_is_better")
"""The score as its tool gave it, not negated."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

STEERING = dict.fromkeys(
    (
        *(c for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\t\n\r"),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ),
    "\N{REPLACEMENT CHARACTER}",
)
"""Characters that steer a terminal or turn text around, and what stands for them."""

CHUNK_ROWS = 20_000


def score_table(
    responses: pd.DataFrame, *, metric: str | None = None, task: str | None = None
) -> pa.Table:
    """Return a row for each score: of each answer, by each of its task's metrics.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`. Answers of weights that were replaced since
        are left out.
    metric, task : str, optional
        This metric instead of each task's own discrete and continuous one; only this
        task.

    Raises
    ------
    DesignError
        ``no-responses``, ``unknown-metric``.
    """
    chosen = chosen_responses(
        responses, task=task, formulation=None, steps=(None, None)
    )
    scored = score_responses(chosen[chosen["is_current"]], asked_metrics(metric))
    tables = []
    for _, part in scored.groupby(list(CONDITION), sort=True, observed=True):
        rows = _arrow(part, SCORE_COLUMNS)
        for name in default_metrics(part) if metric is None else (metric,):
            if name is None:
                continue
            values = told_scores(part, name)
            is_lower = lower_is_better(part, name)
            columns = (
                pa.array([name] * len(part)),
                pa.array(values, pa.float64(), from_pandas=True),
                pa.array([is_lower] * len(part), pa.bool_()),
            )
            table = rows
            for column, array in zip(OF_METRIC, columns, strict=True):
                table = table.append_column(column, array)
            tables.append(table)
    return pa.concat_tables(tables)


def response_table(responses: pd.DataFrame, *, task: str | None = None) -> pa.Table:
    """Return the answers as they are stored, with their trial's identity beside them.

    Raises
    ------
    DesignError
        ``no-responses``.
    """
    chosen = chosen_responses(
        responses, task=task, formulation=None, steps=(None, None)
    )
    return _arrow(chosen, tuple(JOINED.names))


def is_table(place: Path) -> bool:
    """Return whether a file begins as one that `write_csv` or `write_parquet` wrote."""
    kinds = [[*SCORE_COLUMNS, *OF_METRIC], JOINED.names]
    heads = {_lines([names]).encode() for names in kinds}
    with place.open("rb") as file:
        if file.readline(max(map(len, heads))) in heads:
            return True
    try:
        return pq.read_schema(place).names in kinds
    except (OSError, pa.ArrowException):
        return False


def write_parquet(table: pa.Table, place: Path) -> None:
    """Write a table so that `place` is whole or as it was.

    Raises
    ------
    RunError
        ``output-not-written``.
    """
    with whole_file(place) as there:
        pq.write_table(table, there, compression="zstd")


def write_csv(table: pa.Table, write: Callable[[str], object]) -> None:
    """Write a table as CSV: what is absent is empty, lists and maps are JSON.

    A text that a spreadsheet would take for a formula, because it begins with one of
    ``= + - @``, a tab or a carriage return, gets an apostrophe before it; characters
    that steer a terminal are replaced.
    """
    write(_lines([table.schema.names]))
    for batch in table.to_batches(max_chunksize=CHUNK_ROWS):
        columns = [
            _cells(column, field.type)
            for column, field in zip(batch.columns, table.schema, strict=True)
        ]
        write(_lines(zip(*columns, strict=True)))


def _arrow(frame: pd.DataFrame, names: tuple[str, ...]) -> pa.Table:
    """Return columns with the types of `JOINED`."""
    arrays = [
        pa.array(frame[name], JOINED.field(name).type, from_pandas=True)
        for name in names
    ]
    return pa.Table.from_arrays(
        arrays, schema=pa.schema([(name, JOINED.field(name).type) for name in names])
    )


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    rows = [*rows]
    # A lone carriage return ends a line for many readers, and csv leaves it bare.
    has_return = any("\r" in one for row in rows for one in row if isinstance(one, str))
    text = io.StringIO()
    csv.writer(
        text,
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL,
    ).writerows(rows)
    return text.getvalue()


def _cells(column: pa.Array, kind: pa.DataType) -> list[Any]:
    if pa.types.is_timestamp(kind):
        column = pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    values = column.to_pylist()
    if pa.types.is_map(kind):
        values = [None if v is None else json.dumps(dict(v)) for v in values]
    elif pa.types.is_nested(kind):
        values = [None if v is None else json.dumps(v) for v in values]
    elif pa.types.is_string(kind):
        return [harmless(v) for v in values]
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values]


def harmless(text: str | None) -> str | None:
    """Return text that no spreadsheet takes for a formula, no terminal for orders."""
    if not text:
        return text
    text = text.translate(STEERING)
    return f"'{text}" if text.startswith(FORMULA) else text
