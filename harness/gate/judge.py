"""Did anything regress? A candidate against baseline, history and noise."""

from __future__ import annotations

import datetime as dt
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.frames import CONDITION, check_responses
from harness.gate.alarms import paired_alarms
from harness.gate.decide import Look, against_baseline, against_history, both
from harness.gate.policy import TIERS, Policy, Tier
from harness.gate.references import LATEST, Baselines, read_baseline, read_checkpoint
from harness.gate.results import (
    Cell,
    Decision,
    GateResult,
    Hidden,
    MissingTask,
    Noise,
    State,
    Status,
    TierResult,
)
from harness.gate.trail import NONE_BEFORE, UNKNOWN, Trail, mean_trail, trails
from harness.gate.unmet import unmet
from harness.marks import Mark, Marks, Reference
from harness.stats.calibration import MIN_SEEDS, Calibration, a_a
from harness.stats.compare.multiplicity import corrected
from harness.stats.compare.results import Choice, Comparison, TaskDifference
from harness.stats.compare.table import compare
from harness.stats.estimate import UNDEFINED, Caution, Interval
from harness.stats.tables import plain

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Judged = TypeVar("Judged", Cell, MissingTask)
Condition = tuple[Any, ...]

DRAWN = ("repeat", "fewshot_seed", "sample_seed")
"""What the same checkpoint may be measured twice with."""

NOTHING: frozenset[str] = frozenset()

