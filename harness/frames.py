"""What are the tables? Columns, types and units of trials and responses.

Two tables make a store: `TRIALS` has one row per attempt at a trial, `RESPONSES`
one row per answer. Readers join them on ``attempt_id``; the result, `JOINED`, is
what ``stats`` takes: a response with the identity of its trial beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from harness.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

STORE_FORMAT = 1
"""Raised when columns change meaning; a store of another format is refused."""

RESPONSES = pa.schema(
    [
        pa.field("attempt_id", pa.string(), nullable=False),
        pa.field("trial_id", pa.string(), nullable=False),
        # Which question: a digest of its content, the same in every task and order.
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("item_index", pa.int32(), nullable=False),  # place in the task, from 0
        pa.field("repeat", pa.int16(), nullable=False),  # from 0
        # "ok", or why there is no score: "nan-logprob"; "several-targets" where more
        # than one choice is right, which only lm-eval's own metrics can score.
        pa.field("status", pa.string(), nullable=False),
        pa.field("prompt_digest", pa.string()),  # of the rendered prompt
        # Tasks with choices, and log-likelihood tasks (then with a single "choice").
        pa.field("choice_logprobs", pa.list_(pa.float64())),  # natural log, summed
        # Length of each choice without the delimiter, as lm-eval's acc_norm takes it
        # (characters) and as its acc_bytes and bits per byte take it (UTF-8 bytes).
        pa.field("choice_chars", pa.list_(pa.int32())),
        pa.field("choice_bytes", pa.list_(pa.int32())),
        pa.field("choice_tokens", pa.list_(pa.int32())),
        pa.field("target_index", pa.int32()),  # of the right choice, from 0
        # Generation and log-likelihood tasks: the reference answer and its likelihood.
        pa.field("text", pa.string()),  # what the model wrote
        pa.field("answer", pa.string()),  # what the task's first filter made of it
        pa.field("target", pa.string()),  # the reference answer
        pa.field("target_logprob", pa.float64()),  # natural log, summed over tokens
        pa.field("target_bytes", pa.int32()),
        pa.field("target_tokens", pa.int32()),
        pa.field("target_is_greedy", pa.bool_()),  # would greedy decoding write it
        # lm-eval's own metric values of this response, named "metric,filter".
        pa.field("metrics", pa.map_(pa.string(), pa.float64())),
    ]
)

TRIALS = pa.schema(
    [
        pa.field("attempt_id", pa.string(), nullable=False),
        pa.field("trial_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # "done" or "failed"
        pa.field("error_code", pa.string()),
        pa.field("error", pa.string()),
        # Identity.
        pa.field("model", pa.string(), nullable=False),
        pa.field("train_seed", pa.int64()),
        pa.field("step", pa.int64()),  # optimizer steps
        pa.field("task", pa.string(), nullable=False),
        pa.field("template", pa.string(), nullable=False),
        pa.field("formulation", pa.string(), nullable=False),  # "", "choice", "cloze"
        pa.field("num_fewshot", pa.int32(), nullable=False),
        pa.field("fewshot_seed", pa.int64(), nullable=False),
        pa.field("sample_seed", pa.int64(), nullable=False),
        pa.field("repeats", pa.int32(), nullable=False),
        # Comparability.
        pa.field("weights_digest", pa.string()),
        pa.field("tokenizer_digest", pa.string()),
        pa.field("task_digest", pa.string()),
        pa.field("template_digest", pa.string()),
        pa.field("task_version", pa.string()),
        pa.field("output_type", pa.string(), nullable=False),  # lm-eval's word
        pa.field("sampled", pa.bool_(), nullable=False),
        pa.field("n_items", pa.int32(), nullable=False),
        pa.field("n_items_total", pa.int32(), nullable=False),
        pa.field("n_requests", pa.int64()),  # put to the model
        pa.field("n_truncated", pa.int32()),  # prompts longer than the model reads
        pa.field("dtype", pa.string()),
        pa.field("batch_size", pa.int32()),
        pa.field("max_length", pa.int32()),
        pa.field("backend", pa.string(), nullable=False),
        # Provenance.
        pa.field("suite", pa.string()),
        pa.field("suite_digest", pa.string()),
        pa.field("entropy", pa.string()),  # of the suite; text, it may exceed 64 bits
        pa.field("device", pa.string()),
        pa.field("host", pa.string()),
        pa.field("versions", pa.map_(pa.string(), pa.string())),
        pa.field("location", pa.string()),  # as the suite writes it
        pa.field("revision", pa.string()),
        pa.field("tries", pa.int32()),  # times this attempt was started
        pa.field("started_at", pa.timestamp("us", tz="UTC")),
        pa.field("finished_at", pa.timestamp("us", tz="UTC")),
        pa.field(
            "load_seconds", pa.float64()
        ),  # reading the checkpoint; first trial only
        pa.field("build_seconds", pa.float64()),  # tasks, requests and tokens
        pa.field("forward_seconds", pa.float64()),  # inside the model's own forward
        pa.field("seconds", pa.float64()),  # the whole trial
    ]
)

IDENTITY = (
    "model",
    "train_seed",
    "step",
    "task",
    "template",
    "formulation",
    "num_fewshot",
    "fewshot_seed",
    "sample_seed",
    "output_type",
    "sampled",
    "n_items_total",
)
"""The columns of `TRIALS` that a joined response carries."""

CONDITION = ("task", "formulation", "num_fewshot", "template")
"""What is asked, and how: scores are compared within one condition."""

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
