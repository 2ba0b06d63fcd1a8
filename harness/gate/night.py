"""What does one judgement rest on? A candidate, its baselines and their answers."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.gate.policy import Policy, Tier
from harness.gate.references import Baselines
from harness.gate.trail import Trail, trails
from harness.marks import Mark, Marks, Reference
from harness.stats.calibration import Calibration, a_a
from harness.stats.compare.results import Choice, Comparison
from harness.stats.compare.table import compare
from harness.stats.tables import plain

if TYPE_CHECKING:
    import pandas as pd

Condition = tuple[Any, ...]

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Night:
    """All that one judgement rests on."""

    responses: pd.DataFrame
    asked: Mapping[Reference, frozenset[str]]
    """The tasks of each checkpoint."""

    policy: Policy
    marks: Marks
    trials: pd.DataFrame | None
    baselines: Baselines
    candidate: Reference
    on: dt.date

    def tasks(self) -> set[str]:
        """Return the tasks of the candidate and of its baselines."""
        every = {task for tasks in self.asked.values() for task in tasks}
        own = {t for t in every if t in self.tasks_of(self.baselines(t))}
        return own | self.tasks_of(self.candidate)

    def tasks_of(self, reference: Reference | None) -> frozenset[str]:
        """Return the tasks that a checkpoint was asked."""
        return frozenset() if reference is None else self.asked.get(reference, NOTHING)

    def groups(
        self, gated: Mapping[str, Tier]
    ) -> Iterable[tuple[Tier, Reference, list[str]]]:
        """Yield tasks of one tier that are compared with the same checkpoint."""
        groups: dict[tuple[Tier, Reference], list[str]] = {}
        for task, tier in sorted(gated.items()):
            reference = self.baselines(task)
            if reference is None or reference == self.candidate:
                continue
            if task in self.tasks_of(self.candidate) & self.tasks_of(reference):
                groups.setdefault((tier, reference), []).append(task)
        for (tier, reference), tasks in groups.items():
            yield tier, reference, tasks

    def answers_to(self, tasks: Sequence[str]) -> pd.DataFrame:
        """Return the answers to some tasks."""
        rows = self.responses
        return rows[rows["task"].isin(tasks).to_numpy(dtype=bool)]

    def compared(self, tasks: Sequence[str], reference: Reference) -> Comparison:
        """Compare the candidate with a baseline on some tasks."""
        policy = self.policy
        return compare(
            self.answers_to(tasks),
            [
                Choice(name=str(one), model=one.model, step=one.step)
                for one in (reference, self.candidate)
            ],
            correction=policy.correction,
            delta={task: policy.delta_of(task) for task in tasks},
            min_items=policy.min_items,
            confidence_level=policy.look_confidence_level,
            allow=policy.allow,
            trials=self.trials,
        )

    def trails(self, gated: Mapping[str, Tier]) -> Mapping[Condition, Trail]:
        """Return the checkpoints before the candidate, by condition."""
        if self.policy.noise == 0:
            return {}
        rows = self.responses
        is_own = (rows["model"] == self.candidate.model).to_numpy(dtype=bool)
        return trails(
            rows[is_own & rows["task"].isin(list(gated)).to_numpy(dtype=bool)],
            self.candidate,
            rules=self.policy.history,
            confidence_level=self.policy.look_confidence_level,
        )

    def calibration(self, gated: Mapping[str, Tier]) -> tuple[Calibration, ...]:
        """Return how often equal models of the candidate's family seem to differ."""
        rows = self.responses
        is_own = (rows["model"] == self.candidate.model).to_numpy(dtype=bool)
        own = rows[is_own & rows["task"].isin(list(gated)).to_numpy(dtype=bool)]
        return a_a(own, confidence_level=self.policy.confidence_level)

    @property
    def look_level(self) -> float:
        """The level of a look, one-sided."""
        return 1 - self.policy.confidence_level

    def look(self) -> int:
        """Count the model's checkpoints since the baseline, this one among them."""
        general = self.baselines("")
        model, step = self.candidate.model, self.candidate.step
        if general and general.model == model and step is not None:
            first = -1 if general.step is None else general.step
            steps = [one.step for one in self.asked if one.model == model]
            return max(1, sum(first < s <= step for s in steps if s is not None))
        rows = self.responses
        own = rows[(rows["model"] == model).to_numpy(dtype=bool)]
        mark = self.marks.baseline_mark()
        since = dt.datetime.min.replace(tzinfo=dt.UTC) if mark is None else mark.set_at
        moments = own.groupby("step", dropna=False, observed=True)["finished_at"].max()
        return max(1, int((moments.dropna() >= since).sum()))

    def level(self, look: int) -> float:
        """Return the level of a tier at such a look."""
        alpha = self.look_level / 2
        if self.policy.looks == "each":
            return alpha
        from harness.stats.sequential import spend

        return float(spend(alpha, look))

    def acknowledged(self, task: str) -> Mark | None:
        """Return what says that a loss at a task is known."""
        return self.marks.acknowledged(task, self.candidate.model, on=self.on)

    def over(self, task: str) -> Mark | None:
        """Return an acknowledgement of the task whose last day is over."""
        model = self.candidate.model
        own = [
            mark
            for mark in self.marks.of("acknowledged")
            if mark.task in (None, task)
            and mark.model in (None, model)
            and not mark.holds(self.on)
        ]
        return own[-1] if own else None

    def nearest(self, task: str) -> str:
        """Say which task was probably meant by a name that no task has."""
        there = sorted({name for tasks in self.asked.values() for name in tasks})
        near = difflib.get_close_matches(task, there, n=1)
        return f"; the nearest is {near[0]}" if near else ""


def tasks_asked(responses: pd.DataFrame) -> dict[Reference, frozenset[str]]:
    """Return the tasks of each checkpoint."""
    rows = responses[["model", "step", "task"]].drop_duplicates()
    found: dict[Reference, set[str]] = {}
    for model, step, task in zip(*(rows[name] for name in rows), strict=True):
        reference = Reference(model=model, step=plain(step))
        found.setdefault(reference, set()).add(task)
    return {reference: frozenset(tasks) for reference, tasks in found.items()}
