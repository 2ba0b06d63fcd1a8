"""What is to be measured? One YAML file, checked, with file and line in complaints."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from harness.errors import InputError, SuiteError
from harness.records import Template, digest
from harness.yaml_files import (
    SCHEMA_DRAFT,
    FileKind,
    Name,
    Section,
    complaint,
    nearest,
    problem_words,
    read_mapping,
    with_definitions,
)


def _folder_name(name: str) -> str:
    if name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError("a suite's name is a folder's: no slash, no dot in front")
    return name


INT64_MAX = 2**63 - 1
"""The largest seed and step that a store's columns hold."""

Location = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=INT64_MAX)]
TrainSeed = Annotated[int, Field(le=INT64_MAX)]
Step = Annotated[int, Field(ge=0, le=INT64_MAX)]

SUITE = FileKind(
    name="suite",
    advice="give the path of a YAML file that names checkpoints and tasks",
    needs="at least suite, checkpoints and tasks",
    error=SuiteError,
    missing="suite-missing",
    unreadable="suite-unreadable",
    invalid="suite-invalid",
)

SECRETIVE = {"api", "key_env"}
"""Keys that a password is put into by mistake, so that no message shows it."""


class FolderCheckpoint(Section):
    """One checkpoint in one folder."""

    folder: Location = Field(
        description="Folder with weights, configuration, tokenizer."
    )
    model: Name = Field(description="Family and size, such as pythia-160m.")
    train_seed: TrainSeed | None = Field(None, description="Seed of its training run.")
    step: Step | None = Field(None, description="Optimizer steps taken.")
    gguf_file: Location | None = Field(
        None, description="Name of the GGUF file in the folder, where weights are one."
    )
    tokenizer: Location | None = Field(
        None, description="Folder of the tokenizer, where it lies elsewhere."
    )


OneOrMore = Annotated[
    list[Name],
    Field(min_length=1),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]


class PatternCheckpoints(Section):
    """All folders that a pattern matches."""

    pattern: Location = Field(
        description="Path with {model}, {train_seed} and {step} in it, such as "
        "runs/seed{train_seed}/step{step}. zoo:// stands for the built zoo."
    )
    model: OneOrMore | None = Field(
        None, description="The model's name, or which of the matched ones to take."
    )
    train_seed: list[TrainSeed] | None = Field(
        None, min_length=1, description="Take only these seeds."
    )
    step: list[Step] | None = Field(
        None, min_length=1, description="Take only these steps."
    )


class HubCheckpoints(Section):
    """Checkpoints on a model hub, one for each revision."""

    hub: Name = Field(
        description="Repository, such as EleutherAI/pythia-160m-seed{train_seed}."
    )
    model: Name = Field(description="Family and size, such as pythia-160m.")
    revision: Name = Field(
        "main", description="Branch, tag or commit; {train_seed} and {step} are filled."
    )
    train_seed: list[TrainSeed] | None = Field(
        None, min_length=1, description="Values of {train_seed}."
    )
    step: list[Step] | None = Field(None, min_length=1, description="Values of {step}.")


def _bare_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        is_one = (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and parts.port != 0
            and address.isprintable()  # urlsplit drops line breaks
            and " " not in address
        )
    except ValueError:  # no port is a word, and none above 65535
        is_one = False
    if not is_one:
        raise ValueError("an api is an address such as http://127.0.0.1:8000/v1")
    if urlsplit(address).username is not None or "?" in address or "#" in address:
        raise ValueError(
            "an api's address is stored with its answers, so nothing secret may be in "
            "it; name the environment variable that holds the key with key_env:"
        )
    return address.rstrip("/")


class ApiModel(Section):
    """A model behind an OpenAI-compatible server."""

    api: Annotated[Location, AfterValidator(_bare_address)] = Field(
        description="Base address, such as http://127.0.0.1:8000/v1."
    )
    model: Name = Field(description="Family and size, such as pythia-160m.")
    train_seed: TrainSeed | None = Field(None, description="Seed of its training run.")
    step: Step | None = Field(None, description="Optimizer steps taken.")
    served_name: Name | None = Field(
        None, description="The name that the server knows; that of model: if absent."
    )
    version: Name | None = Field(
        None,
        description="Stands for the weights, which nobody can see: another version is "
        "another checkpoint.",
    )
    chat: bool = Field(
        False,
        description="Chat completions: the server's own template puts every prompt. "
        "Completions otherwise.",
    )
    tokenizer: Location | None = Field(
        None,
        description="Folder of its tokenizer, which log-likelihoods need; prompts are "
        "then sent as tokens.",
    )
    concurrent: Positive = Field(8, description="Requests under way at once.")
    key_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")] | None = (
        Field(None, description="Environment variable that holds the key.")
    )
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        120, description="Seconds after which a request counts as failed."
    )
    max_tries: Positive = Field(4, description="How often one request is tried.")

    @model_validator(mode="after")
    def _chat_has_no_tokens(self) -> ApiModel:
        if self.chat and self.tokenizer:
            raise ValueError(
                "chat: true has no use for tokenizer:, since messages go as text and "
                "have no log-likelihood; leave out one of the two"
            )
        return self


