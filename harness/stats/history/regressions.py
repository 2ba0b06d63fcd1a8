"""What broke, since when, and is it over? Steps down, and a last point far below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Estimate, Interval, or_none
from harness.stats.history.change import ChangePoints, Step
from harness.stats.history.points import By, History, Point
from harness.stats.history.prediction import Prediction
from harness.stats.history.segments import SHORTEST, successive_df
from harness.stats.intervals import check_level
from harness.stats.pairs import paired_difference

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
State = Literal["new", "known", "acknowledged", "recovered"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regression:
    """One loss of one model at one task.

    Attributes
    ----------
    by : {"step", "date"}
        What its points are.
    first_bad : Point
        The first on the lower level.
    last_good : Point
        The last before it that is no blip.
    between : tuple of Point
        The first and the last that may have been the first bad one.
    best : Point
        With the highest score of all that are no blips.
    current : Point
        The last one.
    size : Estimate
        Lower level less the one before; its interval is over points.
    difference : Estimate
        The same, item by item: of the means over each level's points; its interval is
        over items.
    p_value : float
        How often a quiet history shows one as clear anywhere; of a last point, how
        often one lies as far from what was predicted.
    age : int
        Points since the first bad one, with it.
    is_confirmed : bool
        Whether more than one point lies low: a blip in the middle of others is over,
        and of the last point the next one will tell.
    state : {"new", "known", "acknowledged", "recovered"}
        Whether the last point showed it first, it was there before, somebody said that
        it is known, or the present level is no longer below the one before it.
    """

    model: str
    condition: dict[str, Any]
    metric: str
    by: By
    first_bad: Point
    last_good: Point
    between: tuple[Point, Point]
    best: Point
    current: Point
    size: Estimate
    difference: Estimate
    p_value: float
    age: int
    is_confirmed: bool
    state: State

    @property
    def task(self) -> str:
        """What it is a loss at."""
        return str(self.condition["task"])

    @property
    def is_active(self) -> bool:
        """Whether it is not over; acknowledged ones are active."""
        return self.state != "recovered"

    @property
    def days(self) -> float:
        """Days from the first bad point to the last one; ``nan`` without dates."""
        if self.first_bad.when is None or self.current.when is None:
            return math.nan
        return (self.current.when - self.first_bad.when).total_seconds() / 86_400

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "model": self.model,
            **self.condition,
            "metric": self.metric,
            "by": self.by,
            "state": self.state,
            "is_confirmed": self.is_confirmed,
            "first_bad": self.first_bad.to_dict(),
            "last_good": self.last_good.to_dict(),
            "between": [point.to_dict() for point in self.between],
            "best": self.best.to_dict(),
            "current": self.current.to_dict(),
            "size": self.size.to_dict(),
            "difference": self.difference.to_dict(),
            "p_value": or_none(self.p_value),
            "age": self.age,
            "days": or_none(self.days),
        }


def to_frame(regressions: Iterable[Regression]) -> pd.DataFrame:
    """Return a tidy row for each regression."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "model": one.model,
                **one.condition,
                "metric": one.metric,
                "state": one.state,
                "first_bad": one.first_bad.label,
                "last_good": one.last_good.label,
                "difference": one.difference.value,
                "low": one.difference.interval.low,
                "high": one.difference.interval.high,
                "age": one.age,
            }
            for one in regressions
        ]
    )


def regressions(
    history: History,
    change: ChangePoints,
    before: ChangePoints,
    predicted: Prediction,
    *,
    is_acknowledged: bool = False,
    confidence_level: float = 0.95,
) -> tuple[Regression, ...]:
    """Return what broke in a history, the oldest first.

    Each step down is a regression; so is a last point below what was predicted, which
    is not yet a step, and a blip so far below that few quiet histories have one, which
    is over. Where levels slope, a step
    that leaves scores higher than they were is none: less was gained, nothing lost. A
    step is new if it was not found without the last point; it is over if a later step
    goes up and the present level is not below the one before it, by t's interval of
    their difference.

    Parameters
    ----------
    history : History
    change, before : ChangePoints
        Of the history's means, and of those without the last one.
    predicted : Prediction
        Of the last point, from those before.
    is_acknowledged : bool
        Whether somebody said that losses at this task are known.
    confidence_level : float
        Of the intervals over items, and of what is over.

    Raises
    ------
    DesignError
        ``bad-confidence-level``.
    """
    check_level(confidence_level)
    return tuple(
        sorted(
            _found(
                history, change, before, predicted, is_acknowledged, confidence_level
            ),
            key=lambda one: one.first_bad.place,
        )
    )


