"""How would lm-eval have written it? A store's responses in its layout of files.

``OUT/CHECKPOINT/results_TIME.json`` and ``samples_TASK_TIME.jsonl``, as lm-eval 0.4.13
writes them and its viewers read them. A store keeps no documents and no prompts, but
their digests; what it has that the format lacks (lengths of choices, statuses, the
item's own identity) stands in each sample's ``doc``, from which `evalvar import` takes
it back.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.directions import is_lower_better
from harness.export.folder import safe_name
from harness.stats.scores import METRICS

OF_ITEM = (
    *("item_id", "prompt_digest", "choice_chars", "choice_bytes", "choice_tokens"),
    *("target_index", "target_bytes", "target_tokens", "cluster"),
)
"""Columns of a response that stand in ``doc``."""

OF_REFERENCE = ("target_logprob", "target_is_greedy")

OF_TRIAL = (
    *("model", "train_seed", "step", "template", "template_digest", "formulation"),
    *("num_fewshot", "generation", "fewshot_seed", "sample_seed", "weights_digest"),
    *("task_digest", "task_version", "output_type", "sampled", "dtype", "batch_size"),
    *("max_length", "backend"),
)
"""What makes a trial the one that it is; stands in the results under ``evalvar``."""

EPOCH = datetime.fromtimestamp(0, UTC)
"""When a trial ended that does not say when."""

WHO = ("model", "train_seed", "step")


def write_lm_eval(responses: pa.Table, trials: pa.Table, folder: Path) -> int:
    """Write responses as lm-eval does; return how many runs they are.

    Parameters
    ----------
    responses : pyarrow.Table
        With the columns of `harness.frames.RESPONSES`.
    trials : pyarrow.Table
        Their trials, with the columns of `harness.frames.TRIALS`.
    folder : Path
        Where to; it is there, and empty.

    Returns
    -------
    int
        A run has trials of one checkpoint, each of another task.
    """
    rows = responses.sort_by(
        [(name, "ascending") for name in ("attempt_id", "item_index", "repeat")]
    )
    starts = _starts(rows["attempt_id"])
    n_runs = 0
    for who, runs in _runs(trials.to_pylist()).items():
        place = folder / _folder_name(who)
        place.mkdir(parents=True, exist_ok=True)
        moment = EPOCH
        for run in runs:
            own = max(trial["finished_at"] or EPOCH for trial in run)
            moment = max(own, moment + timedelta(microseconds=1))
            parts = {
                trial["attempt_id"]: rows.slice(*starts[trial["attempt_id"]])
                for trial in run
            }
            _write_run(place, moment, run, parts)
            n_runs += 1
    return n_runs


def _runs(
    trials: Sequence[dict[str, Any]],
) -> dict[tuple[Any, ...], list[list[dict[str, Any]]]]:
    """Put the trials of each checkpoint into runs, of each task one in a run."""
    found: dict[tuple[Any, ...], list[list[dict[str, Any]]]] = defaultdict(list)
    for trial in sorted(
        trials, key=lambda t: (t["finished_at"] or EPOCH, t["trial_id"])
    ):
        runs = found[tuple(trial[name] for name in WHO)]
        for run in runs:
            if all(one["task"] != trial["task"] for one in run) and _alike(
                run[0], trial
            ):
                run.append(trial)
                break
        else:
            runs.append([trial])
    return found


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two trials can have been one command: what a run says once is equal."""
    names = (
        *("template_digest", "dtype", "batch_size", "backend", "max_length"),
        *("fewshot_seed", "sample_seed", "generation", "weights_digest"),
    )
    return all(one[name] == other[name] for name in names)


