"""What do lm-eval's results say of a run? Its model, its settings, its scores."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from harness.directions import lower_of
from harness.ingest.bounded import read_json
from harness.ingest.lm_eval_lines import Sample
from harness.ingest.lm_eval_rows import Asked
from harness.ingest.names import checkpoint_of
from harness.ingest.own import own_trial
from harness.ingest.parts import BrokenFile
from harness.records import Template, digest, unicode_of

MAX_RESULTS = 256 * 2**20
"""Bytes of the largest file of results that is read: it is held as a whole."""

TIME = r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)"
SAMPLES_NAME = re.compile(rf"samples_(.+)_{TIME}\.jsonl?", re.DOTALL)
IS_RESULTS = re.compile(rb'\s*\{\s*"results"\s*:\s*\{')
RESULTS_NAME = re.compile(rf"results_{TIME}\.json")

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""Of an object, in the text of a configuration; another one in each process."""

ELSEWHERE = (
    "dataset_path", "dataset_name", "dataset_kwargs", "custom_dataset", "metadata",
    "tag", "group", "task_alias",
)  # fmt: skip
"""What of a task's configuration is no wording: where its items lie, its titles."""

NAMES = ("peft", "delta", "pretrained", "model", "path", "engine")
"""Arguments that name a model, in lm-eval's own order."""

WEIGHTS = (
    *NAMES, "subfolder", "revision", "gguf_file", "quantization", "load_in_8bit",
    "load_in_4bit", "autogptq", "gptqmodel",
)  # fmt: skip
"""Arguments that say which weights answered, and how they are held."""

SEED = 1234
"""What lm-eval 0.4 seeds torch and its few-shot examples with, where nothing else is
said; until 0.4.1 nothing else could be."""

LARGEST = 2**63
LETTERS = "ABCDEFGHIJ"
PLAIN_STEPS = ("take_first",)
"""Filters that change nothing of the first answer."""

NO_METRIC = frozenset({"alias", "name", "sample_len", "sample_count", " "})
"""What else stands among a task's scores."""

OUTPUT_TYPES = (
    "multiple_choice",
    "loglikelihood",
    "generate_until",
    "loglikelihood_rolling",
)

OLD_NAME = re.compile(
    r"(?:pretrained|model)__((?:[^,]*__)?[^_,]+)(?:,.*__[^_,]+)?_(.+)", re.DOTALL
)
"""Name of samples until 0.4.2: the model's arguments, then the task."""

TORCH = re.compile(r"PyTorch version: (\S+)")

TOLD = (
    "model", "train_seed", "step", "num_fewshot", "template_digest", "task_version",
    "weights_digest", "dtype", "batch_size", "sample_seed", "fewshot_seed",
    "n_items_total",
)  # fmt: skip
"""What is said to be unknown where a file is silent on it."""


