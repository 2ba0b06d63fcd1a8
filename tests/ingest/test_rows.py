"""Values of foreign files, in the types of our columns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.ingest import rows
from harness.ingest.rows import batches, moment, number, words


def test_batches_end_at_so_many_rows_or_so_much_text(monkeypatch):
    monkeypatch.setattr(rows, "BATCH_ROWS", 3)
    monkeypatch.setattr(rows, "BATCH_CHARS", 10)
    some = [
        {"item_id": str(i), "item_index": i, "repeat": 0, "status": "ok"}
        | {"metrics": [("m", float(i))], "text": "x" * (20 if i == 4 else 1)}
        for i in range(7)
    ]

    assert [batch.num_rows for batch in batches(some)] == [3, 2, 2]
    assert [len(list(batches(some[:n]))) for n in (0, 3)] == [0, 1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, 1.0), (3, 3.0), (0.5, 0.5), ("1", None), (None, None), (10**400, None)],
)
def test_numbers_are_finite_or_none(value, expected):
    assert number(value) == expected
    assert number(float("nan")) is None


def test_words_can_be_stored():
    assert words("a\ud800") == "a�"
    assert words("é") == "é"
    assert words(1) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("soon", None),
        (None, None),
        (1e300, None),
    ],
)
def test_moments_have_a_zone(value, expected):
    assert moment(value) == expected
