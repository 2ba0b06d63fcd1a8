"""What is in a file of Every Eval Ever? A model's scores, and their items beside it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.directions import lower_of
from harness.errors import InputError
from harness.ingest.bounded import MOST_BYTES, parse_json, read_json
from harness.ingest.names import checkpoint_of
from harness.ingest.parts import BATCH_ROWS, BrokenFile, Found, Part
from harness.ingest.rows import (
    BATCH_CHARS,
    MOST_REPEAT,
    mapping,
    metric_name,
    moment,
    number,
    refuse_gaps,
    words,
)
from harness.ingest.spool import SCORES, Spool
from harness.records import digest

VERSION = re.compile(r"0\.[23](?:\.\d+)?")
OWN_ID = re.compile(r"[0-9a-f]{16}")
REVISION = re.compile(r"""['"]?revision['"]?\s*[:=]\s*['"]?([\w.-]+)""")
"""Among the model's arguments, which a converter keeps as text."""

SAMPLES = "_samples.jsonl"

OF_TRIAL = {
    "num_fewshot": int,
    "fewshot_seed": int,
    "sample_seed": int,
    "template": str,
    "formulation": str,
    "generation": str,
    "dtype": str,
    "task_version": str,
    "template_digest": str,
    "task_digest": str,
    "weights_digest": str,
}
"""What our own export says of a trial among the details, all of it text."""

GENERATION = ("temperature", "top_p", "top_k", "max_tokens")

TOOLS = {"lm_eval": "lm-eval", "lm-evaluation-harness": "lm-eval"}
"""How a tool is called here, where it is called otherwise there."""


class EveryEvalEver:
    """Reads aggregate files of schema 0.2 and 0.3, with the instances beside them."""

    format = "every-eval-ever"

    def claims(self, path: Path, head: bytes) -> bool:
        """Return whether `path` is of that schema."""
        return (
            path.suffix in {".json", ".jsonl"}
            and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
            and b'"schema_version"' in head
            and b'"evaluation_id"' in head
        )

    def read(self, path: Path) -> Iterator[Found]:
        """Yield what is in a file; nothing of instances whose aggregate is beside them.

        Raises
        ------
        InputError
            ``results-broken``, ``results-too-large``; ``duplicate-response``: an
            answer has two scores by one metric.
        """
        if path.suffix == ".jsonl":
            if path.name.endswith(SAMPLES):
                beside = path.with_name(f"{path.name.removesuffix(SAMPLES)}.json")
                if beside.is_file():
                    return
            yield _Evaluation(path, {}).found(path)
            return
        content = read_json(path)
        if not isinstance(content, dict):
            raise BrokenFile("it is no object")
        evaluation = _Evaluation(path, content)
        evaluation.check()
        yield evaluation.found(evaluation.samples())


