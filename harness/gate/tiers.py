"""What does a tier come to? Its cells, its missing tasks, and what it tolerates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from harness.frames import CONDITION
from harness.gate.cells import Row, judged_cells
from harness.gate.night import Condition, Night
from harness.gate.policy import Policy, Tier
from harness.gate.results import Cell, Decision, MissingTask, TierResult
from harness.gate.trail import Trail, mean_trail
from harness.stats.compare.results import Comparison, TaskDifference
from harness.stats.tables import plain

Judged = TypeVar("Judged", Cell, MissingTask)


def judged_tier(
    night: Night,
    tier: Tier,
    comparisons: Sequence[Comparison],
    history: Mapping[Condition, Trail],
    look: int,
    absent: Sequence[MissingTask],
) -> tuple[list[Cell], TierResult]:
    """Return a tier's cells, and what they and its missing tasks come to."""
    rows = [
        Row(difference=row, trail=history.get(_condition(row)))
        for comparison in comparisons
        for row in comparison.differences
    ]
    mean = None
    if tier == "supporting" and len(comparisons) == 1:
        mean = _mean_row(comparisons[0], rows, night.policy)
    level = night.level(look)
    every = [*rows, *([mean] if mean else [])]
    cells = judged_cells(night, tier, every, level)
    mean_cell = cells.pop() if mean else None
    tolerate = 0
    supporting = night.policy.supporting
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
        cells = [forgiven(cell) for cell in cells]
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


def forgiven(one: Judged) -> Judged:
    """Return what does not fail its tier as what does not count."""
    if one.decision != "fail":
        return one
    if isinstance(one, Cell):
        return replace(one, decision="pass", reasons=(*one.reasons, "tolerated"))
    return replace(one, decision="pass", reason=f"{one.reason}; tolerated")


def _condition(row: TaskDifference) -> Condition:
    return tuple(plain(getattr(row, name)) for name in CONDITION)


def _mean_row(
    comparison: Comparison, rows: Sequence[Row], policy: Policy
) -> Row | None:
    """Return the mean over tasks as a row of its own, where there is one."""
    if comparison.average is None or not comparison.average.differences:
        return None
    trail = mean_trail(
        [r.trail for r in rows if r.difference.verdict != "not comparable"],
        rules=policy.history,
        confidence_level=policy.look_confidence_level,
    )
    return Row(difference=comparison.average.differences[0], trail=trail)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
