"""What is a backend? What answers one trial, and a seeded stand-in for models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from harness.errors import TrialError
from harness.frames import RESPONSES
from harness.records import Checkpoint, TaskInfo, TaskRequest, Trial, digest
from harness.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a worker's model goes, and what it may use."""

    cpus: int = 1
    """None for a worker that only asks a server."""

    gpus: float = 0
    device: str = "auto"
    dtype: str = "float32"
    batch_size: int = 64
    max_length: int | None = None
    remote_code: tuple[str, ...] = ()
    """Models whose own code may run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a backend returns for one trial.

    Attributes
    ----------
    rows : pyarrow.Table
        Columns of ``frames.RESPONSES`` without ``attempt_id`` and ``trial_id``.
    n_truncated : int
        Items whose prompt was longer than the model reads; its beginning was cut.
    build_seconds, forward_seconds : float
        Time in requests and tokens, and inside the model's own forward.
    """

    rows: pa.Table
    n_truncated: int
    build_seconds: float
    forward_seconds: float


class Interrupted(TrialError):
    """The model was there and then was not; what it had answered is kept."""

    def __init__(self, why: TrialError, answers: Answers) -> None:
        super().__init__(str(why), code=why.code)
        self.answers = answers


class Backend(Protocol):
    """What a worker needs of an evaluator."""

    @property
    def name(self) -> str:
        """Name and version, part of a trial's identity."""

    def describe(self, requests: Sequence[TaskRequest]) -> list[TaskInfo]:
        """Load tasks and say what a plan must know of them."""

    def start(self, placement: Placement) -> None:
        """Get ready to hold models there: import what it takes, set threads."""

    def load(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint into memory instead of the one that was there."""

    def answer(self, trial: Trial) -> Answers:
        """Put the trial's items to the loaded checkpoint."""

    def provenance(self) -> dict[str, Any]:
        """Return the versions in use and the device the model is on."""


EVIDENCE = pa.schema([f for f in RESPONSES if f.name not in {"attempt_id", "trial_id"}])
"""The columns that a backend fills."""


class FakeBackend:
    """A backend without a model: choices whose quality grows with the step.

    Every number comes from a stream named by checkpoint, task and item, so that two
    runs agree. It serves the tests of everything around a model.
    """

    name = "fake 1"

    def __init__(self, n_items: int = 40, n_choices: int = 4) -> None:
        self.n_items = n_items
        self.n_choices = n_choices
        self.loads: list[str] = []

    def describe(self, requests: Sequence[TaskRequest]) -> list[TaskInfo]:
        """Return the same shape for every task."""
        return [
            TaskInfo(
                task=request.task,
                task_digest=digest([request.task, self.n_items, self.n_choices]),
                version="1",
                output_type="multiple_choice",
                formulation=request.formulation or "cloze",
                num_fewshot=request.num_fewshot or 0,
                sampled=False,
                draws_fewshot=False,
                repeats=1,
                n_items=self.n_items,
                n_requests=self.n_items * self.n_choices,
            )
            for request in requests
        ]

    def item_ids(self, request: TaskRequest) -> list[str]:
        """Return names of items that no other task has."""
        return [digest([request.task, index]) for index in range(self.n_items)]

    def start(self, placement: Placement) -> None:
        """Do nothing: there is no model."""

    def load(self, checkpoint: Checkpoint) -> None:
        """Remember that the checkpoint was asked for."""
        self.loads.append(str(checkpoint))

    def answer(self, trial: Trial) -> Answers:
        """Draw log-probabilities that favour the right choice more at later steps."""
        step = trial.checkpoint.step or 0
        rows = []
        for index in range(self.n_items) if trial.items is None else trial.items:
            item_id = digest([trial.info.task, index])
            item = stream(0, f"item {item_id}")
            target = int(item.integers(self.n_choices))
            ease = float(item.normal())
            noise = stream(0, f"answer {trial.checkpoint} {item_id}")
            logprobs = noise.normal(size=self.n_choices) - 3.0
            logprobs[target] += ease + 0.3 * math.log1p(step)
            rows.append(
                {
                    "item_id": item_id,
                    "item_index": index,
                    "repeat": 0,
                    "status": "ok",
                    "prompt_digest": digest([trial.info.task, index, "prompt"]),
                    "choice_logprobs": logprobs.tolist(),
                    "choice_chars": [8] * self.n_choices,
                    "choice_bytes": [8] * self.n_choices,
                    "choice_tokens": [2] * self.n_choices,
                    "target_index": target,
                    "metrics": {"acc,none": float(logprobs.argmax() == target)},
                }
            )
        return Answers(
            rows=pa.Table.from_pylist(rows, schema=EVIDENCE),
            n_truncated=0,
            build_seconds=0.0,
            forward_seconds=0.0,
        )

    def provenance(self) -> dict[str, Any]:
        """Return no versions: nothing foreign is in use."""
        return {"versions": {}, "device": "none"}