def _write_run(
    place: Path,
    moment: datetime,
    run: Sequence[Mapping[str, Any]],
    rows: Mapping[str, pa.Table],
) -> None:
    time = moment.astimezone(UTC).replace(tzinfo=None).isoformat().replace(":", "-")
    results: dict[str, dict[str, Any]] = defaultdict(dict)
    names: dict[str, str] = {}
    for trial in run:
        task = safe_name(str(trial["task"]))
        if task in names:
            task = f"{task}-{hashlib.sha256(trial['task'].encode()).hexdigest()[:8]}"
        names[task] = trial["task"]
        hashes = hashlib.sha256()
        scores: dict[str, list[float]] = defaultdict(list)
        with (place / f"samples_{task}_{time}.jsonl").open(
            "w", encoding="utf-8"
        ) as file:
            for sample in _samples(trial, rows[trial["attempt_id"]]):
                file.write(
                    json.dumps(sample, ensure_ascii=False, allow_nan=False) + "\n"
                )
                for name in sample["metrics"]:
                    scores[f"{name},{sample['filter']}"].append(sample[name])
                for kind in ("doc_hash", "prompt_hash", "target_hash"):
                    hashes.update(sample[kind].encode())
        results["results"][task] = {"alias": task, **_aggregates(scores)}
        results["configs"][task] = _task_config(trial)
        results["versions"][task] = trial["task_version"]
        results["n-shot"][task] = int(trial["num_fewshot"])
        results["n-samples"][task] = {
            "original": int(trial["n_items_total"]),
            "effective": int(trial["n_items"]),
        }
        results["higher_is_better"][task] = {
            _split(name)[0]: not is_lower
            for name in scores
            if (is_lower := is_lower_better(name, trial["lower_is_better"]))
            or trial["lower_is_better"] is not None
            or _split(name)[0] in METRICS
        }
        results["group_subtasks"][task] = []
        results["task_hashes"][task] = hashes.hexdigest()
        results["evalvar"][task] = {
            name: value for name in OF_TRIAL if (value := trial[name]) is not None
        }
    text = json.dumps(
        {**results, **_run_config(run[0], moment)}, indent=2, ensure_ascii=False
    )
    (place / f"results_{time}.json").write_text(text, encoding="utf-8")


