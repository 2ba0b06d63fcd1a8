"""What does lm-eval load? Its tasks, with a suite's overrides in them.

lm-eval's silent wrong answers that begin with loading are closed here: a few-shot
count that a task overrules, few-shot indices that are forgotten, a data cache that
goes by modification time, code that a task would bring along.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.directions import lower_of
from harness.errors import SuiteError
from harness.records import Formulation, TaskInfo, TaskRequest, digest

# Before lm-eval's imports, which decide by it whether to draw bars of their own.
os.environ.setdefault("TQDM_DISABLE", "1")

import lm_eval.utils
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

logging.getLogger("lm_eval").setLevel(logging.ERROR)

# lm-eval compiles the Jinja template again for each document; compiled once, request
# building takes a thirteenth of the time, with the same text.
lm_eval.utils.env.from_string = functools.lru_cache(4096)(lm_eval.utils.env.from_string)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""How Python shows an object that has nothing else to say of itself."""

OUTPUT_TYPES = ("multiple_choice", "loglikelihood", "generate_until")
"""What can be scored per item; rolling likelihood of whole texts is not among it."""


FEW_ITEMS = 20
"""The right answers of so few may all have the same letter by chance."""


class TaskLibrary:
    """Loads tasks once each, by what the suite asks of them."""

    def __init__(self) -> None:
        self._managers: dict[tuple[tuple[str, ...], bool], TaskManager] = {}
        self._tasks: dict[str, ConfigurableTask] = {}
        self._digests: dict[str, str] = {}

    def describe(self, request: TaskRequest) -> TaskInfo:
        """Load the task asked for and say what a plan must know of it.

        Raises
        ------
        SuiteError
            ``unknown-task`` (with the nearest name), ``task-invalid``,
            ``task-group``, ``unsafe-code``, ``task-unsupported``,
            ``no-formulation``, ``filter-over-repeats``.
        """
        task = self.load(request)
        _refuse_items_without_answer(task, request)
        _refuse_items_without_cluster(task, request)
        config = task.config
        documents = task.eval_docs
        if task.OUTPUT_TYPE == "multiple_choice":
            n_requests = sum(len(task.doc_to_choice(doc)) for doc in documents)
        else:
            n_requests = len(documents) * (1 + (task.OUTPUT_TYPE == "generate_until"))
        return TaskInfo(
            task=request.task,
            task_digest=self.digest_of(request),
            version=str(task.VERSION),
            output_type=str(task.OUTPUT_TYPE),
            formulation=request.formulation or _native_formulation(task),
            num_fewshot=config.num_fewshot or 0,
            sampled=_is_sampled(task),
            draws_fewshot=_draws_fewshot(task),
            repeats=config.repeats or 1,
            n_items=len(documents),
            n_requests=n_requests,
            lower_is_better=lower_of(task.higher_is_better()),
        )

    def load(self, request: TaskRequest) -> ConfigurableTask:
        """Return the task with the suite's overrides, loaded once."""
        key = key_of(request)
        if key not in self._tasks:
            task = self._build(request, self._config(request))
            _refuse_what_cannot_be_scored(task, request)
            # What is listed by letter is the task's own wording, so that is what the
            # digest is of; the formulation is part of a trial's identity by itself.
            self._digests[key] = _task_digest(task, request.task)
            if request.formulation and request.formulation != _native_formulation(task):
                task = self._reformulate(request, task)
            self._tasks[key] = task
        return self._tasks[key]

    def digest_of(self, request: TaskRequest) -> str:
        """Return the digest of the task as it was loaded."""
        self.load(request)
        return self._digests[key_of(request)]

    def _config(self, request: TaskRequest) -> dict[str, Any]:
        """Return the task's configuration with the suite's overrides in it."""
        entry = self._entry(request)
        source = Path(entry.yaml_path) if entry.yaml_path else None
        try:
            config = dict(load_yaml(source)) if source else dict(entry.cfg or {})
        except (Exception, SystemExit) as error:  # a task's own code runs here
            raise SuiteError(
                f"task {request.task}: {source}: {first_line(error)}",
                code="task-invalid",
            ) from None
        for key in ("tag", "group", "task_list"):
            config.pop(key, None)
        config["task"] = request.task
        template = request.template
        for name in (
            "doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter",
        ):  # fmt: skip
            if getattr(template, name) is not None:
                config[name] = getattr(template, name)
        if request.num_fewshot is not None:
            config["num_fewshot"] = request.num_fewshot
        if request.generation:
            config["generation_kwargs"] = {
                **(config.get("generation_kwargs") or {}),
                **dict(request.generation),
            }
        _refuse_unsafe(config, request)
        _read_local_data_directly(config, source)
        return config

    def _entry(self, request: TaskRequest) -> Any:
        """Find the task among the suite's own folders, else among lm-eval's."""
        names: list[str] = []
        for with_defaults in (False, True):
            if not with_defaults and not request.task_paths:
                continue
            index = self._manager(request.task_paths, with_defaults).task_index
            entry = index.get(request.task)
            if entry is None:
                names.extend(index)
                continue
            if entry.kind.name not in {"TASK", "PY_TASK"}:
                members = sorted(getattr(entry, "tags", None) or [])[:5]
                raise SuiteError(
                    f"{request.task!r} is a {entry.kind.name.lower()} of tasks; "
                    f"name the tasks themselves{': ' if members else ''}"
                    f"{', '.join(members)}",
                    code="task-group",
                )
            return entry
        _refuse_unreadable_yaml(request)
        near = difflib.get_close_matches(request.task, names, n=1)
        looked = ", ".join(request.task_paths) or "lm-eval's own tasks"
        raise SuiteError(
            f"there is no task {request.task!r} in {looked} or lm-eval"
            + (f"; did you mean {near[0]!r}?" if near else ""),
            code="unknown-task",
        )

    def _manager(self, paths: tuple[str, ...], with_defaults: bool) -> TaskManager:
        key = (paths, with_defaults)
        if key not in self._managers:
            for path in paths:
                if not Path(path).is_dir():
                    raise SuiteError(
                        f"task_paths: there is no folder {path}", code="unknown-task"
                    )
            # Indexing lm-eval's 14,000 own names takes ten seconds: only if needed.
            self._managers[key] = TaskManager(
                include_path=list(paths) or None, include_defaults=with_defaults
            )
        return self._managers[key]

    def _build(self, request: TaskRequest, config: dict[str, Any]) -> ConfigurableTask:
        manager = next(iter(self._managers.values()))
        try:
            (task,) = manager.load([config])["tasks"].values()
        except (Exception, SystemExit) as error:  # a task's own code runs here
            raise SuiteError(
                f"task {request.task} cannot be loaded: {first_line(error)}",
                code="task-invalid",
            ) from error
        indices = getattr(task.fewshot_cfg, "fewshot_indices", None)
        if indices and hasattr(
            task, "sampler"
        ):  # lm-eval reads the key, then forgets it
            pool = list(task.sampler.df)
            task.sampler.replace_df([pool[index] for index in indices])
        return task

    def _reformulate(
        self, request: TaskRequest, base: ConfigurableTask
    ) -> ConfigurableTask:
        """List the choices by letter, and score the letters instead of the texts."""
        native = _native_formulation(base)
        if request.formulation != "choice" or native != "cloze":
            raise SuiteError(
                f"task {request.task} is in formulation {native or 'none'!r}; "
                f"{request.formulation!r} cannot be made of it",
                code="no-formulation",
            )
        first, *others = [target_index(base, doc) for doc in base.eval_docs]
        if len(others) > FEW_ITEMS and first is not None and {first} == {*others}:
            raise SuiteError(
                f"task {request.task}: all {len(others) + 1} right answers are choice "
                f"{LETTERS[first]}; by letter that would measure a liking for this "
                "letter, so use a task whose choices are shuffled",
                code="no-formulation",
            )

        def text(doc: Mapping[str, Any]) -> str:
            question = base.doc_to_text(doc).rstrip()
            question = question.removesuffix("Answer:").rstrip()
            options = zip(LETTERS, base.doc_to_choice(doc), strict=False)
            lines = [f"{letter}. {option}" for letter, option in options]
            return "\n".join([question, *lines, "Answer:"])

        config = self._config(request)
        fewshot = dict(config.get("fewshot_config") or {})
        for key in ("doc_to_text", "doc_to_choice", "doc_to_target"):
            fewshot.pop(key, None)
        config |= {
            "doc_to_text": text,
            "doc_to_choice": lambda doc: list(LETTERS[: len(base.doc_to_choice(doc))]),
            "doc_to_target": lambda doc: target_index(base, doc),
            "target_delimiter": " ",
            "fewshot_config": fewshot or None,
        }
        return self._build(request, config)


