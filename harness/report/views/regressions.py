"""What broke, since when, and is it over? Each task's course, with a small curve."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import DesignError
from harness.report import text
from harness.report.cells import (
    Cell,
    Line,
    Spark,
    Table,
    estimate_cell,
    number_cell,
)
from harness.report.section import Section
from harness.report.sheets.history import STATES, regression_sentence
from harness.stats.estimate import Caution
from harness.stats.history.missing import Missing
from harness.stats.history.points import History
from harness.stats.history.regressions import Regression
from harness.stats.history.table import TaskHistory

WIDTH, HEIGHT, EDGE = 150, 34, 4
"""Pixels of a small curve, and what is left free around it."""

MAX_POINTS = 1000
"""Rows of the table of points; with more, of tasks that are on course none are."""

STATE_ORDER = tuple(STATES)

TONES = {"new": "worse", "known": "worse", "improved": "better"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionsView:
    """The section on what broke."""

    sentences: tuple[str, ...]
    table: Table
    points: Table
    left_out: str
    """Which points are not in their table; empty where all are."""

    commands: tuple[str, ...]
    """What acknowledges each that is active."""

    changes: tuple[str, ...]
    missing: tuple[str, ...]
    refused: tuple[str, ...]
    cautions: tuple[tuple[str, str, tuple[str, ...]], ...]
    methods: tuple[str, ...]


def regressions_section(
    rows: Sequence[TaskHistory],
    refused: Sequence[tuple[History, DesignError]] = (),
    missing: Sequence[Missing] = (),
) -> Section:
    """Return the section; where there is no history, it says what makes one."""
    return Section(
        name="regressions",
        title="Regressions",
        view={"view": _view(rows, refused, missing) if rows else None},
    )


def states(rows: Sequence[TaskHistory]) -> tuple[str, ...]:
    """Return the states that rows have, the worst first."""
    there = {state for row in rows for state in _states(row)}
    return tuple(state for state in STATE_ORDER if state in there)


def _states(row: TaskHistory) -> list[str]:
    return [one.state for one in row.regressions] or [row.state]


def _view(
    rows: Sequence[TaskHistory],
    refused: Sequence[tuple[History, DesignError]],
    missing: Sequence[Missing],
) -> RegressionsView:
    names = dict(
        zip(map(id, rows), text.labels([row.history for row in rows]), strict=True)
    )
    broken = sorted(
        (one for row in rows for one in row.regressions),
        key=lambda one: STATE_ORDER.index(one.state),
    )
    lines = [
        (STATE_ORDER.index(state), line) for row in rows for state, line in _lines(row)
    ]
    shown = list(rows)
    if sum(len(row.history.points) for row in rows) > MAX_POINTS:
        shown = [row for row in rows if row.regressions]
    return RegressionsView(
        sentences=tuple(
            regression_sentence(one) for one in broken[: text.MAX_SENTENCES]
        )
        or (_quiet(rows),),
        table=_table([line for _, line in sorted(lines, key=lambda pair: pair[0])]),
        points=_points(shown),
        left_out=""
        if len(shown) == len(rows)
        else "Points of tasks without a regression are left out; "
        "`evalvar history STORE --format csv` has all.",
        commands=tuple(
            dict.fromkeys(
                f"evalvar ack STORE {shlex.quote(text.clean(one.task))} "
                f"--model {shlex.quote(text.clean(one.model))} "
                '--until YYYY-MM-DD --reason "…"'
                for one in broken
                if one.state in ("new", "known")
            )
        ),
        changes=_changes(rows, names),
        missing=tuple(text.clean(run.text) for one in missing for run in one.runs),
        refused=tuple(
            f"{text.condition_name(history)}, {text.clean(history.model)}: "
            f"{text.clean(str(error))}."
            for history, error in refused
        ),
        cautions=text.alike(
            (names[id(row)], caution) for row in rows for caution in row.cautions
        ),
        methods=tuple(
            dict.fromkeys(
                method
                for row in rows
                for method in (
                    f"Steps: {row.change.method}.",
                    f"Next point: {row.expected.method}.",
                )
            )
        ),
    )


def _quiet(rows: Sequence[TaskHistory]) -> str:
    few = sum(row.state == "too few points" for row in rows)
    if few == len(rows):
        return (
            "No course has enough points to tell a step from noise; "
            f"{text.FILLS['one-checkpoint']}."
        )
    told = f"Nothing broke in {text.count(len(rows) - few, 'course')}"
    return f"{told}; {few:,} more too short to tell." if few else f"{told}."


def _lines(row: TaskHistory) -> list[tuple[str, Line]]:
    return [
        (state, _line(row, state, one))
        for state, one in zip(_states(row), row.regressions or (None,), strict=True)
    ]


def _line(row: TaskHistory, state: str, one: Regression | None) -> Line:
    history, floor = row.history, row.noise.floor
    last = history.points[-1]
    none = Cell(text=text.UNDEFINED, reason="nothing broke")
    return Line(
        cells=(
            Cell(
                text=text.condition_name(history),
                detail=" · ".join(filter(None, [history.metric, history.formulation])),
            ),
            Cell(text=text.clean(history.model)),
            Cell(
                text=STATES[state],
                tone=TONES.get(state, ""),
                badges=()
                if one is None or one.is_confirmed or state == "recovered"
                else ("one point so far",),
            ),
            Cell(text="", spark=_spark(row, one)),
            none
            if one is None
            else Cell(text=one.first_bad.label, detail=_between(one)),
            none
            if one is None
            else estimate_cell(
                one.difference, text.signed, lambda e: text.signed_interval(e.interval)
            ),
            none
            if one is None
            else Cell(
                text=text.score(one.best.score),
                value=one.best.score,
                detail=one.best.label,
            ),
            Cell(text=text.score(last.score), value=last.score, detail=last.label),
            none
            if one is None
            else Cell(
                text=text.count(one.age, "point"), value=one.age, detail=_days(one)
            ),
            number_cell(floor.value, text.spread, _first(floor.cautions))
            if math.isnan(floor.value)
            else Cell(
                text=text.spread(floor.value),
                value=floor.value,
                detail=f"from {row.noise.used}",
            ),
            Cell(
                text=text.between(*row.expected.interval, text.score) or text.UNDEFINED,
                reason=""
                if not math.isnan(row.expected.interval.low)
                else _first(row.expected.cautions),
            ),
        ),
        task=history.task,
        model=history.model,
        state=state,
    )


def _first(cautions: Sequence[Caution]) -> str:
    return cautions[0].text if cautions else "too few points"


def _between(one: Regression) -> str:
    first, latest = one.between
    if first.place == latest.place:
        return ""
    return f"between {first.label} and {latest.label}"


def _days(one: Regression) -> str:
    return "" if math.isnan(one.days) or one.days < 1 else f"{one.days:.0f} days"


def _table(lines: Sequence[Line]) -> Table:
    return Table(
        caption="Courses of all tasks, what broke first",
        headings=(
            ("Task", False),
            ("Model", False),
            ("State", False),
            ("Course", False),
            ("First bad", False),
            ("Loss", True),
            ("Best", True),
            ("Current", True),
            ("Age", True),
            ("Noise SD", True),
            ("Next point", True),
        ),
        lines=tuple(lines),
    )


def _spark(row: TaskHistory, one: Regression | None) -> Spark:
    """Return where points and levels stand in a small curve."""
    history = row.history
    scores, levels = history.means, row.change.levels
    known = scores[~np.isnan(scores)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    span = high - low or 1.0
    n = max(len(scores) - 1, 1)

    def place(k: int, value: float) -> tuple[float, float]:
        x = EDGE + (WIDTH - 2 * EDGE) * k / n
        y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * min(max((value - low) / span, 0), 1)
        return round(x, 1), round(y, 1)

    starts = row.change.starts
    ends = (*starts[1:], len(levels))
    parts = [
        [place(k, levels[k]) for k in range(start, end) if not np.isnan(levels[k])]
        for start, end in zip(starts, ends, strict=True)
    ]
    first, last = history.points[0], history.points[-1]
    words = (
        f"{text.score(first.score)} at {first.label} to {text.score(last.score)} at "
        f"{last.label}, {text.count(len(scores), 'point')}"
    )
    if one is not None:
        words += f", first bad {one.first_bad.label}"
    return Spark(
        width=WIDTH,
        height=HEIGHT,
        line=tuple(place(k, s) for k, s in enumerate(scores) if not np.isnan(s)),
        levels=tuple(tuple(part) for part in parts if len(parts) > 1 and part),
        bad=None
        if one is None
        else place(one.first_bad.place, float(scores[one.first_bad.place])),
        changed=tuple(
            place(p.place, float(scores[p.place])) for p in history.points if p.changes
        ),
        words=words,
    )


def _points(rows: Sequence[TaskHistory]) -> Table:
    return Table(
        caption="Each point of each course",
        headings=(
            ("Task", False),
            ("Model", False),
            ("Point", True),
            ("When", False),
            ("Score", True),
            ("Level", True),
            ("Items", True),
            ("What changed", False),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=text.condition_name(row.history)),
                    Cell(text=text.clean(row.history.model)),
                    Cell(text=point.label, value=point.place),
                    Cell(
                        text=point.when.strftime("%Y-%m-%d %H:%M")
                        if point.when
                        else text.UNDEFINED
                    ),
                    number_cell(point.score, text.score, "no score"),
                    number_cell(
                        float(row.change.levels[point.place]),
                        text.score,
                        "belongs to no level",
                    ),
                    Cell(text=f"{point.n_items:,}", value=point.n_items),
                    Cell(text=text.clean("; ".join(map(str, point.changes)))),
                ),
                task=row.history.task,
                model=row.history.model,
            )
            for row in rows
            for point in row.history.points
        ),
    )


def _changes(rows: Sequence[TaskHistory], names: dict[int, str]) -> tuple[str, ...]:
    found: dict[str, list[str]] = {}
    for row in rows:
        for point in row.history.points:
            if point.changes:
                what = "; ".join(map(str, point.changes))
                key = f"{row.history.model}, {point.label}: {what}"
                found.setdefault(text.clean(key), []).append(names[id(row)])
    return tuple(f"{key} ({', '.join(some)})" for key, some in found.items())
