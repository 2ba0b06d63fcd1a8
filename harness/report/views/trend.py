"""How do scores move over training? A figure and a table for each panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.frames import CONDITION
from harness.report import text
from harness.report.cells import (
    Cell,
    Drawn,
    Line,
    PanelView,
    Table,
    estimate_cell,
    number_cell,
    row_badges,
)
from harness.report.figures.style import Looks, styles
from harness.report.figures.trend import (
    BAD,
    CHANGED,
    Marked,
    curve_groups,
    trend_figure,
)
from harness.report.gather import ReportData, Row
from harness.stats.formulation_table import TaskFormulation
from harness.stats.tables import Asked

KINDS = ("discrete", "continuous")


def panel_views(data: ReportData) -> list[PanelView]:
    """Return the trend figures, panel by panel."""
    look = styles(data.rows)
    marked = _marked(data)
    views: list[PanelView] = []
    for panel in data.panels:
        for group in curve_groups(panel):
            views.append(_panel_view(group, look, f"trend-{len(views)}", data, marked))
    return views


def _marked(data: ReportData) -> Marked:
    """Return at which steps something broke, or a setting changed."""
    courses = {_condition(one.history): one for one in data.courses}
    found = {}
    for row in data.rows:
        course = courses.get(_condition(row.variance))
        if course is None:
            continue
        steps = {
            BAD: {one.first_bad.step for one in course.regressions},
            CHANGED: {p.step for p in course.history.points if p.changes},
        }
        found[id(row)] = {
            mark: frozenset(step for step in some if step is not None)
            for mark, some in steps.items()
            if some
        }
    return found


def _condition(row: Any) -> tuple[Any, ...]:
    return row.model, *(getattr(row, name) for name in CONDITION)


def _panel_view(
    rows: Sequence[Row], look: Looks, name: str, data: ReportData, marked: Marked
) -> PanelView:
    tasks = tuple(dict.fromkeys(row.variance.task for row in rows))
    models = tuple(dict.fromkeys(row.variance.model for row in rows))
    title = " and ".join(text.clean(task) for task in tasks)
    drawn: list[Drawn] = []
    notes: list[str] = []
    for kind in KINDS:
        some = [row for row in rows if row.metric(kind) is not None]
        if not some:
            notes.append("No likelihood was stored, so there is no continuous score.")
            continue
        variances = [row.variance for row in some]
        steps = {p.step for row in some for p in row.trend(kind) if p.step is not None}
        if len(steps) < 2:
            notes.append(
                f"The {kind} score has one step only, so there is no curve; "
                f"{text.FILLS['one-checkpoint']}."
            )
            continue
        drawn.append(
            Drawn(
                name=f"{name}-{kind}",
                kind="trend",
                title=f"{kind.capitalize()} score",
                about=f"{title}: ",
                sentence=text.trend_sentence(variances, kind),
                figure=trend_figure(some, kind, look, marked),
                table=_trend_table(some, kind, title),
            )
        )
    own = {_key(row.variance) for row in rows}
    compared = [one for one in data.comparisons if _key(one.cloze) in own]
    notes += [
        f"{text.clean(choice.model)}: choice and cloze cannot be compared, {reason}."
        for choice, cloze, reason in data.uncompared
        if _key(cloze) in own
    ]
    return PanelView(
        title=title,
        tasks=tasks,
        models=models,
        badges=tuple(dict.fromkeys(b for row in rows for b in row_badges(row))),
        drawn=tuple(drawn),
        notes=tuple(notes),
        formulations=_formulation_table(compared, title) if compared else None,
        findings=text.formulation_sentences(compared),
    )


def _key(row: Asked) -> tuple[Any, ...]:
    return row.model, *(getattr(row, name) for name in CONDITION), row.settings


def _formulation_table(rows: Sequence[TaskFormulation], title: str) -> Table:
    lines = []
    for row in rows:
        found = row.comparison
        pair = found.choice, found.cloze
        lines.append(
            Line(
                cells=(
                    Cell(text=text.clean(row.cloze.model)),
                    Cell(text=row.metric),
                    Cell(text=f"{found.n_items:,}", value=found.n_items),
                    *(estimate_cell(p.mean, text.score, text.interval) for p in pair),
                    estimate_cell(found.difference, text.score, text.interval),
                    estimate_cell(
                        found.difference_over_seeds, text.score, text.interval
                    ),
                    estimate_cell(
                        found.crossing, lambda v: f"{v:.0f}", text.crossing_interval
                    ),
                    *(
                        estimate_cell(p.seed_sd, text.spread, text.spread_interval)
                        for p in pair
                    ),
                    *(
                        estimate_cell(p.snr, text.ratio, text.ratio_interval)
                        for p in pair
                    ),
                    *(
                        estimate_cell(
                            p.monotonicity, text.correlation, text.correlation_interval
                        )
                        for p in pair
                    ),
                    estimate_cell(found.correlation, text.correlation),
                    estimate_cell(
                        row.over_models, text.correlation, text.correlation_interval
                    ),
                ),
                model=row.cloze.model,
            )
        )
    return Table(
        caption=f"{title}: choice against cloze, on the items and checkpoints of both",
        headings=(
            ("Model", False),
            ("Metric", False),
            ("Items", True),
            ("Choice", True),
            ("Cloze", True),
            ("Choice less cloze, over items", True),
            ("The same, over seeds and items", True),
            ("Choice ahead from step", True),
            ("E, choice", True),
            ("E, cloze", True),
            ("SNR, choice", True),
            ("SNR, cloze", True),
            ("Monot., choice", True),
            ("Monot., cloze", True),
            ("r over steps", True),
            ("r over models", True),
        ),
        lines=tuple(lines),
    )


def _trend_table(rows: Sequence[Row], kind: str, title: str) -> Table:
    names = text.labels([row.variance for row in rows])
    lines = []
    for row, name in zip(rows, names, strict=True):
        for point in row.trend(kind):
            seeds = ", ".join(
                f"{text.seed_name(seed)}: {text.score(value)}"
                for seed, value in point.scores
            )
            lines.append(
                Line(
                    cells=(
                        Cell(text=name),
                        Cell(
                            text=text.step_name(point.step),
                            value=point.step,
                        ),
                        number_cell(point.mean, text.score, ""),
                        number_cell(point.sd, text.spread, "1 seed has no SD"),
                        number_cell(
                            point.item_half_width, text.spread, "scores do not vary"
                        ),
                        Cell(text=seeds),
                    ),
                    task=row.variance.task,
                    model=row.variance.model,
                )
            )
    return Table(
        caption=f"{title}: {kind} score at each step",
        headings=(
            ("Curve", False),
            ("Step", True),
            ("Mean", True),
            ("SD over seeds", True),
            ("Items ±", True),
            ("Each seed", False),
        ),
        lines=tuple(lines),
    )
