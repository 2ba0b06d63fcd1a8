"""How does a tiny model learn? Trains one run and hands out its checkpoints.

The only module of the zoo that imports torch, transformers and tokenizers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from harness.zoo.world import make_world

if TYPE_CHECKING:
    from harness.zoo.spec import ModelSize, ZooSpec

END, PAD = "<|endoftext|>", "<|pad|>"
VOCABULARY = 1024
"""At most; the world's words are fewer, and each becomes one token."""

ROW = 32
"""Tokens in a training example: one document, cut or padded."""

MAX_POSITIONS = 256
"""What prompts may need; positions past `ROW` are never trained."""

WARMUP_STEPS = 20
LAST_RATE = 0.1
"""The learning rate falls linearly to this part of itself at the last step."""

Save = Callable[[Path], None]


def train(
    spec: ZooSpec, size: ModelSize, train_seed: int, keep: Sequence[int]
) -> Iterator[tuple[int, Save]]:
    """Train one run; yield each step of `keep` with what saves it as a folder.

    One thread and no other source of chance than the spec and `train_seed`: the
    weights are the same bytes each time, on one machine and one torch.
    """
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    tokenizer, rows = _corpus(spec)
    torch.manual_seed(train_seed)
    model = LlamaForCausalLM(_config(size, tokenizer))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=size.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.01,
        fused=True,
    )
    total = spec.steps[-1]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, (step + 1) / WARMUP_STEPS)
            * (1 - (1 - LAST_RATE) * min(1.0, step / max(1, total)))
        ),
    )

    def save(folder: Path) -> None:
        try:
            model.save_pretrained(folder)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        tokenizer.save_pretrained(folder)

    batches = _batches(spec, len(rows), train_seed)
    for step in range(max(keep) + 1):
        if step in keep:
            yield step, save
        batch = rows[next(batches)]
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1),
            batch[:, 1:].flatten(),
            ignore_index=tokenizer.pad_token_id,
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()


@lru_cache(1)  # one worker trains several runs on the same text
def _corpus(spec: ZooSpec) -> tuple[PreTrainedTokenizerFast, torch.Tensor]:
    """Return the tokenizer and the text as rows of tokens, one document each."""
    text = make_world(spec.world_seed, spec.n_items, spec.n_documents).text
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        # All bytes: text from outside the world has tokens too.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[END, PAD],
        show_progress=False,
    )
    backend.train_from_iterator(text, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=END,
        eos_token=END,
        pad_token=PAD,
        model_max_length=MAX_POSITIONS,
    )
    end, pad = backend.token_to_id(END), backend.token_to_id(PAD)
    rows = torch.full((len(text), ROW), pad)
    for row, encoding in zip(rows, backend.encode_batch(text), strict=True):
        tokens = [end, *encoding.ids, end][:ROW]
        row[: len(tokens)] = torch.tensor(tokens)
    return tokenizer, rows


def _config(size: ModelSize, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        intermediate_size=size.intermediate_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _batches(spec: ZooSpec, n_rows: int, train_seed: int) -> Iterator[list[int]]:
    """Yield row numbers without end, each pass over the text in a new order."""
    order = train_seed if spec.data_order == "seeded" else "fixed"
    rng = random.Random(f"{spec.world_seed} order {order}")
    queue: list[int] = []
    while True:
        while len(queue) < spec.batch_size:
            queue += rng.sample(range(n_rows), n_rows)
        yield queue[: spec.batch_size]
        del queue[: spec.batch_size]
