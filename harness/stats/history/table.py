"""How did each task go? Its history with noise, steps, prediction and regressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.history.change import (
    FEWEST_POINTS,
    ChangePoints,
    change_points_of_all,
)
from harness.stats.history.noise import LAST_N, NoiseFloor, check_last, noise_floor
from harness.stats.history.points import History
from harness.stats.history.prediction import Prediction, Where, prediction_interval
from harness.stats.history.regressions import Regression, State, regressions
from harness.stats.history.segments import Trend
from harness.stats.intervals import check_level

Course = State | Literal["too few points", "on course", "improved"]

ORDER: tuple[State, ...] = ("new", "known", "acknowledged")
"""Of several active regressions, which one tells the state."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskHistory:
    """The history of one model at one task, and what it says.

    Attributes
    ----------
    history : History
    change : ChangePoints
        Of all points.
    noise : NoiseFloor
    predicted : Prediction
        Of the last point, from those before.
    expected : Prediction
        Of the point that comes next.
    regressions : tuple of Regression
        The oldest first.
    """

    history: History
    change: ChangePoints
    noise: NoiseFloor
    predicted: Prediction
    expected: Prediction
    regressions: tuple[Regression, ...]

    @property
    def last_is(self) -> Where:
        """Where the last point lies among what was predicted of it."""
        return self.predicted.where(float(self.history.means[-1]))

    @property
    def state(self) -> Course:
        """The worst active regression's state, or how else it went."""
        if len(self.history.points) < FEWEST_POINTS:
            return "too few points"
        active = [one.state for one in self.regressions if one.is_active]
        for state in ORDER:
            if state in active:
                return state
        if self.regressions:
            return "recovered"
        return "improved" if self.change.steps else "on course"

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """Those of the history, its levels, its noise and what comes next, once."""
        return tuple(
            dict.fromkeys(
                [
                    *self.history.cautions,
                    *self.change.cautions,
                    *self.noise.cautions,
                    *self.expected.cautions,
                ]
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            **self.history.to_dict(),
            "state": self.state,
            "last_is": self.last_is,
            "change": self.change.to_dict(),
            "noise": self.noise.to_dict(),
            "predicted": self.predicted.to_dict(),
            "expected": self.expected.to_dict(),
            "regressions": [one.to_dict() for one in self.regressions],
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def history_table(
    histories: Iterable[History],
    *,
    last_n: int = LAST_N,
    trend: Trend | None = None,
    false_alarms: float = 0.05,
    confidence_level: float = 0.95,
    is_acknowledged: Callable[[str, str], bool] | None = None,
) -> tuple[tuple[TaskHistory, ...], tuple[tuple[History, DesignError], ...]]:
    """Return what each history says, and which say nothing.

    Parameters
    ----------
    histories : iterable of History
        From `harness.stats.history.points.histories`.
    last_n : int
        Points behind noise and prediction, at most.
    trend : {"none", "linear"}, optional
        Whether levels slope. As if ``linear`` by step, since training goes on, and
        ``none`` by date.
    false_alarms : float
        Rate at which quiet histories show a step, each for itself.
    confidence_level : float
        Of every interval.
    is_acknowledged : callable, optional
        Of task and model: whether somebody said that its losses are known.

    Raises
    ------
    DesignError
        ``bad-n-last``, ``bad-share``, ``bad-confidence-level``.

    Notes
    -----
    Refused: ``items-differ``, where no item has a score at every point.
    """
    check_level(confidence_level)
    check_last(last_n)
    rows, refused = [], []
    for history in histories:
        if history.item_indexes:
            rows.append(history)
            continue
        text = (
            f"no item of {history.task} has a score at all {len(history.points)} "
            f"points of {history.model}; evaluate the same items each time"
        )
        refused.append((history, DesignError(text, code="items-differ")))
    found: list[TaskHistory] = []
    for by in ("step", "date"):
        some = [history for history in rows if history.by == by]
        slope: Trend = trend or ("linear" if by == "step" else "none")
        found += _rows(
            some, last_n, slope, false_alarms, confidence_level, is_acknowledged
        )
    return tuple(found), tuple(refused)


def _rows(
    histories: list[History],
    last_n: int,
    trend: Trend,
    false_alarms: float,
    confidence_level: float,
    is_acknowledged: Callable[[str, str], bool] | None,
) -> Iterable[TaskHistory]:
    series = [history.means for history in histories]
    # Twice as many series at once, since each is needed without its last point too.
    changes = change_points_of_all(
        [*series, *(values[:-1] for values in series)],
        trend=trend,
        false_alarms=false_alarms,
        confidence_level=confidence_level,
    )
    for k, history in enumerate(histories):
        change, before = changes[k], changes[len(histories) + k]
        predicted = prediction_interval(
            history,
            confidence_level,
            last_n=last_n,
            trend=trend,
            change=before,
            before=len(history.points) - 1,
        )
        yield TaskHistory(
            history=history,
            change=change,
            noise=noise_floor(
                history,
                last_n=last_n,
                change=change,
                confidence_level=confidence_level,
            ),
            predicted=predicted,
            expected=prediction_interval(
                history, confidence_level, last_n=last_n, trend=trend, change=change
            ),
            regressions=regressions(
                history,
                change,
                before,
                predicted,
                is_acknowledged=bool(
                    is_acknowledged and is_acknowledged(history.task, history.model)
                ),
                confidence_level=confidence_level,
            ),
        )
