"""How do weights come into memory? Read, refused if unsound, put on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from harness.checkpoints import content_digests, fetch
from harness.errors import InputError, TrialError
from harness.records import Checkpoint
from harness.run.backend import Placement


def read_checkpoint(checkpoint: Checkpoint, placement: Placement) -> tuple[Any, Any]:
    """Return model and tokenizer of `checkpoint`, on the processor.

    Raises
    ------
    TrialError
        ``checkpoint-unreadable``; ``weights-missing``: the files lack tensors, which
        transformers would fill with random numbers; ``weights-not-finite``;
        ``changed-since-plan``: the answers would be stored as those of other weights.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = fetch(checkpoint.location)
    trusted = checkpoint.model in placement.remote_code
    gguf = {"gguf_file": checkpoint.gguf_file} if checkpoint.gguf_file else {}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            checkpoint.tokenizer or folder,
            trust_remote_code=trusted,
            **({} if checkpoint.tokenizer else gguf),
        )
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, placement.dtype),
            output_loading_info=True,
            trust_remote_code=trusted,
            **gguf,
        )
    except Exception as error:
        raise TrialError(
            f"{checkpoint}: {folder} cannot be loaded: "
            f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
            code="checkpoint-unreadable",
        ) from error
    missing = sorted(report.get("missing_keys", ()))
    mismatched = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or mismatched:
        raise TrialError(
            f"{checkpoint}: {folder} lacks {len(missing + mismatched)} tensors, first "
            f"{(missing + mismatched)[0]!r}; they would be random numbers",
            code="weights-missing",
        )
    bad = [n for n, p in model.named_parameters() if not bool(p.isfinite().all())]
    if bad:
        raise TrialError(
            f"{checkpoint}: {len(bad)} tensors of {folder} are not finite, "
            f"first {bad[0]!r}",
            code="weights-not-finite",
        )
    # Only now: whatever was read came from files that are still those of the plan.
    elsewhere = Path(checkpoint.tokenizer) if checkpoint.tokenizer else None
    found = content_digests(folder, checkpoint.gguf_file, elsewhere)
    if found != (checkpoint.weights_digest, checkpoint.tokenizer_digest):
        raise TrialError(
            f"{checkpoint}: {folder} changed since the plan was made; the same command "
            "evaluates what is there now",
            code="changed-since-plan",
        )
    return model, tokenizer


def device_of(placement: Placement) -> str:
    """Return where torch shall put the model.

    Raises
    ------
    InputError
        ``device-missing``: a GPU is asked for by name, and there is none.
    """
    there = torch.cuda.is_available()
    if placement.device == "cuda" and not there:
        raise InputError(
            "resources: device is cuda, but this worker sees no GPU",
            code="device-missing",
        )
    # Ray shows a worker only its own GPUs, so the first one is the right one.
    wanted = placement.device == "cuda" or (
        placement.device == "auto" and placement.gpus > 0 and there
    )
    return "cuda:0" if wanted else "cpu"


def device_name(device: torch.device) -> str:
    """Return what a store says of the device: the GPU's product name, or ``cpu``."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return str(device.type)