GATED: tuple[Tier, ...] = ("critical", "supporting")
"""Tiers that can fail."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Row:
    """One gated comparison before it is judged."""

    difference: TaskDifference
    trail: Trail | None


def judge(
    responses: pd.DataFrame,
    *,
    policy: Policy,
    marks: Marks | None = None,
    trials: pd.DataFrame | None = None,
    baseline: str | None = None,
    candidate: str | None = None,
    on: dt.date | None = None,
) -> GateResult:
    """Return what a policy says of a checkpoint.

    Each task of each tier is compared with the baseline, paired by item, and with what
    the checkpoints before the candidate predict. It is a regression where all of this
    holds:

    1. The candidate is worse than the baseline at the one-sided level ``2 a``, with
       ``a = (1 - confidence_level) / 2``, by the paired test and by one that allows for
       the noise between checkpoints (`against_baseline`).
    2. Its score is below the prediction from the last checkpoints at level ``2 a``
       (`against_history`), where there are enough of them.
    3. On quiet nights both looks are as bad as that (`both`) with a probability of at
       most `a`, corrected for the number of tasks in the tier.
    4. The loss is at least ``delta``.

    Intervals of the looks are two-sided, of level ``1 - 4 a``, so that they show 1 and
    2.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    marks : Marks, optional
        Baselines, tags and acknowledged regressions.
    trials : DataFrame, optional
        Columns of `harness.frames.TRIALS`, failed ones too: they tell a task that was
        tried and failed from one that nobody asked, and know versions of packages.
    baseline, candidate : str, optional
        Instead of what the policy says, in the same words.
    on : date, optional
        The day on which acknowledgements must hold; today by the clock if absent.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    InputError
        ``no-baseline``, ``unknown-tag``, ``unknown-model``, ``bad-steps``,
        ``unknown-task``: no tier names any task that is there; those of `compare`.

    Notes
    -----
    Cautions: ``candidate-is-baseline``; ``no-such-task``, where a pattern of a tier or
    a name in ``deltas`` matches none; those of the comparisons as a whole.
    """
    check_responses(responses)
    marks = marks or Marks()
    on = on or dt.datetime.now(dt.UTC).date()
    baselines = read_baseline(baseline or policy.baseline, marks, responses)
    who = _candidate(candidate or policy.candidate, baselines, marks, responses)
    night = _Night(
        responses=responses,
        asked=_asked(responses),
        policy=policy,
        marks=marks,
        trials=trials,
        baselines=baselines,
        candidate=who,
        on=on,
    )
    return night.result()


def _asked(responses: pd.DataFrame) -> dict[Reference, frozenset[str]]:
    rows = responses[["model", "step", "task"]].drop_duplicates()
    found: dict[Reference, set[str]] = {}
    for model, step, task in zip(*(rows[name] for name in rows), strict=True):
        reference = Reference(model=model, step=plain(step))
        found.setdefault(reference, set()).add(task)
    return {reference: frozenset(tasks) for reference, tasks in found.items()}


def _candidate(
    word: str, baselines: Baselines, marks: Marks, responses: pd.DataFrame
) -> Reference:
    if word != LATEST:
        return read_checkpoint(word, responses)
    general = baselines("")
    model = general.model if general else marks.of("baseline")[-1].reference.model
    return read_checkpoint(model, responses)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Night:
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

    def result(self) -> GateResult:
        """Judge tier after tier."""
        there = self._tasks()
        named = {name: tier for tier, name in self.policy.named()}
        tiers = {t: self.policy.tier(t) for t in {*there, *named}}
        gated = {task: tier for task, tier in tiers.items() if tier is not None}
        if not {*gated} & {*there}:
            raise InputError(
                f"no tier names a task of {self.candidate} or its baseline; there are "
                f"{', '.join(sorted(there)[:5])}",
                code="unknown-task",
            )
        compared: dict[Tier, list[Comparison]] = {tier: [] for tier in TIERS}
        missing = self._missing(gated)
        for tier, reference, tasks in self._groups(gated):
            comparison = self._compare(tasks, reference)
            compared[tier].append(comparison)
            missing += [
                self._lost(one.task, tier, one.reason, is_own=one.is_own)
                for one in unmet(self._of_tasks(tasks), comparison)
            ]
        history = self._trails(gated)
        look = self._look()
        cells: list[Cell] = []
        results: list[TierResult] = []
        for tier in TIERS:
            if self.policy.rules(tier) is None:
                continue
            absent = [one for one in missing if one.tier == tier]
            own, result = self._tier(tier, compared[tier], history, look, absent)
            cells += own
            results.append(result)
            if result.decision != "fail":
                missing = [_forgiven(one) if one in absent else one for one in missing]
        decisions = {result.decision for result in results}
        status: Status = "passed"
        if not cells or "inconclusive" in decisions:
            status = "inconclusive"
        if "fail" in decisions:
            status = "failed"
        references = [self.baselines(task) for task in gated]
        calibration = self._calibration(gated)
        found = [c for tier in TIERS for one in compared[tier] for c in one.cautions]
        return GateResult(
            status=status,
            candidate=self.candidate,
            baselines=tuple(dict.fromkeys(r for r in references if r is not None)),
            policy=self.policy,
            on=self.on,
            look=look,
            tiers=tuple(results),
            cells=tuple(cells),
            missing=tuple(missing),
            ungated=tuple(sorted({*there} - {*gated})),
            environment=_environment(cells),
            calibration=calibration,
            alarms=paired_alarms(calibration, self.policy),
            cautions=tuple(
                dict.fromkeys([*self._is_itself(gated), *self._idle(gated), *found])
            ),
        )

    # ---- what is there ----------------------------------------------------------

    def _tasks(self) -> set[str]:
        """Return the tasks of the candidate and of its baselines."""
        every = {task for tasks in self.asked.values() for task in tasks}
        own = {t for t in every if t in self._of(self.baselines(t))}
        return own | self._of(self.candidate)

    def _of(self, reference: Reference | None) -> frozenset[str]:
        """Return the tasks that a checkpoint was asked."""
        return frozenset() if reference is None else self.asked.get(reference, NOTHING)

    def _groups(
        self, gated: Mapping[str, Tier]
    ) -> Iterable[tuple[Tier, Reference, list[str]]]:
        """Yield tasks of one tier that are compared with the same checkpoint."""
        groups: dict[tuple[Tier, Reference], list[str]] = {}
        for task, tier in sorted(gated.items()):
            reference = self.baselines(task)
            if reference is None or reference == self.candidate:
                continue
            if task in self._of(self.candidate) and task in self._of(reference):
                groups.setdefault((tier, reference), []).append(task)
        for (tier, reference), tasks in groups.items():
            yield tier, reference, tasks

    def _is_itself(self, gated: Mapping[str, Tier]) -> tuple[Caution, ...]:
        own = sorted(task for task in gated if self.baselines(task) == self.candidate)
        if not own:
            return ()
        if len(own) < len(gated):
            text = f"{self.candidate} is the baseline itself of {', '.join(own)}"
            return (Caution("candidate-is-baseline", f"{text}: not judged"),)
        text = (
            f"{self.candidate} is the baseline itself, so that there is nothing to "
            f"judge; {self._others()}"
        )
        return (Caution("candidate-is-baseline", text),)

    def _idle(self, gated: Mapping[str, Tier]) -> Iterable[Caution]:
        """Say which words of the policy are of no task."""
        there = {*gated, *(task for tasks in self.asked.values() for task in tasks)}
        for key, name in self.policy.idle(there):
            text = f"{key} of the policy: {name} is no task here{self._nearest(name)}"
            yield Caution("no-such-task", text)

    def _others(self) -> str:
        """Say which other checkpoints could be judged."""
        model = self.candidate.model
        steps = {one.step for one in self.asked if one.model == model}
        later = sorted(s for s in steps - {self.candidate.step} if s is not None)
        own = [str(Reference(model=model, step=step)) for step in later[-3:]]
        others = sorted({one.model for one in self.asked} - {model})[:5]
        if not own and not others:
            return "no other checkpoint is here"
        return f"--candidate takes another, such as {', '.join([*others, *own])}"

    def _of_tasks(self, tasks: Sequence[str]) -> pd.DataFrame:
        rows = self.responses
        return rows[rows["task"].isin(tasks).to_numpy(dtype=bool)]

    def _compare(self, tasks: Sequence[str], reference: Reference) -> Comparison:
        policy = self.policy
        return compare(
            self._of_tasks(tasks),
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

    def _trails(self, gated: Mapping[str, Tier]) -> Mapping[Condition, Trail]:
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

    def _calibration(self, gated: Mapping[str, Tier]) -> tuple[Calibration, ...]:
        """Return how often equal models of the candidate's family seem to differ."""
        rows = self.responses
        is_own = (rows["model"] == self.candidate.model).to_numpy(dtype=bool)
        own = rows[is_own & rows["task"].isin(list(gated)).to_numpy(dtype=bool)]
        # Where nothing was measured twice there is nothing to look for.
        draws = (len(own[name].unique()) > 1 for name in DRAWN)
        if not any(draws) and len(own["train_seed"].unique()) < MIN_SEEDS:
            return ()
        return a_a(own, confidence_level=self.policy.confidence_level)

    def _look(self) -> int:
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

    def _missing(self, gated: Mapping[str, Tier]) -> list[MissingTask]:
        """Return the gated tasks that cannot be compared since a side lacks them."""
        own = self._of(self.candidate)
        found = []
        for task, tier in sorted(gated.items()):
            reference = self.baselines(task)
            is_broken = False
            if task not in own:
                is_broken, why = self._why_missing(task)
            elif reference is None:
                why = "there is no baseline for it"
            elif reference == self.candidate:
                continue
            elif task not in self._of(reference):
                why = f"{reference} was not asked it"
            else:
                continue
            found.append(
                self._lost(task, tier, why, is_own=task not in own, is_broken=is_broken)
            )
        return found

    def _lost(
        self, task: str, tier: Tier, why: str, *, is_own: bool, is_broken: bool = False
    ) -> MissingTask:
        """Return what a task without a comparison means; is it the candidate's lack?"""
        rules = self.policy.rules(tier)
        assert rules is not None  # noqa: S101  the tier names the task
        decision: Decision = "pass"
        if rules.missing != "ignore":
            is_other = self.baselines(task) != self.candidate
            decision = rules.missing if is_own and is_other else "inconclusive"
        mark = self._acknowledged(task)
        if mark is not None or tier not in GATED:
            decision = "pass"
        return MissingTask(
            task=task,
            tier=tier,
            reason=why,
            is_broken=is_broken,
            decision=decision,
            acknowledged=mark,
        )

    def _why_missing(self, task: str) -> tuple[bool, str]:
        trials = self.trials
        if trials is not None:
            step = self.candidate.step
            is_step = trials["step"].isna() if step is None else trials["step"] == step
            tried = trials[
                (trials["model"] == self.candidate.model)
                & (trials["task"] == task)
                & is_step.fillna(False)
                & (trials["status"] == "failed")
            ]
            if len(tried):
                code = tried["error_code"].iloc[-1]
                return True, f"its trial failed [{code}]"
        if not any(task in tasks for tasks in self.asked.values()):
            return False, f"no checkpoint here was asked it{self._nearest(task)}"
        return False, f"{self.candidate} was not asked it"

    def _nearest(self, task: str) -> str:
        """Say which task was probably meant by a name that no task has."""
        there = sorted({name for tasks in self.asked.values() for name in tasks})
        near = difflib.get_close_matches(task, there, n=1)
        return f"; the nearest is {near[0]}" if near else ""

    # ---- one tier -----------------------------------------------------------------

    @property
    def _look_level(self) -> float:
        return 1 - self.policy.confidence_level

    def _level(self, look: int) -> float:
        alpha = self._look_level / 2
        if self.policy.looks == "each":
            return alpha
        from harness.stats.sequential import spend

        return float(spend(alpha, look))

    def _tier(
        self,
        tier: Tier,
        comparisons: Sequence[Comparison],
        history: Mapping[Condition, Trail],
        look: int,
        absent: Sequence[MissingTask],
    ) -> tuple[list[Cell], TierResult]:
        rows = [
            _Row(difference=row, trail=history.get(_condition(row)))
            for comparison in comparisons
            for row in comparison.differences
        ]
        mean = None
        if tier == "supporting" and len(comparisons) == 1:
            mean = _mean_row(comparisons[0], rows, self.policy)
        level = self._level(look)
        every = [*rows, *([mean] if mean else [])]
        cells = self._cells(tier, every, level)
        mean_cell = cells.pop() if mean else None
        tolerate = 0
        supporting = self.policy.supporting
        if tier == "supporting" and supporting is not None:
            tolerate = supporting.tolerate
        red = [cell for cell in cells if cell.state == "regression"]
        lost = [one for one in absent if one.decision == "fail"]
        decisions = [*(c.decision for c in cells), *(one.decision for one in absent)]
        n_open = decisions.count("inconclusive")
        is_mean_red = mean_cell is not None and mean_cell.state == "regression"
        decision: Decision = "pass"
        n_bad = len(red) + len(lost)
        reason = _found(cells, absent)
        if tier == "advisory":
            reason += "; the tier fails nothing" if red else ""
        elif n_bad > tolerate or is_mean_red:
            decision = "fail"
            if n_bad <= tolerate:
                reason += "; the mean over its tasks is a regression"
            elif tolerate:
                reason += f"; {tolerate} tolerated"
        elif n_open:
            decision = "inconclusive"
            reason += f"; {_counted(n_open, 'task')} inconclusive"
        elif n_bad:
            reason += f"; {tolerate} tolerated"
        if decision != "fail":
            cells = [_forgiven(cell) for cell in cells]
        return cells, TierResult(
            tier=tier,
            level=level,
            n_cells=len(cells),
            n_regressions=len(red),
            tolerate=tolerate,
            mean=mean_cell,
            decision=decision,
            reason=reason,
        )

    def _cells(self, tier: Tier, rows: Sequence[_Row], level: float) -> list[Cell]:
        noises = [self._noise(row) for row in rows]
        baseline, history, p_value = _looks(rows, noises)
        why_not = [self._why_open(row.difference) for row in rows]
        usable = np.array([not why for why in why_not], dtype=bool)
        p_value = np.where(usable, p_value, np.nan)
        p_adjusted, _ = corrected(p_value, correction=self.policy.correction)
        return [
            self._cell(
                tier,
                row,
                noises[i],
                why_not[i],
                p_baseline=float(baseline.p_value[i]),
                p_history=float(history.p_value[i]),
                p_value=float(p_value[i]),
                p_adjusted=float(p_adjusted[i]),
                level=level,
            )
            for i, row in enumerate(rows)
        ]

    def _noise(self, row: _Row) -> Noise:
        given = self.policy.noise
        if given != "measured":
            return Noise(sd=given, df=math.inf, source="given by the policy")
        return UNKNOWN if row.trail is None else row.trail.noise

    def _why_open(self, row: TaskDifference) -> str:
        """Return why a difference cannot be judged; empty if it can."""
        if row.verdict in ("not comparable", "too few data"):
            return f"{row.verdict}: {row.reason}"
        if math.isnan(row.difference.value) or math.isnan(row.p_value):
            return "too few data: the scores leave no test"
        asked, of = row.candidate.n_items, row.baseline.n_items
        if asked < of and row.candidate.is_partial and not self.policy.allow_partial:
            return (
                f"a partial run: {asked} of the {of} items that {row.baseline.name} "
                "answered"
            )
        return ""

    def _cell(
        self,
        tier: Tier,
        row: _Row,
        noise: Noise,
        why_not: str,
        *,
        p_baseline: float,
        p_history: float,
        p_value: float,
        p_adjusted: float,
        level: float,
    ) -> Cell:
        difference = row.difference
        delta = self.policy.delta_of(difference.task)
        look = None
        if row.trail is not None and row.trail.can_predict:
            look = replace(row.trail.look, p_value=p_history)
        mark = self._acknowledged(difference.task)
        with_noise = _with_noise(difference, noise, self._look_level)
        is_worse = bool(p_baseline <= self._look_level and p_adjusted <= level)
        is_below = look is None or look.p_value <= self._look_level
        loss = -difference.difference.value
        is_red = is_worse and is_below and loss >= delta
        if not why_not and is_red and not noise.is_known:
            why_not = (
                "worse over these items, and how much checkpoints differ anyway is not "
                "known: evaluate more checkpoints or training seeds, or give noise: in "
                "the policy"
            )
        state: State
        if mark is not None and (is_red or why_not):
            until = "for good" if mark.until is None else f"until {mark.until}"
            state, reasons = "known", [f"acknowledged {until}: {mark.reason}"]
            reasons += [f"else inconclusive: {why_not}"] if why_not else []
        elif why_not:
            state, reasons = "inconclusive", [why_not]
        elif is_red:
            state = "regression"
            reasons = [_why_red(look is not None, noise)]
            if over := self._over(difference.task):
                reasons.append(f"it was acknowledged until {over.until}, which is over")
        elif mark is not None:
            state, reasons = (
                "recovered",
                [f"acknowledged, and no worse now: {mark.reason}"],
            )
        elif difference.verdict == "better" and 1 - p_baseline <= self._look_level:
            state, reasons = "improved", ["better than the baseline"]
        elif difference.verdict in ("better", "no worse"):
            state, reasons = "no worse", [difference.reason]
        else:
            state = "passed"
            reasons = _why_passed(
                is_worse=p_baseline <= self._look_level,
                is_level=p_adjusted <= level,
                is_below=look is not None and look.p_value <= self._look_level,
                is_small=loss < delta,
                has_history=look is not None,
            )
        decision: Decision = "pass"
        if tier in GATED and state == "regression":
            decision = "fail"
        elif tier in GATED and state == "inconclusive":
            decision = "inconclusive"
        return Cell(
            tier=tier,
            against_baseline=difference,
            with_noise=with_noise,
            noise=noise,
            against_history=look,
            no_prediction=self._no_prediction(row.trail),
            delta=delta,
            p_baseline=p_baseline,
            p_value=p_value,
            p_adjusted=p_adjusted,
            level=level,
            state=state,
            decision=decision,
            reasons=tuple(reasons),
            acknowledged=mark,
        )

    def _no_prediction(self, trail: Trail | None) -> str:
        """Return why history predicts nothing; empty if it does, or was not asked."""
        if self.policy.noise == 0:
            return ""
        return trail.why_not if trail else NONE_BEFORE

    def _acknowledged(self, task: str) -> Mark | None:
        return self.marks.acknowledged(task, self.candidate.model, on=self.on)

    def _over(self, task: str) -> Mark | None:
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


