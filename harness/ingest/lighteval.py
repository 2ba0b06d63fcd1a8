"""What is in lighteval's details? One model's answers to one task, row by row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.directions import lower_of
from harness.errors import InputError
from harness.ingest.bounded import MOST_TIMES, read_json
from harness.ingest.names import checkpoint_of
from harness.ingest.parts import BrokenFile, Found, Part
from harness.ingest.rows import (
    batches,
    mapping,
    metric_name,
    moment,
    number,
    words,
)
from harness.records import digest

TIME = r"(\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(?:\.\d+)?)"
DETAILS = re.compile(rf"details_(.+)_{TIME}\.parquet", re.DOTALL)
RESULTS = re.compile(rf"results_{TIME}\.json")

PIECE_ROWS = 64
"""Rows that are read at once: a few bytes may stand for a long text in each."""

OF_DOC = ("query", "choices", "gold_index", "example", "gold", "full_prompt")
OF_RESPONSE = ("input", "text", "logprobs", "text_post_processed")
NO_METRIC = frozenset(
    {"truncated", "padded", "padding", "num_asked_few_shots", "gold_index"}
    | {"num_effective_few_shots", "example_id", "index", "id", "gold"}
)
"""Numbers in the older, flat layout that are no scores."""

OF_TASK = (
    *("name", "hf_repo", "hf_subset", "evaluation_splits", "few_shots_split"),
    *("few_shots_select", "generation_size", "stop_sequence", "version"),
)
"""What of a task's configuration says what was asked; the rest is code and counts."""

GENERATION = ("temperature", "top_p", "top_k", "min_p", "max_new_tokens", "stop_tokens")
WEIGHTS = ("model_name", "revision", "subfolder", "dtype", "quantization")


class Lighteval:
    """Reads ``details_TASK_TIME.parquet`` with the results that belong to them."""

    format = "lighteval"

    def claims(self, path: Path, head: bytes) -> bool:
        """Return whether `path` holds lighteval's details or results."""
        if path.suffix == ".parquet":
            return path.name.startswith("details_")
        return path.suffix == ".json" and b'"config_general"' in head

    def read(self, path: Path) -> Iterator[Found]:
        """Yield what is in a file: answers of details, or scores without any.

        Raises
        ------
        InputError
            ``results-broken``, ``results-too-large``.
        """
        if path.suffix == ".parquet":
            run = _Run.beside(path)
            part = _Details(path, run).part()
            yield Found(format=self.format, parts=(part,))
        else:
            run = _Run(path, read_json(path))
            yield Found(
                format=self.format, parts=(), aggregates=tuple(run.aggregates())
            )


