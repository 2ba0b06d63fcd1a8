"""What is written for lm-eval's tools comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from harness.export.folder import export_folder
from harness.export.lm_eval import write_lm_eval
from harness.frames import RESPONSES, TRIALS
from harness.ingest.load import load_results
from harness.ingest.own import own_rows, own_trial
from harness.stats.scores import METRICS, score_responses
from harness.store import Store

RESULTS = Path(__file__).parents[2] / "results"

KEY = ["model", "train_seed", "step", "task", "formulation", "template"]
KEY += ["num_fewshot", "generation", "item_index", "repeat"]


def exported(store, folder):
    """Write the last step of the first seed."""
    trials = store.trials()
    for name, value in (("step", 640), ("train_seed", 0), ("model", "zoo-small")):
        trials = trials.filter(pc.equal(trials[name], value))
    responses = store.response_table(RESPONSES.names, model="zoo-small")
    is_of = pc.is_in(responses["attempt_id"], value_set=trials["attempt_id"])
    with export_folder(folder, "lm-eval") as place:
        assert write_lm_eval(responses.filter(is_of), trials, place)
    return trials.to_pandas()


def scored(frame):
    """Return all of our scores, and lm-eval's, in one order."""
    frame = score_responses(frame, METRICS).sort_values(KEY).reset_index(drop=True)
    metrics = [dict(one) for one in frame["metrics"]]
    return frame, metrics


@pytest.mark.parametrize("name", ["example", "prompts"])
def test_what_is_exported_comes_back_with_the_same_scores(name, tmp_path):
    store = Store(RESULTS / name)
    trials = exported(store, tmp_path / "out")
    loaded = load_results([tmp_path / "out"])
    responses = store.responses(model="zoo-small")
    is_of = responses["attempt_id"].isin(trials["attempt_id"])
    ours, our_metrics = scored(responses[is_of])
    theirs, their_metrics = scored(loaded.responses)

    assert loaded.problems == ()
    assert len(theirs) == len(ours) > 0
    for column in (*KEY, "item_id", "status", "text", "answer", "prompt_digest"):
        left, right = ours[column].tolist(), theirs[column].tolist()
        assert left == right or ours[column].isna().all(), column
    for metric in METRICS:
        np.testing.assert_array_equal(ours[metric], theirs[metric], metric)
    assert their_metrics == our_metrics


def test_trials_come_back_as_what_they_were(tmp_path):
    ours = exported(Store(RESULTS / "prompts"), tmp_path / "out")
    trials = load_results([tmp_path / "out"]).trials
    order = ["model", "train_seed", "step", "task", "template"]
    for column in (
        *("weights_digest", "task_digest", "template_digest", "generation", "dtype"),
        *("batch_size", "backend", "n_items", "n_items_total", "repeats", "sampled"),
        *("fewshot_seed", "sample_seed", "task_version", "output_type"),
    ):
        left = ours.sort_values(order)[column].tolist()
        assert left == trials.sort_values(order)[column].tolist(), column


def test_the_layout_is_lm_evals(tmp_path):
    exported(Store(RESULTS / "prompts"), tmp_path / "out")
    [results, *_] = sorted((tmp_path / "out").rglob("results_*.json"))
    content = json.loads(results.read_text())
    time = results.name.removeprefix("results_").removesuffix(".json")
    [task, *_] = content["results"]
    samples = results.with_name(f"samples_{task}_{time}.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]

    assert {
        *("results", "configs", "versions", "n-shot", "higher_is_better"),
        *("n-samples", "config", "date", "task_hashes", "model_name"),
    } <= content.keys()
    assert {
        *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps"),
        *("filter", "metrics", "doc_hash", "prompt_hash", "target_hash"),
    } <= lines[0].keys()
    mean = sum(line["exact_match"] for line in lines) / len(lines)
    assert content["results"][task]["exact_match,none"] == pytest.approx(mean)
    assert len(lines) == content["n-samples"][task]["effective"]


def trial(**fields):
    base = {
        field.name: {"string": "", "int64": 0, "int32": 1, "bool": False}.get(
            str(field.type)
        )
        for field in TRIALS
    }
    named = {"model": "m", "task": "t", "status": "done", "lower_is_better": None}
    return {**base, **named} | fields


def response(**fields):
    base = {"item_id": "0" * 16, "item_index": 0, "repeat": 0, "status": "ok"}
    return {**base, "metrics": [("acc,none", 1.0)]} | fields


def write(tmp_path, trials, responses):
    with export_folder(tmp_path / "out", "lm-eval") as place:
        write_lm_eval(
            pa.Table.from_pylist(responses, schema=RESPONSES),
            pa.Table.from_pylist(trials, schema=TRIALS),
            place,
        )
    return sorted(
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    )


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "..", ".", "a\0b", "a\nb", "~root", "x" * 999],
)
def test_names_are_no_paths(name, tmp_path):
    one = trial(attempt_id="a", model=name, task=name, output_type="generate_until")
    files = write(tmp_path, [one], [response(attempt_id="a", text="x")])
    loaded = load_results([tmp_path / "out"])

    assert len(files) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert loaded.problems == ()
    assert loaded.responses["model"].tolist() == [name]


def test_two_tasks_whose_names_become_one_stay_two(tmp_path):
    trials = [
        trial(attempt_id=name, task=f"a{name}b", output_type="generate_until")
        for name in ("/", "|")
    ]
    files = write(
        tmp_path, trials, [response(attempt_id=n, text="x") for n in ("/", "|")]
    )

    assert len(files) == 4


