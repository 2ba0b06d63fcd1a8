"""Which runs should be there and are not? By the pace of dates or of steps."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from harness.stats.estimate import Caution, or_none
from harness.stats.history.points import History

What = Literal["date", "step", "task", "seed"]

APART = dt.timedelta(hours=12)
"""Points closer than this are of one night."""

LATE = 1.5
"""Gaps of more than so many usual ones have a run missing."""

FEWEST_GAPS = 3
"""Gaps from which a pace can be told."""

REGULAR = 0.5
"""Share of gaps that must be about the usual one for there to be a pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRun:
    """One run that was expected.

    Attributes
    ----------
    what : {"date", "step", "task", "seed"}
        Whether a night, a checkpoint, a task at a checkpoint or a training seed at one
        is missing.
    task : str
        Empty where all are missing.
    n : int
        How many runs in a row.
    """

    what: What
    model: str
    n: int
    text: str
    task: str = ""
    step: int | None = None
    train_seed: int | None = None
    expected: dt.datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "what": self.what,
            "model": self.model,
            "task": self.task,
            "step": self.step,
            "train_seed": self.train_seed,
            "expected": None if self.expected is None else self.expected.isoformat(),
            "n": self.n,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """All that is missing of one model.

    Attributes
    ----------
    pace : float
        Usual gap, in days by date and in optimizer steps by step; ``nan`` where none
        could be told.
    """

    model: str
    by: Literal["step", "date"]
    pace: float
    runs: tuple[MissingRun, ...]
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "model": self.model,
            "by": self.by,
            "pace": or_none(self.pace),
            "runs": [run.to_dict() for run in self.runs],
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def missing_runs(
    histories: Iterable[History], *, now: dt.datetime | None = None
) -> tuple[Missing, ...]:
    """Return which runs of each model should be there and are not.

    The pace is the median gap between nights, or between steps; a gap of more than one
    and a half of it has runs missing. There is a pace where at least half of 3 or more
    gaps lie within half of the median of it: steps that double each time have none. A
    task that other points of the model have, and a training seed, is missing where a
    point lacks it.

    Parameters
    ----------
    histories : iterable of History
        Of the same kind of points, all of them.
    now : datetime, optional
        By date, runs up to now are expected; up to the last that is there if absent.

    Notes
    -----
    Cautions: ``no-pace``.
    """
    groups: dict[str, list[History]] = {}
    for history in histories:
        groups.setdefault(history.model, []).append(history)
    return tuple(_of_model(model, own, now) for model, own in groups.items())


def _of_model(model: str, histories: list[History], now: dt.datetime | None) -> Missing:
    by = histories[0].by
    runs: list[MissingRun] = []
    cautions: tuple[Caution, ...] = ()
    if by == "date":
        nights = _nights(histories)
        days = [night.timestamp() / 86_400 for night in nights]
        pace = _pace(days)
        end = None if now is None else now.timestamp() / 86_400
        for after, n in _gaps(days, pace, end):
            expected = nights[after] + dt.timedelta(days=pace)
            text = f"{_runs(n)} expected from {expected.date().isoformat()} on"
            runs.append(
                MissingRun(what="date", model=model, expected=expected, n=n, text=text)
            )
    else:
        points = {p.step for h in histories for p in h.points}
        steps = sorted(step for step in points if step is not None)
        pace = _pace(steps)
        gaps = [after - before for before, after in pairwise(steps)]
        for after, n in _gaps(steps, pace, None):
            # Where no shorter gap follows, checkpoints have grown rarer.
            if min(gaps[after + 1 :], default=math.inf) >= gaps[after]:
                continue
            step = round(steps[after] + pace)
            text = f"{_runs(n)} expected from step {step} on"
            runs.append(MissingRun(what="step", model=model, step=step, n=n, text=text))
    if math.isnan(pace):
        text = (
            f"{'nights' if by == 'date' else 'steps'} keep no pace, so that a run that "
            f"is missing between them cannot be told; {FEWEST_GAPS + 1} or more at "
            "about equal distance would"
        )
        cautions = (Caution("no-pace", text),)
    runs += _tasks(model, histories)
    runs += _seeds(model, histories)
    return Missing(model=model, by=by, pace=pace, runs=tuple(runs), cautions=cautions)


def _nights(histories: list[History]) -> list[dt.datetime]:
    """Return when each night's first point came in: tasks of one night are one run."""
    moments = sorted(
        {p.when for h in histories for p in h.points if p.when is not None}
    )
    nights: list[dt.datetime] = []
    for moment, before in zip(moments, [None, *moments], strict=False):
        if before is None or moment - before >= APART:
            nights.append(moment)
    return nights


def _pace(at: Sequence[float]) -> float:
    gaps = [after - before for before, after in pairwise(at)]
    if len(gaps) < FEWEST_GAPS:
        return math.nan
    usual = median(gaps)
    n_usual = sum(abs(gap - usual) <= REGULAR * usual for gap in gaps)
    return usual if n_usual >= len(gaps) / 2 else math.nan


def _gaps(
    at: Sequence[float], pace: float, end: float | None
) -> Iterator[tuple[int, int]]:
    """Return after which run there are some missing, and how many."""
    ends = [*at[1:], *([] if end is None else [end])]
    for k, (before, after) in enumerate(zip(at, ends, strict=False)):
        if after - before > LATE * pace:
            yield k, max(round((after - before) / pace) - 1, 1)


def _tasks(model: str, histories: list[History]) -> Iterator[MissingRun]:
    """Return tasks that some checkpoints lack which others of their model have."""
    steps = list(dict.fromkeys(p.step for h in histories for p in h.points))
    for history in histories:
        there = {point.step for point in history.points}
        if lacking := [step for step in steps if step not in there]:
            name = " ".join(
                filter(None, (history.task, history.formulation, history.template))
            )
            text = f"{name} is missing at {_some(lacking)}"
            yield MissingRun(
                what="task",
                model=model,
                task=history.task,
                step=lacking[0],
                n=len(lacking),
                text=text,
            )


def _seeds(model: str, histories: list[History]) -> Iterator[MissingRun]:
    """Return training seeds that some checkpoints lack which others have."""
    there: dict[int | None, set[int | None]] = {}
    for history in histories:
        for point in history.points:
            there.setdefault(point.step, set()).update(point.train_seeds)
    seeds = sorted({s for own in there.values() for s in own if s is not None})
    for seed in seeds:
        if lacking := [step for step, own in there.items() if seed not in own]:
            text = f"training seed {seed} is missing at {_some(lacking)}"
            yield MissingRun(
                what="seed",
                model=model,
                train_seed=seed,
                step=lacking[0],
                n=len(lacking),
                text=text,
            )


def _some(steps: list[int | None]) -> str:
    named = ["no step" if step is None else f"step {step}" for step in steps]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" * (len(named) > 3))


def _runs(n: int) -> str:
    return "1 run" if n == 1 else f"{n} runs"
