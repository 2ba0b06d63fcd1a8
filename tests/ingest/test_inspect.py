"""Logs that Inspect itself wrote, and what becomes of them when they are spoiled."""

from __future__ import annotations

import copy
import json
import statistics
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zip_files import zip_of

from harness.errors import HarnessError
from harness.ingest.bounded import Archive
from harness.ingest.columns import ROWS
from harness.ingest.inspect import Inspect

LOGS = Path(__file__).parent / "data/inspect"
SUMS = json.loads((LOGS / "sums.json").read_text())
ANIMALS = json.loads((LOGS / "animals.json").read_text())


def read(path):
    """Return the only part of a log, its rows, and all that was found."""
    [found] = Inspect().read(path)
    [part] = found.parts
    return part, rows_of(part), found


def rows_of(part):
    table = pa.Table.from_batches(list(part.rows()), ROWS)
    table.validate(full=True)
    return [{**row, "metrics": dict(row["metrics"])} for row in table.to_pylist()]


@pytest.fixture
def write(tmp_path):
    """Write a log with changes, as JSON or as an archive; returns its path."""

    def written(log, kind="json", without=()):
        path = tmp_path / f"log.{kind}"
        if kind == "json":
            path.write_text(json.dumps(log))
            return path
        header = {name: value for name, value in log.items() if name != "samples"}
        members = {"header.json": header} | {
            f"samples/{one['id']}_epoch_{one['epoch']}.json": one
            for one in log["samples"]
        }
        path.write_bytes(
            zip_of(
                {
                    name: json.dumps(content).encode()
                    for name, content in members.items()
                    if name not in without
                }
            )
        )
        return path

    return written


def changed(log, **fields):
    return {**copy.deepcopy(log), **fields}


@pytest.mark.parametrize("name", ["sums.eval", "sums.json"])
def test_epochs_are_repeats_and_scorers_are_metrics(name):
    part, rows, found = read(LOGS / name)
    by_cell = {(row["item_index"], row["repeat"]): row for row in rows}

    assert found.format == "inspect"
    assert found.problems == ()
    assert len(by_cell) == len(rows) == 8
    assert by_cell[0, 1]["metrics"] == {
        "match": 0.0,
        "length,style": 9.0,
        "polite,style": 1.0,
    }
    assert part.trial["repeats"] == 2
    assert part.trial["n_items"] == part.trial["n_items_total"] == 4
    assert by_cell[3, 0]["target"] == "8"
    assert by_cell[3, 0]["answer"] == by_cell[3, 0]["text"] == "please: 4"


@pytest.mark.parametrize("name", ["sums.json", "animals.json"])
def test_their_own_accuracy_is_the_mean_of_ours(name):
    """Inspect leaves failed samples out, and takes the mean over epochs first."""
    _, rows, _ = read(LOGS / name)
    for score in json.loads((LOGS / name).read_text())["results"]["scores"]:
        [published] = [
            score["metrics"][m]["value"]
            for m in ("accuracy", "mean")
            if m in score["metrics"]
        ]
        ours = score["name"]
        if score["name"] != score["scorer"]:
            ours = f"{score['name']},{score['scorer']}"
        values = [row["metrics"][ours] for row in rows if row["metrics"]]

        assert statistics.mean(values) == pytest.approx(published)


def test_an_archive_and_a_document_of_one_run_say_the_same():
    """The two fixtures are two runs of the same task: only times differ."""
    one, rows, _ = read(LOGS / "sums.eval")
    other, same, _ = read(LOGS / "sums.json")
    times = {"started_at", "finished_at", "location"}

    assert {k: v for k, v in one.trial.items() if k not in times} == {
        k: v for k, v in other.trial.items() if k not in times
    }
    assert rows == same


