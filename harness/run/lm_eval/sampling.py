"""How are answers drawn? Each from a stream of its own, prompts read once for all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from torch.overrides import TorchFunctionMode
from transformers import DynamicCache

from harness.errors import TrialError
from harness.streams import words

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from harness.run.lm_eval.scorer import Scorer


class KeyedDraws(TorchFunctionMode):  # type: ignore[misc]  # torch is not typed
    """Makes torch draw each row's next token by that row's own uniform numbers.

    A draw then does not depend on what else is in the batch, in which order batches
    come, or on what was drawn before.

    Parameters
    ----------
    uniforms : Tensor, shape (n_rows, n_tokens)
        From 0 to 1; a column is used up by each draw.
    """

    def __init__(self, uniforms: torch.Tensor) -> None:
        self._columns = iter(uniforms.unbind(dim=1))

    def __torch_function__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        if function is torch.multinomial:
            return self._draw(*args, **(options or {}))
        return function(*args, **(options or {}))

    def _draw(self, weights: torch.Tensor, num_samples: int) -> torch.Tensor:
        if num_samples != 1:
            raise TrialError(
                f"generation draws {num_samples} tokens at a time, as with beams; "
                "leave num_beams out of the task's generation arguments",
                code="task-unsupported",
            )
        mass = weights.double().cumsum(dim=-1)
        total = mass[:, -1]
        if not (total.isfinite() & (total > 0)).all():  # as torch itself refuses them
            raise TrialError(
                "the next token's probabilities are not all numbers while text is "
                "drawn; a dtype with a wider range may help",
                code="logprobs-not-finite",
            )
        point = next(self._columns).to(mass.device) * total
        below = (mass <= point[:, None]).sum(dim=-1, keepdim=True)
        return below.clamp(max=weights.shape[-1] - 1)


def sample(
    model: Scorer, instances: Sequence[Instance], names: Sequence[Sequence[str]]
) -> list[list[str]]:
    """Return several answers to each prompt, as lm-eval's model class would draw them.

    A prompt is read once, whatever the number of its answers, where the model's cache
    can be copied.

    Parameters
    ----------
    instances : sequence
        Generation requests of one task.
    names : sequence of sequences of str
        Of each instance, the names of the streams of its answers; equally many.

    Raises
    ------
    TrialError
        ``task-unsupported``: the arguments ask for beams; ``logprobs-not-finite``.
    """
    options = normalize_gen_kwargs(dict(instances[0].args[1]), model.max_gen_toks)
    n_tokens = options.pop("max_gen_toks")
    eos = model.tok_decode(model.eot_token_id, skip_special_tokens=False)
    until = handle_stop_sequences(options.pop("until", None), eos=eos)
    prompts = [instance.args[0] for instance in instances]
    lengths = [len(model.tok_encode(prompt)) for prompt in prompts]
    by_length = sorted(range(len(prompts)), key=lambda i: (-lengths[i], i))
    n_answers = min(len(names[0]), model.batch_size)
    texts: list[list[str]] = [[] for _ in prompts]
    for some in _batches(by_length, model.batch_size // n_answers):
        context, mask = model.tok_batch_encode(
            [prompts[index] for index in some],
            left_truncate_len=model.max_length - n_tokens,
            truncation=model.truncation,
        )
        context, mask = context.to(model.device), mask.to(model.device)
        call = {"stop": until, "max_length": context.shape[1] + n_tokens, **options}
        cache = _read(model, context, mask, call) if len(names[0]) > 1 else None
        for draws in _batches(range(len(names[0])), n_answers):
            rows = [names[index][draw] for index in some for draw in draws]
            extra = {}
            if cache is not None:
                extra["past_key_values"] = copy.deepcopy(cache)
                extra["past_key_values"].batch_repeat_interleave(len(draws))
            with KeyedDraws(_uniforms(rows, n_tokens)):
                written = model._model_generate(
                    context=context.repeat_interleave(len(draws), dim=0),
                    attention_mask=mask.repeat_interleave(len(draws), dim=0),
                    **call,
                    **extra,
                )
            answers = iter(written[:, context.shape[1] :].tolist())
            for index in some:
                for _ in draws:
                    text = model.tok_decode(next(answers))
                    text = postprocess_generated_text(text, until, None)
                    texts[index].append(text)
    return texts


def _read(
    model: Scorer, context: torch.Tensor, mask: torch.Tensor, call: dict[str, Any]
) -> DynamicCache | None:
    """Return what the model keeps of the prompts but for their last token."""
    if context.shape[1] < 2:
        return None
    once = {**call, "max_length": context.shape[1] + 1}
    with KeyedDraws(torch.zeros(len(context), 1, dtype=torch.float64)):
        read = model._model_generate(
            context=context, attention_mask=mask, return_dict_in_generate=True, **once
        )
    cache = read.past_key_values
    if type(cache) is not DynamicCache or any(cache.is_sliding):
        return None  # of such a cache the last token cannot be taken off
    cache.crop(-1)
    return cache


def _batches(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    return [indices[first : first + size] for first in range(0, len(indices), size)]


def _uniforms(names: Sequence[str], n_tokens: int) -> torch.Tensor:
    rows = [np.random.default_rng(words(name)).random(n_tokens) for name in names]
    return torch.from_numpy(np.stack(rows))
