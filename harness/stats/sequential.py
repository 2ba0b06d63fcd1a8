"""Is one model better, if one looks again and again? Tests that allow for peeking."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.clusters import Clusters, cluster_codes, count_clusters
from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.intervals import (
    check_level,
    cluster_values,
    interval_cautions,
    varies,
)
from harness.stats.resample import check_scores

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Shape = Literal["open", "obrien-fleming", "pocock"]

MIXTURE = "confidence sequence of paired shares (beta-binomial mixture)"
ASYMPTOTIC = "asymptotic confidence sequence of differences (Waudby-Smith et al. 2024)"

N_TARGET = 500
"""Items at which a confidence sequence is narrowest, as far as nothing else is said. It
is 3 % wider at 4 times as many, 8 % at a quarter, and 12 % at 30 times as many."""

TUNED = 8.211968062068253
"""Information, in units of the prior's, at which a normal mixture is narrowest for its
level, 5 %: ``-W(-alpha^2 / e) - 1`` with the lower branch of Lambert's function."""

DISCORDANT = 0.2
"""Share of items on which two models differ, for which the mixture is tuned."""

N_NODES = 48
"""Bets that are mixed. Each is a martingale, and so is any mean of them."""

OPEN_POWER = 1.5
"""How fast levels fall that have no end. A power of 2 would spend 61 % at the first
look and leave 9 times less for the 200th."""

