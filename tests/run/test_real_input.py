"""GGUF checkpoints, the script that brings the real suite's input, and its traps."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

import pytest

from harness.checkpoints import find_checkpoints
from harness.errors import CheckpointError, SuiteError
from harness.suite import Suite

SUITES = Path(__file__).parents[2] / "suites"


def suite_of(**checkpoint) -> Suite:
    entry = {"model": "toy", **checkpoint}
    return Suite(suite="toy", checkpoints=[entry], tasks=["arc_easy"])


@pytest.fixture
def gguf(tmp_path):
    """Made of bytes that only their digest is taken of."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "toy.gguf").write_bytes(b"GGUF")
    return folder


# ---- GGUF ------------------------------------------------------------------------


def test_a_gguf_file_brings_its_tokenizer(gguf, tmp_path):
    suite = suite_of(folder="model", gguf_file="toy.gguf")
    (alone,) = find_checkpoints(suite, tmp_path, None)
    (gguf / "tokenizer.json").write_text("{}")
    (beside,) = find_checkpoints(suite, tmp_path, None)

    assert alone.gguf_file == "toy.gguf"
    assert alone.weights_digest == beside.weights_digest
    # transformers prefers the tokenizer that lies beside it.
    assert alone.tokenizer_digest != beside.tokenizer_digest


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({}, "not-a-checkpoint", "gguf_file:, such as toy.gguf"),
        ({"gguf_file": "other.gguf"}, "not-a-checkpoint", "other.gguf"),
        (
            {"gguf_file": "toy.gguf", "tokenizer": "empty"},
            "tokenizer-missing",
            "tokenizer:",
        ),
    ],
)
def test_what_is_wrong_with_a_gguf_checkpoint_is_said(
    gguf, tmp_path, changes, code, says
):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=says) as caught:
        find_checkpoints(suite_of(folder="model", **changes), tmp_path, None)

    assert caught.value.code == code


@pytest.mark.lm_eval
@pytest.mark.parametrize("tokenizer", [None, "elsewhere"])
def test_a_tokenizer_of_its_own_folder_is_not_looked_for_in_the_gguf(
    monkeypatch, tmp_path, tokenizer
):
    import transformers

    import harness.run.weights
    from harness.records import Checkpoint
    from harness.run.backend import Placement
    from harness.run.weights import read_checkpoint

    asked = []
    monkeypatch.setattr(harness.run.weights, "content_digests", lambda *_: ("w", "t"))

    class Model:
        def named_parameters(self):
            return []

    monkeypatch.setattr(
        transformers.AutoTokenizer,
        "from_pretrained",
        lambda folder, **options: asked.append((str(folder), options)),
    )
    monkeypatch.setattr(
        transformers.AutoModelForCausalLM,
        "from_pretrained",
        lambda folder, **options: (Model(), asked.append((str(folder), options)) or {}),
    )
    checkpoint = Checkpoint(
        model="toy",
        train_seed=None,
        step=None,
        weights_digest="w",
        tokenizer_digest="t",
        location=str(tmp_path),
        source="toy",
        gguf_file="toy.gguf",
        tokenizer=tokenizer,
    )
    read_checkpoint(checkpoint, Placement())
    (vocabulary, of_tokenizer), (weights, of_model) = asked

    assert vocabulary == (tokenizer or str(tmp_path))
    assert of_tokenizer.get("gguf_file") == (None if tokenizer else "toy.gguf")
    assert (weights, of_model["gguf_file"]) == (str(tmp_path), "toy.gguf")


# ---- the script ------------------------------------------------------------------


