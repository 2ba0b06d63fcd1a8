"""How long does a comparison take, beside errorbars and evalstats?

Makes a store of models × seeds × items of four choices, as one task and as 57 such as
MMLU's, and the same scores as CSV for the peers. Each is run in a process of its own,
in turn: wall and CPU seconds from its start to its end. Ours reads the store, compares
all pairs at all tasks over items and training seeds, corrects for their number, prints
the table and writes the page. errorbars makes its leaderboard of paired tests of all
pairs, task by task; evalstats compares the models of one task. Neither knows training
seeds, nor tasks. Beside them stands the limit: reading, with pyarrow, the columns that
scores are made of.

    tox run -e bench-compare
    python benchmarks/compare.py --full --json figures.json
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

OURS = "import sys; from harness.cli import main; sys.argv[0] = 'evalvar'; main()"

ERRORBARS = """
import sys
from errorbars.inputs import load_inputs
from errorbars.leaderboard import build_leaderboard
for file in sys.argv[1:]:
    build_leaderboard(load_inputs([file]).data)
"""

EVALSTATS = """
import sys
import evalstats
data = evalstats.load_from(sys.argv[1], metric_cols={"score": "binary"},
                           col_map={"question_id": "item", "sample": "run"})
evalstats.compare(data, factors="model")
"""

LIMIT = """
import sys
import pyarrow.dataset as ds
files = ds.dataset(sys.argv[1], format="parquet", exclude_invalid_files=True)
files.to_table(columns=["attempt_id", "item_index", "choice_logprobs", "target_index"])
"""

PHASES = """
import json, sys, time
laps, last = {}, time.process_time()
def lap(name):
    global last
    now = time.process_time()
    laps[name], last = now - last, now
import harness.cli
import scipy.special
from harness.stats.compare.results import Choice
from harness.stats.compare.table import compare
from harness.report.page import render_comparison
from harness.report.sheets.compare import compare_sheets
from harness.report.sheets.sheet import as_text
from harness.store import Store
import pandas
lap("imports")
store = Store(sys.argv[1])
responses, trials = store.responses(), store.trials().to_pandas()
lap("read")
names = sorted(responses["model"].unique())
found = compare(responses, [Choice(name=n, model=n) for n in names], trials=trials)
lap("statistics")
for sheet in compare_sheets(found):
    as_text(sheet)
lap("table")
render_comparison(found, title="compared")
lap("page")
print(json.dumps(laps))
"""


def main() -> None:
    """Make the data, run everyone, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--items", type=int, default=14_042)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--full", action="store_true", help="evalstats on all models: minutes"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = {
            "load": os.getloadavg(),
            **{
                f"{n_tasks} tasks": race(Path(scratch), options, n_tasks)
                for n_tasks in (1, 57)
            },
        }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text)


def race(scratch: Path, options: Any, n_tasks: int) -> dict[str, Any]:
    """Run ours and the peers on the same answers, in turn."""
    folder = scratch / str(n_tasks)
    scores = answers(options.models, options.seeds, options.items)
    store = write_store(folder / "store", scores, n_tasks)
    files = write_csv(folder, scores, n_tasks)
    page = folder / "page.html"
    runs = {
        "evalvar compare": [OURS, "compare", store, "-o", page],
        "limit": [LIMIT, Path(store) / "responses"],
    }
    if importlib.util.find_spec("errorbars"):
        runs[peer("errorbars")] = [ERRORBARS, *files]
    if importlib.util.find_spec("evalstats") and n_tasks == 1:
        some = files if options.full else write_csv(folder / "two", scores[:2], 1)
        n_models = options.models if options.full else 2
        runs[f"{peer('evalstats')}, {n_models} models"] = [EVALSTATS, *some]
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, (program, *arguments) in runs.items():
            if options.full and name.startswith("evalstats") and laps[name]:
                continue
            laps[name].append(seconds(program, *map(str, arguments)))
    found = {
        name: {
            "wall": statistics.median(wall for wall, _ in some),
            "cpu": statistics.median(cpu for _, cpu in some),
            "runs": len(some),
        }
        for name, some in laps.items()
    }
    phases = subprocess.run(
        [sys.executable, "-c", PHASES, store],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        **found,
        "phases, cpu": json.loads(phases.stdout),
        "page, megabytes": page.stat().st_size / 1e6,
    }


