"""What does each comparison of a tier come to? A cell with its state and reasons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.gate.decide import Look, against_baseline, against_history, both
from harness.gate.night import Night
from harness.gate.policy import GATED, Tier
from harness.gate.results import Cell, Decision, Noise, State
from harness.gate.trail import NONE_BEFORE, UNKNOWN, Trail
from harness.stats.compare.multiplicity import corrected
from harness.stats.compare.results import TaskDifference
from harness.stats.estimate import UNDEFINED, Interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One gated comparison before it is judged."""

    difference: TaskDifference
    trail: Trail | None


def judged_cells(
    night: Night, tier: Tier, rows: Sequence[Row], level: float
) -> list[Cell]:
    """Return each comparison with what is said of it, in the order of `rows`."""
    noises = [_noise(night, row) for row in rows]
    baseline, history, p_value = _looks(rows, noises)
    why_not = [_why_open(night, row.difference) for row in rows]
    usable = np.array([not why for why in why_not], dtype=bool)
    p_value = np.where(usable, p_value, np.nan)
    p_adjusted, _ = corrected(p_value, correction=night.policy.correction)
    return [
        _cell(
            night,
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


def _noise(night: Night, row: Row) -> Noise:
    given = night.policy.noise
    if given != "measured":
        return Noise(sd=given, df=math.inf, source="given by the policy")
    return UNKNOWN if row.trail is None else row.trail.noise


def _why_open(night: Night, row: TaskDifference) -> str:
    """Return why a difference cannot be judged; empty if it can."""
    if row.verdict in ("not comparable", "too few data"):
        return f"{row.verdict}: {row.reason}"
    if math.isnan(row.difference.value) or math.isnan(row.p_value):
        return "too few data: the scores leave no test"
    asked, of = row.candidate.n_items, row.baseline.n_items
    if asked < of and row.candidate.is_partial and not night.policy.allow_partial:
        return (
            f"a partial run: {asked} of the {of} items that {row.baseline.name} "
            "answered"
        )
    return ""


def _cell(
    night: Night,
    tier: Tier,
    row: Row,
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
    delta = night.policy.delta_of(difference.task)
    look = None
    if row.trail is not None and row.trail.can_predict:
        look = replace(row.trail.look, p_value=p_history)
    mark = night.acknowledged(difference.task)
    with_noise = _with_noise(difference, noise, night.look_level)
    is_worse = bool(p_baseline <= night.look_level and p_adjusted <= level)
    is_below = look is None or look.p_value <= night.look_level
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
        if over := night.over(difference.task):
            reasons.append(f"it was acknowledged until {over.until}, which is over")
    elif mark is not None:
        state, reasons = (
            "recovered",
            [f"acknowledged, and no worse now: {mark.reason}"],
        )
    elif difference.verdict == "better" and 1 - p_baseline <= night.look_level:
        state, reasons = "improved", ["better than the baseline"]
    elif difference.verdict in ("better", "no worse"):
        state, reasons = "no worse", [difference.reason]
    else:
        state = "passed"
        reasons = _why_passed(
            is_worse=p_baseline <= night.look_level,
            is_level=p_adjusted <= level,
            is_below=look is not None and look.p_value <= night.look_level,
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
        no_prediction=_no_prediction(night, row.trail),
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


def _no_prediction(night: Night, trail: Trail | None) -> str:
    """Return why history predicts nothing; empty if it does, or was not asked."""
    if night.policy.noise == 0:
        return ""
    return trail.why_not if trail else NONE_BEFORE


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


def _looks(rows: Sequence[Row], noises: Sequence[Noise]) -> tuple[Look, Look, Floats]:
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