def _found(
    history: History,
    change: ChangePoints,
    before: ChangePoints,
    predicted: Prediction,
    is_acknowledged: bool,
    confidence_level: float,
) -> Iterator[Regression]:
    last, level = len(history.points) - 1, change.level_of
    for k, step in enumerate(change.steps):
        if step.size.value >= 0 or not _is_lost(history.means, level, k):
            continue
        state: State = "known" if _is_known(step, before) else "new"
        if _is_over(change, k, confidence_level):
            state = "recovered"
        elif is_acknowledged:
            state = "acknowledged"
        yield _regression(
            history,
            change,
            good=level == k,
            bad=level == k + 1,
            size=step.size,
            between=(step.earliest, step.latest),
            p_value=step.p_value,
            is_confirmed=True,
            state=state,
            confidence_level=confidence_level,
        )
    for place in change.blips:
        size = float(history.means[place] - change.levels[place])
        p_value = _of_any_point(size, change)
        if 0 < place < last and size < 0 and p_value < change.false_alarms:
            yield _regression(
                history,
                change,
                good=level == change.level_at(place),
                bad=np.arange(last + 1) == place,
                size=_point_size(size, change, confidence_level),
                between=(place, place),
                p_value=p_value,
                is_confirmed=False,
                state="recovered",
                confidence_level=confidence_level,
            )
    # A level that the last point began to make is told of as a step.
    is_in_step = bool(level[last] >= 0 and change.starts[-1] not in before.starts)
    score = float(history.means[last])
    if (
        not is_in_step
        and predicted.where(score) == "below"
        and score < before.levels[predicted.places[-1]]
    ):
        yield _regression(
            history,
            change,
            good=np.isin(np.arange(last + 1), predicted.places),
            bad=np.arange(last + 1) == last,
            size=Estimate(
                quantity="step",
                value=score - predicted.mean,
                se=predicted.se,
                interval=Interval(
                    score - predicted.interval.high, score - predicted.interval.low
                ),
                confidence_level=predicted.confidence_level,
                n=predicted.n,
                method="last point less what was predicted",
            ),
            between=(last, last),
            p_value=predicted.p_value(score),
            is_confirmed=False,
            state="acknowledged" if is_acknowledged else "new",
            confidence_level=confidence_level,
        )


def _is_lost(means: Floats, level: Places, k: int) -> bool:
    """Whether scores around the end of level k fell: less gained is nothing lost."""
    before, after = means[level == k][-SHORTEST:], means[level == k + 1][:SHORTEST]
    return float(after.mean()) < float(before.mean())


def _is_known(step: Step, before: ChangePoints) -> bool:
    """Whether the step was found without the last point."""
    return any(
        earlier.size.value < 0
        and earlier.earliest <= step.latest
        and step.earliest <= earlier.latest
        for earlier in before.steps
    )


def _is_over(change: ChangePoints, k: int, confidence_level: float) -> bool:
    """Whether the present level is no longer below the one before step k."""
    from scipy.special import stdtrit

    steps, level = change.steps, change.level_of
    if not any(step.size.value > 0 for step in steps[k + 1 :]):
        return False
    flat = change.levels - change.slope * np.arange(len(change.levels))
    before, now = level == k, level == len(steps)
    df = int((level >= 0).sum()) - len(steps) - 1
    se = change.sd * math.sqrt(1 / before.sum() + 1 / now.sum())
    lost = float(flat[now][0] - flat[before][0])
    return lost >= -float(stdtrit(df, 0.5 + confidence_level / 2)) * se


def _of_any_point(size: float, change: ChangePoints) -> float:
    """Return how often any point of a quiet history lies so far, at most."""
    from scipy.special import stdtr

    t = abs(size) / max(change.sd, np.finfo(float).tiny)
    return min(2 * change.n_points * float(stdtr(_df(change), -t)), 1.0)


def _point_size(size: float, change: ChangePoints, confidence_level: float) -> Estimate:
    """Return how far one point lies from its level."""
    from scipy.special import stdtrit

    half = float(stdtrit(_df(change), 0.5 + confidence_level / 2)) * change.sd
    return Estimate(
        quantity="step",
        value=size,
        se=change.sd,
        interval=Interval(size - half, size + half),
        confidence_level=confidence_level,
        n=change.n_points,
        method="one point less its level",
    )


def _df(change: ChangePoints) -> float:
    """Return the degrees of freedom of the SD, which is of differences on levels."""
    n_differences = change.n_points - len(change.blips) - 1 - len(change.steps)
    return float(successive_df(n_differences + 1))


def _regression(
    history: History,
    change: ChangePoints,
    *,
    good: Flags,
    bad: Flags,
    size: Estimate,
    between: tuple[int, int],
    p_value: float,
    is_confirmed: bool,
    state: State,
    confidence_level: float,
) -> Regression:
    points = history.points
    first_bad = int(np.flatnonzero(bad)[0])
    last_good = int(np.flatnonzero(good[:first_bad])[-1])
    solid = np.where(change.level_of >= 0, history.means, -np.inf)
    return Regression(
        model=history.model,
        condition=history.condition,
        metric=history.metric,
        by=history.by,
        first_bad=points[first_bad],
        last_good=points[last_good],
        between=(points[between[0]], points[between[1]]),
        best=points[int(solid.argmax())],
        current=points[-1],
        size=size,
        difference=paired_difference(
            history.scores[bad].mean(0),
            history.scores[good].mean(0),
            clusters=history.clusters,
            confidence_level=confidence_level,
        ).difference,
        p_value=p_value,
        age=len(points) - first_bad,
        is_confirmed=is_confirmed,
        state=state,
    )
