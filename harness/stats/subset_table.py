"""How short may each task be? Subsets of its items, judged on models held out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.respondents import Respondents
from harness.stats.subsets.estimate import Estimator
from harness.stats.subsets.evaluate import METHODS, evaluate_subsets
from harness.stats.subsets.quality import Method, SubsetEvaluation
from harness.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskSubsets:
    """Subset methods on one task."""

    who: Respondents
    evaluation: SubsetEvaluation
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **self.who.condition,
            "metric": self.who.metric,
            "is_partial": self.who.is_partial,
            **self.evaluation.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def subset_table(
    people: Iterable[Respondents],
    sizes: Sequence[int],
    *,
    methods: Mapping[Method, Sequence[Estimator]] = METHODS,
    hold_out: Literal["model", "run"] | None = None,
    n_draws: int = 200,
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[TaskSubsets, ...], tuple[tuple[Respondents, DesignError], ...]]:
    """Return the evaluation of subset methods for each task, and what was refused.

    Parameters
    ----------
    people : iterable of Respondents
        From `harness.stats.respondents.respondents`.
    sizes : sequence of int
        How many items the subsets have.
    methods
        As `harness.stats.subsets.evaluate.evaluate_subsets` takes them.
    hold_out : {"model", "run"}, optional
        Hold out whole models, or training runs. By default models; training runs
        where a task has one model only.
    n_draws, confidence_level
        As there.
    entropy : int
        Where draws start; the same number, the same result.
    """
    rows, refused = [], []
    for who in people:
        try:
            found = evaluate_subsets(
                who.answered().scores,
                sizes,
                models=who.models,
                train_seeds=who.train_seeds,
                steps=who.steps,
                groups=_groups(who, hold_out),
                methods=methods,
                n_draws=n_draws,
                confidence_level=confidence_level,
                rng=stream(entropy, f"subsets of {who.task}"),
            )
        except DesignError as error:
            refused.append((who, error))
            continue
        cautions = dict.fromkeys([*who.cautions, *found.cautions])
        rows.append(TaskSubsets(who=who, evaluation=found, cautions=tuple(cautions)))
    return tuple(rows), tuple(refused)


def _groups(
    who: Respondents, hold_out: Literal["model", "run"] | None
) -> Sequence[Hashable] | None:
    if hold_out == "run":
        return list(zip(who.models, who.train_seeds, strict=True))
    return who.models if hold_out else None