_CHECKPOINTS: dict[str, type[Section]] = {
    "folder": FolderCheckpoint,
    "pattern": PatternCheckpoints,
    "hub": HubCheckpoints,
    "api": ApiModel,
}
"""The kinds of checkpoint entry, by the key that each must have."""


def _kind_of(entry: Any) -> str | None:
    """Return which kind an entry is; ``None`` unless it has exactly one of the keys."""
    kinds = [
        kind
        for kind in _CHECKPOINTS
        if (kind in entry if isinstance(entry, Mapping) else hasattr(entry, kind))
    ]
    return kinds[0] if len(kinds) == 1 else None


def _true_false_or_auto(value: Any) -> Any:
    if not isinstance(value, bool) and value != "auto":
        raise ValueError("is true, false or auto")
    return value


CheckpointEntry = Annotated[
    Annotated[FolderCheckpoint, Tag("folder")]
    | Annotated[PatternCheckpoints, Tag("pattern")]
    | Annotated[HubCheckpoints, Tag("hub")]
    | Annotated[ApiModel, Tag("api")],
    Discriminator(
        _kind_of,
        custom_error_type="checkpoint_kind",
        custom_error_message="a checkpoint has exactly one of folder, pattern, hub and "
        "api",
    ),
]


Generation = Annotated[dict[str, JsonValue], WithJsonSchema({"type": "object"})]
"""Plain values only: they are part of a trial's identity."""


Items = Annotated[
    Annotated[Positive, Tag("count")]
    | Annotated[list[Natural], Field(min_length=1), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "count"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0},
                    "minItems": 1,
                },
            ]
        }
    ),
]
"""How many, or which by place."""


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
    items: Items | None = Field(
        None,
        description="How many items, drawn by the suite's entropy, or which, by place "
        "from 0; all if absent.",
    )
    items_digest: str | None = Field(
        None,
        description="What evalvar select knows listed items by: other questions at "
        "their places are refused.",
    )
    generation: Generation | None = Field(
        None, description="Generation arguments that replace the task's own."
    )
    repeats: Positive | None = Field(
        None, description="Answers per item, for tasks that sample."
    )
    cluster: Name | None = Field(
        None,
        description="Field of the task's documents that says which items belong "
        "together, such as passage_id: they are no independent draws.",
    )

    @field_validator("items")
    @classmethod
    def _once_each(cls, items: int | list[int] | None) -> int | list[int] | None:
        if isinstance(items, list) and len(set(items)) < len(items):
            twice = next(i for n, i in enumerate(items) if i in items[:n])
            raise ValueError(f"item {twice} is there twice")
        return items

    @model_validator(mode="after")
    def _digest_is_of_a_list(self) -> TaskEntry:
        if self.items_digest is not None and not isinstance(self.items, list):
            raise ValueError("items_digest is of a list of items; give items: [0, 7]")
        return self


class TemplateEntry(Section):
    """One way to put an item to the model."""

    name: Name = Field(description="How tables and figures call it.")
    system_prompt: str | None = Field(None, description="Put before everything else.")
    doc_to_text: str | None = Field(None, description="Jinja wording of the question.")
    doc_to_target: str | None = Field(None, description="Jinja wording of the answer.")
    doc_to_choice: str | None = Field(None, description="Jinja wording of the choices.")
    target_delimiter: str | None = Field(
        None, description="What stands between question and answer."
    )
    apply_chat_template: Annotated[
        bool | Literal["auto"], BeforeValidator(_true_false_or_auto)
    ] = Field(
        False,
        description="Wrap the prompt in the tokenizer's chat template; auto: where it "
        "has one.",
    )


class Resources(Section):
    """What one worker may use, and how many there are."""

    workers: Positive | None = Field(
        None, description="Models in memory at once; as many as fit if absent."
    )
    cpus: Positive = Field(1, description="Cores, and so threads, of one worker.")
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0, description="GPUs of one worker; fractions share one."
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
    def _gpus_can_be_had(self) -> Resources:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus above 1 must be whole, got {self.gpus}")
        if self.device == "cuda" and not self.gpus:
            raise ValueError("device: cuda needs gpus: above 0, or workers see none")
        return self


