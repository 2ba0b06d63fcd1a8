"""Evaluation through lm-eval; nothing outside this package imports it.

lm-eval's tasks build the prompts (`tasks`, `prompts`), its model class scores them
(`scorer`), its filters and metrics judge them (`answers`). What is ours is the order
of work (`backend`): tasks, prompts and tokens are kept between checkpoints, and
lm-eval's own caches of requests and answers, which mix up seeds and models, are
never used.
"""

from harness.run.lm_eval.backend import LMEvalBackend

__all__ = ["LMEvalBackend"]
