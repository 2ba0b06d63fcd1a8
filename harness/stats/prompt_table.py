"""Is the spread between templates real? Each checkpoint's, on each task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.facets import FacetScores
from harness.stats.intervals import check_level
from harness.stats.prompts.cells import Mode
from harness.stats.prompts.components import PromptComponents, prompt_components
from harness.stats.prompts.curves import PromptCurves, prompt_curves
from harness.stats.prompts.variance import PromptVariance, prompt_variance

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskPrompts:
    """Variance between templates of one checkpoint on one task.

    Attributes
    ----------
    scores : FacetScores
        Of this checkpoint alone; templates are the system prompts, items the user
        prompts.
    variance : PromptVariance
        What is seen, and its two parts.
    components : PromptComponents
        Whether templates differ alike on all items.
    curves : PromptCurves
        What other numbers of items and responses would show.
    """

    scores: FacetScores
    variance: PromptVariance
    components: PromptComponents
    curves: PromptCurves
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **described(self.scores),
            "variance": self.variance.to_dict(),
            "components": self.components.to_dict(),
            "curves": self.curves.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def prompt_table(
    tables: Iterable[FacetScores],
    *,
    mode: Mode = "unbiased",
    confidence_level: float = 0.95,
) -> tuple[tuple[TaskPrompts, ...], tuple[tuple[FacetScores, DesignError], ...]]:
    """Return the variance between templates of each checkpoint, and what was refused.

    Parameters
    ----------
    tables : iterable of FacetScores
        From `harness.stats.facets.facet_scores`.
    mode, confidence_level
        As `harness.stats.prompts.variance.prompt_variance` takes them.

    Notes
    -----
    Responses are repeats and few-shot seeds together, which then carry the caution
    ``fewshot-seeds-as-responses``.
    """
    check_level(confidence_level)
    rows, refused = [], []
    for table in tables:
        for scores in table.checkpoints():
            try:
                row = _row(scores, mode, confidence_level)
            except DesignError as error:
                refused.append((scores, error))
                continue
            rows.append(row)
    return tuple(rows), tuple(refused)


def template_rewards(scores: FacetScores) -> tuple[Floats, tuple[Caution, ...]]:
    """Return one checkpoint's rewards, templates × items × responses.

    Notes
    -----
    Cautions: ``fewshot-seeds-as-responses``.
    """
    cautions: tuple[Caution, ...] = ()
    if (n := len(scores.levels["fewshot_seed"])) > 1:
        text = (
            f"responses under {n} few-shot seeds count as responses to the same "
            "prompts, so that what the seeds change is noise here"
        )
        cautions = (Caution("fewshot-seeds-as-responses", text),)
    return scores.tensor("template", "item"), cautions


def described(scores: FacetScores) -> dict[str, Any]:
    """Return whose scores these are, in plain JSON types."""
    return {
        "model": scores.model,
        "train_seed": scores.levels["train_seed"][0],
        "step": scores.levels["step"][0],
        "task": scores.task,
        "formulation": scores.formulation,
        "num_fewshot": scores.num_fewshot,
        "generation": scores.generation,
        "settings": scores.settings,
        "metric": scores.metric,
        "templates": list(scores.levels["template"]),
        "item_ids": list(scores.levels["item"]),
    }


def _row(scores: FacetScores, mode: Mode, confidence_level: float) -> TaskPrompts:
    rewards, cautions = template_rewards(scores)
    variance = prompt_variance(rewards, mode=mode, confidence_level=confidence_level)
    components = prompt_components(rewards, confidence_level=confidence_level)
    curves = prompt_curves(rewards, mode=mode, confidence_level=confidence_level)
    told = [
        *scores.cautions,
        *cautions,
        *variance.cautions,
        *components.cautions,
        *curves.cautions,
    ]
    return TaskPrompts(
        scores=scores,
        variance=variance,
        components=components,
        curves=curves,
        cautions=tuple(dict.fromkeys(told)),
    )
