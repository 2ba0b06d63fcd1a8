"""How much better is one choice than another, over items and training seeds?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from harness.stats.clusters import Codes, count_clusters, df_of_variances
from harness.stats.intervals import hall_p_of_moments, is_binary, varies
from harness.stats.pairs import mcnemar_p_value, tango_interval

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indexes = npt.NDArray[np.intp]

FEW_APART = 12
"""Up to so many units that differ, all turns of their signs are counted."""

MOST_SURE = 26.0
"""Normal quantile at which the search for a p-value ends: 1e-149."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """What is known of several differences, an element each; their intervals follow.

    Attributes
    ----------
    difference : ndarray
        Mean of the second choice less that of the first.
    variance, skewness, n_units, df : ndarray
        Of the mean difference over items, or clusters of them: squared standard error,
        skewness of the units, their number and degrees of freedom.
    n_even : ndarray
        ``1 / w``, w being the largest weight of a unit in the mean: `n_units`, where
        all weigh the same.
    n_better, n_worse : ndarray
        Items on which the second is right and the first is not, and the reverse;
        ``nan`` where scores are not 0 and 1, or items are clustered.
    least_p : ndarray
        The exact p-value of turning the signs of units round at random, where few units
        differ; else 0: no p-value is below it.
    seed, interaction : ndarray
        Variance of the difference over training seeds as observed, and the part of it
        that is seeds knowing other items, which `variance` has already; 0 where seeds
        are given.
    seed_df : ndarray
        Degrees of freedom of `seed`; ``inf`` where there is none.
    """

    difference: Floats
    variance: Floats
    skewness: Floats
    n_units: Floats
    n_even: Floats
    df: Floats
    n_better: Floats
    n_worse: Floats
    least_p: Floats
    seed: Floats
    interaction: Floats
    seed_df: Floats

    def __len__(self) -> int:
        return len(self.difference)

    def __getitem__(self, chosen: Indexes | Flags | slice) -> Moments:
        return Moments(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    @property
    def is_counted(self) -> Flags:
        """Which are of 0 and 1 alone, so that exact methods apply."""
        return np.asarray(~np.isnan(self.n_better) & np.isinf(self.seed_df))

    @property
    def is_equal(self) -> Flags:
        """Which are of scores that are the same on every item, but not counted."""
        is_flat = (self.difference == 0) & (self.variance == 0)
        return np.asarray(is_flat & ~self.is_counted)

    @property
    def se(self) -> Floats:
        """Standard error over all that is drawn."""
        return np.sqrt(self.variance + np.maximum(self.seed - self.interaction, 0))

    @property
    def for_these_seeds(self) -> Moments:
        """The same differences with their training seeds as given."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        nothing = np.zeros(len(self))
        parts |= {"seed": nothing, "interaction": nothing}
        return Moments(**{**parts, "seed_df": np.full(len(self), np.inf)})

    @staticmethod
    def unknown(n: int) -> Moments:
        """Return `n` differences over no items."""
        nothing = np.full(n, np.nan)
        known = {name: np.ones(n) for name in ("n_units", "n_even", "df")}
        known["seed"] = np.zeros(n)
        known |= {"interaction": np.zeros(n), "seed_df": np.full(n, np.inf)}
        known["least_p"] = np.zeros(n)
        return Moments(**{f.name: known.get(f.name, nothing) for f in fields(Moments)})

    @staticmethod
    def together(parts: Sequence[Moments]) -> Moments:
        """Return all of `parts`, one after the other."""
        return Moments(
            **{
                f.name: np.concatenate([getattr(part, f.name) for part in parts])
                for f in fields(Moments)
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """Which items scores are of: what is independent, and what weighs the same.

    Attributes
    ----------
    n : int
        Items; of all tasks together where there are several.
    codes : ndarray, shape (n,), optional
        Cluster of each item, from `harness.stats.clusters.cluster_codes`.
    tasks : ndarray, shape (n,), optional
        Task of each item, from 0: tasks weigh the same, whatever their size. Items of
        different tasks may share a cluster.
    """

    n: int
    codes: Codes | None = None
    tasks: Codes | None = None

    @property
    def n_units(self) -> int:
        """Independent units: items, or clusters of them."""
        return self.n if self.codes is None else count_clusters(self.codes)

    @property
    def df(self) -> float:
        """Degrees of freedom of a variance over independent items."""
        n_tasks = 1 if self.tasks is None else int(self.tasks.max()) + 1
        return max(self.n_units - float(n_tasks), 1.0)

    @property
    def n_even(self) -> float:
        """Units of the largest weight that would make up the whole."""
        weights = np.full(self.n, 1 / self.n)
        if self.tasks is not None:
            size = np.bincount(self.tasks)
            weights = 1 / (len(size) * size[self.tasks])
        if self.codes is not None:
            weights = np.bincount(self.codes, weights=weights)
        return 1 / float(weights.max())

    def means(self, rows: Floats) -> Floats:
        """Return the mean of each row; of its tasks' means where there are several."""
        if self.tasks is None:
            return np.asarray(rows.mean(-1))
        return np.asarray(_task_means(rows, self.tasks).mean(-1))

    def residuals(self, rows: Floats) -> Floats:
        """Return differences from the mean, such that ``sum r^2 / (n (n - 1))`` is the
        squared standard error of `means` over independent items.
        """
        if self.tasks is None:
            return np.asarray(rows - rows.mean(-1, keepdims=True))
        size = np.bincount(self.tasks)
        weight = np.sqrt(self.n * (self.n - 1) * size / (size - 1)) / size / len(size)
        return (rows - _task_means(rows, self.tasks)[:, self.tasks]) * weight[
            self.tasks
        ]

    def units(self, residuals: Floats) -> Floats:
        """Return what is independent, with squared standard error of the same form."""
        if self.codes is None:
            return residuals
        n_items = np.bincount(self.codes)
        sums = np.array([np.bincount(self.codes, weights=row) for row in residuals])
        g = self.n_units
        scale = g / self.n
        if self.tasks is not None:
            scale = math.sqrt(g * (g - 1) / (self.n * (self.n - 1)))
        return np.asarray(sums[:, n_items > 0] * scale)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Scores of one choice at the items that are compared.

    Attributes
    ----------
    scores : ndarray, shape (n_seeds, n_items)
        Means over repeats, without missing values.
    run : hashable
        Equal for two choices whose seeds, in this order, are the same training runs.
    """

    scores: Floats
    run: object = None


# Squares of scores beyond 1e154 are infinite: such differences have no interval.
@np.errstate(over="ignore", invalid="ignore")
def pair_moments(
    choices: Sequence[Answers], items: Items, *, over_seeds: bool = True
) -> Moments:
    """Return the difference of each two choices, the second less the first.

    Scores are means over seeds; ``d_i`` is their difference on item i. Over items the
    squared standard error is ``var(d) / n`` (ddof 1), or CR1 in clusters; over T tasks
    that weigh the same, ``sum of squared standard errors / T^2`` and the products of
    clusters that tasks share. With S seeds of each choice, ``s^2`` the variance between
    their means, and ``MS`` the mean square of seeds × items, training seeds add
    ``seed - interaction``::

        seed        = s_A^2 / S_A + s_B^2 / S_B
        interaction = MS_A / (n S_A) + MS_B / (n S_B)

    since seeds that know other items are in the variance over items once already. The
    degrees of freedom of `seed` are Welch's. Where both choices are the same training
    runs, at two steps, differences are taken within each run, and `seed` has S - 1.

    Parameters
    ----------
    choices : sequence of Answers
        The same items in the same order.
    items : Items
        What these are.
    over_seeds : bool
        Whether seeds are draws; else differences are for these very checkpoints.

    Returns
    -------
    Moments
        In the order of ``np.triu_indices(len(choices), 1)``.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), on paired and clustered differences. B. L.
    Welch, Biometrika 34 (1947) 28.
    """
    n_pairs = len(choices) * (len(choices) - 1) // 2
    if items.n == 0 or n_pairs == 0:
        return Moments.unknown(n_pairs)
    means = np.array([choice.scores.mean(0) for choice in choices])
    centres = items.means(means)
    residuals = items.residuals(means)
    rows = items.units(residuals)
    n_units = items.n_units
    is_plain = items.codes is None and items.tasks is None
    counted = np.array(
        [is_plain and len(c.scores) == 1 and bool(is_binary(c.scores)) for c in choices]
    )
    noise = [_seed_noise(choice.scores, items) for choice in choices]
    parts = []
    for i in range(len(choices) - 1):
        later = slice(i + 1, None)
        errors = rows[later] - rows[i]
        squares = errors**2
        sums = squares.sum(-1)
        # Rounding leaves a constant difference with a variance of 1e-33, not of 0.
        flat = ~varies(means[later] - means[i])
        sums[flat] = 0
        variance = sums / (n_units * max(n_units - 1, 1))
        df = np.full(len(errors), items.df)
        if items.codes is not None:
            alone = ((residuals[later] - residuals[i]) ** 2).sum(-1) / items.n**2
            df = np.maximum(df_of_variances(alone, variance, items.codes), 1)
        both = counted[later] & counted[i]
        seeds = np.array(
            [
                _seeds(choices[i], choices[j], noise[i], noise[j], items)
                if over_seeds
                else NO_SEEDS
                for j in range(i + 1, len(choices))
            ]
        )
        parts.append(
            Moments(
                difference=centres[later] - centres[i],
                variance=variance if n_units > 1 else np.full(len(errors), np.nan),
                skewness=math.sqrt(n_units)
                * (squares * errors).sum(-1)
                / _safe(sums) ** 1.5,
                n_units=np.full(len(errors), float(n_units)),
                n_even=np.full(len(errors), items.n_even),
                df=df,
                n_better=np.where(both, (means[later] > means[i]).sum(-1), np.nan),
                n_worse=np.where(both, (means[later] < means[i]).sum(-1), np.nan),
                least_p=_least_p(means[later] - means[i], items),
                seed=seeds[:, 0],
                interaction=seeds[:, 1],
                seed_df=seeds[:, 2],
            )
        )
    return Moments.together(parts)


def _least_p(differences: Floats, items: Items) -> Floats:
    """Return exact p-values of sign flips of the units, where few of them differ."""
    out = np.zeros(len(differences))
    if items.tasks is not None:
        return out
    near = 1e-12 * np.abs(differences).max(initial=0)
    for place, row in enumerate(differences):
        if items.codes is None and np.count_nonzero(row) > FEW_APART:
            continue
        sums = row if items.codes is None else np.bincount(items.codes, weights=row)
        apart = sums[np.abs(sums) > near]
        if len(apart) <= FEW_APART:
            signs = np.indices((2,) * len(apart)).reshape(len(apart), 2 ** len(apart))
            signs = signs * 2 - 1
            turned = np.abs(apart @ signs)
            out[place] = np.mean(turned >= np.abs(apart.sum()) - near)
    return out


NO_SEEDS = (0.0, 0.0, math.inf)
"""What training seeds add where they are given: nothing."""


def intervals(
    moments: Moments,
    levels: Floats | float,
    *,
    widest: Floats | float = math.inf,
) -> tuple[Floats, Floats]:
    """Return the ends of an interval for each difference, each at its own level.

    Of 0 and 1 and given seeds it is Tango's, of other scores Hall's, either stretched
    to 0 where an exact test has a larger p-value than the level allows: McNemar's, or,
    where 12 units or fewer differ, that of all turns of their signs. Where seeds are
    drawn, with l and u the distances of Hall's ends, z and t the quantiles of the
    normal and of Student's t at `seed_df`::

        low  = d - sqrt(l^2 + extra),   high = d + sqrt(u^2 + extra)
        extra = max(t^2 seed - t z interaction, 0)

    which joins the intervals of independent parts as MOVER does. What the interaction
    takes off lies between ``z^2``, if its share of `seed` were known, and ``t^2``, if
    it were always the same share: with it 95 % intervals cover 93 to 98 % from 3 seeds
    on, and 99.9 % ones keep their level.

    Where scores of several seeds, repeats or tasks are the same on every item, their
    spread says nothing. Of units that differ with a larger probability than ``1 -
    alpha^(1 / n)`` one would be among n, which is the rule of three. With W the
    `widest` difference, l and u then are::

        W (1 - alpha^(1 / n_even)),   alpha = 1 - level

    Parameters
    ----------
    levels : float or ndarray
        Confidence level of each.
    widest : float or ndarray
        The largest difference that scores allow; intervals are cut off there.

    References
    ----------
    T. Tango, Statist. Med. 17 (1998) 891. P. Hall, J. R. Statist. Soc. B 54 (1992) 221.
    G. Y. Zou, A. Donner, Statist. Med. 27 (2008) 1693: MOVER. R. K. Burdick, F. A.
    Graybill, *Confidence Intervals on Variance Components*, 1992: modified large
    samples.
    """
    from scipy.special import ndtri

    levels = np.broadcast_to(
        np.asarray(levels, dtype=np.float64), moments.difference.shape
    )
    q = -ndtri((1 - levels) / 2)
    low, high = (moments.difference + side for side in distances(moments, q))
    counted = np.flatnonzero(moments.is_counted)
    if len(counted):
        ends = tango_interval(
            moments.n_better[counted],
            moments.n_worse[counted],
            moments.n_units[counted],
            confidence_level=levels[counted],
        )
        low[counted], high[counted] = ends
    equal = np.flatnonzero(moments.is_equal)
    if len(equal):
        part = moments[equal]
        share = -np.expm1(np.log1p(-levels[equal]) / part.n_even)
        most = np.broadcast_to(widest, levels.shape)[equal]
        half = np.where(np.isfinite(most), most * share, np.nan)
        half = np.sqrt(half**2 + _of_seeds(part, q[equal]))
        low[equal], high[equal] = -half, half
    is_open = _exact_p(moments) >= 1 - levels
    low = np.where(is_open, np.minimum(low, 0), low)
    high = np.where(is_open, np.maximum(high, 0), high)
    return np.maximum(low, -widest), np.minimum(high, widest)


def p_values(moments: Moments) -> Floats:
    """Return the two-sided p-value of no difference that belongs to `intervals`.

    The level at which the interval just reaches 0, that of the exact test where it is
    larger; ``nan`` where there is no interval. Of 0 and 1 and given seeds it is
    McNemar's but far out, where the score test's, which Tango's interval inverts, is
    the larger one.
    """
    from scipy.special import ndtr

    out = np.asarray(
        hall_p_of_moments(
            moments.difference / np.sqrt(_safe(moments.variance) * moments.n_units),
            moments.skewness,
            moments.n_units,
            df=moments.df,
        )
    )
    drawn = np.isfinite(moments.seed_df)
    out[drawn] = _p_over_seeds(moments[drawn])
    counted = moments.is_counted
    n_apart = moments.n_better + moments.n_worse
    z = np.abs(moments.n_better - moments.n_worse) / np.sqrt(np.maximum(n_apart, 1))
    out[counted] = 2 * ndtr(-z[counted])
    out[moments.is_equal] = 1
    return np.maximum(out, _exact_p(moments))


def _exact_p(moments: Moments) -> Floats:
    out = moments.least_p.copy()
    counted = moments.is_counted
    out[counted] = mcnemar_p_value(moments.n_better[counted], moments.n_worse[counted])
    return out


def _p_over_seeds(moments: Moments) -> Floats:
    """Return the p-value at which the interval reaches 0, by bisection."""
    from scipy.special import ndtr

    d = np.abs(moments.difference)
    low, high = np.zeros(len(moments)), np.full(len(moments), MOST_SURE)
    for _ in range(44):
        middle = (low + high) / 2
        below, above = distances(moments, middle)
        is_outside = np.where(moments.difference > 0, -below, above) < d
        low, high = (
            np.where(is_outside, middle, low),
            np.where(is_outside, high, middle),
        )
    p = np.where(d == 0, 1.0, 2 * ndtr(-(low + high) / 2))
    return np.where(np.isnan(moments.skewness), np.nan, p)


def distances(moments: Moments, q: Floats) -> tuple[Floats, Floats]:
    """Return how far from the difference `intervals` end, at normal quantiles.

    Two-sided ones; of scores that are not counted, and without exact tests.
    """
    from scipy.special import ndtr, stdtrit

    tail = ndtr(-q)
    t = -stdtrit(moments.df, tail)
    n, c = moments.n_units, moments.skewness
    sd = np.sqrt(moments.variance * n)
    flat = np.abs(c) < 1e-6
    safe = np.where(flat, 1.0, c)

    def end(quantile: Floats) -> Floats:
        # `harness.stats.intervals.hall_interval`, of moments.
        y = quantile / np.sqrt(n)
        curved = 3 / safe * (np.cbrt(1 + safe * (y - safe / (6 * n))) - 1)
        return np.asarray(-sd * np.where(flat, y, curved))

    below, above = np.minimum(end(t), 0), np.maximum(end(-t), 0)
    drawn = np.flatnonzero(np.isfinite(moments.seed_df))
    if len(drawn):
        z, part = q[drawn], moments[drawn]
        extra = _of_seeds(part, z)
        below[drawn] = -np.sqrt(below[drawn] ** 2 + extra)
        above[drawn] = np.sqrt(above[drawn] ** 2 + extra)
    return below, above


def _of_seeds(moments: Moments, q: Floats) -> Floats:
    """Return what training seeds add to a squared distance; 0 where they are given."""
    from scipy.special import ndtr, stdtrit

    out = np.zeros(len(moments))
    drawn = np.flatnonzero(np.isfinite(moments.seed_df))
    part, z = moments[drawn], q[drawn]
    t = -stdtrit(part.seed_df, ndtr(-z))
    out[drawn] = np.maximum(t * (t * part.seed - z * part.interaction), 0)
    return out


def _safe(squares: Floats) -> Floats:
    return np.where(squares > 0, squares, np.nan)


def _task_means(rows: Floats, tasks: Codes) -> Floats:
    sums = np.array([np.bincount(tasks, weights=row) for row in rows])
    return sums / np.bincount(tasks)


def _seed_noise(scores: Floats, items: Items) -> tuple[float, float]:
    """Return variance over seeds of their mean, and how much of it is the items'."""
    n_seeds, n_units = len(scores), items.n_units
    if n_seeds < 2 or n_units < 2:
        return 0.0, 0.0
    means = items.means(scores)
    if np.ptp(means) <= 1e-12 * np.abs(means).max():
        means = np.zeros(n_seeds)
    units = items.units(items.residuals(scores - scores.mean(0)))
    mean_square = float((units**2).sum()) / (n_seeds - 1) / (n_units - 1)
    return float(means.var(ddof=1)) / n_seeds, mean_square / n_units / n_seeds


def _seeds(
    first: Answers,
    second: Answers,
    one: tuple[float, float],
    other: tuple[float, float],
    items: Items,
) -> tuple[float, float, float]:
    """Return what seeds add to the variance of a difference, and how surely."""
    n_first, n_second = len(first.scores), len(second.scores)
    if min(n_first, n_second) < 2:
        return NO_SEEDS
    if first.run is not None and first.run == second.run:
        seed, interaction = _seed_noise(second.scores - first.scores, items)
        return seed, interaction, n_first - 1.0
    seed, interaction = one[0] + other[0], one[1] + other[1]
    squares = one[0] ** 2 / (n_first - 1) + other[0] ** 2 / (n_second - 1)
    # Where seeds tie on both sides, any degrees of freedom multiply nothing.
    return seed, interaction, seed**2 / squares if squares > 0 else 1.0