def _found(cells: Sequence[Cell], absent: Sequence[MissingTask]) -> str:
    """Say what a tier's comparisons came to, but for the mean of them."""
    n_red, n_known = (
        sum(cell.state == state for cell in cells) for state in ("regression", "known")
    )
    n_lost = sum(one.decision == "fail" for one in absent)
    told = [_counted(n_red, "regression")] if n_red else []
    told += [f"{_counted(n_lost, 'task')} missing"] if n_lost else []
    if not told and not cells:
        return "nothing was compared"
    if not told:
        told = ["no new regression" if n_known else "no regression"]
    return ", ".join([*told, *([f"{n_known} known"] if n_known else [])])


def _why_red(has_history: bool, noise: Noise) -> str:
    if has_history:
        return "worse than the baseline, and below what checkpoints before it predict"
    if noise.sd == 0:
        return "worse than the baseline"
    return "worse than the baseline by more than checkpoints differ"


def _why_passed(
    *,
    is_worse: bool,
    is_level: bool,
    is_below: bool,
    is_small: bool,
    has_history: bool,
) -> list[str]:
    if is_worse and is_level and is_small:
        return ["worse than the baseline, by less than the loss that counts as none"]
    if is_worse and has_history and not is_below:
        return ["worse than the baseline, and not below what history predicts"]
    if is_below and not is_worse:
        return [
            "below what history predicts, and not shown to be worse than the baseline"
        ]
    if is_worse:
        return [
            "worse than the baseline, and no more so than one of so many tasks may be"
        ]
    return ["not shown to be worse"]