def test_who_answered_what_how_is_kept():
    part, _, _ = read(LOGS / "sums.eval")

    assert part.trial["model"] == "mockllm/toy"
    assert part.trial["task"] == "sums"
    assert part.trial["task_version"] == "3"
    assert part.trial["generation"] == '{"max_tokens":8,"temperature":0.5}'
    assert part.trial["sample_seed"] == 7
    assert part.trial["sampled"]
    assert part.trial["backend"] == "inspect_ai 0.3.285"
    assert part.trial["versions"] == [("inspect_ai", "0.3.285")]
    assert part.trial["finished_at"].year == 2026
    assert set(part.unknown) == {
        *("train_seed", "step", "num_fewshot", "weights_digest", "dtype")
    }


def test_a_revision_says_the_step_and_choices_say_the_target():
    part, rows, _ = read(LOGS / "animals.eval")

    assert part.trial["step"] == 1000
    assert part.trial["revision"] == "step1000"
    assert "step" not in part.unknown
    assert [row["target_index"] for row in rows] == [1, 0]
    assert [row["metrics"] for row in rows] == [{"choice": 1.0}, {"choice": 0.0}]


def test_a_failed_sample_has_a_status_and_no_score():
    _, rows, _ = read(LOGS / "sums.eval")
    failed = [row for row in rows if row["status"] != "ok"]

    assert [(row["item_index"], row["status"]) for row in failed] == [
        (2, "error"),
        (2, "error"),
    ]
    assert all(row["metrics"] == {} for row in failed)


def test_a_sample_that_met_a_limit_keeps_the_score_that_it_was_given(write):
    log = changed(ANIMALS)
    log["samples"][0]["limit"] = {"type": "token", "limit": 10}
    log["samples"][1].update(limit={"type": "time", "limit": 1}, scores={})
    _, rows, _ = read(write(log))

    assert [row["status"] for row in rows] == ["limit", "limit"]
    assert [row["metrics"] for row in rows] == [{"choice": 1.0}, {}]


@pytest.mark.parametrize(
    ("value", "metrics"),
    [
        ("C", {"s": 1.0}),
        ("P", {"s": 0.5}),
        ("I", {"s": 0.0}),
        ("N", {"s": 0.0}),
        ("Yes", {"s": 1.0}),
        ("FALSE", {"s": 0.0}),
        ("0.25", {"s": 0.25}),
        (True, {"s": 1.0}),
        (3, {"s": 3.0}),
        (0.5, {"s": 0.5}),
        ([0, "C"], {"0,s": 0.0, "1,s": 1.0}),
        ({"a": "I", "b": None, "c": 2}, {"a,s": 0.0, "c,s": 2.0}),
        (float("nan"), {}),
        (float("inf"), {}),
        (None, {}),
        ("a word", {}),
        ("c", {}),
        (10**400, {}),
        ({}, {}),
        ([[1]], {}),
    ],
)
def test_every_kind_of_score_has_its_worth_or_none(write, value, metrics):
    log = changed(ANIMALS)
    log["samples"] = log["samples"][:1]
    log["samples"][0]["scores"] = {"s": {"value": value}}
    _, [row], _ = read(write(log))

    assert row["metrics"] == metrics
    assert row["status"] == ("ok" if metrics else "unscored")


def test_shuffled_choices_are_the_same_item_put_otherwise(write):
    log = changed(ANIMALS)
    log["samples"][0].update(choices=["owl", "eel", "dog"], target="A")
    _, shuffled, _ = read(write(log))
    _, rows, _ = read(LOGS / "animals.json")

    assert shuffled[0]["item_id"] == rows[0]["item_id"]
    assert shuffled[0]["prompt_digest"] != rows[0]["prompt_digest"]
    log["samples"][0]["target"] = "B"
    _, other, _ = read(write(log))
    assert other[0]["item_id"] != rows[0]["item_id"]


def test_names_that_inspect_draws_for_messages_are_no_part_of_an_item(write):
    log = changed(ANIMALS)
    ids = []
    for drawn in ("x1", "y2"):
        log["samples"][0]["input"] = [
            {"id": drawn, "role": "user", "content": "Which?", "source": "input"}
        ]
        ids.append(read(write(log))[1][0]["item_id"])

    assert ids[0] == ids[1]


