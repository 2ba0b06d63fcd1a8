"""Details that lighteval's own loggers wrote, and layouts that it used before."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.ingest import lighteval
from harness.ingest.columns import ROWS
from harness.ingest.lighteval import Lighteval
from harness.ingest.load import load_results
from harness.stats.scores import score_responses

DATA = Path(__file__).parent / "data/lighteval"
MC, SAY = sorted(DATA.rglob("*.parquet"))
[RESULTS] = DATA.rglob("results_*.json")


def rows_of(part):
    table = pa.Table.from_batches(list(part.rows()), ROWS)
    table.validate(full=True)
    return [{**row, "metrics": dict(row["metrics"])} for row in table.to_pylist()]


def read(path):
    [found] = Lighteval().read(path)
    [part] = found.parts
    return part, rows_of(part)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(DATA, tmp_path / "out")
    return tmp_path / "out"


def test_choices_keep_their_evidence():
    part, rows = read(MC)

    assert part.trial["output_type"] == "multiple_choice"
    assert [row["choice_logprobs"] for row in rows] == [[-1.0, -2.5], [-0.5, -3.0]]
    assert [row["target_index"] for row in rows] == [0, 1]
    assert [row["choice_chars"] for row in rows] == [[1, 4], [1, 4]]
    assert [row["metrics"] for row in rows] == [{"acc": 1.0}, {"acc": 0.0}]


def test_what_is_derived_is_what_lighteval_measured():
    loaded = load_results([MC])
    scored = score_responses(loaded.responses, ["acc"])

    assert scored["acc"].tolist() == [1.0, 0.0]


def test_texts_keep_what_was_said_and_every_metric():
    part, rows = read(SAY)

    assert part.trial["output_type"] == "generate_until"
    assert not part.trial["sampled"]
    assert [row["text"] for row in rows] == [" yes", "maybe"]
    assert [row["answer"] for row in rows] == ["yes", "maybe"]
    assert [row["target"] for row in rows] == ["yes", "no"]
    assert rows[0]["metrics"] == {"em": 1.0, "f1": 0.5}


def test_results_say_who_and_how():
    trial = read(MC)[0].trial

    assert (trial["model"], trial["step"]) == ("acme/toy", 20)
    assert (trial["task"], trial["num_fewshot"]) == ("toy_mc", 2)
    assert (trial["dtype"], trial["batch_size"]) == ("float32", 4)
    assert trial["sample_seed"] == 3
    assert trial["backend"] == "lighteval 01234567"
    assert trial["finished_at"].year == 2026


def test_details_alone_say_less(tmp_path):
    shutil.copy(MC, tmp_path)
    part, rows = read(tmp_path / MC.name)

    assert len(rows) == 2
    assert {"step", "weights_digest", "dtype"} <= set(part.unknown)
    assert part.trial["finished_at"].year == 2026


def test_scores_without_details_have_no_items(copy):
    [details] = (p for p in copy.rglob("*.parquet") if "say" in p.name)
    details.unlink()
    [results] = copy.rglob("results_*.json")
    [found] = Lighteval().read(results)

    assert found.parts == ()
    assert {row["metric"]: row["value"] for row in found.aggregates} == {
        "em": 0.5,
        "f1": 0.25,
    }
    assert {row["task"] for row in found.aggregates} == {"toy_say"}
    assert {row["step"] for row in found.aggregates} == {20}


def test_a_tree_is_read_as_one(copy):
    loaded = load_results([copy])

    assert loaded.problems == ()
    assert len(loaded.aggregates) == 0
    assert sorted(loaded.trials["task"]) == ["toy_mc", "toy_say"]


@pytest.mark.parametrize(
    ("name", "task", "shots"),
    [
        ("lighteval|gsm8k|5", "lighteval|gsm8k", 5),
        ("harness|arc:challenge|25|0", "harness|arc:challenge", 25),
        ("gsm8k", "gsm8k", None),
        ("a|b", "a|b", None),
        ("gsm8k|0", "gsm8k", 0),
    ],
)
def test_names_of_tasks_tell_the_shots(tmp_path, name, task, shots):
    path = tmp_path / f"details_{name}_2023-09-01T10-20-30.5.parquet"
    shutil.copy(MC, path)
    trial = read(path)[0].trial

    assert (trial["task"], trial.get("num_fewshot")) == (task, shots)


def test_columns_may_have_underscores_around_them(tmp_path):
    table = pq.read_table(MC)
    table = table.rename_columns([f"__{name}__" for name in table.schema.names])
    pq.write_table(table, tmp_path / MC.name)

    assert read(tmp_path / MC.name)[1] == read(MC)[1]


@pytest.mark.parametrize("has_struct", [True, False])
def test_the_flat_layout_of_2023_is_read(tmp_path, has_struct):
    scores = {"acc": [1.0, 0.0], "acc_norm": [0.0, 1.0]}
    table = {
        "example": ["1 + 1", "2 + 2"],
        "full_prompt": ["Q: 1 + 1 A:", "Q: 2 + 2 A:"],
        "choices": [["2", "3"], ["4", "5"]],
        "gold_index": [0, 0],
        "gold": ["2", "4"],
        "predictions": [["2"], ["5"]],
        "truncated": [0, 0],
        "num_effective_few_shots": [25, 25],
    }
    if has_struct:
        table["metrics"] = [
            {"acc": 1.0, "acc_norm": 0.0},
            {"acc": 0.0, "acc_norm": 1.0},
        ]
    else:
        table |= scores
    path = tmp_path / "details_harness|arc|25_2023-09-01T10-20-30.123.parquet"
    pq.write_table(pa.table(table), path)
    part, rows = read(path)

    assert [row["metrics"] for row in rows] == [
        {"acc": 1.0, "acc_norm": 0.0},
        {"acc": 0.0, "acc_norm": 1.0},
    ]
    assert [row["text"] for row in rows] == ["2", "5"]
    assert [row["target"] for row in rows] == ["2", "4"]
    assert len({row["item_id"] for row in rows}) == 2
    assert part.trial["output_type"] == "generate_until"


def test_several_right_choices_leave_the_score_to_lighteval(tmp_path):
    rows = pq.read_table(MC).to_pylist()
    for row in rows:
        row["doc"]["gold_index"] = [0, 1]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / MC.name)
    _, found = read(tmp_path / MC.name)

    assert {row["status"] for row in found} == {"several-targets"}
    assert {row["target_index"] for row in found} == {None}


def test_a_metric_that_is_no_number_is_none(tmp_path):
    rows = pq.read_table(SAY).to_pylist()
    for row, value in zip(rows, (float("nan"), float("inf")), strict=True):
        row["metric"] = {"em": value, "words": "many"}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / SAY.name)
    _, found = read(tmp_path / SAY.name)

    assert [(row["status"], row["metrics"]) for row in found] == [("unscored", {})] * 2


def test_what_is_no_table_of_details_is_refused(tmp_path):
    path = tmp_path / "details_x_2023-09-01T10-20-30.parquet"
    data = MC.read_bytes()
    for content in (b"", b"PAR1", data[:-20], data[: len(data) // 2], data[50:]):
        path.write_bytes(content)
        with pytest.raises(HarnessError) as caught:
            read(path)
        assert caught.value.code == "results-broken"
    for table in ({"x": ["a"]}, {"metric": pa.array([], pa.float64())}):
        pq.write_table(pa.table(table), path)
        with pytest.raises(HarnessError, match="no rows"):
            read(path)


def test_more_rows_than_a_file_can_hold_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lighteval, "MOST_TIMES", 0)
    with pytest.raises(HarnessError) as caught:
        read(MC)

    assert caught.value.code == "results-too-large"


def test_names_of_tasks_are_no_paths(copy):
    [path] = copy.rglob("results_*.json")
    content = json.loads(path.read_text())
    content["results"] = {"../../x|0": {"em": 0.5}, "a\0b|0": {"em": 0.25}}
    path.write_text(json.dumps(content))
    [found] = Lighteval().read(path)

    assert [row["task"] for row in found.aggregates] == ["../../x", "a\0b"]


def test_results_that_are_none_are_refused(tmp_path):
    path = tmp_path / RESULTS.name
    for content in ("[]", '{"results": {}}', '{"config_general": {"model_name": "m"}}'):
        path.write_text(content)
        with pytest.raises(HarnessError, match="no results of lighteval"):
            list(Lighteval().read(path))


def test_files_are_told_by_name_and_beginning():
    claims = Lighteval().claims

    assert claims(MC, b"PAR1")
    assert claims(RESULTS, RESULTS.read_bytes()[:4096])
    assert not claims(Path("x.parquet"), b"PAR1")
    assert not claims(Path("results_x.json"), b'{"results": {}}')


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=60)
@given(
    st.sampled_from(["config_general", "results", "versions", "config_tasks"]),
    st.sampled_from(["model_config", "model_name", "toy_mc|2", "lighteval_sha"]),
    values,
)
def test_results_of_any_shape_are_read_or_refused(tmp_path_factory, name, inner, value):
    folder = tmp_path_factory.mktemp("lighteval")
    content = json.loads(RESULTS.read_text())
    content[name] = {**content[name], inner: value} if value is not None else inner
    (folder / RESULTS.name).write_text(json.dumps(content))
    shutil.copy(MC, folder)
    for path in (folder / MC.name, folder / RESULTS.name):
        with contextlib.suppress(HarnessError):
            for found in Lighteval().read(path):
                for part in found.parts:
                    rows_of(part)


def test_its_tasks_say_which_way_is_better(copy):
    [path] = copy.rglob("results_*.json")
    content = json.loads(path.read_text())
    content["config_tasks"] = {
        "toy_mc|2": {
            "metric": [
                {"metric_name": "acc", "higher_is_better": True},
                {"metric_name": ["x"], "higher_is_better": {"ppl": False, "y": 3}},
                "text",
            ]
        }
    }
    path.write_text(json.dumps(content))
    parts = [part for part, _ in map(read, copy.rglob("*.parquet"))]
    said = {part.trial["task"]: part.trial.get("lower_is_better") for part in parts}

    assert said == {"toy_mc": '["ppl"]', "toy_say": None}
