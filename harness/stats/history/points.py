"""Which scores follow each other? A point for each checkpoint, or each evaluation."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import CONDITION, SETTINGS, check_responses
from harness.stats.clusters import se_by_codes
from harness.stats.estimate import Caution, or_none
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
    first_of_each,
    is_current,
    mean_or_nan,
    numbers_of,
    ordered,
    partial_run,
    plain,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
By = Literal["step", "date"]

DIGESTS = ("task_digest", "template_digest")

APART = np.timedelta64(12, "h")
"""Answers of one checkpoint less than this apart were given in one evaluation: a night
may go past midnight, and the next is a day later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A setting that is not what it was at the point before."""

    what: str
    """Such as ``dtype``, ``task`` or ``torch``."""

    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """One checkpoint at one time.

    Attributes
    ----------
    place : int
        In its history, from 0.
    when : datetime or None
        When the last of its answers came in; ``None`` where no file says.
    step : int or None
    train_seeds : tuple
        Which training runs its score is the mean of.
    score : float
        Mean over seeds, repeats and items.
    se_items : float
        Standard error over items, CR1 where they are in clusters; of no use between
        points, which share them.
    n_items : int
    changes : tuple of Change
        What else differs from the point before.
    """

    place: int
    model: str
    when: dt.datetime | None
    step: int | None
    train_seeds: tuple[int | None, ...]
    score: float
    se_items: float
    n_items: int
    changes: tuple[Change, ...] = ()

    @property
    def label(self) -> str:
        """The checkpoint in words; without a step, the day it was evaluated on."""
        if self.step is not None:
            return f"step {self.step}"
        return "no step" if self.when is None else self.when.date().isoformat()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "place": self.place,
            "when": None if self.when is None else self.when.isoformat(),
            "step": self.step,
            "train_seeds": list(self.train_seeds),
            "label": self.label,
            "score": or_none(self.score),
            "se_items": or_none(self.se_items),
            "n_items": self.n_items,
            "changes": [str(change) for change in self.changes],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """The scores of one model at one task, point by point.

    Attributes
    ----------
    by : {"step", "date"}
        What a point is, and their order.
    points : tuple of Point
    scores : ndarray, shape (n_points, n_items)
        Means over seeds and repeats, of the items that all points share.
    seed_scores : ndarray, shape (n_points, n_seeds)
        Means over items and repeats; ``nan`` where a seed has no such point.
    run_scores : ndarray, shape (n_points, n_seeds, n_runs)
        Means over items of each run: few-shot seed, sample seed and repeat.
    weights : ndarray of int, shape (n_points, n_seeds)
        Equal where the very same weights were evaluated; -1 where there are none.
    item_indexes : tuple of int
        Places of the items in the task.
    clusters : ndarray of int, shape (n_items,), or None
        Which items belong together; ``None`` where nothing is known of any.
    """

    model: str
    task: str
    formulation: str
    num_fewshot: int
    template: str
    generation: str
    metric: str
    by: By
    points: tuple[Point, ...]
    train_seeds: tuple[int | None, ...]
    scores: Floats
    seed_scores: Floats
    run_scores: Floats
    weights: Codes
    item_indexes: tuple[int, ...]
    n_items_total: int
    chance: float
    clusters: Codes | None = None
    cautions: tuple[Caution, ...] = ()

    @property
    def condition(self) -> dict[str, Any]:
        """What was asked, as `harness.frames.CONDITION` names it."""
        return {name: getattr(self, name) for name in CONDITION}

    @property
    def settings(self) -> str:
        """Empty: what differs stands with the points."""
        return ""

    @property
    def is_partial(self) -> bool:
        """Whether fewer items than the task holds are behind the scores."""
        return len(self.item_indexes) < self.n_items_total

    @property
    def means(self) -> Floats:
        """Score of each point, shape (n_points,)."""
        return np.array([point.score for point in self.points])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "model": self.model,
            **self.condition,
            "metric": self.metric,
            "by": self.by,
            "n_items": len(self.item_indexes),
            "n_items_total": self.n_items_total,
            "is_partial": self.is_partial,
            "chance": or_none(self.chance),
            "points": [point.to_dict() for point in self.points],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each point."""
        import pandas as pd

        rows = [
            {"model": self.model, **self.condition, "metric": self.metric}
            | {**point.to_dict(), "changes": "; ".join(map(str, point.changes))}
            for point in self.points
        ]
        return pd.DataFrame(rows).drop(columns=["train_seeds"], errors="ignore")