def key_of(request: TaskRequest) -> str:
    """Return what two requests share if they load the same task."""
    return digest([asdict(request), request.task_paths])


def _refuse_unreadable_yaml(request: TaskRequest) -> None:
    """Name a file of the suite's folders that lm-eval passed over in silence."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    for folder in request.task_paths:
        for file in sorted(Path(folder).rglob("*.yaml")):
            try:
                for _ in YAML(pure=True).parse(file.read_text(encoding="utf-8")):
                    pass
            except (YAMLError, OSError, UnicodeDecodeError) as error:
                raise SuiteError(
                    f"there is no task {request.task!r}, but {file} cannot be read: "
                    f"{' '.join(str(error).split())}",
                    code="task-invalid",
                ) from None


def _refuse_unsafe(config: Mapping[str, Any], request: TaskRequest) -> None:
    """Refuse tasks that run code from elsewhere unless the suite allows it by name."""
    arguments = config.get("dataset_kwargs") or {}
    runs_code = bool(config.get("unsafe_code")) or bool(
        arguments.get("trust_remote_code")
    )
    if runs_code and not request.allow_unsafe_code:
        raise SuiteError(
            f"task {request.task} runs code that a model or a data set brings; "
            "if that is meant, list it under allow_unsafe_code:",
            code="unsafe-code",
        )
    if config.get("unsafe_code"):
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"


def _read_local_data_directly(config: dict[str, Any], source: Path | None) -> None:
    """Replace the cached loading of local files by reading them.

    The cache knows a local file by its modification time: one that was edited and
    given its old time back would be answered from the old content.
    """
    files = (config.get("dataset_kwargs") or {}).get("data_files")
    if config.get("custom_dataset") or not files:
        return
    if config.get("dataset_path") != "json":
        arguments = {**config["dataset_kwargs"], "download_mode": "force_redownload"}
        config["dataset_kwargs"] = arguments
        return
    if not isinstance(files, Mapping):
        files = {"train": files}
    base = source.parent if source else Path()
    found = {split: _local_files(value, base) for split, value in files.items()}
    if any(
        file.suffix not in {".jsonl", ".json"} for s in found.values() for file in s
    ):
        return

    def read(**_: Any) -> dict[str, Any]:
        from datasets import Dataset

        return {
            split: Dataset.from_list([doc for file in some for doc in _documents(file)])
            for split, some in found.items()
        }

    config["custom_dataset"] = read
    del config["dataset_kwargs"]


def _local_files(value: str | Sequence[str], base: Path) -> list[Path]:
    """Resolve as lm-eval does, from the working folder, else from the YAML's."""
    files = []
    for name in [value] if isinstance(value, str) else value:
        file = Path(name) if Path(name).is_file() else base / name
        if not file.is_file():
            raise SuiteError(
                f"{base}: there is no data file {name}; write it first, or correct "
                "data_files: in the task's YAML",
                code="task-invalid",
            )
        files.append(file)
    return files


