"""Files of lm-eval of all ages, written after its own sources; small, and made up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TIME = "2026-11-25T03-17-00.123456"

ANIMALS = ("cat", "dog", "bird", "fish")


def doc(i: int) -> dict[str, Any]:
    """Return a made-up item with four choices."""
    return {
        "question": f"Which is number {i}?",
        "choices": [*ANIMALS[i % 4 :], *ANIMALS[: i % 4]],
        "gold": (i * 3) % 4,
        "passage": f"p{i // 2}",
    }


def logprobs(i: int, shift: float = 0.0) -> list[float]:
    """Return made-up log-likelihoods of an item's choices."""
    return [-1.0 - ((i * 7 + 3 * c) % 5) - shift * (c == 0) for c in range(4)]


def choice_sample(i: int, *, shift: float = 0.0, few: str = "", **more: Any) -> dict:
    """Return a sample of a task with choices, as 0.4.7 and later log it."""
    item = doc(i)
    lls = logprobs(i, shift)
    best = lls.index(max(lls))
    per_char = [ll / len(c) for ll, c in zip(lls, item["choices"], strict=True)]
    prompt = f"{few}Question: {item['question']}\nAnswer:"
    return {
        "doc_id": i,
        "doc": item,
        "target": str(item["gold"]),
        "arguments": {
            f"gen_args_{c}": {"arg_0": prompt, "arg_1": f" {choice}"}
            for c, choice in enumerate(item["choices"])
        },
        "resps": [[[str(ll), "False"]] for ll in lls],
        "filtered_resps": [[str(ll), "False"] for ll in lls],
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "doc_hash": _hash(json.dumps(item, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(str(item["gold"])),
        "acc": float(best == item["gold"]),
        "acc_norm": float(per_char.index(max(per_char)) == item["gold"]),
        **more,
    }


def text_sample(
    i: int,
    texts: Sequence[str],
    answer: str,
    *,
    filter_: str = "none",
    score: float | None = None,
    **more: Any,
) -> dict:
    """Return a sample of a generation task; the right answer is ``i``."""
    item = {"question": f"{i} + 0 =", "answer": str(i)}
    return {
        "doc_id": i,
        "doc": item,
        "target": str(i),
        "arguments": {
            "gen_args_0": {"arg_0": f"{i} + 0 =", "arg_1": {"until": ["\n"]}}
        },
        "resps": [list(texts)],
        "filtered_resps": [answer],
        "filter": filter_,
        "metrics": ["exact_match"],
        "doc_hash": _hash(json.dumps(item, indent=2)),
        "prompt_hash": _hash(f"{i} + 0 ="),
        "target_hash": _hash(str(i)),
        "exact_match": float(answer == str(i)) if score is None else score,
        **more,
    }


def results(
    tasks: dict[str, dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """Return the results of a run, as 0.4.9 writes them.

    Parameters
    ----------
    tasks : dict
        By name the configuration of each task, over that of `choice_sample`.
    """
    tasks = tasks or {"toy_mc": {}}
    configs = {
        name: {
            "task": name,
            "dataset_path": "json",
            "output_type": "multiple_choice",
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "target_delimiter": " ",
            "num_fewshot": 0,
            "metadata": {"version": 1.0},
            **config,
        }
        for name, config in tasks.items()
    }
    made = {
        "results": {
            name: {"alias": name, "acc,none": 0.5, "acc_stderr,none": 0.25}
            for name in tasks
        },
        "group_subtasks": {name: [] for name in tasks},
        "configs": configs,
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {name: {"acc": True} for name in tasks},
        "n-samples": {name: {"original": 6, "effective": 6} for name in tasks},
        "config": {
            "model": "hf",
            "model_args": "pretrained=acme/toy-1b-seed3,revision=step1000",
            "model_dtype": "torch.float32",
            "model_revision": "step1000",
            "model_sha": "0123abcd",
            "batch_size": "8",
            "batch_sizes": [],
            "device": "cpu",
            "limit": None,
            "gen_kwargs": None,
            "random_seed": 0,
            "numpy_seed": 1234,
            "torch_seed": 7,
            "fewshot_seed": 11,
        },
        "git_hash": "abc",
        "date": 1764040000.5,
        "pretty_env_info": "PyTorch version: 2.13.0+cpu\nIs debug build: False",
        "transformers_version": "5.23.0",
        "lm_eval_version": "0.4.9",
        "model_source": "hf",
        "model_name": "acme/toy-1b-seed3",
        "model_name_sanitized": "acme__toy-1b-seed3",
        "system_instruction": None,
        "chat_template": None,
        "fewshot_as_multiturn": False,
        "total_evaluation_time_seconds": "12.5",
    }
    return made | more


def write_run(
    folder: Path,
    samples: dict[str, list[dict[str, Any]]] | None = None,
    *,
    time: str = TIME,
    tasks: dict[str, dict[str, Any]] | None = None,
    **more: Any,
) -> Path:
    """Write a run as 0.4.3 and later do; returns the folder of the model."""
    samples = (
        {"toy_mc": [choice_sample(i) for i in range(6)]} if samples is None else samples
    )
    made = results(tasks or {name: {} for name in samples} or None, **more)
    where = folder / str(made["model_name_sanitized"])
    where.mkdir(parents=True, exist_ok=True)
    (where / f"results_{time}.json").write_text(json.dumps(made, indent=2))
    for task, some in samples.items():
        write_samples(where / f"samples_{task}_{time}.jsonl", some)
    return where


def write_samples(path: Path, samples: Sequence[dict[str, Any]]) -> Path:
    """Write one sample a line."""
    lines = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def as_of_043(sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample as 0.4.3 to 0.4.6 log it: it names no filter and no metrics."""
    return {k: v for k, v in sample.items() if k not in ("filter", "metrics")}


def as_of_040(sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample as 0.4.0 to 0.4.2 log it: lists, numbers, and no hashes."""
    old = {k: v for k, v in as_of_043(sample).items() if not k.endswith("_hash")}
    old["arguments"] = [list(one.values()) for one in sample["arguments"].values()]
    if "acc" in sample:
        old["target"] = int(sample["target"])
        old["resps"] = [[[float(r[0][0]), False]] for r in sample["resps"]]
        old["filtered_resps"] = [r[0] for r in old["resps"]]
    return old


def _hash(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()