def peer(name: str) -> str:
    """Return a package's name and version."""
    return f"{name} {importlib.metadata.version(name)}"


def seconds(program: str, *arguments: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a process, from its start to its end."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system
    return wall, cpu - before.children_user - before.children_system


def answers(n_models: int, n_seeds: int, n_items: int) -> np.ndarray:
    """Return right and wrong, (models, seeds, items), of items of unlike difficulty."""
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 1.3, n_items)
    able = np.linspace(-0.5, 1.2, n_models)[:, None] + rng.normal(
        0, 0.03, (n_models, n_seeds)
    )
    knows = rng.normal(0, 0.7, (n_models, n_seeds, n_items))
    chance = 1 / (1 + np.exp(hard - able[..., None] - knows))
    return (rng.random(chance.shape) < chance).astype(float)


def write_store(path: Path, scores: np.ndarray, n_tasks: int) -> str:
    """Write the answers as a store of ours holds them."""
    import datetime as dt

    import pyarrow as pa

    from harness.frames import RESPONSES, TRIALS
    from harness.store import Store

    rng = np.random.default_rng(2)
    store = Store.create(path)
    n_models, n_seeds, n_items = scores.shape
    parts = np.array_split(np.arange(n_items), n_tasks)
    moment = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    trials, tables = [], []
    for model in range(n_models):
        for seed in range(n_seeds):
            for task, items in enumerate(parts):
                n, attempt = len(items), f"{model}-{seed}-{task}"
                right = scores[model, seed, items].astype(bool)
                logprobs = rng.uniform(-9, -4, (n, 4))
                target = rng.integers(4, size=n)
                logprobs[np.arange(n), target] += np.where(right, 6, -6)
                columns = {
                    "attempt_id": [attempt] * n,
                    "trial_id": [attempt] * n,
                    "item_id": [f"{item:016x}" for item in items],
                    "item_index": np.arange(n),
                    "repeat": np.zeros(n, dtype=int),
                    "status": ["ok"] * n,
                    "prompt_digest": [f"{item:016x}" for item in items],
                    "choice_logprobs": logprobs.tolist(),
                    "choice_chars": [[9, 9, 9, 9]] * n,
                    "choice_bytes": [[9, 9, 9, 9]] * n,
                    "target_index": target,
                }
                rows = [
                    pa.array(columns[f.name], type=f.type)
                    if f.name in columns
                    else pa.nulls(n, f.type)
                    for f in RESPONSES
                ]
                tables.append(pa.Table.from_arrays(rows, schema=RESPONSES))
                trials.append(
                    {
                        "attempt_id": attempt, "trial_id": attempt, "status": "done",
                        "model": f"model-{model}", "train_seed": seed, "step": 1000,
                        "task": f"task-{task:02d}", "template": "default",
                        "formulation": "", "num_fewshot": 0, "generation": "",
                        "fewshot_seed": 0, "sample_seed": 0, "repeats": 1,
                        "weights_digest": f"{model}-{seed}", "task_digest": "t",
                        "template_digest": "d", "output_type": "multiple_choice",
                        "sampled": False, "n_items": n, "n_items_total": n,
                        "dtype": "float32", "batch_size": 64, "backend": "made up",
                        "finished_at": moment, "versions": [("torch", "2.13")],
                    }
                )  # fmt: skip
    store.append(pa.Table.from_pylist(trials, schema=TRIALS), tables)
    return str(path)


def write_csv(folder: Path, scores: np.ndarray, n_tasks: int) -> list[Path]:
    """Write the scores as the peers take them: a row for each, a file for each task."""
    folder.mkdir(exist_ok=True)
    files = []
    for task, items in enumerate(np.array_split(np.arange(scores.shape[-1]), n_tasks)):
        files.append(folder / f"task-{task:02d}.csv")
        with files[-1].open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["question_id", "model", "sample", "score"])
            for model, seeds in enumerate(scores):
                for seed, row in enumerate(seeds):
                    out.writerows(
                        (f"q{item}", f"model-{model}", seed, int(row[item]))
                        for item in items
                    )
    return files


if __name__ == "__main__":
    main()
