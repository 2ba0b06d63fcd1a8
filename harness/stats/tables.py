"""Which scores may be compared? Responses as tables of seeds, steps and items."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import CONDITION, IDENTITY, SETTINGS, check_responses
from harness.records import digest
from harness.stats.estimate import Caution
from harness.stats.intervals import is_binary
from harness.stats.scores import (
    DEFAULT_METRICS,
    METRICS,
    chance_scores,
    default_metrics,
    metric_scores,
    n_choices,
    negated,
    score_responses,
    shown_name,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Kind = Literal["discrete", "continuous"]

SETTING_WORDS = {
    "task_digest": "task",
    "template_digest": "template",
    "batch_size": "batch size",
    "max_length": "max length",
}
"""How settings are called in words, where not by their own name."""

USED = (
    *("item_id", "item_index", "repeat", "status", "choice_logprobs"),
    *("target_logprob", "metrics"),
    *IDENTITY,
)
"""What a table needs of a response that has its scores."""


METRIC = ["metrics", "lower_is_better"]
"""What a stored metric is taken from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One model under one condition and settings: whose answers may be pooled."""

    model: str
    task: str
    formulation: str
    num_fewshot: int
    template: str
    generation: str
    """The suite's overrides of generation arguments, as JSON; or empty."""

    task_digest: str | None
    template_digest: str | None
    dtype: str | None
    batch_size: int | None
    max_length: int | None
    backend: str | None
    settings: str
    """How this differs from others of its model and condition, such as ``dtype
    float16, batch size 32``; empty where there is no other."""

    n_items: int
    """Items put to the models; an estimate's `n` says how many it could use."""

    n_items_total: int
    """Items that the task holds."""

    items_digest: str
    """Digest of the items; equal where two ask the same questions."""

    @property
    def is_partial(self) -> bool:
        """Whether fewer items than the task holds were put to the models."""
        return self.n_items < self.n_items_total

    @property
    def asked(self) -> dict[str, Any]:
        """The fields of `Asked` alone."""
        return {field.name: getattr(self, field.name) for field in fields(Asked)}