class Run:
    """One run of lm-eval: what its file of results says.

    Attributes
    ----------
    path : Path or None
        The file of results; None where there are only samples.
    content : dict
        Of the file; sections that are missing are empty.
    """

    def __init__(self, path: Path | None, content: Mapping[str, Any]) -> None:
        self.path, self.content = path, content

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read a file of results.

        Raises
        ------
        BrokenFile
        """
        info = path.stat()
        if info.st_size > MAX_RESULTS:
            raise BrokenFile(f"it is larger than {MAX_RESULTS:,} bytes")
        return cls(path, _content(path, info.st_mtime_ns, info.st_size))

    @classmethod
    def beside(cls, samples: Path) -> Run:
        """Return the run that a file of samples is of, as far as it is there.

        Raises
        ------
        BrokenFile
            The results beside it cannot be read: without them it is not known whose
            samples they are.
        """
        match = SAMPLES_NAME.fullmatch(samples.name)
        if match:
            at_once = samples.with_name(f"results_{match[2]}.json")
            named = (
                [at_once]
                if at_once.is_file()
                else sorted(samples.parent.glob(f"*_{match[2]}.json"))
            )
        else:
            named = sorted(samples.parent.glob("*.json"))
        for path in named:
            if path == samples or not path.is_file() or not is_results(path):
                continue
            try:
                run = cls.read(path)
            except (BrokenFile, OSError) as error:
                if match:
                    raise BrokenFile(
                        f"the results beside it, {path.name}, cannot be read: {error}"
                    ) from None
                continue
            if match or run._wrote(samples):
                return run
        return cls(None, {"samples_name": samples.name, "folder": samples.parent.name})

    @property
    def is_new(self) -> bool:
        """Whether it is of 0.4 or later, which write the tasks' configurations."""
        return "configs" in self.content or "n-shot" in self.content

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """How it was run."""
        return _mapping(self.content.get("config"))

    @cached_property
    def arguments(self) -> Mapping[str, Any]:
        """The model's arguments."""
        said = self.config.get("model_args")
        if isinstance(said, str):
            pairs = (pair.partition("=") for pair in said.split(","))
            return {name.strip(): value for name, _, value in pairs if name.strip()}
        return _mapping(said)

    @property
    def logged(self) -> Mapping[str, Sequence[Any]]:
        """Samples inside the results, as lm-eval's own functions return them."""
        return {
            task: samples
            for task, samples in _mapping(self.content.get("samples")).items()
            if isinstance(samples, list) and samples
        }

    def task_config(self, task: str) -> Mapping[str, Any]:
        """Return the configuration of a task."""
        return _mapping(_mapping(self.content.get("configs")).get(task))

    def task_of(self, samples: Path) -> str:
        """Return the task that a file of samples is of."""
        match = SAMPLES_NAME.fullmatch(samples.name)
        if match:
            return match[1]
        for task in _mapping(self.content.get("configs")):
            if samples.stem == f"{self._old_prefix}_{task}":
                return str(task)
        old = OLD_NAME.fullmatch(samples.stem)
        return old[2] if old else samples.stem

    def samples_beside(self, results: Path) -> Iterator[Path]:
        """Yield the files of samples that this run wrote, in name order."""
        match = re.search(rf"_{TIME}\.json$", results.name)
        wanted = f"samples_*_{match[1]}.json*" if match else "*.json*"
        for path in sorted(results.parent.glob(wanted)):
            if path.is_file() and path != results and (match or self._wrote(path)):
                yield path

    def _wrote(self, samples: Path) -> bool:
        tasks = _mapping(self.content.get("configs"))
        return any(samples.stem == f"{self._old_prefix}_{task}" for task in tasks)

    @property
    def _old_prefix(self) -> str:
        return re.sub("/|=", "__", str(self.config.get("model_args")))

    # ---- one task's trial --------------------------------------------------------

    def asked(self, task: str, first: Sample) -> Asked:
        """Return what is needed to understand a task's samples."""
        config = self.task_config(task)
        said = config.get("output_type")
        delimiter = config.get("target_delimiter")
        return Asked(
            output_type=said if said in OUTPUT_TYPES else _output_type(first),
            delimiter=delimiter if isinstance(delimiter, str) else " ",
            filters=tuple(self._filters(task)),
            is_exact_match=_is_exact_match(config),
        )

    def trial(
        self, task: str, asked: Asked, first: Sample
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the columns of `frames.TRIALS` that are known, and what is not."""
        config, sizes = self.task_config(task), self._sizes(task)
        wording = {k: v for k, v in config.items() if k not in ELSEWHERE}
        generation = self.config.get("gen_kwargs")
        trial = {
            **self._checkpoint,
            "task": task,
            **self._template,
            "formulation": _formulation(config, asked, first),
            "num_fewshot": _whole(
                _mapping(self.content.get("n-shot")).get(
                    task, config.get("num_fewshot")
                ),
                2**31,
            ),
            "generation": _generation(generation),
            **self._seeds,
            "weights_digest": self._weights_digest,
            "task_digest": digest(ADDRESS.sub("", json.dumps(wording, sort_keys=True)))
            if wording
            else None,
            "task_version": _text(_mapping(self.content.get("versions")).get(task)),
            "output_type": asked.output_type,
            "lower_is_better": lower_of(self._directions(task)),
            "sampled": asked.output_type == "generate_until"
            and _is_sampled(_mapping(config.get("generation_kwargs"))),
            "n_items_total": _whole(sizes.get("original"), 2**31),
            "dtype": _dtype(
                self.config.get("model_dtype") or self.arguments.get("dtype")
            ),
            "batch_size": self._batch_size,
            "max_length": _whole(self.arguments.get("max_length"), 2**31),
            "backend": self.backend,
            "device": _text(self.config.get("device")),
            "versions": self._versions,
            "revision": _text(
                self.config.get("model_sha") or self.config.get("model_revision")
            ),
            **self._times,
        }
        known = {name: value for name, value in trial.items() if value is not None}
        known |= own_trial(self.content, task)
        unknown = tuple(name for name in TOLD if name not in known)
        return known, unknown

    @property
    def backend(self) -> str:
        """What evaluated it, and its version as far as that is known."""
        said = _text(self.content.get("lm_eval_version"))
        if said:
            return f"lm-eval {said}"
        return (
            "lm-eval 0.4"
            if self.is_new or not self.content.get("results")
            else "lm-eval 0.3"
        )

    @property
    def model(self) -> str | None:
        """Its name, as far as it is said."""
        return _text(self._checkpoint.get("model"))

    @cached_property
    def _checkpoint(self) -> dict[str, Any]:
        """Return model, train_seed and step as far as names say them."""
        name = _text(self.content.get("model_name"))
        named = [str(self.arguments[key]) for key in NAMES if self.arguments.get(key)]
        if name is None or name not in named:
            # Without any of these lm-eval draws a name at random.
            name = named[0] if named else None
        if name is None and self.path is None:
            name = self._name_of_samples()
        if name is None:
            return {}
        if subfolder := self.arguments.get("subfolder"):
            name = f"{name.rstrip('/')}/{subfolder}"
        revision = self.arguments.get("revision") or self.config.get("model_revision")
        said = checkpoint_of(name, _text(revision))
        return {key: _within(value) for key, value in said.items()}

    def _name_of_samples(self) -> str | None:
        """Return the model that a samples' own name, or its folder's, stands for."""
        old = OLD_NAME.fullmatch(Path(self.content["samples_name"]).stem)
        if old:
            return old[1].replace("__", "/")
        folder = str(self.content["folder"])
        if SAMPLES_NAME.fullmatch(self.content["samples_name"]) and "__" in folder:
            return folder.replace("__", "/")
        return None

    @cached_property
    def _template(self) -> dict[str, Any]:
        """Return the name and the digest of what stands around the prompts."""
        if not self.content.get("results"):
            return {}
        chat = _text(self.content.get("chat_template"))
        system = _text(self.content.get("system_instruction")) or None
        own = Template(
            name="", system_prompt=system, apply_chat_template=chat is not None
        ).digest
        if chat is None and system is None:
            return {"template": "default", "template_digest": own}
        multiturn = bool(self.content.get("fewshot_as_multiturn"))
        names = ["chat"] * (chat is not None)
        names += [f"system {digest(system)[:6]}"] * (system is not None)
        return {
            "template": " + ".join(names),
            "template_digest": own if chat is None else digest([own, chat, multiturn]),
        }

    @cached_property
    def _seeds(self) -> dict[str, Any]:
        if not self.is_new:
            return {}
        seeds = {}
        for name, key in (
            ("fewshot_seed", "fewshot_seed"),
            ("sample_seed", "torch_seed"),
        ):
            said = self.config.get(key, SEED)
            seeds[name] = None if said is None else _whole(said, LARGEST)
        return seeds

    @property
    def _weights_digest(self) -> str | None:
        said = {
            key: str(self.arguments[key]) for key in WEIGHTS if key in self.arguments
        }
        sha = self.config.get("model_sha")
        if sha:
            said["sha"] = str(sha)
        return digest(said) if said else None

    @property
    def _batch_size(self) -> int | None:
        found = {
            _whole(size, 2**31) for size in _listed(self.config.get("batch_sizes"))
        }
        said = _whole(self.config.get("batch_size"), 2**31)
        return said if said is not None or len(found) != 1 else found.pop()

    @property
    def _versions(self) -> dict[str, str] | None:
        found = {
            package: _text(self.content.get(key))
            for package, key in (
                ("lm_eval", "lm_eval_version"),
                ("transformers", "transformers_version"),
            )
        }
        if torch := TORCH.search(str(self.content.get("pretty_env_info"))):
            found["torch"] = torch[1]
        return {name: said for name, said in found.items() if said} or None

    @property
    def _times(self) -> dict[str, Any]:
        """Return when it began and ended; the clock of a file's name has no zone."""
        began = _seconds(self.content.get("date"))
        took = _seconds(self.content.get("total_evaluation_time_seconds"))
        match = re.search(TIME, self.path.name) if self.path else None
        ended: datetime | None = None
        started: datetime | None = None
        with contextlib.suppress(ValueError, OverflowError, OSError):
            if began is not None:
                started = datetime.fromtimestamp(began, UTC)
                ended = started + timedelta(seconds=took or 0)
            elif match:
                day, _, clock = match[1].partition("T")
                ended = datetime.fromisoformat(
                    f"{day}T{clock.replace('-', ':')}"
                ).replace(tzinfo=UTC)
        return {"started_at": started, "finished_at": ended, "seconds": took}

    def _sizes(self, task: str) -> Mapping[str, Any]:
        return _mapping(_mapping(self.content.get("n-samples")).get(task))

    # ---- scores --------------------------------------------------------------------

    def _filters(self, task: str) -> list[str]:
        """Return a task's filters in the order of its metrics."""
        named = [
            str(one["name"])
            for one in _listed(self.task_config(task).get("filter_list"))
            if isinstance(one, dict) and "name" in one
        ]
        if named:
            return named
        scores = _mapping(_mapping(self.content.get("results")).get(task))
        keys = (str(key).partition(",")[2] for key in scores)
        return list(dict.fromkeys(name for name in keys if name))

    def _directions(self, task: str) -> dict[str, bool | None]:
        """Return of each metric whether it says that higher is better."""
        said = {
            str(one.get("metric")): one.get("higher_is_better")
            for one in map(_mapping, _listed(self.task_config(task).get("metric_list")))
        }
        said |= _mapping(_mapping(self.content.get("higher_is_better")).get(task))
        scores = _mapping(_mapping(self.content.get("results")).get(task))
        names = [*said, *(key.partition(",")[0] for key in scores)]
        return {
            unicode_of(name): said[name] if isinstance(said.get(name), bool) else None
            for name in names
        }

    def aggregates(self, *, without: Collection[str]) -> Iterator[dict[str, Any]]:
        """Yield the scores of the tasks that have no items here, groups left out."""
        groups = {*_mapping(self.content.get("groups"))}
        groups |= {
            name
            for name, tasks in _mapping(self.content.get("group_subtasks")).items()
            if tasks
        }
        for task, scores in self.content["results"].items():
            if task in without or task in groups or not isinstance(scores, dict):
                continue
            better = self._directions(task)
            for key, value in scores.items():
                name, _, filter_ = key.partition(",")
                number = _finite(value)
                if number is None or name in NO_METRIC or name.endswith("_stderr"):
                    continue
                error = scores.get(
                    f"{name}_stderr,{filter_}" if filter_ else f"{name}_stderr"
                )
                yield {
                    **self._checkpoint,
                    "task": task,
                    "formulation": _declared(self.task_config(task)),
                    "num_fewshot": _whole(
                        _mapping(self.content.get("n-shot")).get(
                            task, self.config.get("num_fewshot")
                        ),
                        2**31,
                    ),
                    "template": self._template.get("template", "default"),
                    "metric": f"{name},{filter_ or 'none'}",
                    "value": number,
                    "se": _finite(error),
                    "higher_is_better": better[unicode_of(name)],
                    "n_items": _whole(
                        self._sizes(task).get("effective", scores.get("sample_len")),
                        LARGEST,
                    ),
                    "task_version": _text(
                        _mapping(self.content.get("versions")).get(task)
                    ),
                    "backend": self.backend,
                    "finished_at": self._times["finished_at"],
                }


@lru_cache(maxsize=4)
def _content(path: Path, _mtime: int, _size: int) -> Mapping[str, Any]:
    """Return what a file of results holds; the same for all samples beside it."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise BrokenFile("it has no results of lm-eval in it")
    return content


def is_results(path: Path, head: bytes | None = None) -> bool:
    """Return whether a file is one of results, by its name or how it begins."""
    if RESULTS_NAME.fullmatch(path.name):
        return True
    if head is None:
        with path.open("rb") as file:
            head = file.read(4096)
    return bool(IS_RESULTS.match(head))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: Any) -> str | None:
    """Return what is said, or None where nothing is."""
    return None if value in (None, "") else unicode_of(str(value))


def _whole(value: Any, end: int) -> int | None:
    """Return a whole number below `end`, which may be written as text."""
    if isinstance(value, str) and value.strip().isascii():
        with contextlib.suppress(ValueError):
            value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < end else None


def _within(value: Any) -> Any:
    return value if not isinstance(value, int) or value < LARGEST else None


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with contextlib.suppress(OverflowError):
        return float(value) if math.isfinite(value) else None
    return None


def _seconds(value: Any) -> float | None:
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = float(value)
        return number if math.isfinite(number) else None
    return None


def _dtype(value: Any) -> str | None:
    """Return a number format by its plain name; ``auto`` says nothing."""
    said = _text(value)
    return None if said in (None, "auto") else str(said).removeprefix("torch.")


def _generation(value: Any) -> str:
    """Return the arguments of generation that the command line changed."""
    if isinstance(value, str) and value:
        pairs = (pair.partition("=") for pair in value.split(","))
        value = {name.strip(): _read(said) for name, _, said in pairs}
    return json.dumps(value, sort_keys=True) if value else ""


def _read(words: str) -> Any:
    """Return what words of the command line stand for: a number, or themselves."""
    try:
        return json.loads(words.lower())
    except (ValueError, RecursionError):
        return words


def _is_sampled(arguments: Mapping[str, Any]) -> bool:
    """Whether answers are drawn at random: as lm-eval decides it."""
    temperature = _finite(arguments.get("temperature"))
    if (said := arguments.get("do_sample")) is not None:
        return bool(said)
    return bool(temperature)


def _is_exact_match(config: Mapping[str, Any]) -> bool:
    """Whether nothing stands between an answer's text and its score."""
    steps = [
        step.get("function") if isinstance(step, dict) else None
        for one in _listed(config.get("filter_list"))
        for step in _listed(_mapping(one).get("filter"))
    ]
    metrics = [
        {*one} - {"aggregation", "higher_is_better"}
        for one in _listed(config.get("metric_list"))
        if isinstance(one, dict) and one.get("metric") == "exact_match"
    ]
    return (
        all(step in PLAIN_STEPS for step in steps)
        and metrics == [{"metric"}]
        and not config.get("process_results")
    )


def _output_type(first: Sample) -> str:
    """Return what was asked, by what a sample looks like."""
    if isinstance(first.continuations[0], dict):
        return "generate_until"
    answer = first.resps[0][0] if first.resps and first.resps[0] else None
    if isinstance(answer, list):
        return "loglikelihood" if len(first.continuations) == 1 else "multiple_choice"
    pairs = any(isinstance(value, list) for value in first.metrics.values())
    is_rolling = first.continuations[0] is None and pairs
    return "loglikelihood_rolling" if is_rolling else "generate_until"


def _declared(config: Mapping[str, Any]) -> str:
    said = _mapping(config.get("metadata")).get("formulation")
    return said if said in ("choice", "cloze") else ""


def _formulation(config: Mapping[str, Any], asked: Asked, first: Sample) -> str:
    """Say how choices are put, as it is said of our own runs."""
    if asked.output_type != "multiple_choice":
        return ""
    if said := _declared(config):
        return said
    is_bare = config.get("doc_to_text") == "" or not str(first.prompt).strip()
    if is_bare or first.has_many_prompts:
        return ""  # whole sentences against each other
    choices = [str(text).strip(" ().") for text in first.continuations]
    return "choice" if choices == list(LETTERS[: len(choices)]) else "cloze"