def test_trials_of_one_task_under_other_templates_have_runs_of_their_own(tmp_path):
    trials = [
        trial(attempt_id=name, template=name, output_type="generate_until")
        for name in ("a", "b")
    ]
    write(tmp_path, trials, [response(attempt_id=n, text="x") for n in ("a", "b")])
    loaded = load_results([tmp_path / "out"])

    assert sorted(loaded.responses["template"]) == ["a", "b"]


def test_statuses_filters_and_repeats_come_back(tmp_path):
    one = trial(attempt_id="a", output_type="generate_until", repeats=2)
    rows = [
        response(
            attempt_id="a",
            repeat=repeat,
            text=f"<script>{repeat}",
            answer=f"{repeat}",
            metrics=[("exact_match,strict", float(repeat)), ("f1,strict", 0.5)],
        )
        for repeat in (0, 1)
    ]
    rows += [
        response(attempt_id="a", item_index=1, repeat=r, status="error", metrics=[])
        for r in (0, 1)
    ]
    write(tmp_path, [one], rows)
    back = load_results([tmp_path / "out"]).responses

    assert back["status"].tolist() == ["ok", "ok", "error", "error"]
    assert back["answer"].tolist()[:2] == ["0", "1"]
    assert [dict(m) for m in back["metrics"]] == [dict(r["metrics"]) for r in rows]


def test_several_filters_are_several_lines(tmp_path):
    one = trial(attempt_id="a", output_type="generate_until")
    metrics = [("exact_match,strict", 0.0), ("exact_match,flexible", 1.0)]
    write(tmp_path, [one], [response(attempt_id="a", text="x", metrics=metrics)])
    [samples] = (tmp_path / "out").rglob("samples*.jsonl")
    back = load_results([tmp_path / "out"]).responses

    assert len(samples.read_text().splitlines()) == 2
    assert dict(back["metrics"].iloc[0]) == dict(metrics)


def test_likelihoods_that_are_no_numbers_come_back_without_a_score(tmp_path):
    one = trial(attempt_id="a", output_type="loglikelihood")
    rows = [
        response(
            attempt_id="a",
            target="x",
            target_logprob=float("nan"),
            status="nan-logprob",
            metrics=None,
        ),
        response(
            attempt_id="a",
            item_index=1,
            target="é",
            target_logprob=-1.5,
            target_is_greedy=True,
            target_bytes=2,
            target_tokens=1,
        ),
    ]
    write(tmp_path, [one], rows)
    back = load_results([tmp_path / "out"]).responses

    assert back["status"].tolist() == ["nan-logprob", "ok"]
    assert back["target_logprob"].iloc[1] == -1.5
    assert back["target_is_greedy"].tolist()[1]
    assert back["target_tokens"].tolist()[1] == 1


# ---- what anybody may write into such files ------------------------------------------

ROW = {"item_id": "x", "choice_logprobs": [-1.0, -2.0], "metrics": [("a", 1.0)]}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"choice_chars": [1, 2]}, {"choice_chars": [1, 2]}),
        ({"choice_chars": [1]}, {}),
        ({"choice_chars": [1, "2"]}, {}),
        ({"choice_chars": [1, 2**40]}, {}),
        ({"target_index": 1, "target_bytes": True}, {"target_index": 1}),
        ({"target_logprob": -1, "target_is_greedy": 0}, {"target_logprob": -1}),
        ({"target_logprob": 10**400}, {}),
        ({"cluster": "c", "prompt_digest": 5}, {"cluster": "c"}),
        ({"cluster": "\ud800"}, {}),
        ({"text": "x", "repeat": 5, "item_index": 9, "metrics": {}}, {}),
        ({"status": ["refused"]}, {"status": "refused"}),
        ({"status": 5}, {}),
        ({"nonsense": {}}, {}),
    ],
)
def test_only_what_fits_its_column_is_taken_from_a_document(said, kept):
    doc = json.dumps({"item_id": "0123456789abcdef", **said}).encode()
    [row] = own_rows(doc, None, [ROW])

    own = {**ROW, "item_id": "0123456789abcdef", **kept}
    assert {name: value for name, value in row.items() if value is not None} == own


def test_lengths_that_a_store_does_not_know_stay_unknown(tmp_path):
    one = trial(attempt_id="a", output_type="multiple_choice")
    row = response(attempt_id="a", choice_logprobs=[-1.0, -2.0], target_index=0)
    write(tmp_path, [one], [row])
    back = load_results([tmp_path / "out"]).responses

    assert back["choice_chars"].isna().all()
    assert back["prompt_digest"].isna().all()
    assert back["target_index"].tolist() == [0]


@pytest.mark.parametrize(
    "doc",
    [
        b'{"question": "?", "item_id": "0123456789abcdef"}',
        b'{"item_id": "Q-17", "question": "?"}',
        b'{"item_id": 17}',
    ],
)
def test_documents_of_others_stay_theirs(doc):
    assert own_rows(doc, None, [ROW]) == [ROW]


def test_only_what_fits_its_column_is_taken_of_a_trial():
    said = {
        "step": "10",
        "train_seed": 3,
        "attempt_id": "x",
        "versions": {},
        "dtype": 1,
    }

    assert own_trial({"evalvar": {"t": said}}, "t") == {"train_seed": 3}
    assert own_trial({"evalvar": []}, "t") == own_trial({}, "t") == {}
