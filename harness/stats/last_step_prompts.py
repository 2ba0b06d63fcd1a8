"""What do templates do to each run, at its last step? All that a page shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import DesignError
from harness.stats.discriminative_table import TaskDiscriminative, discriminative_table
from harness.stats.estimate import Caution
from harness.stats.facets import FacetScores
from harness.stats.prompt_table import TaskPrompts, prompt_table, template_rewards
from harness.stats.prompts.grid import PromptGrid, prompt_grid
from harness.stats.scores import METRICS, UNKNOWN_METRIC


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptedRun:
    """One run at its last step, under several templates.

    Attributes
    ----------
    scores : FacetScores
        Of this checkpoint alone.
    grid : PromptGrid
        What each template scores on each item.
    split : TaskPrompts or DesignError
        The variance between templates, or why it cannot be split.
    chosen : TaskDiscriminative, DesignError or None
        The items that tell templates apart, or why none can be chosen; ``None`` where
        no size was asked for.
    """

    scores: FacetScores
    grid: PromptGrid
    split: TaskPrompts | DesignError
    chosen: TaskDiscriminative | DesignError | None
    cautions: tuple[Caution, ...] = ()


def last_step_prompts(
    tables: Iterable[FacetScores],
    *,
    size: int | None = None,
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[PromptedRun, ...], tuple[tuple[FacetScores, DesignError], ...]]:
    """Return each run's grid of templates and items, and what was refused.

    Parameters
    ----------
    tables : iterable of FacetScores
        From `harness.stats.facets.facet_scores`.
    size : int, optional
        How many items to choose that tell templates apart; none are by default, since
        it takes longer than all the rest.
    confidence_level, entropy
        As `harness.stats.discriminative_table.discriminative_table` takes them.

    Notes
    -----
    Refused: ``too-few-replicates`` (one template; once for a table), and what
    `harness.stats.prompts.grid.prompt_grid` refuses.
    """
    rows, refused = [], []
    for table in tables:
        if len(table.levels["template"]) < 2:
            text = f"{table.task} was asked under one template; 2 or more would do"
            refused.append((table, DesignError(text, code="too-few-replicates")))
            continue
        last = {who.levels["train_seed"]: who for who in table.checkpoints()}
        for who in last.values():
            try:
                row = _run(who, size, confidence_level, entropy)
            except DesignError as error:
                refused.append((who, error))
                continue
            rows.append(row)
    return tuple(rows), tuple(refused)


def _run(
    who: FacetScores, size: int | None, confidence_level: float, entropy: int
) -> PromptedRun:
    metric = METRICS.get(who.metric, UNKNOWN_METRIC)
    rewards, cautions = template_rewards(who)
    grid = prompt_grid(
        rewards, bounds=(metric.low, metric.high), confidence_level=confidence_level
    )
    split, unsplit = prompt_table([who], confidence_level=confidence_level)
    chosen, unchosen = (
        discriminative_table(
            [who], size, confidence_level=confidence_level, entropy=entropy
        )
        if size
        else ((), ())
    )
    told = dict.fromkeys(
        [
            *who.cautions,
            *cautions,
            *grid.cautions,
            *(caution for row in split for caution in row.cautions),
            *(caution for row in chosen for caution in row.cautions),
        ]
    )
    return PromptedRun(
        scores=who,
        grid=grid,
        split=split[0] if split else unsplit[0][1],
        chosen=next(iter(chosen), None) or next((e for _, e in unchosen), None),
        cautions=tuple(told),
    )
