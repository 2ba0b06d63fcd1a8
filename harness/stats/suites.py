"""Which tasks can be averaged, and how well does their mean tell models apart?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.decisions import N_LAST
from harness.stats.signal import SignalNoise, signal_noise
from harness.stats.signal_table import TaskSignal
from harness.streams import stream

Floats = npt.NDArray[np.float64]
Run = tuple[str, int | None]
Steps = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suite:
    """Tasks that can be averaged: of one metric, put to the same runs and steps."""

    tasks: tuple[TaskSignal, ...]
    runs: tuple[Run, ...]
    """Model and training seed of each run."""

    steps: Steps
    """The last checkpoints, which every run has on every task."""

    scores: Floats
    """Shape (n_tasks, n_runs, n_steps)."""

    @property
    def metric(self) -> str:
        """Which score."""
        return self.tasks[0].who.metric

    def signal_noise(
        self,
        chosen: Sequence[int],
        *,
        confidence_level: float = 0.95,
        entropy: int = 0,
    ) -> SignalNoise:
        """Return what `harness.stats.signal.signal_noise` says of a mean of tasks.

        Each task weighs the same, whatever its items.
        """
        models = list(dict.fromkeys(model for model, _ in self.runs))
        rows = [[r for r, (m, _) in enumerate(self.runs) if m == own] for own in models]
        mean = np.full((len(rows), max(map(len, rows)), len(self.steps)), np.nan)
        for place, own in enumerate(rows):
            mean[place, : len(own)] = self.scores[list(chosen)][:, own].mean(0)
        return signal_noise(
            mean,
            confidence_level=confidence_level,
            rng=stream(entropy, "signal of a mean of tasks"),
        )


def suites(
    rows: Iterable[TaskSignal], *, n_last: int = N_LAST
) -> tuple[tuple[Suite, ...], tuple[tuple[TaskSignal, str], ...]]:
    """Return the tasks that can be averaged, and why others cannot.

    Those of a suite share the metric, the models, their training seeds and the last
    `n_last` steps, at each of which every run has a score.

    Parameters
    ----------
    rows : iterable of TaskSignal
        From `harness.stats.signal_table.signal_table`.
    n_last : int
        Checkpoints behind the noise; where tasks have fewer, all that they have.
    """
    groups: dict[
        tuple[str, tuple[Run, ...], Steps], list[tuple[TaskSignal, Floats]]
    ] = {}
    left_out: list[tuple[TaskSignal, str]] = []
    for row in rows:
        runs, steps, scores = _window(row, n_last)
        if reason := _lacks(row, scores):
            left_out.append((row, reason))
        else:
            key = row.who.metric, runs, steps
            groups.setdefault(key, []).append((row, scores))
    found = []
    for (_, runs, steps), members in groups.items():
        if len(members) > 1:
            suite = Suite(
                tasks=tuple(row for row, _ in members),
                runs=runs,
                steps=steps,
                scores=np.stack([scores for _, scores in members]),
            )
            found.append(suite)
        else:
            reason = "no other task has its metric, models, seeds and last steps"
            left_out.append((members[0][0], reason))
    return tuple(found), tuple(left_out)


def _window(row: TaskSignal, n_last: int) -> tuple[tuple[Run, ...], Steps, Floats]:
    """Return the runs, the last steps, and the scores of each run at these."""
    who = row.who
    seeds: dict[str, dict[int | None, None]] = {}
    for model, seed in zip(who.models, who.train_seeds, strict=True):
        seeds.setdefault(model, {})[seed] = None
    steps = sorted(set(who.steps), key=lambda step: (step is not None, step or 0))
    own = [row.scores[m, : len(seeds[model])] for m, model in enumerate(row.models)]
    return (
        tuple((model, seed) for model in row.models for seed in seeds[model]),
        tuple(steps[-n_last:]),
        np.concatenate(own)[:, -n_last:],
    )


def _lacks(row: TaskSignal, scores: Floats) -> str:
    """Return why a task is in no suite; empty where it may be in one."""
    if len(row.models) < 2:
        return "signal needs at least 2 models, has 1"
    if scores.shape[1] < 2:
        return "noise needs at least 2 checkpoints, has 1"
    if n_lacking := int(np.isnan(scores).any(axis=1).sum()):
        return (
            f"{n_lacking} of its {len(scores)} runs lack some of the last "
            f"{scores.shape[1]} checkpoints"
        )
    return ""
