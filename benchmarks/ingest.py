"""How fast do folders of lm-eval's samples become rows, beside pandas, polars, DuckDB?

Writes files of samples of ten tasks whose documents differ, 2.2 kB a line, and has each
way read them in a process of its own, in turn: CPU seconds, and the memory at most.
First the metrics alone, one row for each, which all must agree on; then whole imports,
into our store and into Parquet. Beside them stands the limit: reading the files and
finding their lines.

    tox run -e bench-ingest
    python benchmarks/ingest.py --full --json figures.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TASKS = 10
WORDS = (
    "river", "stone", "market", "window", "letter", "garden", "engine", "signal",
    "carbon", "harbour", "method", "library", "winter", "justice", "protein",
    "festival", "orbit", "treaty", "copper", "novel",
)  # fmt: skip

TIME = "2026-11-25T03-17-00.123456"


def main() -> None:
    """Write the files, have them read each way, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1_000, help="in each file")
    parser.add_argument("--full", action="store_true", help="100 files of 5,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if options.full:
        options.files, options.samples = 100, 5_000
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "runs"
        n_bytes = write(folder, options.files, options.samples)
        figures = {
            "files": options.files,
            "samples": options.files * options.samples,
            "megabytes": n_bytes / 1e6,
            "metrics": race(METRICS, folder, options.rounds),
            "imports": race(IMPORTS, folder, options.rounds),
        }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    for part in ("metrics", "imports"):
        sums = {ran["sum"] for ran in figures[part].values() if ran["sum"] is not None}
        if len(sums) > 1:
            sys.exit(f"{part}: the ways do not agree: {sums}")


def race(
    ways: dict[str, Callable[[Path], tuple[int, float] | None]], folder: Path, n: int
) -> dict[str, dict[str, Any]]:
    """Run each way `n` times in turn; medians of CPU and wall seconds, and ratios."""
    ran: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(n):
        for name in ways:
            ran[name].append(apart(name, folder))
    ours = [one["cpu"] for one in ran[next(iter(ways))]]
    return {
        name: {
            "cpu": statistics.median(one["cpu"] for one in some),
            "wall": statistics.median(one["wall"] for one in some),
            "peak_mb": max(one["peak_mb"] for one in some),
            "times_ours": statistics.median(
                one["cpu"] / own for one, own in zip(some, ours, strict=True)
            ),
            "rows": some[0]["rows"],
            "sum": some[0]["sum"],
        }
        for name, some in ran.items()
    }


def apart(name: str, folder: Path) -> dict[str, Any]:
    """Run one way in a process of its own, which loads its packages before."""
    context = multiprocessing.get_context("spawn")
    there, here = context.Pipe()
    process = context.Process(target=_apart, args=(name, folder, here))
    process.start()
    figures: dict[str, Any] = there.recv()
    process.join()
    return figures


def _apart(name: str, folder: Path, pipe: Any) -> None:
    way = (METRICS | IMPORTS)[name]
    small = folder.parent / "small"
    way(small)  # imports, and whatever a first call does
    began, cpu = time.monotonic(), time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    found = way(folder)
    own = resource.getrusage(resource.RUSAGE_SELF)
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    pipe.send(
        {
            "cpu": time.process_time() - cpu + theirs.ru_utime - children,
            "wall": time.monotonic() - began,
            "peak_mb": max(own.ru_maxrss, theirs.ru_maxrss) / 1e3,
            "rows": found and found[0],
            "sum": found and round(found[1], 6),
        }
    )


# ---- the files -------------------------------------------------------------------


def write(folder: Path, n_files: int, n_samples: int) -> int:
    """Write runs of models, each of ten tasks; and a small one for warming up."""
    _write_runs(folder.parent / "small", TASKS, 3)
    return _write_runs(folder, n_files, n_samples)


def _write_runs(folder: Path, n_files: int, n_samples: int) -> int:
    n_bytes = 0
    n_models = -(-n_files // TASKS)
    runs = [folder / f"acme__toy-{model}" for model in range(n_models)]
    for model, run in enumerate(runs):
        run.mkdir(parents=True)
        (run / f"results_{TIME}.json").write_text(json.dumps(results(model)))
    for task in range(TASKS):
        asked = [question(task, index) for index in range(n_samples)]
        for model, run in enumerate(runs[: -(-(n_files - task) // TASKS)]):
            path = run / f"samples_task{task}_{TIME}.jsonl"
            rng = random.Random(model)
            with path.open("w") as file:
                file.writelines(answered(line, gold, rng) for line, gold in asked)
            n_bytes += path.stat().st_size
    return n_bytes


def results(model: int) -> dict[str, Any]:
    """Return the results of a model's run, as far as they are read."""
    tasks = [f"task{task}" for task in range(TASKS)]
    return {
        "results": {name: {"acc,none": 0.5} for name in tasks},
        "configs": {name: {"task": name, "target_delimiter": " "} for name in tasks},
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        "config": {"model": "hf", "model_args": f"pretrained=acme/toy-{model}"},
        "model_name": f"acme/toy-{model}",
        "lm_eval_version": "0.4.13",
    }


def question(task: int, index: int) -> tuple[str, int | None]:
    """Return a sample of 2.2 kB without its answers, and the place of the right one."""
    rng = random.Random(f"{task} {index}")

    def prose(n: int) -> str:
        return " ".join(rng.choices(WORDS, k=n))

    doc: dict[str, Any] = {
        f"field_{task}": prose(12),
        "question": prose(14),
        "id": index,
    }
    if task % 3 == 2:
        doc["nested"] = {
            "source": prose(3),
            "weights": [rng.random() for _ in range(4)],
        }
    prompt = f"{prose(14)}\nQuestion: {doc['question']}\nAnswer:"
    gold = None
    if task < 7:
        doc["choices"], doc["gold"] = [prose(3) for _ in range(4)], rng.randrange(4)
        gold = doc["gold"]
        requests = [(prompt, f" {choice}") for choice in doc["choices"]]
        metrics = ["acc", "acc_norm"]
    else:
        doc["answer"] = str(rng.randrange(1000))
        requests = [(f"{prose(130)}\n{prompt}", {"until": ["\n"]})]
        metrics = ["exact_match"]
    names = ("doc", "prompt", "target")
    sample = {
        "doc_id": index,
        "doc": doc,
        "target": doc.get("answer", str(gold)),
        "arguments": {
            f"gen_args_{i}": {"arg_0": context, "arg_1": more}
            for i, (context, more) in enumerate(requests)
        },
        "resps": "@resps",
        "filtered_resps": "@filtered",
        "filter": "none",
        "metrics": metrics,
        **{f"{name}_hash": f"{rng.getrandbits(256):064x}" for name in names},
        **{metric: f"@{metric}" for metric in metrics},
    }
    return json.dumps(sample) + "\n", gold


def answered(line: str, gold: int | None, rng: random.Random) -> str:
    """Return a sample with a model's answers."""
    score = float(rng.random() < 0.5)
    if gold is None:
        text = " ".join(rng.choices(WORDS, k=40))
        values = {"resps": [[text]], "filtered": [text[:20]], "exact_match": score}
    else:
        lls = [-20 * rng.random() for _ in range(4)]
        values = {
            "resps": [[[str(ll), "False"]] for ll in lls],
            "filtered": [[str(ll), "False"] for ll in lls],
            "acc": float(lls.index(max(lls)) == gold),
            "acc_norm": score,
        }
    for name, value in values.items():
        line = line.replace(f'"@{name}"', json.dumps(value))
    return line


def files(folder: Path) -> list[Path]:
    """Return the files of samples."""
    return sorted(folder.rglob("samples_*.jsonl"))


KNOWN = ("acc", "acc_norm", "exact_match")


# ---- the metrics alone -------------------------------------------------------------


def ours_metrics(folder: Path) -> tuple[int, float]:
    """Decode the metrics as our reader does where there are several filters."""
    from harness.ingest.lm_eval_lines import read_scores

    n, total = 0, 0.0
    for path in files(folder):
        for scores in read_scores(path):
            for values in scores.metrics.values():
                n, total = n + len(values), total + sum(values)
    return n, total


def json_pandas(folder: Path) -> tuple[int, float]:
    """Do what most write: json.loads for each line, a data frame, melt."""
    import pandas as pd

    n, total = 0, 0.0
    for path in files(folder):
        with path.open() as file:
            frame = pd.DataFrame([json.loads(line) for line in file])
        names = [name for name in KNOWN if name in frame.columns]
        tidy = frame.melt(id_vars=["doc_id"], value_vars=names)
        n, total = n + len(tidy), total + float(tidy["value"].sum())
    return n, total


def json_few(folder: Path) -> tuple[int, float]:
    """Keep of json.loads the metrics alone."""
    n, total = 0, 0.0
    for path in files(folder):
        with path.open() as file:
            for line in file:
                sample = json.loads(line)
                values = [sample[name] for name in sample["metrics"]]
                n, total = n + len(values), total + sum(values)
    return n, total


def polars_scan(folder: Path) -> tuple[int, float]:
    """Project with polars; its schema inferred from a file's first lines."""
    import polars as pl

    n, total = 0, 0.0
    for path in files(folder):
        lazy = pl.scan_ndjson(path, infer_schema_length=10)
        names = [name for name in KNOWN if name in lazy.collect_schema().names()]
        frame = lazy.select("doc_id", *names).collect().unpivot(names, index="doc_id")
        n, total = n + len(frame), total + float(frame["value"].sum())
    return n, total


def duckdb_columns(folder: Path) -> tuple[int, float]:
    """Project with DuckDB, which is told the columns."""
    import duckdb

    columns = "{doc_id: 'BIGINT', " + ", ".join(f"{n}: 'DOUBLE'" for n in KNOWN) + "}"
    query = " UNION ALL ".join(
        f"SELECT doc_id, {name} AS value FROM samples WHERE {name} IS NOT NULL"
        for name in KNOWN
    )
    with duckdb.connect() as connection:
        n, total = connection.execute(
            "WITH samples AS MATERIALIZED (SELECT * FROM read_json(?, format = "
            f"'newline_delimited', columns = {columns})) "
            f"SELECT count(*), sum(value) FROM ({query})",
            [[str(path) for path in files(folder)]],
        ).fetchone()
    return int(n), float(total)


def read_and_scan(folder: Path) -> None:
    """Read the files and find the ends of their lines: nobody can do less."""
    buffer = bytearray(2**20)
    view = memoryview(buffer)
    for path in files(folder):
        with path.open("rb", buffering=0) as file:
            while n := file.readinto(buffer):
                bytes(view[:n]).count(b"\n")


METRICS: dict[str, Callable[[Path], tuple[int, float] | None]] = {
    "ours": ours_metrics,
    "json.loads and pandas": json_pandas,
    "json.loads, metrics only": json_few,
    "polars scan_ndjson": polars_scan,
    "duckdb read_json, columns": duckdb_columns,
    "read and scan": read_and_scan,
}


# ---- whole imports -----------------------------------------------------------------


def ours_import(folder: Path) -> tuple[int, float]:
    """Import into a store: items known by content, prompts, evidence, metrics."""
    from harness.ingest.load import import_results
    from harness.store import Store

    with tempfile.TemporaryDirectory() as place:
        imported = import_results(Store.create(Path(place) / "store"), [folder])
    if imported.problems:
        sys.exit(str(imported.problems[0]))
    return imported.n_new_responses, 0.0


def pandas_parquet(folder: Path) -> tuple[int, float]:
    """Write each file as Parquet: json.loads, pandas."""
    import pandas as pd

    n = 0
    with tempfile.TemporaryDirectory() as place:
        for path in files(folder):
            with path.open() as file:
                frame = pd.DataFrame([json.loads(line) for line in file])
            for column in frame.columns:
                if (
                    frame[column]
                    .map(lambda value: isinstance(value, dict | list))
                    .any()
                ):
                    frame[column] = frame[column].map(json.dumps)
            frame.to_parquet(Path(place) / f"{n}.parquet")
            n += len(frame)
    return n, 0.0


def polars_parquet(folder: Path) -> tuple[int, float]:
    """Write each file as Parquet, all columns: polars."""
    import polars as pl

    n = 0
    with tempfile.TemporaryDirectory() as place:
        for path in files(folder):
            frame = pl.read_ndjson(path)
            frame.write_parquet(Path(place) / f"{n}.parquet")
            n += len(frame)
    return n, 0.0


def duckdb_parquet(folder: Path) -> tuple[int, float]:
    """Write each file as Parquet, all columns: DuckDB."""
    import duckdb

    n = 0
    with tempfile.TemporaryDirectory() as place, duckdb.connect() as connection:
        for path in files(folder):
            found = connection.execute(
                f"COPY (SELECT * FROM read_json_auto('{path}')) "
                f"TO '{place}/{n}.parquet' (FORMAT parquet)"
            ).fetchone()
            n += int(found[0])
    return n, 0.0


IMPORTS: dict[str, Callable[[Path], tuple[int, float] | None]] = {
    "ours, into a store": ours_import,
    "json.loads, pandas, Parquet": pandas_parquet,
    "polars, Parquet": polars_parquet,
    "duckdb, Parquet": duckdb_parquet,
    "read and scan ": read_and_scan,
}


if __name__ == "__main__":
    main()
