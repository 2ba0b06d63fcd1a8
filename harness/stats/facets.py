"""What was each score measured under? Items, seeds, steps, templates, repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.frames import CONDITION, SETTINGS
from harness.stats.estimate import Caution
from harness.stats.scores import (
    chance_scores,
    default_metrics,
    metric_scores,
    n_choices,
    negated,
    score_responses,
    shown_name,
)
from harness.stats.tables import (
    SETTING_WORDS,
    USED,
    Kind,
    asked_metrics,
    chosen_responses,
    distinct_seeds,
    mean_or_nan,
    partial_run,
    plain,
    replaced_weights,
    setting_words,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

FACETS = ("item", "train_seed", "step", "template", "fewshot_seed", "repeat")
"""All that a score may differ by within one model and task, as columns of `codes`."""

OF_TEMPLATE = ("task_digest", "template_digest")
"""Settings that differ between templates, since wordings are part of the task."""

COLUMNS = {
    "item": ["item_index", "item_id"],
    "train_seed": ["train_seed"],
    "step": ["step"],
    "template": ["template", *OF_TEMPLATE],
    "fewshot_seed": ["fewshot_seed"],
    "repeat": ["sample_seed", "repeat"],
}
"""What tells the levels of each facet apart."""

LABELS = ("model", *(name for name in CONDITION if name != "template"))
"""What a table is called by."""

SHARED = (
    *LABELS,
    *(name for name in SETTINGS if name not in OF_TEMPLATE),
)
"""What scores of one table have in common."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FacetScores:
    """Scores of one model at one task, each with its facets.

    Attributes
    ----------
    model, task, formulation, num_fewshot, generation
        What the scores share.
    settings : str
        How they differ from others of that kind, such as ``dtype float16``; or empty.
    metric : str
        Which score.
    scores : ndarray, shape (n,)
        One for each answer that could be scored; score units.
    codes : ndarray of int, shape (n, 6)
        Which level of each of `FACETS` it belongs to. A repeat is the answer's number
        within its cell: answers of different cells have nothing in common by it.
    levels : mapping of str to tuple
        The levels of each facet in the order of its codes: item ids, seeds, steps,
        names of templates, numbers of repeats.
    item_indexes : tuple of int
        Each item's place in the task.
    template_digests : tuple of (str or None, str or None)
        Of each template: digests of the task as worded by it, and of the template.
    n_items_total : int
        Items that the task holds.
    chance : float
        Expected score of a guesser; ``nan`` where there is no such level.
    """

    model: str
    task: str
    formulation: str
    num_fewshot: int
    generation: str
    settings: str
    metric: str
    scores: Floats
    codes: Codes
    levels: Mapping[str, tuple[Any, ...]]
    item_indexes: tuple[int, ...]
    template_digests: tuple[tuple[str | None, str | None], ...]
    n_items_total: int
    chance: float
    cautions: tuple[Caution, ...] = ()

    @property
    def varied(self) -> tuple[str, ...]:
        """The facets of more than one level."""
        return tuple(name for name in FACETS if len(self.levels[name]) > 1)

    @property
    def is_partial(self) -> bool:
        """Whether fewer items than the task holds were put to the model."""
        return len(self.levels["item"]) < self.n_items_total

    @property
    def items(self) -> tuple[tuple[int, str], ...]:
        """Each item's place and id: a question may stand in two places."""
        return tuple(zip(self.item_indexes, self.levels["item"], strict=True))

    def of(self, facet: str) -> Codes:
        """Return the codes of one facet, shape (n,)."""
        return np.asarray(self.codes[:, FACETS.index(facet)])

    def checkpoints(self) -> tuple[FacetScores, ...]:
        """Return the scores of each checkpoint by itself, by seed and step."""
        seeds, steps = self.of("train_seed"), self.of("step")
        pairs = np.unique(np.column_stack([seeds, steps]), axis=0)
        return tuple(self.only((seeds == s) & (steps == t)) for s, t in pairs)

    def tensor(self, *facets: str) -> Floats:
        """Return scores by the levels of some facets, the others as draws.

        Returns
        -------
        ndarray, shape (n_levels of each of `facets`, most draws in a cell)
            Draws stand in the order of the facets left out, and are comparable between
            cells only where all have the same; ``nan`` where a cell has fewer.
        """
        columns = [FACETS.index(name) for name in facets]
        rest = [c for c in range(len(FACETS)) if c not in columns]
        shape = tuple(len(self.levels[name]) for name in facets)
        order = np.lexsort(self.codes[:, [*reversed(rest), *reversed(columns)]].T)
        cell = np.ravel_multi_index(tuple(self.codes[order][:, columns].T), shape)
        count = np.bincount(cell, minlength=int(np.prod(shape)))
        first = np.cumsum(count) - count
        out = np.full((len(count), int(count.max(initial=0))), np.nan)
        out[cell, np.arange(len(cell)) - first[cell]] = self.scores[order]
        return out.reshape(*shape, -1)

    def only(self, rows: npt.NDArray[np.bool_]) -> FacetScores:
        """Return some of the scores; levels that none of them has are left out."""
        codes = self.codes[rows]
        kept = {}
        for column, name in enumerate(FACETS):
            kept[name], codes[:, column] = np.unique(
                codes[:, column], return_inverse=True
            )
        return replace(
            self,
            scores=self.scores[rows],
            codes=codes,
            levels={
                name: tuple(self.levels[name][level] for level in kept[name])
                for name in FACETS
            },
            item_indexes=tuple(self.item_indexes[i] for i in kept["item"]),
            template_digests=tuple(self.template_digests[t] for t in kept["template"]),
        )


