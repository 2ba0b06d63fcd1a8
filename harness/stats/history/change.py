"""When did the level of a noisy series change? Steps, and blips that are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, or_none
from harness.stats.history.penalties import penalty_factor, step_p_value
from harness.stats.history.segments import (
    Series,
    Trend,
    blips,
    fit_levels,
    line_slope,
)
from harness.stats.intervals import check_level

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

FEWEST_POINTS = 5
"""Of fewer points nothing is said: any two of them may be a level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of level.

    Attributes
    ----------
    place : int
        Of the first point on the new level, in the series as it was given.
    earliest, latest : int
        Places between which that point lies, at the confidence level.
    size : Estimate
        New level less the one before; its interval takes the place as known.
    p_value : float
        How often a quiet series of as many points shows a step as clear as this one
        anywhere; not below 0.001, the least that was simulated.
    """

    place: int
    earliest: int
    latest: int
    size: Estimate
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "place": self.place,
            "earliest": self.earliest,
            "latest": self.latest,
            "size": self.size.to_dict(),
            "p_value": self.p_value,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangePoints:
    """The levels of one series.

    Attributes
    ----------
    steps : tuple of Step
        Ascending.
    blips : tuple of int
        Places of single points far outside of both neighbours, or of an end far from
        the two points beside it; they belong to no level.
    levels : ndarray, shape (n_points,)
        What each point would be without noise; ``nan`` where nothing can be said.
    slope : float
        Common to all levels, per place; 0 without a trend.
    sd : float
        Of a point around its level, from differences of neighbours on one level.
    n_points : int
        Points that have a score.
    false_alarms : float
        Rate at which quiet series show a step.
    method : str
    cautions : tuple of Caution
    """

    steps: tuple[Step, ...]
    blips: tuple[int, ...]
    levels: Floats
    slope: float
    sd: float
    n_points: int
    false_alarms: float
    confidence_level: float
    method: str
    cautions: tuple[Caution, ...] = ()

    @property
    def starts(self) -> tuple[int, ...]:
        """Place of the first point of each level."""
        return (0, *(step.place for step in self.steps))

    @property
    def level_of(self) -> npt.NDArray[np.intp]:
        """Which level each point is on, from 0; -1 for blips."""
        every = np.arange(len(self.levels))
        level = np.searchsorted(self.starts, every, side="right") - 1
        level[list(self.blips)] = -1
        return np.asarray(level, dtype=np.intp)

    def level_at(self, place: int) -> int:
        """Return which level is in force at a place, from 0."""
        return sum(start <= place for start in self.starts) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "steps": [step.to_dict() for step in self.steps],
            "blips": list(self.blips),
            "levels": [or_none(level) for level in self.levels.tolist()],
            "slope": self.slope,
            "sd": or_none(self.sd),
            "n_points": self.n_points,
            "false_alarms": self.false_alarms,
            "confidence_level": self.confidence_level,
            "method": self.method,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each step."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "place": step.place,
                    "earliest": step.earliest,
                    "latest": step.latest,
                    "size": step.size.value,
                    "low": step.size.interval.low,
                    "high": step.size.interval.high,
                    "p_value": step.p_value,
                }
                for step in self.steps
            ],
            columns=["place", "earliest", "latest", "size", "low", "high", "p_value"],
        )


def change_points(
    values: npt.ArrayLike,
    *,
    ses: npt.ArrayLike | None = None,
    trend: Trend = "none",
    false_alarms: float = 0.05,
    confidence_level: float = 0.95,
) -> ChangePoints:
    """Return where the level of a series changes.

    ``y[t] = level[t] + slope t + noise[t]`` with levels that stay for 2 points or more
    and independent normal noise of one variance. The levels are those of least ``sum of
    squares + c variance * number of steps``, found exactly; c is such that of quiet
    series as long as this one a share `false_alarms` shows any step, by simulation of
    the whole procedure. The variance is that of differences of neighbours.

    A single point far outside both neighbours is a blip, which is left out. So is the
    last point if it lies far from the two before it: whether that is a step the next
    point tells.

    The interval of a step's size is t's, of the points on both levels, with the pooled
    variance within levels. Its place lies where another division's sum of squares is
    less than ``-2 log(1 - sqrt(confidence_level))`` variances larger.

    Parameters
    ----------
    values : array_like, shape (n_points,)
        In their order, equally spaced; ``nan`` where there is no score.
    ses : array_like, shape (n_points,), optional
        Standard error of each point as a measurement of its level, where it is known;
        it stands in for the noise seen in the series.
    trend : {"none", "linear"}
        Whether levels share a slope, as a score that training still raises has.
    false_alarms : float
        From 0.001 to 0.2.
    confidence_level : float
        Of sizes and places.

    Raises
    ------
    DesignError
        ``bad-share``: of `false_alarms`; ``bad-confidence-level``;
        ``unequal-lengths``: there is not one standard error above 0 for each score.

    Notes
    -----
    By simulation 4 to 6 % of quiet series of 5 to 200 points show a step where 5 % was
    asked for, and a step of 4 SDs in the middle of 20 points is found in 99 %; see the
    explanation of history for others. Scores that drift, as of neighbouring checkpoints
    that have much in common, show more: correlated by 0.5, half of 20 points do.

    Cautions: ``few-points``, below 5: nothing can be said; ``constant-history``, where
    all scores are equal.

    References
    ----------
    J. Bai, Rev. Econ. Stat. 79 (1997) 551, and B. E. Hansen, Econometrica 68 (2000)
    575, equation 15, for the interval of a place.
    """
    all_ses = None if ses is None else [ses]
    return change_points_of_all(
        [values],
        ses=all_ses,
        trend=trend,
        false_alarms=false_alarms,
        confidence_level=confidence_level,
    )[0]


def change_points_of_all(
    series: Sequence[npt.ArrayLike],
    *,
    ses: Sequence[npt.ArrayLike] | None = None,
    trend: Trend = "none",
    false_alarms: float = 0.05,
    confidence_level: float = 0.95,
) -> tuple[ChangePoints, ...]:
    """Return `change_points` of each series, all found at once, which is faster.

    Parameters and errors are those of `change_points`; series may differ in length.
    """
    check_level(confidence_level)
    known = ses is not None
    values = [np.asarray(one, dtype=np.float64) for one in series]
    errors = (
        [np.ones_like(y) for y in values]
        if ses is None
        else [np.asarray(one, dtype=np.float64) for one in ses]
    )
    there = [_there(y, se) for y, se in zip(values, errors, strict=True)]
    whole = _side_by_side(values, errors, there)
    factor = penalty_factor(whole.n, false_alarms, trend=trend, known=known)
    is_long = whole.n >= FEWEST_POINTS
    slope = line_slope(whole) if trend == "linear" else np.zeros(len(whole.n))
    is_blip = blips(whole, slope) & is_long[:, None]
    left = whole.without(is_blip)
    fit = fit_levels(left, factor, trend=trend, variance=1.0 if known else None)
    out = []
    for i, y in enumerate(values):
        flags = is_blip[i, : whole.n[i]]
        places = there[i][~flags]
        one = _One(
            places=places,
            y=y[places],
            weight=errors[i][places] ** -2.0,
            starts=tuple(np.flatnonzero(fit.starts[i]).tolist()) if is_long[i] else (),
            slope=float(fit.slope[i]),
            variance=float(fit.variance[i]),
        )
        out.append(
            ChangePoints(
                steps=one.steps(int(whole.n[i]), trend, known, confidence_level),
                blips=tuple(there[i][flags].tolist()),
                levels=one.levels(len(y)) if is_long[i] else np.full(len(y), np.nan),
                slope=one.slope,
                sd=math.sqrt(one.variance) if is_long[i] and not known else math.nan,
                n_points=int(whole.n[i]),
                false_alarms=false_alarms,
                confidence_level=confidence_level,
                method=_method(trend, known=known),
                cautions=_doubts(y[there[i]]),
            )
        )
    return tuple(out)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _One:
    """One series without its blips, and the levels that fit it."""

    places: npt.NDArray[np.intp]
    y: Floats
    weight: Floats
    starts: tuple[int, ...]
    """Where levels begin but for the first, among the points left."""

    slope: float
    variance: float

    @property
    def ends(self) -> tuple[int, ...]:
        """Where levels begin, and the end."""
        return (0, *self.starts, len(self.y))

    @property
    def flat(self) -> Floats:
        """The series without its slope."""
        return np.asarray(self.y - self.slope * self.places)

    def means(self) -> Floats:
        return np.array(
            [
                np.average(self.flat[a:b], weights=self.weight[a:b])
                for a, b in pairwise(self.ends)
            ]
        )

    def levels(self, n: int) -> Floats:
        """Return what each of `n` points would be without noise."""
        firsts = self.places[list(self.starts)]
        every = np.arange(n)
        level = self.means()[np.searchsorted(firsts, every, side="right")]
        return np.asarray(level + self.slope * every)

    def steps(
        self, n_points: int, trend: Trend, known: bool, confidence_level: float
    ) -> tuple[Step, ...]:
        if not self.starts:
            return ()
        means, ends = self.means(), self.ends
        weights = np.array([self.weight[a:b].sum() for a, b in pairwise(ends)])
        variance, half = self._variance(means, trend, known, confidence_level)
        out = []
        for k, start in enumerate(self.starts):
            size = float(means[k + 1] - means[k])
            inverse = float(1 / weights[k] + 1 / weights[k + 1])
            se = math.sqrt(variance * inverse)
            price = max(self.variance, np.finfo(float).tiny)
            low, high = self._where(ends[k], start, ends[k + 2], confidence_level)
            out.append(
                Step(
                    place=int(self.places[start]),
                    earliest=int(self.places[low]),
                    latest=int(self.places[high]),
                    size=Estimate(
                        quantity="step",
                        value=size,
                        se=se,
                        interval=Interval(size - half * se, size + half * se),
                        confidence_level=confidence_level,
                        n=ends[k + 2] - ends[k],
                        method="difference of two levels, their place taken as known",
                    ),
                    p_value=step_p_value(
                        size * size / inverse / price,
                        n_points,
                        trend=trend,
                        known=known,
                    ),
                )
            )
        return tuple(out)

    def _variance(
        self, means: Floats, trend: Trend, known: bool, confidence_level: float
    ) -> tuple[float, float]:
        """Return the variance around the levels, and the quantile that goes with it."""
        from scipy.special import ndtri, stdtrit

        p = 0.5 + confidence_level / 2
        if known:
            return 1.0, float(ndtri(p))
        level = np.repeat(means, np.diff(self.ends))
        df = len(self.y) - len(means) - (trend == "linear")
        squares = float((self.weight * (self.flat - level) ** 2).sum())
        return squares / df, float(stdtrit(df, p))

    def _where(
        self, first: int, start: int, end: int, confidence_level: float
    ) -> tuple[int, int]:
        """Return the first and the last place where a level may begin."""
        w, y = self.weight[first:end], self.flat[first:end]
        y = y - y.mean()
        before, total = np.cumsum(w)[:-1], np.cumsum(w * y)[:-1]
        gain = total**2 / before + (float((w * y).sum()) - total) ** 2 / (
            w.sum() - before
        )
        limit = -2 * math.log(1 - math.sqrt(confidence_level)) * self.variance
        likely = np.flatnonzero(gain >= gain[start - first - 1] - limit) + first + 1
        return int(likely[0]), int(likely[-1])


def _there(y: Floats, se: Floats) -> npt.NDArray[np.intp]:
    """Return the places that have a score, all of which must have an error."""
    if y.shape != se.shape or not (se[~np.isnan(y)] > 0).all():
        n = int((se > 0).sum())
        raise DesignError(
            f"{n} standard errors above 0 for {len(y)} scores; give one for each score",
            code="unequal-lengths",
        )
    return np.flatnonzero(~np.isnan(y))


def _side_by_side(
    values: Sequence[Floats], errors: Sequence[Floats], there: Sequence[Any]
) -> Series:
    """Return series filled up to the length of the longest, around their means."""
    n = np.array([len(places) for places in there], dtype=np.intp)
    x, y, weight = np.zeros((3, len(n), int(n.max(initial=1))))
    for i, places in enumerate(there):
        if len(places):
            x[i, : n[i]] = places
            y[i, : n[i]] = values[i][places] - values[i][places].mean()
            weight[i, : n[i]] = errors[i][places] ** -2.0
    return Series(x, y, weight, n)


def _method(trend: Trend, *, known: bool) -> str:
    slope = " and a common slope" if trend == "linear" else ""
    noise = "known standard errors" if known else "differences of neighbours"
    return f"least squares with a price for each step{slope}; noise from {noise}"


def _doubts(values: Floats) -> tuple[Caution, ...]:
    if len(values) < FEWEST_POINTS:
        n = len(values)
        text = (
            f"{n} point{'s' * (n != 1)}, in which no level can be told from another; "
            f"{FEWEST_POINTS} would do"
        )
        return (Caution("few-points", text),)
    if np.ptp(values) == 0:
        text = f"all {len(values)} scores are equal, so that nothing is known of noise"
        return (Caution("constant-history", text),)
    return ()
