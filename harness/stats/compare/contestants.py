"""Who is compared? The answers of each choice, condition by condition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import CONDITION, SETTINGS
from harness.stats.comparable import Facts, facts_of_parts
from harness.stats.compare.results import Choice
from harness.stats.estimate import Caution
from harness.stats.tables import (
    Kind,
    MetricScores,
    ScoreTable,
    numbers_of,
    plain,
    score_tables,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Condition = tuple[Any, ...]
"""Values of `harness.frames.CONDITION`, the task first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contestant:
    """One choice's answers under one condition and settings.

    Attributes
    ----------
    scores : ndarray, shape (n_seeds, n_items)
        Means over repeats at the choice's step; ``nan`` where not scored.
    keys : tuple of str
        Which question each item is: its id, and which of several if it is there twice.
    places : tuple of int
        Of each item in the task.
    clusters : mapping, optional
        Of the items whose cluster is known, by key.
    """

    choice: Choice
    table: ScoreTable
    condition: Condition
    metric: MetricScores
    scores: Floats
    train_seeds: tuple[int | None, ...]
    keys: tuple[str, ...]
    places: tuple[int, ...]
    n_repeats: int
    clusters: Mapping[str, str]
    facts: Facts
    cautions: tuple[Caution, ...]

    @property
    def run(self) -> object:
        """Which training runs it is from; equal for two steps of the same runs."""
        return self.choice.model, self.train_seeds