class _Run:
    """What the file of results says; nothing, where there is none."""

    def __init__(self, path: Path | None, content: object) -> None:
        self.path, self.content = path, mapping(content)
        self.general = mapping(self.content.get("config_general"))
        said = self.general.get("model_config")
        self.config = {**self.general, **mapping(said)}
        self.model = words(self.config.get("model_name"))

    @classmethod
    def beside(cls, details: Path) -> _Run:
        """Return the run that wrote a file of details, as far as it is found."""
        match = DETAILS.fullmatch(details.name)
        time = match[2] if match else details.parent.name
        name = f"results_{time}.json"
        places = [folder / name for folder in list(details.parents)[:3]]
        for folder in details.parents:
            if folder.name == "details":
                model = details.relative_to(folder).parts[:-2]
                places.insert(0, folder.parent.joinpath("results", *model, name))
                break
        for place in places:
            if place.is_file():
                return cls(place, read_json(place))
        return cls(None, {})

    @property
    def checkpoint(self) -> dict[str, Any]:
        """Model, and training seed and step as far as names say them."""
        if self.model is None:
            return {}
        name, _, revision = self.model.partition(":")  # older ones: name:revision
        said = words(self.config.get("revision") or self.config.get("model_sha"))
        return checkpoint_of(name, said or revision or None)

    @property
    def backend(self) -> str:
        """What evaluated it; of its version only the commit is known."""
        sha = words(self.general.get("lighteval_sha"))
        return f"lighteval {sha[:8]}" if sha and sha != "?" else "lighteval"

    @property
    def finished_at(self) -> datetime | None:
        """When, by the file's name: its own times are of a clock without a date."""
        match = RESULTS.fullmatch(self.path.name) if self.path else None
        return _when(match[1]) if match else None

    def task(self, name: str) -> Mapping[str, Any]:
        """Return the configuration of a task."""
        tasks = mapping(self.content.get("config_tasks"))
        return mapping(tasks.get(name))

    def trial(self, name: str) -> dict[str, Any]:
        """Return what is said of all answers to a task."""
        task, num_fewshot = _task(name)
        config, asked = self.config, self.task(name)
        generation = mapping(config.get("generation_parameters"))
        said = {k: generation[k] for k in GENERATION if generation.get(k) is not None}
        wording = {k: asked[k] for k in OF_TASK if k in asked}
        weights = {k: config[k] for k in WEIGHTS if config.get(k) is not None}
        template = words(config.get("system_prompt"))
        versions = mapping(self.content.get("versions"))
        version = versions.get(name, asked.get("version"))
        return {
            **self.checkpoint,
            "task": task,
            "num_fewshot": num_fewshot,
            "template": "default",
            "formulation": "",
            "generation": json.dumps(said, sort_keys=True) if said else "",
            "sample_seed": _count(generation.get("seed")),
            "weights_digest": digest(weights) if weights else None,
            "task_digest": digest(wording) if wording else None,
            "template_digest": digest([template, config.get("use_chat_template"), None])
            if self.content
            else None,
            "lower_is_better": lower_of(dict(_directions(asked))),
            "task_version": None if version is None else words(str(version)),
            "n_items_total": _count(asked.get("original_num_docs")),
            "dtype": words(config.get("dtype") or config.get("model_dtype")),
            "batch_size": _count(config.get("batch_size")),
            "max_length": _count(config.get("max_length")),
            "backend": self.backend,
            "revision": words(config.get("revision")),
            "finished_at": self.finished_at,
        }

    def aggregates(self) -> Iterator[dict[str, Any]]:
        """Yield the scores of the tasks whose details are not here.

        Raises
        ------
        BrokenFile
            There are no results in it.
        """
        results = self.content.get("results")
        if not isinstance(results, dict) or self.model is None:
            raise BrokenFile("it has no results of lighteval, or no model, in it")
        for name, scores in results.items():
            if name == "all" or "_average" in name or self._has_details(name):
                continue
            task, num_fewshot = _task(words(name) or "")
            values = mapping(scores)
            directions = dict(_directions(self.task(name)))
            for metric, value in values.items():
                score = number(value)
                if score is None or metric.endswith("_stderr"):
                    continue
                yield {
                    **self.checkpoint,
                    "task": task,
                    "formulation": "",
                    "num_fewshot": num_fewshot,
                    "template": "default",
                    "metric": words(metric),
                    "value": score,
                    "se": number(values.get(f"{metric}_stderr")),
                    "higher_is_better": directions.get(str(words(metric))),
                    "n_items": _count(self.task(name).get("effective_num_docs")),
                    "backend": self.backend,
                    "location": str(self.path),
                    "finished_at": self.finished_at,
                }

    def _has_details(self, name: str) -> bool:
        match = RESULTS.fullmatch(self.path.name) if self.path else None
        if self.path is None or match is None or "/" in name or "\0" in name:
            return False
        file = f"details_{name}_{match[1]}.parquet"
        folders = [self.path.parent]
        for folder in self.path.parents:
            if folder.name == "results":
                model = self.path.relative_to(folder).parts[:-1]
                folders.append(folder.parent.joinpath("details", *model, match[1]))
                break
        return any((folder / file).is_file() for folder in folders)


