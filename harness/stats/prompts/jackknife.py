"""How sure is a variance between system prompts? By leaving each of them out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution, Estimate, Interval
from harness.stats.prompts.cells import Cells
from harness.stats.repeats import SAME, without_rounding

Floats = npt.NDArray[np.float64]

FEW_SYSTEM_PROMPTS = 8
"""With 5 whose means are skewed as a beta (.5, 3) an interval covers 85 %, not 95."""

OVER_SYSTEM = "jackknife over system prompts, these user prompts"
OVER_BOTH = "jackknife over system prompts and user prompts"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Second moments over system prompts of all, or of all but one each.

    Attributes
    ----------
    one : ndarray
        Variance (ddof=1) over system prompts of their mean reward on one user prompt,
        mean over user prompts.
    mean : ndarray
        Variance (ddof=1) over system prompts of their mean over user prompts.
    noise : ndarray
        Variance of the mean of a cell over other responses, mean over cells.
    n_user : int
    """

    one: Floats
    mean: Floats
    noise: Floats
    n_user: int

    @property
    def noise_of_mean(self) -> Floats:
        """Variance of the mean over user prompts, over other responses."""
        return np.asarray(self.noise / self.n_user)

    @property
    def among(self) -> Floats:
        """Variance of true means over user prompts."""
        return np.asarray(self.mean - self.noise_of_mean)

    @property
    def per_prompt(self) -> Floats:
        """A: variance of true means on one user prompt, mean over user prompts."""
        return np.asarray(self.one - self.noise)

    @property
    def common(self) -> Floats:
        """B: covariance of means on two user prompts, mean over pairs of them."""
        return np.asarray((self.n_user * self.mean - self.one) / (self.n_user - 1))

    def of_size(self, n_user: float) -> Floats:
        """Return the variance of true means over a subset, mean over such subsets."""
        if self.n_user == 1:
            return self.per_prompt
        return np.asarray(self.common + (self.per_prompt - self.common) / n_user)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """Moments of a table, and of the table without each row, and without each column.

    Of shape (), (n_system,) and (n_user,); leaving one of 2 system prompts, or the
    only user prompt, out leaves ``nan``.
    """

    all: Moments
    system: Moments
    user: Moments

    @classmethod
    def of(cls, cells: Cells) -> LeftOut:
        """Return those of a table of means with their noise."""
        means, noise = cells.means, cells.noise
        n, k = means.shape
        size = np.abs(means).max()
        apart = without_rounding(means - means.mean(0), size)
        total = without_rounding(apart.mean(1), size)
        rows, columns = (apart**2).mean(1), (apart**2).sum(0)
        of_mean = total**2
        one, mean = float(columns.mean()), float(of_mean.sum())
        noise_rows, noise_columns = noise.mean(1), noise.mean(0)
        cleared = float(noise_rows.mean())
        # What a row adds to a sum of squares, the mean without it being another.
        shift = n / (n - 1)
        left = n - 2 if n > 2 else math.nan
        others = k - 1 if k > 1 else math.nan
        across = total @ apart
        return cls(
            all=Moments(
                one=np.array(one / (n - 1)),
                mean=np.array(mean / (n - 1)),
                noise=np.array(cleared),
                n_user=k,
            ),
            system=Moments(
                one=(one - shift * rows) / left,
                mean=(mean - shift * of_mean) / left,
                noise=(n * cleared - noise_rows) / (n - 1),
                n_user=k,
            ),
            user=Moments(
                one=(k * one - columns) / others / (n - 1),
                mean=(k**2 * mean - 2 * k * across + columns) / others**2 / (n - 1),
                noise=(k * cleared - noise_columns) / others,
                n_user=k - 1,
            ),
        )

    def estimate(
        self,
        quantity: str,
        of: Callable[[Moments], Floats],
        what: str,
        *,
        confidence_level: float,
        seen: Callable[[Moments], Floats] | None = None,
        over_user: bool = False,
    ) -> Estimate:
        """Return a function of the moments with its interval.

        Parameters
        ----------
        seen : callable, optional
            The same with its noise, which cannot be negative.
        over_user : bool
            Whether user prompts are draws from others too.
        """
        value = float(of(self.all))
        left_out = [of(self.system)]
        if over_user:
            left_out.append(of(self.user))
        estimate = Estimate(
            quantity=quantity,
            value=value,
            confidence_level=confidence_level,
            n=len(left_out[0]),
            method=f"{what}; {OVER_BOTH if over_user else OVER_SYSTEM}",
        )
        offset = None if seen is None else float(seen(self.all)) - value
        return left_out_interval(estimate, left_out, offset=offset)