def settled(responses: pd.DataFrame, choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the choices with their steps, and only such as are there.

    Raises
    ------
    DesignError
        ``unknown-model``, ``bad-steps``, ``too-few-respondents``.
    """
    names = [choice.name for choice in choices]
    if len(set(names)) < max(len(names), 2):
        raise DesignError(
            f"a comparison needs 2 choices of different names, got {names}; name more "
            "models, steps or seeds",
            code="too-few-respondents",
        )
    columns = ["model", "step", "train_seed"]
    there = responses[columns].drop_duplicates()
    return tuple(_settled(there, choice) for choice in choices)


def _settled(there: pd.DataFrame, choice: Choice) -> Choice:
    mine = there[there["model"] == choice.model]
    if mine.empty:
        known = sorted(there["model"].unique())
        raise DesignError(
            f"there is no model {choice.model!r}; choose of {_listed(known)}",
            code="unknown-model",
        )
    step = choice.step
    if step is None and mine["step"].notna().any():
        step = int(mine["step"].max())
    is_here = mine["step"].isna() if step is None else (mine["step"] == step)
    mine = mine[is_here.fillna(False).astype(bool)]
    if mine.empty:
        steps = sorted(there[there["model"] == choice.model]["step"].dropna().unique())
        choose = f"; choose of {_listed(steps)}"
        raise DesignError(
            f"{choice.model} has no step {step}"
            + (choose if steps else ", for its step is not known; name it without"),
            code="bad-steps",
        )
    seeds = {plain(seed) for seed in mine["train_seed"]}
    if missing := [s for s in choice.train_seeds or () if s not in seeds]:
        known = sorted(seed for seed in seeds if seed is not None)
        at = "" if step is None else f" at step {step}"
        raise DesignError(
            f"{choice.model} has no training seed {missing[0]}{at}"
            + (
                f"; choose of {_listed(known)}"
                if known
                else ", for none is known; name it without"
            ),
            code="unknown-model",
        )
    return replace(choice, step=step)


def contestants(
    responses: pd.DataFrame,
    choices: Sequence[Choice],
    *,
    kind: Kind = "discrete",
    metric: str | None = None,
    task: str | None = None,
    formulation: str | None = None,
    trials: pd.DataFrame | None = None,
) -> tuple[tuple[Contestant, ...], ...]:
    """Return each choice's answers, one for each condition and settings.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    choices : sequence of Choice
        From `settled`.
    kind, metric, task, formulation
        As `harness.stats.tables.score_tables` takes them.
    trials : DataFrame, optional
        As `harness.stats.comparable.facts` takes it.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``, ``unknown-metric``.
    """
    tables = score_tables(
        responses,
        discrete=metric if kind == "discrete" else None,
        continuous=metric if kind == "continuous" else None,
        task=task,
        formulation=formulation,
    )
    rows = _Rows(responses)
    found: list[tuple[int, ScoreTable, MetricScores, Rows]] = []
    for place, choice in enumerate(choices):
        for table in tables:
            scores = table.of(kind) if table.model == choice.model else None
            if scores is not None and choice.step in table.steps:
                found.append((place, table, scores, rows.of(table, choice)))
    found = [one for one in found if len(one[3])]
    each = facts_of_parts(responses, [mine for *_, mine in found], trials)
    out: list[list[Contestant]] = [[] for _ in choices]
    for (place, table, scores, mine), said in zip(found, each, strict=True):
        one = _contestant(choices[place], table, scores, rows, mine, said)
        if one is not None:
            out[place].append(one)
    return tuple(map(tuple, out))


def _contestant(
    choice: Choice,
    table: ScoreTable,
    metric: MetricScores,
    rows: _Rows,
    mine: Rows,
    said: Facts,
) -> Contestant | None:
    wanted = choice.train_seeds
    step = table.steps.index(choice.step)
    kept = [
        i
        for i, seed in enumerate(table.train_seeds)
        if (wanted is None or seed in wanted) and metric.was_asked[i, step].any()
    ]
    kept = [i for i in kept if not np.isnan(metric.scores[i, step]).all()]
    if not kept:
        return None
    asked = metric.was_asked[kept, step].any(0)
    places = np.flatnonzero(asked)
    keys = _keys(table.item_ids)
    return Contestant(
        choice=choice,
        table=table,
        condition=tuple(getattr(table, name) for name in CONDITION),
        metric=metric,
        scores=metric.scores[kept, step][:, asked],
        train_seeds=tuple(table.train_seeds[i] for i in kept),
        keys=tuple(keys[i] for i in places),
        places=tuple(table.item_indexes[i] for i in places),
        n_repeats=rows.n_repeats(mine),
        clusters=rows.clusters(mine, dict(zip(table.item_indexes, keys, strict=True))),
        facts=said,
        cautions=table.cautions,
    )


def asked_conditions(responses: pd.DataFrame, choice: Choice) -> set[Condition]:
    """Return the conditions of a choice's answers, whether or not they have scores."""
    step = responses["step"]
    is_step = step.isna() if choice.step is None else step.eq(choice.step).fillna(False)
    mine = responses["model"].eq(choice.model) & is_step
    rows = responses.loc[mine.to_numpy(dtype=bool), list(CONDITION)].drop_duplicates()
    return {tuple(map(plain, row)) for row in rows.itertuples(index=False)}


def condition_words(condition: Condition) -> str:
    """Return what of a condition is not the plainest, beside its task."""
    _, formulation, num_fewshot, template, generation = condition
    parts = (
        formulation and f"as {formulation}",
        num_fewshot and f"{num_fewshot}-shot",
        template != "default" and f"template {template}",
        generation,
    )
    return ", ".join(str(part) for part in parts if part)


def closest(
    baseline: Contestant,
    candidates: Sequence[Contestant],
    *,
    taken: Collection[Condition] = (),
) -> Contestant | None:
    """Return the candidate that was asked what the baseline was, or nearly so.

    Of the same task; under the same condition if there is one, else under that which
    shares most of it and of the settings, if no other baseline is compared with it.
    """

    def likeness(one: Contestant) -> tuple[bool, int, int]:
        settings = sum(
            getattr(one.table, name) == getattr(baseline.table, name)
            for name in SETTINGS
        )
        same = sum(map(lambda a, b: a == b, one.condition, baseline.condition))
        return one.condition == baseline.condition, same, settings

    alike = [
        one
        for one in candidates
        if one.condition == baseline.condition
        or (one.table.task == baseline.table.task and one.condition not in taken)
    ]
    return max(alike, key=likeness) if alike else None


def _keys(item_ids: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(item_ids)) == len(item_ids):
        return item_ids
    seen: dict[str, int] = {}
    keys = []
    for item in item_ids:
        seen[item] = seen.get(item, 0) + 1
        keys.append(item if seen[item] == 1 else f"{item} {seen[item]}")
    return tuple(keys)


class _Rows:
    """Which rows belong to a table, and to a choice within it."""

    def __init__(self, responses: pd.DataFrame) -> None:
        names = ["model", *CONDITION, *SETTINGS]
        code = numbers_of(responses, names)
        order = np.argsort(code, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
        keys = responses[names].iloc[[part[0] for part in parts]]
        self._names = names
        self._places = {
            tuple(map(plain, key)): part
            for key, part in zip(keys.itertuples(index=False), parts, strict=True)
        }
        self._step, self._seed = responses["step"], responses["train_seed"]
        self._index = responses["item_index"].to_numpy(dtype=np.int64)
        self._run, _ = responses["train_seed"].factorize()
        cluster = responses["cluster"]
        self._cluster = (
            cluster.to_numpy(dtype=object) if cluster.notna().any() else None
        )

    def n_repeats(self, rows: Rows) -> int:
        """Return how many answers each item has, on average and rounded down."""
        cells = np.unique(self._run[rows] * 2**32 + self._index[rows])
        return len(rows) // len(cells)

    def clusters(self, rows: Rows, key_of: Mapping[int, str]) -> dict[str, str]:
        """Return the clusters of items by their keys, as far as they are known."""
        if self._cluster is None:
            return {}
        index, first = np.unique(self._index[rows], return_index=True)
        own = zip(index.tolist(), self._cluster[rows[first]].tolist(), strict=True)
        return {
            key_of[place]: cluster for place, cluster in own if isinstance(cluster, str)
        }

    def of(self, table: ScoreTable, choice: Choice) -> Rows:
        """Return the rows of `choice` in `table`, copies of seeds among them."""
        part = self._places[tuple(getattr(table, name) for name in self._names)]
        if len(table.steps) == 1 and choice.train_seeds is None:
            return part
        step, seed = self._step.iloc[part], self._seed.iloc[part]
        mine = step.isna() if choice.step is None else step.eq(choice.step)
        if choice.train_seeds is not None:
            named = [s for s in choice.train_seeds if s is not None]
            of_seed = seed.isin(named)
            if None in choice.train_seeds:
                of_seed |= seed.isna()
            mine &= of_seed
        return part[mine.fillna(False).to_numpy(dtype=bool)]


def _listed(values: Collection[Any]) -> str:
    names = [str(value) for value in values]
    return ", ".join([*names[:6], *(["…"] if len(names) > 6 else [])])
