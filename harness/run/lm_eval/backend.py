"""How does lm-eval answer a trial? Tasks, prompts and tokens kept between models."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harness.errors import TrialError
from harness.records import Checkpoint, TaskInfo, TaskRequest, Trial, digest
from harness.run.backend import EVIDENCE, Answers, Interrupted, Placement
from harness.run.lm_eval.answers import Likelihood, refused_row, rows_of
from harness.run.lm_eval.model import REFUSED, Refused
from harness.run.lm_eval.prompts import Prompt, PromptSet, build_prompts, tokens_of
from harness.run.lm_eval.tasks import TaskLibrary, key_of

if TYPE_CHECKING:
    from harness.run.lm_eval.model import Model, Tokens
    from harness.run.lm_eval.scorer import Scorer

KEPT_PROMPTS = 64
"""Sets of built prompts kept between checkpoints; the least recently used go first."""


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Look up once what takes a worker milliseconds for each trial."""
    names = ("lm-eval", "torch", "transformers", "tokenizers", "datasets", "ray")
    return tuple((name, version(name)) for name in names)


class LMEvalBackend:
    """Evaluates checkpoints in memory and behind servers, through lm-eval's tasks."""

    def __init__(self) -> None:
        self.tasks = TaskLibrary()
        self._prompt_sets: OrderedDict[tuple[str, int, str], PromptSet] = OrderedDict()
        self._placement = Placement()
        self._model: Model | None = None
        self._tokenizer_digest = ""

    @property
    def name(self) -> str:
        """``lm-eval`` and its version."""
        return f"lm-eval {version('lm-eval')}"

    def describe(self, requests: Sequence[TaskRequest]) -> list[TaskInfo]:
        """Load the tasks asked for; errors are those of `TaskLibrary.describe`."""
        return [self.tasks.describe(request) for request in requests]

    def item_ids(self, request: TaskRequest) -> list[str]:
        """Return the ids of a task's items, in its order."""
        return [digest(doc) for doc in self.tasks.load(request).eval_docs]

    def start(self, placement: Placement) -> None:
        """Import torch and transformers, which a plan does without; cap threads."""
        import torch

        import harness.run.lm_eval.scorer
        import harness.run.weights  # noqa: F401

        torch.set_num_threads(max(placement.cpus, 1))
        self._placement = placement

    def load(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint into memory, or get ready to ask its server.

        Errors are those of `read_checkpoint` and of `Served`.
        """
        self._model = None  # the old one goes before the new one comes
        if checkpoint.server is None:
            self._model = self._read(checkpoint)
        else:
            from harness.run.lm_eval.served import Served

            longest = self._placement.max_length
            self._model = Served(checkpoint, checkpoint.server, longest)
        self._tokenizer_digest = checkpoint.tokenizer_digest

    def _read(self, checkpoint: Checkpoint) -> Scorer:
        from harness.run.lm_eval.scorer import Scorer
        from harness.run.weights import device_of, read_checkpoint

        placement = self._placement
        model, tokenizer = read_checkpoint(checkpoint, placement)
        model.to(device_of(placement))
        return Scorer(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=placement.batch_size,
            max_length=placement.max_length,
        )

    def provenance(self) -> dict[str, Any]:
        """Return the device and the versions in use; what a server said of itself."""
        model = self._loaded()
        return {
            "versions": {**dict(_versions()), **model.provenance()},
            "device": model.device_name,
        }

    def answer(self, trial: Trial) -> Answers:
        """Put the trial's items to the loaded checkpoint.

        Raises
        ------
        TrialError
            ``logprobs-not-finite``: not one response could be scored;
            ``changed-since-plan``: the task is no longer the one that was planned;
            ``chat-template-unfit``; ``no-likelihoods``: a server gives none.
        Interrupted
            ``server-failed`` or ``server-refused``, with what was answered before.
        """
        model = self._loaded()
        if self.tasks.digest_of(trial.request) != trial.info.task_digest:
            raise TrialError(
                f"{trial}: the task's files changed since the plan was made; the same "
                "command asks what they say now",
                code="changed-since-plan",
            )
        model.begin(trial.trial_id)
        began = time.perf_counter()
        prompt_set = self._prompts(trial)
        prompts = [prompt_set.prompts[index] for index in trial.item_indexes]
        tokens: list[list[Tokens]] = [[] for _ in prompts]
        if model.gives_likelihoods:
            all_tokens = tokens_of(prompt_set, model, self._tokenizer_digest)
            tokens = [all_tokens[index] for index in trial.item_indexes]
        build_seconds = time.perf_counter() - began

        scored: Iterator[Likelihood | Refused | None] = iter(())
        try:
            scored = iter(model.score([one for some in tokens for one in some]))
        except TrialError as error:
            if error.code != "no-likelihoods" or not trial.info.writes:
                raise
            tokens = [[] for _ in prompts]  # of the references, which are null then
        likelihoods = [[next(scored) for _ in some] for some in tokens]
        n_truncated = sum(
            model.cuts(prompt.instances[0], some)
            for prompt, some in zip(prompts, tokens, strict=True)
        )
        rows: list[dict[str, Any]] = []
        for repeat, texts in self._texts(trial, prompts).items():
            rows += self._judged(trial, prompts, tokens, likelihoods, texts, repeat)
        if rows and all(row["status"] == "nan-logprob" for row in rows):
            raise TrialError(
                f"{trial}: not one of {len(rows)} log-likelihoods is a number",
                code="logprobs-not-finite",
            )
        answers = Answers(
            rows=pa.Table.from_pylist(rows, schema=EVIDENCE),
            n_truncated=n_truncated,
            build_seconds=build_seconds,
            forward_seconds=model.forward_seconds,
        )
        if model.failure is not None:
            raise Interrupted(model.failure, answers)
        return answers

    def _texts(
        self, trial: Trial, prompts: list[Prompt]
    ) -> dict[int, Sequence[str | Refused | None] | None]:
        """Return what the model writes to the prompts, by the number of the answer."""
        numbers = trial.repeat_numbers
        if not trial.info.writes:
            return dict.fromkeys(numbers)
        names = [
            [f"{trial.draws_id}/{p.item_index}/{k}" for k in numbers] for p in prompts
        ]
        written = self._loaded().write(
            [prompt.instances[0] for prompt in prompts],
            names,
            sampled=trial.info.sampled,
        )
        return dict(zip(numbers, zip(*written, strict=True), strict=True))

    def _judged(
        self,
        trial: Trial,
        prompts: list[Prompt],
        tokens: list[list[Tokens]],
        likelihoods: Sequence[Sequence[Likelihood | Refused | None]],
        texts: Sequence[str | Refused | None] | None,
        repeat: int,
    ) -> list[dict[str, Any]]:
        """Return the rows of the items that were answered: all of them as a rule."""
        rows, there = [], []
        scored: list[list[Likelihood]] = []
        for index, some in enumerate(likelihoods):
            text = None if texts is None else texts[index]
            if None in some or (texts is not None and text is None):
                continue
            # A reference without a likelihood is no reason to do without the text.
            if text is REFUSED or (texts is None and REFUSED in some):
                rows.append(refused_row(prompts[index], repeat))
                continue
            there.append(index)
            scored.append([one for one in some if isinstance(one, tuple)])
        if there:
            rows += rows_of(
                self.tasks.load(trial.request),
                [prompts[i] for i in there],
                [
                    tokens[i] if some else []
                    for i, some in zip(there, scored, strict=True)
                ],
                scored,
                None if texts is None else [str(texts[i]) for i in there],
                repeat,
            )
        return sorted(rows, key=lambda row: row["item_index"])

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

    def _loaded(self) -> Model:
        if self._model is None:
            raise RuntimeError("no checkpoint is loaded")
        return self._model
