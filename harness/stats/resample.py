"""What would the mean have been with other items? The bootstrap of means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.clusters import Clusters, cluster_codes

Floats = npt.NDArray[np.float64]
RNGLike = np.random.Generator | np.random.BitGenerator
SeedLike = int | np.integer | Sequence[int] | np.random.SeedSequence

N_RESAMPLES = 10_000
"""Resamples where none are asked for: 2.5 % ends to about 2 % of a half width."""

BLOCK = 2**21
"""Counts of items that are kept at a time, by each worker: 16 MB, and no numbers."""

FEW_VALUES = 64
"""Above so many distinct scores, drawing how often each comes is not faster."""


def bootstrap_means(
    scores: Floats,
    *,
    clusters: Clusters | None = None,
    n_resamples: int = N_RESAMPLES,
    n_workers: int = 1,
    rng: RNGLike | SeedLike | None = None,
) -> Floats:
    """Return the mean of each series in resamples of items that all series share.

    Each resample draws as many items as there are, with replacement, each with equal
    chance; items are independent draws from those that could have been asked. With
    `clusters` whole clusters are drawn, and the mean is over the items that came.
    All series are seen with the same draws, so that differences of their means are
    the paired bootstrap of every pair.

    Resample r has a random stream of its own and sums are exact: scores that are no
    whole numbers are taken to a fixed fraction, about ``2e-16 n`` of the series'
    largest, so that no order of adding up changes a bit. Means hence depend on `rng`
    alone, not on workers, BLAS threads or machines, and the first 1,000 of 10,000
    resamples are the 1,000 that a shorter run draws.

    Parameters
    ----------
    scores : ndarray, shape (..., n_items)
        One score for each item: average repeats first. Whole numbers, such as 0 and
        1, take half the time of others.
    clusters : sequence, shape (n_items,), optional
        Which cluster each item belongs to.
    n_workers : int
        Threads; best with one BLAS thread each.

    Returns
    -------
    ndarray, shape (..., n_resamples)
        Score units.

    Raises
    ------
    DesignError
        ``missing-scores``, ``unequal-lengths``, ``missing-clusters``,
        ``too-few-items`` (none).

    References
    ----------
    B. Efron, R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 6.
    """
    rng = np.random.default_rng(rng)
    entropy = rng.integers(2**32, size=4).tolist()
    table, sizes = _units(scores, clusters)
    n = len(sizes)
    rows = _summable(table.reshape(-1, n))
    means = np.empty((len(rows), n_resamples))
    block = max(1, BLOCK // n)

    def fill(start: int) -> None:
        stop = min(start + block, n_resamples)
        counts = np.empty((stop - start, n), dtype=rows.dtype)
        for k, r in enumerate(range(start, stop)):
            stream = np.random.Generator(np.random.PCG64([*entropy, r]))
            picks = stream.integers(n, size=n, dtype=np.int32)
            counts[k] = np.bincount(picks, minlength=n)
        sums = rows @ counts.T
        drawn = n if clusters is None else counts @ sizes
        means[:, start:stop] = sums.astype(np.float64, copy=False) / drawn

    starts = range(0, n_resamples, block)
    if n_workers == 1:
        for start in starts:
            fill(start)
    else:
        with ThreadPoolExecutor(n_workers) as pool:
            list(pool.map(fill, starts))
    return means.reshape(*table.shape[:-1], n_resamples)


def bootstrap_mean(
    scores: Floats,
    *,
    clusters: Clusters | None = None,
    n_resamples: int = N_RESAMPLES,
    rng: RNGLike | SeedLike | None = None,
) -> Floats:
    """Return the mean of one series in resamples of its items.

    As `bootstrap_means`, and for few distinct scores the same distribution by a
    shorter way: how often each comes in a resample is multinomial.

    Parameters
    ----------
    scores : ndarray, shape (n_items,)

    Returns
    -------
    ndarray, shape (n_resamples,)
    """
    rng = np.random.default_rng(rng)
    if clusters is None:
        table, _ = _units(scores, None)
        values, counts = np.unique(table, return_counts=True)
        n = len(table)
        if len(values) <= min(FEW_VALUES, n // 8):
            drawn = rng.multinomial(n, counts / n, size=n_resamples)
            return np.asarray(drawn @ _summable(values, n).astype(np.float64) / n)
    return bootstrap_means(scores, clusters=clusters, n_resamples=n_resamples, rng=rng)


def percentile_interval(
    means: Floats, *, confidence_level: float = 0.95
) -> tuple[Floats, Floats]:
    """Return the ends of the percentile interval of each series of resampled means.

    The quantiles of the resampled means that leave out ``(1 - level) / 2`` on either
    side, interpolated linearly. Too narrow for few items, by ``sqrt((n - 1) / n)`` and
    by the difference of Student's t from the normal.

    Parameters
    ----------
    means : ndarray, shape (..., n_resamples)
        From `bootstrap_means`, or differences of two of its rows.

    Raises
    ------
    DesignError
        ``too-few-resamples``: fewer than 5 would be left out at either end.

    References
    ----------
    B. Efron, R. J. Tibshirani (1993), chapter 13.
    """
    tail = (1 - confidence_level) / 2
    _check_resamples(means.shape[-1], tail)
    low, high = np.quantile(means, [tail, 1 - tail], axis=-1)
    return low, high


def bca_interval(
    means: Floats,
    scores: Floats,
    *,
    clusters: Clusters | None = None,
    confidence_level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return the ends of the bias-corrected and accelerated interval of each series.

    Quantiles of the resampled means at ``Phi(z0 + (z0 + z) / (1 - a (z0 + z)))``, where
    ``Phi(z0)`` is the share of them below the mean, ties counted half, and
    ``a = sum d^3 / (6 (sum d^2)^1.5)`` with d the drop of the mean when one item, or
    one cluster, is left out (in closed form).

    Parameters
    ----------
    means : ndarray, shape (..., n_resamples)
        From `bootstrap_means` of `scores` with the same clusters.
    scores : ndarray, shape (..., n_items)

    Returns
    -------
    low, high : ndarray, shape (...)
        ``nan`` for a series whose items, or clusters, are all alike.

    Raises
    ------
    DesignError
        ``too-few-resamples``.

    References
    ----------
    B. Efron, J. Amer. Statist. Assoc. 82 (1987) 171; B. Efron, R. J. Tibshirani (1993),
    chapter 14.
    """
    from scipy.special import ndtr, ndtri

    tail = (1 - confidence_level) / 2
    _check_resamples(means.shape[-1], tail)
    table, sizes = _units(scores, clusters)
    if len(sizes) < 2:
        nothing = np.full(table.shape[:-1], np.nan)
        return nothing, nothing.copy()
    total = table.sum(-1, keepdims=True)
    mean = total / sizes.sum()
    without = (total - table) / (sizes.sum() - sizes)
    drop = without.mean(-1, keepdims=True) - without
    # Rounding leaves a constant series with drops of 1e-17, not of 0.
    varies = np.ptp(without, -1) > 1e-12 * np.abs(without).max(-1)
    each = drop**2
    squares = np.where(varies, each.sum(-1), np.nan)
    a = (each * drop).sum(-1) / (6 * squares**1.5)
    share = ((means < mean).mean(-1) + (means <= mean).mean(-1)) / 2
    z0 = ndtri(share)
    ends = []
    for z in (ndtri(tail), -ndtri(tail)):
        at = ndtr(z0 + (z0 + z) / (1 - a * (z0 + z)))
        ends.append(_quantile_of_each(means, np.asarray(at)))
    return ends[0], ends[1]