def _forgiven(one: Judged) -> Judged:
    """Return what does not fail its tier as what does not count."""
    if one.decision != "fail":
        return one
    if isinstance(one, Cell):
        return replace(one, decision="pass", reasons=(*one.reasons, "tolerated"))
    return replace(one, decision="pass", reason=f"{one.reason}; tolerated")


def _condition(row: TaskDifference) -> Condition:
    return tuple(plain(getattr(row, name)) for name in CONDITION)


def _mean_row(
    comparison: Comparison, rows: Sequence[_Row], policy: Policy
) -> _Row | None:
    """Return the mean over tasks as a row of its own, where there is one."""
    if comparison.average is None or not comparison.average.differences:
        return None
    trail = mean_trail(
        [r.trail for r in rows if r.difference.verdict != "not comparable"],
        rules=policy.history,
        confidence_level=policy.look_confidence_level,
    )
    return _Row(difference=comparison.average.differences[0], trail=trail)


def _looks(rows: Sequence[_Row], noises: Sequence[Noise]) -> tuple[Look, Look, Floats]:
    """Return both looks of each row, and how often a quiet night looks as bad."""
    differences = [row.difference for row in rows]
    sd = np.array([noise.sd if noise.is_known else 0.0 for noise in noises])
    df = np.array([noise.df if noise.is_known else math.inf for noise in noises])
    first = against_baseline(
        np.nan_to_num(np.array([d.p_value for d in differences]), nan=1.0),
        np.nan_to_num(np.array([d.difference.value for d in differences])),
        np.nan_to_num(np.array([d.difference.se for d in differences])),
        sd,
        df,
    )
    known = [r.trail if r.trail and r.trail.can_predict else None for r in rows]
    has = np.array([trail is not None for trail in known], dtype=bool)

    def of(values: Iterable[float]) -> Floats:
        return np.array(list(values), dtype=float)

    own_df = of(trail.prediction.df if trail else 1 for trail in known)
    second = against_history(
        of(trail.score if trail else 0 for trail in known),
        of(trail.prediction.mean if trail else 0 for trail in known),
        of(trail.prediction.se if trail else 1 for trail in known),
        own_df,
    )
    own_sd = of(trail.prediction.sd if trail else 0 for trail in known)
    together = both(first, second, own_sd, own_df)
    return first, second, np.where(has, together, first.p_value)


