"""What do the checkpoints before a candidate say? Their noise, and a prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.frames import CONDITION
from harness.gate.policy import HistoryRules
from harness.gate.results import HistoryLook, Noise
from harness.marks import Reference
from harness.stats.estimate import Estimate
from harness.stats.history.change import FEWEST_POINTS, change_points
from harness.stats.history.noise import neighbour_sd, noise_floor
from harness.stats.history.points import History, histories
from harness.stats.history.prediction import Prediction, predict
from harness.stats.history.segments import successive_df

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

SOURCES = {
    "checkpoints": "{n} checkpoints before it",
    "seeds": "{n} training seeds",
    "runs": "{n} evaluations of the same checkpoints",
}
"""What noise was measured on, by the name of its estimate."""

NONE_BEFORE = "no checkpoints before it"

UNKNOWN = Noise(sd=math.nan, df=math.nan, source="unknown")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trail:
    """The checkpoints before a candidate at one task.

    Attributes
    ----------
    labels : tuple
        Step, or moment, of each point before the candidate.
    scores : ndarray, shape (n_points,)
        Of the items that all points share.
    score : float
        The candidate's.
    noise : Noise
        Between checkpoints of equal quality.
    prediction : Prediction
        Of the candidate's score, from the last points on one level; without an interval
        where they are too few.
    n_level : int
        Points since the last step that was found among them.
    """

    labels: tuple[Any, ...]
    scores: Floats
    score: float
    noise: Noise
    prediction: Prediction
    n_level: int

    @property
    def why_not(self) -> str:
        """Why there is no prediction; empty if there is one."""
        n, needed = len(self.scores), f"{FEWEST_POINTS} needed"
        if self.can_predict:
            return ""
        if self.prediction.n >= FEWEST_POINTS:
            return "; ".join(caution.text for caution in self.prediction.cautions)
        if n < FEWEST_POINTS:
            return f"{n} before it; {needed}" if n else NONE_BEFORE
        single = self.n_level - self.prediction.n
        but = f" but for {single} that stand out" if single else ""
        if self.n_level < n:
            return (
                f"a step was found {self.n_level} checkpoints before it; "
                f"{self.prediction.n} on the present level{but}, {needed}"
            )
        return f"{self.prediction.n} of {n} before it{but}; {needed}"

    @property
    def can_predict(self) -> bool:
        """Whether there are enough points for a prediction."""
        return not math.isnan(self.prediction.se)

    @property
    def look(self) -> HistoryLook:
        """The candidate beside the prediction, without its p-value."""
        found = self.prediction
        return HistoryLook(
            n_points=found.n,
            expected=found.mean,
            prediction=found.interval,
            score=self.score,
            p_value=math.nan,
            method=found.method,
            cautions=found.cautions,
        )


def trails(
    responses: pd.DataFrame,
    candidate: Reference,
    *,
    rules: HistoryRules,
    confidence_level: float,
) -> Mapping[tuple[Any, ...], Trail]:
    """Return what came before a candidate, by condition.

    Parameters
    ----------
    responses : DataFrame
        Columns of `harness.frames.JOINED`, of the candidate's model alone.
    """
    if len(responses) == 0:
        return {}
    found = {}
    for history in histories(_usual(responses), by=rules.by):
        cut = _place_of(history, candidate)
        if cut is None:
            continue
        before = _first(history, cut)
        key = tuple(history.condition[name] for name in CONDITION)
        found[key] = _trail(
            labels=tuple(_label(point) for point in before.points),
            scores=before.means,
            score=history.points[cut].score,
            noise=_noise(before, rules.last),
            rules=rules,
            confidence_level=confidence_level,
        )
    return found


def _usual(responses: pd.DataFrame) -> pd.DataFrame:
    """Return the answers under few-shot seeds that most checkpoints were asked with.

    Other examples move every score of a task alike: where a red cell was measured again
    with fresh ones, only the old ones are like those of the checkpoints before.
    """
    if len(responses["fewshot_seed"].unique()) == 1:
        return responses
    groups = responses.groupby(
        ["task", "fewshot_seed"], observed=True, dropna=False, sort=False
    )
    code = groups.ngroup().to_numpy()
    steps = responses[["task", "step"]].assign(code=code).drop_duplicates()
    of_task = steps.drop_duplicates(["task", "step"])["task"].value_counts()
    of_code = steps.groupby("code").agg(task=("task", "first"), n=("step", "size"))
    is_usual = 2 * of_code["n"].to_numpy() >= of_code["task"].map(of_task).to_numpy(int)
    return responses[is_usual[code]]


def mean_trail(
    parts: Sequence[Trail | None], *, rules: HistoryRules, confidence_level: float
) -> Trail | None:
    """Return the mean over tasks of what came before, at the points that all have.

    ``None`` where a task has no past, or they share none.
    """
    if not parts or any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    shared = [x for x in known[0].labels if all(x in part.labels for part in known)]
    if not shared:
        return None
    rows = [[p.scores[p.labels.index(label)] for label in shared] for p in known]
    means = np.mean(rows, axis=0)
    values, change = means.copy(), change_points(means)
    values[list(change.blips)] = np.nan
    apart = [step.place for step in change.steps]
    return _trail(
        labels=tuple(shared),
        scores=means,
        score=float(np.mean([part.score for part in known])),
        noise=_as_noise(neighbour_sd(values, last_n=rules.last, apart=apart)),
        rules=rules,
        confidence_level=confidence_level,
    )


def _trail(
    *,
    labels: tuple[Any, ...],
    scores: Floats,
    score: float,
    noise: Noise,
    rules: HistoryRules,
    confidence_level: float,
) -> Trail:
    values = scores.copy()
    change = change_points(values, trend=rules.trend)
    values[list(change.blips)] = np.nan
    values[: change.starts[-1]] = np.nan
    prediction = predict(
        values,
        last_n=rules.last,
        trend=rules.trend,
        confidence_level=confidence_level,
    )
    return Trail(
        labels=labels,
        scores=scores,
        score=score,
        noise=noise,
        prediction=prediction,
        n_level=len(scores) - change.starts[-1],
    )


def _place_of(history: History, candidate: Reference) -> int | None:
    """Return the last point that is the candidate's."""
    places = [point.place for point in history.points if point.step == candidate.step]
    return places[-1] if places else None


