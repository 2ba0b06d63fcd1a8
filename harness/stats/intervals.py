"""How sure is a mean score, given its items? Intervals over items."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.clusters import (
    CLUSTER_KINDS,
    Clusters,
    cluster_codes,
    cluster_df,
    count_clusters,
    se_by_codes,
)
from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.resample import (
    N_RESAMPLES,
    RNGLike,
    SeedLike,
    bca_interval,
    bootstrap_mean,
    check_scores,
    percentile_interval,
)

Floats = npt.NDArray[np.float64]
IntervalMethod = Literal[
    "auto",
    "clt",
    "wilson",
    "beta",
    "hall",
    "miller",
    "cr0",
    "cr1",
    "percentile",
    "bca",
]

WILSON = "Wilson score interval over items"
HALL = "skewness-corrected t interval over items (Hall 1992)"
CLT = "normal interval over items (CLT)"
BETA = "Beta posterior over items, uniform prior"
PERCENTILE = "percentile bootstrap"
BCA = "BCa bootstrap"


INTERVAL_NAMES: dict[str, str] = {
    "clt": CLT,
    "wilson": WILSON,
    "beta": BETA,
    "hall": HALL,
    **{kind: f"{name}, t" for kind, name in CLUSTER_KINDS.items()},
    "percentile": PERCENTILE,
    "bca": BCA,
}

SYMMETRIC = ("clt", *CLUSTER_KINDS, "percentile")
"""Methods that do not follow the skewness of the scores."""

FEW_ITEMS = {"clt": 300, "hall": 20, "percentile": 100, "bca": 100}
"""Below so many items an interval of skewed scores is too narrow; `clt` also below 25
squares of the skewness (Cochran, *Sampling Techniques*, 1977, section 2.15)."""

COARSE_ITEMS = 40
"""The same of Hall's where scores take three values at most, as means of two seeds do:
of 30 items it covers up to 97.6 %."""

FEW_CLUSTERS: dict[str, int] = {
    "wilson": 10,
    "hall": 20,
    **dict.fromkeys(map(str, CLUSTER_KINDS), 30),
    "percentile": 100,
    "bca": 100,
}
"""The same of clusters that count: `harness.stats.clusters.cluster_df` and 1."""

EDGE_ITEMS = 10
"""Where most items have the lowest, or the highest, score and fewer than that differ,
no interval keeps its level: Wilson's holds 89 to 98 %, whatever the items in all."""

SYMMETRIC_EDGE_ITEMS = 30
"""The same for intervals that reach as far down as up, and for the percentile one."""

PREVAILING_ITEMS = 25
"""The same where the score that most items have is neither the lowest nor the highest,
as 0 is of differences, and fewer items than that have another."""


