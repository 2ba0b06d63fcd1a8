"""How far do scores lie apart over training seeds? Seed SD, mean over SD."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.ranks import ties_made_equal

Floats = npt.NDArray[np.float64]


NEAR_BOUND = 5
"""A mean fewer seed SDs than this from the end of its scale has seeds too skewed for
intervals of normal seeds: at 2 SDs they cover 80 to 90 %."""

FEW_ITEMS = 100
"""Of fewer items, the mean over seeds moves with the items by too much for an interval
over seeds: of 10 seeds on 30 items it covers 90 to 92 %."""

OUTLYING = 0.01
"""How often normal seeds show one as far out as the outlier that is told."""


def seed_sd(
    scores: Floats, *, ddof: int = 1, confidence_level: float = 0.95
) -> Estimate:
    """Return the standard deviation over seeds, averaged over checkpoints.

    ``E = mean over steps t of SD over seeds s of score[s, t]``, over the steps
    that two seeds or more have. Called seed variance in its source, though it is
    a standard deviation.

    The interval is for the true SD: ``E sqrt(df / chi2)``, with E at ``ddof=1`` and
    df = n - 1, where n is the smallest number of seeds that one of these steps has;
    n is reported. It takes seeds as normal and gives the other checkpoints of the
    same runs no credit, as if they repeated each other; so it is too wide rather
    than too narrow.

    Parameters
    ----------
    scores : ndarray, shape (n_seeds, n_steps)
        ``nan`` where that checkpoint was not evaluated.
    ddof : {1, 0}
        Subtracted from the number of seeds in the SD's denominator.

    Notes
    -----
    Cautions: ``one-seed``; ``constant-over-seeds``, where the seeds agree at every
    step; ``shape-of-seeds``, always; ``conservative-interval``, where several steps
    are averaged.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), section 3, which leaves `ddof` open.
    """
    _check_ddof(ddof)
    ties = ties_made_equal(scores)
    n_at = np.sum(~np.isnan(ties), axis=0)
    usable = n_at >= 2
    n = int(n_at[usable].min() if usable.any() else n_at.max(initial=0))
    method = f"mean over checkpoints of the SD over seeds (ddof={ddof})"
    if not usable.any():
        return undefined(
            "seed_sd",
            n=n,
            method=method,
            code="one-seed",
            text=_too_few_seeds(len(scores), 1, "one step"),
        )
    table = scores[:, usable]
    if not np.any(_spread(ties[:, usable], axis=0) > 0):
        return undefined(
            "seed_sd",
            n=n,
            method=method,
            code="constant-over-seeds",
            text=f"all {n_at.max()} seeds have the same score at every step; "
            "more items would tell them apart",
        )
    value = float(np.nanstd(table, axis=0, ddof=ddof).mean())
    unbiased = float(np.nanstd(table, axis=0, ddof=1).mean())
    interval = sd_interval(unbiased, n - 1, confidence_level)
    return Estimate(
        quantity="seed_sd",
        value=value,
        interval=interval,
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; chi-square interval that credits seeds only",
        cautions=(*shape_of_seeds(), *conservative(int(usable.sum()))),
    )


def conservative(n_steps: int) -> tuple[Caution, ...]:
    """Return the caution that an average over checkpoints is surer than is told."""
    if n_steps < 2:
        return ()
    text = (
        "the interval credits seeds and not the several checkpoints of their runs: it "
        "is rather too wide than too narrow"
    )
    return (Caution("conservative-interval", text),)


def shape_of_seeds() -> tuple[Caution, ...]:
    """Return the caution that an interval takes seeds as normal, which none can show.

    By simulation of `last_seed_sd` and `signal_to_noise` with 3 to 10 seeds: 79 to 91 %
    where they are t of 5 df, Laplace, exponential, or normal with one in ten failed (77
    of the ratio); 96 to 99.5 % where uniform.
    """
    text = (
        "the interval takes seeds as normal, which so few cannot show: with heavy or "
        "lopsided tails, such as a run in ten that fails, it covers as little as 77 %"
    )
    return (Caution("shape-of-seeds", text),)


def outlying_seed(values: Floats) -> tuple[Caution, ...]:
    """Return the caution that one of 5 seeds or more stands out, if one does.

    By Grubbs' test, two-sided, at `OUTLYING`.

    References
    ----------
    F. E. Grubbs, Technometrics 11 (1969) 1.
    """
    n = len(values)
    if n < 5:
        return ()
    apart = np.abs(values - values.mean()) / values.std(ddof=1)
    worst = int(apart.argmax())
    if apart[worst] <= largest_of_normal(n, OUTLYING):
        return ()
    text = (
        f"seed {worst + 1} of {n} in their order lies {apart[worst]:.3g} SDs from the "
        f"mean of all, as in {100 * OUTLYING:g} % of samples of normal seeds; see "
        "whether that run failed"
    )
    return (Caution("outlying-seed", text),)


def largest_of_normal(n: int, share: float) -> float:
    """Return what the largest of n normal deviates, in their SDs, exceeds that often.

    ``(n - 1) / sqrt(n) sqrt(t^2 / (n - 2 + t^2))``, with t the upper ``share / 2n``
    quantile of Student's t with n - 2 degrees of freedom: Grubbs' critical value.
    """
    from scipy.special import stdtrit

    t2 = float(stdtrit(n - 2, 1 - share / (2 * n))) ** 2
    return (n - 1) * math.sqrt(t2 / (n * (n - 2 + t2)))


def last_seed_sd(
    last: Floats,
    *,
    ddof: int = 1,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    confidence_level: float = 0.95,
) -> Estimate:
    """Return the standard deviation over seeds at one checkpoint.

    ``SD over seeds s of score[s]``: how far apart training seeds lie where the mean is
    quoted. `seed_sd` averages over all checkpoints, of which early ones, at chance,
    hardly differ. The interval is that of `seed_sd`, exact for normal seeds.

    Parameters
    ----------
    last : ndarray, shape (n_seeds,)
        Scores at the last checkpoint; ``nan`` where not evaluated.
    ddof : {1, 0}
        Subtracted from the number of seeds in the SD's denominator.
    bounds : tuple of float
        What scores can be.

    Notes
    -----
    Cautions: ``one-seed``, ``constant-over-seeds``, ``near-bound``; ``outlying-seed``,
    where one of 5 or more stands out; ``shape-of-seeds``, always.
    """
    _check_ddof(ddof)
    values = last[~np.isnan(last)]
    n = len(values)
    method = f"SD over seeds at the last checkpoint (ddof={ddof})"
    reason = _no_spread(values, len(last))
    if reason is not None:
        code, text = reason
        return undefined("seed_sd_last", n=n, method=method, code=code, text=text)
    unbiased = float(values.std(ddof=1))
    return Estimate(
        quantity="seed_sd_last",
        value=float(values.std(ddof=ddof)),
        interval=sd_interval(unbiased, n - 1, confidence_level),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; chi-square interval",
        cautions=_doubts(values, bounds),
    )


def robust_seed_sd(last: Floats, *, confidence_level: float = 0.95) -> Estimate:
    """Return the standard deviation over seeds with an interval for heavy tails.

    Bonett's interval, whose width follows the kurtosis g of the seeds about their
    trimmed mean::

        c s^2 exp(-+ z c sqrt((g - (n - 3) / n) / (n - 1))),   c = n / (n - z)

    It assumes no distribution, but few seeds say little of their tails. By simulation
    it covers 96 to 99.6 % with 5 seeds, 89 to 97 % with 10 and 87 to 96 % with 15 to
    30, where seeds are normal, uniform, t of 5 df, Laplace, exponential, or normal with
    one in ten failed; chi-square's covers 82 to 98 and 77 to 99 % of 5 and 10. With 5
    seeds it is 2.5 times as wide, with 10 hardly wider. Below 5 none is both honest and
    of any use.

    Parameters
    ----------
    last : ndarray, shape (n_seeds,)
        Scores at the last checkpoint; ``nan`` where not evaluated.
    confidence_level : float
        Above 0 and below 1.

    Notes
    -----
    Cautions: ``one-seed``, ``constant-over-seeds``; ``few-seeds``, below 5: there is
    no interval; ``shape-of-seeds``, always.

    References
    ----------
    D. G. Bonett, Comput. Statist. Data Anal. 50 (2006) 775.
    """
    from scipy.special import ndtri

    values = np.sort(last[~np.isnan(last)])
    n = len(values)
    method = "SD over seeds at the last checkpoint (ddof=1); interval of Bonett (2006)"
    reason = _no_spread(values, len(last))
    if reason is not None:
        code, text = reason
        return undefined("seed_sd_last", n=n, method=method, code=code, text=text)
    sd = float(values.std(ddof=1))
    estimate = Estimate(
        quantity="seed_sd_last",
        value=sd,
        confidence_level=confidence_level,
        n=n,
        method=method,
    )
    if n < 5:
        few = f"an interval that allows for heavy tails needs 5 seeds, has {n}"
        return replace(estimate, cautions=(Caution("few-seeds", few),))
    z = float(ndtri(0.5 + confidence_level / 2))
    n_cut = min(int(n / (2 * math.sqrt(n - 4))), (n - 1) // 2)
    middle = values[n_cut : n - n_cut].mean()
    kurtosis = n * ((values - middle) ** 4).sum() / ((n - 1) * sd**2) ** 2
    c = n / (n - z)
    half = z * c * math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    low, high = (sd * math.sqrt(c * math.exp(sign * half)) for sign in (-1, 1))
    text = (
        f"{n} seeds hardly show their tails: by their shape, this interval covers 87 "
        "to 99.6 %"
    )
    return replace(
        estimate,
        interval=Interval(low, high),
        cautions=(Caution("shape-of-seeds", text),),
    )


def last_step(scores: Floats) -> tuple[int, tuple[Caution, ...]]:
    """Return the column of the last step that all seeds have.

    Where no step is common to all, it is the last among those that most have.

    Notes
    -----
    Cautions: ``unequal-last-steps``, where a seed goes further, or lacks that step.
    """
    n_at = np.sum(~np.isnan(scores), axis=0)
    n_seeds = int(np.sum(~np.isnan(scores).all(axis=1)))
    column = int(np.flatnonzero(n_at == n_at.max())[-1])
    if n_at[column] == n_seeds and not n_at[column + 1 :].any():
        return column, ()
    others = "some go further" if n_at[column + 1 :].any() else "the rest lack it"
    text = (
        f"the last checkpoint is the last that {n_at[column]} of {n_seeds} seeds have; "
        f"{others}"
    )
    return column, (Caution("unequal-last-steps", text),)


def signal_to_noise(
    last: Floats,
    *,
    above: float | None = None,
    ddof: int = 1,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    n_items: int | None = None,
    confidence_level: float = 0.95,
    quantity: str = "snr",
) -> Estimate:
    """Return the mean over seeds divided by the standard deviation over seeds.

    ``|mean| / SD`` of the seeds at one checkpoint, the paper's; by magnitude, since
    log-likelihoods are negative. It moves when a constant is added to all scores, so
    that a benchmark at chance looks good. ``(mean - above) / SD``, with `above` at the
    chance level, does not, and its sign is kept.

    The interval is exact for normal seeds: ``sqrt(n) (mean - above) / SD`` follows a
    noncentral t distribution with n - 1 degrees of freedom, inverted in its
    noncentrality (above 100, by its chi-square limit). It is computed at ``ddof=1``.

    Parameters
    ----------
    last : ndarray, shape (n_seeds,)
        Scores at the last checkpoint; ``nan`` where not evaluated.
    above : float, optional
        Chance level to measure the signal from; ``nan`` where there is none.
    bounds : tuple of float
        What scores can be.
    n_items : int, optional
        Items behind each score, for the caution of few.

    Notes
    -----
    The interval is for other seeds on these items.

    Cautions: ``no-chance-level``, ``one-seed``, ``constant-over-seeds``,
    ``near-bound``; ``few-items``, below 100: with other items in mind it covers 90 % of
    10 seeds on 30; ``outlying-seed``, where one of 5 or more stands out;
    ``shape-of-seeds``, always.

    References
    ----------
    L. Madaan et al., arXiv 2406.10229 (2024), table 2.
    """
    _check_ddof(ddof)
    values = last[~np.isnan(last)]
    n = len(values)
    signal_name = "mean" if above is None else "(mean - chance)"
    method = f"{signal_name} / SD over seeds at the last checkpoint (ddof={ddof})"
    reason: tuple[str, str] | None = None
    if above is not None and math.isnan(above):
        reason = "no-chance-level", "this metric has no score of a guesser"
    else:
        reason = _no_spread(values, len(last))
    if reason is not None:
        return undefined(quantity, n=n, method=method, code=reason[0], text=reason[1])
    mean = float(values.mean())
    signal = abs(mean) if above is None else mean - above
    return Estimate(
        quantity=quantity,
        value=signal / float(values.std(ddof=ddof)),
        interval=_ratio_interval(
            signal / float(values.std(ddof=1)), n, confidence_level
        ),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; noncentral t interval",
        cautions=(*_few_items(n_items), *_doubts(values, bounds)),
    )


def _few_items(n_items: int | None) -> tuple[Caution, ...]:
    if n_items is None or n_items >= FEW_ITEMS:
        return ()
    text = (
        f"{n_items} items: others would move the mean of all seeds alike, which the "
        f"interval over seeds leaves out; {FEW_ITEMS} or more hardly do"
    )
    return (Caution("few-items", text),)


def _doubts(values: Floats, bounds: tuple[float, float]) -> tuple[Caution, ...]:
    """Return why the interval of seeds at one checkpoint may not keep its level."""
    return (
        *near_bound(float(values.mean()), float(values.std(ddof=1)), bounds),
        *outlying_seed(values),
        *shape_of_seeds(),
    )


def near_bound(
    mean: float, sd: float, bounds: tuple[float, float]
) -> tuple[Caution, ...]:
    """Return the caution that seeds are skewed by an end of their scale, if they are.

    Parameters
    ----------
    mean, sd : float
        Over seeds.
    bounds : tuple of float
        What scores can be.
    """
    room, bound = min((abs(mean - bound), bound) for bound in bounds)
    if room >= NEAR_BOUND * sd:
        return ()
    text = (
        f"the mean is {room / sd:.2g} seed SDs from {bound:g}, where scores end, so "
        "that seeds are skewed and their interval is too narrow"
    )
    return (Caution("near-bound", text),)


def _no_spread(values: Floats, n_seeds: int) -> tuple[str, str] | None:
    """Return why scores at the last step have no SD over seeds, as code and text."""
    n = len(values)
    if n < 2:
        return "one-seed", _too_few_seeds(n_seeds, n, "the last step")
    if np.ptp(ties_made_equal(values)) == 0:
        return (
            "constant-over-seeds",
            f"all {n} seeds have the same score at the last step; "
            "more items would tell them apart",
        )
    return None


def _too_few_seeds(n_seeds: int, n_there: int, where: str) -> str:
    # With one seed in all there is one thing to say, whatever was asked.
    place = f" at {where}" if n_seeds > 1 else ""
    return f"needs at least 2 training seeds{place}, has {n_there}"


def _check_ddof(ddof: int) -> None:
    if ddof not in (0, 1):
        raise DesignError(f"ddof is {ddof}; it must be 0 or 1", code="bad-ddof")


def _spread(table: Floats, axis: int) -> Floats:
    return np.asarray(np.nanmax(table, axis=axis) - np.nanmin(table, axis=axis))


def sd_interval(sd: float, df: float, confidence_level: float) -> Interval:
    """Return chi-square's interval of a normal standard deviation."""
    from scipy.special import chdtri

    tail = (1 - confidence_level) / 2
    low, high = (sd * math.sqrt(df / chdtri(df, p)) for p in (tail, 1 - tail))
    return Interval(low, high)


def _ratio_interval(ratio: float, n: int, confidence_level: float) -> Interval:
    """Invert the noncentral t distribution of ``sqrt(n) ratio``."""
    from scipy.special import chdtri, nctdtrinc

    t, df = ratio * math.sqrt(n), n - 1
    tail = (1 - confidence_level) / 2
    if abs(t) > 100:
        # The mean's own error no longer counts, and scipy's inversion of such
        # noncentralities is slow and inexact: the chi-square limit, within 0.5 %.
        ends = sorted(ratio * math.sqrt(chdtri(df, p) / df) for p in (tail, 1 - tail))
        return Interval(*ends)
    low, high = (float(nctdtrinc(df, p, t)) for p in (1 - tail, tail))
    return Interval(low / math.sqrt(n), high / math.sqrt(n))
