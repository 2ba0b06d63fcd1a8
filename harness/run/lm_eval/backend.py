"""How does lm-eval answer a trial? Tasks, prompts and tokens kept between models."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harness.errors import TrialError
from harness.records import Checkpoint, TaskInfo, TaskRequest, Trial
from harness.run.backend import EVIDENCE, Answers, Placement
from harness.run.lm_eval.answers import rows_of
from harness.run.lm_eval.prompts import Prompt, PromptSet, build_prompts, tokens_of
from harness.run.lm_eval.tasks import TaskLibrary, key_of

if TYPE_CHECKING:
    from harness.run.lm_eval.scorer import Scorer

KEPT_PROMPTS = 64
"""Sets of built prompts kept between checkpoints; the least recently used go first."""


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Look up once what takes a worker milliseconds for each trial."""
    names = ("lm-eval", "torch", "transformers", "tokenizers", "datasets", "ray")
    return tuple((name, version(name)) for name in names)


class LMEvalBackend:
    """Evaluates Hugging Face checkpoints through lm-eval's tasks and model class."""

    def __init__(self) -> None:
        self.tasks = TaskLibrary()
        self._prompt_sets: OrderedDict[tuple[str, int, str], PromptSet] = OrderedDict()
        self._placement = Placement()
        self._model: Scorer | None = None
        self._tokenizer_digest = ""

    @property
    def name(self) -> str:
        """``lm-eval`` and its version."""
        return f"lm-eval {version('lm-eval')}"

    def describe(self, requests: Sequence[TaskRequest]) -> list[TaskInfo]:
        """Load the tasks asked for; errors are those of `TaskLibrary.describe`."""
        return [self.tasks.describe(request) for request in requests]

    def start(self, placement: Placement) -> None:
        """Import torch and transformers, which a plan does without; cap threads."""
        import torch

        import harness.run.lm_eval.scorer
        import harness.run.weights  # noqa: F401

        torch.set_num_threads(placement.cpus)
        self._placement = placement

    def load(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint into memory; errors are those of `read_checkpoint`."""
        from harness.run.lm_eval.scorer import Scorer
        from harness.run.weights import device_of, read_checkpoint

        self._model = None  # the old one goes before the new one comes
        placement = self._placement
        model, tokenizer = read_checkpoint(checkpoint, placement)
        model.to(device_of(placement))
        self._model = Scorer(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=placement.batch_size,
            max_length=placement.max_length,
        )
        self._tokenizer_digest = checkpoint.tokenizer_digest

    def provenance(self) -> dict[str, Any]:
        """Return the versions in use and the device the model is on."""
        from harness.run.weights import device_name

        return {
            "versions": dict(_versions()),
            "device": device_name(self._loaded().device),
        }

    def answer(self, trial: Trial) -> Answers:
        """Put the trial's items to the loaded checkpoint.

        Raises
        ------
        TrialError
            ``logprobs-not-finite``: not one response could be scored;
            ``changed-since-plan``: the task is no longer the one that was planned.
        """
        model = self._loaded()
        if self.tasks.digest_of(trial.request) != trial.info.task_digest:
            raise TrialError(
                f"{trial}: the task's files changed since the plan was made; the same "
                "command asks what they say now",
                code="changed-since-plan",
            )
        model.forward_seconds = 0.0
        began = time.perf_counter()
        prompt_set = self._prompts(trial)
        all_tokens = tokens_of(prompt_set, model, self._tokenizer_digest)
        build_seconds = time.perf_counter() - began

        chosen = range(len(all_tokens)) if trial.items is None else trial.items
        prompts = [prompt_set.prompts[index] for index in chosen]
        tokens = [all_tokens[index] for index in chosen]
        flat = [one for some in tokens for one in some]
        scored = iter(model.score(flat) if flat else [])
        likelihoods = [[next(scored) for _ in some] for some in tokens]
        n_truncated = sum(
            model.cuts(prompt.instances[0], some)
            for prompt, some in zip(prompts, tokens, strict=True)
        )
        task = self.tasks.load(trial.request)
        rows: list[dict[str, Any]] = []
        answers = self._texts(trial, prompts)
        for repeat, texts in zip(trial.repeat_numbers, answers, strict=True):
            rows += rows_of(task, prompts, tokens, likelihoods, texts, repeat)
        if all(row["status"] == "nan-logprob" for row in rows):
            raise TrialError(
                f"{trial}: not one of {len(rows)} log-likelihoods is a number",
                code="logprobs-not-finite",
            )
        return Answers(
            rows=pa.Table.from_pylist(rows, schema=EVIDENCE),
            n_truncated=n_truncated,
            build_seconds=build_seconds,
            forward_seconds=model.forward_seconds,
        )

    def _texts(
        self, trial: Trial, prompts: list[Prompt]
    ) -> Sequence[Sequence[str] | None]:
        """Return what the model writes to the prompts, for each repeat."""
        if trial.info.output_type != "generate_until":
            return [None]
        model = self._loaded()
        instances = [prompt.instances[0] for prompt in prompts]
        if not trial.info.sampled:
            return [list(model.generate_until(instances, disable_tqdm=True))]
        from harness.run.lm_eval.sampling import sample

        names = [
            [f"{trial.trial_id}/{p.item_index}/{k}" for k in trial.repeat_numbers]
            for p in prompts
        ]
        return list(zip(*sample(model, instances, names), strict=True))

    def _prompts(self, trial: Trial) -> PromptSet:
        """Return the built prompts of all items, from memory where they are."""
        request = trial.request
        # Only a chat template makes the prompt's text depend on the tokenizer.
        chat = request.template.apply_chat_template
        tokenizer = self._tokenizer_digest if chat else ""
        key = (key_of(request), trial.fewshot_seed, tokenizer)
        if key not in self._prompt_sets:
            task = self.tasks.load(request)
            prompts = build_prompts(task, request, trial.fewshot_seed, self._loaded())
            self._prompt_sets[key] = PromptSet(prompts=prompts)
            while len(self._prompt_sets) > KEPT_PROMPTS:
                self._prompt_sets.popitem(last=False)
        self._prompt_sets.move_to_end(key)
        return self._prompt_sets[key]

    def _loaded(self) -> Scorer:
        if self._model is None:
            raise RuntimeError("no checkpoint is loaded")
        return self._model