def facet_scores(
    responses: pd.DataFrame,
    *,
    metric: str | None = None,
    kind: Kind = "discrete",
    task: str | None = None,
    formulation: str | None = None,
    steps: tuple[int | None, int | None] = (None, None),
) -> tuple[FacetScores, ...]:
    """Return the scores of each model, task and settings, in order of their names.

    Templates are a facet here and not a condition, so that the answers to all of them
    stand together. Answers that could not be scored are left out. Which weights of a
    checkpoint count, and what is never pooled, is as in `score_tables`.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    metric : str, optional
        Instead of the task's own: a name in `scores.METRICS`, or lm-eval's
        ``metric,filter`` as stored.
    kind : {"discrete", "continuous"}
        Which of the task's own metrics; tasks that have none are left out.
    task, formulation, steps
        As in `score_tables`.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``, ``unknown-metric``.

    Notes
    -----
    Cautions: ``unscored-responses``, ``answered-twice``, ``identical-seeds``,
    ``negated``.
    """
    responses = chosen_responses(
        responses, task=task, formulation=formulation, steps=steps
    )
    asked = asked_metrics(metric)
    scored = score_responses(responses, asked)[[*USED, *asked, "is_current"]]
    # Numbered for all tables at once, which takes a tenth of the time of each alone.
    coded = {facet: _numbered(scored, facet) for facet in FACETS}
    levels = {facet: own for facet, (_, own) in coded.items()}
    scored = scored.assign(
        **{f"level of {facet}": codes for facet, (codes, _) in coded.items()}
    )
    groups = list(scored.groupby(list(SHARED), sort=True, observed=True, dropna=False))
    keys = [dict(zip(SHARED, map(plain, key), strict=True)) for key, _ in groups]
    return tuple(
        table
        for key, (_, part) in zip(keys, groups, strict=True)
        for table in _table(key, _settings(key, keys), part, levels, metric, kind)
    )


def shared_templates(
    tables: Sequence[FacetScores],
) -> tuple[tuple[str, ...], tuple[Caution, ...]]:
    """Return the names of templates that put the same words to all models.

    A name that stands for other words in some table, by the digest of the task as
    worded, is another template there. A template's own digest may differ, since a chat
    template that some models lack is part of it; so is a system prompt, and which of
    them it is cannot be told.

    Parameters
    ----------
    tables : sequence of FacetScores
        Of several models at one task; at least one.

    Notes
    -----
    Cautions: ``other-wording``, of names that are left out; ``settings-differ``, of
    templates that are not the same though the task's words are.
    """
    digests = [
        dict(zip(table.levels["template"], table.template_digests, strict=True))
        for table in tables
    ]
    of_all = [name for name in digests[0] if all(name in known for known in digests)]
    reworded, wrapped = (
        [name for name in of_all if len({known[name][k] for known in digests}) > 1]
        for k in range(len(OF_TEMPLATE))
    )
    shared = tuple(name for name in of_all if name not in reworded)
    wrapped = [name for name in shared if name in wrapped]
    cautions = []
    if reworded:
        text = (
            "templates that put other words to some models by the same name are left "
            f"out, {_some(reworded, of_all)}; give each wording a name of its own"
        )
        cautions.append(Caution("other-wording", text))
    if wrapped:
        text = (
            "templates were put to some models within a chat template that others "
            f"lack, or with another system prompt, {_some(wrapped, of_all)}; models "
            "may differ for that reason alone"
        )
        cautions.append(Caution("settings-differ", text))
    return shared, tuple(cautions)


def _some(templates: Sequence[str], of_all: Sequence[str]) -> str:
    first = ", ".join(templates[:3]) + (", …" if len(templates) > 3 else "")
    return f"{len(templates)} of {len(of_all)} ({first})"


