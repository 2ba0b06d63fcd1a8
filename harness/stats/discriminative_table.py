"""Which items of each task tell system prompts apart? By one checkpoint's answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.facets import FacetScores
from harness.stats.prompt_table import described, template_rewards
from harness.stats.prompts.cells import Mode
from harness.stats.prompts.held_out import (
    DiscriminativeSubset,
    HoldOut,
    select_discriminative,
)
from harness.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskDiscriminative:
    """The items of one task that a checkpoint's templates differ most on."""

    scores: FacetScores
    found: DiscriminativeSubset
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **described(self.scores),
            "is_partial": self.scores.is_partial,
            **self.found.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def discriminative_table(
    tables: Iterable[FacetScores],
    size: int = 2,
    *,
    mode: Mode = "unbiased",
    hold_out: HoldOut = "responses",
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[TaskDiscriminative, ...], tuple[tuple[FacetScores, DesignError], ...]]:
    """Return the choice for each checkpoint and task, and what was refused.

    Parameters
    ----------
    tables : iterable of FacetScores
        From `harness.stats.facets.facet_scores`.
    size, mode, hold_out, confidence_level
        As `harness.stats.prompts.held_out.select_discriminative` takes them.
    entropy : int
        Where draws start; the same number, the same result.
    """
    rows, refused = [], []
    for table in tables:
        for scores in table.checkpoints():
            seed, step = scores.levels["train_seed"], scores.levels["step"]
            name = f"{scores.model} {scores.task} {seed} {step}"
            try:
                rewards, cautions = template_rewards(scores)
                found = select_discriminative(
                    rewards,
                    size,
                    mode=mode,
                    hold_out=hold_out,
                    confidence_level=confidence_level,
                    rng=stream(entropy, f"discriminative items of {name}"),
                )
            except DesignError as error:
                refused.append((scores, error))
                continue
            told = dict.fromkeys([*scores.cautions, *cautions, *found.cautions])
            rows.append(
                TaskDiscriminative(scores=scores, found=found, cautions=tuple(told))
            )
    return tuple(rows), tuple(refused)
