"""How far can each task be shortened? The fewest items that lose little, held out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.respondents import Respondents
from harness.stats.subsets.choose import SubsetMethod
from harness.stats.subsets.stable import (
    SEARCHED,
    StableSubset,
    Tolerances,
    select_stable,
)
from harness.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskStable:
    """The fewest items of one task that will do."""

    who: Respondents
    found: StableSubset
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **self.who.condition,
            "metric": self.who.metric,
            "is_partial": self.who.is_partial,
            **self.found.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def stable_table(
    people: Iterable[Respondents],
    *,
    n_items: int | None = None,
    sizes: Sequence[int] | None = None,
    methods: Sequence[SubsetMethod] = SEARCHED,
    tolerances: Tolerances | None = None,
    n_draws: int = 200,
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[TaskStable, ...], tuple[tuple[Respondents, DesignError], ...]]:
    """Return the search for each task, and what was refused.

    Parameters
    ----------
    people : iterable of Respondents
        From `harness.stats.respondents.respondents`.
    n_items, sizes, methods, tolerances, n_draws, confidence_level
        As `harness.stats.subsets.stable.select_stable` takes them.
    entropy : int
        Where draws start; the same number, the same result.
    """
    rows, refused = [], []
    for who in people:
        try:
            found = select_stable(
                who.answered().scores,
                models=who.models,
                train_seeds=who.train_seeds,
                steps=who.steps,
                n_items=n_items,
                sizes=sizes,
                methods=methods,
                tolerances=tolerances,
                item_ids=who.item_ids,
                n_draws=n_draws,
                confidence_level=confidence_level,
                rng=stream(entropy, f"stable items of {who.task}"),
            )
        except DesignError as error:
            refused.append((who, error))
            continue
        cautions = dict.fromkeys([*who.cautions, *found.cautions])
        rows.append(TaskStable(who=who, found=found, cautions=tuple(cautions)))
    return tuple(rows), tuple(refused)
