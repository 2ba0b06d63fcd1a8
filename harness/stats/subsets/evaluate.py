"""Does a subset agree with the full set, on models that it was not chosen by?"""

from __future__ import annotations

import math
import zlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.adaptive import adaptive_test
from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.intervals import HALL, check_level, mean_intervals
from harness.stats.irt.information import blocks
from harness.stats.subsets.calibrate import Calibration, calibrate
from harness.stats.subsets.choose import (
    RNGLike,
    SeedLike,
    SubsetMethod,
    check_size,
    choose_subset,
)
from harness.stats.subsets.estimate import NO_INTERVAL, Estimator, estimate_full
from harness.stats.subsets.held_out import FEW_GROUPS, HeldOut
from harness.stats.subsets.quality import (
    MEASURES,
    Method,
    SubsetEvaluation,
    SubsetQuality,
)

Floats = npt.NDArray[np.float64]

METHODS: dict[Method, tuple[Estimator, ...]] = {
    "random": ("weighted",),
    "stratified": ("weighted",),
    "anchors-correct": ("weighted",),
    "anchors-irt": ("weighted", "p-irt", "gp-irt"),
    "information": ("p-irt",),
    "adaptive": ("p-irt",),
}
"""What is compared where the caller does not say; ``random`` is the control."""

DRAWN = ("random", "stratified")
"""Methods of which many draws are taken: their luck is part of the answer."""

HELD_OUT = "respondents held out"

MOST_DRAWS = 100_000
"""More would not narrow what they tell, and fill the memory."""

TINY = 1e-12
"""Scores that differ by such a part of themselves are the same, summed otherwise."""

TOLERATED = 0.05
"""How far below its level an interval may fall among those held out."""

INTERVALS = ("half_width", "item_half_width", "coverage")

WHY_UNDEFINED = {
    **dict.fromkeys(INTERVALS, NO_INTERVAL[0]),
    "seed_sd": Caution(
        "one-seed",
        "needs 2 training seeds of a model held out together; hold out whole models, "
        "of which one has 2 seeds",
    ),
    "monotonicity": Caution(
        "one-checkpoint",
        "needs at least 2 checkpoints of one training run, with different scores",
    ),
    "rank_correlation": Caution(
        "one-model", "needs at least 2 models, with different scores"
    ),
}
"""What a measure lacks that is not defined for held-out respondents such as these."""

NO_VALIDATION = Caution(
    "no-validation",
    "too few groups are left to calibrate by: to see how wrong the model is on others, "
    "a fifth of them, at least 1, is kept back, and 5 training runs are needed beside; "
    "add models",
)


