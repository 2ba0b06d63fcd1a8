"""How is an item put into words? lm-eval's requests, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lm_eval.api.instance import Instance

from harness.records import TaskRequest, digest, unicode_of
from harness.run.lm_eval.tasks import target_index

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

    from harness.run.lm_eval.model import Model, Tokens


@dataclass(slots=True, kw_only=True, eq=False)
class Prompt:
    """One item, put into words: its lm-eval requests and what their answers mean."""

    item_id: str
    item_index: int
    prompt_digest: str
    instances: list[Instance]
    choices: list[str] | None
    target_index: int | None
    target: str | None
    cluster: str | None
    """Which items it belongs to, where the suite names a field that says so."""

    reference: Instance | None
    """Asks for the likelihood of the reference answer of a generation task."""


@dataclass(slots=True, kw_only=True, eq=False)
class PromptSet:
    """All prompts of one task under one template and few-shot seed."""

    prompts: list[Prompt]
    tokens: dict[str, list[list[Tokens]]] = field(default_factory=dict)
    """Token ids of each prompt's scored requests, by digest of the tokenizer."""


def build_prompts(
    task: ConfigurableTask, request: TaskRequest, fewshot_seed: int, model: Model
) -> list[Prompt]:
    """Put all items of a task into words, in their order.

    All of them, also for a trial that asks only some: the few-shot sampler is one
    stream over the documents, so an item's examples depend on those before it.
    """
    template = request.template
    chat = template.apply_chat_template is True
    task.set_fewshot_seed(fewshot_seed)  # rewinds the stream
    task.build_all_requests(
        system_instruction=template.system_prompt,
        apply_chat_template=chat,
        fewshot_as_multiturn=chat,  # as lm-eval's own command has it
        chat_template=model.apply_chat_template if chat else None,
        tokenizer_name=model.tokenizer_name if chat else "",
    )
    of_item: dict[int, list[Instance]] = {}
    for instance in task.instances:
        instance.repeats = 1  # repeats are whole passes of ours
        of_item.setdefault(instance.doc_id, []).append(instance)
    return [
        _prompt(task, index, instances, chat, request.cluster)
        for index, instances in sorted(of_item.items())
    ]


def tokens_of(prompts: PromptSet, model: Model, tokenizer: str) -> list[list[Tokens]]:
    """Return the token ids of every prompt's scored requests, encoded once.

    Parameters
    ----------
    tokenizer : str
        Digest of the model's tokenizer.
    """
    if tokenizer not in prompts.tokens:
        scored = [_scored(prompt) for prompt in prompts.prompts]
        flat = iter(model.encode([one for some in scored for one in some]))
        prompts.tokens[tokenizer] = [[next(flat) for _ in some] for some in scored]
    return prompts.tokens[tokenizer]


def _prompt(
    task: ConfigurableTask,
    index: int,
    instances: list[Instance],
    chat: bool,
    cluster: str | None,
) -> Prompt:
    doc = instances[0].doc
    instances = sorted(instances, key=lambda one: one.idx)
    choices = gold = target = reference = None
    if task.OUTPUT_TYPE == "multiple_choice":
        choices = list(task.doc_to_choice(doc))
        gold = target_index(task, doc)
    else:
        target = _target_text(task, doc)
    if task.OUTPUT_TYPE == "generate_until" and target:
        delimiter = "" if chat else task.config.target_delimiter
        reference = _instance_of(instances[0], f"{delimiter}{target}")
    return Prompt(
        item_id=digest(doc),
        item_index=index,
        prompt_digest=digest(instances[0].args[0]),
        instances=instances,
        choices=choices,
        target_index=gold,
        target=target,
        cluster=None if cluster is None else unicode_of(str(doc[cluster])),
        reference=reference,
    )


def _target_text(task: ConfigurableTask, doc: Mapping[str, Any]) -> str | None:
    """Return the reference answer; the first where the task accepts several."""
    target = task.doc_to_target(doc)
    if task.config.doc_to_choice is not None and isinstance(target, int):
        target = task.doc_to_choice(doc)[target]
    if isinstance(target, list):
        target = target[0] if target else None
    return None if target is None else str(target)


def _instance_of(generation: Instance, continuation: str) -> Instance:
    return Instance(
        request_type="loglikelihood",
        doc=generation.doc,
        arguments=(generation.args[0], continuation),
        idx=0,
        metadata=(generation.task_name, generation.doc_id, 1),
    )


def _scored(prompt: Prompt) -> list[Instance]:
    """Return the requests whose likelihood is asked: choices, or the reference."""
    if prompt.instances[0].request_type == "loglikelihood":
        return prompt.instances
    return [prompt.reference] if prompt.reference else []
