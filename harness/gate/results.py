"""What does a gate say? One object, from which every output is made."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness import __version__
from harness.frames import CONDITION
from harness.gate.policy import TIERS, Policy, Tier
from harness.stats.estimate import Caution, Interval, or_none

if TYPE_CHECKING:
    import pandas as pd

    from harness.gate.alarms import PairedAlarms
    from harness.marks import Mark, Reference
    from harness.stats.calibration import Calibration
    from harness.stats.compare.results import TaskDifference

SCHEMA_VERSION = 1
"""Raised when a field of the JSON document goes or changes its meaning."""

METHODOLOGY_VERSION = "1"
"""Raised when the same answers and policy may be judged otherwise."""

State = Literal[
    "regression", "known", "inconclusive", "recovered", "improved", "no worse", "passed"
]
STATES: tuple[State, ...] = (
    "regression",
    "known",
    "inconclusive",
    "recovered",
    "improved",
    "no worse",
    "passed",
)
"""The worst first."""

CHANGED: frozenset[State] = frozenset(
    {"regression", "known", "inconclusive", "recovered", "improved"}
)
"""States that a summary shows; the others are in the list of all."""

Status = Literal["passed", "failed", "inconclusive"]
Decision = Literal["fail", "inconclusive", "pass"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLook:
    """Where a score lies beside what the checkpoints before it predict.

    Attributes
    ----------
    n_points : int
        Checkpoints that the prediction rests on.
    prediction : Interval
        Of a next checkpoint's score if nothing changed.
    p_value : float
        One-sided: how often a quiet night is as low.
    """

    n_points: int
    expected: float
    prediction: Interval
    score: float
    p_value: float
    method: str
    cautions: tuple[Caution, ...] = ()

    @property
    def is_below(self) -> bool:
        """Whether the score is under the lower bound."""
        return self.score < self.prediction.low

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "n_points": self.n_points,
            "expected": self.expected,
            "prediction": {"low": self.prediction.low, "high": self.prediction.high},
            "score": self.score,
            "is_below": self.is_below,
            "p_value": self.p_value,
            "method": self.method,
            "cautions": [asdict(caution) for caution in self.cautions],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How much checkpoints of equal quality differ.

    Attributes
    ----------
    sd : float
        Between such checkpoints, in units of the score; ``nan`` where not known.
    df : float
        Degrees of freedom behind it; infinite for a number that was given.
    source : str
        What it was measured on, in words.
    """

    sd: float
    df: float
    source: str

    @property
    def is_known(self) -> bool:
        """Whether there is a number."""
        return not math.isnan(self.sd)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` or an infinity becomes ``None``."""
        return {
            "sd": or_none(self.sd),
            "df": self.df if math.isfinite(self.df) else None,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One gated comparison: a task under one condition.

    Attributes
    ----------
    against_baseline : TaskDifference
        Candidate minus baseline over the items that both have.
    with_noise : Interval
        Of the difference, at the policy's level for looks, checkpoints' noise among
        what it allows for; ``(nan, nan)`` where that is not known.
    against_history : HistoryLook or None
        ``None`` where there are too few checkpoints before it.
    p_baseline : float
        One-sided, of the difference with noise.
    p_value, p_adjusted : float
        How often a quiet night looks as bad in all looks that there are; alone, and
        corrected for the tasks of the tier.
    level : float
        The cell is red where `p_adjusted` is at most this, the loss at least `delta`,
        and each look alone at most at twice the level of a single night.
    decision : str
        What the state means to the gate in this tier, before regressions that the tier
        tolerates are forgiven.
    reasons : tuple of str
        Phrases, the decisive one first.
    """

    tier: Tier
    against_baseline: TaskDifference
    with_noise: Interval
    noise: Noise
    against_history: HistoryLook | None
    delta: float
    p_baseline: float
    p_value: float
    p_adjusted: float
    level: float
    state: State
    decision: Decision
    reasons: tuple[str, ...]
    no_prediction: str = ""
    """Why there is no look at history, where one was asked for."""

    acknowledged: Mark | None = None
    is_confirmed: bool = False

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.against_baseline.task

    @property
    def formulation(self) -> str:
        """``choice``, ``cloze``, or empty."""
        return self.against_baseline.formulation

    @property
    def num_fewshot(self) -> int:
        """Few-shot examples in the prompt."""
        return self.against_baseline.num_fewshot

    @property
    def template(self) -> str:
        """Name of the template."""
        return self.against_baseline.template

    @property
    def generation(self) -> str:
        """The suite's overrides of generation arguments, as JSON; or empty."""
        return self.against_baseline.generation

    @property
    def settings(self) -> str:
        """Empty: settings that differ are told, and are one cell."""
        return ""

    @property
    def metric(self) -> str:
        """Which score."""
        return self.against_baseline.metric

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        look = self.against_history
        mark = self.acknowledged
        return {
            **{name: getattr(self, name) for name in CONDITION},
            "metric": self.metric,
            "tier": self.tier,
            "state": self.state,
            "decision": self.decision,
            "reasons": list(self.reasons),
            "delta": self.delta,
            "with_noise": {
                "low": or_none(self.with_noise.low),
                "high": or_none(self.with_noise.high),
            },
            "noise": self.noise.to_dict(),
            "p_baseline": or_none(self.p_baseline),
            "p_value": or_none(self.p_value),
            "p_adjusted": or_none(self.p_adjusted),
            "level": self.level,
            "is_confirmed": self.is_confirmed,
            "acknowledged": None if mark is None else mark.to_dict(),
            "against_history": None if look is None else look.to_dict(),
            "no_prediction": self.no_prediction,
            "against_baseline": self.against_baseline.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingTask:
    """A gated task without a comparison: a side was not asked it, or has no score."""

    task: str
    tier: Tier
    reason: str
    is_broken: bool
    """Whether it was tried, and failed."""

    decision: Decision
    acknowledged: Mark | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        mark = None if self.acknowledged is None else self.acknowledged.to_dict()
        return {**asdict(self), "acknowledged": mark}


@dataclass(frozen=True, slots=True, kw_only=True)
class TierResult:
    """What one tier says.

    Attributes
    ----------
    level : float
        Share of quiet nights on which some cell of the tier is red, at most.
    mean : Cell or None
        The mean over the tier's tasks, gated like a task in the supporting tier; of
        no other, nor of a single task.
    """

    tier: Tier
    level: float
    n_cells: int
    n_regressions: int
    tolerate: int
    mean: Cell | None
    decision: Decision
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "tier": self.tier,
            "level": self.level,
            "n_cells": self.n_cells,
            "n_regressions": self.n_regressions,
            "tolerate": self.tolerate,
            "mean": None if self.mean is None else self.mean.to_dict(),
            "decision": self.decision,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A hidden difference between the sides, and at how many tasks it is."""

    what: str
    first: str
    second: str
    blocks: bool
    text: str
    tasks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "tasks": list(self.tasks)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What measuring red cells again came to.

    Attributes
    ----------
    tasks : tuple of str
        Whose red cells were measured again.
    unchangeable : tuple of str
        Tasks of which a fresh seed changes no answer: their cells stand as they were.
    already : tuple of str
        Tasks that had been measured again before, which is done once.
    one_sided : tuple of str
        Tasks that only the candidate was asked again, since the suite has no more of
        their baseline.
    n_trials, n_failed : int
        Trials that were run for it, and those of them that failed.
    cleared : tuple of str
        Tasks that are red no more, judged on all answers together.
    """

    tasks: tuple[str, ...]
    unchangeable: tuple[str, ...]
    already: tuple[str, ...]
    one_sided: tuple[str, ...]
    n_trials: int
    n_failed: int
    cleared: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {key: _listed(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GateResult:
    """A candidate judged by a policy.

    Attributes
    ----------
    baselines : tuple of Reference
        What it was compared with; several where tasks have baselines of their own.
    look : int
        How many checkpoints of the model, this one among them, have come since the
        baseline.
    ungated : tuple of str
        Tasks that no tier names.
    environment : tuple of Hidden
        What differs between the sides beside the weights.
    calibration : tuple of Calibration
        How often the paired test finds equal models to differ.
    alarms : tuple of PairedAlarms
        How often the policy's paired look would be red between them.
    """

    status: Status
    candidate: Reference
    baselines: tuple[Reference, ...]
    policy: Policy
    on: dt.date
    look: int
    tiers: tuple[TierResult, ...]
    cells: tuple[Cell, ...]
    missing: tuple[MissingTask, ...]
    ungated: tuple[str, ...] = ()
    environment: tuple[Hidden, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    alarms: tuple[PairedAlarms, ...] = ()
    confirmation: Confirmation | None = None
    cautions: tuple[Caution, ...] = ()
    tool: str = field(default=f"evalvar {__version__}")

    @property
    def counts(self) -> Mapping[State, int]:
        """How many cells have each state, the worst first."""
        return {
            state: sum(cell.state == state for cell in self.cells) for state in STATES
        }

    @property
    def acknowledged(self) -> tuple[Cell, ...]:
        """Cells whose regression somebody has acknowledged."""
        return tuple(cell for cell in self.cells if cell.acknowledged is not None)

    def of_tier(self, tier: Tier) -> tuple[Cell, ...]:
        """Return the cells of a tier."""
        return tuple(cell for cell in self.cells if cell.tier == tier)

    def in_order(self) -> Iterator[Cell]:
        """Yield all cells: the worst state first, then by tier and loss."""
        yield from sorted(
            self.cells,
            key=lambda c: (
                STATES.index(c.state),
                TIERS.index(c.tier),
                _or_last(c.against_baseline.difference.value),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document but for its schema's name."""
        return {
            "schema_version": SCHEMA_VERSION,
            "methodology_version": METHODOLOGY_VERSION,
            "tool": self.tool,
            "status": self.status,
            "on": self.on.isoformat(),
            "candidate": asdict(self.candidate),
            "baselines": [asdict(one) for one in self.baselines],
            "policy": self.policy.model_dump(),
            "policy_digest": self.policy.digest,
            "look": self.look,
            "look_confidence_level": self.policy.look_confidence_level,
            "counts": dict(self.counts),
            "tiers": [tier.to_dict() for tier in self.tiers],
            "cells": [cell.to_dict() for cell in self.in_order()],
            "missing": [one.to_dict() for one in self.missing],
            "ungated": list(self.ungated),
            "environment": [one.to_dict() for one in self.environment],
            "calibration": [one.to_dict() for one in self.calibration],
            "alarms": [one.to_dict() for one in self.alarms],
            "confirmation": None
            if self.confirmation is None
            else self.confirmation.to_dict(),
            "cautions": [asdict(caution) for caution in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each cell."""
        import pandas as pd

        return pd.DataFrame([_tidy(cell) for cell in self.in_order()])


def _tidy(cell: Cell) -> dict[str, Any]:
    row = cell.against_baseline
    look = cell.against_history
    return {
        "task": cell.task,
        "formulation": cell.formulation,
        "num_fewshot": cell.num_fewshot,
        "template": cell.template,
        "metric": cell.metric,
        "tier": cell.tier,
        "state": cell.state,
        "baseline_score": row.baseline.score.value,
        "candidate_score": row.candidate.score.value,
        "difference": row.difference.value,
        "low": cell.with_noise.low,
        "high": cell.with_noise.high,
        "delta": cell.delta,
        "noise_sd": cell.noise.sd,
        "expected": math.nan if look is None else look.expected,
        "prediction_low": math.nan if look is None else look.prediction.low,
        "p_baseline": cell.p_baseline,
        "p_history": math.nan if look is None else look.p_value,
        "p_value": cell.p_value,
        "p_adjusted": cell.p_adjusted,
        "n_items": row.n_items,
    }


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _or_last(value: float) -> float:
    return math.inf if math.isnan(value) else value
