"""A part's identity does not depend on batches, and no answer is missing unmarked."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ingest.columns import ROWS
from harness.ingest.content import Content
from harness.ingest.parts import BrokenFile


def row(i: int, repeat: int = 0, **more) -> dict:
    return {
        "item_id": f"item {i}",
        "item_index": i,
        "repeat": repeat,
        "status": "ok",
        "text": "" if i % 3 else None,
        "choice_logprobs": [-1.0 * c for c in range(i % 3)] if i % 2 else None,
        "target_is_greedy": [True, False, None][i % 3],
        "metrics": [(f"acc,{'x' * i}", float(i))] if i % 4 else [],
        **more,
    }


def batch(rows: list[dict]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=ROWS)


def seen(batches: list[pa.RecordBatch]) -> tuple[Content, list[dict]]:
    content = Content()
    passed = [row for b in content.through(batches) for row in b.to_pylist()]
    return content, passed


@settings(max_examples=30, deadline=None)
@given(cuts=st.sets(st.integers(1, 11)))
def test_where_batches_end_makes_no_difference(cuts: set[int]) -> None:
    rows = [row(i) for i in range(12)]
    whole, _ = seen([batch(rows)])
    edges = [0, *sorted(cuts), 12]
    pieces = [batch(rows[a:b]) for a, b in itertools.pairwise(edges)]
    slices = [batch(rows).slice(a, b - a) for a, b in itertools.pairwise(edges)]

    assert seen(pieces)[0].digest == whole.digest
    assert seen(slices)[0].digest == whole.digest


@pytest.mark.parametrize(
    "change",
    [
        {"text": "a"}, {"text": None}, {"item_id": "other"}, {"status": "nan-logprob"},
        {"choice_logprobs": [-1.0, -2.0]}, {"choice_logprobs": []}, {"metrics": None},
        {"metrics": [("acc,xxxxx", 4.0)]}, {"metrics": [("acc,xxxxy", 5.0)]},
        {"target_is_greedy": True}, {"item_index": 99},
    ],
)  # fmt: skip
def test_whatever_is_said_makes_a_difference(change: dict) -> None:
    rows = [row(i) for i in range(12)]
    changed = [*rows[:5], {**rows[5], **change}, *rows[6:]]

    assert seen([batch(changed)])[0].digest != seen([batch(rows)])[0].digest


def test_a_cluster_is_said_about_an_answer() -> None:
    plain, told = seen([batch([row(1)])]), seen([batch([row(1, cluster="p")])])

    assert plain[0].digest == told[0].digest


def test_answers_that_are_missing_are_there_as_such() -> None:
    some = [row(0), row(0, 1), row(0, 2), row(2), row(7, 1)]

    content, passed = seen([batch(some[:3]), batch(some[3:])])
    assert (content.n_items, content.repeats, content.n_rows) == (3, 3, 9)
    assert len(passed) == 9
    missing = [r for r in passed if r["status"] == "missing"]
    assert [(r["item_id"], r["item_index"], r["repeat"]) for r in missing] == [
        ("item 2", 2, 1), ("item 2", 2, 2), ("item 7", 7, 0), ("item 7", 7, 2),
    ]  # fmt: skip
    assert all(r["metrics"] is None and r["text"] is None for r in missing)


def test_one_answer_that_is_there_twice_is_refused() -> None:
    with pytest.raises(
        BrokenFile, match="1 answers stand there twice, first repeat 1 of item 3"
    ):
        seen([batch([row(3, 1)]), batch([row(4), row(3, 1)])])


def test_nothing_is_nothing() -> None:
    content, passed = seen([])

    assert (content.n_items, content.repeats, content.n_rows, passed) == (0, 0, 0, [])
