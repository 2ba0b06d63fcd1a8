"""How far do scores move when nothing got better or worse? Checkpoints, seeds, runs."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.history.change import ChangePoints
from harness.stats.history.points import History
from harness.stats.history.segments import successive_df
from harness.stats.intervals import check_level
from harness.stats.series import sd_interval, seed_sd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

LAST_N = 10
"""Checkpoints that the noise between neighbours is taken from, at most."""

FEW = 5
"""Checkpoints below which the SD between neighbours is uncertain by more than a third
of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """What moves a score though nothing changed, as standard deviations of a point.

    Attributes
    ----------
    checkpoints : Estimate
        Between neighbouring checkpoints, of the last ones.
    seeds : Estimate
        Between training seeds, of the mean over as many as the last point has.
    runs : Estimate
        Between repeated evaluations of the same checkpoint, of the mean over as many
        as the last point has.
    used : str
        Which of them is the floor: the largest; empty where none is known.
    last_n : int
        Checkpoints asked for.
    """

    checkpoints: Estimate
    seeds: Estimate
    runs: Estimate
    used: str
    last_n: int
    cautions: tuple[Caution, ...] = ()

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All of them, in the order of the table."""
        return self.checkpoints, self.seeds, self.runs

    @property
    def floor(self) -> Estimate:
        """The one that is used; not defined where none is known."""
        for estimate in self.estimates:
            if estimate.quantity == self.used:
                return estimate
        return undefined(
            "noise_floor",
            n=0,
            method="none",
            code=self.cautions[0].code,
            text=self.cautions[0].text,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **{estimate.quantity: estimate.to_dict() for estimate in self.estimates},
            "used": self.used,
            "last_n": self.last_n,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def noise_floor(
    history: History,
    *,
    last_n: int = LAST_N,
    change: ChangePoints | None = None,
    confidence_level: float = 0.95,
) -> NoiseFloor:
    """Return how far a point moves when nothing got better or worse.

    Three standard deviations of a point as it stands, a mean over its seeds and runs:
    between neighbouring checkpoints (`neighbour_sd`), between training seeds (`seed_sd`
    over the last points, divided by the square root of the last one's seeds), and
    between evaluations of the same checkpoint (`run_sd`, likewise by its runs). The
    floor is the largest: a difference that any of them makes by itself says nothing.

    Parameters
    ----------
    history : History
    last_n : int
        Points that count, up to the last; at least 2.
    change : ChangePoints, optional
        Of the history's means: differences across its steps, and its blips, are no
        noise and are left out.

    Raises
    ------
    DesignError
        ``bad-n-last``, ``bad-confidence-level``.

    Notes
    -----
    Cautions: ``noise-unknown``, where none of the three is known; those of each.
    """
    check_level(confidence_level)
    check_last(last_n)
    values = history.means.copy()
    breaks: set[int] = set()
    if change is not None:
        values[list(change.blips)] = np.nan
        breaks = {step.place for step in change.steps}
    same = _repeated(history.weights)
    checkpoints = neighbour_sd(
        values,
        last_n=last_n,
        apart=np.flatnonzero(same).tolist() + sorted(breaks),
        confidence_level=confidence_level,
    )
    last = history.run_scores[-1:]
    n_seeds = int((~np.isnan(last)).any(2).sum())
    seeds = seed_sd(history.seed_scores[-last_n:].T, confidence_level=confidence_level)
    runs = run_sd(
        history.run_scores[-last_n:],
        history.weights[-last_n:],
        confidence_level=confidence_level,
    )
    estimates = (
        checkpoints,
        _of_mean(seeds, "seeds", n_seeds),
        _of_mean(runs, "runs", int((~np.isnan(last)).sum())),
    )
    known = [one for one in estimates if not math.isnan(one.value)]
    cautions: tuple[Caution, ...] = ()
    if not known:
        text = (
            "one checkpoint, one training seed and one run: how far scores move by "
            "themselves is unknown; 2 of any of them would tell"
        )
        cautions = (Caution("noise-unknown", text),)
    used = max(known, key=lambda one: one.value).quantity if known else ""
    return NoiseFloor(
        checkpoints=estimates[0],
        seeds=estimates[1],
        runs=estimates[2],
        used=used,
        last_n=last_n,
        cautions=cautions,
    )


def neighbour_sd(
    values: Floats,
    *,
    last_n: int = LAST_N,
    apart: Collection[int] = (),
    confidence_level: float = 0.95,
) -> Estimate:
    """Return the standard deviation of points around their course.

    ``sqrt(sum of (y[t + 1] - y[t])^2 / (2 (n - 1)))`` over the last n points: von
    Neumann's mean square successive difference, halved. A slow course cancels: a slope
    of b per point adds ``b^2 / 2`` to the variance. Points are independent around it;
    where neighbours share their noise, it is less than the SD of all.

    The interval is chi-square's with ``2 (n - 1)^2 / (3 n - 4)`` degrees of freedom,
    those of a normal variance estimated so; `n` of the estimate is that of points.

    Parameters
    ----------
    values : ndarray, shape (n_points,)
        In their order; ``nan`` is passed over.
    last_n : int
        Points that count, up to the last; at least 2.
    apart : collection of int
        Places whose difference from the point before is no noise.

    Raises
    ------
    DesignError
        ``bad-n-last``.

    Notes
    -----
    Cautions: ``one-checkpoint``; ``few-checkpoints``, below 5.

    References
    ----------
    J. von Neumann, R. H. Kent, H. R. Bellinson, B. I. Hart, Ann. Math. Stat. 12 (1941)
    153. D. Heineman et al., arXiv 2508.13144 (2025), for the last n checkpoints as the
    noise of a benchmark, there with the SD around their mean.
    """
    check_last(last_n)
    places = np.flatnonzero(~np.isnan(values))[-last_n:]
    d = np.diff(values[places])
    breaks = np.array(sorted(apart), dtype=np.intp)
    # A break between two points left may stand at one that is passed over.
    n_breaks = np.searchsorted(breaks, places, side="right")
    d = d[np.diff(n_breaks) == 0]
    method = "successive differences of the last checkpoints (von Neumann)"
    if not len(d):
        return undefined(
            "checkpoints",
            n=len(places),
            method=method,
            code="one-checkpoint",
            text="no two neighbouring points of different checkpoints; evaluate more",
        )
    n = len(d) + 1
    sd = math.sqrt(float((d * d).mean()) / 2)
    cautions: tuple[Caution, ...] = ()
    if n < FEW:
        text = (
            f"the SD is from {n} points and uncertain by more than a third; {FEW} or "
            "more are better"
        )
        cautions = (Caution("few-checkpoints", text),)
    df = float(successive_df(n))
    return Estimate(
        quantity="checkpoints",
        value=sd,
        interval=sd_interval(sd, df, confidence_level),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; chi-square interval of {df:.3g} df",
        cautions=cautions,
    )


def run_sd(runs: Floats, weights: Codes, *, confidence_level: float = 0.95) -> Estimate:
    """Return the standard deviation of one evaluation of the same checkpoint.

    ``sqrt(sum of squares around each checkpoint's mean / sum of (runs - 1))``. The
    interval is chi-square's with as many degrees of freedom; `n` is that of runs. Where
    answers are not drawn at random it is 0, which is a measurement.

    Parameters
    ----------
    runs : ndarray, shape (n_points, n_seeds, n_runs)
        Score of each run; ``nan`` where there is none.
    weights : ndarray of int, shape (n_points, n_seeds)
        Equal where the same weights were evaluated; -1 where that is not known.

    Notes
    -----
    Cautions: ``no-reruns``, where no checkpoint was evaluated twice.
    """
    method = "SD of repeated evaluations around each checkpoint's mean"
    n_points, n_seeds, _ = runs.shape
    own = np.arange(n_points * n_seeds).reshape(n_points, n_seeds)
    code = np.where(weights >= 0, weights, own + weights.max(initial=0) + 1)
    code = np.broadcast_to(code[:, :, None], runs.shape)[~np.isnan(runs)]
    values = runs[~np.isnan(runs)]
    _, first, code = np.unique(code, return_index=True, return_inverse=True)
    # Less the first run's, so that runs that agree differ by no rounding either.
    values = values - values[first[code]]
    count = np.bincount(code)
    mean = np.bincount(code, values) / count
    df = int((count - 1).sum())
    if df == 0:
        return undefined(
            "runs",
            n=len(values),
            method=method,
            code="no-reruns",
            text="no checkpoint was evaluated twice; repeats, another sample seed or "
            "another few-shot seed would tell",
        )
    again = count[code] > 1
    sd = math.sqrt(float(((values - mean[code])[again] ** 2).sum()) / df)
    return Estimate(
        quantity="runs",
        value=sd,
        interval=sd_interval(sd, df, confidence_level),
        confidence_level=confidence_level,
        n=int(again.sum()),
        method=f"{method}; chi-square interval of {df} df",
    )


def check_last(last_n: int) -> None:
    """Refuse fewer points than a difference has (``bad-n-last``)."""
    if last_n < 2:
        raise DesignError(
            f"noise over the last {last_n} points; it needs 2 or more",
            code="bad-n-last",
        )


def _repeated(weights: Codes) -> npt.NDArray[np.bool_]:
    """Tell points of the very weights that the point before has."""
    same = (weights[1:] == weights[:-1]) & (weights[1:] >= 0)
    both = (weights[1:] >= 0) & (weights[:-1] >= 0)
    return np.concatenate([[False], same.any(1) & (same | ~both).all(1)])


def _of_mean(estimate: Estimate, quantity: str, n: int) -> Estimate:
    """Return an SD of one as that of the mean of `n`."""
    by = math.sqrt(max(n, 1))
    low, high = estimate.interval
    return replace(
        estimate,
        quantity=quantity,
        value=estimate.value / by,
        interval=Interval(low / by, high / by),
        method=f"{estimate.method}; of the mean of {n}" if n > 1 else estimate.method,
    )
