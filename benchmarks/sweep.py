"""How much faster is one sweep than one lm_eval command per checkpoint?

Evaluates the same checkpoints, tasks and items both ways, in one go on one machine,
start-up included, checks that every score is the same, and prints the ratio of wall
times, and how much longer our workers take than the models' own forward passes and
generation, below which no runner can go: in all, and once a worker is warm.

    tox run -e bench
    python benchmarks/sweep.py --seeds 3 --items 200 --at-once 1
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.store import Store
from harness.zoo import QUICKSTART, ZooSpec, build_zoo, default_root

TASKS = ("zoo_agreement", "zoo_facts_cloze", "zoo_facts_choice", "zoo_arithmetic")

STEPS = (40, 160, 320, 640)

BUILT_SECONDS = 0.01
"""A trial that spends less on prompts and tokens found them in memory."""

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def main() -> None:
    """Run both ways, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="of four steps each")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument(
        "--at-once", type=int, default=1, help="lm_eval commands that run at once"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()

    spec = ZooSpec(
        models=QUICKSTART.models[-1:],
        train_seeds=tuple(range(options.seeds)),
        steps=STEPS,
        n_items=options.items,
    )
    root = default_root().parent / spec.digest
    build_zoo(spec, root)
    checkpoints = [
        root / spec.models[0].name / f"seed{seed}" / f"step{step}"
        for seed in spec.train_seeds
        for step in STEPS
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        suite = write_suite(folder, root, options)
        ours = evalvar(suite, folder / "store")
        theirs = command_line(root, checkpoints, folder, options)
        differing, compared = compare(folder / "store", folder / "lm_eval", checkpoints)
    asked = len(checkpoints) * len(TASKS) * options.items
    if compared < asked:  # a metric or more for each
        sys.exit(f"lm_eval wrote {compared} values, {asked} answers were asked for")
    figures = {
        "checkpoints": len(checkpoints),
        "tasks": len(TASKS),
        "items": options.items,
        "lm_eval_commands_at_once": options.at_once,
        "values_compared": compared,
        "values_that_differ": differing,
        "evalvar": ours,
        "lm_eval": theirs,
        "times_faster": theirs["wall"] / ours["wall"],
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    if differing:
        sys.exit(f"{differing} values differ")


def write_suite(folder: Path, root: Path, options: argparse.Namespace) -> Path:
    """Write the suite of this benchmark; JSON is YAML."""
    suite = {
        "suite": "benchmark",
        "task_paths": [str(root / "tasks")],
        "checkpoints": [
            {"pattern": f"{root}/{{model}}/seed{{train_seed}}/step{{step}}"}
        ],
        "tasks": list(TASKS),
        "resources": {"batch_size": options.batch_size},
    }
    path = folder / "suite.yaml"
    path.write_text(json.dumps(suite))
    return path


def evalvar(suite: Path, store: Path) -> dict[str, float]:
    """Run our command, and read from its store where the time went."""
    command = [sys.executable, "-m", "harness", "run", str(suite), "--store", store]
    wall = timed([command], 1)
    trials = Store(store).trials().to_pandas()
    forward, load = trials["forward_seconds"].sum(), trials["load_seconds"].sum()
    # A worker's first checkpoint pays for imports, prompts and tokens.
    started = trials.groupby(["train_seed", "step"])["build_seconds"].transform("max")
    later = trials[started < BUILT_SECONDS]
    return {
        "wall": wall,
        "trial_seconds": trials["seconds"].sum(),
        "load_seconds": load,
        "build_seconds": trials["build_seconds"].sum(),
        "forward_seconds": forward,
        "all_over_forward": trials["seconds"].sum() / forward,
        "later_checkpoints": len(later) // len(TASKS),
        "later_over_forward": later["seconds"].sum() / later["forward_seconds"].sum(),
        "forward_share_of_cores": forward / (wall * len(os.sched_getaffinity(0))),
    }


def command_line(
    root: Path,
    checkpoints: list[Path],
    folder: Path,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Run one lm_eval command per checkpoint."""
    commands = [
        [
            *(sys.executable, "-m", "lm_eval", "run", "--model", "hf"),
            *("--model_args", f"pretrained={path},dtype=float32"),
            *("--include_path", str(root / "tasks"), "--tasks", ",".join(TASKS)),
            *("--batch_size", options.batch_size, "--device", "cpu", "--log_samples"),
            *("--output_path", folder / "lm_eval" / name_of(path)),
        ]
        for path in checkpoints
    ]
    wall = timed(commands, options.at_once)
    return {"wall": wall, "wall_per_command": wall / len(commands)}


def timed(commands: list[list[object]], at_once: int) -> float:
    """Run commands, `at_once` of them at a time; return the wall time in seconds."""
    threads = "1" if at_once > 1 else str(len(os.sched_getaffinity(0)))
    environment = {**os.environ, **OFFLINE, "OMP_NUM_THREADS": threads}

    def call(command: list[object]) -> None:
        done = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")

    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(call, commands))
    return time.monotonic() - began


def compare(store: Path, results: Path, checkpoints: list[Path]) -> tuple[int, int]:
    """Count the values that differ between the two ways, and all that were compared."""
    frame = Store(store).responses(
        ["train_seed", "step", "task", "item_index", "metrics"]
    )
    ours = {
        (row.train_seed, row.step, row.task, row.item_index): dict(row.metrics)
        for row in frame.itertuples()
    }
    differing = compared = 0
    for path in checkpoints:
        seed = int(path.parent.name.removeprefix("seed"))
        step = int(path.name.removeprefix("step"))
        for file in (results / name_of(path)).rglob("samples_*.jsonl"):
            task = file.name.removeprefix("samples_").rpartition("_20")[0]
            for line in file.read_text().splitlines():
                sample = json.loads(line)
                mine = ours[seed, step, task, sample["doc_id"]]
                for metric in sample["metrics"]:
                    compared += 1
                    value = mine[f"{metric},{sample['filter']}"]
                    differing += value != sample[metric]
    return differing, compared


def name_of(path: Path) -> str:
    """Return a folder name for a checkpoint's results."""
    return f"{path.parent.name}-{path.name}"


if __name__ == "__main__":
    for tool in ("lm_eval",):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed: pip install 'evalvar[run]'")
    main()