A = TypeVar("A", bound=Asked)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricScores:
    """Scores of one metric, item by item.

    Attributes
    ----------
    metric : str
        Which score: ``acc``, ``prob_correct``, …
    scores : ndarray, shape (n_seeds, n_steps, n_items)
        Means over repeats, few-shot seeds and sample seeds; ``nan`` where not scored.
    was_asked : ndarray of bool, same shape
        Where an answer is stored, scored or not.
    chance : float
        Expected score of a guesser; ``nan`` where there is no such level.
    """

    metric: str
    scores: Floats
    was_asked: Flags
    chance: float

    def shared(self) -> tuple[Flags, Flags, tuple[Caution, ...]]:
        """Return the items that all evaluated checkpoints scored, and which those are.

        Returns
        -------
        items : ndarray of bool, shape (n_items,)
        evaluated : ndarray of bool, shape (n_seeds, n_steps)
        cautions : tuple of Caution
            ``unscored-checkpoints``, ``items-not-shared``, ``unscored-responses``.
        """
        scores, was_asked = self.scores, self.was_asked
        cautions = []
        put = was_asked.any(-1)
        scored: Flags = ~np.isnan(scores)
        evaluated: Flags = np.asarray(scored.any(axis=-1))
        if n_empty := int((put & ~evaluated).sum()):
            cautions.append(
                Caution(
                    "unscored-checkpoints",
                    f"{n_empty} of {put.sum()} checkpoints have no answer that could "
                    "be scored, and count as not evaluated",
                )
            )
        common: Flags = np.asarray(was_asked[evaluated].all(axis=0))
        shared: Flags = np.asarray(scored[evaluated].all(axis=0) & evaluated.any())
        if n_apart := int((~common).sum()):
            cautions.append(
                Caution(
                    "items-not-shared",
                    f"{n_apart} of {len(common)} items were not put to every "
                    "checkpoint and are left out",
                )
            )
        if n_unscored := int((was_asked & ~scored)[evaluated].sum()):
            cautions.append(
                Caution(
                    "unscored-responses",
                    f"{n_unscored} answers could not be scored; "
                    f"{(common & ~shared).sum()} items are left out at all checkpoints",
                )
            )
        return shared, evaluated, tuple(cautions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreTable(Asked):
    """Scores of one model under one condition and settings.

    Seeds that are copies of another one are left out.
    """

    train_seeds: tuple[int | None, ...]
    """First axis of the scores, ascending; ``None`` where a checkpoint names none."""

    steps: tuple[int | None, ...]
    """Second axis, ascending."""

    item_ids: tuple[str, ...]
    """Third axis, by place in the task; a question in two places is there twice."""

    item_indexes: tuple[int, ...]
    """Each item's place in the task."""

    discrete: MetricScores
    continuous: MetricScores | None
    """``None`` where no likelihood was stored."""

    cautions: tuple[Caution, ...] = ()

    def of(self, kind: Kind) -> MetricScores | None:
        """Return the scores of the discrete or of the continuous metric."""
        return self.discrete if kind == "discrete" else self.continuous


def score_tables(
    responses: pd.DataFrame,
    *,
    discrete: str | None = None,
    continuous: str | None = None,
    task: str | None = None,
    formulation: str | None = None,
    steps: tuple[int | None, int | None] = (None, None),
) -> tuple[ScoreTable, ...]:
    """Return a table for each model, condition and settings, in order of their names.

    Answers under different settings are not pooled: they have a table each. Of a
    checkpoint with several weights, whose files were overwritten and evaluated again,
    the answers of the weights evaluated last count, for every task. Items are told
    apart by their place in the task, so that a question that it holds twice counts
    twice, as in lm-eval.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    discrete, continuous : str, optional
        Metrics instead of the task's own: a name in `scores.METRICS`, or lm-eval's
        ``metric,filter`` as stored.
    task, formulation : str, optional
        Only these rows; which weights count is judged by all `responses`.
    steps : tuple of int
        Only from the first to the last of these, both included; ``None`` is no end.
        With an end, checkpoints that name no step are left out.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``, ``unknown-metric``.

    Notes
    -----
    Cautions: ``mixed-settings``, ``replaced-weights``, ``identical-seeds``,
    ``identical-checkpoints``, ``missing-checkpoints``, ``unequal-repeats``,
    ``partial-run``, ``negated``.
    """
    responses = chosen_responses(
        responses, task=task, formulation=formulation, steps=steps
    )
    asked = asked_metrics(discrete, continuous)
    scored = score_responses(responses, asked)[[*USED, *asked, "is_current"]]
    return tuple(_Answers(scored, discrete, continuous).tables())


def chosen_responses(
    responses: pd.DataFrame,
    *,
    task: str | None,
    formulation: str | None,
    steps: tuple[int | None, int | None],
) -> pd.DataFrame:
    """Return the responses asked for, and whether each is of the current weights.

    Parameters and errors are those of `score_tables`; the column is ``is_current``.
    """
    check_responses(responses)
    responses = responses.assign(is_current=is_current(responses))
    for name, value in (("task", task), ("formulation", formulation)):
        if value is not None:
            responses = responses[responses[name] == value]
    first, last = steps
    there = responses["step"].dropna().unique()
    if first is not None:
        responses = responses[(responses["step"] >= first).fillna(False)]
    if last is not None:
        responses = responses[(responses["step"] <= last).fillna(False)]
    if len(responses) == 0:
        where = "" if first is None else f" from step {first} on"
        where += "" if last is None else f" up to step {last}"
        what_to_do = "run the suite first"
        if where:
            named = [str(step) for step in sorted(there)]
            shown = [*named[:5], "…", named[-1]] if len(named) > 7 else named
            what_to_do = "choose other steps"
            what_to_do += f": there are {', '.join(shown)}" if shown else ""
        raise DesignError(
            f"there are no responses to summarise{where}; {what_to_do}",
            code="no-responses",
        )
    return responses


def asked_metrics(*names: str | None) -> set[str]:
    """Return which scores to derive: those named here, and every task's own."""
    own = chain.from_iterable(DEFAULT_METRICS.values())
    return METRICS.keys() & {*names, *own}


def formulation_pairs(rows: Iterable[A]) -> tuple[tuple[A, A], ...]:
    """Return the (choice, cloze) pairs that put the same items to the same model.

    All else that can change an answer is the same too, so that nothing but the
    formulation differs; the tasks' names need not be.
    """
    rows = tuple(rows)
    return tuple(
        (choice, cloze)
        for choice in rows
        for cloze in rows
        if (choice.formulation, cloze.formulation) == ("choice", "cloze")
        and _asks(choice) == _asks(cloze)
    )


def _asks(row: Asked) -> tuple[Any, ...]:
    names = {*CONDITION, *SETTINGS} - {"task", "task_digest", "formulation"}
    same = (getattr(row, name) for name in sorted(names))
    return row.model, row.items_digest, *same


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """Where each response of one model and condition belongs."""

    seed: Codes
    step: Codes
    item: Codes
    draw: Codes
    """Which few-shot seed, sample seed and repeat, together."""

    train_seeds: tuple[int | None, ...]
    steps: tuple[int | None, ...]
    item_ids: tuple[str, ...]
    """Of each place in the task; a question in two places is there twice."""

    item_indexes: tuple[int, ...]

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def item_scores(self, values: Floats) -> tuple[Floats, Flags]:
        """Return (seeds, steps, items) means over repeats, and what was asked."""
        shape = (len(self.train_seeds), len(self.steps), self.n_items)
        cell = np.ravel_multi_index((self.seed, self.step, self.item), shape)
        size = math.prod(shape)
        if self.draw.any():
            # Repeats are summed in one order, whatever the order of the rows.
            order = np.argsort(self.draw, kind="stable")
            cell, values = cell[order], values[order]
        is_scored = ~np.isnan(values)
        asked = np.bincount(cell, minlength=size) > 0
        count = np.bincount(cell[is_scored], minlength=size)
        total = np.bincount(cell[is_scored], values[is_scored], minlength=size)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return mean.reshape(shape), asked.reshape(shape)


def is_current(responses: pd.DataFrame) -> Flags:
    """Tell answers of the weights evaluated last from those of weights since replaced.

    A checkpoint goes by its name, and its files may be overwritten: then the store has
    answers of several weights under one name, which must not be averaged.
    """
    name = ["model", "train_seed", "step"]
    checkpoint, weights = (
        numbers_of(responses, columns) for columns in (name, [*name, "weights_digest"])
    )
    moment = responses["finished_at"].to_numpy(dtype="datetime64[us]").view(np.int64)
    # In the order of time, so that the weights evaluated last are written last.
    order = np.lexsort((weights, moment))
    last = np.zeros(checkpoint.max(initial=-1) + 1, dtype=np.intp)
    last[checkpoint[order]] = weights[order]
    return np.asarray(weights == last[checkpoint])


class _Answers:
    """Scored responses as arrays, of which each table is a part.

    What stands in columns is numbered once, since taking rows out of a frame with texts
    and lists costs more than all else where there are many tables.
    """

    def __init__(
        self, scored: pd.DataFrame, discrete: str | None, continuous: str | None
    ) -> None:
        import pandas as pd

        self.scored = scored
        self.asked = discrete, continuous
        self.seed, self.train_seeds = ordered(scored["train_seed"])
        self.step, self.steps = ordered(scored["step"])
        ids, found = pd.factorize(scored["item_id"], sort=True)
        self.item_ids = np.array(found, dtype=object)
        index = scored["item_index"].to_numpy(dtype=np.int64)
        self.item = index * max(len(self.item_ids), 1) + ids
        self.draw = numbers_of(scored, ["fewshot_seed", "sample_seed", "repeat"])
        self.of_settings = numbers_of(scored, SETTINGS)
        one_each = scored[list(SETTINGS)].iloc[first_of_each(self.of_settings)]
        self.settings = [
            tuple(map(plain, row)) for row in one_each.itertuples(index=False)
        ]
        self.output_type = scored["output_type"].to_numpy(dtype=object)
        likelihoods = scored[["choice_logprobs", "target_logprob"]]
        self.has_likelihoods = likelihoods.notna().any(axis=1).to_numpy(dtype=bool)
        self.is_current = scored["is_current"].to_numpy(dtype=bool)
        is_ok = (scored["status"] == "ok").to_numpy(dtype=bool)
        # Of items with several right answers lm-eval keeps the score, not their number.
        self.n_choices = np.where(is_ok, n_choices(scored), np.nan)
        self.n_items_total = scored["n_items_total"].to_numpy(dtype=np.int64)
        self.scores = {
            name: scored[name].to_numpy(dtype=np.float64)
            for name in METRICS
            if name in scored.columns
        }

    def tables(self) -> Iterator[ScoreTable]:
        """Return all tables, in order of what they are of."""
        names = ["model", *CONDITION]
        of_condition = numbers_of(self.scored, names)
        order = np.argsort(of_condition, kind="stable")
        ends = np.flatnonzero(np.diff(of_condition[order])) + 1
        parts = np.split(order, ends)
        keys = self.scored[names].iloc[[rows[0] for rows in parts]]
        for rows, key in zip(parts, keys.itertuples(index=False), strict=True):
            identity = dict(zip(names, map(plain, key), strict=True))
            yield from self._of_condition(identity, rows)

    def _of_condition(
        self, identity: dict[str, Any], rows: Codes
    ) -> Iterator[ScoreTable]:
        """Return the tables of one model and condition, one for each settings."""
        cautions: tuple[Caution, ...] = ()
        current = rows[self.is_current[rows]]
        if len(current) < len(rows):
            old = self.scored.iloc[rows[~self.is_current[rows]]]
            cautions = (replaced_weights(old, is_all=len(current) == 0),)
        used = current if len(current) else rows
        used = used[np.argsort(self.of_settings[used], kind="stable")]
        groups = np.split(used, np.flatnonzero(np.diff(self.of_settings[used])) + 1)
        settings = [self.settings[self.of_settings[group[0]]] for group in groups]
        varied = [len(set(values)) > 1 for values in zip(*settings, strict=True)]
        names = [SETTING_WORDS.get(name, name) for name in SETTINGS]
        if any(varied):
            text = (
                f"answers under other settings ({', '.join(compress(names, varied))}) "
                "stand in rows of their own; scores may differ for that reason alone"
            )
            cautions += (Caution("mixed-settings", text),)
        for values, group in zip(settings, groups, strict=True):
            words = map(setting_words, names, values)
            own = dict(zip(SETTINGS, values, strict=True))
            identity |= {**own, "settings": ", ".join(compress(words, varied))}
            yield self._table(identity, group, cautions)

    def _table(
        self, identity: dict[str, Any], rows: Codes, cautions: tuple[Caution, ...]
    ) -> ScoreTable:
        output_type = str(self.output_type[rows[0]])
        own_discrete, own_continuous = self._own_metrics(output_type, rows)
        discrete, continuous = self.asked
        first = own_discrete if discrete is None else discrete
        second = own_continuous if continuous is None else continuous
        design = self._design(rows)
        is_current = self.is_current[rows]
        tables = {
            name: design.item_scores(
                np.where(is_current, self._scores(name, rows), np.nan)
            )
            for name in (first, second)
            if name is not None
        }
        if second is not None and np.isnan(tables[second][0]).all():
            second = None
        kept, twins = distinct_seeds(tables[second or first][0], design.train_seeds)
        cautions += twins
        cautions += _grid_cautions(tables[first][1][kept], design, kept)
        cautions += _repeat_cautions(design)
        n_items_total = int(self.n_items_total[rows].max())
        cautions += partial_run(design.n_items, n_items_total)
        for metric in filter(None, (first, second)):
            if metric not in self.scores:
                cautions += negated(self.scored[["lower_is_better"]].iloc[rows], metric)
        choices = self.n_choices[rows]

        def of(metric: str) -> MetricScores:
            scores, was_asked = tables[metric]
            return MetricScores(
                metric=self._shown(metric, rows),
                scores=scores[kept],
                was_asked=was_asked[kept],
                chance=mean_or_nan(chance_scores(metric, output_type, choices)),
            )

        return ScoreTable(
            **identity,
            n_items=design.n_items,
            n_items_total=n_items_total,
            items_digest=digest(sorted(design.item_ids)),
            train_seeds=tuple(design.train_seeds[i] for i in kept),
            steps=design.steps,
            item_ids=design.item_ids,
            item_indexes=design.item_indexes,
            discrete=of(first),
            continuous=None if second is None else of(second),
            cautions=cautions,
        )

    def _design(self, rows: Codes) -> _Design:
        seeds, seed = np.unique(self.seed[rows], return_inverse=True)
        steps, step = np.unique(self.step[rows], return_inverse=True)
        items, item = np.unique(self.item[rows], return_inverse=True)
        _, draw = np.unique(self.draw[rows], return_inverse=True)
        index, ids = np.divmod(items, max(len(self.item_ids), 1))
        return _Design(
            seed,
            step,
            item,
            draw,
            tuple(self.train_seeds[i] for i in seeds),
            tuple(self.steps[i] for i in steps),
            tuple(self.item_ids[ids].tolist()),
            tuple(index.tolist()),
        )

    def _own_metrics(self, output_type: str, rows: Codes) -> tuple[str, str | None]:
        """Return the task's own metrics, as `default_metrics` has them."""
        is_plain = output_type in DEFAULT_METRICS and output_type != "generate_until"
        if is_plain and self.has_likelihoods[rows].any():
            return DEFAULT_METRICS[output_type]
        names = ["output_type", "choice_logprobs", "target_logprob", "metrics"]
        return default_metrics(self.scored[names].iloc[rows])

    def _scores(self, name: str, rows: Codes) -> Floats:
        if name in self.scores:
            return self.scores[name][rows]
        return metric_scores(self.scored[METRIC].iloc[rows], name)

    def _shown(self, name: str, rows: Codes) -> str:
        if name in self.scores:
            return name
        return shown_name(self.scored[["lower_is_better"]].iloc[rows], name)


def first_of_each(codes: Codes) -> Codes:
    """Return where each number, counted from 0, stands first."""
    return np.unique(codes, return_index=True)[1]


def numbers_of(
    frame: pd.DataFrame, names: Collection[str], *, within: Codes | None = None
) -> Codes:
    """Return which combination of these columns each row has, in order of values.

    Null stands last; combinations that are numbered already come first, `within`. The
    same as pandas' ``ngroup``, in a third of the time where there are few rows.
    """
    import pandas as pd

    numbers = np.zeros(len(frame), dtype=np.intp) if within is None else within
    for name in names:
        own, values = pd.factorize(frame[name])
        if len(values) > 1 or (len(values) and (own < 0).any()):
            place = np.append(np.argsort(np.argsort(values)), len(values))
            # Numbered anew each time, since a product of counts would overflow.
            combined = numbers * len(place) + place[own]
            numbers = np.asarray(pd.factorize(combined, sort=True)[0], dtype=np.intp)
    return numbers


def replaced_weights(old: pd.DataFrame, *, is_all: bool) -> Caution:
    """Return the caution that answers of weights since replaced are left out."""
    n = len(old[["train_seed", "step"]].drop_duplicates())
    checkpoints = "1 checkpoint was" if n == 1 else f"{n} checkpoints were"
    rest = ", and there is no other; run the suite again" if is_all else ""
    return Caution(
        "replaced-weights",
        f"{checkpoints} evaluated again with other weights; {len(old)} older "
        f"{'answer is' if len(old) == 1 else 'answers are'} left out{rest}",
    )


def plain(value: Any) -> Any:
    """Return a name or a number of a row as Python's own; ``None`` for null."""
    import pandas as pd

    if pd.isna(value):
        return None
    return value if isinstance(value, str) else int(value)


def setting_words(name: str, value: Any) -> str:
    """Return a setting in words, such as ``batch size 32``."""
    if value is None:
        return f"{name} unset"
    is_digest = name in ("task", "template")
    return f"{name} {value[:8] if is_digest else value}"


def partial_run(n_items: int, n_items_total: int) -> tuple[Caution, ...]:
    """Return the caution ``partial-run``, where not all items were asked."""
    if n_items >= n_items_total:
        return ()
    text = (
        f"a partial run: {n_items} of the task's {n_items_total} items were asked, and "
        "the score is of these alone"
    )
    return (Caution("partial-run", text),)


def ordered(column: pd.Series[Any]) -> tuple[Codes, tuple[int | None, ...]]:
    """Return codes and ascending values of a nullable column; null stands first."""
    codes, values = column.factorize(sort=True)
    if not (codes < 0).any():
        return codes, tuple(int(value) for value in values)
    return codes + 1, (None, *(int(value) for value in values))


def distinct_seeds(
    table: Floats, train_seeds: tuple[int | None, ...]
) -> tuple[list[int], tuple[Caution, ...]]:
    """Leave out seeds whose every likelihood equals another seed's.

    Equal likelihoods of many items mean the same weights. Scores of 0 and 1 prove
    nothing, since two seeds may well be right and wrong alike.
    """
    first: dict[bytes, int] = {}
    rows: list[int] = []
    cautions: list[Caution] = []
    for i, row in enumerate(table):
        twin = first.setdefault(row.tobytes(), i) if _is_evidence(row) else i
        if twin == i:
            rows.append(i)
        else:
            cautions.append(
                Caution(
                    "identical-seeds",
                    f"training seed {train_seeds[i]} gave the very likelihoods of seed "
                    f"{train_seeds[twin]} at every step: the seed had no effect, and "
                    "is not counted as a replicate",
                )
            )
    cells = [
        cell.tobytes() for row in table[rows] for cell in row if _is_evidence(cell)
    ]
    if n_twins := len(cells) - len(set(cells)):
        cautions.append(
            Caution(
                "identical-checkpoints",
                f"{n_twins} checkpoints gave the very likelihoods of another one; "
                "their weights are the same, so look for files copied twice",
            )
        )
    return rows, tuple(cautions)


def _is_evidence(scores: Floats) -> bool:
    known = scores[~np.isnan(scores)]
    return len(np.unique(known)) > 1 and not is_binary(known)


def _grid_cautions(
    asked: Flags, design: _Design, kept: list[int]
) -> tuple[Caution, ...]:
    missing = np.argwhere(~asked.any(-1))
    if not len(missing):
        return ()
    first = ", ".join(
        f"seed {design.train_seeds[kept[s]]} step {design.steps[t]}"
        for s, t in missing[:3]
    )
    return (
        Caution(
            "missing-checkpoints",
            f"{len(missing)} of {asked.shape[0] * asked.shape[1]} checkpoints were not "
            f"evaluated, first {first}; each step's SD is over the seeds it has",
        ),
    )


def _repeat_cautions(design: _Design) -> tuple[Caution, ...]:
    """Tell where checkpoints were not asked equally often, so that means differ."""
    shape = len(design.train_seeds), len(design.steps), int(design.draw.max()) + 1
    asked = np.zeros(shape, dtype=bool)
    asked[design.seed, design.step, design.draw] = True
    asked = asked[asked.any(-1)]
    if (asked == asked[0]).all():
        return ()
    return (
        Caution(
            "unequal-repeats",
            "checkpoints differ in their few-shot seeds, sample seeds or repeats, so "
            "that the SD over seeds also holds that difference; give all the same",
        ),
    )


def mean_or_nan(values: Floats) -> float:
    """Return the mean of what is not ``nan``, whatever its order."""
    known = np.sort(values[~np.isnan(values)])
    return float(known.mean()) if len(known) else math.nan