def left_out_interval(
    estimate: Estimate, left_out: list[Floats], *, offset: float | None = None
) -> Estimate:
    """Return the estimate with a standard error and an interval by the jackknife.

    With ``value[-i]`` the value without the i-th of n system prompts, or user prompts::

        se^2 = sum over both of (n - 1) / n sum_i (value[-i] - their mean)^2

    With an `offset` the interval is made on the scale of ``log(value + offset)``, where
    ``value + offset`` is a variance that cannot be negative, such as the one that is
    seen before noise is taken off; else it is ``value -+ t se``. Student's t has n - 1
    degrees of freedom, each part its own.

    Parameters
    ----------
    left_out : list of ndarray
        Values with one system prompt left out, and where other user prompts could
        have been asked, with one of those left out.

    Notes
    -----
    By simulation with 8 to 32 system prompts whose means are normal, uniform or of two
    kinds, intervals of a variance cover 94 to 98 %; of skewed ones (beta .5, 3) 87 to
    92 %; where one in ten fails, 59 to 93 %.

    Cautions: ``few-system-prompts``, below 8 (no interval below 3);
    ``constant-over-system-prompts``, ``few-user-prompts`` (no interval).
    """
    cautions = list(estimate.cautions)
    n_system = len(left_out[0])
    if n_system < FEW_SYSTEM_PROMPTS:
        text = (
            f"{n_system} system prompts say little of how others would spread; "
            f"{FEW_SYSTEM_PROMPTS} or more hold the interval's level"
        )
        cautions.append(Caution("few-system-prompts", text))
    if any(np.isnan(values).any() for values in left_out[1:]):
        text = (
            f"{len(left_out[1])} user prompts say nothing of how others would do; 3 "
            "or more would"
        )
        cautions.append(Caution("few-user-prompts", text))
    found = replace(estimate, cautions=tuple(cautions))
    if any(np.isnan(values).any() for values in left_out):
        return found
    value = estimate.value
    scale = value if offset is None else value + offset
    se = math.sqrt(sum(_variance(values) for values in left_out))
    if se <= SAME * abs(scale) or (offset is not None and scale <= 0):
        text = (
            "leaving any prompt out changes nothing, so how sure the value is cannot "
            "be said; system prompts that differ would tell"
        )
        constant = Caution("constant-over-system-prompts", text)
        return replace(found, cautions=(*cautions, constant))
    found = replace(found, se=se)
    level = estimate.confidence_level
    if offset is not None and all((v + offset > 0).all() for v in left_out):
        half = _half_width([np.log(v + offset) for v in left_out], level)
        low, high = (value + scale * math.expm1(end) for end in (-half, half))
    else:
        half = _half_width(left_out, level)
        low, high = value - half, value + half
    return replace(found, interval=Interval(low, high))


def _half_width(left_out: list[Floats], confidence_level: float) -> float:
    from scipy.special import stdtrit

    p = 0.5 + confidence_level / 2
    return math.sqrt(
        sum(_variance(v) * float(stdtrit(len(v) - 1, p)) ** 2 for v in left_out)
    )


def _variance(left_out: Floats) -> float:
    n = len(left_out)
    return float((n - 1) ** 2 / n * left_out.var(ddof=1))