def _settings(key: dict[str, Any], keys: Iterable[dict[str, Any]]) -> str:
    """Return in words how `key` differs from others of its model and condition."""
    others = [k for k in keys if all(k[n] == key[n] for n in SHARED if n in LABELS)]
    return ", ".join(
        setting_words(SETTING_WORDS.get(name, name), key[name])
        for name in SHARED
        if name not in LABELS and len({other[name] for other in others}) > 1
    )


def _table(
    key: dict[str, Any],
    settings: str,
    part: pd.DataFrame,
    known: Mapping[str, Sequence[Any]],
    metric: str | None,
    kind: Kind,
) -> Iterator[FacetScores]:
    current = part if part["is_current"].all() else part[part["is_current"]]
    if current.empty:
        return
    name = metric or default_metrics(current)[kind == "continuous"]
    if name is None:
        return
    cautions: tuple[Caution, ...] = ()
    if len(current) < len(part):
        cautions = (replaced_weights(part[~part["is_current"]], is_all=False),)
    scores = metric_scores(current, name)
    if n_unscored := int(np.isnan(scores).sum()):
        text = f"{n_unscored} of {len(scores)} answers could not be scored"
        cautions += (Caution("unscored-responses", text),)
    coded = {facet: _levels(current, facet, known[facet]) for facet in FACETS}
    codes = np.column_stack([codes for codes, _ in coded.values()])
    once = _once(codes, current["finished_at"].to_numpy(dtype="datetime64[us]"))
    if n_again := int((~once).sum()):
        text = (
            f"{n_again} answers stand for what an earlier trial had asked too, and of "
            "each the first counts"
        )
        cautions += (Caution("answered-twice", text),)
    levels = {facet: levels for facet, (_, levels) in coded.items()}
    items, templates = levels["item"], levels["template"]
    n_items_total = int(current["n_items_total"].max())
    table = FacetScores(
        **{label: key[label] for label in LABELS},
        settings=settings,
        metric=shown_name(current, name),
        scores=scores,
        codes=codes,
        levels=levels
        | {
            "item": tuple(item_id for _, item_id in items),
            "template": _names(templates),
        },
        item_indexes=tuple(index for index, _ in items),
        template_digests=tuple((task, own) for _, task, own in templates),
        n_items_total=n_items_total,
        chance=mean_or_nan(
            chance_scores(
                name,
                str(current["output_type"].iloc[0]),
                n_choices(current[current["status"] == "ok"]),
            )
        ),
        cautions=cautions
        + negated(current, name)
        + partial_run(len(items), n_items_total),
    )
    own = default_metrics(current)
    evidence = metric_scores(current, own[1] or own[0])
    table = _without_twins(table.only(once), evidence[once])
    yield table.only(~np.isnan(table.scores))


def _once(codes: Codes, moment: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Tell the first answer of each cell from others, as of a trial of more items."""
    order = np.argsort(moment, kind="stable")
    cell = np.ravel_multi_index(tuple(codes[order].T), tuple(codes.max(axis=0) + 1))
    first = np.unique(cell, return_index=True)[1]
    once = np.zeros(len(codes), dtype=bool)
    once[order[first]] = True
    return once


def _without_twins(table: FacetScores, evidence: Floats) -> FacetScores:
    """Leave out seeds whose every likelihood equals another seed's."""
    cells = replace(table, scores=evidence).tensor(
        "train_seed", "step", "item", "template"
    )
    seeds = table.levels["train_seed"]
    shape = len(seeds), len(table.levels["step"]), -1
    kept, cautions = distinct_seeds(cells.reshape(shape), seeds)
    if not cautions:
        return table
    rows = np.isin(table.of("train_seed"), kept)
    return replace(table, cautions=(*table.cautions, *cautions)).only(rows)


def _numbered(scored: pd.DataFrame, facet: str) -> tuple[Codes, tuple[Any, ...]]:
    """Return the code of each row, and the levels in the order of their codes."""
    groups = scored.groupby(COLUMNS[facet], sort=True, observed=True, dropna=False)
    codes: Codes = np.asarray(groups.ngroup(), dtype=np.intp)
    rows = groups.size().index.to_frame().itertuples(index=False, name=None)
    keys = [tuple(map(plain, row)) for row in rows]
    return codes, tuple(key[0] if len(key) == 1 else key for key in keys)


def _levels(
    part: pd.DataFrame, facet: str, known: Sequence[Any]
) -> tuple[Codes, tuple[Any, ...]]:
    """Return the code of each row among the levels that are there, and these."""
    there, codes = np.unique(part[f"level of {facet}"], return_inverse=True)
    return np.asarray(codes, dtype=np.intp), tuple(known[k] for k in there)


def _names(templates: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    """Return names that are unique: of another wording it is another template."""
    names = [name for name, *_ in templates]
    return tuple(
        name
        if names.count(name) == 1
        else f"{name} ({', '.join(str(digest)[:8] for digest in digests)})"
        for name, *digests in templates
    )