def _first(history: History, n: int) -> History:
    """Return the first `n` points of a history."""
    arrays = ("points", "scores", "seed_scores", "run_scores", "weights")
    return replace(history, **{name: getattr(history, name)[:n] for name in arrays})


def _label(point: Any) -> Any:
    return point.when if point.step is None else point.step


def _noise(before: History, last: int) -> Noise:
    """Return how far checkpoints of the same training run move by themselves.

    Between checkpoints, or between evaluations of one if that is more; between training
    seeds only where neither is known, since both sides are of the same seeds.
    """
    if not before.points:
        return UNKNOWN
    change = change_points(before.means)
    floor = noise_floor(before, last_n=last, change=change)
    moving = [one for one in (floor.checkpoints, floor.runs) if one.value == one.value]
    if floor.checkpoints.value == floor.checkpoints.value:
        return _as_noise(max(moving, key=lambda one: one.value))
    if floor.seeds.value == floor.seeds.value:
        return _as_noise(floor.seeds)
    return UNKNOWN


def _as_noise(estimate: Estimate) -> Noise:
    if math.isnan(estimate.value):
        return UNKNOWN
    n = estimate.n
    by_differences = estimate.quantity == "checkpoints"
    return Noise(
        sd=estimate.value,
        df=float(successive_df(n)) if by_differences else max(n - 1, 1),
        source=SOURCES[estimate.quantity].format(n=n),
    )
