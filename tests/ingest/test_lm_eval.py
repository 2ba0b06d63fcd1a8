"""What of lm-eval's files goes where, for all of its versions."""

from __future__ import annotations

import datetime
from pathlib import Path

from ingest.lm_eval_files import choice_sample, write_run

from harness.ingest.load import load_results
from harness.records import Template, digest
from harness.stats.scores import score_responses


def test_a_run_says_who_answered_what_and_how(tmp_path: Path) -> None:
    write_run(tmp_path)

    loaded = load_results([tmp_path])
    (trial,) = loaded.trials.to_dict("records")
    assert not loaded.problems
    assert loaded.unknown == {}
    assert {name: trial[name] for name in (
        "model", "train_seed", "step", "task", "template", "formulation",
        "num_fewshot", "generation", "fewshot_seed", "sample_seed", "task_version",
        "output_type", "sampled", "n_items", "n_items_total", "repeats", "dtype",
        "batch_size", "backend", "device", "suite", "revision", "status",
    )} == {
        "model": "acme/toy-1b", "train_seed": 3, "step": 1000, "task": "toy_mc",
        "template": "default", "formulation": "cloze", "num_fewshot": 0,
        "generation": "", "fewshot_seed": 11, "sample_seed": 7, "task_version": "1.0",
        "output_type": "multiple_choice", "sampled": False, "n_items": 6,
        "n_items_total": 6, "repeats": 1, "dtype": "float32", "batch_size": 8,
        "backend": "lm-eval 0.4.9", "device": "cpu", "suite": "import",
        "revision": "0123abcd", "status": "done",
    }  # fmt: skip
    assert dict(trial["versions"]) == {
        "lm_eval": "0.4.9", "transformers": "5.23.0", "torch": "2.13.0+cpu",
    }  # fmt: skip
    assert trial["template_digest"] == Template(name="default").digest
    ended = datetime.datetime.fromtimestamp(1764040013, datetime.UTC)
    assert trial["finished_at"].to_pydatetime() == ended
    assert trial["location"].endswith(".jsonl")


def test_a_sample_has_the_evidence_of_our_own_answers(tmp_path: Path) -> None:
    write_run(tmp_path)

    scored = score_responses(load_results([tmp_path]).responses)
    first, sample = scored.iloc[0], choice_sample(0)
    assert first["item_id"] == digest(sample["doc"])
    assert first["prompt_digest"] == digest(sample["arguments"]["gen_args_0"]["arg_0"])
    assert list(first["choice_logprobs"]) == [-1.0, -4.0, -2.0, -5.0]
    assert list(first["choice_chars"]) == [3, 3, 4, 4]
    assert first["target_index"] == 0
    for name in ("acc", "acc_norm"):
        theirs = [choice_sample(i)[name] for i in range(6)]
        assert scored[name].tolist() == theirs
        assert [dict(m)[f"{name},none"] for m in scored["metrics"]] == theirs
