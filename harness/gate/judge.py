"""Did anything regress? A candidate against baseline, history and noise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.frames import check_responses
from harness.gate.absent import lost_task, missing_tasks
from harness.gate.alarms import paired_alarms
from harness.gate.environment import environment
from harness.gate.night import Night, tasks_asked
from harness.gate.policy import TIERS, Policy, Tier
from harness.gate.references import LATEST, Baselines, read_baseline, read_checkpoint
from harness.gate.results import Cell, GateResult, Status, TierResult
from harness.gate.tiers import forgiven, judged_tier
from harness.gate.unmet import unmet
from harness.marks import Marks, Reference
from harness.stats.compare.results import Comparison
from harness.stats.estimate import Caution

if TYPE_CHECKING:
    import pandas as pd


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
    night = Night(
        responses=responses,
        asked=tasks_asked(responses),
        policy=policy,
        marks=marks,
        trials=trials,
        baselines=baselines,
        candidate=who,
        on=on,
    )
    return _result(night)


def _candidate(
    word: str, baselines: Baselines, marks: Marks, responses: pd.DataFrame
) -> Reference:
    if word != LATEST:
        return read_checkpoint(word, responses)
    general = baselines("")
    model = general.model if general else marks.of("baseline")[-1].reference.model
    return read_checkpoint(model, responses)


def _result(night: Night) -> GateResult:
    """Judge tier after tier."""
    there = night.tasks()
    named = {name: tier for tier, name in night.policy.named()}
    tiers = {t: night.policy.tier(t) for t in {*there, *named}}
    gated = {task: tier for task, tier in tiers.items() if tier is not None}
    if not {*gated} & {*there}:
        raise InputError(
            f"no tier names a task of {night.candidate} or its baseline; there are "
            f"{', '.join(sorted(there)[:5])}",
            code="unknown-task",
        )
    compared: dict[Tier, list[Comparison]] = {tier: [] for tier in TIERS}
    missing = missing_tasks(night, gated)
    for tier, reference, tasks in night.groups(gated):
        comparison = night.compared(tasks, reference)
        compared[tier].append(comparison)
        missing += [
            lost_task(night, one.task, tier, one.reason, is_own=one.is_own)
            for one in unmet(night.answers_to(tasks), comparison)
        ]
    history = night.trails(gated)
    look = night.look()
    cells: list[Cell] = []
    results: list[TierResult] = []
    for tier in TIERS:
        if night.policy.rules(tier) is None:
            continue
        absent = [one for one in missing if one.tier == tier]
        own, result = judged_tier(night, tier, compared[tier], history, look, absent)
        cells += own
        results.append(result)
        if result.decision != "fail":
            missing = [forgiven(one) if one in absent else one for one in missing]
    decisions = {result.decision for result in results}
    status: Status = "passed"
    if not cells or "inconclusive" in decisions:
        status = "inconclusive"
    if "fail" in decisions:
        status = "failed"
    references = [night.baselines(task) for task in gated]
    calibration = night.calibration(gated)
    found = [c for tier in TIERS for one in compared[tier] for c in one.cautions]
    return GateResult(
        status=status,
        candidate=night.candidate,
        baselines=tuple(dict.fromkeys(r for r in references if r is not None)),
        policy=night.policy,
        on=night.on,
        look=look,
        tiers=tuple(results),
        cells=tuple(cells),
        missing=tuple(missing),
        ungated=tuple(sorted({*there} - {*gated})),
        environment=environment(cells),
        calibration=calibration,
        alarms=paired_alarms(calibration, night.policy),
        cautions=tuple(
            dict.fromkeys([*_is_itself(night, gated), *_idle(night, gated), *found])
        ),
    )


def _is_itself(night: Night, gated: Mapping[str, Tier]) -> tuple[Caution, ...]:
    own = sorted(task for task in gated if night.baselines(task) == night.candidate)
    if not own:
        return ()
    if len(own) < len(gated):
        text = f"{night.candidate} is the baseline itself of {', '.join(own)}"
        return (Caution("candidate-is-baseline", f"{text}: not judged"),)
    text = (
        f"{night.candidate} is the baseline itself, so that there is nothing to "
        f"judge; {_others(night)}"
    )
    return (Caution("candidate-is-baseline", text),)


def _idle(night: Night, gated: Mapping[str, Tier]) -> Iterable[Caution]:
    """Say which words of the policy are of no task."""
    there = {*gated, *(task for tasks in night.asked.values() for task in tasks)}
    for key, name in night.policy.idle(there):
        text = f"{key} of the policy: {name} is no task here{night.nearest(name)}"
        yield Caution("no-such-task", text)


def _others(night: Night) -> str:
    """Say which other checkpoints could be judged."""
    model = night.candidate.model
    steps = {one.step for one in night.asked if one.model == model}
    later = sorted(s for s in steps - {night.candidate.step} if s is not None)
    own = [str(Reference(model=model, step=step)) for step in later[-3:]]
    others = sorted({one.model for one in night.asked} - {model})[:5]
    if not own and not others:
        return "no other checkpoint is here"
    return f"--candidate takes another, such as {', '.join([*others, *own])}"
