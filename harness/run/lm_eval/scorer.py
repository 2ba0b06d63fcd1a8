"""lm-eval's model class, opened between tokenising and scoring, and timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs

from harness.errors import TrialError
from harness.run.lm_eval.sampling import sample
from harness.run.weights import device_name

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from harness.run.lm_eval.model import Tokens


class Scorer(HFLM):  # type: ignore[misc]  # lm-eval is not typed
    """Scores token ids that are known already, so that checkpoints can share them."""

    gives_likelihoods = True
    failure = None
    forward_seconds = 0.0

    _recorded: list[Tokens] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # lm-eval works it out anew for each token it scores.
        self._max_length = self.max_length

    @property
    def device_name(self) -> str:
        """The GPU's product name, or ``cpu``."""
        return device_name(self.device)

    def begin(self, trial_id: str) -> None:  # noqa: ARG002  # nothing is kept
        """Take what is asked from now on as this trial's."""
        self.forward_seconds = 0.0

    def provenance(self) -> dict[str, str]:
        """Return nothing: weights and packages say all."""
        return {}

    def apply_chat_template(
        self, messages: list[dict[str, str]], **options: Any
    ) -> str:
        """Return the messages in the tokenizer's chat template, all of them."""
        return chat_text(self.tokenizer, messages, **options)

    def encode(self, instances: Sequence[Instance]) -> list[Tokens]:
        """Return the token ids that lm-eval would score, by its own encoding."""
        self._recorded = []
        try:
            self.loglikelihood(list(instances), disable_tqdm=True)
            return self._recorded
        finally:
            self._recorded = None

    def score(self, tokens: Sequence[Tokens]) -> list[tuple[float, bool]]:
        """Return log-likelihood and greediness of each continuation."""
        if not tokens:
            return []
        return self._loglikelihood_tokens(list(tokens), disable_tqdm=True)

    def write(
        self,
        instances: Sequence[Instance],
        names: Sequence[Sequence[str]],
        *,
        sampled: bool,
    ) -> list[list[str]]:
        """Return several texts for each instance, each drawn by its own name."""
        if sampled:
            return sample(self, instances, names)
        return [[t] for t in self.generate_until(list(instances), disable_tqdm=True)]

    def cuts(self, instance: Instance, tokens: Sequence[Tokens]) -> bool:
        """Say whether an item's prompt is too long, so that lm-eval cuts its beginning.

        Parameters
        ----------
        tokens
            Of all the item's scored requests; of a generation, those of its reference.
        """
        if any(len(ctx) + len(cont) > self.max_length + 1 for _, ctx, cont in tokens):
            return True
        if instance.request_type != "generate_until":
            return False
        prompt, arguments = instance.args
        length = len(tokens[0][1] if tokens else self.tok_encode(prompt))
        room = normalize_gen_kwargs(dict(arguments), self.max_gen_toks)["max_gen_toks"]
        return bool(length > self.max_length - room)

    def _loglikelihood_tokens(
        self, requests: list[Tokens], *args: Any, **options: Any
    ) -> list[tuple[float, bool]]:
        if self._recorded is not None:
            self._recorded.extend(requests)
            return [(0.0, False)] * len(requests)
        return list(super()._loglikelihood_tokens(requests, *args, **options))

    def _model_call(self, *args: Any, **options: Any) -> Any:
        return self._timed(super()._model_call, *args, **options)

    def _model_generate(self, *args: Any, **options: Any) -> Any:
        return self._timed(super()._model_generate, *args, **options)

    def _timed(self, call: Any, *args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        result = call(*args, **options)
        if self.device.type == "cuda":  # kernels run on after the call returns
            torch.cuda.synchronize(self.device)
        self.forward_seconds += time.perf_counter() - began
        return result


def chat_text(
    tokenizer: Any,
    messages: list[dict[str, str]],
    *,
    add_generation_prompt: bool = True,
) -> str:
    """Return messages in a tokenizer's chat template.

    lm-eval leaves the system prompt out where the template fails, and says so in a log;
    then all system prompts would be the same.

    Raises
    ------
    TrialError
        ``chat-template-unfit``.
    """
    try:
        return str(
            tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )
    except (jinja2.TemplateError, ValueError) as error:
        roles = ", ".join(dict.fromkeys(message["role"] for message in messages))
        raise TrialError(
            f"the tokenizer's chat template takes no messages of {roles}: "
            f"{next(iter(str(error).splitlines()), type(error).__name__)}",
            code="chat-template-unfit",
        ) from error