def _with_noise(row: TaskDifference, noise: Noise, alpha: float) -> Interval:
    """Return the paired interval, made as wide as noise alone would have it."""
    from scipy.special import stdtrit

    if not noise.is_known:
        return UNDEFINED
    low, high = row.difference.interval
    if noise.sd == 0:
        return Interval(low, high)
    df = noise.df if math.isfinite(noise.df) else 1e12
    half = -float(stdtrit(df, alpha)) * math.sqrt(2) * noise.sd
    value = row.difference.value
    return Interval(min(low, value - half), max(high, value + half))


def _environment(cells: Sequence[Cell]) -> tuple[Hidden, ...]:
    """Return what differs between the sides, each once with its tasks."""
    found: dict[tuple[str, str, str, bool], tuple[str, list[str]]] = {}
    for cell in cells:
        for one in cell.against_baseline.mismatches:
            key = (one.what, one.first, one.second, one.blocks)
            found.setdefault(key, (one.text, []))[1].append(cell.task)
    return tuple(
        Hidden(
            what=what,
            first=first,
            second=second,
            blocks=blocks,
            text=text,
            tasks=tuple(dict.fromkeys(tasks)),
        )
        for (what, first, second, blocks), (text, tasks) in sorted(
            found.items(), key=lambda one: (not one[0][3], one[0])
        )
    )


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
