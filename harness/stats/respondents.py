"""Who answered what? Checkpoints of all models as rows, items as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import CONDITION, SETTINGS
from harness.stats.estimate import Caution
from harness.stats.tables import Asked, Kind, ScoreTable

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Respondents:
    """Checkpoints of all models that were asked the same: rows are who answered.

    Attributes
    ----------
    task, formulation, num_fewshot, template, generation
        The condition that they share.
    metric : str
        Which score.
    scores : ndarray, shape (n_respondents, n_items)
        ``nan`` where an item was not put to a checkpoint, or could not be scored.
    models, train_seeds, steps : tuple, one for each row
        Who answered. Rows are in that order.
    item_ids, item_indexes : tuple, one for each column
        What was asked, by place in the task.
    chance : float
        Expected score of a guesser; ``nan`` where there is no such level.
    n_items_total : int
        Items that the task holds.
    task_digest : str or None
        Of its wording and items.
    """

    task: str
    formulation: str
    num_fewshot: int
    template: str
    generation: str
    metric: str
    scores: Floats
    models: tuple[str, ...]
    train_seeds: tuple[int | None, ...]
    steps: tuple[int | None, ...]
    item_ids: tuple[str, ...]
    item_indexes: tuple[int, ...]
    chance: float
    n_items_total: int
    task_digest: str | None
    cautions: tuple[Caution, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether fewer items than the task holds were put to the models."""
        return len(self.item_ids) < self.n_items_total

    @property
    def settings(self) -> str:
        """Empty: there are no others of the same condition to tell apart."""
        return ""

    @property
    def condition(self) -> dict[str, Any]:
        """What was asked, as `harness.frames.CONDITION` names it."""
        return {name: getattr(self, name) for name in CONDITION}

    @property
    def runs(self) -> Codes:
        """Which training run each row belongs to, from 0: its model and seed."""
        code: dict[tuple[str, int | None], int] = {}
        pairs = zip(self.models, self.train_seeds, strict=True)
        return np.array([code.setdefault(pair, len(code)) for pair in pairs], np.intp)

    @property
    def n_runs(self) -> int:
        """Training runs: checkpoints of one run are not independent of each other."""
        return len(set(zip(self.models, self.train_seeds, strict=True)))

    def answered(self) -> Respondents:
        """Return itself, if there is any score.

        Raises
        ------
        DesignError
            ``no-responses``: the metric could score no answer.
        """
        if not self.models:
            raise DesignError(
                f"no answer to {self.task} has a score of {self.metric}; choose "
                "another metric",
                code="no-responses",
            )
        return self

    def grid(self) -> tuple[Floats, tuple[str, ...], tuple[int | None, ...]]:
        """Return scores as (models, seeds, steps, items), with models and steps.

        Seeds of a model stand in their order, whatever their numbers; ``nan`` where a
        model has no such seed or step.
        """
        models = tuple(dict.fromkeys(self.models))
        steps = _ascending(self.steps)
        seeds: dict[str, list[int | None]] = {}
        for model, seed in zip(self.models, self.train_seeds, strict=True):
            if seed not in seeds.setdefault(model, []):
                seeds[model].append(seed)
        shape = len(models), max(map(len, seeds.values())), len(steps)
        out = np.full((*shape, len(self.item_ids)), np.nan)
        for row, name in enumerate(
            zip(self.models, self.train_seeds, self.steps, strict=True)
        ):
            model, seed, step = name
            at = models.index(model), seeds[model].index(seed), steps.index(step)
            out[at] = self.scores[row]
        return out, models, steps


def respondents(
    tables: Iterable[ScoreTable], *, kind: Kind = "discrete"
) -> tuple[Respondents, ...]:
    """Return who answered, of all models, for each condition and wording of a task.

    Tables of the same condition, task digest and template digest are put together;
    of a model that was asked under several other settings, those count that most
    models share.

    Parameters
    ----------
    kind : {"discrete", "continuous"}
        Which metric; conditions that have none are left out.

    Notes
    -----
    Cautions: ``settings-differ``, where models were asked under different number
    formats, batch sizes, lengths or backends; those of the tables.
    """
    groups: dict[tuple[Any, ...], list[ScoreTable]] = {}
    for table in tables:
        if table.of(kind) is not None:
            names = (*CONDITION, "task_digest", "template_digest")
            key = tuple(getattr(table, name) for name in names)
            groups.setdefault(key, []).append(table)
    return tuple(_stacked(_one_each(group), kind) for group in groups.values())


def _one_each(tables: list[ScoreTable]) -> list[ScoreTable]:
    """Choose one table of each model, by how many models share its settings."""
    n_sharing = Counter(_settings(table) for table in tables)
    chosen: dict[str, ScoreTable] = {}
    for table in tables:
        best = chosen.setdefault(table.model, table)
        if n_sharing[_settings(table)] > n_sharing[_settings(best)]:
            chosen[table.model] = table
    return list(chosen.values())


def _settings(table: Asked) -> tuple[Any, ...]:
    return tuple(getattr(table, name) for name in SETTINGS)


def _stacked(tables: list[ScoreTable], kind: Kind) -> Respondents:
    named = [tuple(zip(t.item_indexes, t.item_ids, strict=True)) for t in tables]
    items = sorted(set().union(*named))
    place = {item: column for column, item in enumerate(items)}
    scored = [part for table in tables if (part := table.of(kind)) is not None]
    rows: list[Floats] = []
    who: list[tuple[str, int | None, int | None]] = []
    cautions = [caution for table in tables for caution in table.cautions]
    if len({_settings(table) for table in tables}) > 1:
        text = (
            "models were asked under different settings; their scores may differ for "
            "that reason alone"
        )
        cautions.append(Caution("settings-differ", text))
    for table, part, names in zip(tables, scored, named, strict=True):
        columns = [place[item] for item in names]
        for s, t in np.argwhere(~np.isnan(part.scores).all(-1)):
            row = np.full(len(items), np.nan)
            row[columns] = part.scores[s, t]
            rows.append(row)
            who.append((table.model, table.train_seeds[s], table.steps[t]))
    models, train_seeds, steps = zip(*who, strict=True) if who else ((), (), ())
    return Respondents(
        **{name: getattr(tables[0], name) for name in CONDITION},
        metric=scored[0].metric,
        scores=np.array(rows).reshape(len(rows), len(items)),
        models=models,
        train_seeds=train_seeds,
        steps=steps,
        item_ids=tuple(item_id for _, item_id in items),
        item_indexes=tuple(index for index, _ in items),
        chance=scored[0].chance,
        n_items_total=max(table.n_items_total for table in tables),
        task_digest=tables[0].task_digest,
        cautions=tuple(dict.fromkeys(cautions)),
    )


def _ascending(values: Iterable[int | None]) -> tuple[int | None, ...]:
    return tuple(sorted(set(values), key=lambda v: (v is not None, v or 0)))
