"""Is one model better than another on the same items, and by how much?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.clusters import (
    Clusters,
    cluster_codes,
    count_clusters,
    df_of_variances,
    se_by_codes,
)
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import (
    check_level,
    cluster_values,
    hall_interval,
    hall_p_of_moments,
    hall_p_value,
    interval_cautions,
    is_binary,
    item_means,
)
from harness.stats.resample import check_scores, percentile_interval

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Correction = Literal["holm", "bh", "none"]

TANGO = "score interval of paired shares (Tango 1998)"
HALL = "skewness-corrected t interval of differences (Hall 1992)"
MCNEMAR = "exact McNemar test"
T_TEST = "skewness-corrected t test of differences (Hall 1992)"

FEW_DISCORDANT = 6
"""With fewer items on which two models differ, no p-value can be below .05."""

CANCELLED = 1e-8
"""Share of two variances below which that of the difference is mostly rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """How much better one model is than another on the same items.

    Attributes
    ----------
    difference : Estimate
        Mean over items of the first model's score minus the second's.
    se_unpaired : float
        What the standard error would be if other items had been put to each:
        ``sqrt(se_A^2 + se_B^2)``.
    n_better, n_worse, n_equal : int
        Items on which the first is better, worse, and no different.
    p_value : float
        Two-sided, of no difference; ``nan`` where it is not defined.
    test : str
        How the p-value was computed.
    """

    difference: Estimate
    se_unpaired: float
    n_better: int
    n_worse: int
    n_equal: int
    p_value: float
    test: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        row = {**asdict(self), "difference": None}
        row = {key: None if value != value else value for key, value in row.items()}
        return {**row, "difference": self.difference.to_dict()}

    def to_frame(self) -> pd.DataFrame:
        """Return one tidy row: that of the difference, counts and p-value."""
        return self.difference.to_frame().assign(
            se_unpaired=self.se_unpaired,
            n_better=self.n_better,
            n_worse=self.n_worse,
            n_equal=self.n_equal,
            p_value=self.p_value,
            test=self.test,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AllPairs:
    """All differences between models over the same items; row minus column.

    Attributes
    ----------
    difference, se, z : ndarray, shape (n_models, n_models)
        Mean difference, its standard error, and their ratio; ``nan`` on the diagonal,
        and for two models that never differ there is no `z`.
    n_better : ndarray, shape (n_models, n_models)
        Items on which the row is better than the column; ``nan`` for scores other
        than 0 and 1.
    p_value : ndarray, shape (n_models, n_models)
        Two-sided and for one pair: `adjust_p_values` makes up for their number.
    """

    names: tuple[str, ...]
    difference: Floats
    se: Floats
    z: Floats
    n_better: Floats
    p_value: Floats
    n: int
    method: str
    test: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        tables = ("difference", "se", "z", "n_better", "p_value")
        return {
            "names": list(self.names),
            **{name: _nested(getattr(self, name)) for name in tables},
            "n": self.n,
            "method": self.method,
            "test": self.test,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each pair, the first of the two before the second."""
        import pandas as pd

        first, second = np.triu_indices(len(self.names), 1)
        names = np.array(self.names, dtype=object)
        pair = (first, second)
        return pd.DataFrame(
            {
                "first": names[first],
                "second": names[second],
                "difference": self.difference[pair],
                "se": self.se[pair],
                "z": self.z[pair],
                "n_better": self.n_better[pair],
                "n_worse": self.n_better[second, first],
                "p_value": self.p_value[pair],
                "n": self.n,
                "method": self.method,
                "test": self.test,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSplit:
    """What the error of a paired difference is made of, in squared score units.

    Attributes
    ----------
    data : float
        Variance over items of the expected difference: only more items lessen it.
    prediction : float
        Mean over items of the variance over repeats, of both models together: more
        repeats lessen it as well.
    total : float
        Their sum: the variance of one item's difference with one repeat of each.
    n_items, n_repeats : int
        `n_repeats` of the model with fewer.
    """

    data: float
    prediction: float
    total: float
    n_items: int
    n_repeats: int
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def paired_difference(
    first: Floats,
    second: Floats,
    *,
    clusters: Clusters | None = None,
    confidence_level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> PairedDifference:
    """Return the mean difference of two models over the items that both answered.

    ``d_i = first_i - second_i``, with standard error ``sqrt(var(d) / n)`` at ddof 1, or
    CR1 in clusters. Items, or clusters, are independent draws from those that could
    have been asked. For scores of 0 and 1 the interval is Tango's, which inverts the
    score test of paired shares, keeps its level with few items on which the models
    differ, and has a width when there are none; the p-value is that of McNemar's exact
    test, and at its edge may say otherwise than the interval. For other scores, and in
    clusters, both are by Hall's transformation of t, which agree.

    Parameters
    ----------
    first, second : ndarray, shape (n_items,) or (n_items, n_repeats)
        The same items in the same order. Repeats are averaged for each item first.
    clusters : sequence, shape (n_items,), optional
        Which cluster each item belongs to.
    bounds : tuple of float
        What scores can be; the interval is cut off at the largest difference.

    Raises
    ------
    DesignError
        ``unequal-lengths``, ``missing-scores``, ``missing-clusters``,
        ``bad-confidence-level``.

    Notes
    -----
    Cautions: ``no-items``; ``few-discordant``, where the models differ on too few items
    of 0 and 1 for any p-value below .05; those of
    `harness.stats.intervals.score_interval`.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), on paired differences. T. Tango, Statist. Med.
    17 (1998) 891. Q. McNemar, Psychometrika 12 (1947) 153; exact as in
    M. W. Fagerland, S. Lydersen, P. Laake, BMC Med. Res. Methodol. 13 (2013) 91.
    """
    check_level(confidence_level)
    a, b = _same_items(item_means(first), item_means(second))
    n = len(a)
    if n == 0:
        nothing = undefined(
            "difference", n=0, method="mean", code="no-items", text="there are no items"
        )
        return PairedDifference(
            difference=nothing,
            se_unpaired=math.nan,
            n_better=0,
            n_worse=0,
            n_equal=0,
            p_value=math.nan,
            test="none",
        )
    d = a - b
    codes = None if clusters is None else cluster_codes(clusters, n)
    better, worse = int((d > 0).sum()), int((d < 0).sum())
    if codes is None and is_binary(a) and is_binary(b):
        method, test = TANGO, MCNEMAR
        low, high = tango_interval(
            np.array(better), np.array(worse), n, confidence_level=confidence_level
        )
        p_value = mcnemar_p_value(np.array(better), np.array(worse))
        cautions = discordant_cautions(better + worse, n)
        se = math.sqrt(_ternary_variance(better, worse, n) / n) if n > 1 else math.nan
    else:
        method, test = HALL, T_TEST
        units, df = cluster_values(d, codes)
        low, high = hall_interval(units, confidence_level=confidence_level, df=df)
        p_value = hall_p_value(units, df=df)
        cautions = interval_cautions("hall", d, codes)
        se = float(_mean_se(d, codes))
    if codes is not None:
        method = f"{method}; {count_clusters(codes)} clusters"
    widest = bounds[1] - bounds[0]
    return PairedDifference(
        difference=Estimate(
            quantity="difference",
            value=float(d.mean()),
            se=se,
            interval=Interval(max(float(low), -widest), min(float(high), widest)),
            confidence_level=confidence_level,
            n=n if codes is None else count_clusters(codes),
            method=method,
            cautions=cautions,
        ),
        se_unpaired=math.hypot(_mean_se(a, codes), _mean_se(b, codes)),
        n_better=better,
        n_worse=worse,
        n_equal=n - better - worse,
        p_value=float(p_value),
        test=test,
    )


def tango_interval(
    n_better: npt.NDArray[Any],
    n_worse: npt.NDArray[Any],
    n_items: int | Floats,
    *,
    confidence_level: float | Floats = 0.95,
) -> tuple[Floats, Floats]:
    """Return the ends of Tango's interval for differences of paired shares.

    All D with ``|T(D)| <= z``, where with b items better and c worse::

        T(D) = (b - c - n D) / sqrt(n (2 q + D (1 - D)))

    and ``q``, the probability of worse that is likeliest under D, is the larger root
    of ``2 n q^2 - (b + c - (2 n - b + c) D) q - c D (1 - D) = 0``. Items are
    independent draws.

    Parameters
    ----------
    n_better, n_worse : ndarray
        Of the same shape.
    n_items, confidence_level : number or ndarray of that shape
        Of each.

    References
    ----------
    T. Tango, Statist. Med. 17 (1998) 891.
    """
    from scipy.special import ndtri

    b, c = (np.asarray(x, dtype=np.float64) for x in (n_better, n_worse))
    z = -ndtri((1 - np.asarray(confidence_level)) / 2)
    low, high = _where_tango_is(np.stack([b, c]), np.stack([c, b]), n_items, z)
    return low, -high


def mcnemar_p_value(n_better: npt.NDArray[Any], n_worse: npt.NDArray[Any]) -> Floats:
    """Return the exact two-sided p-value of McNemar's test.

    ``min(1, 2 P(X <= min(b, c)))`` with X binomial of b + c draws at 1/2: given that
    two models differ on an item, either is as likely to be right if they are equally
    good. 1 where they never differ.
    """
    from scipy.special import bdtr

    least = np.minimum(n_better, n_worse).astype(np.float64)
    n_discordant = np.asarray(n_better + n_worse).astype(np.int64)
    return np.asarray(np.minimum(1, 2 * bdtr(least, n_discordant, 0.5)))


def all_pairs(
    scores: Floats,
    *,
    names: Sequence[str] | None = None,
    clusters: Clusters | None = None,
) -> AllPairs:
    """Return all differences between models, with standard errors and tests.

    ``se^2 = (C_ii + C_jj - 2 C_ij) / (n (n - 1))`` from the one table of products C of
    residuals; in clusters, of their sums over G clusters with ``G / ((G - 1) n^2)``
    (CR1). The test is that of `paired_difference`, with the same p-values: McNemar's,
    exact, for scores of 0 and 1, and otherwise, and in clusters, Hall's, whose skewness
    is from one table more, of squared residuals and residuals.

    Parameters
    ----------
    scores : ndarray, shape (n_models, n_items)
        One score for each item: average repeats first.
    names : sequence of str, optional
        Of the models; their numbers, counted from 0, if left out.
    clusters : sequence, shape (n_items,), optional
        Which cluster each item belongs to.

    Raises
    ------
    DesignError
        ``missing-scores``, ``too-few-items``, ``unequal-lengths``,
        ``missing-clusters``.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), on paired differences.
    """
    scores = np.asarray(scores, dtype=np.float64)
    n_models, n = scores.shape
    names = tuple(names) if names is not None else tuple(map(str, range(n_models)))
    if len(names) != n_models:
        raise DesignError(
            f"{n_models} models and {len(names)} names; give one name for each",
            code="unequal-lengths",
        )
    if n < 2:
        raise DesignError(
            f"differences need at least 2 items, got {n}", code="too-few-items"
        )
    check_scores(scores)
    codes = None if clusters is None else cluster_codes(clusters, n)
    is_counted = bool(is_binary(scores).all())
    mean = scores.mean(1)
    difference = mean[:, None] - mean
    better = np.full((n_models, n_models), np.nan)
    if is_counted:
        # Sums of 0 and 1 are exact in float32, at half the time.
        right = scores.astype(np.float32)
        both = (right @ right.T).astype(np.float64)
        better = np.diagonal(both)[:, None] - both
        difference = (better - better.T) / n
    n_units = n if codes is None else count_clusters(codes)
    if is_counted and codes is None:
        test = MCNEMAR
        variance = _ternary_variance(better, better.T, n) / n
        p_value = mcnemar_p_value(better, better.T)
    else:
        test = T_TEST
        variance, p_value = _products(scores - mean[:, None], difference, codes)
    np.fill_diagonal(variance, np.nan)
    np.fill_diagonal(p_value, np.nan)
    se = np.sqrt(variance)
    z = np.divide(difference, se, out=np.full_like(se, np.nan), where=se > 0)
    return AllPairs(
        names=names,
        difference=difference,
        se=se,
        z=z,
        n_better=better,
        p_value=p_value,
        n=n_units,
        method="paired difference over items"
        if codes is None
        else f"paired difference over items, CR1; {n_units} clusters",
        test=test,
    )


def pair_intervals(
    means: Floats, *, confidence_level: float = 0.95
) -> tuple[Floats, Floats]:
    """Return percentile intervals of all differences between models.

    Quantiles of ``means[i] - means[j]``, whose resamples share their items: the paired
    bootstrap of every pair for the price of one; see
    `harness.stats.resample.percentile_interval`.

    Parameters
    ----------
    means : ndarray, shape (n_models, n_resamples)
        From `harness.stats.resample.bootstrap_means`.

    Returns
    -------
    low, high : ndarray, shape (n_models, n_models)
        Of row minus column; ``nan`` on the diagonal.

    Raises
    ------
    DesignError
        ``too-few-resamples``.
    """
    check_level(confidence_level)
    n_models = len(means)
    low = np.full((n_models, n_models), np.nan)
    high = low.copy()
    for i in range(n_models - 1):
        ends = percentile_interval(
            means[i] - means[i + 1 :], confidence_level=confidence_level
        )
        low[i, i + 1 :], high[i, i + 1 :] = ends
        low[i + 1 :, i], high[i + 1 :, i] = -ends[1], -ends[0]
    return low, high


def adjust_p_values(p_value: Floats, *, correction: Correction = "holm") -> Floats:
    """Return p-values of all pairs, made larger because they are many.

    ``holm`` holds the chance of any false difference at the level, whatever the
    dependence; ``bh`` (Benjamini and Hochberg) the expected share of false ones among
    those found, for positively dependent tests.

    Parameters
    ----------
    p_value : ndarray, shape (n_models, n_models)
        Symmetric, as of `all_pairs`. Each pair counts once; ``nan`` counts not at all.

    References
    ----------
    S. Holm, Scand. J. Statist. 6 (1979) 65. Y. Benjamini, Y. Hochberg, J. R. Statist.
    Soc. B 57 (1995) 289.
    """
    if correction == "none":
        return p_value
    names = {"holm": "holm", "bh": "fdr_bh"}
    if correction not in names:
        raise DesignError(
            f"there is no correction {correction!r}; choose one of holm, bh, none",
            code="unknown-method",
        )
    from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped,unused-ignore]

    first, second = np.triu_indices(len(p_value), 1)
    known = ~np.isnan(p_value[first, second])
    first, second = first[known], second[known]
    adjusted = np.full(p_value.shape, np.nan)
    if len(first):
        _, values, *_ = multipletests(p_value[first, second], method=names[correction])
        adjusted[first, second] = adjusted[second, first] = values
    return adjusted


def noise_split(first: Floats, second: Floats) -> NoiseSplit:
    """Split the variance of a paired difference into items and repeated answers.

    With K repeats of each item, ``v`` their variance (ddof=1) and ``m`` their mean::

        prediction = mean(v_A) + mean(v_B)
        data       = var(m_A - m_B) - mean(v_A) / K_A - mean(v_B) / K_B

    with the variance over items at ddof 1. Repeats are independent given the item, and
    of one model independent of the other's. `data` is unbiased, and may be negative.

    Parameters
    ----------
    first, second : ndarray, shape (n_items, n_repeats)
        The same items; the numbers of repeats may differ. No missing values.

    Raises
    ------
    DesignError
        ``unequal-lengths``, ``missing-scores``, ``too-few-items`` and
        ``too-few-replicates`` (fewer than 2).

    Notes
    -----
    Cautions: ``negative-component``.

    References
    ----------
    S. Wang, arXiv 2512.21326 (2025), which takes the variance over items at ddof 0.
    """
    first, second = (np.asarray(x, dtype=np.float64) for x in (first, second))
    _same_items(first[:, 0], second[:, 0])
    n, n_repeats = len(first), min(first.shape[1], second.shape[1])
    if n < 2 or n_repeats < 2:
        raise DesignError(
            f"the split needs at least 2 items with 2 repeats each, got {n} with "
            f"{n_repeats}; sample each item again",
            code="too-few-items" if n < 2 else "too-few-replicates",
        )
    check_scores(first.T)
    check_scores(second.T)
    noise = [float(x.var(1, ddof=1).mean()) for x in (first, second)]
    spread = float((first.mean(1) - second.mean(1)).var(ddof=1))
    data = spread - noise[0] / first.shape[1] - noise[1] / second.shape[1]
    cautions: tuple[Caution, ...] = ()
    if data < 0:
        text = "items differ less than the noise of their repeats alone predicts"
        cautions = (Caution("negative-component", text),)
    return NoiseSplit(
        data=data,
        prediction=sum(noise),
        total=data + sum(noise),
        n_items=n,
        n_repeats=n_repeats,
        cautions=cautions,
    )


def _same_items(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    if a.shape != b.shape:
        raise DesignError(
            f"{len(a)} items of the first model and {len(b)} of the second; give the "
            "items that both answered, in the same order",
            code="unequal-lengths",
        )
    return a, b


def _mean_se(values: Floats, codes: npt.NDArray[np.intp] | None) -> float:
    if codes is not None:
        return float(se_by_codes(values, codes, kind="cr1"))
    n = len(values)
    return float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan


def discordant_cautions(n_discordant: int, n: int) -> tuple[Caution, ...]:
    """Return the caution that models differ on too few of n items to be told apart."""
    if n_discordant >= FEW_DISCORDANT:
        return ()
    return (
        Caution(
            "few-discordant",
            f"the models differ on {n_discordant} of {n} items; below {FEW_DISCORDANT} "
            "no difference could be significant at 5 %",
        ),
    )


def _ternary_variance(better: Any, worse: Any, n: int) -> Any:
    """Return the variance (ddof=1) of differences of 0 and 1, exact at its counts."""
    return (better + worse - (better - worse) ** 2 / n) / (n - 1)


def _products(
    error: Floats, difference: Floats, codes: npt.NDArray[np.intp] | None
) -> tuple[Floats, Floats]:
    """Return variance and p-value of all mean differences from residuals of models."""
    n_models, n = error.shape
    units, df = error, np.full((n_models, n_models), n - 1.0)
    if codes is not None:
        # As `harness.stats.intervals.cluster_values`, of all models at once.
        sums = np.array([np.bincount(codes, row) for row in error])
        units = sums[:, np.bincount(codes) > 0]
        units = units * units.shape[1] / n
    n_units = units.shape[1]
    if n_units < 2:
        nothing = np.full((n_models, n_models), np.nan)
        return nothing, nothing.copy()
    squares, cancelled = _squares(units)
    cubes = (units**2) @ units.T
    own = np.diagonal(cubes)
    cubes = own[:, None] - own - 3 * (cubes - cubes.T)
    for i, j in cancelled:
        cubes[i, j] = ((units[i] - units[j]) ** 3).sum()
    variance = squares / (n_units * (n_units - 1))
    if codes is not None:
        alone = _squares(error)[0] / n**2
        df = np.maximum(df_of_variances(alone, variance, codes), 1)
    safe = np.where(squares > 0, squares, np.nan)
    p_value = hall_p_of_moments(
        difference / np.sqrt(safe / (n_units - 1)),
        math.sqrt(n_units) * cubes / safe**1.5,
        n_units,
        df=df,
    )
    return variance, p_value


def _squares(values: Floats) -> tuple[Floats, list[list[int]]]:
    """Return the sum of squared differences of any two rows, and what cancelled."""
    products = values @ values.T
    own = np.diagonal(products)
    both = own[:, None] + own
    squares = both - 2 * products
    # Of nearly equal models the subtraction leaves rounding: once more, directly.
    cancelled = np.argwhere(squares <= CANCELLED * both).tolist()
    for i, j in cancelled:
        squares[i, j] = ((values[i] - values[j]) ** 2).sum()
    return squares, cancelled


def _where_tango_is(b: Floats, c: Floats, n: int | Floats, z: Floats) -> Floats:
    """Return D where T(D) = z, by bisection; -1 where T is below z everywhere."""
    low, high = np.full(b.shape, -1.0), np.asarray((b - c) / n)
    lead, slope, curve = b - c, 2 * n - b + c, 8 * n * c
    # Rounding leaves what is under a root at 1e-17 below 0.
    for _ in range(52):
        middle = (low + high) / 2
        linear = slope * middle - b - c
        rest = middle * (1 - middle)
        root = np.sqrt(np.maximum(linear**2 + curve * rest, 0))
        q = (root - linear) / (4 * n)
        is_above = lead - n * middle > z * np.sqrt(n * np.maximum(2 * q + rest, 0))
        low, high = np.where(is_above, middle, low), np.where(is_above, high, middle)
    return np.where(lead == -n, -1.0, low)


def _nested(values: Floats) -> list[list[float | None]]:
    return [[None if v != v else v for v in line] for line in values.tolist()]
