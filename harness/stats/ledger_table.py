"""Which sources of noise does each score have? A ledger for each model and task."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.facets import FACETS, LABELS, FacetScores
from harness.stats.ledger.ledger import Ledger, variance_ledger

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskLedger:
    """The ledger of one model at one task.

    Attributes
    ----------
    scores : FacetScores
        What it is of.
    ledger : Ledger
        All sources that can matter: few-shot seeds where there are examples, repeats
        where answers are written.
    """

    scores: FacetScores
    ledger: Ledger

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """Those of the scores and of the ledger; effects carry their own."""
        return (*self.scores.cautions, *self.ledger.cautions)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **{name: getattr(self.scores, name) for name in (*LABELS, "settings")},
            "metric": self.scores.metric,
            "n_items_total": self.scores.n_items_total,
            "is_partial": self.scores.is_partial,
            "steps": list(self.scores.levels["step"]),
            **self.ledger.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def ledger_table(
    tables: Iterable[FacetScores],
    *,
    all_steps: bool = False,
    confidence_level: float = 0.95,
) -> tuple[tuple[TaskLedger, ...], tuple[tuple[FacetScores, DesignError], ...]]:
    """Return the ledger of each model and task, and what was refused.

    Parameters
    ----------
    tables : iterable of FacetScores
        From `harness.stats.facets.facet_scores`.
    all_steps : bool
        Take checkpoints as draws too, a facet like the others. Otherwise the last step
        counts, so that training is no noise.
    confidence_level : float
        Of every interval; above 0 and below 1.

    Raises
    ------
    DesignError
        ``bad-confidence-level``.
    """
    rows, refused = [], []
    for table in tables:
        steps = table.of("step")
        scores = table if all_steps else table.only(steps == steps.max(initial=0))
        try:
            ledger = variance_ledger(
                scores.scores, _codes(scores), confidence_level=confidence_level
            )
        except DesignError as error:
            if error.code == "bad-confidence-level":
                raise
            refused.append((scores, error))
        else:
            rows.append(TaskLedger(scores=scores, ledger=ledger))
    return tuple(rows), tuple(refused)


def _codes(scores: FacetScores) -> dict[str, Codes]:
    """Return the levels of all facets that can move the score."""
    idle = set()
    if not scores.num_fewshot:
        idle.add("fewshot_seed")
    if scores.formulation or not math.isnan(scores.chance):
        # Likelihoods are the same each time.
        idle.add("repeat")
    return {
        name: scores.of(name) for name in FACETS if name not in idle - {*scores.varied}
    }
