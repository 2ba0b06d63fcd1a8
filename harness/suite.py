"""What is to be measured? One YAML file, checked, with file and line in complaints."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from harness.errors import InputError, SuiteError
from harness.records import Template, digest

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

SCHEMA_DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest draft that the YAML language server documents support for."""


class Section(BaseModel):
    """A part of a suite file: unknown keys are refused, nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FolderCheckpoint(Section):
    """One checkpoint in one folder."""

    folder: Name = Field(description="Folder with weights, configuration, tokenizer.")
    model: Name = Field(description="Family and size, such as pythia-160m.")
    train_seed: int | None = Field(None, description="Seed of its training run.")
    step: Natural | None = Field(None, description="Optimizer steps taken.")
    gguf_file: Name | None = Field(
        None, description="Name of the GGUF file in the folder, where weights are one."
    )
    tokenizer: Name | None = Field(
        None, description="Folder of the tokenizer, where it lies elsewhere."
    )


class PatternCheckpoints(Section):
    """All folders that a pattern matches."""

    pattern: Name = Field(
        description="Path with {model}, {train_seed} and {step} in it, such as "
        "runs/seed{train_seed}/step{step}. zoo:// stands for the built zoo."
    )
    model: Name | list[Name] | None = Field(
        None, description="The model's name, or which of the matched ones to take."
    )
    train_seed: list[int] | None = Field(None, description="Take only these seeds.")
    step: list[Natural] | None = Field(None, description="Take only these steps.")


class HubCheckpoints(Section):
    """Checkpoints on a model hub, one for each revision."""

    hub: Name = Field(
        description="Repository, such as EleutherAI/pythia-160m-seed{train_seed}."
    )
    model: Name = Field(description="Family and size, such as pythia-160m.")
    revision: Name = Field(
        "main", description="Branch, tag or commit; {train_seed} and {step} are filled."
    )
    train_seed: list[int] | None = Field(None, description="Values of {train_seed}.")
    step: list[Natural] | None = Field(None, description="Values of {step}.")


CheckpointEntry = FolderCheckpoint | PatternCheckpoints | HubCheckpoints


class TaskEntry(Section):
    """A task of lm-eval, with overrides."""

    task: Name = Field(description="lm-eval's task name.")
    num_fewshot: Natural | None = Field(
        None, description="Few-shot examples, instead of the task's own count."
    )
    formulation: Literal["choice", "cloze"] | None = Field(
        None,
        description="choice: answer by letter; cloze: score the answer text.",
    )
    items: Positive | None = Field(
        None, description="How many items, drawn by the suite's entropy; all if absent."
    )
    generation: dict[str, Any] | None = Field(
        None, description="Generation arguments that replace the task's own."
    )
    repeats: Positive | None = Field(
        None, description="Answers per item, for tasks that sample."
    )


class TemplateEntry(Section):
    """One way to put an item to the model."""

    name: Name
    system_prompt: str | None = Field(None, description="Put before everything else.")
    doc_to_text: str | None = Field(None, description="Jinja wording of the question.")
    doc_to_target: str | None = Field(None, description="Jinja wording of the answer.")
    doc_to_choice: str | None = Field(None, description="Jinja wording of the choices.")
    target_delimiter: str | None = Field(
        None, description="What stands between question and answer."
    )
    apply_chat_template: bool = Field(
        False, description="Wrap the prompt in the tokenizer's chat template."
    )


class Resources(Section):
    """What one worker may use, and how many there are."""

    workers: Positive | None = Field(
        None, description="Models in memory at once; as many as fit if absent."
    )
    cpus: Positive = Field(1, description="Cores, and so threads, of one worker.")
    gpus: Annotated[float, Field(ge=0)] = Field(
        0, description="GPUs of one worker; fractions share one.", strict=False
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: cuda where gpus are asked for and there are some."
    )
    batch_size: Positive = Field(64, description="Sequences in one forward pass.")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="Number format of the weights."
    )
    max_length: Positive | None = Field(
        None, description="Longest sequence in tokens; the model's own if absent."
    )

    @model_validator(mode="after")
    def _whole_gpus_above_one(self) -> Resources:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus above 1 must be whole, got {self.gpus}")
        return self


class Suite(Section):
    """What to measure: checkpoints × tasks × templates × seeds."""

    suite: Name = Field(description="The suite's name.")
    description: str | None = None
    entropy: Natural = Field(
        0, description="Seeds all that the suite draws: items and sampled answers."
    )
    task_paths: list[Name] = Field(
        default_factory=list,
        description="Folders of task YAML, looked up before lm-eval's own tasks.",
    )
    checkpoints: list[CheckpointEntry] = Field(min_length=1)
    tasks: list[TaskEntry] = Field(min_length=1)
    templates: list[TemplateEntry] = Field(
        default_factory=lambda: [TemplateEntry(name="default")], min_length=1
    )
    fewshot_seeds: list[Natural] = Field(
        default_factory=lambda: [1234],
        min_length=1,
        description="Seeds that choose few-shot examples.",
    )
    sample_seeds: list[Natural] = Field(
        default_factory=lambda: [0], min_length=1, description="Seeds of sampled text."
    )
    repeats: Positive | None = Field(
        None,
        description="Answers per item, for tasks that sample; the task's if absent.",
    )
    max_tries: Positive = Field(
        2, description="How often a trial is tried before it is stored as failed."
    )
    resources: Resources = Field(default_factory=Resources)
    allow_remote_code: list[Name] = Field(
        default_factory=list,
        description="Models whose own code may run (trust_remote_code), by name.",
    )
    allow_unsafe_code: list[Name] = Field(
        default_factory=list,
        description="Tasks that may run code a model wrote, by name.",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _names_are_tasks(cls, entries: Any) -> Any:
        if not isinstance(entries, Sequence) or isinstance(entries, str):
            return entries
        return [{"task": e} if isinstance(e, str) else e for e in entries]

    @model_validator(mode="after")
    def _names_differ(self) -> Suite:
        named: dict[str, list[Any]] = {
            "templates": [template.name for template in self.templates],
            "fewshot_seeds": self.fewshot_seeds,
            "sample_seeds": self.sample_seeds,
        }
        for what, values in named.items():
            twice = sorted({str(v) for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is there twice")
        return self

    @property
    def digest(self) -> str:
        """Digest of the whole suite as read."""
        return digest(self.model_dump())

    def records(self) -> tuple[Template, ...]:
        """Return the templates as records."""
        return tuple(Template(**entry.model_dump()) for entry in self.templates)


def load_suite(path: Path) -> Suite:
    """Read and check the suite file at `path`.

    Raises
    ------
    SuiteError
        ``suite-missing``, ``suite-unreadable`` (not YAML), ``suite-invalid`` (names
        the line, the key and the nearest valid one).
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SuiteError(
            f"{path}: there is no such suite file; "
            "`evalvar quickstart --write` writes one to start from",
            code="suite-missing",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: {error}", code="suite-unreadable") from None
    try:
        data = YAML(typ="rt").load(content)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise SuiteError(
            f"{path}{where}: not YAML: {problem}", code="suite-unreadable"
        ) from None
    if not isinstance(data, Mapping):
        raise SuiteError(
            f"{path}: a suite is a mapping with at least suite, checkpoints and tasks; "
            f"this file holds {'nothing' if data is None else type(data).__name__}",
            code="suite-invalid",
        )
    try:
        return Suite.model_validate(_plain(data))
    except ValidationError as error:
        raise SuiteError(_complaint(path, data, error), code="suite-invalid") from None


def suite_schema() -> dict[str, Any]:
    """Return the JSON Schema of a suite file, in a draft that editors read."""
    schema = Suite.model_json_schema()
    # A bare task name is allowed where the model has an entry.
    entries = schema["properties"]["tasks"]
    entries["items"] = {"anyOf": [{"type": "string"}, entries["items"]]}
    text = _with_definitions(schema)
    return {"$schema": SCHEMA_DRAFT, "title": "evalvar suite", **text}


def _with_definitions(node: Any) -> Any:
    """Rewrite ``$defs`` as draft 7's ``definitions``."""
    if isinstance(node, dict):
        return {
            "definitions" if key == "$defs" else key: (
                value.replace("#/$defs/", "#/definitions/")
                if key == "$ref"
                else _with_definitions(value)
            )
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_with_definitions(value) for value in node]
    return node


def _plain(node: Any) -> Any:
    """Turn ruamel's annotated containers and scalars into plain ones."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, str):
        return str(node)
    if isinstance(node, Sequence):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    return node


def _complaint(path: Path, data: Any, error: ValidationError) -> str:
    """Say in one line what is wrong first, where, and what was probably meant."""
    problems = error.errors()
    problem = _likeliest(data, problems)
    keys = [key for key in problem["loc"] if not _is_class_name(key)]
    line = _line_of(data, keys)
    name = ".".join(str(key) for key in keys) or "the file"
    if problem["type"] == "extra_forbidden":
        valid = _valid_keys(problem["loc"])
        near = difflib.get_close_matches(str(keys[-1]), valid, n=1, cutoff=0.5)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(valid)}"
        )
        if keys[-1] == "revision":
            hint = "a local folder has no revisions; use hub: with revision:"
        says = f"unknown key {name!r}; {hint}"
    elif problem["type"] == "missing":
        says = f"{name!r} is missing"
    else:
        message = problem["msg"].removeprefix("Value error, ")
        given = problem.get("input")
        shown = f", got {given!r}" if isinstance(given, str | int | float) else ""
        says = f"{name}: {message[:1].lower()}{message[1:]}{shown}"
    more = len({_line_of(data, list(p["loc"])) for p in problems}) - 1
    tail = f" (and {more} more)" if more > 0 and len(problems) > 1 else ""
    return f"{path}:{line}: {says}{tail}"


def _is_class_name(key: Any) -> bool:
    return isinstance(key, str) and key in _CHECKPOINT_KINDS


_CHECKPOINT_KINDS: dict[str, type[Section]] = {
    kind.__name__: kind
    for kind in (FolderCheckpoint, PatternCheckpoints, HubCheckpoints)
}

_KIND_KEY = {
    "FolderCheckpoint": "folder",
    "PatternCheckpoints": "pattern",
    "HubCheckpoints": "hub",
}


def _likeliest(data: Any, problems: list[Any]) -> Any:
    """Pick the first problem that is not about the wrong kind of checkpoint.

    An unknown key comes before a missing one: it is usually the same key, misspelt.
    """
    for problem in sorted(problems, key=lambda p: p["type"] != "extra_forbidden"):
        loc = problem["loc"]
        kind = next((key for key in loc if _is_class_name(key)), None)
        if kind is None:
            return problem
        entry = _walk(data, list(loc[: loc.index(kind)]))
        if not isinstance(entry, Mapping):
            return {**problem, "loc": loc[: loc.index(kind)]}
        if _KIND_KEY[kind] in entry:
            return problem
        if not set(_KIND_KEY.values()) & set(entry):
            near = [
                f"; did you mean {close[0]!r} for {str(key)!r}?"
                for key in entry
                if (close := difflib.get_close_matches(key, _KIND_KEY.values(), n=1))
            ]
            return {
                **problem,
                "loc": loc[: loc.index(kind)],
                "type": "value_error",
                "msg": "a checkpoint entry needs one of folder, pattern or hub"
                + "".join(near[:1]),
                "input": None,
            }
    return problems[0]


def _walk(data: Any, keys: Sequence[Any]) -> Any:
    for key in keys:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return data
    return data


def _line_of(data: Any, keys: Sequence[Any]) -> int:
    """Return the 1-based line of the deepest of `keys` that the file has."""
    line = 1
    for key in keys:
        place = getattr(data, "lc", None)
        if place is None:
            break
        try:
            line = (place.key(key) if isinstance(data, Mapping) else place.item(key))[
                0
            ] + 1
            data = data[key]
        except (KeyError, IndexError, TypeError):
            break
    return int(line)


def _valid_keys(loc: Sequence[Any]) -> list[str]:
    """Return the keys that the section around `loc` knows."""
    sections: dict[Any, type[Section]] = {
        **_CHECKPOINT_KINDS,
        "tasks": TaskEntry,
        "templates": TemplateEntry,
        "resources": Resources,
    }
    inner = [sections[key] for key in loc[:-1] if key in sections]
    return list((inner or [Suite])[-1].model_fields)


def resolve_path(text: str, base: Path, zoo: Path | None) -> Path:
    """Return the path that a suite beside `base` means by `text`.

    Raises
    ------
    InputError
        ``zoo-missing``: it starts with ``zoo://`` and no zoo was built.
    """
    if text.startswith("zoo://"):
        if zoo is None:
            raise InputError(
                f"{text}: the zoo is not built yet; run `evalvar zoo build` first",
                code="zoo-missing",
            )
        return zoo / text.removeprefix("zoo://")
    return base / Path(text).expanduser()
