"""Which gated tasks have no comparison, and does that fail the gate?"""

from __future__ import annotations

from collections.abc import Mapping

from harness.gate.night import Night
from harness.gate.policy import GATED, Tier
from harness.gate.results import Decision, MissingTask


def missing_tasks(night: Night, gated: Mapping[str, Tier]) -> list[MissingTask]:
    """Return the gated tasks that cannot be compared since a side lacks them."""
    own = night.tasks_of(night.candidate)
    found = []
    for task, tier in sorted(gated.items()):
        reference = night.baselines(task)
        is_broken = False
        if task not in own:
            is_broken, why = _why_missing(night, task)
        elif reference is None:
            why = "there is no baseline for it"
        elif reference == night.candidate:
            continue
        elif task not in night.tasks_of(reference):
            why = f"{reference} was not asked it"
        else:
            continue
        found.append(
            lost_task(
                night, task, tier, why, is_own=task not in own, is_broken=is_broken
            )
        )
    return found


def lost_task(
    night: Night,
    task: str,
    tier: Tier,
    why: str,
    *,
    is_own: bool,
    is_broken: bool = False,
) -> MissingTask:
    """Return what a task without a comparison means; is it the candidate's lack?"""
    rules = night.policy.rules(tier)
    assert rules is not None  # noqa: S101  the tier names the task
    decision: Decision = "pass"
    if rules.missing != "ignore":
        is_other = night.baselines(task) != night.candidate
        decision = rules.missing if is_own and is_other else "inconclusive"
    mark = night.acknowledged(task)
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


def _why_missing(night: Night, task: str) -> tuple[bool, str]:
    trials = night.trials
    if trials is not None:
        step = night.candidate.step
        is_step = trials["step"].isna() if step is None else trials["step"] == step
        tried = trials[
            (trials["model"] == night.candidate.model)
            & (trials["task"] == task)
            & is_step.fillna(False)
            & (trials["status"] == "failed")
        ]
        if len(tried):
            code = tried["error_code"].iloc[-1]
            return True, f"its trial failed [{code}]"
    if not any(task in tasks for tasks in night.asked.values()):
        return False, f"no checkpoint here was asked it{night.nearest(task)}"
    return False, f"{night.candidate} was not asked it"