def histories(
    responses: pd.DataFrame,
    *,
    by: By = "step",
    metric: str | None = None,
    kind: Kind = "discrete",
    model: str | None = None,
    task: str | None = None,
    formulation: str | None = None,
    last: int | None = None,
    versions: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[History, ...]:
    """Return the history of each model at each task, in order of their names.

    By step, a point is a step, and of what was evaluated several times the last
    counts: of weights, and of settings. By date, a point is an evaluation: answers of
    one checkpoint less than 12 hours apart, of the same weights; points stand in the
    order of their time. A point's score is the mean over its training seeds, repeats
    and items.

    Scores are of the items that all points share, so that points can be compared:
    points that were asked less than half of the last point's items are left out, and
    of the others' items those that any of them lacks.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    by : {"step", "date"}
    metric : str, optional
        Instead of the task's own: a name in `scores.METRICS`, or lm-eval's
        ``metric,filter`` as stored.
    kind : {"discrete", "continuous"}
        Which of the task's own metrics; tasks that have none are left out.
    model, task, formulation : str, optional
        Only these.
    last : int, optional
        Only so many points of each, the last ones.
    versions : mapping of str to mapping, optional
        By attempt, the versions of packages, for what changed between points.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``, ``unknown-metric``; ``bad-n-last``: `last` is below 1;
        ``unknown-method``: of `by`.

    Notes
    -----
    Cautions: ``replaced-points``: evaluated again since; ``undated``: answers without a
    date, which have no place by date; ``other-points``: points of other items, left
    out; ``items-not-shared``; ``unscored-responses``; ``partial-run``;
    ``unequal-seeds``: points differ in their training seeds; ``negated``: less of the
    metric is better.
    """
    check_responses(responses)
    if by not in get_args(By):
        raise DesignError(
            f"points are by step or by date, not by {by!r}", code="unknown-method"
        )
    if last is not None and last < 1:
        raise DesignError(f"last is {last}; give 1 point or more", code="bad-n-last")
    wanted = np.ones(len(responses), dtype=bool)
    for name, value in (
        ("model", model),
        ("task", task),
        ("formulation", formulation),
    ):
        if value is not None:
            wanted &= (responses[name] == value).to_numpy(dtype=bool)
    if not wanted.any():
        raise DesignError(
            "there are no responses to make a history of; run the suite first",
            code="no-responses",
        )
    some = responses if wanted.all() else responses[wanted]
    codes, _ = some["attempt_id"].factorize()
    first = np.unique(codes, return_index=True)[1]
    columns = ["attempt_id", "model", "train_seed", "step", *CONDITION, *SETTINGS]
    attempts = some[[*columns, "weights_digest", "finished_at"]].iloc[first]
    attempts = attempts.assign(is_current=is_current(attempts)).reset_index(drop=True)
    place = np.full(len(attempts), -1, dtype=np.intp)
    courses = {}
    for key, part in _conditions(attempts):
        own, courses[key] = _course(part, by, last, versions or {})
        place[part.index.to_numpy()] = own
    point = place[codes]
    is_kept = point >= 0
    asked = asked_metrics(metric)
    some = some if is_kept.all() else some[is_kept]
    scored = score_responses(some, asked)[[*USED, "cluster", *asked]]
    return tuple(
        history
        for key, part in _conditions(scored.assign(point=point[is_kept]))
        for history in _history(key, part, courses[key], by, metric, kind)
    )


def no_histories(responses: pd.DataFrame, by: By) -> DesignError:
    """Return the complaint that these responses make no history."""
    if by == "date" and responses["finished_at"].isna().all():
        return DesignError(
            "no answer says when it was given, so that there is no order by date; "
            "take that of steps, by step",
            code="no-responses",
        )
    return DesignError("no task has a metric of that kind", code="unknown-metric")


def _conditions(
    rows: pd.DataFrame,
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return the rows of each model and condition, in order of their names."""
    names = ["model", *CONDITION]
    number = numbers_of(rows, names)
    keys = rows[names].iloc[first_of_each(number)]
    for n, key in enumerate(keys.itertuples(index=False)):
        yield tuple(map(plain, key)), rows[number == n]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What is known of a point before its scores are."""

    step: int | None
    when: dt.datetime | None
    settings: Mapping[str, str]
    weights: Mapping[int | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """The points of one model and condition."""

    points: tuple[_Settled, ...]
    cautions: tuple[Caution, ...]


def _course(
    part: pd.DataFrame,
    by: By,
    last: int | None,
    versions: Mapping[str, Mapping[str, str]],
) -> tuple[Codes, _Course]:
    """Return which point each attempt belongs to, -1 if none, and the points."""
    moments = part["finished_at"].to_numpy(dtype="datetime64[us]")
    names = ("step", "train_seed", "weights_digest", "attempt_id")
    steps, seeds, weights, ids = (list(map(plain, part[name])) for name in names)
    settings = list(zip(*(map(plain, part[name]) for name in SETTINGS), strict=True))
    # Those without a date stand first: what was dated since counts more.
    order = np.argsort(moments.view(np.int64), kind="stable").tolist()
    n_undated = int(np.isnat(moments).sum()) if by == "date" else 0
    if by == "step":
        current = part["is_current"].to_numpy()
        groups = _by_step([i for i in order if current[i]], steps)
    else:
        groups = _by_date(order[n_undated:], steps, seeds, weights, moments)
    place = np.full(len(part), -1, dtype=np.intp)
    n_replaced = len(part) - n_undated - sum(map(len, groups))
    points: list[_Settled] = []
    for members in groups[-last:] if last else groups:
        newest = members[-1]
        counted = [i for i in members if settings[i] == settings[newest]]
        n_replaced += len(members) - len(counted)
        place[counted] = len(points)
        named = dict(zip(SETTINGS, settings[newest], strict=True))
        points.append(
            _Settled(
                step=steps[newest],
                when=_moment(moments[newest]),
                settings={
                    SETTING_WORDS.get(name, name): _word(name, value)
                    for name, value in named.items()
                }
                | dict(versions.get(ids[newest], {})),
                weights={seeds[i]: weights[i] for i in counted},
            )
        )
    cautions = []
    if n_replaced:
        text = (
            f"{n_replaced} trials were evaluated again since, with other weights or "
            "settings, and are left out; by date each has a point"
        )
        cautions.append(Caution("replaced-points", text))
    if n_undated:
        text = (
            f"{n_undated} trials have no date and no place among those that do; take "
            "points by step"
        )
        cautions.append(Caution("undated", text))
    return place, _Course(points=tuple(points), cautions=tuple(cautions))


def _by_step(order: list[int], steps: list[int | None]) -> list[list[int]]:
    groups: dict[int | None, list[int]] = {}
    for i in order:
        groups.setdefault(steps[i], []).append(i)
    keys = sorted(groups, key=lambda step: (step is not None, step or 0))
    return [groups[key] for key in keys]


def _by_date(
    order: list[int],
    steps: list[int | None],
    seeds: list[int | None],
    weights: list[str | None],
    moments: npt.NDArray[np.datetime64],
) -> list[list[int]]:
    """Return the evaluations of each checkpoint, in the order of their ends."""
    groups: list[list[int]] = []
    under_way: dict[int | None, list[int]] = {}
    for i in order:
        group = under_way.get(steps[i])
        is_other = group is None or (
            moments[i] - moments[group[-1]] >= APART
            or any(seeds[j] == seeds[i] and weights[j] != weights[i] for j in group)
        )
        if group is None or is_other:
            group = under_way[steps[i]] = []
            groups.append(group)
        group.append(i)
    return sorted(groups, key=lambda group: moments[group[-1]])


def _moment(moment: np.datetime64) -> dt.datetime | None:
    if np.isnat(moment):
        return None
    at: dt.datetime = moment.astype("datetime64[us]").item()
    return at.replace(tzinfo=dt.UTC)


def _word(name: str, value: Any) -> str:
    if value is None:
        return "unset"
    return str(value)[:8] if name in DIGESTS else str(value)


def _history(
    key: tuple[Any, ...],
    part: pd.DataFrame,
    course: _Course,
    by: By,
    metric: str | None,
    kind: Kind,
) -> Iterator[History]:
    name = metric or default_metrics(part)[kind == "continuous"]
    if name is None:
        return
    values = metric_scores(part, name)
    if np.isnan(values).all():
        return
    place = part["point"].to_numpy()
    seed, train_seeds = ordered(part["train_seed"])
    item = numbers_of(part, ["item_index", "item_id"])
    indexes = part["item_index"].to_numpy(dtype=np.int64)[first_of_each(item)].tolist()
    draw = numbers_of(part, ["fewshot_seed", "sample_seed", "repeat"])
    shape = len(course.points), len(train_seeds), len(indexes)
    cells = _means(values, (place, seed, item), shape)
    asked = np.zeros((shape[0], shape[2]), dtype=bool)
    asked[place, item] = True
    scored: Flags = np.asarray(~np.isnan(cells).all(1))
    kept, shared, cautions = _comparable(asked, scored)
    is_counted = kept[place] & shared[item]
    runs = _means(
        values[is_counted],
        (place[is_counted], seed[is_counted], draw[is_counted]),
        (*shape[:2], int(draw.max()) + 1),
    )[kept]
    cells = cells[kept][:, :, shared]
    scores, by_seed = mean_of_known(cells, 1), mean_of_known(cells, 2)
    settled = [
        point for point, is_kept in zip(course.points, kept, strict=True) if is_kept
    ]
    n_items_total = int(part["n_items_total"].max())
    clusters = _clusters(part["cluster"], item, shared)
    if len({tuple(np.flatnonzero(~np.isnan(row))) for row in by_seed}) > 1:
        text = (
            "points are means over different training seeds, which moves them too; "
            "evaluate the same seeds at each"
        )
        cautions += (Caution("unequal-seeds", text),)
    names = dict(zip(("model", *CONDITION), key, strict=True))
    output_type = str(part["output_type"].iloc[0])
    choices = n_choices(part[part["status"] == "ok"])
    yield History(
        **names,
        metric=shown_name(part, name),
        by=by,
        points=_points(names["model"], settled, train_seeds, scores, by_seed, clusters),
        train_seeds=train_seeds,
        scores=scores,
        seed_scores=by_seed,
        run_scores=runs,
        weights=_weight_codes(settled, train_seeds, by_seed),
        item_indexes=tuple(
            i for i, is_kept in zip(indexes, shared, strict=True) if is_kept
        ),
        n_items_total=n_items_total,
        clusters=clusters,
        chance=mean_or_nan(chance_scores(name, output_type, choices)),
        cautions=(
            *course.cautions,
            *cautions,
            *negated(part, name),
            *partial_run(int(shared.sum()), n_items_total),
        ),
    )


def _clusters(column: pd.Series[Any], item: Codes, shared: Flags) -> Codes | None:
    """Return the cluster of each shared item; one without stands alone."""
    import pandas as pd

    own, names = pd.factorize(column)
    if not len(names):
        return None
    of_item = np.full(len(shared), -1, dtype=np.intp)
    is_known = own >= 0
    of_item[item[is_known]] = own[is_known]
    of_item = of_item[shared]
    alone = of_item < 0
    of_item[alone] = len(names) + np.arange(alone.sum())
    return np.unique(of_item, return_inverse=True)[1]


def _means(values: Floats, at: tuple[Codes, ...], shape: tuple[int, ...]) -> Floats:
    """Return the mean of the values in each cell; ``nan`` where there is none."""
    known = ~np.isnan(values)
    cell = np.ravel_multi_index(tuple(code[known] for code in at), shape)
    size = math.prod(shape)
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, values[known], minlength=size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.asarray(mean.reshape(shape))


def _comparable(
    asked: Flags, scored: Flags
) -> tuple[Flags, Flags, tuple[Caution, ...]]:
    """Return the points of the last one's items, and the items that all of them have.

    Parameters
    ----------
    asked, scored : ndarray of bool, shape (n_points, n_items)
    """
    last = asked[-1]
    kept = (asked & last).sum(1) * 2 >= last.sum()
    kept &= (scored & last).any(1)
    shared = last & scored[kept].all(0)
    cautions = []
    if n_other := int((~kept).sum()):
        text = (
            f"{n_other} of {len(kept)} points were asked less than half of the last "
            "one's items, or have no score, and are left out"
        )
        cautions.append(Caution("other-points", text))
    if n_apart := int((asked[kept].any(0) & ~shared).sum()):
        text = (
            f"{n_apart} of {asked[kept].any(0).sum()} items do not have a score at "
            "every point and are left out"
        )
        cautions.append(Caution("items-not-shared", text))
    return np.asarray(kept), np.asarray(shared), tuple(cautions)


def mean_of_known(values: Floats, axis: int) -> Floats:
    """Return means of what is not ``nan``; ``nan`` where nothing is."""
    known = ~np.isnan(values)
    n = known.sum(axis)
    total = np.where(known, values, 0).sum(axis)
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan))


def _points(
    model: str,
    settled: list[_Settled],
    train_seeds: tuple[int | None, ...],
    scores: Floats,
    by_seed: Floats,
    clusters: Codes | None,
) -> tuple[Point, ...]:
    n_items = scores.shape[1]
    means = mean_of_known(scores, 1)
    if clusters is not None:
        errors = se_by_codes(scores, clusters, kind="cr1")
    elif n_items > 1:
        errors = scores.std(1, ddof=1) / math.sqrt(n_items)
    else:
        errors = np.full(len(settled), np.nan)
    points = []
    before: Mapping[str, str] | None = None
    for k, point in enumerate(settled):
        has = ~np.isnan(by_seed[k])
        points.append(
            Point(
                place=k,
                model=model,
                when=point.when,
                step=point.step,
                train_seeds=tuple(
                    s for s, is_there in zip(train_seeds, has, strict=True) if is_there
                ),
                score=float(means[k]),
                se_items=float(errors[k]),
                n_items=n_items,
                changes=_changes(before, point.settings),
            )
        )
        before = point.settings
    return tuple(points)


def _changes(
    before: Mapping[str, str] | None, after: Mapping[str, str]
) -> tuple[Change, ...]:
    if before is None:
        return ()
    return tuple(
        Change(
            what=name, before=before.get(name, "unset"), after=after.get(name, "unset")
        )
        for name in dict.fromkeys([*before, *after])
        if before.get(name, "unset") != after.get(name, "unset")
    )


def _weight_codes(
    settled: list[_Settled], train_seeds: tuple[int | None, ...], by_seed: Floats
) -> Codes:
    """Return a number for each weights digest; -1 where a point lacks the seed."""
    known: dict[tuple[int | None, int | None, str], int] = {}
    out = np.full(by_seed.shape, -1, dtype=np.intp)
    for k, point in enumerate(settled):
        for s, train_seed in enumerate(train_seeds):
            digest = point.weights.get(train_seed)
            if digest is not None and not np.isnan(by_seed[k, s]):
                key = (train_seed, point.step, digest)
                out[k, s] = known.setdefault(key, len(known))
    return out