class _Details:
    """One file of details, of whatever layout."""

    def __init__(self, path: Path, run: _Run) -> None:
        self.path, self.run = path, run
        match = DETAILS.fullmatch(path.name)
        self.name = words(match[1] if match else path.stem.removeprefix("details_"))
        self.when = _when(match[2]) if match else None
        with self._open() as file:
            self.n_rows = file.metadata.num_rows
            schema = file.schema_arrow
        if self.n_rows > MOST_TIMES * path.stat().st_size:
            raise InputError(
                f"it says that it has {self.n_rows:,} rows, far too many for its size",
                code="results-too-large",
            )
        self.names = {name.strip("_"): name for name in schema.names}
        """Columns without the underscores that some versions have around them."""

        self.columns = list(self._columns(schema))
        if not self.n_rows or not self.columns:
            raise BrokenFile(
                "it has no rows, or not the columns of lighteval's details"
            )

    def part(self) -> Part:
        """Return the answers."""
        trial = self.run.trial(str(self.name))
        first = next(self._records())
        has_choices = bool(self._row(first, 0).get("choice_logprobs"))
        if not trial.get("model") and self.path.parent.name:
            folder = self.path.parents[1] if self.when else self.path.parent
            trial |= checkpoint_of(folder.name)
        trial |= {
            "output_type": "multiple_choice" if has_choices else "generate_until",
            "sampled": not has_choices
            and '"temperature": 0.0' not in trial["generation"],
            "repeats": 1,
            "n_items": self.n_rows,
            "location": str(self.path),
            "finished_at": trial.get("finished_at") or self.when,
        }
        trial["n_items_total"] = max(trial.get("n_items_total") or 0, self.n_rows)
        unsaid = ("train_seed", "step", "num_fewshot", "weights_digest", "dtype")
        files = (self.path, *([self.run.path] if self.run.path else []))
        return Part(
            trial={name: value for name, value in trial.items() if value is not None},
            rows=self.rows,
            unknown=tuple(name for name in unsaid if trial.get(name) is None),
            files=files,
        )

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Return the answers as batches of our rows."""
        return batches(
            self._row(record, place) for place, record in enumerate(self._records())
        )

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (OSError, pa.ArrowException) as error:
            raise BrokenFile(f"it is no Parquet, or is cut off: {error}") from None

    def _columns(self, schema: pa.Schema) -> Iterator[str]:
        """Yield the columns that are needed, by their paths; tokens are not."""
        for plain, name in self.names.items():
            kind = schema.field(name).type
            if plain in ("doc", "model_response") and pa.types.is_struct(kind):
                wanted = OF_DOC if plain == "doc" else OF_RESPONSE
                there = {kind.field(i).name for i in range(kind.num_fields)}
                yield from (f"{name}.{inner}" for inner in wanted if inner in there)
            elif (
                plain in ("metric", "metrics", "predictions", *OF_DOC)
                or pa.types.is_floating(kind)
                or pa.types.is_integer(kind)
                or pa.types.is_boolean(kind)
            ):
                yield name

    def _records(self) -> Iterator[Mapping[str, Any]]:
        with self._open() as file:
            try:
                for batch in file.iter_batches(PIECE_ROWS, columns=self.columns):
                    yield from batch.to_pylist()
            except (OSError, pa.ArrowException) as error:
                raise BrokenFile(f"it is damaged: {error}") from None

    def _row(self, record: Mapping[str, Any], place: int) -> dict[str, Any]:
        said = {plain: record.get(name) for plain, name in self.names.items()}
        doc = mapping(said.get("doc")) or said
        response = mapping(said.get("model_response"))
        scores = mapping(said.get("metric")) or mapping(said.get("metrics"))
        if not scores and "doc" not in self.names:
            scores = {n: v for n, v in said.items() if n not in NO_METRIC}
        metrics = [
            (metric_name(str(words(name))), score)
            for name, value in scores.items()
            if (score := number(value)) is not None
        ]
        choices = [str(one) for one in _listed(doc.get("choices"))]
        golds = [one for one in _listed(doc.get("gold_index")) if type(one) is int]
        query = words(doc.get("query") or doc.get("example"))
        prompt = response.get("input") or doc.get("full_prompt")
        is_one = len(golds) == 1 and 0 <= golds[0] < len(choices)
        target = choices[golds[0]] if is_one else words(_first(doc.get("gold")))
        row: dict[str, Any] = {
            "item_id": digest([query, choices, golds, doc.get("gold")]),
            "item_index": place,
            "repeat": 0,
            "status": "ok" if metrics else "unscored",
            "prompt_digest": None if prompt is None else digest(prompt),
            "text": words(_first(response.get("text") or said.get("predictions"))),
            "answer": words(_first(response.get("text_post_processed"))),
            "target": words(target),
            "metrics": metrics,
        }
        logprobs = [number(one) for one in _listed(response.get("logprobs"))]
        if choices and len(logprobs) == len(choices) and None not in logprobs:
            # lighteval's own lengths leave out the space before a choice.
            texts = [choice.removeprefix(" ") for choice in choices]
            row |= {
                "choice_logprobs": logprobs,
                "choice_chars": [len(text) for text in texts],
                "choice_bytes": [len(text.encode()) for text in texts],
                "target_index": golds[0] if is_one else None,
            }
            if metrics and not is_one:
                row["status"] = "several-targets"
        return row


def _directions(asked: Mapping[str, Any]) -> Iterator[tuple[str, bool | None]]:
    """Yield of each metric whether higher is better: one may hold several."""
    for one in map(mapping, _listed(asked.get("metric") or asked.get("metrics"))):
        said = one.get("higher_is_better")
        named = {one.get("metric_name"): said} if isinstance(said, bool) else said
        for metric, is_higher in mapping(named).items():
            if name := words(metric):
                yield name, is_higher if isinstance(is_higher, bool) else None


def _task(name: str) -> tuple[str, int | None]:
    """Split ``task|5``, ``suite|task|5``, or the older ``suite|task|5|0``."""
    parts = name.split("|")
    if len(parts) == 4 and parts[3] in ("0", "1"):
        parts = parts[:3]
    *before, last = parts
    if before and re.fullmatch("[0-9]{1,4}", last):
        return "|".join(before), int(last)
    return name, None


def _when(words: str) -> datetime | None:
    day, _, clock = words.partition("T")
    return moment(f"{day}T{clock.replace('-', ':')}")


def _first(value: Any) -> Any:
    while isinstance(value, list):
        value = value[0] if value else None
    return value


def _listed(value: Any) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    return () if value is None else (value,)


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None
