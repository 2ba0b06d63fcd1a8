"""Scores without items: in which order, and what of them JSON can say."""

from __future__ import annotations

import json
import math

import pyarrow as pa

from harness.aggregates import read_aggregates
from harness.frames import AGGREGATES

ROW = {
    "aggregate_id": "a",
    "model": "m",
    "task": "t",
    "formulation": "",
    "template": "default",
    "metric": "acc",
    "backend": "b",
}


def test_scores_come_by_model_step_and_task():
    rows = [
        {**ROW, "model": "n", "step": 1, "value": 0.1},
        {**ROW, "step": 20, "value": 0.2},
        {**ROW, "step": 3, "task": "u", "value": 0.3},
        {**ROW, "step": 3, "value": 0.4},
        {**ROW, "value": 0.5},
    ]

    found = read_aggregates(pa.Table.from_pylist(rows, schema=AGGREGATES))

    assert [one.value for one in found] == [0.5, 0.4, 0.3, 0.2, 0.1]


def test_what_is_no_number_is_null_in_json():
    rows = [{**ROW, "value": value} for value in (None, math.nan, math.inf)]

    found = read_aggregates(pa.Table.from_pylist(rows, schema=AGGREGATES))

    assert [one.to_dict()["value"] for one in found] == [None] * 3
    json.dumps([one.to_dict() for one in found], allow_nan=False)
