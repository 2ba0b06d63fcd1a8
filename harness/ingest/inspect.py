"""What is in a log of Inspect? One model's answers to one task, epoch by epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import InputError
from harness.ingest.bounded import Archive, json_members
from harness.ingest.names import checkpoint_of
from harness.ingest.parts import BrokenFile, Found, Part, Problem
from harness.ingest.rows import (
    MOST_REPEAT,
    batches,
    mapping,
    metric_name,
    moment,
    number,
    refuse_gaps,
    words,
)
from harness.records import digest

HEAD = re.compile(rb'^(?:\xef\xbb\xbf)?\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:')
"""How a JSON log begins; Inspect does not change the order within a version."""

MEMBER = re.compile(r"samples/(.*)_epoch_(\d+)\.json", re.DOTALL)
"""Name of the member of an archive that holds a sample."""

VERSIONS = (1, 2)

ENGINE = re.compile(r"^(?:hf|vllm|sglang)/(?!local$)")
"""What Inspect puts before the name of a model that this very machine runs."""

WORTH = {
    **{"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0},
    **{"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0},
}
"""What Inspect's own metrics take words for. A scorer may have its own
``value_to_float``, of which a log says nothing: its metrics then differ from these."""

GENERATION = (
    *("temperature", "top_p", "top_k", "max_tokens", "stop_seqs", "num_choices"),
    *("frequency_penalty", "presence_penalty", "logit_bias", "best_of"),
    *("reasoning_effort", "reasoning_tokens", "system_message"),
)
"""What of the generation's configuration changes an answer; not how it was sent."""


WEIGHTS = ("model_path", "revision", "torch_dtype", "peft", "quantization")
"""Arguments of the model that change its weights; not where and how fast it runs."""


class Inspect:
    """Reads ``.eval`` and ``.json`` logs of versions 1 and 2."""

    format = "inspect"

    def claims(self, path: Path, head: bytes) -> bool:
        """Return whether `path` is a log of Inspect."""
        return path.suffix == ".eval" or (
            path.suffix == ".json" and HEAD.match(head) is not None
        )

    def read(self, path: Path) -> Iterator[Found]:
        """Yield what is in a log.

        Raises
        ------
        InputError
            ``results-broken``: also of another version, or without its model or
            task; ``results-too-large``.
        """
        header, keys, n_replaced = _header(path)
        log = _Log(path, header, keys)
        yield Found(
            format=self.format,
            parts=(log.part(),) if keys else (),
            aggregates=() if keys else tuple(log.aggregates()),
            problems=tuple(log.problems(n_replaced)),
        )


