"""Files that Every Eval Ever's own converter wrote from a real run of lm-eval."""

from __future__ import annotations

import contextlib
import copy
import json
import statistics
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.ingest import every_eval_ever as module
from harness.ingest.columns import ROWS
from harness.ingest.every_eval_ever import EveryEvalEver
from harness.ingest.load import load_results

DATA = Path(__file__).parent / "data/every_eval_ever"
# Converted by every-eval-ever 0.3.0 from four items that lm-eval 0.4.13 put to its
# model `dummy`: `every_eval_ever convert lm_eval --include_samples`.
[FILE], [SAMPLES] = DATA.glob("*.json"), DATA.glob("*_samples.jsonl")
AGGREGATE = json.loads(FILE.read_text())
INSTANCES = [json.loads(line) for line in SAMPLES.read_text().splitlines()]


def rows_of(part):
    table = pa.Table.from_batches(list(part.rows()), ROWS)
    table.validate(full=True)
    return [{**row, "metrics": dict(row["metrics"])} for row in table.to_pylist()]


def read(path):
    [found] = EveryEvalEver().read(path)
    return found, [rows_of(part) for part in found.parts]


@pytest.fixture
def write(tmp_path):
    def written(aggregate=AGGREGATE, instances=INSTANCES, name="x"):
        path = tmp_path / f"{name}.json"
        if aggregate is not None:
            path.write_text(json.dumps(aggregate))
        if instances is not None:
            lines = [json.dumps(one) for one in instances]
            (tmp_path / f"{name}_samples.jsonl").write_text("\n".join(lines))
        return path

    return written


def changed(content, at, value):
    content = copy.deepcopy(content)
    inner = content
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return content


def test_metrics_of_an_instance_stand_in_one_row():
    found, [rows] = read(FILE)
    [part] = found.parts

    assert found.aggregates == ()
    assert len(rows) == 4
    assert rows[0]["metrics"].keys() == {"acc,none", "acc_norm,none"}
    assert (part.trial["model"], part.trial["step"]) == ("acme/toy", 10)
    assert part.trial["task"] == "toy_mc"
    assert part.trial["backend"] == "lm-eval 0.4.13"
    assert part.trial["finished_at"].year == 2026
    assert "train_seed" in part.unknown


def test_the_score_is_the_mean_of_the_instances():
    _, [rows] = read(FILE)
    for result in AGGREGATE["evaluation_results"]:
        name = f"{result['evaluation_result_id']},none"
        mean = statistics.mean(row["metrics"][name] for row in rows)
        assert mean == result["score_details"]["score"]


def test_its_short_name_is_that_of_export():
    one = load_results([DATA], format="eee")

    assert len(one.trials) == len(load_results([DATA], format="every-eval-ever").trials)


def test_a_folder_is_read_once():
    loaded = load_results([DATA])

    assert len(loaded.trials) == 1
    assert len(loaded.responses) == 4
    assert loaded.problems == ()
    assert list(EveryEvalEver().read(SAMPLES)) == []


def test_instances_alone_name_their_model(write):
    path = write(None)
    [found] = EveryEvalEver().read(path.with_name("x_samples.jsonl"))
    [part] = found.parts

    assert part.trial["model"] == "acme/toy"
    assert len(rows_of(part)) == 4


def test_scores_without_instances_have_no_items(write):
    found, _ = read(write(instances=None))
    rows = {row["metric"]: row for row in found.aggregates}

    assert found.parts == ()
    assert rows["acc"]["value"] == 0.75
    assert rows["acc"]["se"] == 0.25
    assert rows["acc"]["n_items"] == 4
    assert rows["acc"]["higher_is_better"]
    assert rows["acc"]["step"] == 10


def test_schema_0_2_had_one_text_where_there_are_several_now(write):
    old = copy.deepcopy(INSTANCES)
    for one in old:
        one["input"]["reference"] = one["input"]["reference"][0]
        one["output"]["raw"] = one["output"]["raw"][0]
    _, [rows] = read(write(changed(AGGREGATE, ["schema_version"], "0.2.2"), old))

    assert rows == read(FILE)[1][0]


