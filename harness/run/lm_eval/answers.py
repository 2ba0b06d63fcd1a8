"""What do the answers say? Rows of our evidence, with lm-eval's metrics beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.run.lm_eval.model import REFUSED
from harness.run.lm_eval.prompts import Prompt

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask

    from harness.run.lm_eval.model import Tokens

Likelihood = tuple[float, bool]
"""Log-probability of a continuation, and whether greedy decoding would write it."""


def rows_of(
    task: ConfigurableTask,
    prompts: Sequence[Prompt],
    tokens: Sequence[list[Tokens]],
    likelihoods: Sequence[list[Likelihood]],
    texts: Sequence[str] | None,
    repeat: int,
) -> list[dict[str, Any]]:
    """Return one row per prompt with the columns of `backend.EVIDENCE`.

    Parameters
    ----------
    tokens, likelihoods : sequence of list
        Of each prompt's scored requests, in the order of `prompts`.
    texts : sequence of str, optional
        What the model wrote, for generation tasks; each repeat is judged by itself.
    """
    for index, prompt in enumerate(prompts):
        answers = likelihoods[index] if texts is None else [texts[index]]
        for instance, given in zip(prompt.instances, answers, strict=True):
            instance.resps = [given]
            instance.filtered_resps = {}
    task._instances = [one for prompt in prompts for one in prompt.instances]
    task.apply_filters()
    rows = []
    for index, prompt in enumerate(prompts):
        row = {
            **_asked(prompt, repeat),
            **_likelihood_columns(prompt, tokens[index], likelihoods[index]),
        }
        if texts is not None:
            row["text"] = texts[index]
            row["answer"] = _first_answer(prompt.instances[0])
        row["status"] = _status(prompt, row)
        if row["status"] != "nan-logprob":
            row["metrics"] = _metrics(task, prompt)
        rows.append(row)
    return rows


def refused_row(prompt: Prompt, repeat: int) -> dict[str, Any]:
    """Return the row of an item that the server refused, while it answered others."""
    return {**_asked(prompt, repeat), "status": REFUSED.value}


def _asked(prompt: Prompt, repeat: int) -> dict[str, Any]:
    return {
        "item_id": prompt.item_id,
        "item_index": prompt.item_index,
        "repeat": repeat,
        "prompt_digest": prompt.prompt_digest,
        "target": prompt.target,
        "target_index": prompt.target_index,
        "cluster": prompt.cluster,
    }


def _likelihood_columns(
    prompt: Prompt, tokens: list[Tokens], likelihoods: list[Likelihood]
) -> dict[str, Any]:
    if prompt.choices is not None:
        # acc_mutual_info asks for each choice a second time without the question.
        n = len(prompt.choices)
        return {
            "choice_logprobs": [logprob for logprob, _ in likelihoods[:n]],
            "choice_chars": [len(choice) for choice in prompt.choices],
            "choice_bytes": [len(choice.encode()) for choice in prompt.choices],
            "choice_tokens": [len(continuation) for _, _, continuation in tokens[:n]],
        }
    if not likelihoods:
        return {}
    (logprob, is_greedy), (_, _, continuation) = likelihoods[0], tokens[0]
    return {
        "target_logprob": logprob,
        "target_bytes": len((prompt.target or "").encode()),
        "target_tokens": len(continuation),
        "target_is_greedy": is_greedy,
    }


def _status(prompt: Prompt, row: Mapping[str, Any]) -> str:
    logprobs = [*row.get("choice_logprobs", ()), row.get("target_logprob", 0.0)]
    if any(math.isnan(logprob) for logprob in logprobs):
        return "nan-logprob"
    if prompt.choices is not None and prompt.target_index is None:
        return "several-targets"
    return "ok"


def _first_answer(instance: Instance) -> str | None:
    answer = next(iter(instance.filtered_resps.values()), None)
    while isinstance(answer, list | tuple) and answer:
        answer = answer[0]
    return None if answer is None else str(answer)


def _metrics(task: ConfigurableTask, prompt: Prompt) -> dict[str, float]:
    """Return lm-eval's own values, of those metrics that are one number per item."""
    values: dict[str, float] = {}
    for name in prompt.instances[0].filtered_resps:
        results = [instance.filtered_resps[name] for instance in prompt.instances]
        for metric, value in task.process_results(
            prompt.instances[0].doc, results
        ).items():
            if isinstance(value, bool | int | float) or hasattr(value, "item"):
                values[f"{metric},{name}"] = float(value)
    return values