def _documents(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json" and text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _refuse_what_cannot_be_scored(task: ConfigurableTask, request: TaskRequest) -> None:
    if len(task.eval_docs) == 0:
        raise SuiteError(
            f"task {request.task} has no items; look at its data files and its "
            "test_split",
            code="task-invalid",
        )
    if task.OUTPUT_TYPE not in OUTPUT_TYPES or getattr(task, "MULTIMODAL", False):
        kind = "images or sound" if getattr(task, "MULTIMODAL", False) else None
        raise SuiteError(
            f"task {request.task} asks for {kind or task.OUTPUT_TYPE}; "
            f"what can be scored per item is {', '.join(OUTPUT_TYPES)}",
            code="task-unsupported",
        )
    if _is_sampled(task) and not (task.config.generation_kwargs or {}).get(
        "temperature"
    ):
        raise SuiteError(
            f"task {request.task} draws its answers (do_sample) at no temperature, "
            "which transformers refuse and servers take for 0; add temperature: to its "
            "generation:",
            code="task-invalid",
        )
    over_repeats = [
        step["function"]
        for one in task.config.filter_list or []
        for step in one["filter"]
        if step["function"] in {"majority_vote", "take_first_k"}
    ]
    if over_repeats and _is_sampled(task):
        raise SuiteError(
            f"task {request.task} judges several answers at once "
            f"({over_repeats[0]}); each answer is scored by itself here, so choose a "
            "variant of the task without that filter",
            code="filter-over-repeats",
        )


def _refuse_items_without_answer(task: ConfigurableTask, request: TaskRequest) -> None:
    """Refuse choice tasks of which an item has no right answer: lm-eval scores it 0."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return
    for index, doc in enumerate(task.eval_docs):
        gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
        if isinstance(gold, list) and gold:
            continue  # several are right
        if target_index(task, doc) is None:
            raise SuiteError(
                f"task {request.task}: item {index} has the answer {str(gold)[:40]!r}, "
                f"which is none of its {len(list(task.doc_to_choice(doc)))} choices",
                code="task-invalid",
            )


def _refuse_items_without_cluster(task: ConfigurableTask, request: TaskRequest) -> None:
    """Refuse a field that does not say of each item where it belongs."""
    name = request.cluster
    if name is None:
        return
    for index, doc in enumerate(task.eval_docs):
        if doc.get(name) is None:
            raise SuiteError(
                f"task {request.task}: item {index} has no field {name!r}, which "
                f"cluster: names; its fields are {', '.join(sorted(doc))}",
                code="task-invalid",
            )


def _is_sampled(task: ConfigurableTask) -> bool:
    if task.OUTPUT_TYPE != "generate_until":
        return False
    from lm_eval.models.utils import normalize_gen_kwargs

    arguments = normalize_gen_kwargs(task.config.generation_kwargs or {})
    return bool(arguments["do_sample"])


def _draws_fewshot(task: ConfigurableTask) -> bool:
    sampler = task.fewshot_cfg.sampler
    return bool(task.config.num_fewshot) and sampler != "first_n"


def _native_formulation(task: ConfigurableTask) -> Formulation:
    """Say how the task itself puts its choices: by its word, or by its first item."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return ""
    declared = (task.config.metadata or {}).get("formulation")
    if declared in ("choice", "cloze"):
        return "choice" if declared == "choice" else "cloze"
    doc = task.eval_docs[0]
    question = task.doc_to_text(doc)
    if task.multiple_input or not str(question).strip():
        return ""  # whole sentences against each other
    choices = [choice.strip(" ().") for choice in task.doc_to_choice(doc)]
    return "choice" if choices == list(LETTERS[: len(choices)]) else "cloze"


def _task_digest(task: ConfigurableTask, name: str) -> str:
    """Digest what the task says and all its documents; where they lie is left out."""
    config = asdict(task.config)
    for key in (
        "dataset_path", "dataset_name", "dataset_kwargs", "custom_dataset", "metadata",
        "tag", "task_alias",
    ):  # fmt: skip
        config.pop(key, None)
    content = _content(config)
    if ADDRESS.search(str(content)):
        raise SuiteError(
            f"task {name}: its configuration holds an object that is another one in "
            "each process, so its answers could not be recognised; use plain values "
            "and functions",
            code="task-invalid",
        )
    fewshot = list(task.sampler.df) if hasattr(task, "sampler") else []
    return digest([content, list(task.eval_docs), fewshot])


def _content(value: Any) -> Any:
    """Replace code by what it says, which is the same in every process."""
    if isinstance(value, Mapping):
        return {str(key): _content(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_content(one) for one in value]
    if isinstance(value, functools.partial):
        return ["partial", *map(_content, (value.func, value.args, value.keywords))]
    if inspect.isroutine(value):
        return [value.__qualname__, _files_beside(value)]
    if callable(value):
        state = _content(getattr(value, "__dict__", {}))
        return [type(value).__qualname__, _files_beside(type(value)), state]
    return value


def _files_beside(code: Any) -> list[list[str]]:
    """Digest the Python files of the folder that code comes from.

    All of them: a task's function calls others, of its own file and of those beside.
    """
    try:
        file = Path(inspect.getsourcefile(code) or "")
    except TypeError:  # built into Python
        return []
    if not file.is_file():
        return []
    return [
        [one.name, hashlib.sha256(one.read_bytes()).hexdigest()]
        for one in sorted(file.parent.glob("*.py"))
    ]


def target_index(task: ConfigurableTask, doc: Mapping[str, Any]) -> int | None:
    """Return the place of the right choice; ``None`` if several are right, or none."""
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    choices = list(task.doc_to_choice(doc))
    if isinstance(gold, list):
        gold = gold[0] if len(gold) == 1 else None
    if isinstance(gold, str):
        gold = choices.index(gold) if gold in choices else None
    return gold if isinstance(gold, int) and 0 <= gold < len(choices) else None


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or else its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