@pytest.mark.parametrize(
    ("metadata", "repeat"),
    [({"repeat": "2"}, 2), ({"epoch": "3"}, 2), ({"epoch": 1}, 0), ({}, 0)],
)
def test_repeats_and_epochs_are_told_apart(write, metadata, repeat):
    _, [[row]] = read(write(instances=[{**INSTANCES[0], "metadata": metadata}]))

    assert row["repeat"] == repeat


@pytest.mark.parametrize(
    "metadata", [{"repeat": "-1"}, {"epoch": 0}, {"repeat": "9" * 9}]
)
def test_absurd_repeats_are_refused(write, metadata):
    with pytest.raises(HarnessError, match="is no number from") as caught:
        read(write(instances=[{**INSTANCES[0], "metadata": metadata}]))

    assert caught.value.code == "results-broken"


def test_errors_have_no_score(write):
    one = {**INSTANCES[0], "error": "the server said no"}
    _, [[row]] = read(write(instances=[one]))

    assert (row["status"], row["metrics"]) == ("unscored", {})


def test_a_score_given_twice_is_refused(write):
    with pytest.raises(HarnessError, match="line 9") as caught:
        read(write(instances=[*INSTANCES, INSTANCES[0]]))

    assert caught.value.code == "duplicate-response"


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "a\0b", "x.json", ""]
)
def test_the_path_of_the_instances_is_not_followed(write, name):
    said = changed(AGGREGATE, ["detailed_evaluation_results", "file_path"], name)
    found, _ = read(write(said, instances=None))

    assert found.parts == ()
    assert len(found.aggregates) == 2


def test_batches_do_not_show(write, monkeypatch):
    _, [whole] = read(FILE)
    monkeypatch.setattr(module, "BATCH_ROWS", 3)

    assert read(FILE)[1] == [whole]


@pytest.mark.parametrize(
    "aggregate",
    [
        [],
        {},
        {**AGGREGATE, "schema_version": "1.0"},
        {**AGGREGATE, "schema_version": 0.3},
        {**AGGREGATE, "model_info": {}},
    ],
)
def test_what_is_of_another_schema_is_refused(write, aggregate):
    with pytest.raises(HarnessError) as caught:
        read(write(aggregate))

    assert caught.value.code == "results-broken"


@pytest.mark.parametrize("line", ["[]", "{", '{"evaluation_name": "t"}', "\ud800"])
def test_a_bad_line_is_told(write, line):
    path = write()
    samples = path.with_name("x_samples.jsonl")
    good = samples.read_text().splitlines()
    text = "\n".join([*good[:2], "", line, *good[2:]])
    samples.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(HarnessError) as caught:
        read(path)

    assert caught.value.line == 4


def test_instances_that_are_not_there_are_told(tmp_path):
    with pytest.raises(HarnessError) as caught:
        read(tmp_path / "none_samples.jsonl")

    assert caught.value.code == "results-broken"


def test_a_line_without_end_is_refused(write, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(HarnessError) as caught:
        read(write())

    assert caught.value.code == "results-too-large"


def test_files_are_told_by_their_beginning():
    claims = EveryEvalEver().claims

    assert claims(FILE, FILE.read_bytes()[:4096])
    assert claims(SAMPLES, SAMPLES.read_bytes()[:4096])
    assert not claims(Path("x.json"), b'{"results": {}}')
    assert not claims(Path("x.csv"), FILE.read_bytes())


def places(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from places(inner, (*at, key))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=120)
@given(
    st.sampled_from([at for at in places([AGGREGATE, INSTANCES[:2]]) if len(at) > 1]),
    values,
)
def test_any_value_in_any_place_is_read_or_refused(tmp_path_factory, at, value):
    aggregate, instances = changed([AGGREGATE, INSTANCES[:2]], at, value)
    folder = tmp_path_factory.mktemp("eee")
    (folder / "x.json").write_text(json.dumps(aggregate))
    lines = "\n".join(json.dumps(one) for one in instances)
    (folder / "x_samples.jsonl").write_text(lines)
    with contextlib.suppress(HarnessError):
        for found in EveryEvalEver().read(folder / "x.json"):
            for part in found.parts:
                rows_of(part)
