"""What would a statistic have been with other seeds and other items? Both at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import is_binary
from harness.stats.ranks import rank_correlations, ties_made_equal
from harness.stats.resample import RNGLike, SeedLike, bootstrap_means, check_scores

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
StatisticName = Literal["mean", "seed_sd", "seed_sd_last", "snr", "monotonicity"]
Resampled = Literal["seeds", "items"]

SPREADS = frozenset({"seed_sd", "seed_sd_last", "snr"})
"""Statistics that resampling is known to bias, whatever one sample of it shows."""

FEWEST_RESAMPLES = 100
"""Fewer leave a standard error uncertain by more than 7 %."""

BIAS = 0.25
"""Resamples whose mean is farther from the value, in standard errors, are biased
(Efron and Tibshirani 1993, chapter 10: below it bias may be ignored)."""

FEW_SEEDS = 4
"""With fewer seeds the interval of the mean covers up to 99 % instead of 95 %."""

FEW_ANSWERS = 20
"""Fewer items right, or wrong, than this make the mean too skewed to cover 93 %."""


def crossed_bootstrap(
    scores: Floats,
    statistic: StatisticName | Statistic,
    *,
    resample: Collection[Resampled] = ("seeds", "items"),
    n_resamples: int = 2_000,
    confidence_level: float = 0.95,
    rng: RNGLike | SeedLike | None = None,
) -> Estimate:
    """Return a statistic of the (seeds × steps) scores, sure over seeds and items.

    Seeds and items are resampled with replacement, each alone and both together
    (Owen's pigeonhole bootstrap), which gives three variances of the statistic. Two of
    them count the interaction of seeds and items, so it is taken off once::

        se^2 = S / (S - 1) V_seeds + V_items - V_interaction
        half^2 = S / (S - 1) t_{S-1}^2 V_seeds + t_{n-1}^2 V_items - z^2 V_interaction
        V_interaction = S / (S - 1) (V_both - V_seeds - V_items), not below 0

    with S seeds, n items and the quantiles of Student's t and of the normal; neither is
    below what seeds or items alone would make it. It is exact for seeds or items alone
    and a linear statistic; with both it is the modified large sample interval.
    Percentiles of the resamples are not used: with 2 to 10 seeds they leave out
    ``(S - 1) / S`` of the variance and the difference of t from the normal.

    Seeds, and items, are independent draws from those that could have been. What is
    not resampled is taken as given: the interval is then for these seeds, or for these
    items.

    Parameters
    ----------
    scores : ndarray, shape (n_seeds, n_steps, n_items)
        Means over repeats, of the items that all checkpoints share, in the order of
        steps. No missing values.
    statistic : str or callable
        A name of `STATISTICS`, or a function of scores of shape (n_resamples, n_seeds,
        n_steps) that returns one value for each resample; ``nan`` where undefined.
    resample : collection of {"seeds", "items"}
        What is drawn anew.
    n_resamples : int
        100 or more.
    confidence_level : float
        Above 0 and below 1.

    Returns
    -------
    Estimate
        `n` is the number of seeds, or of items where seeds are not resampled. It
        depends on `rng` alone, and not on how the work is divided.

    Raises
    ------
    DesignError
        ``too-few-replicates``, ``too-few-items`` (fewer than 2 of what is resampled),
        ``missing-scores``, ``too-few-resamples``, ``unknown-method`` (of `statistic`
        or `resample`).

    Notes
    -----
    By simulation it covers the mean 93 to 97 % of the time but where a caution stands,
    and the expected monotonicity 97 to 99 %: resampled items add noise, which lowers
    a rank correlation and widens its interval; mostly with the caution.

    It is not made for SDs over seeds (``seed_sd``, ``seed_sd_last``, ``snr``):
    resampled seeds repeat themselves, which makes the SD smaller, and resampled items
    make seeds differ more than they do. By simulation with 2 to 10 normal seeds
    percentiles cover 54 to 88 % of the time where seeds differ by training, and always
    where by items; the interval returned here 90 to 100 %; chi-square's, of
    `harness.stats.series`, 92 to 96 %. The caution ``biased-resamples`` tells of it,
    for any statistic whose resamples lie off its value.

    Cautions: ``biased-resamples``; ``few-seeds``, below 4, where the interval is rather
    too wide; ``near-bound``, where so few answers are right, or wrong, that the mean is
    skewed; ``undefined-resamples``, left out; ``constant-resamples``;
    ``undefined-statistic``.

    References
    ----------
    A. B. Owen, Ann. Appl. Stat. 1 (2007) 386: the bootstrap of both is
    conservative, counting the interaction three times. R. K. Burdick, F. A. Graybill,
    *Confidence Intervals on Variance Components*, 1992, for modified
    large sample bounds.
    """
    rng = np.random.default_rng(rng)
    scores = np.asarray(scores, dtype=np.float64)
    name, function = _named(statistic)
    n_seeds, _, n_items = scores.shape
    _check(n_seeds, n_items, resample, n_resamples)
    check_scores(scores)
    observed = scores.mean(-1)
    value = float(function(observed[None])[0])
    n = n_seeds if "seeds" in resample else n_items
    method = f"crossed bootstrap of {' and '.join(sorted(resample))}"
    if math.isnan(value):
        return undefined(
            name,
            n=n,
            method=method,
            code="undefined-statistic",
            text=f"{name} is not defined for these scores; seeds or items that differ "
            "would do",
        )
    drawn = _resampled(scores, observed, function, resample, n_resamples, rng)
    is_known = np.isfinite(drawn).all(0)
    drawn = drawn[:, is_known]
    estimate = Estimate(
        quantity=name,
        value=value,
        confidence_level=confidence_level,
        n=n,
        method=f"{method}, {n_resamples} resamples; t interval",
        cautions=_doubts(observed, scores, resample, n_resamples - drawn.shape[1]),
    )
    # Rounding leaves a statistic that no resample moves with an SD of 1e-17.
    if drawn.shape[1] < 2 or np.ptp(drawn[-1]) <= 1e-12 * abs(value):
        text = (
            "no resample moved it, so how sure it is cannot be said; more items would"
        )
        caution = Caution("constant-resamples", text)
        return replace(estimate, cautions=(*estimate.cautions, caution))
    squares = _squares(drawn.var(1), n_seeds, n_items, resample, confidence_level)
    se, half = (math.sqrt(square) for square in squares)
    bias = float(drawn[-1].mean()) - value
    if name in SPREADS or abs(bias) > BIAS * se:
        caution = Caution(
            "biased-resamples",
            f"resamples lie {bias / se:+.2g} standard errors from the value on "
            "average, so that their interval is not to be trusted; for an SD over "
            "seeds take the chi-square interval",
        )
        estimate = replace(estimate, cautions=(*estimate.cautions, caution))
    return replace(estimate, se=se, interval=Interval(value - half, value + half))


def _mean(scores: Floats) -> Floats:
    return np.asarray(scores[..., -1].mean(-1))


def _seed_sd(scores: Floats) -> Floats:
    return np.asarray(scores.std(-2, ddof=1).mean(-1))


def _seed_sd_last(scores: Floats) -> Floats:
    return np.asarray(scores[..., -1].std(-1, ddof=1))


def _snr(scores: Floats) -> Floats:
    last = ties_made_equal(scores[..., -1])
    sd = last.std(-1, ddof=1)
    sd[np.ptp(last, axis=-1) == 0] = np.nan
    return np.asarray(np.abs(last.mean(-1)) / sd)


def _monotonicity(scores: Floats) -> Floats:
    series = ties_made_equal(scores).reshape(-1, scores.shape[-1])
    taus = rank_correlations(series).reshape(scores.shape[:-1])
    n_known = np.sum(~np.isnan(taus), axis=-1)
    return np.where(n_known > 0, np.nansum(taus, -1) / np.maximum(n_known, 1), np.nan)


STATISTICS: dict[StatisticName, Statistic] = {
    "mean": _mean,
    "seed_sd": _seed_sd,
    "seed_sd_last": _seed_sd_last,
    "snr": _snr,
    "monotonicity": _monotonicity,
}
"""Mean over seeds at the last step, E of the paper (ddof=1), SD at the last step, mean
over it, and Kendall's tau-b averaged over seeds; as in `harness.stats.series`."""


def _resampled(
    scores: Floats,
    observed: Floats,
    function: Statistic,
    resample: Collection[Resampled],
    n_resamples: int,
    rng: np.random.Generator,
) -> Floats:
    """Return resampled values: of seeds, of items, and last of all that is drawn."""
    rows = []
    means = np.broadcast_to(observed, (n_resamples, *observed.shape))
    if "items" in resample:
        means = bootstrap_means(scores, n_resamples=n_resamples, rng=rng)
        means = np.moveaxis(means, -1, 0)
        rows.append(function(means))
    if "seeds" in resample:
        picks = rng.integers(len(scores), size=(n_resamples, len(scores)))
        rows.insert(0, function(observed[picks]))
        if "items" in resample:
            rows.append(function(np.take_along_axis(means, picks[:, :, None], 1)))
    return np.array(rows)


def _squares(
    variances: Floats,
    n_seeds: int,
    n_items: int,
    resample: Collection[Resampled],
    confidence_level: float,
) -> tuple[float, float]:
    """Return the squares of standard error and half-width."""
    from scipy.special import ndtri, stdtrit

    p = 0.5 + confidence_level / 2
    # Resampled means vary by (S - 1) / S of the variance of the mean.
    scale = n_seeds / (n_seeds - 1) if "seeds" in resample else 1
    alone = []
    if "seeds" in resample:
        alone.append((scale * variances[0], float(stdtrit(n_seeds - 1, p)) ** 2))
    if "items" in resample:
        alone.append((variances[len(alone)], float(stdtrit(n_items - 1, p)) ** 2))
    both = 0.0
    if len(alone) == 2:
        both = scale * max(float(variances[2] - variances[0] - variances[1]), 0)
    z2 = float(ndtri(p)) ** 2
    se2 = sum(v for v, _ in alone) - both
    half2 = sum(v * t2 for v, t2 in alone) - both * z2
    return (
        max(se2, *(v for v, _ in alone), 0),
        max(half2, *(v * t2 for v, t2 in alone), 0),
    )


def _named(statistic: StatisticName | Statistic) -> tuple[str, Statistic]:
    if callable(statistic):
        return getattr(statistic, "__name__", "statistic"), statistic
    if statistic not in STATISTICS:
        raise DesignError(
            f"there is no statistic {statistic!r}; choose one of "
            f"{', '.join(STATISTICS)}, or give a function",
            code="unknown-method",
        )
    return statistic, STATISTICS[statistic]


def _check(
    n_seeds: int, n_items: int, resample: Collection[Resampled], n_resamples: int
) -> None:
    if not resample or not set(resample) <= {"seeds", "items"}:
        raise DesignError(
            f"{sorted(resample)} cannot be resampled; give 'seeds', 'items' or both",
            code="unknown-method",
        )
    if "seeds" in resample and n_seeds < 2:
        raise DesignError(
            f"resampling seeds needs at least 2, got {n_seeds}; add seeds to the "
            "suite's design, or resample items alone",
            code="too-few-replicates",
        )
    if "items" in resample and n_items < 2:
        raise DesignError(
            f"resampling items needs at least 2, got {n_items}; "
            "give the items that all checkpoints share, or ask more",
            code="too-few-items",
        )
    if n_resamples < FEWEST_RESAMPLES:
        raise DesignError(
            f"{n_resamples} resamples are too few for a standard error; draw at least "
            f"{FEWEST_RESAMPLES}",
            code="too-few-resamples",
        )


def _doubts(
    observed: Floats, scores: Floats, resample: Collection[Resampled], n_undefined: int
) -> tuple[Caution, ...]:
    cautions = []
    n_seeds, _, n_items = scores.shape
    if n_undefined:
        text = f"{n_undefined} resamples have no such statistic and are left out"
        cautions.append(Caution("undefined-resamples", text))
    if "seeds" in resample and n_seeds < FEW_SEEDS:
        text = f"{n_seeds} seeds say little of their spread, so the interval is wide"
        cautions.append(Caution("few-seeds", f"{text}; {FEW_SEEDS} would do"))
    if "items" in resample and is_binary(scores.reshape(-1)):
        last = float(observed[:, -1].mean())
        n_fewer = n_items * min(last, 1 - last)
        if n_fewer < FEW_ANSWERS:
            cautions.append(
                Caution(
                    "near-bound",
                    f"{n_fewer:.3g} of {n_items} items make the difference from all "
                    "or nothing right, too few for an interval that is symmetric; "
                    f"{FEW_ANSWERS} would do, so ask more items",
                )
            )
    return tuple(cautions)