class Suite(Section):
    """What to measure: checkpoints × tasks × templates × seeds."""

    suite: Annotated[Name, AfterValidator(_folder_name)] = Field(
        description="The suite's name."
    )
    description: str | None = Field(None, description="A sentence for readers.")
    entropy: Natural = Field(
        0, description="Seeds all that the suite draws: items and sampled answers."
    )
    task_paths: list[Location] = Field(
        default_factory=list,
        description="Folders of task YAML, looked up before lm-eval's own tasks.",
    )
    checkpoints: list[CheckpointEntry] = Field(
        min_length=1,
        description="What is evaluated: folders, patterns, hub revisions, servers.",
    )
    tasks: list[TaskEntry] = Field(
        min_length=1, description="What is asked; a bare name takes a task as it is."
    )
    templates: list[TemplateEntry] = Field(
        default_factory=lambda: [TemplateEntry(name="default")],
        min_length=1,
        description="How items are put; the tasks' own wording if absent.",
    )
    fewshot_seeds: list[Seed] = Field(
        default_factory=lambda: [1234],
        min_length=1,
        description="Seeds that choose few-shot examples.",
    )
    sample_seeds: list[Seed] = Field(
        default_factory=lambda: [0], min_length=1, description="Seeds of sampled text."
    )
    repeats: Positive | None = Field(
        None,
        description="Answers per item, for tasks that sample; the task's if absent.",
    )
    max_tries: Positive = Field(
        2, description="How often a trial is tried before it is stored as failed."
    )
    resources: Resources = Field(
        default_factory=Resources, description="What a worker may use."
    )
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

    @field_validator("templates", "fewshot_seeds", "sample_seeds")
    @classmethod
    def _differ(cls, entries: list[Any]) -> list[Any]:
        names = [e.name if isinstance(e, TemplateEntry) else e for e in entries]
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ValueError(f"{twice[0]} is there twice")
        return entries

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
    plain, places = read_mapping(path, SUITE)
    try:
        return Suite.model_validate(plain)
    except ValidationError as error:
        raise SuiteError(
            complaint(path, places, error, keys=lambda loc: _split(loc)[1], says=_says),
            code="suite-invalid",
        ) from None


def suite_schema() -> dict[str, Any]:
    """Return the JSON Schema of a suite file, in a draft that editors read."""
    schema = Suite.model_json_schema()
    # A bare task name is allowed where the model has an entry.
    tasks = schema["properties"]["tasks"]
    tasks["items"] = {"anyOf": [{"type": "string"}, tasks["items"]]}
    # The kinds exclude each other; editors explain a mistake better with anyOf.
    kinds = schema["properties"]["checkpoints"]["items"]
    kinds["anyOf"] = kinds.pop("oneOf")
    head = {"$schema": SCHEMA_DRAFT, "title": "evalvar suite"}
    return {**head, **with_definitions(schema), **head}


def _says(problem: Any, keys: list[Any]) -> str:
    kind = _split(problem["loc"])[0]
    hint = ""
    if problem["type"] == "extra_forbidden":
        hint = nearest(str(keys[-1]), _section(kind, keys))
        if keys[-1] == "revision" and kind in {"folder", "pattern"}:
            hint = "a local folder has no revisions; use hub: with revision:"
    if problem["type"] == "checkpoint_kind":
        name = ".".join(map(str, keys))
        return f"{name}: {problem['msg']}{_misspelt_kind(problem['input'])}"
    is_secret = bool(keys) and keys[-1] in SECRETIVE
    return problem_words(problem, keys, hint=hint, is_secret=is_secret)


def _split(loc: Sequence[Any]) -> tuple[str | None, list[Any]]:
    """Split a place into the kind of checkpoint, if it is in one, and the keys."""
    if len(loc) > 2 and loc[0] == "checkpoints":
        return loc[2], [*loc[:2], *loc[3:]]
    if len(loc) > 3 and (loc[0], loc[2]) == ("tasks", "items"):
        return None, [*loc[:3], *loc[4:]]
    return None, list(loc)


def _section(kind: str | None, keys: Sequence[Any]) -> type[Section]:
    """Return the section whose key the last of `keys` was meant to be."""
    if kind is not None:
        return _CHECKPOINTS[kind]
    sections: dict[Any, type[Section]] = {
        "tasks": TaskEntry,
        "templates": TemplateEntry,
        "resources": Resources,
    }
    return sections[keys[0]] if len(keys) > 1 else Suite


def _misspelt_kind(entry: Any) -> str:
    known = {key for kind in _CHECKPOINTS.values() for key in kind.model_fields}
    for key in entry if isinstance(entry, Mapping) else ():
        near = difflib.get_close_matches(key, _CHECKPOINTS, n=1)
        if near and key not in known:
            return f"; did you mean {near[0]!r} for {key!r}?"
    return ""


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
    try:
        return base / Path(text).expanduser()
    except RuntimeError:  # ~name of nobody
        return base / text