def evaluate_subsets(
    scores: Floats,
    sizes: Sequence[int],
    *,
    models: Sequence[str],
    train_seeds: Sequence[int | None],
    steps: Sequence[int | None],
    groups: Sequence[Hashable] | None = None,
    methods: Mapping[Method, Sequence[Estimator]] = METHODS,
    strata: Sequence[str] | None = None,
    n_draws: int = 200,
    confidence_level: float = 0.95,
    rng: RNGLike | SeedLike | None = None,
) -> SubsetEvaluation:
    """Judge subset methods on models that they were not fitted on, against chance.

    Groups of respondents, which are models, are held out in five parts; fewer than 8
    groups one by one. For each part the items are chosen, and calibrated, on the
    others alone; then the full scores of those held out are estimated from their
    answers to the subset. What a random subset of the same size does is told beside,
    over `n_draws` draws.

    Parameters
    ----------
    scores : ndarray, shape (n_respondents, n_items)
        ``nan`` where there is none: items that not all have scored are left out.
    sizes : sequence of int
        How many items the subsets have.
    models, train_seeds, steps : sequence, one for each respondent
        Who answered: checkpoints of training runs.
    groups : sequence, optional
        Respondents with the same label are held out together. By default those of one
        model; if there is one only, those of one training run, a model and a training
        seed. Where runs are groups, other seeds of a model help to choose the items
        that it is judged by, and chosen items look better than on a new model. Runs
        of a model are in the same part as far as they go.
    methods : mapping of method to estimators, optional
        See `choose_subset` and `estimate_full`; and ``adaptive``, by which each
        respondent is asked items of its own, see `adaptive_test`. ``random``, with its
        plain mean, is added where it is not among them.
    strata : sequence of str, optional
        A label for each item, such as its subtask, for ``stratified``.
    n_draws : int
        Subsets drawn where drawing is the method; 5 must lie beyond either end of an
        interval, so at least 200 at 95 %.

    Raises
    ------
    DesignError
        ``subset-size``, ``too-few-respondents`` (fewer than 2 groups),
        ``duplicate-checkpoint``, ``unequal-lengths``, ``unknown-method``,
        ``too-few-resamples``, ``bad-count`` (too many draws), ``bad-confidence-level``.

    Notes
    -----
    Items are calibrated with training runs counted as independent respondents; the
    groups that a calibration keeps back, to see how wrong it is, are those held out.

    Cautions of the whole: ``items-not-shared``, ``few-groups``,
    ``seeds-on-both-sides``, and those of `calibrate`. Of an estimate: ``one-seed``,
    ``one-checkpoint``, ``one-model``, ``no-interval``, ``no-validation``,
    ``few-models``, ``low-coverage``; and, where the items could not be calibrated, the
    code of the error that says why. No measure is defined where a respondent held out
    has no estimate. Draws do not depend on which methods or sizes are asked for.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), section 5, without the control.
    """
    rng = np.random.default_rng(rng)
    rows_of = {"models": models, "train_seeds": train_seeds, "steps": steps}
    check_level(confidence_level)
    if unknown := [name for name in methods if name not in METHODS]:
        raise DesignError(
            f"there is no subset method {unknown[0]!r}; choose one of "
            f"{', '.join(METHODS)}",
            code="unknown-method",
        )
    _check_draws(n_draws, (1 - confidence_level) / 2)
    _check_lengths(scores.shape, {**rows_of, "groups": groups}, strata)
    entropy = int(rng.integers(2**63))
    is_shared = np.asarray(np.isfinite(scores).all(axis=0))
    cautions = _left_out(is_shared)
    if strata is not None:
        strata = list(compress(strata, is_shared))
    for size in sizes:
        check_size(size, int(is_shared.sum()))
    table = np.ascontiguousarray(scores[:, is_shared])
    who = HeldOut.of(models, train_seeds, steps, groups, rng)
    if who.n_groups < FEW_GROUPS:
        text = (
            f"{who.n_groups} groups are held out one by one; {FEW_GROUPS} are needed "
            "for intervals over models"
        )
        cautions += (Caution("few-groups", text),)
    if who.n_models_split:
        text = (
            f"training runs of {who.n_models_split} of {who.n_models} models are on "
            "both sides, held out and chosen by; seeds of a model are alike, which "
            "flatters chosen items: hold out whole models, of which it takes 2"
        )
        cautions += (Caution("seeds-on-both-sides", text),)
    full = table.mean(1)
    low, high = mean_intervals(table, confidence_level=confidence_level)
    design = Design(
        table=table,
        who=who,
        full=full,
        full_half_width=(high - low) / 2,
        strata=strata,
        n_draws=n_draws,
        confidence_level=confidence_level,
        entropy=entropy,
    )
    asked: dict[Method, Sequence[Estimator]] = {"random": ("weighted",)}
    asked |= methods
    pairs = [(method, e) for method, each in asked.items() for e in each]
    calibrations = None
    if any(
        _needs_model(method, e) or (e == "weighted" and method not in DRAWN)
        for method, e in pairs
    ):
        calibrations = _calibrations(design)
    if isinstance(calibrations, list):
        cautions += _first_of_each(calibrations)
    rows = [_reference(design)]
    for size in sizes:
        rows += _rows(design, asked, size, calibrations)
    return SubsetEvaluation(
        rows=tuple(rows),
        full=full,
        fold=who.fold,
        groups=who.group,
        unit=who.unit,
        n_items_total=table.shape[1],
        n_groups=who.n_groups,
        n_folds=who.n_folds,
        confidence_level=confidence_level,
        cautions=cautions,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """What is judged, and how: respondents, their folds, draws, levels."""

    table: Floats
    who: HeldOut
    full: Floats
    full_half_width: Floats
    strata: Sequence[str] | None
    n_draws: int
    confidence_level: float
    entropy: int


def _check_draws(n_draws: int, tail: float) -> None:
    needed = math.ceil(round(5 / tail, 6))
    if n_draws > MOST_DRAWS:
        raise DesignError(
            f"{n_draws:,} draws are asked for; give at most {MOST_DRAWS:,}",
            code="bad-count",
        )
    if n_draws < needed:
        raise DesignError(
            f"{n_draws} draws leave fewer than 5 beyond either end of a "
            f"{1 - 2 * tail:.4g} interval; draw at least {needed}",
            code="too-few-resamples",
        )


def _check_lengths(
    shape: tuple[int, ...],
    labels: Mapping[str, Sequence[Hashable] | None],
    strata: Sequence[str] | None,
) -> None:
    wanted = {**dict.fromkeys(labels, shape[0]), "strata": shape[1]}
    for name, given in {**labels, "strata": strata}.items():
        if given is not None and len(given) != wanted[name]:
            raise DesignError(
                f"{len(given)} {name} were given, {wanted[name]} are needed: one for "
                f"each {'item' if name == 'strata' else 'respondent'}",
                code="unequal-lengths",
            )


def _left_out(is_shared: npt.NDArray[np.bool_]) -> tuple[Caution, ...]:
    if is_shared.all():
        return ()
    text = (
        f"{(~is_shared).sum()} of {len(is_shared)} items were not scored for every "
        "respondent and are left out"
    )
    return (Caution("items-not-shared", text),)


def _needs_model(method: Method, estimator: Estimator) -> bool:
    return estimator in ("p-irt", "gp-irt") or method in (
        "anchors-irt",
        "information",
        "adaptive",
    )


def _calibrations(design: Design) -> list[Calibration] | DesignError:
    """Return the items of each fold, calibrated on the others; or why they are not."""
    who = design.who
    known = [who.fold != fold for fold in range(who.n_folds)]
    try:
        return [
            calibrate(
                design.table[k], groups=who.group[k].tolist(), runs=who.run[k].tolist()
            )
            for k in known
        ]
    except DesignError as error:
        return error


def _first_of_each(calibrations: list[Calibration]) -> tuple[Caution, ...]:
    """Return the cautions of all folds, each code once."""
    first: dict[str, Caution] = {}
    for caution in (c for each in calibrations for c in each.cautions):
        first.setdefault(caution.code, caution)
    return tuple(first.values())


def _rows(
    design: Design,
    asked: Mapping[Method, Sequence[Estimator]],
    size: int,
    calibrations: list[Calibration] | DesignError | None,
) -> Iterator[SubsetQuality]:
    """Yield the rows of one size, random subsets first: the others' control."""
    control = np.empty(0)
    failure = models = None
    if isinstance(calibrations, DesignError):
        failure = Caution(calibrations.code, str(calibrations))
    else:
        models = calibrations
    for method, estimators in asked.items():
        usable = [e for e in estimators if not (failure and _needs_model(method, e))]
        found = {}
        if usable and method == "adaptive":
            found = _adaptive_estimates(design, usable, size, models or [])
        elif usable and method != "adaptive":
            found = _estimates(design, method, usable, size, models)
        for estimator in estimators:
            draws, every = found.get(estimator) or _no_estimates(design)
            why = WHY_UNDEFINED
            if failure:
                which = INTERVALS if estimator in found else MEASURES
                why = {**WHY_UNDEFINED, **dict.fromkeys(which, failure)}
            elif np.isnan(draws[:, 0]).any():
                why = dict.fromkeys(MEASURES, NO_VALIDATION)
            row, mae = quality(design, method, estimator, size, draws, every, why)
            if len(control) == 0:
                control = mae
                yield row
                continue
            yield replace(row, beats_random=share_beaten(mae, control))


def share_beaten(errors: Floats, control: Floats) -> float:
    """Return the share of pairs in which the control's error is larger, ties by half.

    ``nan`` where an error is.
    """
    wins = (control > errors[:, None]) + (control == errors[:, None]) / 2
    return float(np.where(np.isnan(errors[:, None]), np.nan, wins).mean())


def _no_estimates(design: Design) -> tuple[Floats, Floats]:
    shape = design.who.n_folds, len(design.table)
    return np.full((1, 3, shape[1]), np.nan), np.full((3, *shape), np.nan)


def _reference(design: Design) -> SubsetQuality:
    """Return the row of the full set, by which the others are judged."""
    full = np.broadcast_to(design.full, (3, design.who.n_folds, len(design.full)))
    size = design.table.shape[1]
    return quality(
        design, "full", "weighted", size, full[None, :, 0], full, WHY_UNDEFINED
    )[0]


def _estimates(
    design: Design,
    method: SubsetMethod,
    estimators: Sequence[Estimator],
    size: int,
    calibrations: list[Calibration] | None,
) -> dict[Estimator, tuple[Floats, Floats]]:
    """Return value, low and high: of those held out, by draw; of all, by fold."""
    who, table = design.who, design.table
    n_draws = design.n_draws if method in DRAWN else 1
    held = {e: np.empty((n_draws, 3, len(table))) for e in estimators}
    every = {e: np.empty((3, who.n_folds, len(table))) for e in estimators}
    for fold in range(who.n_folds):
        out = np.flatnonzero(who.fold == fold)
        known = table[who.fold != fold]
        if method in DRAWN:
            # Their means are all that drawing can use, and far less to hand over.
            known = known.mean(0, keepdims=True)
        model = calibrations[fold] if calibrations is not None else None
        for draw in range(n_draws):
            subset = choose_subset(
                known,
                size,
                method=method,
                calibration=model,
                strata=design.strata,
                rng=[design.entropy, zlib.crc32(method.encode()), size, fold, draw],
            )
            rows = out if draw else np.arange(len(table))
            answers = table[np.ix_(rows, subset.items)]
            for estimator in estimators:
                scores = estimate_full(
                    answers,
                    subset,
                    estimator=estimator,
                    calibration=model,
                    confidence_level=design.confidence_level,
                )
                ends = np.stack([scores.values, scores.low, scores.high])
                if draw == 0:
                    every[estimator][:, fold] = ends
                    ends = ends[:, out]
                held[estimator][draw][:, out] = ends
    return {e: (held[e], every[e]) for e in estimators}


def _adaptive_estimates(
    design: Design,
    estimators: Sequence[Estimator],
    size: int,
    calibrations: Sequence[Calibration],
) -> dict[Estimator, tuple[Floats, Floats]]:
    """Return what `_estimates` does, of adaptive tests; every estimator is p-irt."""
    every = np.stack([_adaptive(design, model, size) for model in calibrations], axis=1)
    held = np.take_along_axis(every, design.who.fold[None, None], axis=1)[:, 0]
    return dict.fromkeys(estimators, (held[None], every))


def _adaptive(design: Design, model: Calibration, size: int) -> Floats:
    """Return value, low and high of everyone, each asked items of their own choice.

    The estimate is p-irt's: what was answered, and what the last ability is expected
    to get right of the rest. Its error is the test's, and the model's on others.
    """
    from scipy.special import ndtri

    table, n_items = design.table, design.table.shape[1]
    test = adaptive_test(model.items, model.binary(table), max_items=size)
    values = np.empty(len(table))
    for rows in blocks(len(table), n_items):
        expected = model.items.probabilities(test.ability[rows, -1])
        asked = test.item[rows]
        answers = np.take_along_axis(table[rows], asked, axis=1)
        np.put_along_axis(expected, asked, answers, axis=1)
        values[rows] = expected.mean(1)
    misfit = (1 - size / n_items) * model.validation_error * math.sqrt(math.pi / 2)
    half_width = ndtri(0.5 + design.confidence_level / 2) * np.hypot(
        test.score_se, np.nan_to_num(misfit)
    )
    return np.stack([values, values - half_width, values + half_width])


def _measures(design: Design, values: Floats, low: Floats, high: Floats) -> list[float]:
    """Return one draw's `MEASURES`; ``nan`` where one is not defined."""
    if np.isnan(values).any():
        # The others alone would be a choice of models, by what can be calibrated.
        return [math.nan] * len(MEASURES)
    who, full = design.who, design.full
    error = _errors(values, full)
    half_width = (high - low) / 2
    # Where all items are asked the interval has no width.
    covers = ((low <= full) & (full <= high)) | (error == 0)
    covers = np.where(np.isnan(half_width), np.nan, covers)
    to_all_items = np.hypot(half_width, design.full_half_width)
    return [
        float(who.group_means(error).mean()),
        float(who.group_means(np.abs(error)).mean()),
        who.seed_sd(values),
        *(_known_mean(each) for each in (half_width, to_all_items, covers)),
        who.monotonicity(values),
        who.rank_correlation(values, full),
    ]


def _known_mean(values: Floats) -> float:
    """Return the mean over respondents that have an interval.

    Answers that are all the same, but neither 0 nor 1, leave none.
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _errors(values: Floats, full: Floats) -> Floats:
    """Return estimates minus full scores; rounding is no error."""
    return np.where(np.isclose(values, full, rtol=TINY, atol=0), 0, values - full)


def quality(
    design: Design,
    method: Method | Literal["full", "search"],
    estimator: Estimator,
    size: int,
    draws: Floats,
    every: Floats,
    why: Mapping[str, Caution],
) -> tuple[SubsetQuality, Floats]:
    """Return a row, and the mean absolute error of each draw."""
    measured = np.array([_measures(design, *draw) for draw in draws])
    estimates = {
        name: _estimate(design, name, values, draws[0, 0], why)
        for name, values in zip(MEASURES, measured.T, strict=True)
    }
    values, low, high = every
    row = SubsetQuality(
        method=method,
        estimator=estimator,
        n_items=size,
        n_draws=len(draws),
        **estimates,
        beats_random=math.nan,
        values=values,
        low=low,
        high=high,
    )
    return row, measured[:, MEASURES.index("mae")]


def _estimate(
    design: Design, name: str, draws: Floats, first: Floats, why: Mapping[str, Caution]
) -> Estimate:
    """Sum one measure up over draws; an interval is over draws, or over groups."""
    n, level = design.who.n_groups, design.confidence_level
    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        code, text = why[name].code, why[name].text
        return undefined(name, n=n, method=HELD_OUT, code=code, text=text)
    method, interval = HELD_OUT, UNDEFINED
    if len(draws) > 1:
        method = f"{HELD_OUT}, mean over {len(draws)} draws; interval of central draws"
        ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        interval = Interval(*ends.tolist())
    elif name in ("bias", "mae"):
        error = _errors(first, design.full)
        means = design.who.group_means(np.abs(error) if name == "mae" else error)
        if np.ptp(means) > 0:
            method = f"{HELD_OUT}; {HALL}".replace("items", "groups")
            low, high = mean_intervals(means, confidence_level=level)
            interval = Interval(float(low), float(high))
    value = float(draws.mean())
    cautions: tuple[Caution, ...] = ()
    if name == "coverage" and value < level - TOLERATED:
        text = (
            f"intervals at {level:.4g} held the full score of {value:.4g} of "
            "respondents: their model does not fit; take random or stratified items"
        )
        cautions = (Caution("low-coverage", text),)
    if name == "rank_correlation" and design.who.n_models == 2:
        text = "2 models are ranked alike or not, nothing between; give more models"
        cautions = (Caution("few-models", text),)
    return Estimate(
        quantity=name,
        value=value,
        interval=interval if n >= FEW_GROUPS else UNDEFINED,
        confidence_level=level,
        n=n,
        method=method,
        cautions=cautions,
    )