Words = Literal["cs", "spending", "obrien-fleming", "pocock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialRule:
    """How looking again and again is allowed for.

    Attributes
    ----------
    kind : {"cs", "spending"} or None
        A confidence sequence, which holds at every look; a level of its own for each
        look; or nothing, as if there were but one look.
    shape : {"open", "obrien-fleming", "pocock"}
        Of spending; see `spend`.
    n_looks : int or None
        At most so many looks; ``None`` if there is no end.
    n_target : int
        Items at which a confidence sequence is to be narrowest.
    """

    kind: Literal["cs", "spending"] | None = None
    shape: Shape = "open"
    n_looks: int | None = None
    n_target: int = N_TARGET

    def level(self, look: int = 1, *, alpha: float = 0.05) -> float:
        """Return the level at which look number `look`, from 1, is to be tested.

        Of N looks it is for those at the same models with more and more data, as
        `spend` has it; open looks may have data and models of their own. With a
        confidence sequence it is `alpha` at all.
        """
        if self.kind != "spending":
            return alpha
        level = spend(
            alpha,
            look,
            shape=self.shape,
            n_looks=self.n_looks,
            accumulates=self.n_looks is not None,
        )
        return max(level, LEAST_LEVEL)


def read_rule(words: str | SequentialRule | None) -> SequentialRule:
    """Read how looks are allowed for, such as ``cs`` or ``pocock:30``.

    ``cs`` is a confidence sequence; ``spending`` has no end; ``obrien-fleming:N`` and
    ``pocock:N`` are for at most N looks at the same models, with more data at each;
    none is no allowance.

    Raises
    ------
    DesignError
        ``unknown-method``; ``bad-count``, where N is no number from 2 on.
    """
    if isinstance(words, SequentialRule):
        return words
    if words is None:
        return SequentialRule()
    name, _, number = words.partition(":")
    if name not in get_args(Words) or (number and name in ("cs", "spending")):
        raise DesignError(
            f"there is no allowance for looking again called {words!r}; choose one of "
            "cs, spending, obrien-fleming:N, pocock:N with N looks at most",
            code="unknown-method",
        )
    if name == "cs":
        return SequentialRule(kind="cs")
    if name == "spending":
        return SequentialRule(kind="spending")
    if not number.isdecimal() or not 2 <= int(number) <= MAX_LOOKS:
        raise DesignError(
            f"{words!r} does not say how many looks there are at most; give a number "
            f"from 2 to {MAX_LOOKS}, such as {name}:30",
            code="bad-count",
        )
    shape: Shape = "pocock" if name == "pocock" else "obrien-fleming"
    return SequentialRule(kind="spending", shape=shape, n_looks=int(number))


def confidence_sequence(
    differences: Floats,
    *,
    clusters: Clusters | None = None,
    confidence_level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    n_target: int = N_TARGET,
) -> Estimate:
    """Return the mean difference with an interval that may be looked at at any time.

    With probability `confidence_level` it holds the truth at all numbers of items at
    once, however often and for whatever reason one looks or stops.

    For differences of 0 and 1, which are -1, 0 or 1, the interval is exact at any
    number of items: all means m against which no bettor gets rich. With b items better,
    c worse and e equal, bets of a share k in (0, 1) on a larger mean grow to::

        W_k(m) = (1 + k (1 - m) / (1 + m))^b (1 - k)^c (1 - k m / (1 + m))^e

    and those on a smaller one to ``W_k(-m)`` with b and c exchanged. Each is a
    nonnegative martingale if the mean is m, hence so is the mean of the two over k;
    by Ville's inequality it ever reaches ``1 / alpha`` with probability alpha at most.
    ``(1 + k) / 2`` has a Beta(a, a) distribution, so that at m = 0 this is the
    beta-binomial mixture of a binomial of b + c draws at 1/2: McNemar's test, valid at
    any time. The set is an interval, since the mixture is convex in m.

    For other scores, and in clusters, it is asymptotic::

        mean -+ se sqrt(2 (t + 1) / t log(sqrt(t + 1) / alpha)),   t = n rho^2

    of n items, or clusters, with the standard error of
    `harness.stats.intervals.cluster_values`, and instead of the normal quantile under
    the root that of Student's t with the same probability beyond it, which makes up for
    the SD of few items.

    Items, or clusters, come in an order that has nothing to do with their scores.

    Parameters
    ----------
    differences : ndarray, shape (n_items,)
        First model's score minus the second's; average repeats first.
    clusters : sequence, shape (n_items,), optional
        Which cluster each item belongs to.
    bounds : tuple of float
        What scores can be; the interval is cut off at the largest difference.
    n_target : int
        Items, or clusters, at which the interval is to be narrowest; to be fixed
        beforehand. That is
        ``rho^2 = 8.21 / n_target``, and ``2 a + 1 = 0.2 n_target / 8.21`` where models
        differ on a fifth of the items.

    Raises
    ------
    DesignError
        ``bad-confidence-level``, ``bad-count``, ``missing-scores``,
        ``missing-clusters``, ``unequal-lengths``.

    Notes
    -----
    Cautions: ``no-items``; those of `harness.stats.pairs.paired_difference` where the
    interval is asymptotic.

    References
    ----------
    I. Waudby-Smith et al., Ann. Statist. 52 (2024) 2613, theorem 2.2, and appendix on
    the choice of rho. I. Waudby-Smith, A. Ramdas, J. R. Statist. Soc. B 86 (2024) 1,
    on betting. H. Robbins, Ann. Math. Statist. 41 (1970) 1397. F. Orabona, K.-S. Jun,
    IEEE Trans. Inf. Theory 70 (2024) 436: mixtures of bets.
    """
    check_level(confidence_level)
    d, codes = _checked(differences, clusters, n_target)
    n = len(d)
    if n == 0:
        text = "there are no items"
        return undefined("difference", n=0, method="mean", code="no-items", text=text)
    se, cautions = math.nan, tuple[Caution, ...]()
    if _is_ternary(d, codes):
        method = MIXTURE
        low, high = mixture_interval(
            np.array((d > 0).sum()),
            np.array((d < 0).sum()),
            n,
            confidence_level=confidence_level,
            n_target=n_target,
        )
        if n > 1:
            se = float(d.std(ddof=1)) / math.sqrt(n)
        ends = Interval(float(low), float(high))
    else:
        method, cautions = ASYMPTOTIC, interval_cautions("hall", d, codes)
        se, df, n_units = _standard_error(d, codes)
        z = sequence_quantile(n_units, confidence_level, n_target=n_target)
        half = se * _t_of_normal(float(z), df)
        mean = float(d.mean())
        ends = Interval(mean - half, mean + half) if half == half else UNDEFINED
    if codes is not None:
        method = f"{method}; {count_clusters(codes)} clusters"
    widest = bounds[1] - bounds[0]
    return Estimate(
        quantity="difference",
        value=float(d.mean()),
        se=se,
        interval=Interval(max(ends.low, -widest), min(ends.high, widest)),
        confidence_level=confidence_level,
        n=n if codes is None else count_clusters(codes),
        method=method,
        cautions=cautions,
    )


def always_valid_p(
    differences: Floats,
    *,
    clusters: Clusters | None = None,
    n_target: int = N_TARGET,
) -> float:
    """Return the two-sided p-value of no difference that may be looked at at any time.

    The least alpha at which `confidence_sequence` leaves out 0; if there is no
    difference, it is ever below alpha with probability alpha at most. For 0 and 1 the
    inverse of the mixture at m = 0; else, with z the normal quantile as far out as the
    t statistic::

        sqrt(t + 1) exp(-z^2 t / (2 (t + 1)))

    Parameters, errors and sources are those of `confidence_sequence`; ``nan`` where
    differences do not vary or there are none.
    """
    d, codes = _checked(differences, clusters, n_target)
    n = len(d)
    if n == 0:
        return math.nan
    if _is_ternary(d, codes):
        better, worse = (np.array((x > 0).sum()) for x in (d, -d))
        return float(mixture_p_value(better, worse, n_target=n_target))
    se, df, n_units = _standard_error(d, codes)
    if math.isnan(se):
        return math.nan
    z = _normal_of_t(abs(float(d.mean())) / se, df)
    return float(sequence_p_value(z, n_units, n_target=n_target))


def sequence_quantile(
    n_units: float | Floats, confidence_level: float | Floats, *, n_target: int
) -> Floats:
    """Return how many standard errors an asymptotic `confidence_sequence` reaches.

    Parameters
    ----------
    n_units, confidence_level : number or ndarray
        Items, or clusters of them, and level of each.
    """
    t = np.asarray(n_units, dtype=np.float64) * TUNED / n_target
    log = np.log(np.sqrt(t + 1) / (1 - np.asarray(confidence_level)))
    return np.asarray(np.sqrt(2 * (t + 1) / t * log))


def sequence_p_value(
    z: float | Floats, n_units: float | Floats, *, n_target: int
) -> Floats:
    """Return the asymptotic `always_valid_p` of normal quantiles."""
    t = np.asarray(n_units, dtype=np.float64) * TUNED / n_target
    log = np.log1p(t) / 2 - np.square(z) * t / (2 * (t + 1))
    return np.asarray(np.exp(np.minimum(log, 0)))


def mixture_interval(
    n_better: npt.NDArray[Any],
    n_worse: npt.NDArray[Any],
    n_items: int | Floats,
    *,
    confidence_level: float | Floats = 0.95,
    n_target: int = N_TARGET,
) -> tuple[Floats, Floats]:
    """Return the ends of the exact `confidence_sequence` of scores of 0 and 1.

    Parameters
    ----------
    n_better, n_worse : ndarray
        Of the same shape.
    n_items, confidence_level : number or ndarray of that shape
        Of each.
    """
    b, c = (np.asarray(x, dtype=np.float64) for x in (n_better, n_worse))
    bound = -np.log(1 - np.asarray(confidence_level, dtype=np.float64))
    low = _where_mixture_is(b, c, n_items, bound, n_target)
    return low, -_where_mixture_is(c, b, n_items, bound, n_target)


def mixture_p_value(
    n_better: npt.NDArray[Any],
    n_worse: npt.NDArray[Any],
    *,
    n_target: int = N_TARGET,
) -> Floats:
    """Return the exact `always_valid_p` of scores of 0 and 1."""
    b, c = (np.asarray(x, dtype=np.float64) for x in (n_better, n_worse))
    log_wealth = _log_mixture(b, c, 0 * b, 0 * b, n_target)
    return np.asarray(np.exp(-np.maximum(log_wealth, 0)))


def spend(
    alpha: float,
    look: int,
    *,
    shape: Shape = "open",
    n_looks: int | None = None,
    accumulates: bool = False,
) -> float:
    """Return the level of one look, so that all looks together hold `alpha`.

    Up to look k of K the looks may have spent, half of it on either side::

        obrien-fleming   4 (1 - Phi(z / sqrt(k / K))),   z the quantile of 1 - alpha / 4
        pocock           alpha log(1 + (e - 1) k / K)
        open             alpha (1 + 2^-1.5 + ... + k^-1.5) / zeta(1.5), without end

    Where every look has data or models of its own, such as each night's checkpoint,
    its level is what this adds: whatever the dependence of looks, their errors sum to
    alpha at most. Where looks see the same two models with ever more items, in steps of
    equal size, `accumulates`, their statistics are those of a Brownian motion, and the
    level at which it first leaves its bounds with the probability to be spent is
    larger.

    Parameters
    ----------
    look : int
        From 1.
    n_looks : int, optional
        K; needed unless `shape` is ``open``.

    Raises
    ------
    DesignError
        ``bad-count``: `look` is none of the looks; ``unfit-method``: `accumulates`
        without an end.

    References
    ----------
    K. K. G. Lan, D. L. DeMets, Biometrika 70 (1983) 659. P. Armitage, C. K. McPherson,
    B. C. Rowe, J. R. Statist. Soc. A 132 (1969) 235: the bounds.
    """
    end = math.inf if n_looks is None else n_looks
    if (n_looks is None) != (shape == "open") or not 1 <= look <= end:
        raise DesignError(
            f"look {look} of {n_looks or 'no number of'} looks, {shape}; looks count "
            "from 1, and up to their number, which open ones do not have and others do",
            code="bad-count",
        )
    if n_looks is None:
        if accumulates:
            raise DesignError(
                "looks at the same models with more data have no end; take a "
                "confidence sequence, cs, or say how many looks there are",
                code="unfit-method",
            )
        from scipy.special import zeta

        return float(alpha / zeta(OPEN_POWER) * look**-OPEN_POWER)
    if accumulates:
        return _accumulating_levels(alpha, shape, n_looks)[look - 1]
    return float(_spent(alpha, shape, n_looks)[look - 1])


MAX_LOOKS = 400
"""Of a known number, beyond which an open end is as good."""

LEAST_LEVEL = 1e-12
"""Of a test: what O'Brien and Fleming leave the first of many looks is none at all."""

FARTHEST = 12.0
"""Standard deviations beyond which nothing is spent."""


def _spent(alpha: float, shape: Shape, n_looks: int) -> Floats:
    """Return what each look spends."""
    from scipy.special import ndtr, ndtri

    share = np.arange(1, n_looks + 1) / n_looks
    if shape == "pocock":
        until = alpha * np.log1p((math.e - 1) * share)
    else:
        until = 4 * ndtr(ndtri(alpha / 4) / np.sqrt(share))
    return np.diff(until, prepend=0)


@lru_cache(maxsize=64)
def _accumulating_levels(alpha: float, shape: Shape, n_looks: int) -> tuple[float, ...]:
    """Return levels whose looks together spend what they may, by integration."""
    from scipy.special import ndtr

    # Nodes stand closer than what the process moves in one step.
    n_nodes = 80 + 6 * math.isqrt(n_looks)
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    # Where the process may be, and with which probabilities; at first at 0.
    at, mass = np.zeros(1), np.ones(1)
    step = math.sqrt(1 / n_looks)
    levels = []
    for k, spent in enumerate(_spent(alpha, shape, n_looks).tolist(), 1):
        root = math.sqrt(k / n_looks)
        bound = _bound(at, mass, step, spent, FARTHEST * root)
        levels.append(2 * float(ndtr(-bound / root)))
        moves = (nodes[:, None] * bound - at) / step
        density = np.exp(-(moves**2) / 2) @ mass / (step * math.sqrt(2 * math.pi))
        at, mass = nodes * bound, density * weights * bound
    return tuple(levels)


def _bound(at: Floats, mass: Floats, step: float, spent: float, far: float) -> float:
    """Return what the process leaves with the probability to be spent."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    def excess(bound: float) -> float:
        beyond = ndtr((at - bound) / step) + ndtr((-at - bound) / step)
        return float(mass @ beyond) - spent

    return far if excess(far) > 0 else float(brentq(excess, 0, far, xtol=1e-13))


def _checked(
    differences: Floats, clusters: Clusters | None, n_target: int
) -> tuple[Floats, Codes | None]:
    d = np.asarray(differences, dtype=np.float64)
    check_scores(d)
    if n_target < 1:
        raise DesignError(
            f"a sequence is to be narrowest at {n_target} items; give 1 or more",
            code="bad-count",
        )
    return d, None if clusters is None else cluster_codes(clusters, len(d))


def _is_ternary(d: Floats, codes: Codes | None) -> bool:
    return codes is None and bool(np.isin(d, (-1, 0, 1)).all())


def _standard_error(d: Floats, codes: Codes | None) -> tuple[float, float, int]:
    """Return the standard error of the mean, its degrees of freedom and its units."""
    units, df = cluster_values(d, codes)
    n = len(units)
    if n < 2 or not varies(units):
        return math.nan, df, n
    return float(units.std(ddof=1)) / math.sqrt(n), df, n


def _t_of_normal(z: float, df: float) -> float:
    from scipy.special import ndtr, stdtrit

    return -float(stdtrit(df, float(ndtr(-z))))


def _normal_of_t(t: float, df: float) -> float:
    from scipy.special import ndtri, stdtr

    return -float(ndtri(float(stdtr(df, -t))))


@lru_cache(maxsize=16)
def _bets(n_target: int) -> tuple[Floats, Floats]:
    """Return bets k and the logarithms of their weights, which sum to 1."""
    a = max(0.5, (DISCORDANT * n_target / TUNED - 1) / 2)
    widest = min(1.0, 8 / math.sqrt(2 * a + 1))
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    # Squares stand close where bets are small, as those on many items are.
    root = (nodes + 1) / 2
    bets = root**2 * widest
    log_weights = np.log(weights * root) + (a - 1) * np.log1p(-(bets**2))
    return bets, log_weights - np.logaddexp.reduce(log_weights)


def _log_mixture(
    better: Floats, worse: Floats, equal: Floats, mean: Floats, n_target: int
) -> Floats:
    """Return the logarithm of what bets against `mean` have grown to."""
    one, other = (
        _log_wealth(*counts, equal, at, n_target)
        for counts, at in (((better, worse), mean), ((worse, better), -mean))
    )
    return np.asarray(np.logaddexp(one, other) - math.log(2))


def _log_wealth(
    better: Floats, worse: Floats, equal: Floats, mean: Floats, n_target: int
) -> Floats:
    """Return the same of the bets on a larger mean alone."""
    bets, log_weights = _bets(n_target)
    b, c, e, m = (x[..., None] for x in (better, worse, equal, mean))
    grown = (
        b * np.log1p(bets * (1 - m) / (1 + m))
        + c * np.log1p(-bets)
        + e * np.log1p(-bets * m / (1 + m))
    )
    return np.asarray(np.logaddexp.reduce(grown + log_weights, axis=-1))


N_BISECTIONS, N_SECANTS, EDGE = 8, 12, 1e-9
"""Enough for seven digits of the probability; how near -1 and 1 means are tried."""


def _where_mixture_is(
    b: Floats, c: Floats, n: int | Floats, bound: Floats, n_target: int
) -> Floats:
    """Return the least mean at which the mixture is below `bound`."""
    equal = n - b - c

    def excess(mean: Floats) -> Floats:
        return _log_mixture(b, c, equal, mean, n_target) - bound

    # What was won on impossible means is boundless.
    low, high = np.full(b.shape, EDGE - 1), np.minimum((b - c) / n, 1 - EDGE)
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        is_above = excess(middle) >= 0
        low, high = np.where(is_above, middle, low), np.where(is_above, high, middle)
    # Regula falsi; what does not move is halved, else the other end never would.
    above, below = np.maximum(excess(low), EDGE), excess(high)
    side = np.zeros(b.shape)
    for _ in range(N_SECANTS):
        middle = (low * below - high * above) / (below - above)
        found = excess(middle)
        is_above = found >= 0
        above, below = (
            np.where(is_above, found, np.where(side < 0, above / 2, above)),
            np.where(is_above, np.where(side > 0, below / 2, below), found),
        )
        low, high = np.where(is_above, middle, low), np.where(is_above, high, middle)
        side = np.where(is_above, 1, -1)
    return np.where(c == n, -1.0, high)