class _Log:
    """What the header says of every sample."""

    def __init__(
        self, path: Path, header: Mapping[str, Any], keys: set[tuple[str, int]]
    ) -> None:
        self.path = path
        self.eval = mapping(header.get("eval"))
        self.header = header
        version = header.get("version")
        if version not in VERSIONS:
            raise BrokenFile(f"it is of version {version!r}; 1 and 2 can be read")
        model = words(self.eval.get("model"))
        self.task = words(self.eval.get("task_registry_name")) or words(
            self.eval.get("task")
        )
        if not model or not self.task:
            raise BrokenFile("it does not say which model answered which task")
        self.model_args = mapping(self.eval.get("model_args"))
        self.revision = words(self.model_args.get("revision"))
        folder = words(self.model_args.get("model_path"))
        name = folder or ENGINE.sub("", model) or model
        self.checkpoint = checkpoint_of(name, self.revision)
        """Model, and training seed and step as far as they are known."""

        dataset = mapping(self.eval.get("dataset"))
        ids = dataset.get("sample_ids")
        self.places = {
            str(one): place
            for place, one in enumerate(ids if type(ids) is list else ())
        }
        self.n_items = len({sample for sample, _ in keys})
        self.repeats = max((epoch for _, epoch in keys), default=0)
        refuse_gaps(self.n_items, self.repeats, len(keys))
        total = _count(dataset.get("samples")) or 0
        self.n_items_total = max(self.n_items, total)

    def part(self) -> Part:
        """Return the answers; of a log that was broken off, those that are there."""
        trial = self._trial()
        unsaid = ("train_seed", "step", "num_fewshot", "weights_digest", "dtype")
        return Part(
            trial={name: value for name, value in trial.items() if value is not None},
            rows=self.rows,
            unknown=tuple(name for name in unsaid if trial.get(name) is None),
            files=(self.path,),
        )

    def problems(self, n_replaced: int) -> Iterator[Problem]:
        """Yield what a reader should know of a log that was taken all the same."""
        status = self.header.get("status", "started")
        if status != "success":
            yield Problem(
                file=str(self.path),
                line=None,
                reason=f"its status is {status!r}: {self.n_items} of "
                f"{self.n_items_total} items are there",
                code="results-partial",
                is_left_out=False,
            )
        if n_replaced:
            yield Problem(
                file=str(self.path),
                line=None,
                reason=f"{n_replaced} samples stand twice; the later one counts, as "
                "with Inspect",
                code="duplicate-response",
            )

    def aggregates(self) -> Iterator[dict[str, Any]]:
        """Yield the scores of a log that has no samples."""
        results = mapping(self.header.get("results"))
        scores = results.get("scores")
        if not isinstance(scores, list):  # version 1 had one scorer
            scores = [{**results, "name": mapping(results.get("scorer")).get("name")}]
        n_items = results.get("completed_samples")
        for score in map(mapping, scores):
            metrics = mapping(score.get("metrics"))
            values = {
                name: number(metric.get("value") if type(metric) is dict else metric)
                for name, metric in metrics.items()
            }
            name = words(score.get("name")) or words(score.get("scorer"))
            scored = score.get("scored_samples", n_items)
            for metric, value in values.items():
                if value is None or metric == "stderr":
                    continue
                is_mean = metric in {"accuracy", "mean"}
                yield {
                    **self.checkpoint,
                    "task": self.task,
                    "formulation": "",
                    "num_fewshot": self._num_fewshot,
                    "template": "default",
                    "metric": f"{words(metric)},{name}" if name else words(metric),
                    "value": value,
                    "se": values.get("stderr") if is_mean else None,
                    "higher_is_better": True if is_mean else None,
                    "n_items": _count(scored),
                    "task_version": str(self.eval.get("task_version", "")),
                    "backend": self._backend,
                    "location": str(self.path),
                    "finished_at": self._finished_at,
                }

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Return the samples as batches of our rows."""
        return batches(map(self._row, _samples(self.path)))

    def _row(self, sample: object) -> dict[str, Any]:
        if not isinstance(sample, dict):
            raise BrokenFile("it has a sample that is no object")
        sample_id, epoch = _key(sample)
        scores = sample.get("scores")
        if scores is None and "score" in sample:  # version 1 had one scorer
            scores = {"score": sample["score"]}
        metrics = dict(_metrics(mapping(scores)))
        answers = (mapping(score).get("answer") for score in mapping(scores).values())
        choices = sample.get("choices")
        options = [str(one) for one in choices] if isinstance(choices, list) else []
        target, place = _target(sample.get("target"), options)
        question = _content(sample.get("input"))
        return {
            # A sample whose choices were shuffled is the same one, put otherwise.
            "item_id": digest(
                [
                    sample.get("id"),
                    question,
                    sorted(options),
                    target if place is None else options[place],
                ]
            ),
            "item_index": self.places.setdefault(sample_id, len(self.places)),
            "repeat": epoch - 1,
            "status": _status(sample, metrics),
            "prompt_digest": digest([question, options]),
            "target_index": place,
            "text": words(mapping(sample.get("output")).get("completion")),
            "answer": next((words(a) for a in answers if isinstance(a, str)), None),
            "target": words(target),
            "metrics": list(metrics.items()),
        }

    def _trial(self) -> dict[str, Any]:
        config = {
            **mapping(mapping(self.header.get("plan")).get("config")),
            **mapping(self.eval.get("model_generate_config")),
        }
        generation = {
            name: config[name] for name in GENERATION if config.get(name) is not None
        }
        seed = config.get("seed")
        packages = mapping(self.eval.get("packages"))
        args = mapping(self.eval.get("task_args"))
        steps = mapping(self.header.get("plan")).get("steps")
        weights = {
            name: self.model_args[name] for name in WEIGHTS if self.model_args.get(name)
        }
        stats = mapping(self.header.get("stats"))
        return {
            **self.checkpoint,
            "task": self.task,
            "template": "default",
            "formulation": "",
            "num_fewshot": self._num_fewshot,
            "generation": _canonical(generation),
            "sample_seed": seed if type(seed) is int and abs(seed) < 2**63 else None,
            "repeats": self.repeats,
            "weights_digest": digest(weights) if weights else None,
            "dtype": words(self.model_args.get("torch_dtype")),
            "task_digest": digest(
                [
                    *(self.task, self.eval.get("task_version"), args),
                    *(self._dataset, self.eval.get("scorers")),
                ]
            ),
            "template_digest": digest(steps),
            "task_version": words(str(self.eval.get("task_version", ""))),
            "output_type": "generate_until",
            "sampled": generation.get("temperature") != 0,
            "n_items": self.n_items,
            "n_items_total": self.n_items_total,
            "backend": self._backend,
            "versions": [
                (words(name), str(words(version)))
                for name, version in packages.items()
                if isinstance(version, str)
            ],
            "location": str(self.path),
            "revision": self.revision,
            "started_at": moment(stats.get("started_at")),
            "finished_at": self._finished_at,
        }

    @property
    def _num_fewshot(self) -> int | None:
        args = mapping(self.eval.get("task_args"))
        for name in ("num_fewshot", "fewshot"):
            if (value := _count(args.get(name))) is not None:
                return value
        return None

    @property
    def _dataset(self) -> object:
        return mapping(self.eval.get("dataset")).get("name")

    @property
    def _backend(self) -> str:
        version = words(mapping(self.eval.get("packages")).get("inspect_ai"))
        return f"inspect_ai {version}" if version else "inspect_ai"

    @property
    def _finished_at(self) -> Any:
        stats = mapping(self.header.get("stats"))
        return moment(stats.get("completed_at")) or moment(self.eval.get("created"))


def _header(path: Path) -> tuple[Mapping[str, Any], set[tuple[str, int]], int]:
    """Return what a log says of all its samples, which there are, and which twice."""
    if path.suffix == ".eval":
        with Archive(path) as archive:
            names = archive.names
            keys = {
                (found[1], _epoch(int(found[2][:9])))
                for found in map(MEMBER.fullmatch, names)
                if found
            }
            # One that was broken off has its start only.
            for name in ("header.json", "_journal/start.json"):
                if name in names:
                    return mapping(archive.json(name)), keys, archive.n_replaced
        raise BrokenFile("it has neither header.json nor _journal/start.json")
    header: dict[str, Any] = {}
    keys, n_samples = set(), 0
    for name, value in json_members(path, {"samples"}):
        if name != "samples":
            header[name] = value
        elif isinstance(value, dict):
            keys.add(_key(value))
            n_samples += 1
        elif value is not None:
            raise BrokenFile("it has a sample that is no object")
    if n_samples > len(keys):
        raise InputError(
            f"{n_samples - len(keys)} samples stand twice, with the same id and epoch",
            code="duplicate-response",
        )
    return header, keys, 0


def _samples(path: Path) -> Iterator[Any]:
    if path.suffix == ".eval":
        with Archive(path) as archive:
            for name in archive.names:
                if MEMBER.fullmatch(name):
                    yield archive.json(name)
    else:
        for name, value in json_members(path, {"samples"}):
            if name == "samples" and value is not None:
                yield value


def _key(sample: Mapping[str, Any]) -> tuple[str, int]:
    return str(sample.get("id")), _epoch(sample.get("epoch", 1))


def _epoch(epoch: object) -> int:
    if type(epoch) is not int or not 1 <= epoch <= MOST_REPEAT + 1:
        raise BrokenFile(
            f"it has an epoch {epoch!r}; they are numbers from 1 to {MOST_REPEAT + 1}"
        )
    return epoch


def _metrics(scores: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield a metric for each scorer; for each key where it gives several values."""
    for scorer, score in scores.items():
        name = words(scorer)
        value = mapping(score).get("value")
        several: dict[object, object] = {}
        if isinstance(value, dict):
            several = {words(key): one for key, one in value.items()}
        elif isinstance(value, list):
            several = dict(enumerate(value))
        for key, one in several.items():
            if (worth := _worth(one)) is not None:
                yield f"{key},{name}", worth
        if not several and (worth := _worth(value)) is not None:
            yield metric_name(str(name)), worth


