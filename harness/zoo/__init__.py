"""A zoo of tiny language models, made here in minutes, to measure.

A small world (`world`) yields a training text and held-out items; `tasks` writes the
items as ordinary lm-eval YAML; `train` makes checkpoints of several sizes, training
seeds and steps; `spec` says how many; `build` puts it all into one folder, once.
"""

from __future__ import annotations

from harness.zoo.build import Zoo, build_zoo, default_root, is_complete
from harness.zoo.spec import QUICKSTART, TINY, ModelSize, ZooSpec

__all__ = [
    "QUICKSTART",
    "TINY",
    "ModelSize",
    "Zoo",
    "ZooSpec",
    "build_zoo",
    "default_root",
    "is_complete",
]