@pytest.mark.parametrize("kind", ["json", "eval"])
@pytest.mark.parametrize("status", ["cancelled", "error", "started"])
def test_a_run_that_was_broken_off_is_kept_as_a_part(write, kind, status):
    log = changed(SUMS, status=status)
    log["samples"] = log["samples"][:2]
    log["results"] = None
    part, rows, found = read(write(log, kind))

    assert len(rows) == part.trial["n_items"] == 2
    assert part.trial["n_items_total"] == 4
    [problem] = found.problems
    assert problem.code == "results-partial"
    assert not problem.is_left_out
    assert "2 of 4 items" in problem.reason


def test_a_run_that_died_has_only_its_start(tmp_path):
    with Archive(LOGS / "sums.eval") as archive:
        members = {
            name: json.dumps(archive.json(name)).encode()
            for name in archive.names
            if name not in ("header.json", "summaries.json", "reductions.json")
        }
    path = tmp_path / "log.eval"
    path.write_bytes(zip_of(members))
    part, rows, found = read(path)

    assert len(rows) == 8
    assert part.trial["model"] == "mockllm/toy"
    assert "'started'" in found.problems[0].reason


@pytest.mark.parametrize("kind", ["json", "eval"])
def test_a_log_without_samples_is_scores_without_items(write, kind):
    log = changed(SUMS, samples=[])
    [found] = Inspect().read(write(log, kind))
    rows = {row["metric"]: row for row in found.aggregates}

    assert found.parts == ()
    assert rows.keys() == {"accuracy,match", "mean,length", "mean,polite"}
    assert rows["accuracy,match"]["value"] == pytest.approx(1 / 3)
    assert rows["accuracy,match"]["se"] == pytest.approx(1 / 3)
    assert rows["mean,length"]["se"] is None
    assert rows["accuracy,match"]["n_items"] == 3


def test_version_1_had_one_scorer(write):
    log = changed(ANIMALS, version=1)
    for sample in log["samples"]:
        sample["score"] = sample.pop("scores")["choice"]
    [score] = log["results"]["scores"]
    log["results"] = {
        "scorer": {"name": "choice"},
        "metrics": {name: m["value"] for name, m in score["metrics"].items()},
    }
    _, rows, _ = read(write(log))
    log["samples"] = None
    [found] = Inspect().read(write(log))
    [aggregate] = found.aggregates

    assert [row["metrics"] for row in rows] == [{"score": 1.0}, {"score": 0.0}]
    assert (aggregate["metric"], aggregate["value"]) == ("accuracy,choice", 0.5)


def test_local_weights_go_by_their_own_name(write):
    log = changed(ANIMALS)
    log["eval"].update(
        model="hf/local", model_args={"model_path": "runs/tiny/seed2/step40"}
    )
    trial = read(write(log))[0].trial
    log["eval"].update(model="vllm/acme/toy", model_args={})
    other = read(write(log))[0].trial

    assert (trial["model"], trial["train_seed"], trial["step"]) == ("tiny", 2, 40)
    assert other["model"] == "acme/toy"
    assert "weights_digest" not in other


def test_script_stays_text_and_half_a_letter_is_marked(write):
    log = changed(ANIMALS)
    log["samples"][0]["output"]["completion"] = "<script>\ud800</script>"
    _, rows, _ = read(write(log))

    assert rows[0]["text"] == "<script>�</script>"


def test_absurd_task_arguments_are_no_few_shot_count(write):
    log = changed(ANIMALS)
    log["eval"]["task_args"] = {"num_fewshot": 10**30, "fewshot": 5}

    assert read(write(log))[0].trial["num_fewshot"] == 5


@pytest.mark.parametrize("epoch", [0, -1, 10**9, 1.5, "1", None, True])
def test_absurd_epochs_are_refused(write, epoch):
    log = changed(ANIMALS)
    log["samples"][0]["epoch"] = epoch
    with pytest.raises(HarnessError, match="epoch") as caught:
        read(write(log))

    assert caught.value.code == "results-broken"


