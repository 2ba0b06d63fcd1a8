"""What did our own export add to lm-eval's files? What their format has no place for.

`harness.export.lm_eval` writes it; everything else that lm-eval wrote is none of it.
Files may say anything: what is not of a column's type is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from harness.frames import TRIALS
from harness.ingest.columns import ROWS
from harness.ingest.rows import MOST_REPEAT, number, words

BEGINNING = b'{"item_id"'
"""How a document of ours begins; as JSON of a benchmark's own it has other fields."""

ITEM_ID = re.compile(r"[0-9a-f]{16}")

SAID_ALONE = (
    *("prompt_digest", "choice_chars", "choice_bytes", "choice_tokens"),
    *("target_index", "target_bytes", "target_tokens", "cluster"),
)
"""Columns that only our document tells: the texts of the sample are empty."""

READ_ELSEWHERE = frozenset(
    {"item_id", "item_index", "repeat", "status", "text", "answer", "metrics"}
)
"""Columns of an answer that the sample itself says."""

NOT_OF_TRIAL = frozenset(
    {"attempt_id", "trial_id", "status", "error_code", "error", "location"}
    | {"suite", "suite_digest", "entropy", "host", "n_items", "repeats"}
    | {"lower_is_better"}
)
"""Columns of a trial that say where and when it was stored, or that the results' own
``higher_is_better`` tells."""


def own_rows(
    doc: bytes, filtered: Any, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the answers to an item with what its document says of them.

    Parameters
    ----------
    doc : bytes
        The document, as JSON.
    filtered : object
        The filtered answers, one for each repeat.
    rows : sequence of dict
        What the sample says otherwise.
    """
    if not doc.startswith(BEGINNING):
        return [*rows]
    own = json.loads(doc)
    item_id = own.get("item_id")
    if not isinstance(item_id, str) or not ITEM_ID.fullmatch(item_id):
        return [*rows]
    same = dict.fromkeys(SAID_ALONE)
    same |= {
        field.name: own[field.name]
        for field in ROWS
        if field.name in own.keys() - READ_ELSEWHERE
        and _fits(own[field.name], field.type, rows[0])
    }
    status = own.get("status")
    statuses = status if isinstance(status, list) else [status] * len(rows)
    if len(rows) == 1 and not rows[0]["metrics"]:  # one for each that has no score
        later = range(1, min(len(statuses), MOST_REPEAT + 1))
        rows = [rows[0], *({**rows[0], "repeat": n, "text": None} for n in later)]
    answers = filtered[0] if len(rows) > 1 and isinstance(filtered, list) else None
    made = []
    for place, row in enumerate(rows):
        row = {**row, **same, "item_id": item_id}
        if place < len(statuses) and isinstance(statuses[place], str):
            row["status"] = words(statuses[place][:40])
        if isinstance(answers, list) and place < len(answers):
            row["answer"] = words(answers[place])
        made.append(row)
    return made


def own_trial(content: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return what a file of results of ours says of a task's trial."""
    own = content.get("evalvar")
    said = own.get(task) if isinstance(own, dict) else None
    if not isinstance(said, dict):
        return {}
    return {
        field.name: said[field.name]
        for field in TRIALS
        if field.name in said.keys() - NOT_OF_TRIAL
        and _fits(said[field.name], field.type)
    }


def _fits(value: Any, kind: pa.DataType, row: Mapping[str, Any] | None = None) -> bool:
    """Return whether a value is of a column's type, and a list as long as its row's."""
    if pa.types.is_string(kind):
        return isinstance(value, str) and value == words(value)
    if pa.types.is_boolean(kind):
        return isinstance(value, bool)
    if pa.types.is_list(kind):
        wanted = (row or {}).get("choice_logprobs") or ()
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_fits(one, kind.value_type) for one in value)
        )
    if pa.types.is_floating(kind):
        return isinstance(value, int | float) and number(value) is not None
    most = 2 ** (kind.bit_width - 1) if pa.types.is_integer(kind) else 0
    return type(value) is int and -most <= value < most
