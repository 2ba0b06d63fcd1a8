"""What are the tables? Columns, types and units of trials and responses.

Two tables make a store: `TRIALS` has one row per attempt at a trial, `RESPONSES`
one row per answer. Readers join them on ``attempt_id``; the result, `JOINED`, is what
``stats`` takes: a response with the identity of its trial beside it.

Two more are there once something is in them: `AGGREGATES`, scores that others published
without their items, and `MARKS`, what people said of checkpoints: tags, baselines,
acknowledged regressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from harness.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

STORE_FORMAT = 1
"""Raised when columns change meaning; a store of another format is refused."""


class Column(NamedTuple):
    """One column: its name, its type, what it means and in which unit."""

    name: str
    type: pa.DataType
    about: str
    nullable: bool = True


RESPONSE_COLUMNS = (
    Column("attempt_id", pa.string(), "The attempt that it belongs to.", False),
    Column("trial_id", pa.string(), "The trial, a digest of its identity.", False),
    Column(
        "item_id",
        pa.string(),
        "Which question: a digest of its content, the same in every task and order.",
        False,
    ),
    Column("item_index", pa.int32(), "Place of the item in the task, from 0.", False),
    Column(
        "repeat", pa.int16(), "Which of several answers to the item, from 0.", False
    ),
    Column(
        "status",
        pa.string(),
        "`ok`, or why there is no score: `nan-logprob`; `refused` where a server would "
        "not answer; `missing` where another tool's file lacks a repeat of an item; "
        "`several-targets` where more than one choice is right, which only "
        "lm-eval's own metrics can score.",
        False,
    ),
    Column("prompt_digest", pa.string(), "Digest of the rendered prompt."),
    Column(
        "choice_logprobs",
        pa.list_(pa.float64()),
        "Natural logarithm of the probability of each choice, summed over its tokens.",
    ),
    # Without the delimiter: lm-eval's acc_norm divides by characters, its acc_bytes
    # and bits per byte by UTF-8 bytes.
    Column(
        "choice_chars",
        pa.list_(pa.int32()),
        "Length of each choice in characters, without the delimiter.",
    ),
    Column(
        "choice_bytes",
        pa.list_(pa.int32()),
        "Length of each choice in UTF-8 bytes, without the delimiter.",
    ),
    Column("choice_tokens", pa.list_(pa.int32()), "Tokens of each choice."),
    Column("target_index", pa.int32(), "Place of the right choice, from 0."),
    Column("text", pa.string(), "What the model wrote."),
    Column("answer", pa.string(), "What the task's first filter made of the text."),
    Column("target", pa.string(), "The reference answer."),
    Column(
        "target_logprob",
        pa.float64(),
        "Natural logarithm of the probability of the reference answer, summed over its "
        "tokens.",
    ),
    Column(
        "target_bytes", pa.int32(), "Length of the reference answer in UTF-8 bytes."
    ),
    Column("target_tokens", pa.int32(), "Tokens of the reference answer."),
    Column(
        "target_is_greedy",
        pa.bool_(),
        "Whether greedy decoding would write the reference answer.",
    ),
    Column(
        "metrics",
        pa.map_(pa.string(), pa.float64()),
        "lm-eval's own metric values of this response, named `metric,filter`.",
    ),
    Column(
        "cluster",
        pa.string(),
        "Which items belong together, as those about one passage; null if not said.",
    ),
)

TRIAL_COLUMNS = (
    Column("attempt_id", pa.string(), "Drawn at random; responses join on it.", False),
    Column("trial_id", pa.string(), "Digest of what defines its answers.", False),
    Column("status", pa.string(), "`done` or `failed`.", False),
    Column("error_code", pa.string(), "Of a failed attempt: a code of the error page."),
    Column("error", pa.string(), "Of a failed attempt: what happened."),
    # Identity.
    Column("model", pa.string(), "Family and size.", False),
    Column("train_seed", pa.int64(), "Seed of the training run."),
    Column("step", pa.int64(), "Optimizer steps taken."),
    Column("task", pa.string(), "lm-eval's task name.", False),
    Column("template", pa.string(), "Name of the template.", False),
    Column("formulation", pa.string(), "`choice`, `cloze`, or empty.", False),
    Column("num_fewshot", pa.int32(), "Few-shot examples in the prompt.", False),
    Column(
        "generation",
        pa.string(),
        "The suite's overrides of the task's generation arguments, as JSON; or empty.",
        False,
    ),
    Column("fewshot_seed", pa.int64(), "Seed that chose the examples.", False),
    Column("sample_seed", pa.int64(), "Seed of sampled text.", False),
    Column("repeats", pa.int32(), "Answers per item.", False),
    # Comparability.
    Column("weights_digest", pa.string(), "Digest of weights and configuration."),
    Column("tokenizer_digest", pa.string(), "Digest of the tokenizer's files."),
    Column("task_digest", pa.string(), "Digest of the task's wording and items."),
    Column("template_digest", pa.string(), "Digest of the template; not of its name."),
    Column("task_version", pa.string(), "Version that the task gives itself."),
    Column("output_type", pa.string(), "lm-eval's word for what is asked.", False),
    Column(
        "lower_is_better",
        pa.string(),
        "Of which metrics less is better, as what evaluated it says: a JSON list of "
        "`metric` or `metric,filter`. Null if it does not say: then less is better of "
        "error rates, losses and perplexities, by their names, and more of all others.",
    ),
    Column("sampled", pa.bool_(), "Whether answers are drawn at random.", False),
    Column("n_items", pa.int32(), "Items that were put to the model.", False),
    Column("n_items_total", pa.int32(), "Items that the task holds.", False),
    Column("n_requests", pa.int64(), "Requests that were put to the model."),
    Column("n_truncated", pa.int32(), "Prompts that were longer than the model reads."),
    Column("dtype", pa.string(), "Number format of the weights."),
    Column("batch_size", pa.int32(), "Sequences in one forward pass."),
    Column("max_length", pa.int32(), "Longest sequence in tokens, where one was set."),
    Column("backend", pa.string(), "What evaluated it, and its version.", False),
    # Provenance.
    Column("suite", pa.string(), "Name of the suite."),
    Column("suite_digest", pa.string(), "Digest of the suite's content."),
    Column("entropy", pa.string(), "Of the suite; text, it may exceed 64 bits."),
    Column("device", pa.string(), "`cpu`, or the GPU's product name."),
    Column("host", pa.string(), "Machine that the worker ran on."),
    Column("versions", pa.map_(pa.string(), pa.string()), "Packages and versions."),
    Column("location", pa.string(), "Where the weights lay, as the suite writes it."),
    Column("revision", pa.string(), "Commit of the hub snapshot."),
    Column("tries", pa.int32(), "Times that this attempt was started."),
    Column("started_at", pa.timestamp("us", tz="UTC"), "When the last try began."),
    Column("finished_at", pa.timestamp("us", tz="UTC"), "When the last try ended."),
    Column(
        "load_seconds",
        pa.float64(),
        "Reading the checkpoint; 0 unless it is the first trial of the visit.",
    ),
    Column("build_seconds", pa.float64(), "Putting items into words and tokens."),
    Column("forward_seconds", pa.float64(), "Inside the model's own forward."),
    Column("seconds", pa.float64(), "The whole trial."),
)

AGGREGATE_COLUMNS = (
    Column("aggregate_id", pa.string(), "Digest of its content.", False),
    Column("model", pa.string(), "Family and size.", False),
    Column("train_seed", pa.int64(), "Seed of the training run."),
    Column("step", pa.int64(), "Optimizer steps taken."),
    Column("task", pa.string(), "Task, as the file names it.", False),
    Column("formulation", pa.string(), "`choice`, `cloze`, or empty.", False),
    Column("num_fewshot", pa.int32(), "Few-shot examples in the prompt."),
    Column("template", pa.string(), "Name of the template.", False),
    Column("metric", pa.string(), "`metric,filter`, as with responses.", False),
    Column("value", pa.float64(), "The score; higher need not be better."),
    Column("se", pa.float64(), "Its standard error, where the file gives one."),
    Column("higher_is_better", pa.bool_(), "Where the file says so."),
    Column("n_items", pa.int64(), "Items behind it, where the file says."),
    Column("task_version", pa.string(), "Version that the task gives itself."),
    Column("backend", pa.string(), "What evaluated it, and its version.", False),
    Column("location", pa.string(), "The file that it was read from."),
    Column("finished_at", pa.timestamp("us", tz="UTC"), "When it was evaluated."),
)
"""Scores without items: they can be shown, and compared only with great care."""

MARK_COLUMNS = (
    Column("mark_id", pa.string(), "Drawn at random.", False),
    Column("kind", pa.string(), "`tag`, `baseline` or `acknowledged`.", False),
    Column("name", pa.string(), "Of the tag; of the baseline that was set.", False),
    Column("model", pa.string(), "Which model's; all if null."),
    Column("step", pa.int64(), "Which checkpoint's; the last one if null."),
    Column("task", pa.string(), "Which task's; all if null."),
    Column("reason", pa.string(), "Why, in the words of whoever set it.", False),
    Column("until", pa.date32(), "Last day on which it holds; for good if null."),
    Column("author", pa.string(), "Who set it, as the machine knows them."),
    Column("set_at", pa.timestamp("us", tz="UTC"), "When it was set.", False),
)
"""Append-only like all tables: a later mark of the same kind and name stands in for an
earlier one."""


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in columns])


RESPONSES, TRIALS = _schema(RESPONSE_COLUMNS), _schema(TRIAL_COLUMNS)
AGGREGATES, MARKS = _schema(AGGREGATE_COLUMNS), _schema(MARK_COLUMNS)

CONDITION = ("task", "formulation", "num_fewshot", "template", "generation")
"""What is asked, and how: scores are compared within one condition."""

SETTINGS = (
    "task_digest",
    "template_digest",
    "dtype",
    "batch_size",
    "max_length",
    "backend",
)
"""What else can change an answer: scores under different settings are not pooled."""

IDENTITY = (
    "model",
    "train_seed",
    "step",
    *CONDITION,
    "fewshot_seed",
    "sample_seed",
    "output_type",
    "lower_is_better",
    "sampled",
    "n_items_total",
    "weights_digest",
    *SETTINGS,
    "finished_at",
)
"""The columns of `TRIALS` that a joined response carries."""

JOINED = pa.schema([*RESPONSES, *(TRIALS.field(name) for name in IDENTITY)])


def check_responses(frame: pd.DataFrame) -> None:
    """Complain unless `frame` has the columns of `JOINED`.

    Raises
    ------
    SchemaError
        ``missing-columns``: names the columns that are not there.
    """
    missing = [name for name in JOINED.names if name not in frame.columns]
    if missing:
        raise SchemaError(
            f"a table of responses lacks {len(missing)} columns, first "
            f"{missing[:3]}; read it with harness.store.Store.responses()",
            code="missing-columns",
        )