def mean_intervals(
    scores: Floats,
    *,
    confidence_level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[Floats, Floats]:
    """Return the ends of an interval for the mean of each series of item scores.

    Items are taken as independent draws from those that could have been asked.
    A series of nothing but 0 and 1 gets Wilson's interval, which holds its level
    at any number of items and has a width at 0 and 100 %. Others get Hall's: t of
    a cubic transformation that removes the skewness of the mean::

        g(T) = T + c T^2 / 3 + c^2 T^3 / 27 + c / (6 n),   T = (mean - mu) / sd

    with ``c`` the sample skewness and ``sqrt(n) g(T)`` referred to Student's t with
    n - 1 degrees of freedom. Both are second-order correct in closed form; neither
    is the plain normal interval, which is too narrow below a few hundred items.

    Parameters
    ----------
    scores : ndarray, shape (..., n_items)
        One score for each item: average repeats and few-shot seeds first, they
        are no items of their own. A series with a ``nan`` has no interval.
    confidence_level : float
        Above 0 and below 1.
    bounds : tuple of float
        What scores can be; Hall's interval is cut off there.

    Returns
    -------
    low, high : ndarray, shape (...)
        ``nan`` where there is none: no items, or a series that does not vary and is
        not all 0 or all 1, from which no spread can be learnt.

    References
    ----------
    E. B. Wilson, JASA 22 (1927) 209. P. Hall, J. R. Statist. Soc. B 54 (1992) 221,
    section 2. S. Bowyer, L. Aitchison, D. R. Ivanova, arXiv 2503.01747 (2025): the
    normal interval fails below a few hundred items.
    """
    scores = np.asarray(scores, dtype=np.float64)
    n = scores.shape[-1]
    if n == 0:
        nothing = np.full(scores.shape[:-1], np.nan)
        return nothing, nothing.copy()
    mean = scores.mean(-1)
    binary = is_binary(scores)
    low = high = mean
    if binary.any():
        low, high = wilson_interval(mean, n, confidence_level=confidence_level)
    if not binary.all():
        hall_low, hall_high = hall_interval(scores, confidence_level=confidence_level)
        low = np.where(binary, low, np.maximum(hall_low, bounds[0]))
        high = np.where(binary, high, np.minimum(hall_high, bounds[1]))
    return low, high


def score_interval(
    scores: Floats,
    *,
    method: IntervalMethod = "auto",
    clusters: Clusters | None = None,
    confidence_level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    n_resamples: int = N_RESAMPLES,
    rng: RNGLike | SeedLike | None = None,
) -> Estimate:
    """Return the mean score and an interval for it by the method of choice.

    Items, or clusters where they are given, are independent draws from those that
    could have been asked. ``auto`` takes Wilson's interval for scores of 0 and 1 and
    Hall's for others, at any number of items, and the clustered form of either where
    there are clusters; the plain normal interval never, which gains nothing where it
    is right::

        clt         mean +- z sd / sqrt(n); of 0 and 1 with sd^2 = p (1 - p)
        wilson      Wilson's, of 0 and 1; see `mean_intervals`
        beta        quantiles of Beta(1 + right, 1 + wrong), of 0 and 1
        hall        Hall's; see `mean_intervals`
        miller, cr0, cr1       mean +- t se; `harness.stats.clusters.clustered_se`
        percentile, bca        `harness.stats.resample`

    with t of (clusters - 1) degrees of freedom. In clusters, `wilson` takes
    ``p (1 - p) / cr1^2`` for the number of items, at most all, times ``(z / t)^2``;
    where all are right, or all wrong, the number of clusters instead. `hall` takes for
    items the G values ``mean + G E_c / n``, whose standard error is that of `cr1`. Both
    take t at the degrees of freedom of `harness.stats.clusters.cluster_df`.
    `percentile` and `bca` resample whole clusters.

    Parameters
    ----------
    scores : ndarray, shape (n_items,) or (n_items, n_repeats)
        Repeats are averaged for each item first, since they are no further items: ten
        times the same answers give the same interval. ``nan`` is a repeat that was not
        scored.
    method : str
        One of the above.
    clusters : sequence, shape (n_items,), optional
        Which cluster, such as a passage, each item belongs to.
    confidence_level : float
        Above 0 and below 1.
    bounds : tuple of float
        What scores can be; every interval is cut off there.
    n_resamples : int
        Of `percentile` and `bca`; the others draw nothing.

    Returns
    -------
    Estimate
        `value` is the mean over items. `se` is that of the method: ``sd / sqrt(n)``,
        the clustered one, the posterior's or the resamples' SD, and not defined where
        scores do not vary. `n` is the number of items, or of clusters.

    Raises
    ------
    DesignError
        ``bad-confidence-level``, ``missing-scores``, ``unknown-method``,
        ``unfit-method`` (0 and 1 or clusters are needed, or not accounted for),
        ``unequal-lengths``, ``missing-clusters``, ``too-few-resamples``.

    Notes
    -----
    Cautions: ``no-items``; ``one-cluster``; ``constant-over-items``; ``few-items``,
    ``few-clusters``, ``near-the-edge`` and ``one-score-prevails`` where a 95 % interval
    holds less than 93 or more than 97 % in simulations.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), whose clustered interval is 1.96 standard
    errors. S. Bowyer et al., arXiv 2503.01747 (2025): Beta posterior.
    E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998) 193: effective numbers.
    """
    check_level(confidence_level)
    values = item_means(scores)
    n = len(values)
    if n == 0:
        return undefined(
            "mean", n=0, method="mean", code="no-items", text="there are no items"
        )
    chosen = _choose(method, values, clusters)
    codes = None if clusters is None else cluster_codes(clusters, n)
    n_units = n if codes is None else count_clusters(codes)
    name = INTERVAL_NAMES[chosen]
    if method == "auto":
        kind = "0 and 1" if chosen == "wilson" else "other values than 0 and 1"
        name = f"{name}, chosen for scores of {kind}"
    if chosen in ("percentile", "bca"):
        name = f"{name}; {n_resamples} resamples"
    if codes is not None:
        name = f"{name}; {n_units} clusters"
    se, interval = _by_method(
        chosen, values, codes, confidence_level, n_resamples=n_resamples, rng=rng
    )
    low, high = max(interval.low, bounds[0]), min(interval.high, bounds[1])
    return Estimate(
        quantity="mean",
        value=float(values.mean()),
        se=se,
        interval=Interval(low, high),
        confidence_level=confidence_level,
        n=n_units,
        method=name,
        cautions=interval_cautions(chosen, values, codes),
    )


def item_means(scores: Floats) -> Floats:
    """Return one score for each item, the mean of its repeats.

    Raises
    ------
    DesignError
        ``missing-scores``: an item of which no repeat was scored.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim == 1:
        check_scores(scores)
        return scores
    is_known = ~np.isnan(scores)
    n_known = is_known.sum(-1)
    sums = np.where(is_known, scores, 0).sum(-1)
    means: Floats = sums / np.where(n_known > 0, n_known, np.nan)
    check_scores(means)
    return means


LEVELS = 0.0001, 0.9999
"""Levels for which quantiles are exact; nobody knows the tails beyond."""


def check_level(confidence_level: float) -> None:
    """Refuse a confidence level that is none (``bad-confidence-level``)."""
    least, most = LEVELS
    if not least <= confidence_level <= most:
        raise DesignError(
            f"the confidence level is {confidence_level}; give one from {least} to "
            f"{most}, such as 0.95",
            code="bad-confidence-level",
        )


def interval_cautions(
    method: str, values: Floats, codes: npt.NDArray[np.intp] | None
) -> tuple[Caution, ...]:
    """Return what to know before an interval over these items is believed."""
    n = len(values)
    cautions = []
    if not varies(values):
        cautions.append(
            Caution(
                "constant-over-items",
                f"{n} item{'s' if n > 1 else ''} with one and the same score tell "
                "nothing of the spread over items; more items would",
            )
        )
    elif (n_apart := _n_apart(values, codes)) < (
        needed := SYMMETRIC_EDGE_ITEMS if method in SYMMETRIC else EDGE_ITEMS
    ):
        cautions.append(
            Caution(
                "near-the-edge",
                f"only {n_apart:.3g} of {n} items, as far as independent, differ from "
                "the lowest, or from the highest, score; from "
                f"{needed} on the interval keeps its level",
            )
        )
    elif (n_other := _n_other(values, codes)) < PREVAILING_ITEMS:
        cautions.append(
            Caution(
                "one-score-prevails",
                f"only {n_other:.3g} of {n} items, as far as independent, differ from "
                f"the score that most have; from {PREVAILING_ITEMS} on the interval "
                "keeps its level",
            )
        )
    if codes is not None:
        return (*cautions, *_cluster_cautions(method, values, codes))
    n_least = FEW_ITEMS.get(method, 0)
    if method == "hall" and n < COARSE_ITEMS and len(np.unique(values)) <= 3:
        n_least = COARSE_ITEMS
    if method == "clt" and n > 1:
        _, skewness = _sd_and_skewness(values, np.asarray(values.mean()))
        n_least = max(n_least, math.ceil(25 * float(np.nan_to_num(skewness)) ** 2))
    if n < n_least and varies(values):
        cautions.append(
            Caution(
                "few-items",
                f"{n} items; this interval may not keep its level below {n_least}, "
                f"Hall's below {FEW_ITEMS['hall']}",
            )
        )
    return tuple(cautions)


def standard_error(half_width: Floats, *, confidence_level: float) -> Floats:
    """Return half-widths of intervals as standard errors, to be compared with SDs.

    ``half_width / z`` with z the two-sided normal quantile, 1.96 at 95 %: an interval
    that is wider than the normal one, for few items or for scores all right or all
    wrong, gives a standard error that is larger by as much, and never 0.
    """
    from scipy.special import ndtri

    return np.asarray(half_width / ndtri(0.5 + confidence_level / 2))


def is_binary(scores: Floats) -> npt.NDArray[np.bool_]:
    """Return which series of item scores hold nothing but 0 and 1."""
    return np.asarray(((scores == 0) | (scores == 1)).all(-1))


def wilson_interval(
    p: Floats, n: Floats | float, *, confidence_level: float = 0.95
) -> tuple[Floats, Floats]:
    """Return the ends of Wilson's interval for shares `p` of `n` items.

    `n` need not be whole: of clustered items it is the effective number.
    """
    from scipy.special import ndtri

    z2 = ndtri(0.5 + confidence_level / 2) ** 2
    # A proportion outside [0, 1] is not binary, and its values are not used.
    spread = np.sqrt(z2 * np.clip(p * (1 - p), 0, None) / n + z2**2 / (4 * n**2))
    middle = p + z2 / (2 * n)
    low, high = ((middle + sign * spread) / (1 + z2 / n) for sign in (-1, 1))
    # Exact at the ends, where rounding would leave 1e-18 beyond them.
    return np.where(p == 0, 0, low), np.where(p == 1, 1, high)


def hall_interval(
    scores: Floats, *, confidence_level: float = 0.95, df: float | None = None
) -> tuple[Floats, Floats]:
    """Return the ends of Hall's interval, of which `mean_intervals` has the formula.

    `df` are degrees of freedom other than n - 1, as for `cluster_values`.
    """
    from scipy.special import stdtrit

    n = scores.shape[-1]
    mean = scores.mean(-1)
    if n < 2:
        nothing = np.full(mean.shape, np.nan)
        return nothing, nothing.copy()
    sd, skewness = _sd_and_skewness(scores, mean)
    # The transformation is the identity where there is no skewness to remove.
    flat = np.abs(skewness) < 1e-6
    c = np.where(flat, 1.0, skewness)

    def back(quantile: float) -> Floats:
        y = quantile / math.sqrt(n)
        curved = 3 / c * (np.cbrt(1 + c * (y - c / (6 * n))) - 1)
        return np.asarray(mean - sd * np.where(flat, y, curved))

    t = float(stdtrit(df or n - 1, 0.5 + confidence_level / 2))
    return back(t), back(-t)


def hall_p_value(scores: Floats, *, df: float | None = None) -> Floats:
    """Return the two-sided p-value of a mean of 0 that belongs to Hall's interval.

    Below ``1 - confidence_level`` just where `hall_interval` leaves 0 out; ``nan``
    where there is no interval.
    """
    n = scores.shape[-1]
    mean = scores.mean(-1)
    if n < 2:
        return np.full(mean.shape, np.nan)
    sd, skewness = _sd_and_skewness(scores, mean)
    return hall_p_of_moments(mean / sd, skewness, n, df=df or n - 1)


def hall_p_of_moments(
    ratio: Floats, skewness: Floats, n: Floats | int, *, df: Floats | float
) -> Floats:
    """Return `hall_p_value` of series known by mean over SD (ddof=1) and skewness."""
    from scipy.special import stdtr

    c = skewness
    g = ratio + c * ratio**2 / 3 + c**2 * ratio**3 / 27 + c / (6 * n)
    return np.asarray(2 * stdtr(df, -np.sqrt(n) * np.abs(g)))


# Squares of scores beyond 1e154 are infinite: such means have no interval.
@np.errstate(over="ignore", invalid="ignore")
def _sd_and_skewness(scores: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Return SD (ddof=1) and skewness; ``nan`` for a series of one score only."""
    n = scores.shape[-1]
    error = scores - mean[..., None]
    squares = error**2
    safe = np.where(varies(scores), squares.mean(-1), np.nan)
    # A third power of its own would take a hundred times as long.
    return np.sqrt(safe * n / (n - 1)), (squares * error).mean(-1) / safe**1.5


def varies(scores: Floats) -> npt.NDArray[np.bool_]:
    """Return which series of scores are not all the same."""
    # Rounding leaves a constant series with a variance of 1e-33, not of 0.
    return np.asarray(np.ptp(scores, -1) > 1e-12 * np.abs(scores).max(-1))


def _choose(
    method: IntervalMethod, values: Floats, clusters: Clusters | None
) -> IntervalMethod:
    if method not in get_args(IntervalMethod):
        raise DesignError(
            f"there is no interval {method!r}; choose one of "
            f"{', '.join(get_args(IntervalMethod))}",
            code="unknown-method",
        )
    binary = bool(is_binary(values))
    if method == "auto":
        return "wilson" if binary else "hall"
    reason = None
    if method in ("wilson", "beta") and not binary:
        reason = "is for scores of 0 and 1, and others were given; choose hall"
    elif method in ("clt", "beta") and clusters is not None:
        reason = "takes items as independent, and clusters were given; choose cr1"
    elif method in CLUSTER_KINDS and clusters is None:
        reason = "needs clusters, and none were given; choose auto"
    if reason is not None:
        raise DesignError(f"the interval {method!r} {reason}", code="unfit-method")
    return method


def _by_method(
    method: IntervalMethod,
    values: Floats,
    codes: npt.NDArray[np.intp] | None,
    level: float,
    *,
    n_resamples: int,
    rng: RNGLike | SeedLike | None,
) -> tuple[float, Interval]:
    """Return standard error and interval of the mean of `values`."""
    from scipy.special import ndtri

    n, mean = len(values), values.mean()
    spread = bool(varies(values)) and n > 1
    if codes is None:
        # What everyone calls Wald's takes the variance of a share, p (1 - p).
        ddof = 0 if method == "clt" and is_binary(values) else 1
        se = float(values.std(ddof=ddof)) / math.sqrt(n) if spread else math.nan
        critical = float(ndtri(0.5 + level / 2))
    else:
        n_clusters = count_clusters(codes)
        kind = method if method in CLUSTER_KINDS else "cr1"
        spread = spread and n_clusters > 1
        se = float(se_by_codes(values, codes, kind=kind)) if spread else math.nan
        critical = _t_quantile(n_clusters - 1, level)
    if method in ("clt", *CLUSTER_KINDS):
        return se, Interval(float(mean - critical * se), float(mean + critical * se))
    if method == "beta":
        return _beta(values, level)
    if method == "wilson":
        n_effective = _effective_items(values, se, codes, level)
        ends = wilson_interval(mean, n_effective, confidence_level=level)
    elif method == "hall":
        units, df = cluster_values(values, codes)
        ends = hall_interval(units, confidence_level=level, df=df)
    elif math.isnan(se):
        return se, UNDEFINED
    else:
        means = bootstrap_mean(values, clusters=codes, n_resamples=n_resamples, rng=rng)
        se = float(means.std(ddof=1))
        ends = (
            percentile_interval(means, confidence_level=level)
            if method == "percentile"
            else bca_interval(means, values, clusters=codes, confidence_level=level)
        )
    return se, Interval(float(ends[0]), float(ends[1]))


def cluster_values(
    scores: Floats, codes: npt.NDArray[np.intp] | None
) -> tuple[Floats, float]:
    """Return values to be taken as independent, and their degrees of freedom.

    The scores themselves, or one for each of G clusters: ``mean + G E_c / n``, where
    ``E_c`` sums the cluster's residuals. Their mean is that of the scores, their
    standard error as independent values is the clustered one, CR1.
    """
    n = len(scores)
    if codes is None:
        return scores, max(n - 1, 1)
    n_items = np.bincount(codes)
    sums = np.bincount(codes, weights=scores - scores.mean())[n_items > 0]
    return scores.mean() + sums * len(sums) / n, max(cluster_df(scores, codes), 1)


def _effective_items(
    values: Floats, se: float, codes: npt.NDArray[np.intp] | None, level: float
) -> float:
    """Return how many independent items say as much as these clusters of items."""
    from scipy.special import ndtri

    n, p = len(values), float(values.mean())
    if codes is None:
        return n
    n_clusters = count_clusters(codes)
    if n_clusters == 1:
        return math.nan
    known = n_clusters if math.isnan(se) else min(n, p * (1 - p) / max(se**2, 1e-300))
    z = float(ndtri(0.5 + level / 2))
    t = _t_quantile(max(cluster_df(values, codes), 1), level)
    return float(known * (z / t) ** 2)


def _beta(values: Floats, level: float) -> tuple[float, Interval]:
    from scipy.special import betaincinv

    a, b = 1 + values.sum(), 1 + (1 - values).sum()
    low, high = (float(betaincinv(a, b, 0.5 + side * level / 2)) for side in (-1, 1))
    return math.sqrt(a * b / (a + b + 1)) / (a + b), Interval(low, high)


def _t_quantile(df: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + level / 2)) if df > 0 else math.nan


