"""What is each task made of? Its items, by all checkpoints that answered them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.intervals import check_level
from harness.stats.items import ItemAnalysis, analyse_items
from harness.stats.pruning import (
    DiscriminationStability,
    PruningEffect,
    discrimination_stability,
    prune_items,
)
from harness.stats.respondents import Respondents
from harness.stats.scores import METRICS, UNKNOWN_METRIC
from harness.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskItems:
    """The items of one task, how stable their statistics are, and what pruning does."""

    who: Respondents
    analysis: ItemAnalysis
    stability: DiscriminationStability | None
    """``None`` where too few checkpoints can be halved, as a caution says."""

    pruning: tuple[tuple[str, PruningEffect], ...]
    """Model held out, and what items chosen by the other models do to it."""

    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **self.who.condition,
            "metric": self.who.metric,
            "is_partial": self.who.is_partial,
            **self.analysis.to_dict(),
            "stability": self.stability.to_dict() if self.stability else None,
            "pruning": [
                {"held_out": model, **effect.to_dict()}
                for model, effect in self.pruning
            ],
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def item_table(
    people: Iterable[Respondents],
    *,
    confidence_level: float = 0.95,
    share: float = 0.25,
    entropy: int = 0,
) -> tuple[tuple[TaskItems, ...], tuple[tuple[Respondents, DesignError], ...]]:
    """Return the item analysis of each task, and why others have none.

    Checkpoints of one training run are not independent, so that intervals count
    training runs. Pruning is judged on each model in turn, by items that the others
    chose.

    Parameters
    ----------
    people : iterable of Respondents
        From `harness.stats.respondents.respondents`.
    confidence_level : float
        Of every interval.
    share : float
        Of the items that pruning drops.
    entropy : int
        Where random splits and subsets start; the same number, the same result.

    Raises
    ------
    DesignError
        ``bad-share``.

    Notes
    -----
    Cautions: those of `analyse_items`, `discrimination_stability` and of the tables;
    ``one-model``, where there is no model to judge pruning on.
    """
    check_level(confidence_level)
    if not 0 < share < 1:
        raise DesignError(
            f"the share of items to leave out is {share}; give one between 0 and 1",
            code="bad-share",
        )
    rows, refused = [], []
    for who in people:
        try:
            rows.append(_task_items(who, confidence_level, share, entropy))
        except DesignError as error:
            refused.append((who, error))
    return tuple(rows), tuple(refused)


def _task_items(
    who: Respondents, confidence_level: float, share: float, entropy: int
) -> TaskItems:
    analysis = analyse_items(
        who.answered().scores,
        item_ids=who.item_ids,
        n_independent=who.n_runs,
        confidence_level=confidence_level,
    )
    cautions = [*who.cautions, *analysis.cautions]
    stability = None
    try:
        stability = discrimination_stability(
            who.scores,
            runs=who.runs,
            confidence_level=confidence_level,
            rng=stream(entropy, f"halves of {who.task}"),
        )
    except DesignError as error:
        cautions.append(Caution(error.code, str(error)))
    pruning = []
    grid, models, _ = who.grid()
    if len(models) < 2:
        text = "pruning is judged on models that did not choose; evaluate another one"
        cautions.append(Caution("one-model", text))
    bounds = METRICS.get(who.metric, UNKNOWN_METRIC)
    for place, model in enumerate(models if len(models) > 1 else ()):
        others = np.array([name != model for name in who.models])
        try:
            effect = prune_items(
                who.scores[others],
                grid[place],
                share=share,
                bounds=(bounds.low, bounds.high),
                confidence_level=confidence_level,
                rng=stream(entropy, f"pruning of {who.task} for {model}"),
            )
        except DesignError as error:
            cautions.append(Caution(error.code, f"{model}: {error}"))
            continue
        pruning.append((model, effect))
    return TaskItems(
        who=who,
        analysis=analysis,
        stability=stability,
        pruning=tuple(pruning),
        cautions=tuple(dict.fromkeys(cautions)),
    )
