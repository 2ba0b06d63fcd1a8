"""What does a comparison say? Sides, differences, rank ranges and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.frames import CONDITION
from harness.stats.estimate import Caution, Estimate, Interval, or_none
from harness.stats.pairs import AllPairs, Correction

if TYPE_CHECKING:
    import pandas as pd

    from harness.stats.comparable import Mismatch

Floats = npt.NDArray[np.float64]
Verdict = Literal[
    "better", "worse", "no worse", "unclear", "too few data", "not comparable"
]

SCHEMA_VERSION = 1
"""Raised when a field of the JSON document goes or changes its meaning."""

METHODOLOGY_VERSION = "1"
"""Raised when the same answers may be told to differ otherwise."""

AVERAGE = "average"
"""What stands for a task's name where equally weighted tasks are averaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who is compared: checkpoints of one model at one step, of some training seeds.

    Attributes
    ----------
    name : str
        How it is called, here and in tables; no two choices have the same.
    step : int, optional
        The last one that the model has where it is left out.
    train_seeds : tuple, optional
        All that the step has where they are left out.
    """

    name: str
    model: str
    step: int | None = None
    train_seeds: tuple[int | None, ...] | None = None

    @property
    def label(self) -> str:
        """The name, with step and seeds where the name does not say them."""
        parts = [self.name]
        if self.step is not None and str(self.step) not in self.name:
            parts.append(f"step {self.step}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One choice at one task.

    Attributes
    ----------
    score : Estimate
        Mean over seeds, repeats and items; its interval is over items alone, for these
        very checkpoints. Beside a difference the items are those of the difference.
    seed_sd : float
        SD between training seeds of their means, ddof 1; ``nan`` of one seed.
    n_items, n_items_total : int
        Items that all of its checkpoints scored, and that the task holds.
    n_repeats : int
        Different answers to each item, at least; their mean is the item's score.
    """

    name: str
    model: str
    step: int | None
    train_seeds: tuple[int | None, ...]
    score: Estimate
    seed_sd: float
    n_items: int
    n_items_total: int
    n_repeats: int

    @property
    def n_seeds(self) -> int:
        """Training seeds that it has."""
        return len(self.train_seeds)

    @property
    def is_partial(self) -> bool:
        """Whether fewer items than the task holds were scored."""
        return self.n_items < self.n_items_total

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "name": self.name,
            "model": self.model,
            "step": self.step,
            "train_seeds": list(self.train_seeds),
            "score": self.score.to_dict(),
            "seed_sd": or_none(self.seed_sd),
            "n_items": self.n_items,
            "n_items_total": self.n_items_total,
            "n_repeats": self.n_repeats,
            "is_partial": self.is_partial,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Where a difference comes from, item by item.

    Attributes
    ----------
    n_worse, n_better, n_equal : int
        Items on which the candidate has the lower score, the higher, the same; of
        means over seeds and repeats where there are several.
    n_lost, n_gained, n_both, n_neither : int or None
        Items that the baseline alone answers right, that the candidate alone does,
        both, neither; ``None`` where scores are not 0 and 1.
    lost, gained : tuple of int
        Places in the task of the items on which the candidate is worse, and better:
        the largest changes first.
    """

    n_worse: int
    n_better: int
    n_equal: int
    n_lost: int | None
    n_gained: int | None
    n_both: int | None
    n_neither: int | None
    lost: tuple[int, ...] = ()
    gained: tuple[int, ...] = ()

    @property
    def is_counted(self) -> bool:
        """Whether scores are 0 and 1."""
        return self.n_lost is not None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "lost": list(self.lost), "gained": list(self.gained)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDifference:
    """Candidate minus baseline at one task.

    Attributes
    ----------
    baseline, candidate : Side
        With scores over the items of the difference, those that both have; each one's
        own are in `TaskComparison.sides`.
    n_items, n_unpaired : int
        Items that both sides scored, and items that one side alone did.
    difference : Estimate
        Over items and, where both sides have 2 or more, training seeds.
    over_items : Interval
        For these very checkpoints alone.
    corrected : Interval
        At the level that the correction for several tasks leaves this difference:
        0 is outside just where `p_adjusted` is below ``1 - confidence_level``. By
        Holm's correction all that are on one side of 0 are on the true one with
        probability `confidence_level`; that all of them hold their differences is less
        probable, unless none is found.
    sequential : Interval or None
        Valid however often one has looked, where that was asked for; `corrected`
        and `p_adjusted` then are as well.
    p_value, p_adjusted : float
        Two-sided, of no difference; alone, and corrected for several tasks. Below
        ``1 - confidence_level`` just where the interval leaves 0 out.
    smallest_detectable : float
        True difference that these items, seeds and repeats find 4 times in 5, at the
        corrected level, if their spread is the true one; ``nan`` where none is found so
        often.
    delta : float or None
        The largest loss that counts as no worse.
    reason : str
        What the verdict rests on: a phrase.
    """

    task: str
    formulation: str
    num_fewshot: int
    template: str
    generation: str
    metric: str
    settings: str = ""
    baseline: Side
    candidate: Side
    n_items: int
    n_unpaired: int
    difference: Estimate
    over_items: Interval
    corrected: Interval
    sequential: Interval | None = None
    p_value: float
    p_adjusted: float
    test: str
    flips: Flips
    smallest_detectable: float
    delta: float | None
    verdict: Verdict
    reason: str
    mismatches: tuple[Mismatch, ...] = ()
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **{name: getattr(self, name) for name in CONDITION},
            "metric": self.metric,
            "baseline": self.baseline.to_dict(),
            "candidate": self.candidate.to_dict(),
            "n_items": self.n_items,
            "n_unpaired": self.n_unpaired,
            "difference": self.difference.to_dict(),
            "over_items": _ends(self.over_items),
            "corrected": _ends(self.corrected),
            "sequential": None if self.sequential is None else _ends(self.sequential),
            "p_value": or_none(self.p_value),
            "p_adjusted": or_none(self.p_adjusted),
            "test": self.test,
            "flips": self.flips.to_dict(),
            "smallest_detectable": _finite(self.smallest_detectable),
            "delta": self.delta,
            "verdict": self.verdict,
            "reason": self.reason,
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
            "cautions": [asdict(caution) for caution in self.cautions],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRange:
    """Which ranks a choice may truly have, 1 being the best.

    Attributes
    ----------
    low, high : int
        ``1 + number surely better`` and ``M - number surely worse``, of M choices.
    """

    name: str
    score: Estimate
    low: int
    high: int

    @property
    def is_top(self) -> bool:
        """Whether no other is surely better."""
        return self.low == 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "name": self.name,
            "score": self.score.to_dict(),
            "low": self.low,
            "high": self.high,
            "is_top": self.is_top,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairTable:
    """All pairs of choices at one task, with what makes up for their number.

    Attributes
    ----------
    pairs : AllPairs
        Row minus column, over the items that all of them have.
    p_adjusted : ndarray, shape (n_choices, n_choices)
        Corrected over tasks × pairs.
    low, high : ndarray, shape (n_choices, n_choices)
        Ends of corrected intervals: 0 is outside just where `p_adjusted` is below
        ``1 - confidence_level``.
    """

    pairs: AllPairs
    p_adjusted: Floats
    low: Floats
    high: Floats

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        tables = ("p_adjusted", "low", "high")
        return {
            **self.pairs.to_dict(),
            **{
                name: [[_finite(v) for v in row] for row in getattr(self, name)]
                for name in tables
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskComparison:
    """All choices at one task, under one condition.

    Attributes
    ----------
    sides : tuple of Side
        Of the choices that were asked it, the baseline first; over all that each has.
    differences : tuple of TaskDifference
        Each candidate less the baseline.
    ranks : tuple of RankRange
        Best score first; of those that can be compared with the baseline, over the
        items that all of them have.
    pairs : PairTable or None
        Of the same; ``None`` where fewer than 2 are left.
    """

    task: str
    formulation: str
    num_fewshot: int
    template: str
    generation: str
    metric: str
    settings: str = ""
    sides: tuple[Side, ...]
    differences: tuple[TaskDifference, ...]
    ranks: tuple[RankRange, ...]
    pairs: PairTable | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **{name: getattr(self, name) for name in CONDITION},
            "metric": self.metric,
            "sides": [side.to_dict() for side in self.sides],
            "differences": [row.to_dict() for row in self.differences],
            "ranks": [rank.to_dict() for rank in self.ranks],
            "pairs": None if self.pairs is None else self.pairs.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Candidates against a baseline over tasks, and every choice against every other.

    Attributes
    ----------
    choices : tuple of Choice
        The baseline first.
    tasks : tuple of TaskComparison
        In order of their names.
    average : TaskComparison or None
        The mean over tasks, each weighing the same: task is ``average``, and no item
        has a place. ``None`` of fewer than 2 tasks.
    confidence_level : float
        Of this look, where each of several has a level of its own.
    looks : str
        How looking again is allowed for; empty where it is not.
    fixed : tuple of str
        ``train_seed`` where intervals are for these very checkpoints.
    uncompared : tuple of (str, str)
        What has no row: which task of whom, and why.
    is_unscored : bool
        Whether nothing is compared for want of scores alone.
    cautions : tuple of Caution
        Of the data as a whole, such as repeats that were replayed.
    """

    choices: tuple[Choice, ...]
    tasks: tuple[TaskComparison, ...]
    average: TaskComparison | None
    correction: Correction
    confidence_level: float
    min_items: int
    looks: str = ""
    fixed: tuple[str, ...] = ()
    uncompared: tuple[tuple[str, str], ...] = ()
    is_unscored: bool = False
    cautions: tuple[Caution, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all choices, the baseline's first."""
        return tuple(choice.name for choice in self.choices)

    @property
    def baseline(self) -> str:
        """Name of the choice that the others are compared with."""
        return self.choices[0].name

    @property
    def differences(self) -> tuple[TaskDifference, ...]:
        """All differences of all tasks, without the average's."""
        return tuple(row for task in self.tasks for row in task.differences)

    @property
    def verdicts(self) -> Mapping[Verdict, int]:
        """How many differences have each verdict; of all that there are."""
        counts: dict[Verdict, int] = dict.fromkeys(
            (
                "better",
                "worse",
                "no worse",
                "unclear",
                "too few data",
                "not comparable",
            ),
            0,
        )
        for row in self.differences:
            counts[row.verdict] += 1
        return counts

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "methodology_version": METHODOLOGY_VERSION,
            "baseline": self.baseline,
            "choices": [
                {**asdict(choice), "label": choice.label} for choice in self.choices
            ],
            "correction": self.correction,
            "confidence_level": self.confidence_level,
            "min_items": self.min_items,
            "looks": self.looks,
            "fixed": list(self.fixed),
            "verdicts": dict(self.verdicts),
            "tasks": [task.to_dict() for task in self.tasks],
            "average": None if self.average is None else self.average.to_dict(),
            "uncompared": [
                {"what": what, "reason": reason} for what, reason in self.uncompared
            ],
            "cautions": [asdict(caution) for caution in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each difference; the average's come last."""
        import pandas as pd

        last = () if self.average is None else self.average.differences
        return pd.DataFrame([_tidy(row) for row in (*self.differences, *last)])


def _tidy(row: TaskDifference) -> dict[str, Any]:
    sides = {
        f"{which}_{name}": value
        for which, side in (("baseline", row.baseline), ("candidate", row.candidate))
        for name, value in (
            ("score", side.score.value),
            ("low", side.score.interval.low),
            ("high", side.score.interval.high),
            ("seeds", side.n_seeds),
        )
    }
    return {
        "task": row.task,
        "formulation": row.formulation,
        "num_fewshot": row.num_fewshot,
        "template": row.template,
        "generation": row.generation,
        "metric": row.metric,
        "baseline": row.baseline.name,
        "candidate": row.candidate.name,
        **sides,
        "difference": row.difference.value,
        "se": row.difference.se,
        "low": row.difference.interval.low,
        "high": row.difference.interval.high,
        "items_low": row.over_items.low,
        "items_high": row.over_items.high,
        "corrected_low": row.corrected.low,
        "corrected_high": row.corrected.high,
        "p_value": row.p_value,
        "p_adjusted": row.p_adjusted,
        "test": row.test,
        "n_items": row.n_items,
        "n_unpaired": row.n_unpaired,
        "n_worse": row.flips.n_worse,
        "n_better": row.flips.n_better,
        "smallest_detectable": row.smallest_detectable,
        "delta": row.delta,
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _ends(interval: Interval) -> dict[str, float | None]:
    return {"low": _finite(interval.low), "high": _finite(interval.high)}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