def _n_apart(values: Floats, codes: npt.NDArray[np.intp] | None) -> float:
    """Return how few items differ from the lowest, or highest, score that most have."""
    above, below = values > values.min(), values < values.max()
    n_apart = min(int(above.sum()), int(below.sum()))
    if n_apart > len(values) / 2:
        return math.inf
    return _as_independent(n_apart, values, codes)


def _n_other(values: Floats, codes: npt.NDArray[np.intp] | None) -> float:
    """Return how few items differ from a score that most have, neither end of all."""
    scores, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    if most in (0, len(scores) - 1) or counts[most] < len(values) / 2:
        return math.inf
    return _as_independent(len(values) - int(counts[most]), values, codes)


def _as_independent(
    n_some: int, values: Floats, codes: npt.NDArray[np.intp] | None
) -> float:
    """Return as many independent items as tell as much as some clustered ones."""
    if codes is None or count_clusters(codes) == 1:
        return n_some
    alone = values.var() / len(values)
    return float(
        n_some * alone / max(alone, se_by_codes(values, codes, kind="cr1") ** 2)
    )


def _cluster_cautions(
    method: str, values: Floats, codes: npt.NDArray[np.intp]
) -> tuple[Caution, ...]:
    n_clusters = count_clusters(codes)
    if n_clusters == 1:
        return (
            Caution(
                "one-cluster",
                "all items are in one cluster, which tells nothing of the spread over "
                "clusters; at least 2 are needed",
            ),
        )
    n_that_count, n_least = cluster_df(values, codes) + 1, FEW_CLUSTERS[method]
    # Rounding leaves clusters of one size a little below their number.
    if n_that_count > n_least - 1e-9:
        return ()
    return (
        Caution(
            "few-clusters",
            f"{n_clusters} clusters tell as much of their spread as {n_that_count:.3g} "
            f"of one size; below {n_least} the interval may be too narrow",
        ),
    )
