"""What is a zoo made of? Sizes, training seeds, steps, items: the recipe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from harness.errors import InputError

ZOO_VERSION = 1
"""Raised whenever the text, the tasks or the training change: old zoos stay apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """One size of Llama-architecture model, and how it is trained."""

    name: str
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    learning_rate: float


ZOO_TINY = ModelSize(
    name="zoo-tiny",
    hidden_size=64,
    intermediate_size=160,
    layers=2,
    heads=2,
    learning_rate=5e-3,
)
ZOO_SMALL = ModelSize(
    name="zoo-small",
    hidden_size=128,
    intermediate_size=256,
    layers=2,
    heads=2,
    learning_rate=3e-3,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooSpec:
    """What to build. Two equal specs give the same weights on the same machine."""

    world_seed: int = 0
    models: tuple[ModelSize, ...] = (ZOO_TINY, ZOO_SMALL)

    train_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Each is one training run: the seed of its initial weights."""

    steps: tuple[int, ...] = (20, 40, 80, 160, 240, 320, 480, 640)
    """Optimizer steps at which weights are kept, ascending; the last ends training."""

    data_order: Literal["fixed", "seeded"] = "fixed"
    """``fixed``: runs differ in initial weights only, as in the paper. ``seeded``:
    the training seed shuffles the text as well."""

    n_items: int = 300
    """Items of each task."""

    n_documents: int = 15_360
    """Length of the training text, in documents."""

    batch_size: int = 24
    """Documents in a batch."""

    def __post_init__(self) -> None:
        steps = self.steps
        if not steps or steps[0] < 0 or list(steps) != sorted(set(steps)):
            raise InputError(
                f"steps must ascend from 0 or more, got {list(steps)}", code="zoo-spec"
            )
        names = [size.name for size in self.models]
        for what, values in (("model", names), ("training seed", self.train_seeds)):
            if not values or len(set(values)) < len(values):
                raise InputError(
                    f"a zoo needs at least one {what}, and each once; "
                    f"got {list(values)}",
                    code="zoo-spec",
                )

    @property
    def digest(self) -> str:
        """Sixteen hex digits of all that can change a weight or an item."""
        content = {"zoo_version": ZOO_VERSION, **asdict(self)}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def n_checkpoints(self) -> int:
        """Number of folders with weights that the zoo holds in the end."""
        return len(self.models) * len(self.train_seeds) * len(self.steps)


QUICKSTART = ZooSpec()
"""Two sizes, five training seeds, eight checkpoints each."""

TINY = ZooSpec(
    models=(ZOO_TINY,),
    train_seeds=(0, 1),
    steps=(0, 10, 40),
    n_items=40,
    n_documents=2_000,
)
"""Enough for tests: six checkpoints of one size, in seconds."""
