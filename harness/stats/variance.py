"""How much of each benchmark's score is noise? The variance table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import CONDITION, SETTINGS, check_responses
from harness.records import digest
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import (
    HALL,
    WILSON,
    is_binary,
    mean_intervals,
    standard_error,
)
from harness.stats.ranks import RankMethod, monotonicity
from harness.stats.scores import (
    METRICS,
    UNKNOWN_METRIC,
    chance_scores,
    default_metrics,
    metric_scores,
    n_choices,
    score_responses,
)
from harness.stats.series import last_seed_sd, last_step, seed_sd, signal_to_noise

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

SETTING_WORDS = {
    "task_digest": "task",
    "template_digest": "template",
    "batch_size": "batch size",
    "max_length": "max length",
}
"""How settings are called in words, where not by their own name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Scores of one metric by training seed and step.

    Attributes
    ----------
    metric : str
        Which score: ``acc``, ``prob_correct``, …
    train_seeds, steps : tuple
        The rows and the columns, ascending; ``None`` where a checkpoint names none.
    scores : ndarray, shape (n_seeds, n_steps)
        Mean over items; ``nan`` where that checkpoint was not evaluated.
    half_widths : ndarray, shape (n_seeds, n_steps)
        Half the interval over items, in the units of `scores`.
    """

    metric: str
    train_seeds: tuple[int | None, ...]
    steps: tuple[int | None, ...]
    scores: Floats
    half_widths: Floats

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "metric": self.metric,
            "train_seeds": list(self.train_seeds),
            "steps": list(self.steps),
            "scores": _nested(self.scores),
            "half_widths": _nested(self.half_widths),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricVariance:
    """What one metric of one task shows for one model."""

    metric: str
    curve: Curve
    mean: Estimate
    """µ: mean over seeds at the last checkpoint; its interval is over items."""

    item_half_width: Estimate
    """Half the interval over items, averaged over seeds and checkpoints."""

    item_se_last: Estimate
    """Standard error over items of one checkpoint, the last, averaged over seeds."""

    seed_sd: Estimate
    """E of the paper: SD over seeds at each checkpoint, averaged over checkpoints."""

    seed_sd_last: Estimate
    """SD over seeds at the last checkpoint: the spread of what `mean` averages."""

    snr: Estimate
    """µ over the SD between seeds, both at the last checkpoint."""

    snr_above_chance: Estimate
    """(µ - chance) over that SD: does not move when the scale is shifted."""

    monotonicity: Estimate
    """Rank correlation of score and step, per seed, averaged over seeds."""

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All estimates, in the order of the table."""
        return (
            self.mean,
            self.item_half_width,
            self.item_se_last,
            self.seed_sd,
            self.seed_sd_last,
            self.snr,
            self.snr_above_chance,
            self.monotonicity,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "metric": self.metric,
            "curve": self.curve.to_dict(),
            **{estimate.quantity: estimate.to_dict() for estimate in self.estimates},
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskVariance:
    """One row of the variance table: a model, under one condition and settings."""

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
    """How this row differs from others of its model and condition, such as ``dtype
    float16, batch size 32``; empty where there is no other."""

    n_items: int
    """Items put to the models; an estimate's `n` says how many it could use."""

    n_items_total: int
    """Items that the task holds."""

    items_digest: str
    """Digest of the items; equal where two rows ask the same questions."""

    n_seeds: int
    """Training seeds that count as replicates."""

    n_checkpoints: int
    """Distinct steps."""

    chance: float
    """Expected discrete score of a guesser; ``nan`` where there is no such level."""

    discrete: MetricVariance
    continuous: MetricVariance | None
    """``None`` where no likelihood was stored."""

    cautions: tuple[Caution, ...] = ()
    """What concerns the data; each estimate carries its own besides."""

    @property
    def is_partial(self) -> bool:
        """Whether fewer items than the task holds were put to the models."""
        return self.n_items < self.n_items_total

    @property
    def all_cautions(self) -> tuple[Caution, ...]:
        """The row's and its estimates' cautions, each text once."""
        parts = [self.discrete] + ([self.continuous] if self.continuous else [])
        estimates = (e for part in parts for e in part.estimates)
        return tuple(
            dict.fromkeys([*self.cautions, *(c for e in estimates for c in e.cautions)])
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "model": self.model,
            **{name: getattr(self, name) for name in (*CONDITION, *SETTINGS)},
            "settings": self.settings,
            "n_items": self.n_items,
            "n_items_total": self.n_items_total,
            "is_partial": self.is_partial,
            "items_digest": self.items_digest,
            "n_seeds": self.n_seeds,
            "n_checkpoints": self.n_checkpoints,
            "chance": None if math.isnan(self.chance) else self.chance,
            "discrete": self.discrete.to_dict(),
            "continuous": self.continuous.to_dict() if self.continuous else None,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def variance_table(
    responses: pd.DataFrame,
    *,
    ddof: int = 1,
    confidence_level: float = 0.95,
    rank_method: RankMethod = "tau-b",
    discrete: str | None = None,
    continuous: str | None = None,
    task: str | None = None,
) -> tuple[TaskVariance, ...]:
    """Return a row for each model and condition, in the order of their names.

    Answers under different settings are not pooled: they have a row each. Of a
    checkpoint with several weights, whose files were overwritten and evaluated again,
    the answers of the weights evaluated last count, for every task.

    Repeats, few-shot seeds and sample seeds of an item are averaged first. Scores of
    checkpoints are then means over the items that all of them have scored; a
    checkpoint of which no answer could be scored counts as not evaluated. Items are
    told apart by their place in the task, so that a question that it holds twice
    counts twice, as in lm-eval.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`.
    ddof : {1, 0}
        Subtracted from the number of seeds in the denominator of each SD.
    confidence_level : float
        Of every interval; above 0 and below 1.
    rank_method : {"tau-b", "tau-a", "spearman"}
        Which rank correlation monotonicity is.
    discrete, continuous : str, optional
        Metrics instead of the task's own: a name in `scores.METRICS`, or lm-eval's
        ``metric,filter`` as stored.
    task : str, optional
        Only rows of this task; which weights count is judged by all `responses`.

    Raises
    ------
    SchemaError
        ``missing-columns``.
    DesignError
        ``no-responses``, ``unknown-metric``, ``bad-confidence-level``, ``bad-ddof``,
        ``unknown-method``.

    Notes
    -----
    Cautions of a row: ``mixed-settings``, ``replaced-weights``, ``identical-seeds``,
    ``identical-checkpoints``, ``missing-checkpoints``, ``unequal-repeats``. Of an
    estimate: ``items-not-shared``, ``unscored-responses``, ``unscored-checkpoints``,
    ``no-shared-items``, ``constant-over-items`` and those of `harness.stats.series`.
    """
    check_responses(responses)
    if not 0 < confidence_level < 1:
        raise DesignError(
            f"the confidence level is {confidence_level}; it must be above 0 and "
            "below 1, such as 0.95",
            code="bad-confidence-level",
        )
    responses = responses.assign(is_current=_is_current(responses))
    if task is not None:
        responses = responses[responses["task"] == task]
    if len(responses) == 0:
        raise DesignError(
            "there are no responses to summarise; run the suite first",
            code="no-responses",
        )
    scored = score_responses(responses)
    options = _Options(ddof, confidence_level, rank_method, discrete, continuous)
    conditions = scored.groupby(["model", *CONDITION], sort=True, observed=True)
    return tuple(
        row for key, part in conditions for row in _condition_rows(key, part, options)
    )


def variance_frame(rows: Iterable[TaskVariance]) -> pd.DataFrame:
    """Return the variance table as a tidy frame: a row for each `TaskVariance`.

    Columns: ``model``, ``task``, ``formulation``, ``num_fewshot``, ``template``,
    ``generation``, ``settings``, ``n_items``, ``chance``, ``metric_discrete``,
    ``metric_continuous``, ``mean``, ``low``, ``high``, ``seed_sd_last``, ``seed_sd``,
    ``item_half_width``, ``item_se_last``, ``snr_discrete``, ``snr_continuous``,
    ``snr_above_chance``, ``monotonicity_discrete``, ``monotonicity_continuous``,
    ``n_seeds``, ``n_checkpoints``, ``cautions`` (codes, separated by spaces). Where no
    metric is named, the discrete one is meant.
    """
    import pandas as pd

    return pd.DataFrame([_flat(row) for row in rows], columns=list(_COLUMNS))


def formulation_pairs(
    rows: Iterable[TaskVariance],
) -> tuple[tuple[TaskVariance, TaskVariance], ...]:
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


_COLUMNS = (
    "model",
    *CONDITION,
    "settings",
    "n_items",
    "chance",
    "metric_discrete",
    "metric_continuous",
    "mean",
    "low",
    "high",
    "seed_sd_last",
    "seed_sd",
    "item_half_width",
    "item_se_last",
    "snr_discrete",
    "snr_continuous",
    "snr_above_chance",
    "monotonicity_discrete",
    "monotonicity_continuous",
    "n_seeds",
    "n_checkpoints",
    "cautions",
)


@dataclass(frozen=True, slots=True)
class _Options:
    ddof: int
    confidence_level: float
    rank_method: RankMethod
    discrete: str | None
    continuous: str | None


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
    """Of each place in the task; a question that stands in two is there twice."""

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


def _is_current(responses: pd.DataFrame) -> Flags:
    """Tell answers of the weights evaluated last from those of weights since replaced.

    A checkpoint goes by its name, and its files may be overwritten: then the store has
    answers of several weights under one name, which must not be averaged.
    """
    name = ["model", "train_seed", "step"]
    checkpoint, weights = (
        responses.groupby(columns, dropna=False, observed=True)
        .ngroup()
        .to_numpy(dtype=np.intp)
        for columns in (name, [*name, "weights_digest"])
    )
    moment = responses["finished_at"].to_numpy(dtype="datetime64[us]").view(np.int64)
    # In the order of time, so that the weights evaluated last are written last.
    order = np.lexsort((weights, moment))
    last = np.zeros(checkpoint.max(initial=-1) + 1, dtype=np.intp)
    last[checkpoint[order]] = weights[order]
    return np.asarray(weights == last[checkpoint])


def _condition_rows(
    key: tuple[Any, ...], part: pd.DataFrame, options: _Options
) -> Iterable[TaskVariance]:
    """Return the rows of one model and condition, one for each of the settings."""
    identity = dict(zip(("model", *CONDITION), map(_plain, key), strict=True))
    cautions: tuple[Caution, ...] = ()
    current = part[part["is_current"]]
    if len(current) < len(part):
        cautions = (_replaced(part[~part["is_current"]], is_all=current.empty),)
    groups = list(
        (part if current.empty else current).groupby(
            list(SETTINGS), sort=True, observed=True, dropna=False
        )
    )
    settings = [tuple(map(_plain, values)) for values, _ in groups]
    varied = [len(set(values)) > 1 for values in zip(*settings, strict=True)]
    names = [SETTING_WORDS.get(name, name) for name in SETTINGS]
    if any(varied):
        text = (
            f"answers under other settings ({', '.join(compress(names, varied))}) "
            "stand in rows of their own; scores may differ for that reason alone"
        )
        cautions += (Caution("mixed-settings", text),)
    for values, (_, group) in zip(settings, groups, strict=True):
        words = map(_setting, names, values)
        yield _task_variance(
            {
                **identity,
                **dict(zip(SETTINGS, values, strict=True)),
                "settings": ", ".join(compress(words, varied)),
            },
            group,
            cautions,
            options,
        )


def _replaced(old: pd.DataFrame, *, is_all: bool) -> Caution:
    n = len(old[["train_seed", "step"]].drop_duplicates())
    checkpoints = "1 checkpoint was" if n == 1 else f"{n} checkpoints were"
    rest = ", and there is no other; run the suite again" if is_all else ""
    return Caution(
        "replaced-weights",
        f"{checkpoints} evaluated again with other weights; {len(old)} older "
        f"{'answer is' if len(old) == 1 else 'answers are'} left out{rest}",
    )


def _plain(value: Any) -> Any:
    """Return a name or a number of a row as Python's own; ``None`` for null."""
    import pandas as pd

    if pd.isna(value):
        return None
    return value if isinstance(value, str) else int(value)


def _setting(name: str, value: Any) -> str:
    if value is None:
        return f"{name} unset"
    is_digest = name in ("task", "template")
    return f"{name} {value[:8] if is_digest else value}"


def _task_variance(
    identity: dict[str, Any],
    part: pd.DataFrame,
    cautions: tuple[Caution, ...],
    options: _Options,
) -> TaskVariance:
    own_discrete, own_continuous = default_metrics(part)
    discrete = own_discrete if options.discrete is None else options.discrete
    continuous = own_continuous if options.continuous is None else options.continuous
    design = _design(part)
    is_current = part["is_current"].to_numpy()
    tables = {
        name: design.item_scores(
            np.where(is_current, metric_scores(part, name), np.nan)
        )
        for name in (discrete, continuous)
        if name is not None
    }
    if continuous is not None and np.isnan(tables[continuous][0]).all():
        continuous = None
    kept, twins = _distinct_seeds(tables[continuous or discrete][0], design.train_seeds)
    cautions += twins
    cautions += _grid_cautions(tables[discrete][1][kept], design, kept)
    cautions += _repeat_cautions(design)
    # Of items with several right answers lm-eval keeps the score, not their number.
    choices = n_choices(part[part["status"] == "ok"])
    output_type = str(part["output_type"].iloc[0])

    def summary(metric: str) -> tuple[MetricVariance, float]:
        chance = _mean_or_nan(chance_scores(metric, output_type, choices))
        table, asked = tables[metric]
        seeds = tuple(design.train_seeds[i] for i in kept)
        return (
            _metric_variance(
                metric, table[kept], asked[kept], seeds, design.steps, chance, options
            ),
            chance,
        )

    first, chance = summary(discrete)
    return TaskVariance(
        **identity,
        n_items=design.n_items,
        n_items_total=int(part["n_items_total"].max()),
        items_digest=digest(sorted(design.item_ids)),
        n_seeds=len(kept),
        n_checkpoints=len(design.steps),
        chance=chance,
        discrete=first,
        continuous=None if continuous is None else summary(continuous)[0],
        cautions=cautions,
    )


def _metric_variance(
    metric: str,
    table: Floats,
    asked: Flags,
    train_seeds: tuple[int | None, ...],
    steps: tuple[int | None, ...],
    chance: float,
    options: _Options,
) -> MetricVariance:
    """Summarise (seeds, steps, items) scores of one metric."""
    level = options.confidence_level
    shared, evaluated, cautions = _shared_items(table, asked)
    bounds = METRICS.get(metric, UNKNOWN_METRIC)
    limits = (bounds.low, bounds.high)
    n = int(shared.sum())
    shape = table.shape[:2]
    scores, half_widths = np.full(shape, np.nan), np.full(shape, np.nan)
    cells = table[evaluated][:, shared]
    if n:
        low, high = mean_intervals(cells, confidence_level=level, bounds=limits)
        scores[evaluated] = cells.mean(-1)
        half_widths[evaluated] = (high - low) / 2
    curve = Curve(
        metric=metric,
        train_seeds=train_seeds,
        steps=steps,
        scores=scores,
        half_widths=half_widths,
    )
    column, last_cautions = last_step(scores) if n else (0, ())
    last = scores[:, column]
    here = ~np.isnan(last)
    if n:
        over_seeds = table[here, column][:, shared].mean(0)
        mean = _mean_estimate(over_seeds, level, limits)
        width = _width_estimate(half_widths, is_binary(cells), n, level)
        error = _last_error(half_widths[here, column], n, level)
    else:
        nothing = Caution(
            "no-shared-items",
            "no item was scored at every checkpoint; evaluate the same items on each",
        )
        mean, width, error = (
            undefined(q, n=0, method="mean", code=nothing.code, text=nothing.text)
            for q in ("mean", "item_half_width", "item_se_last")
        )

    def with_cautions(estimate: Estimate, *more: Caution) -> Estimate:
        return replace(estimate, cautions=(*estimate.cautions, *more, *cautions))

    def ratio(quantity: str, above: float | None) -> Estimate:
        return signal_to_noise(
            last,
            above=above,
            ddof=options.ddof,
            confidence_level=level,
            quantity=quantity,
        )

    return MetricVariance(
        metric=metric,
        curve=curve,
        mean=with_cautions(mean, *last_cautions),
        item_half_width=with_cautions(width),
        item_se_last=with_cautions(error, *last_cautions),
        seed_sd=with_cautions(
            seed_sd(scores, ddof=options.ddof, confidence_level=level)
        ),
        seed_sd_last=with_cautions(
            last_seed_sd(last, ddof=options.ddof, confidence_level=level),
            *last_cautions,
        ),
        snr=with_cautions(ratio("snr", None), *last_cautions),
        snr_above_chance=with_cautions(
            ratio("snr_above_chance", chance), *last_cautions
        ),
        monotonicity=with_cautions(monotonicity(scores, method=options.rank_method)),
    )


def _mean_estimate(
    items: Floats, confidence_level: float, bounds: tuple[float, float]
) -> Estimate:
    low, high = mean_intervals(items, confidence_level=confidence_level, bounds=bounds)
    n = len(items)
    cautions = _width_cautions(np.isnan(low), n)
    method = WILSON if is_binary(items) else HALL
    return Estimate(
        quantity="mean",
        value=float(items.mean()),
        se=float(items.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan,
        interval=Interval(float(low), float(high)),
        confidence_level=confidence_level,
        n=n,
        method=f"mean over seeds at the last checkpoint; {method}",
        cautions=cautions,
    )


def _width_estimate(
    half_widths: Floats,
    binary: Flags,
    n: int,
    confidence_level: float,
) -> Estimate:
    known = half_widths[~np.isnan(half_widths)]
    names = [WILSON] * bool(binary.any()) + [HALL] * (not binary.all())
    method = f"mean over checkpoints of half the {' or '.join(names)}"
    cautions = _width_cautions(np.array(len(known) < len(binary)), n)
    if not len(known):
        return undefined(
            "item_half_width",
            n=n,
            method=method,
            code=cautions[0].code,
            text=cautions[0].text,
        )
    return Estimate(
        quantity="item_half_width",
        value=float(known.mean()),
        confidence_level=confidence_level,
        n=n,
        method=method,
        cautions=cautions,
    )


def _last_error(half_widths: Floats, n: int, confidence_level: float) -> Estimate:
    errors = standard_error(half_widths, confidence_level=confidence_level)
    known = errors[~np.isnan(errors)]
    method = (
        "half the interval over items, over the normal quantile; mean over seeds at "
        "the last checkpoint"
    )
    cautions = _width_cautions(np.array(len(known) < len(errors)), n)
    return Estimate(
        quantity="item_se_last",
        value=_mean_or_nan(known),
        confidence_level=confidence_level,
        n=n,
        method=method,
        cautions=cautions,
    )


def _width_cautions(is_missing: Flags, n: int) -> tuple[Caution, ...]:
    if not is_missing.any():
        return ()
    return (
        Caution(
            "constant-over-items",
            f"{n} item{'s' if n > 1 else ''} with one and the same score tell nothing "
            "of the spread over items; more items would",
        ),
    )


def _design(part: pd.DataFrame) -> _Design:
    seed, train_seeds = _ordered(part["train_seed"])
    step, steps = _ordered(part["step"])
    items = part.groupby(["item_index", "item_id"], sort=True)
    item: Codes = np.asarray(items.ngroup(), dtype=np.intp)
    ids = items.size().index.get_level_values("item_id")
    draws = part.groupby(["fewshot_seed", "sample_seed", "repeat"]).ngroup()
    draw: Codes = np.asarray(draws, dtype=np.intp)
    return _Design(seed, step, item, draw, train_seeds, steps, tuple(ids))


def _ordered(column: pd.Series[Any]) -> tuple[Codes, tuple[int | None, ...]]:
    """Return codes and ascending values of a nullable column; null stands first."""
    codes, values = column.factorize(sort=True)
    if not (codes < 0).any():
        return codes, tuple(int(value) for value in values)
    return codes + 1, (None, *(int(value) for value in values))


def _distinct_seeds(
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


def _shared_items(
    table: Floats, asked: Flags
) -> tuple[Flags, Flags, tuple[Caution, ...]]:
    """Return the items that all evaluated checkpoints scored, and which those are."""
    cautions = []
    put = asked.any(-1)
    scored: Flags = ~np.isnan(table)
    evaluated: Flags = np.asarray(scored.any(axis=-1))
    if n_empty := int((put & ~evaluated).sum()):
        cautions.append(
            Caution(
                "unscored-checkpoints",
                f"{n_empty} of {put.sum()} checkpoints have no answer that could be "
                "scored, and count as not evaluated",
            )
        )
    common: Flags = np.asarray(asked[evaluated].all(axis=0))
    shared: Flags = np.asarray(scored[evaluated].all(axis=0) & evaluated.any())
    if n_apart := int((~common).sum()):
        cautions.append(
            Caution(
                "items-not-shared",
                f"{n_apart} of {len(common)} items were not put to every checkpoint "
                "and are left out",
            )
        )
    if n_unscored := int((asked & ~scored)[evaluated].sum()):
        cautions.append(
            Caution(
                "unscored-responses",
                f"{n_unscored} answers could not be scored; "
                f"{(common & ~shared).sum()} items are left out at all checkpoints",
            )
        )
    return shared, evaluated, tuple(cautions)


def _mean_or_nan(values: Floats) -> float:
    known = np.sort(values[~np.isnan(values)])
    return float(known.mean()) if len(known) else math.nan


def _asks(row: TaskVariance) -> tuple[Any, ...]:
    names = {*CONDITION, *SETTINGS} - {"task", "task_digest", "formulation"}
    same = (getattr(row, name) for name in sorted(names))
    return row.model, row.items_digest, *same


def _nested(values: Floats) -> list[list[float | None]]:
    return [[None if v != v else v for v in line] for line in values.tolist()]


def _flat(row: TaskVariance) -> dict[str, Any]:
    discrete, continuous = row.discrete, row.continuous
    return {
        "model": row.model,
        **{name: getattr(row, name) for name in CONDITION},
        "settings": row.settings,
        "n_items": row.n_items,
        "chance": row.chance,
        "metric_discrete": discrete.metric,
        "metric_continuous": continuous.metric if continuous else None,
        "mean": discrete.mean.value,
        "low": discrete.mean.interval.low,
        "high": discrete.mean.interval.high,
        "seed_sd_last": discrete.seed_sd_last.value,
        "seed_sd": discrete.seed_sd.value,
        "item_half_width": discrete.item_half_width.value,
        "item_se_last": discrete.item_se_last.value,
        "snr_discrete": discrete.snr.value,
        "snr_continuous": continuous.snr.value if continuous else math.nan,
        "snr_above_chance": discrete.snr_above_chance.value,
        "monotonicity_discrete": discrete.monotonicity.value,
        "monotonicity_continuous": (
            continuous.monotonicity.value if continuous else math.nan
        ),
        "n_seeds": row.n_seeds,
        "n_checkpoints": row.n_checkpoints,
        "cautions": " ".join(dict.fromkeys(c.code for c in row.all_cautions)),
    }
