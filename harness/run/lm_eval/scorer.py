"""lm-eval's model class, opened between tokenising and scoring, and timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

Tokens = tuple[tuple[str, str], list[int], list[int]]
"""Context and continuation, as text and as token ids of each."""


class Scorer(HFLM):  # type: ignore[misc]  # lm-eval is not typed
    """Scores token ids that are known already, so that checkpoints can share them."""

    forward_seconds = 0.0
    """Time in the model's own forward and generation since it was last set to 0."""

    _recorded: list[Tokens] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # lm-eval works it out anew for each token it scores.
        self._max_length = self.max_length

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
        return self._loglikelihood_tokens(list(tokens), disable_tqdm=True)

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
