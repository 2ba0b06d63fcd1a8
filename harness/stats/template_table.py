"""How much do templates matter? Each checkpoint's spread, and the order of models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.facets import FacetScores, shared_templates
from harness.stats.intervals import check_level
from harness.stats.prompt_table import template_rewards
from harness.stats.templates.order import TemplateOrder, template_order
from harness.stats.templates.quantiles import BudgetErrors, budget_errors
from harness.stats.templates.reliability import (
    DELTA,
    EPSILON,
    ReliableNumber,
    reliable_number,
)
from harness.stats.templates.spread import TemplateSpread, template_spread
from harness.streams import stream

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ENOUGH_TEMPLATES = 10
"""Of fewer, quantiles over templates are the templates themselves."""

EVALUATIONS = 2
"""The source's budget: as many answers as so many templates have in full."""

N_DRAWS = 10
"""Of which answers are bought: errors to about a quarter of themselves."""

REFUSED = ("too-few-replicates", "too-few-items", "items-differ")
"""What is wrong with one checkpoint, and not with the question."""

Refused = tuple[tuple[FacetScores, DesignError], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskTemplates:
    """How far templates move the score of one checkpoint at one task.

    Attributes
    ----------
    who : FacetScores
        The checkpoint's own scores.
    templates : tuple of str
    means : ndarray, shape (n_templates,)
        Over the items that every template was put to.
    budget : BudgetErrors, optional
        Of `EVALUATIONS`; ``None`` with fewer than `ENOUGH_TEMPLATES` templates, and of
        scores that are not from 0 to 1.
    """

    who: FacetScores
    templates: tuple[str, ...]
    means: Floats
    spread: TemplateSpread
    reliable: ReliableNumber
    budget: BudgetErrors | None
    cautions: tuple[Caution, ...] = ()

    @property
    def train_seed(self) -> int | None:
        """Of the checkpoint."""
        return self.who.levels["train_seed"][0]  # type: ignore[no-any-return]

    @property
    def step(self) -> int | None:
        """Of the checkpoint."""
        return self.who.levels["step"][0]  # type: ignore[no-any-return]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **_names(self.who),
            "train_seed": self.train_seed,
            "step": self.step,
            "metric": self.who.metric,
            "templates": list(self.templates),
            "means": self.means.tolist(),
            "template_spread": self.spread.to_dict(),
            "reliable": self.reliable.to_dict(),
            "budget": self.budget.to_dict() if self.budget else None,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskOrder:
    """How far the order of models at one task depends on the template."""

    who: FacetScores
    """The first model's scores; the others share all but the model."""

    order: TemplateOrder
    templates: tuple[str, ...]
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        names = _names(self.who)
        return {
            **{name: value for name, value in names.items() if name != "model"},
            "metric": self.who.metric,
            "templates": list(self.templates),
            **self.order.to_dict(),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def template_table(
    tables: Iterable[FacetScores],
    *,
    epsilon: float = EPSILON,
    delta: float = DELTA,
    confidence_level: float = 0.95,
    entropy: int = 0,
) -> tuple[tuple[TaskTemplates, ...], Refused]:
    """Return how far templates move the score of each checkpoint at each task.

    Answers of one template to one item, over repeats and few-shot seeds, are its
    repeats; they are averaged where templates have unequal numbers of them.

    Parameters
    ----------
    tables : iterable of FacetScores
        From `harness.stats.facets.facet_scores`.
    epsilon, delta
        As `harness.stats.templates.reliability.reliable_number` takes them.
    entropy : int
        Where random draws start; the same number, the same result.

    Notes
    -----
    Refused: ``too-few-replicates`` (one template), ``items-differ`` (none that all
    templates share), ``too-few-items``.

    Cautions: ``items-not-shared``; ``few-templates``; ``fewshot-seeds-as-responses``;
    those of the tables and of what is computed.
    """
    check_level(confidence_level)
    rows, refused = [], []
    for table in tables:
        for who in table.checkpoints():
            try:
                row = _task_templates(who, epsilon, delta, confidence_level, entropy)
            except DesignError as error:
                if error.code not in REFUSED:
                    raise
                refused.append((who, error))
                continue
            rows.append(row)
    return tuple(rows), tuple(refused)


def order_table(
    tables: Iterable[FacetScores], *, confidence_level: float = 0.95
) -> tuple[tuple[TaskOrder, ...], Refused]:
    """Return how far the order of models depends on the template, for each task.

    A model stands with the mean over its training seeds at its last step, on the items
    and templates that all models of the task share. Tasks of one model, and of fewer
    than 2 templates or items in common, have no row.

    Notes
    -----
    Refused, with the scores of the first model: ``items-differ``, where templates have
    names in common and fewer than 2 of them the same words.

    Cautions: ``items-not-shared``; those of `template_order` and of `shared_templates`.
    """
    check_level(confidence_level)
    groups: dict[tuple[Any, ...], list[FacetScores]] = {}
    for table in tables:
        key = (*(v for k, v in _names(table).items() if k != "model"), table.metric)
        groups.setdefault(key, []).append(table)
    rows, refused = [], []
    for group in groups.values():
        templates, told = shared_templates(group)
        of_all = set.intersection(*({*table.items} for table in group))
        items = tuple(item for item in group[0].items if item in of_all)
        if len(group) < 2 or len(items) < 2:
            continue
        if len(templates) < 2:
            refused += [
                (
                    group[0],
                    DesignError(f"no order of models: {c.text}", code="items-differ"),
                )
                for c in told
                if c.code == "other-wording"
            ]
            continue
        cells = np.stack([_last_scores(table, templates, items) for table in group])
        is_there = ~np.isnan(cells).any((0, 1))
        if is_there.sum() < 2:
            continue
        found = template_order(
            cells[..., is_there],
            names=[table.model for table in group],
            confidence_level=confidence_level,
        )
        n_most = max(len(table.levels["item"]) for table in group)
        apart = _apart(int(is_there.sum()), n_most)
        cautions = (*found.cautions, *apart, *told)
        rows.append(
            TaskOrder(who=group[0], order=found, templates=templates, cautions=cautions)
        )
    return tuple(rows), tuple(refused)


def _names(who: FacetScores) -> dict[str, Any]:
    return {
        "model": who.model,
        "task": who.task,
        "formulation": who.formulation,
        "num_fewshot": who.num_fewshot,
        "generation": who.generation,
        "settings": who.settings,
    }


def _task_templates(
    who: FacetScores,
    epsilon: float,
    delta: float,
    confidence_level: float,
    entropy: int,
) -> TaskTemplates:
    templates = who.levels["template"]
    if len(templates) < 2:
        raise DesignError(
            f"{who.task} was asked under {len(templates)} template; add templates to "
            "the suite and run it again",
            code="too-few-replicates",
        )
    scores, told = template_rewards(who)
    is_shared: Flags = np.asarray(~np.isnan(scores).all(-1).any(0))
    if not is_shared.any():
        raise DesignError(
            f"no item of {who.task} was answered under all {len(templates)} "
            "templates; evaluate the same items under each",
            code="items-differ",
        )
    scores = scores[:, is_shared]
    if np.isnan(scores).any():
        scores = np.nanmean(scores, axis=-1)[..., None]
    cautions = [*who.cautions, *told]
    cautions += _apart(int(is_shared.sum()), len(is_shared))
    spread = template_spread(scores, confidence_level=confidence_level)
    cells = scores.mean(-1)
    means = cells.mean(1)
    name = f"{who.model} {who.task} {who.levels['train_seed']} {who.levels['step']}"
    reliable = reliable_number(
        means,
        epsilon=epsilon,
        delta=delta,
        rng=stream(entropy, f"resamplings of {name}"),
    )
    budget = None
    if len(templates) < ENOUGH_TEMPLATES:
        text = (
            f"quantiles over {len(templates)} templates are the templates themselves; "
            f"from {ENOUGH_TEMPLATES} on they are estimated from part of the answers"
        )
        cautions.append(Caution("few-templates", text))
    elif cells.min() >= 0 and cells.max() <= 1:
        budget = budget_errors(
            cells,
            [EVALUATIONS * cells.shape[1]],
            n_draws=N_DRAWS,
            rng=stream(entropy, f"budget of {name}"),
        )
    return TaskTemplates(
        who=who,
        templates=templates,
        means=means,
        spread=spread,
        reliable=reliable,
        budget=budget,
        cautions=tuple(
            dict.fromkeys([*cautions, *spread.cautions, *reliable.cautions])
        ),
    )


def _last_scores(
    table: FacetScores, templates: tuple[str, ...], items: tuple[tuple[int, str], ...]
) -> Floats:
    """Return (templates, items) of the last step, averaged over seeds and repeats."""
    scores = table.tensor("step", "template", "item")[-1]
    place = {item: column for column, item in enumerate(table.items)}
    rows = [table.levels["template"].index(name) for name in templates]
    columns = [place[item] for item in items]
    scores = scores[np.ix_(rows, columns)]
    count = (~np.isnan(scores)).sum(-1)
    total = np.nansum(scores, axis=-1)
    return np.asarray(total / np.where(count > 0, count, np.nan))


def _apart(n_shared: int, n_items: int) -> tuple[Caution, ...]:
    if n_shared == n_items:
        return ()
    text = (
        f"{n_items - n_shared} of {n_items} items were not answered by all and are "
        "left out"
    )
    return (Caution("items-not-shared", text),)