def _quantile_of_each(means: Floats, at: Floats) -> Floats:
    """Return of each series its own quantile; ``nan`` where `at` is."""
    rows = means.reshape(-1, means.shape[-1])
    found = [
        np.nan if np.isnan(q) else np.quantile(row, q)
        for row, q in zip(rows, at.reshape(-1), strict=True)
    ]
    return np.array(found).reshape(at.shape)


def _units(scores: Floats, clusters: Clusters | None) -> tuple[Floats, Floats]:
    """Return what is drawn, each with its number of items: items, or cluster sums."""
    scores = np.asarray(scores, dtype=np.float64)
    n = scores.shape[-1]
    if n == 0:
        raise DesignError(
            "there are no items to resample; give at least 2", code="too-few-items"
        )
    check_scores(scores)
    if clusters is None:
        return scores, np.ones(n)
    codes = cluster_codes(clusters, n)
    sizes = np.bincount(codes)
    present = sizes > 0
    sums = np.array([np.bincount(codes, row)[present] for row in scores.reshape(-1, n)])
    return sums.reshape(*scores.shape[:-1], -1), sizes[present].astype(np.float64)


def check_scores(scores: Floats) -> None:
    """Refuse scores that are missing or not finite.

    Raises
    ------
    DesignError
        ``missing-scores``.
    """
    is_known = np.isfinite(scores)
    if not is_known.all():
        items = np.flatnonzero(~is_known.reshape(-1, scores.shape[-1]).all(0)).tolist()
        raise DesignError(
            f"{(~is_known).sum()} of {scores.size} scores are missing or not finite, "
            f"first those of items {items[:3]}; leave these items out",
            code="missing-scores",
        )


def _check_resamples(n_resamples: int, tail: float) -> None:
    needed = math.ceil(round(5 / tail, 6))
    if n_resamples < needed:
        raise DesignError(
            f"{n_resamples} resamples leave fewer than 5 beyond either end of a "
            f"{1 - 2 * tail:.4g} interval; draw at least {needed}",
            code="too-few-resamples",
        )


def _summable(
    rows: Floats, n: int | None = None
) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
    """Return `rows` so that any n of their values, in any order, sum exactly."""
    n = n or rows.shape[-1]
    size = np.maximum(rows.max(-1, keepdims=True), -rows.min(-1, keepdims=True))
    if size.max() * n < 2**24 and all((row == np.rint(row)).all() for row in rows):
        return rows.astype(np.float32)
    # n values of so many bits fill the 53 of a float64.
    bits = 53 - math.ceil(math.log2(n))
    unit = np.ldexp(1.0, np.frexp(size)[1] - bits)
    table: Floats = rows / unit
    np.rint(table, out=table)
    table *= unit
    return table
