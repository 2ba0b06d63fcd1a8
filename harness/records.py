"""What are the nouns? Caution, Checkpoint, Template, Trial: plain and frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Formulation = Literal["", "choice", "cloze"]
"""How a question with choices is put: answer by letter, or score the answer text.

Empty for tasks that know no such difference (minimal pairs, generation)."""

IDENTITY_VERSION = 1
"""Raised when what a trial's answers mean changes, so that old ones are not reused."""


CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
)
"""Writes equal content as equal text."""


def digest(content: Any) -> str:
    """Return sixteen hex digits of `content` as canonical JSON, on all machines."""
    text = CANONICAL.encode(content)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def unicode_of(words: str) -> str:
    """Return foreign words with halves of surrogate pairs marked, for the store."""
    if words.isascii():
        return words
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True, slots=True)
class Caution:
    """Something the reader must know before using a number. Not an error."""

    code: str
    """A stable kebab-case word."""

    text: str
    """One sentence: what is the matter, and what would be enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How a model behind an OpenAI-compatible server is asked."""

    model: str
    """The name that the server knows it by."""

    chat: bool
    """Whether prompts go as messages, which the server's own template puts."""

    concurrent: int
    """Requests under way at once."""

    timeout: float
    """Seconds after which a request counts as failed."""

    max_tries: int
    """How often one request is tried."""

    key_env: str | None
    """Environment variable that holds the key; the key itself is nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Weights at one point of one training run: a respondent in test theory."""

    model: str
    """Family and size, as its authors name it, such as ``pythia-160m``."""

    train_seed: int | None
    """Which of the training runs that differ in nothing but the seed."""

    step: int | None
    """Optimizer steps taken, not tokens."""

    weights_digest: str
    """Digest of the weight files' content; behind a server, of what it is called."""

    tokenizer_digest: str
    """Digest of the tokenizer's files; checkpoints that share it share tokens. Empty
    where only a server has it."""

    location: str = field(compare=False)
    """Folder of the weights, or their hub address: where, not what."""

    source: str = field(compare=False)
    """The location as the suite writes it, which a store keeps: no home folders."""

    gguf_file: str | None = None
    """Name of the GGUF file inside `location`, where the weights are one."""

    tokenizer: str | None = field(default=None, compare=False)
    """Folder of the tokenizer, where it is not `location`."""

    revision: str | None = field(default=None, compare=False)
    """Commit of the hub snapshot that `location` holds; no part of identity."""

    has_chat_template: bool = field(default=False, compare=False)
    """Whether its tokenizer has a chat template; that is in its digest already."""

    server: Server | None = field(default=None, compare=False)
    """Set where `location` is the address of a server, which holds the weights."""

    @property
    def gives_likelihoods(self) -> bool:
        """Whether a given text can be scored, rather than text be generated only."""
        return self.server is None or bool(self.tokenizer)

    def __str__(self) -> str:
        parts = [self.model]
        if self.train_seed is not None:
            parts.append(f"seed {self.train_seed}")
        if self.step is not None:
            parts.append(f"step {self.step}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One way to put an item to the model: system prompt and wording."""

    name: str
    """How tables and figures call it."""

    system_prompt: str | None = None
    """Put before everything else; ``None`` leaves it out."""

    doc_to_text: str | None = None
    """Jinja wording of the question, instead of the task's own."""

    doc_to_target: str | None = None
    """Jinja wording of the answer, instead of the task's own."""

    doc_to_choice: str | None = None
    """Jinja wording of the choices, instead of the task's own."""

    target_delimiter: str | None = None
    """What stands between question and answer, instead of the task's own."""

    apply_chat_template: bool | Literal["auto"] = False
    """Whether the tokenizer's chat template wraps the prompt. A trial has no more
    ``auto``: its template says what is done with its checkpoint."""

    def on(self, checkpoint: Checkpoint) -> Template:
        """Return the template as it is put to `checkpoint`, without ``auto``."""
        if checkpoint.server is not None and checkpoint.server.chat:
            return replace(self, apply_chat_template=True)  # there is no other way
        if self.apply_chat_template == "auto":
            return replace(self, apply_chat_template=checkpoint.has_chat_template)
        return self

    @property
    def digest(self) -> str:
        """Digest of all that the model can see; the name is not among it."""
        content = asdict(self)
        del content["name"]
        return digest(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What a plan must know of one task, as the backend loaded it."""

    task: str
    """lm-eval's task name."""

    task_digest: str
    """Digest of its configuration and of every item and few-shot example."""

    version: str
    output_type: str
    formulation: Formulation
    num_fewshot: int
    sampled: bool
    """Whether answers are drawn at random; if not, seeds and repeats change nothing."""

    draws_fewshot: bool
    """Whether few-shot examples are drawn at random; if not, their seed is idle."""

    repeats: int
    """Answers per item that the task itself asks for."""

    n_items: int
    """Items that the task holds."""

    n_requests: int
    """Requests that all of its items make: one per choice, reference, answer."""

    lower_is_better: str | None = None
    """Of which of its metrics less is better, as `harness.directions.lower_of` has it;
    it changes no answer and is no part of a trial's identity."""

    @property
    def writes(self) -> bool:
        """Whether the model writes its answers, rather than scores given ones."""
        return self.output_type == "generate_until"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """A task with the suite's overrides: what the backend is asked to load."""

    task: str
    task_paths: tuple[str, ...] = field(default=(), compare=False)
    """Folders of task YAML; an empty tuple means lm-eval's own tasks."""

    formulation: Formulation = ""
    """Asked formulation; empty takes the task's own."""

    num_fewshot: int | None = None
    generation: tuple[tuple[str, Any], ...] = ()
    """Overrides of the task's generation arguments, as sorted pairs."""

    cluster: str | None = None
    """Field of the task's documents that says which items belong together."""

    template: Template = Template(name="default")
    allow_unsafe_code: bool = False
    """Whether a task that runs model-written code was allowed by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The smallest unit of work: one checkpoint, one task, one template, its seeds."""

    checkpoint: Checkpoint
    request: TaskRequest
    info: TaskInfo
    items: tuple[int, ...] | None
    """Indices of the chosen items in ascending order; ``None`` means all of them."""

    fewshot_seed: int
    sample_seed: int
    repeats: int
    dtype: str
    """Number format of the weights; ``unknown`` behind a server."""

    batch_size: int
    max_length: int | None
    entropy: int
    """The suite's; seeds what is drawn at random within the trial."""

    backend: str
    """Name and version of what evaluates it, such as ``lm-eval 0.4.13``."""

    first_repeat: int = 0
    """Number of the first answer to each item; more where others are stored."""

    @property
    def trial_id(self) -> str:
        """Sixteen hex digits of what defines an answer; no path is in it.

        Left out are the device and the versions of torch and transformers, though
        each can change the last digits of a likelihood, and sampled text altogether: a
        sweep that moves to another machine should go on (decision 0005). They are
        stored with each trial.
        """
        checkpoint, info = self.checkpoint, self.info
        # A first repeat of 0 goes without saying, as it did before there was another.
        later = {"first_repeat": self.first_repeat} if self.first_repeat else {}
        return digest(
            {
                **later,
                "identity_version": IDENTITY_VERSION,
                "model": checkpoint.model,
                "train_seed": checkpoint.train_seed,
                "step": checkpoint.step,
                "weights": checkpoint.weights_digest,
                "tokenizer": checkpoint.tokenizer_digest,
                "task": info.task,
                "task_digest": info.task_digest,
                "template": self.request.template.digest,
                "formulation": info.formulation,
                "num_fewshot": info.num_fewshot,
                "generation": self.request.generation,
                "items": self.items,
                # A seed that nothing is drawn from cannot change an answer.
                "fewshot_seed": self.fewshot_seed if info.draws_fewshot else None,
                "sample_seed": self.sample_seed if info.sampled else None,
                "repeats": self.repeats,
                "dtype": self.dtype,
                "batch_size": self.batch_size,
                "max_length": self.max_length,
                "entropy": self.entropy if info.sampled else None,
                "backend": self.backend,
                # Text was once drawn batch by batch.
                **({"drawn_by": "item and repeat"} if info.sampled else {}),
            }
        )

    @property
    def draws_id(self) -> str:
        """Names what is drawn at random, with the item and the number of the answer.

        The same for trials that ask other items, or for more answers: what is drawn
        for one answer does not depend on which others are asked with it.
        """
        return replace(self, items=None, first_repeat=0, repeats=1).trial_id

    @property
    def n_items(self) -> int:
        """How many items are put to the model."""
        return self.info.n_items if self.items is None else len(self.items)

    @property
    def item_indexes(self) -> Sequence[int]:
        """Which items are put to the model, by their place in the task."""
        return range(self.info.n_items) if self.items is None else self.items

    @property
    def repeat_numbers(self) -> range:
        """The numbers of the answers to each item."""
        return range(self.first_repeat, self.first_repeat + self.repeats)

    def __str__(self) -> str:
        return f"{self.info.task} on {self.checkpoint}"
