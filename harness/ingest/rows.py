"""How do values found in a file become rows of our table?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from harness.ingest.columns import Columns
from harness.ingest.parts import BATCH_ROWS, BrokenFile
from harness.records import unicode_of
from harness.stats.scores import METRICS

BATCH_CHARS = 2**26
"""Text in one batch: long answers make it shorter than `BATCH_ROWS`."""

MOST_REPEAT = 2**15 - 1
"""Largest number of a repeat that its column holds."""


SAME = {"acc", "acc_norm", "acc_bytes", "exact_match"}
"""Scores of 0 and 1 that mean the same with every tool."""

MOST_CELLS, MOST_GAPS = 2**20, 100
"""More items times repeats than the former are taken only where one in so many is
there: a store has a row for each."""


def refuse_gaps(n_items: int, n_repeats: int, n_answers: int) -> None:
    """Complain of a repeat whose number is absurd.

    Raises
    ------
    BrokenFile
        Most of the answers that its number says there are, are not.
    """
    if n_items * n_repeats > max(MOST_CELLS, MOST_GAPS * n_answers):
        raise BrokenFile(
            f"its last repeat is number {n_repeats - 1} of {n_items} items, but "
            f"there are {n_answers} answers; repeats are numbered from 0"
        )


def batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Return rows in batches, `metrics` as pairs; a column that a row lacks is null."""
    columns, n_chars = Columns(), 0
    for row in rows:
        columns.add(row, row["metrics"])
        n_chars += len(row.get("text") or "") + len(row.get("answer") or "")
        if len(columns) == BATCH_ROWS or n_chars > BATCH_CHARS:
            yield columns.batch()
            n_chars = 0
    if len(columns):
        yield columns.batch()


def number(value: object) -> float | None:
    """Return a finite number as float; anything else is no score."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        score = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return score if math.isfinite(score) else None


def words(value: object) -> str | None:
    """Return text that UTF-8 can hold; null for anything that is none."""
    if not isinstance(value, str):
        return None
    return value if value.isascii() else unicode_of(value)


def metric_name(name: str) -> str:
    """Return how another tool's metric is called here.

    One that goes by the name of a score which we derive from likelihoods, and may
    count otherwise, such as ``brier``, gets lm-eval's ``,none`` and stays the tool's.
    """
    return f"{name},none" if name in METRICS.keys() - SAME else name


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object of JSON; an empty one for anything that is none."""
    return value if isinstance(value, dict) else {}


def moment(value: object) -> datetime | None:
    """Return a date with its time; one without a zone is taken for UTC."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
        elif (seconds := number(value)) is not None:
            found = datetime.fromtimestamp(seconds, UTC)
        else:
            return None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found
    except (ValueError, OverflowError, OSError):
        return None
