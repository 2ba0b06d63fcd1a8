"""Plain tables: what is written is what was measured, and no spreadsheet runs it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import HarnessError
from harness.export.tables import (
    harmless,
    response_table,
    score_table,
    write_csv,
    write_parquet,
)
from harness.frames import JOINED
from harness.ingest.load import load_results
from harness.stats.scores import score_responses
from harness.store import Store

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def responses():
    frame = Store(RESULTS / "prompts").responses()
    return frame[frame["train_seed"] == 0]


def as_csv(table):
    text = []
    write_csv(table, text.append)
    return list(csv.DictReader(io.StringIO("".join(text), newline="")))


def test_there_is_a_row_for_each_score(responses):
    table = score_table(responses, metric="exact_match")
    scored = score_responses(responses, ["exact_match"])

    assert table.num_rows == len(responses)
    assert np.mean(table["score"]) == scored["exact_match"].mean()
    assert set(table["metric"].to_pylist()) == {"exact_match"}
    own = set(score_table(responses)["metric"].to_pylist())
    assert own == {"exact_match", "logprob_correct"}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_scores_come_back_as_what_they_were(responses, kind, tmp_path):
    table = score_table(responses)
    path = tmp_path / f"scores.{kind}"
    if kind == "csv":
        with path.open("w") as file:
            write_csv(table, file.write)
    else:
        write_parquet(table, path)
    loaded = load_results([path])
    back = loaded.responses
    key = ["template", "item_id", "repeat"]
    ours = responses.sort_values(key)
    back = back.sort_values(key)

    assert loaded.problems == ()
    assert len(loaded.trials) == responses["trial_id"].nunique()
    for column in ("item_id", "generation", "formulation", "step"):
        assert ours[column].tolist() == back[column].tolist()
    scored = score_responses(ours, ["exact_match"])["exact_match"]
    theirs = [dict(one)["exact_match"] for one in back["metrics"]]
    np.testing.assert_array_equal(scored, theirs)


def test_responses_have_all_columns(responses, tmp_path):
    table = response_table(responses)
    write_parquet(table, tmp_path / "r.parquet")

    assert table.schema.names == JOINED.names
    assert pq.read_table(tmp_path / "r.parquet").equals(table)


def test_lists_and_maps_are_json_in_csv():
    table = pa.table(
        {
            "choice_logprobs": pa.array([[-1.5, -2.0], None]),
            "metrics": pa.array(
                [[("acc,none", 1.0)], None], pa.map_(pa.string(), pa.float64())
            ),
            "score": [0.5, float("nan")],
            "when": pa.array([0, None], pa.timestamp("us", tz="UTC")),
        }
    )
    first, second = as_csv(table)

    assert json.loads(first["choice_logprobs"]) == [-1.5, -2.0]
    assert json.loads(first["metrics"]) == {"acc,none": 1.0}
    assert first["when"].startswith("1970-01-01T00:00:00")
    assert set(second.values()) == {""}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0"]
)
def test_no_text_begins_as_a_formula(text):
    assert harmless(text) == f"'{text}"
    [row] = as_csv(pa.table({"text": [text], "score": [-1.0]}))

    assert row["text"] == f"'{text}"
    assert float(row["score"]) == -1  # a number is none


@pytest.mark.parametrize(
    "text", ["a=1", "", None, "<script>alert(1)</script>", 'a"b,c\nd']
)
def test_other_text_stays_what_it_is(text):
    assert harmless(text) == text
    [row, _] = as_csv(pa.table({"text": pa.array([text, "x"], pa.string())}))

    assert row["text"] == (text or "")


def test_a_parquet_is_whole_or_as_it_was(responses, tmp_path):
    place = tmp_path / "new" / "t.parquet"
    write_parquet(pa.table({"x": [1]}), place)

    assert [path.name for path in place.parent.iterdir()] == ["t.parquet"]
    with pytest.raises(HarnessError) as caught:
        write_parquet(pa.table({"x": [1]}), tmp_path / "new")
    assert caught.value.code == "output-not-written"
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError):
        write_parquet(pa.table({"x": [1]}), tmp_path / "file" / "t.parquet")


def test_an_unknown_metric_or_task_is_refused(responses):
    with pytest.raises(HarnessError, match="no metric"):
        score_table(responses, metric="charm")
    with pytest.raises(HarnessError):
        response_table(responses, task="none")


def test_no_text_steers_a_terminal():
    text = "\x1b[31mred\u202e\x00\x9b1m\t\r\nA\u200dB"  # a joiner is part of words

    assert harmless(text) == "�[31mred��\N{REPLACEMENT CHARACTER}1m\t\r\nA\u200dB"