@pytest.fixture
def prepare():
    path = SUITES / "smollm2" / "prepare.py"
    spec = importlib.util.spec_from_file_location("prepare", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ARC = {"query": "Question: Why?\nAnswer:", "choices": ["a", "b", "c"], "gold": 2}

SCIQ = {
    "question": "Which?",
    "support": "It is the third.",
    "distractor1": "one",
    "distractor2": "two",
    "distractor3": "two",
    "correct_answer": "three",
    "query": "Question: Which?\n A. two\n B. three\n C. one\n D. two\nAnswer:",
    "choices": ["A", "B", "C", "D"],
    "gold": 1,
}


def test_each_item_is_written_once_and_the_same_again(prepare, tmp_path, capsys):
    requests = [
        {"native_id": native_id, "doc": ARC, "label": 2, "idx": idx}
        for native_id in ("x", "y")
        for idx in (0, 1, 2, 0, 1, 2)  # again without the question
    ]
    source, path = tmp_path / "requests.jsonl.gz", tmp_path / "items.jsonl"
    with gzip.open(source, "wt") as file:
        file.writelines(json.dumps(request) + "\n" for request in requests)
    prepare.write_items(source, prepare.arc_item, path)
    before = path.stat()
    prepare.write_items(source, prepare.arc_item, path)
    items = [json.loads(line) for line in path.read_text().splitlines()]

    assert [item["native_id"] for item in items] == ["x", "y"]
    assert items[0]["question"] == "Why?"
    assert (items[0]["choices"], items[0]["gold"]) == (["a", "b", "c"], 2)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(tmp_path.iterdir()) == [path, source]
    assert "2 items" in capsys.readouterr().out


def test_choices_stand_in_the_order_of_the_question_asked(prepare):
    item = prepare.sciq_item("7", SCIQ)

    assert item["choices"] == ["two", "three", "one", "two"]
    assert item["choices"][item["gold"]] == "three"
    assert item["support"] == "It is the third."


def test_short_items_alone_are_kept(prepare, tmp_path, capsys):
    passages = ["", "It is the third.", "It is the third of all those that came."]
    source, path = tmp_path / "requests.jsonl.gz", tmp_path / "items.jsonl"
    with gzip.open(source, "wt") as file:
        for native_id, support in enumerate([*passages, "word " * 46]):
            doc = SCIQ | {"support": support}
            file.write(json.dumps({"native_id": native_id, "doc": doc}) + "\n")
    prepare.write_items(source, prepare.sciq_item, path, prepare.is_short)
    items = [json.loads(line) for line in path.read_text().splitlines()]

    assert [item["native_id"] for item in items] == ["2"]
    assert not prepare.is_short(items[0] | {"choices": ["", "one two three"]})
    assert "1 items" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "reward"),
    [("A Wetland.", 1.0), ("wetlands", 1.0), ("wet land", 0.0), ("", 0.0)],
)
def test_an_answer_is_right_where_the_right_choice_stands_in_it(text, reward):
    path = SUITES / "smollm2" / "answers.py"
    spec = importlib.util.spec_from_file_location("answers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    doc = {"choices": ["tundra", "wetland"], "gold": 1}

    assert module.contains(doc, [text]) == {"contains": reward}


@pytest.mark.parametrize(
    ("item_of", "doc"),
    [("arc_item", ARC | {"query": "Q: Why?"}), ("sciq_item", SCIQ | {"gold": 0})],
)
def test_items_that_are_put_otherwise_are_refused(prepare, item_of, doc):
    with pytest.raises(SystemExit, match="not as in the version tested"):
        getattr(prepare, item_of)("7", doc)


def test_a_missing_package_is_said_in_one_line(prepare):
    with pytest.raises(SystemExit) as caught:
        prepare.find("no-such-package", lambda _: True)

    assert str(caught.value) == (
        "prepare.py: no-such-package is not installed; "
        "run `pip install --no-deps no-such-package`"
    )


# ---- traps -----------------------------------------------------------------------


def described(folder: Path, golds, **body):
    from harness.records import TaskRequest
    from harness.run.lm_eval import LMEvalBackend

    docs = [
        {"question": f"q{i}", "options": ["p", "q", "r", "s"], "gold": gold}
        for i, gold in enumerate(golds)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    config = {
        "task": "toy",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "items.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{gold}}",
        **body,
    }
    (folder / "toy.yaml").write_text(json.dumps(config))
    request = TaskRequest(task="toy", task_paths=(str(folder),), formulation="choice")
    (info,) = LMEvalBackend().describe([request])
    return info


@pytest.mark.lm_eval
def test_letters_are_refused_where_the_right_one_is_always_the_same(tmp_path):
    """In lm-eval's own sciq it is the last choice throughout."""
    with pytest.raises(SuiteError, match="30 right answers are choice D") as caught:
        described(tmp_path, [3] * 30)
    assert caught.value.code == "no-formulation"

    assert described(tmp_path, [3] * 29 + [0]).formulation == "choice"
    assert described(tmp_path, [3] * 5).formulation == "choice"


@pytest.mark.lm_eval
def test_a_missing_data_file_is_said(tmp_path):
    files = {"data_files": {"test": "absent.jsonl"}}
    with pytest.raises(SuiteError, match=r"no data file absent\.jsonl") as caught:
        described(tmp_path, [0, 1], dataset_kwargs=files)

    assert caught.value.code == "task-invalid"
