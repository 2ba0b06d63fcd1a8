"""Does lm-eval's own command line say the same? Log-likelihood by log-likelihood.

Puts the ARC-Easy items of a finished run to the same model with `python -m lm_eval
run`, by text and by letter, and compares every choice's log-likelihood and every
metric with those in the store. The wording by letter is written out here in Jinja, so
that it does not come from the code that is checked.

    python suites/smollm2/check.py results/smollm2
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.records import digest
from harness.store import Store
from harness.suite import FolderCheckpoint, load_suite

HERE = Path(__file__).resolve().parent
TASK = "arc_easy_test"

BY_LETTER = r"""
doc_to_text: "Question: {{question}}\n\
  {% for choice in choices %}{{'ABCDE'[loop.index0]}}. {{choice}}\n{% endfor %}Answer:"
doc_to_choice: "{{'ABCDE'[:choices|length]|list}}"
doc_to_target: "{{gold}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""

TOLERANCE = 1e-4
"""In nats: what float32 sums may differ by when they are batched differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One trial beside lm-eval's answers to it."""

    formulation: str
    n_items: int
    n_logprobs: int
    max_difference: float
    n_other_metrics: int


def main() -> None:
    """Run lm-eval once for both formulations, compare, print; fail if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", nargs="?", default="results/smollm2")
    store = parser.parse_args().store
    columns = [
        *("formulation", "item_id", "item_index", "prompt_digest"),
        *("choice_logprobs", "metrics"),
    ]
    rows = Store(store).responses(columns, task=TASK)
    if rows.empty:
        sys.exit(f"check.py: {store} has no finished trial of {TASK}")
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        theirs = command_line(Path(scratch), rows)
        seconds = time.monotonic() - began
    found = [
        compare(str(formulation), of, theirs[str(formulation)])
        for formulation, of in rows.groupby("formulation", observed=True)
    ]
    print(
        "| formulation | items | log-likelihoods | max abs. difference | metrics off |"
    )
    print("|---|---|---|---|---|")
    for one in found:
        print(
            f"| {one.formulation} | {one.n_items} | {one.n_logprobs} "
            f"| {one.max_difference:.2g} | {one.n_other_metrics} |"
        )
    print(f"\nlm_eval took {seconds:.0f} s")
    if any(c.max_difference > TOLERANCE or c.n_other_metrics for c in found):
        sys.exit(f"check.py: lm-eval's command line differs by more than {TOLERANCE}")


def command_line(folder: Path, rows: Any) -> dict[str, list[dict[str, Any]]]:
    """Return lm-eval's samples of both formulations, on the items of `rows`."""
    tasks = {"cloze": TASK, "choice": f"{TASK}_by_letter"}
    own = (HERE / f"{TASK}.yaml").read_text()
    head = own[: own.index("doc_to_text:")].replace(TASK, tasks["choice"])
    (folder / "tasks").mkdir()
    (folder / "tasks" / f"{TASK}.yaml").write_text(own)
    (folder / "tasks" / "by_letter.yaml").write_text(head + BY_LETTER)
    suite = load_suite(HERE.parent / "smollm2.yaml")
    (checkpoint,) = (c for c in suite.checkpoints if isinstance(c, FolderCheckpoint))
    model = {
        "pretrained": (HERE.parent / checkpoint.folder).resolve(),
        "gguf_file": checkpoint.gguf_file,
        "dtype": suite.resources.dtype,
    }
    # Ascending, for otherwise lm-eval answers one item under the name of another.
    items = {
        tasks[formulation]: sorted(map(int, of.item_index))
        for formulation, of in rows.groupby("formulation", observed=True)
    }
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf"),
        *("--model_args", ",".join(f"{key}={value}" for key, value in model.items())),
        *("--include_path", folder / "tasks", "--tasks", ",".join(items)),
        *("--samples", json.dumps(items), "--log_samples"),
        *("--batch_size", suite.resources.batch_size, "--device", "cpu"),
        *("--output_path", folder / "out"),
    ]
    environment = {
        **os.environ,
        "HF_HOME": str(folder / "huggingface"),  # no data cached by earlier runs
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(
        list(map(str, command)),
        cwd=HERE,  # where the tasks' relative paths start
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"check.py: lm_eval failed\n{done.stderr[-3000:]}")
    return {
        formulation: samples(folder / "out", task)
        for formulation, task in tasks.items()
        if task in items
    }


def samples(folder: Path, task: str) -> list[dict[str, Any]]:
    """Return what lm-eval logged for a task."""
    (file,) = folder.rglob(f"samples_{task}_20*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def compare(formulation: str, rows: Any, logged: list[dict[str, Any]]) -> Comparison:
    """Hold one trial to lm-eval's samples, prompts and items included."""
    ours = rows.set_index("item_index")
    if sorted(ours.index) != sorted(sample["doc_id"] for sample in logged):
        sys.exit(f"check.py: {formulation}: lm_eval answered other items")
    differences: list[float] = []
    n_other_metrics = 0
    for sample in logged:
        row = ours.loc[sample["doc_id"]]
        prompt = sample["arguments"]["gen_args_0"]["arg_0"]
        if (row.item_id, row.prompt_digest) != (digest(sample["doc"]), digest(prompt)):
            sys.exit(f"check.py: {formulation}: lm_eval asked otherwise: {prompt!r}")
        theirs = [float(response[0][0]) for response in sample["resps"]]
        pairs = zip(row.choice_logprobs, theirs, strict=True)
        differences += [abs(mine - other) for mine, other in pairs]
        of = {f"{name},none": float(sample[name]) for name in sample["metrics"]}
        n_other_metrics += dict(row.metrics) != of
    return Comparison(
        formulation=formulation,
        n_items=len(logged),
        n_logprobs=len(differences),
        max_difference=max(differences),
        n_other_metrics=n_other_metrics,
    )


if __name__ == "__main__":
    if importlib.util.find_spec("lm_eval") is None:
        sys.exit("check.py: lm_eval is not installed: pip install 'evalvar[gguf]'")
    main()