def test_a_sample_that_stands_twice_is_refused_in_a_document(write):
    log = changed(ANIMALS)
    log["samples"].append(log["samples"][0])
    with pytest.raises(HarnessError, match="1 samples stand twice") as caught:
        read(write(log))

    assert caught.value.code == "duplicate-response"


def test_of_members_with_one_name_the_later_counts(write, tmp_path):
    path = write(ANIMALS, "eval")
    sample = {**ANIMALS["samples"][0], "scores": {"choice": {"value": "P"}}}
    name = "samples/1_epoch_1.json"
    members = {
        "header.json": json.dumps(changed(ANIMALS, samples=None)).encode(),
        name: json.dumps(ANIMALS["samples"][0]).encode(),
        "samples/X_epoch_1.json": json.dumps(sample).encode(),
    }
    data = zip_of(members).replace(b"samples/X_epoch_1", b"samples/1_epoch_1")
    path.write_bytes(data)
    _, rows, found = read(path)

    assert [row["metrics"] for row in rows] == [{"choice": 0.5}]
    assert found.problems[0].code == "duplicate-response"


def test_names_of_members_lead_nowhere(write):
    log = changed(ANIMALS)
    log["samples"][0]["id"] = "../../../etc/passwd"
    path = write(log, "eval")
    before = sorted(path.parent.iterdir())
    _, rows, _ = read(path)

    assert len(rows) == 2
    assert sorted(path.parent.iterdir()) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 3},
        {"version": None},
        {"eval": None},
        {"eval": {"model": "m"}},
        {"samples": [1]},
    ],
)
def test_what_is_no_log_is_refused(write, fields):
    with pytest.raises(HarnessError) as caught:
        read(write(changed(ANIMALS, **fields)))

    assert caught.value.code == "results-broken"


def test_a_member_that_is_no_sample_is_told(tmp_path):
    header = json.dumps({**ANIMALS, "samples": None}).encode()
    path = tmp_path / "log.eval"
    path.write_bytes(zip_of({"header.json": header, "samples/1_epoch_1.json": b"[]"}))
    with pytest.raises(HarnessError, match="no object"):
        read(path)


def test_an_archive_without_its_start_is_refused(write):
    path = write(ANIMALS, "eval", without=("header.json",))
    with pytest.raises(HarnessError, match="neither"):
        read(path)
    with Archive(path) as archive:
        assert archive.names


def test_logs_are_told_by_their_name_and_beginning():
    claims = Inspect().claims
    head = (LOGS / "sums.json").read_bytes()[:4096]

    assert claims(Path("x.json"), head)
    assert claims(Path("x.json"), json.dumps(ANIMALS).encode())
    assert claims(Path("x.eval"), b"whatever it is")
    assert not claims(Path("x.json"), b'{"results": {}}')
    assert not claims(Path("x.jsonl"), head)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from paths(inner, (*at, key))


PLACES = [at for at in paths(SUMS) if at]


@settings(max_examples=150)
@given(st.sampled_from(PLACES), json_values)
def test_any_value_in_any_place_is_read_or_refused(tmp_path_factory, place, value):
    log = copy.deepcopy(SUMS)
    inner = log
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path_factory.mktemp("log") / "log.json"
    path.write_text(json.dumps(log))
    try:
        for found in Inspect().read(path):
            for part in found.parts:
                rows_of(part)
    except HarnessError:
        pass


@settings(max_examples=60)
@given(st.data())
def test_cut_or_spoiled_archives_are_read_or_refused(tmp_path_factory, data):
    good = (LOGS / "animals.eval").read_bytes()
    end = data.draw(st.integers(0, len(good)))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("log") / "log.eval"
    for content in (good[:end], bytes(bad)):
        path.write_bytes(content)
        try:
            for found in Inspect().read(path):
                for part in found.parts:
                    rows_of(part)
        except HarnessError:
            pass