def _samples(trial: Mapping[str, Any], rows: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield a sample for each item and filter, the filters in their stored order."""
    is_text = trial["output_type"] not in (
        *("multiple_choice", "loglikelihood", "loglikelihood_rolling"),
    )
    # What is read of an item is its sample under the first filter: all have one.
    stored = (name for one in rows["metrics"] for name, _ in one.as_py() or ())
    first_filter = next((_split(name)[1] for name in stored), "none")
    items: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for record in rows.to_pylist():
        items[record["item_index"]].append(record)
    for index, answers in items.items():
        first = answers[0]
        said = {name: first[name] for name in OF_ITEM}
        if is_text:  # resps has no place for the likelihood of the reference
            said |= {name: first[name] for name in OF_REFERENCE}
        statuses = [answer["status"] for answer in answers]
        if any(status != "ok" for status in statuses):
            said["status"] = statuses
        doc = {name: value for name, value in said.items() if value is not None}
        target = first["target"]
        if target is None and first["target_index"] is not None:
            target = str(first["target_index"])
        prompt = doc.get("prompt_digest", "")
        by_filter: dict[str, dict[str, list[float | None]]] = {first_filter: {}}
        for place, answer in enumerate(answers):
            for name, value in _metrics(answer["metrics"]):
                metric, filter_ = _split(name)
                values = by_filter.setdefault(filter_, {}).setdefault(
                    metric, [None] * len(answers)
                )
                values[place] = value
        for filter_, metrics in by_filter.items():
            means = {name: _mean(values) for name, values in metrics.items()}
            several = {"scores_per_repeat": metrics} if len(answers) > 1 else {}
            yield {
                "doc_id": int(index),
                "doc": doc,
                "target": target,
                "arguments": _arguments(first, is_text),
                "resps": _resps(answers, is_text),
                "filtered_resps": _filtered(answers, is_text),
                "filter": filter_,
                "metrics": list(means),
                "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
                "prompt_hash": prompt,
                "target_hash": _hash(str(target)),
                **several,
                **means,
            }


def _arguments(first: Mapping[str, Any], is_text: bool) -> dict[str, Any]:
    """Return a request for each choice, its texts empty: a store keeps none."""
    n = 1 if is_text else max(1, len(first["choice_logprobs"] or ()))
    second: Any = {} if is_text else ""
    return {f"gen_args_{i}": {"arg_0": "", "arg_1": second} for i in range(n)}


def _resps(answers: Sequence[Mapping[str, Any]], is_text: bool) -> list[Any]:
    if is_text:
        return [[answer["text"] or "" for answer in answers]]
    return [[pair] for pair in _likelihoods(answers[0])]


def _filtered(answers: Sequence[Mapping[str, Any]], is_text: bool) -> list[Any]:
    if not is_text:
        return _likelihoods(answers[0])
    some = [answer["answer"] for answer in answers]
    return some if len(some) == 1 else [some]


def _likelihoods(answer: Mapping[str, Any]) -> list[list[Any]]:
    """Return likelihood and greediness of each choice, as text like lm-eval's."""
    logprobs = answer["choice_logprobs"]
    if logprobs:
        return [[repr(float(one)), None] for one in logprobs]
    logprob = answer["target_logprob"]
    greedy = answer["target_is_greedy"]
    said = None if greedy is None else str(bool(greedy))
    return [[repr(math.nan if logprob is None else float(logprob)), said]]


def _metrics(stored: Any) -> Iterator[tuple[str, float]]:
    for name, value in stored or ():
        if value is not None and math.isfinite(value):
            yield name, float(value)


def _split(name: str) -> tuple[str, str]:
    metric, _, filter_ = name.partition(",")
    return metric, filter_ or "none"


def _aggregates(scores: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return means and standard errors; lm-eval writes ``N/A`` for one that is none."""
    found: dict[str, Any] = {"sample_len": max(map(len, scores.values()), default=0)}
    for name, values in scores.items():
        metric, _, filter_ = name.partition(",")
        n, mean = len(values), math.fsum(values) / len(values)
        square = math.fsum((value - mean) ** 2 for value in values)
        found[name] = mean
        found[f"{metric}_stderr,{filter_}"] = (
            math.sqrt(square / (n - 1) / n) if n > 1 else "N/A"
        )
    return found


def _task_config(trial: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": trial["task"],
        "output_type": trial["output_type"],
        "num_fewshot": int(trial["num_fewshot"]),
        "repeats": int(trial["repeats"]),
        "target_delimiter": "",
        "generation_kwargs": {"do_sample": bool(trial["sampled"])},
        "metadata": {
            "version": trial["task_version"],
            "formulation": trial["formulation"],
        },
    }


def _run_config(trial: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    model, seed, step = (trial[name] for name in WHO)
    name = model if seed is None else f"{model}-seed{seed}"
    revision = None if step is None else f"step{step}"
    tool, _, version = str(trial["backend"]).partition(" ")
    took = trial["seconds"]
    generation = trial["generation"]
    return {
        "config": {
            "model": "hf",
            "model_args": {
                "pretrained": name,
                **({"revision": revision} if revision else {}),
            },
            "model_dtype": trial["dtype"],
            "model_revision": revision,
            "batch_size": trial["batch_size"],
            "device": trial["device"],
            "limit": None,
            "gen_kwargs": json.loads(generation) if generation else None,
            "torch_seed": int(trial["sample_seed"]),
            "fewshot_seed": int(trial["fewshot_seed"]),
        },
        "date": (moment - timedelta(seconds=took or 0)).timestamp(),
        **({"lm_eval_version": version} if tool == "lm-eval" else {}),
        "model_source": "hf",
        "model_name": name,
        "model_name_sanitized": safe_name(name),
        "system_instruction": None,
        "chat_template": None,
        "total_evaluation_time_seconds": str(took or 0),
    }


def _folder_name(who: Sequence[Any]) -> str:
    model, seed, step = who
    parts = [model, *([f"seed{seed}"] if seed is not None else [])]
    return safe_name("-".join([*parts, *([f"step{step}"] if step is not None else [])]))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _starts(attempts: pa.ChunkedArray) -> dict[str, tuple[int, int]]:
    """Return where each attempt's rows begin, and how many they are."""
    found, start = {}, 0
    counts = pc.value_counts(attempts.cast(pa.string()))
    for attempt_id, n in sorted((c["values"], c["counts"]) for c in counts.to_pylist()):
        found[attempt_id] = (start, n)
        start += n
    return found