def _worth(value: object) -> float | None:
    """Return what one value of a score counts; none where it does not say.

    Inspect takes a word that it does not know for 0; here such a sample has no score.
    """
    if not isinstance(value, str):
        return number(value)
    if value in WORTH:
        return WORTH[value]
    if value.lower() in WORTH and len(value) > 1:
        return WORTH[value.lower()]
    try:
        return number(float(value))
    except ValueError:
        return None


def _status(sample: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
    if sample.get("error") is not None:
        return "error"
    if sample.get("limit") is not None:
        return "limit"
    return "ok" if metrics else "unscored"


def _target(target: object, options: list[str]) -> tuple[str | None, int | None]:
    """Return the reference answer, the first of several, and its place."""
    if isinstance(target, list):
        target = target[0] if target else None
    if target is None:
        return None, None
    text = str(target)
    place = ord(text.upper()) - ord("A") if len(text) == len(text.upper()) == 1 else -1
    return text, place if 0 <= place < len(options) else None


def _content(asked: object) -> object:
    """Return what was asked, without what Inspect draws anew for each run."""
    if not isinstance(asked, list):
        return asked
    return [
        [mapping(message).get("role"), mapping(message).get("content")]
        for message in asked
    ]


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _canonical(generation: Mapping[str, Any]) -> str:
    if not generation:
        return ""
    return json.dumps(generation, sort_keys=True, separators=(",", ":"))
