"""Does a score rise with training? Rank correlations of score and step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.resample import RNGLike, SeedLike, check_scores

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
RankMethod = Literal["tau-b", "tau-a", "spearman", "sign"]

RANK_NAMES: dict[RankMethod, str] = {
    "tau-b": "Kendall's tau-b",
    "tau-a": "Kendall's tau-a",
    "spearman": "Spearman's rho",
    "sign": "sign index",
}

DIGITS = 12
"""Scores that agree in so many digits of the largest are ties: the same answers,
summed in another order, must not rank."""

ONE_CHECKPOINT = "needs at least 2 checkpoints of one training run, has 1"

BLOCK = 2_048
"""Series that are ranked at a time: they stay in the cache; no number changes."""

N_SPLITS = 400
"""Random splits of the items: standard errors to about 3 % of themselves."""


def rank_correlations(
    scores: Floats,
    *,
    method: RankMethod = "tau-b",
    steps: npt.ArrayLike | None = None,
    first: float | None = None,
    last: float | None = None,
) -> Floats:
    """Return the rank correlation of each series with its order.

    Kendall's ``tau-b = (C - D) / sqrt(n0 (n0 - ties))`` with C rising and D falling
    among the n0 pairs of steps; ``tau-a = (C - D) / n0``; Spearman's rho is the
    correlation of average ranks; the sign index ``(rises - falls) / (n - 1)`` counts
    consecutive steps only. Steps are in ascending order and never tie.

    Parameters
    ----------
    scores : ndarray, shape (..., n_steps)
        Any leading axes: models, seeds, tasks, metrics. ``nan`` where a step is
        missing; it is left out of that series.
    method : {"tau-b", "tau-a", "spearman", "sign"}
        Which of these.
    steps : array_like of shape (n_steps,), optional
        The steps of the last axis, ascending; needed for `first` and `last`.
    first, last : float, optional
        Only steps from `first` to `last`, both included.

    Returns
    -------
    ndarray, shape (...)
        ``nan`` for a series of fewer than 2 steps, or of one value only.

    Raises
    ------
    DesignError
        ``unknown-method``, ``bad-steps``.

    References
    ----------
    M. G. Kendall, Biometrika 33 (1945) 239. The sign index is the statistic of the
    difference-sign test, G. H. Moore, W. A. Wallis, JASA 38 (1943) 153, as a share.
    """
    if method not in RANK_NAMES:
        raise DesignError(
            f"there is no rank correlation {method!r}; choose one of "
            f"{', '.join(RANK_NAMES)}",
            code="unknown-method",
        )
    scores = np.asarray(scores, dtype=np.float64)
    scores = scores[..., steps_between(scores.shape[-1], steps, first, last)]
    table = scores.reshape(math.prod(scores.shape[:-1]), scores.shape[-1])
    out = np.full(len(table), np.nan)
    for start in range(0, len(table), BLOCK):
        block = slice(start, start + BLOCK)
        out[block] = _correlate(table[block], method)
    return out.reshape(scores.shape[:-1])


def monotonicity(
    scores: Floats,
    *,
    method: RankMethod = "tau-b",
    steps: npt.ArrayLike | None = None,
    first: float | None = None,
    last: float | None = None,
) -> Estimate:
    """Return the rank correlation of score and step, averaged over seeds.

    One correlation for each seed by `rank_correlations`, then their mean. 1 where
    every later checkpoint is better, 0 where the order says nothing, negative where
    later is worse.

    Parameters
    ----------
    scores : ndarray, shape (n_seeds, n_steps)
        Steps ascending; higher is better; ``nan`` where not evaluated.
    method, steps, first, last
        As for `rank_correlations`.

    See Also
    --------
    monotonicity_interval : the same from scores of items, with an interval.

    Notes
    -----
    Cautions: ``one-checkpoint``; ``constant-over-steps``, where a seed's score never
    changes: it has no rank correlation and is left out of the mean.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), section 3, which leaves the handling
    of ties and the averaging open; its continuous scores fall, ours rise.
    """
    scores = scores[:, steps_between(scores.shape[1], steps, first, last)]
    taus = rank_correlations(ties_made_equal(scores), method=method)
    has_two = np.sum(~np.isnan(scores), axis=1) >= 2
    n_defined = int(np.sum(~np.isnan(taus)))
    name = f"{RANK_NAMES[method]} of score and step, mean over seeds"
    if not has_two.any():
        return undefined(
            "monotonicity",
            n=0,
            method=name,
            code="one-checkpoint",
            text=ONE_CHECKPOINT,
        )
    n_constant = int(has_two.sum()) - n_defined
    text = (
        f"the score of {n_constant} of {has_two.sum()} seeds never changes over steps"
    )
    if n_defined == 0:
        return undefined(
            "monotonicity", n=0, method=name, code="constant-over-steps", text=text
        )
    return Estimate(
        quantity="monotonicity",
        value=float(np.nanmean(taus)),
        n=n_defined,
        method=name,
        cautions=(Caution("constant-over-steps", text),) if n_constant else (),
    )


def monotonicity_interval(
    cells: Floats,
    *,
    method: RankMethod = "tau-b",
    steps: npt.ArrayLike | None = None,
    first: float | None = None,
    last: float | None = None,
    new_seeds: bool = False,
    confidence_level: float = 0.95,
    n_splits: int = N_SPLITS,
    rng: RNGLike | SeedLike | None = None,
) -> Estimate:
    """Return `monotonicity` with an interval over the items that checkpoints share.

    The interval is for a benchmark of this size: for the mean over all sets of as
    many items of the same kind, asked of these very checkpoints. Noise of few items
    lowers it, as it lowers the estimate; `settled_monotonicity` bounds what endless
    items would give.

    Items drawn with replacement do not give it: they add their noise to that of the
    sample, so that resampled correlations lie below the estimate, and the percentile
    interval misses a rising curve almost always. Instead items are split at random
    into quarters, which make halves in three ways. Correlations of two halves A and B
    are independent given the checkpoints, so that ``v2``, the mean of
    ``(tau_A - tau_B)^2 / 2``, is the variance at half the items without bias, and
    ``v4``, the variance among quarters, that at a quarter;
    ``v = v2 clip(v2 / v4, 1/2, 1)`` takes the same step once more, between that of a
    mean and none. The interval is ``value ± t sqrt(v)``, Student's t with n_steps - 1
    degrees of freedom, cut off at -1 and 1.

    With `new_seeds` it is for the mean over other training seeds too:
    ``SE^2 = Var_s(tau_s) / n_seeds + C``, with C the covariance of two seeds through
    the items they share, at least 0, and t with n_seeds - 1 degrees of freedom.

    Parameters
    ----------
    cells : ndarray, shape (n_seeds, n_steps, n_items)
        Scores of items; a checkpoint that was not evaluated is all ``nan``.
    method, steps, first, last
        As for `rank_correlations`.
    new_seeds : bool
        Whether seeds are draws from those that could have been trained; else the
        interval holds for these seeds.

    Raises
    ------
    DesignError
        ``missing-scores``, ``unknown-method``, ``bad-steps``.

    Notes
    -----
    A part of the items in which a seed's score never changes counts as 0.

    Cautions: those of `monotonicity`; ``few-items`` (fewer than 100: in simulations it
    covers as little as 91 %; fewer than 8: no interval); ``one-seed`` (`new_seeds` of
    one: no interval); ``settled-order``, where no split orders the steps differently:
    no interval; ``few-reversals``, where fewer than 3 pairs of steps are out of order:
    it covers more than its level; ``few-steps``, below 8 steps: at chance it covers up
    to 99 %, below 5 steps as little as 70.

    References
    ----------
    K. M. Wolter, *Introduction to Variance Estimation*, 2007, chapters 2 and 3, for
    random groups and half-samples. The extrapolation is ours.
    """
    from scipy.special import stdtrit

    cells = cells[:, steps_between(cells.shape[1], steps, first, last)]
    is_there: Flags = np.asarray(~np.isnan(cells).all(-1))
    check_scores(cells[is_there])
    scores = np.full(is_there.shape, np.nan)
    scores[is_there] = cells[is_there].mean(-1)
    estimate = monotonicity(scores, method=method)
    taus = rank_correlations(ties_made_equal(scores), method=method)
    kept = ~np.isnan(taus)
    if not kept.any():
        return estimate
    n_items, n_seeds = cells.shape[-1], int(kept.sum())
    over = "items and seeds" if new_seeds else "items, these seeds"
    name = f"{estimate.method}; split-half t interval over {over}"
    cautions = list(estimate.cautions)
    if n_items < 8:
        text = f"{n_items} items cannot be split into quarters of 2; use at least 8"
        cautions.append(Caution("few-items", text))
    if new_seeds and n_seeds < 2:
        text = "an interval over seeds needs at least 2 training seeds, has 1"
        cautions.append(Caution("one-seed", text))
    if n_items < 8 or (new_seeds and n_seeds < 2):
        return replace(estimate, method=name, cautions=tuple(cautions))
    halves, quarters = _split_correlations(cells[kept], method, n_splits, rng)
    at_half, at_quarter = _covariance(halves), _covariance(quarters)
    variance = float(at_half.mean())
    if variance == 0:
        text = f"no half of the {n_items} items orders the steps of any seed otherwise"
        cautions.append(Caution("settled-order", text))
        return replace(estimate, method=name, cautions=tuple(cautions))
    ratio = min(max(variance / float(at_quarter.mean()), 0.5), 1.0)
    n_steps = int(is_there[kept].sum(1).min())
    df = n_steps - 1
    variance *= ratio
    if new_seeds:
        shared = at_half[~np.eye(n_seeds, dtype=bool)].mean() * ratio
        variance = float(taus[kept].var(ddof=1)) / n_seeds + max(float(shared), 0.0)
        df = n_seeds - 1
    if n_items < 100:
        text = f"{n_items} items are few for the interval; 100 or more hold it"
        cautions.append(Caution("few-items", text))
    if n_steps < 8:
        text = f"{n_steps} checkpoints are few for the interval; 8 or more hold it"
        cautions.append(Caution("few-steps", text))
    n_pairs = float((is_there[kept].sum(1) * (is_there[kept].sum(1) - 1) / 2).sum())
    if (1 - abs(estimate.value)) / 2 * n_pairs < 3:
        text = "fewer than 3 pairs of steps are out of order; the interval is too wide"
        cautions.append(Caution("few-reversals", text))
    se = math.sqrt(variance)
    half = float(stdtrit(df, 0.5 + confidence_level / 2)) * se
    return replace(
        estimate,
        se=se,
        interval=Interval(
            max(estimate.value - half, -1), min(estimate.value + half, 1)
        ),
        confidence_level=confidence_level,
        method=name,
        cautions=tuple(cautions),
    )


def settled_monotonicity(
    cells: Floats,
    *,
    steps: npt.ArrayLike | None = None,
    first: float | None = None,
    last: float | None = None,
    confidence_level: float = 0.95,
    n_resamples: int = 2_000,
    rng: RNGLike | SeedLike | None = None,
) -> Estimate:
    """Return what the items settle of Kendall's tau that endless items would give.

    The value is ``(up - down) / n0``, averaged over seeds, with up and down the pairs
    of steps whose order is settled: ``|mean difference| > c SE`` over the items, with
    c the quantile of the largest such ratio over all pairs and seeds. The interval
    adds and subtracts the share of pairs that are not settled: it holds the true tau
    wherever no settled pair is wrong, which is at least `confidence_level`. It is
    wide, since a plateau may rise by less than any benchmark shows.

    Parameters
    ----------
    cells : ndarray, shape (n_seeds, n_steps, n_items)
        Scores of items; a checkpoint that was not evaluated is all ``nan``.
    steps, first, last
        As for `rank_correlations`.
    n_resamples : int
        Draws of the normal distribution of the curve, for c.

    Raises
    ------
    DesignError
        ``missing-scores``, ``bad-steps``.

    Notes
    -----
    Cautions: ``one-checkpoint``; ``few-items``, below 30, for which the normal
    distribution is no good; ``conservative-interval``, always.
    """
    rng = np.random.default_rng(rng)
    cells = cells[:, steps_between(cells.shape[1], steps, first, last)]
    is_there: Flags = np.asarray(~np.isnan(cells).all(-1))
    check_scores(cells[is_there])
    n_items = cells.shape[-1]
    name = "Kendall's tau of the order that items settle, mean over seeds"
    seeds = np.flatnonzero(is_there.sum(1) >= 2)
    if len(seeds) == 0 or n_items < 2:
        code, text = (
            ("few-items", f"needs at least 2 items, has {n_items}")
            if n_items < 2
            else ("one-checkpoint", ONE_CHECKPOINT)
        )
        return undefined("monotonicity_settled", n=0, method=name, code=code, text=text)
    rows = cells[is_there]
    place = np.full(is_there.shape, -1)
    place[is_there] = np.arange(len(rows))
    pairs = [
        np.array([place[s][is_there[s]][k] for k in np.triu_indices(n, 1)])
        for s in seeds
        for n in [int(is_there[s].sum())]
    ]
    earlier, later = np.concatenate(pairs, axis=1)
    covariance = np.atleast_2d(np.cov(rows)) / n_items
    spread = covariance.diagonal()
    squares = spread[earlier] + spread[later] - 2 * covariance[earlier, later]
    # Of steps with the same answers no difference is settled.
    se = np.sqrt(np.where(squares > 1e-12 * spread.max(), squares, np.inf))
    mean = rows.mean(-1)
    draws = rng.multivariate_normal(
        np.zeros(len(rows)), covariance, size=n_resamples, method="eigh"
    )
    largest = np.array([np.max(np.abs(d[later] - d[earlier]) / se) for d in draws])
    limit = float(np.quantile(largest, confidence_level))
    ratio = (mean[later] - mean[earlier]) / se
    sizes = [p.shape[1] for p in pairs]
    ups, downs = (
        [float(part.mean()) for part in np.split(flags, np.cumsum(sizes)[:-1])]
        for flags in (ratio > limit, ratio < -limit)
    )
    up, down = math.fsum(ups) / len(seeds), math.fsum(downs) / len(seeds)
    cautions = [
        Caution(
            "conservative-interval",
            "the interval holds whatever the pairs of steps that are not settled do, "
            "and covers more than its level",
        )
    ]
    if n_items < 30:
        text = f"{n_items} items are few for a normal distribution; use 30 or more"
        cautions.append(Caution("few-items", text))
    return Estimate(
        quantity="monotonicity_settled",
        value=up - down,
        interval=Interval(2 * up - 1, 1 - 2 * down),
        confidence_level=confidence_level,
        n=len(seeds),
        method=f"{name}; simultaneous over all pairs",
        cautions=tuple(cautions),
    )


def _split_correlations(
    cells: Floats, method: RankMethod, n_splits: int, rng: RNGLike | SeedLike | None
) -> tuple[Floats, Floats]:
    """Return correlations of halves and quarters: (…, 2 or 4, n_seeds)."""
    rng = np.random.default_rng(rng)
    entropy = rng.integers(2**32, size=4).tolist()
    n_seeds, n_steps, n_items = cells.shape
    is_missing = np.isnan(cells).all(-1)
    rows = _exact(np.nan_to_num(cells).reshape(-1, n_items))
    labels = np.arange(n_items) % 4
    sums = np.empty((n_splits, 4, n_seeds, n_steps))
    for start in range(0, n_splits, 64):
        of = range(start, min(start + 64, n_splits))
        # Each split has a stream of its own: no number depends on how many there are.
        drawn = np.array([_stream(entropy, r).permuted(labels) for r in of])
        is_in = (drawn[:, None] == np.arange(4)[:, None]).astype(rows.dtype)
        sums[of.start : of.stop] = (is_in.reshape(-1, n_items) @ rows.T).reshape(
            len(of), 4, n_seeds, n_steps
        )
    sums[..., is_missing] = np.nan
    # Steps of a part have the same items: sums rank as means do. Four quarters make
    # halves in three ways.
    pairs = sums[:, :1] + sums[:, 1:]
    both = np.stack([pairs, sums.sum(1, keepdims=True) - pairs], axis=2)
    halves, quarters = (
        np.nan_to_num(rank_correlations(parts, method=method))
        for parts in (both.reshape(-1, 2, n_seeds, n_steps), sums)
    )
    return halves, quarters


def _stream(entropy: list[int], number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([*entropy, number]))


def _exact(rows: Floats) -> npt.NDArray[np.float32] | Floats:
    """Return `rows` so that their values sum exactly, in any order."""
    size = float(np.abs(rows).max(initial=0))
    n = rows.shape[-1]
    if size * n < 2**24 and np.array_equal(rows, np.rint(rows)):
        return rows.astype(np.float32)
    unit = math.ldexp(1.0, math.frexp(size)[1] + math.ceil(math.log2(n)) - 53)
    return np.asarray(np.rint(rows / unit) * unit)


def _covariance(parts: Floats) -> Floats:
    """Return the covariance between seeds, over parts of a split, of correlations."""
    apart = parts - parts.mean(1, keepdims=True)
    n_splits, n_parts, n_seeds = parts.shape
    flat = apart.reshape(-1, n_seeds)
    return np.asarray(flat.T @ flat / (n_splits * (n_parts - 1)))


def steps_between(
    n_steps: int,
    steps: npt.ArrayLike | None,
    first: float | None,
    last: float | None,
) -> slice:
    """Return the columns of the steps from `first` to `last`, both included."""
    if steps is None:
        if first is not None or last is not None:
            raise DesignError(
                "a first or last step is given without the steps; give steps=, one "
                "for each column",
                code="bad-steps",
            )
        return slice(None)
    known = np.asarray(steps, dtype=np.float64)
    if known.shape != (n_steps,) or not (np.diff(known) > 0).all():
        raise DesignError(
            f"steps {known.ravel()[:3].tolist()}… of shape {known.shape} are given for "
            f"{n_steps} columns; give one for each column, ascending",
            code="bad-steps",
        )
    start = 0 if first is None else int(np.searchsorted(known, first))
    stop = n_steps if last is None else int(np.searchsorted(known, last, "right"))
    return slice(start, max(start, stop))


def ties_made_equal(scores: Floats) -> Floats:
    """Return `scores` with differences of rounding error removed."""
    size = np.abs(scores[np.isfinite(scores)]).max(initial=0)
    return scores if size == 0 else np.round(scores / size, DIGITS) * size


def _correlate(scores: Floats, method: RankMethod) -> Floats:
    if method == "spearman":
        return _spearman(scores)
    if method == "sign":
        return _sign_index(scores)
    return _kendall(scores, method)


def _kendall(scores: Floats, method: RankMethod) -> Floats:
    place_of, start, n = _sorted_runs(scores)
    kind = start.dtype
    # A run of t equal values has 0 + 1 + ... + (t - 1) = t (t - 1) / 2 tied pairs.
    place = np.arange(scores.shape[1], dtype=kind)
    ties = ((place - start) * (place < n[:, None])).sum(1)
    ranks = np.empty(scores.shape, dtype=kind)
    ranks.reshape(-1)[place_of] = start + kind.type(1)
    # Steps first: 64 comparisons of one byte at an instruction.
    earlier = np.ascontiguousarray(ranks.T)
    later = earlier.copy()
    # A missing step is above every later and below every earlier one: no rise.
    missing = np.isnan(scores).T
    earlier[missing] = np.iinfo(kind).max
    later[missing] = 0
    rising = np.zeros(len(scores), dtype=np.int64)
    # One pass for each distance between two steps: no table of all pairs.
    for lag in range(1, scores.shape[1]):
        rises = later[lag:] > earlier[:-lag]
        rising += np.add.reduce(rises.view(np.uint8), axis=0, dtype=kind)
    pairs = n * (n - 1) / 2
    untied = pairs - ties
    scale = pairs if method == "tau-a" else np.sqrt(pairs * untied)
    is_defined = untied > 0
    balance = 2 * rising - untied
    return np.where(is_defined, balance / np.where(is_defined, scale, 1), np.nan)


def _spearman(scores: Floats) -> Floats:
    place_of, start, n = _sorted_runs(scores)
    n_steps = scores.shape[1]
    place = np.arange(n_steps, dtype=start.dtype)
    starts = np.where(place == start, place, start.dtype.type(n_steps))
    end = np.full(scores.shape, n_steps)
    end[:, :-1] = np.minimum.accumulate(starts[:, :0:-1], axis=1)[:, ::-1]
    middle = (n[:, None] - 1) / 2
    ranks = np.empty(scores.shape)
    mean_rank = (start + np.minimum(end, n[:, None]) - 1.0) / 2
    ranks.reshape(-1)[place_of] = mean_rank - middle
    present = ~np.isnan(scores)
    y = np.where(present, ranks, 0.0)
    x = np.where(present, present.cumsum(1) - 1 - middle, 0.0)
    size = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return np.where(size > 0, (x * y).sum(1) / np.where(size > 0, size, 1), np.nan)


def _sign_index(scores: Floats) -> Floats:
    present = ~np.isnan(scores)
    n = present.sum(1)
    # Missing steps go to the end, where they neither rise nor fall.
    order = np.argsort(~present, axis=1, stable=True)
    there = np.take_along_axis(scores, order, axis=1)
    rises = (there[:, 1:] > there[:, :-1]).sum(1)
    falls = (there[:, 1:] < there[:, :-1]).sum(1)
    moves = rises + falls > 0
    return np.where(moves, (rises - falls) / np.where(moves, n - 1, 1), np.nan)


def _sorted_runs(
    scores: Floats,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return where each series' scores stand ascending, where runs of equals start, n.

    The first is an index into all of `scores`. Starts come in as few bytes as hold
    them. Missing steps come last, as infinity does; they are none of the first n.
    """
    missing = np.isnan(scores)
    filled = np.where(missing, np.inf, scores)
    n_series, n_steps = scores.shape
    place_of = np.argsort(filled, axis=1)
    place_of += np.arange(n_series)[:, None] * n_steps
    ascending = filled.reshape(-1)[place_of]
    place = np.arange(n_steps, dtype=np.min_scalar_type(n_steps + 1))
    starts = np.zeros(scores.shape, dtype=place.dtype)
    np.multiply(ascending[:, 1:] != ascending[:, :-1], place[1:], out=starts[:, 1:])
    n = n_steps - missing.sum(1)
    return place_of, np.maximum.accumulate(starts, axis=1), n
