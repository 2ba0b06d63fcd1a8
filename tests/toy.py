"""Small real checkpoints and tasks: random weights, real files, real lm-eval YAML."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = [
    *("the a of is in and to . , : ? A B C D Question Answer choices".split()),
    *("red blue green cat dog bird sat ran flew on mat log sky".split()),
    *("one two three four five six".split()),
]


def make_checkpoint(
    folder: Path, seed: int = 0, *, vocabulary: list[str] | None = None
):
    """Save a tiny random Llama with a word-level tokenizer; returns the folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<eos>", "<pad>", *(vocabulary or WORDS)]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        eos_token="<eos>",
        bos_token="<eos>",
        pad_token="<pad>",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(words),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                max_position_embeddings=256,
                initializer_range=0.4,
                tie_word_embeddings=False,
                bos_token_id=1,
                eos_token_id=1,
                pad_token_id=2,
            )
        )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def make_files(
    folder: Path, *, weights: str = "weights", tokenizer: str = "words"
) -> Path:
    """Write files that are a checkpoint to all but transformers; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors").write_text(weights)
    (folder / "tokenizer.json").write_text(json.dumps({"model": tokenizer}))
    return folder


def make_tasks(folder: Path, n_items: int = 12) -> Path:
    """Write a few small tasks over one data file; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    places = ["mat", "log", "sky"]
    animals, colours = ["cat", "dog", "bird"], ["red", "blue", "green", "one"]
    docs = [
        {
            "question": f"the {animals[i % 3]} sat on the {places[i % 3]} "
            f"and is {colours[(i * 7) % 4]} {('two', 'three', 'five')[i % 3]} : {i}",
            "options": [*colours[i % 4 :], *colours[: i % 4]],
            "gold": (i * 5) % 4,
        }
        for i in range(n_items + 8)
    ]
    for name, some in {"test": docs[:n_items], "train": docs[n_items:]}.items():
        text = "".join(json.dumps(doc) + "\n" for doc in some)
        (folder / f"{name}.jsonl").write_text(text)
    head = {
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {
                "train": str(folder / "train.jsonl"),
                "test": str(folder / "test.jsonl"),
            }
        },
        "training_split": "train",
        "test_split": "test",
        "fewshot_split": "train",
        "metadata": {"version": 1.0},
    }
    choice = {
        "output_type": "multiple_choice",
        "doc_to_text": "Question : {{question}} Answer :",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{gold}}",
        "metric_list": [
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
            {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True},
        ],
    }
    generate = {
        "output_type": "generate_until",
        "doc_to_text": "Question : {{question}} Answer :",
        "doc_to_target": "{{options[gold]}}",
        "num_fewshot": 2,
        "generation_kwargs": {"until": ["."], "max_gen_toks": 3, "do_sample": False},
        "metric_list": [
            {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
        ],
    }
    tasks = {
        "toy_cloze": {**choice, "num_fewshot": 0},
        "toy_cloze_shots": {**choice, "num_fewshot": 3},
        "toy_generate": generate,
        "toy_sampled": {
            **generate,
            "generation_kwargs": {
                "until": ["."],
                "max_gen_toks": 3,
                "do_sample": True,
                "temperature": 1.0,
            },
            "repeats": 3,
        },
        "toy_last_word": {
            "output_type": "loglikelihood",
            "doc_to_text": "{{question}}",
            "doc_to_target": " {{options[gold]}}",
            "num_fewshot": 0,
            "metric_list": [
                {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
            ],
        },
    }
    for name, body in tasks.items():
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps({"task": name, **head, **body}))
    return folder


SUITE = """
suite: toy
task_paths: [tasks]
checkpoints:
  - pattern: runs/{model}/seed{train_seed}/step{step}
tasks:
  - toy_cloze
  - {task: toy_cloze, formulation: choice}
  - toy_cloze_shots
  - toy_generate
  - toy_last_word
resources: {batch_size: 16}
"""


def make_world(root: Path, *, seeds=(0, 1), steps=(0, 10), suite: str = SUITE) -> Path:
    """Write checkpoints, tasks and a suite below `root`; returns the suite file."""
    for seed in seeds:
        for step in steps:
            make_checkpoint(
                root / f"runs/toy/seed{seed}/step{step}", seed=100 * step + seed
            )
    make_tasks(root / "tasks")
    path = root / "suite.yaml"
    path.write_text(suite)
    return path


def run_suite(path: Path, store: Path | str, *, execute=None, **suite_changes):
    """Plan and run a suite in this process; returns plan and result."""
    from functools import partial

    from harness.answered import answered
    from harness.plan import make_plan
    from harness.run.lm_eval import LMEvalBackend
    from harness.run.worker import run_here
    from harness.store import Store
    from harness.suite import load_suite
    from harness.sweep import LM_EVAL, placement_of, sweep

    suite = load_suite(path).model_copy(update=suite_changes)
    opened = Store.create(store)
    plan = make_plan(
        suite,
        LMEvalBackend(),
        base=path.parent,
        status=opened.status(),
        answered=partial(answered, opened),
    )
    execute = execute or partial(
        run_here,
        backend=LM_EVAL,
        placement=placement_of(plan),
        max_tries=suite.max_tries,
    )
    return plan, sweep(plan, opened, execute)


SLOW = '''
import os, time


def slowly(doc, results):
    """A metric that takes its time, and says in a file that it is being computed."""
    folder = os.path.dirname(__file__)
    with open(os.path.join(folder, "log"), "a") as log:
        log.write(f"{os.getpid()}\\n")
    time.sleep(0.02)
    while os.path.exists(os.path.join(folder, "hold")):
        time.sleep(0.02)
    logprobs = [logprob for logprob, _ in results]
    return {"acc": float(logprobs.index(max(logprobs)) == doc["gold"])}


def raising(doc, results):
    raise ZeroDivisionError("this task always raises")
'''


def make_functions(tasks: Path) -> None:
    """Add `toy_slow`, whose metric takes time, and `toy_raises`."""
    (tasks / "toy_functions.py").write_text(SLOW)
    body = json.loads((tasks / "toy_cloze.yaml").read_text())
    del body["task"], body["metric_list"]
    for name, function in {"toy_slow": "slowly", "toy_raises": "raising"}.items():
        (tasks / f"{name}.yaml").write_text(
            f"task: {name}\n"
            f"process_results: !function toy_functions.{function}\n"
            "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
            + "".join(f"{key}: {json.dumps(value)}\n" for key, value in body.items())
        )