class _Evaluation:
    """What an aggregate file says."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path, self.content = path, content
        results = content.get("evaluation_results")
        self.results = list(map(mapping, results if type(results) is list else ()))
        self.model = mapping(content.get("model_info"))
        self.details = mapping(self.model.get("additional_details"))

    def check(self) -> None:
        version = self.content.get("schema_version")
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise BrokenFile(f"it is of schema {version!r}; 0.2 and 0.3 can be read")
        if not words(self.model.get("id")):
            raise BrokenFile("it does not say which model it is of")

    def samples(self) -> Path | None:
        """Return the file of instances: of the name that is said, but beside it."""
        said = mapping(self.content.get("detailed_evaluation_results")).get("file_path")
        names = [f"{self.path.stem}{SAMPLES}"]
        if isinstance(said, str) and "\0" not in said:
            names.insert(0, Path(said).name)
        places = (self.path.with_name(name) for name in names if name)
        return next((p for p in places if p.is_file() and p != self.path), None)

    def found(self, samples: Path | None) -> Found:
        spool = Spool()
        if samples is not None:
            self._spool(samples, spool)
        spool.close()
        with_items = {key[0] for key in spool.keys}
        return Found(
            format="every-eval-ever",
            parts=tuple(self._part(spool, key, samples) for key in spool.keys),
            aggregates=tuple(self._aggregates(with_items)),
        )

    def _spool(self, samples: Path, spool: Spool) -> None:
        """Set the instances aside, by what was evaluated."""
        names = {
            name: _metric_name(result)
            for result in self.results
            if isinstance(name := result.get("evaluation_result_id"), str)
        }
        held: dict[tuple[str, str | None], list[dict[str, Any]]] = defaultdict(list)
        n_rows = n_chars = 0
        for line, instance in _lines(samples):
            task = words(instance.get("evaluation_name"))
            model = None if self.content else words(instance.get("model_id"))
            if not task or not (self.content or model):
                raise BrokenFile("it does not say what was evaluated", line=line + 1)
            row = _row(instance, line, task, names)
            held[task, model].append(row)
            n_rows += 1
            n_chars += sum(len(row[name] or "") for name in ("text", "answer"))
            if n_rows == BATCH_ROWS or n_chars > BATCH_CHARS:
                _set_aside(held, spool)
                n_rows = n_chars = 0
        _set_aside(held, spool)

    def _part(self, spool: Spool, key: tuple[Any, ...], samples: Path | None) -> Part:
        scores = spool.trial(key)
        if again := scores.repeated_lines():
            raise InputError(
                f"{len(again)} instances give a score again, the first in line "
                f"{again[0] + 1}; repeated answers are told by metadata.repeat",
                code="duplicate-response",
            )
        refuse_gaps(scores.n_items, scores.n_repeats, scores.n_answers)
        task, model = key
        trial = {
            **(checkpoint_of(model) if model else self._checkpoint),
            **self._of_trial(task),
            "task": task,
            "repeats": scores.n_repeats,
            "output_type": "generate_until",
            "lower_is_better": lower_of(
                {
                    metric_name(_metric_name(result)): _is_higher_better(result)
                    for result in self.results
                    if result.get("evaluation_name") == task
                }
            ),
            "sampled": scores.n_repeats > 1,
            "n_items": scores.n_items,
            "n_items_total": scores.n_items,
            "backend": self._backend,
            "location": str(self.path),
            "finished_at": _when(self.content.get("evaluation_timestamp")),
        }
        unsaid = ("train_seed", "step", "num_fewshot", "weights_digest", "dtype")
        return Part(
            trial={name: value for name, value in trial.items() if value is not None},
            rows=lambda: spool.trial(key).batches(),
            unknown=tuple(name for name in unsaid if trial.get(name) is None),
            files=(self.path,) if samples is None else (samples, self.path),
        )

    def _aggregates(self, with_items: set[str]) -> Iterator[dict[str, Any]]:
        for result in self.results:
            task = words(result.get("evaluation_name"))
            score = mapping(result.get("score_details"))
            value = number(score.get("score"))
            if task is None or task in with_items or value is None:
                continue
            uncertainty = mapping(score.get("uncertainty"))
            n = uncertainty.get("num_samples")
            trial = self._of_trial(task)
            yield {
                **self._checkpoint,
                "task": task,
                "formulation": trial.get("formulation", ""),
                "num_fewshot": trial.get("num_fewshot"),
                "template": trial.get("template", "default"),
                "metric": _metric_name(result),
                "value": value,
                "se": number(mapping(uncertainty.get("standard_error")).get("value")),
                "higher_is_better": _is_higher_better(result),
                "n_items": n if type(n) is int and 0 <= n < 2**63 else None,
                "backend": self._backend,
                "location": str(self.path),
                "finished_at": _when(self.content.get("evaluation_timestamp")),
            }

    @property
    def _checkpoint(self) -> dict[str, Any]:
        said = str(self.details.get("model_args", ""))
        match = REVISION.search(said[:65536])
        revision = words(self.details.get("revision")) or (match[1] if match else None)
        model = words(self.details.get("evalvar_model"))
        made = checkpoint_of(str(words(self.model.get("id"))), revision)
        if model:
            made = {"model": model}
        for name, key in (("step", "checkpoint_step"), ("train_seed", "train_seed")):
            if (value := _whole(self.details.get(key))) is not None:
                made[name] = value
        return made

    def _of_trial(self, task: str) -> dict[str, Any]:
        """Return what the first result of a task says of how it was asked."""
        result = next((r for r in self.results if r.get("evaluation_name") == task), {})
        config = mapping(result.get("generation_config"))
        details = mapping(config.get("additional_details"))
        args = mapping(config.get("generation_args"))
        generation = {name: args[name] for name in GENERATION if number(args.get(name))}
        made: dict[str, Any] = {
            "generation": json.dumps(generation, sort_keys=True) if generation else ""
        }
        for name, kind in OF_TRIAL.items():
            value = details.get(name)
            made[name] = made.get(name)
            if isinstance(value, str):
                made[name] = words(value) if kind is str else _whole(value)
        return {name: value for name, value in made.items() if value is not None}

    @property
    def _backend(self) -> str:
        library = mapping(self.content.get("eval_library"))
        name = words(library.get("name")) or "unknown"
        version = words(library.get("version"))
        said = [TOOLS.get(name, name), *([version] if version else [])]
        return words(self.details.get("evalvar_backend")) or " ".join(said)


def _set_aside(
    held: dict[tuple[str, str | None], list[dict[str, Any]]], spool: Spool
) -> None:
    for key, rows in held.items():
        spool.add(key, pa.RecordBatch.from_pylist(rows, schema=SCORES))
    held.clear()


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the instances with their place in the file, from 0."""
    try:
        with path.open("rb") as file:
            place = -1
            while line := file.readline(MOST_BYTES + 1):
                place += 1
                if len(line) > MOST_BYTES:
                    raise InputError(
                        f"line {place + 1} of {path.name} is longer than "
                        f"{MOST_BYTES // 2**20} MiB",
                        code="results-too-large",
                    )
                if not line.strip():
                    continue
                try:
                    instance = parse_json(line)
                except BrokenFile as error:
                    raise BrokenFile(f"{path.name}: {error}", line=place + 1) from None
                if not isinstance(instance, dict):
                    raise BrokenFile(f"{path.name}: it is no object", line=place + 1)
                yield place, instance
    except OSError as error:
        raise BrokenFile(f"{path.name}: {error.strerror}") from None


def _row(
    instance: Mapping[str, Any], place: int, task: str, names: Mapping[Any, str]
) -> dict[str, Any]:
    metadata = mapping(instance.get("metadata"))
    asked = mapping(instance.get("input"))
    evaluation = mapping(instance.get("evaluation"))
    sample_id, hash_ = words(instance.get("sample_id")), instance.get("sample_hash")
    if sample_id is None:
        raise BrokenFile("an instance has no sample_id", line=place + 1)
    is_failed = instance.get("error") is not None
    score = None if is_failed else number(evaluation.get("score"))
    result_id = instance.get("evaluation_result_id")
    metric = names.get(result_id) if isinstance(result_id, str) else None
    metric = metric or words(result_id) or "score"
    filter_ = words(metadata.get("filter"))
    prompt = words(asked.get("formatted")) or words(asked.get("raw"))
    digested = words(metadata.get("prompt_digest"))
    return {
        "item_id": sample_id
        if OWN_ID.fullmatch(sample_id)
        else digest([task, sample_id, hash_]),
        "repeat": _repeat(metadata, place),
        "prompt_digest": digested or (digest(prompt) if prompt else None),
        "text": _first(mapping(instance.get("output")).get("raw")),
        "answer": _answer(instance.get("answer_attribution")),
        "target": _first(asked.get("reference")),
        "cluster": words(metadata.get("cluster")),
        "metric": f"{metric},{filter_}"
        if filter_ and "," not in metric
        else metric_name(metric),
        "value": float("nan") if score is None else score,
        "line": place,
    }


def _repeat(metadata: Mapping[str, Any], place: int) -> int:
    """Return which of several answers it is; Inspect's epochs begin with 1."""
    for name, first in (("repeat", 0), ("epoch", 1)):
        if metadata.get(name) is None:
            continue
        value = _whole(metadata[name])
        if value is None or not first <= value <= MOST_REPEAT + first:
            raise BrokenFile(
                f"its metadata.{name} {str(metadata[name])[:40]!r} is no number from "
                f"{first} to {MOST_REPEAT + first}",
                line=place + 1,
            )
        return value - first
    return 0


def _metric_name(result: Mapping[str, Any]) -> str:
    config = mapping(result.get("metric_config"))
    named = config.get("metric_name"), config.get("metric_id")
    said = (*named, result.get("evaluation_result_id"))
    return next((name for name in map(words, said) if name), "score")


def _is_higher_better(result: Mapping[str, Any]) -> bool | None:
    """Return what is said; the schema has no word for not knowing, our export has."""
    config = mapping(result.get("metric_config"))
    said = config.get("lower_is_better")
    details = mapping(config.get("additional_details"))
    is_known = type(said) is bool and details.get("direction") != "unknown"
    return not said if is_known else None


def _answer(attributions: Any) -> str | None:
    """Return what was taken from the text for the answer, the last time."""
    some = attributions if isinstance(attributions, list) else []
    values = [words(mapping(one).get("extracted_value")) for one in some]
    return values[-1] if values else None


def _first(value: Any) -> str | None:
    """Return the first of several texts; until 0.2 there was one."""
    if isinstance(value, list):
        value = value[0] if value else None
    return words(value)


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        value = int(value)
    return value if type(value) is int and abs(value) < 2**63 else None


def _when(value: Any) -> Any:
    """Return a date; the schema's is a number of seconds, as text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", value):
        return moment(float(value))
    return moment(value)
