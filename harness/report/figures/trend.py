"""How is score against step drawn? A curve and a band of seeds for each row."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from harness.report import text
from harness.report.figures.style import (
    LIGHT,
    NAME,
    Looks,
    Style,
    axis,
    escape,
    layout,
    look_of,
)
from harness.report.gather import Panel, Row

MAX_CURVES = 6
"""In one figure; with more, each model has its own."""


BAD, CHANGED = "▼ first bad point", "◇ a setting changed"

MARKS = {BAD: ("triangle-down", 1), CHANGED: ("diamond-open", 4)}
"""Symbol and style of what is marked on a curve."""

Marked = Mapping[int, Mapping[str, frozenset[int]]]
"""By the `id` of a row, the steps of each mark."""


def curve_groups(panel: Panel) -> list[list[Row]]:
    """Return the rows of a panel by figure: all together, or each model its own."""
    if len(panel.rows) <= MAX_CURVES:
        return [list(panel.rows)]
    models = sorted({row.variance.model for row in panel.rows})
    return [[r for r in panel.rows if r.variance.model == model] for model in models]


def trend_figure(
    rows: Sequence[Row], kind: str, look: Looks, marked: Marked
) -> go.Figure:
    """Draw score against step, a curve and a band of seeds for each row.

    Bands are the mean plus and minus the SD over seeds, within the bounds of the
    score. Single seeds are drawn too,
    hidden until the reader asks for them. A checkpoint without a step has no place.
    """
    figure = go.Figure()
    names = text.labels([row.variance for row in rows], limit=NAME)
    if len(names) == 1:
        names = [text.shortened(rows[0].variance.model, NAME)]
    chances = {}
    for row, name in zip(rows, names, strict=True):
        part = row.metric(kind)
        if part is None:
            continue
        points = [point for point in row.trend(kind) if point.step is not None]
        _add_curve(figure, points, escape(name), part.metric, look[look_of(row)], row)
        for mark, steps in marked.get(id(row), {}).items():
            _add_marks(figure, mark, [p for p in points if p.step in steps], row)
        # The chance level of a row is that of its discrete metric.
        chance = row.variance.chance
        if kind == "discrete" and not math.isnan(chance):
            chances[text.score(chance)] = chance
    for name, chance in sorted(chances.items()):
        _add_chance(figure, chance, name)
    metrics = dict.fromkeys(p.metric for p in (r.metric(kind) for r in rows) if p)
    figure.update_layout(
        **layout(),
        xaxis={"title": {"text": "training step"}, "zeroline": False, **axis()},
        yaxis={
            "title": {"text": escape(" / ".join(metrics))},
            "zeroline": False,
            **axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=340,
    )
    return figure


def _add_curve(
    figure: go.Figure,
    points: Sequence[Any],
    name: str,
    metric: str,
    style: Style,
    row: Row,
) -> None:
    model = row.variance.model
    steps = [point.step for point in points]
    banded = [point for point in points if not math.isnan(point.sd)]
    group = {"legendgroup": name, "meta": {"model": model, "part": "curve"}}
    if len(banded) > 1:
        figure.add_scatter(
            x=[p.step for p in banded] + [p.step for p in reversed(banded)],
            y=[p.high for p in banded] + [p.low for p in reversed(banded)],
            fill="toself",
            fillcolor=style.band,
            line={"width": 0, "color": style.band},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            **group,
        )
    for seed in sorted({s for p in points for s, _ in p.scores}, key=_seed_order):
        own = [(p.step, value) for p in points for s, value in p.scores if s == seed]
        figure.add_scatter(
            x=[step for step, _ in own],
            y=[value for _, value in own],
            mode="lines",
            line={"color": style.colour, "width": 1},
            opacity=0.55,
            hoverinfo="skip",
            showlegend=False,
            visible=False,
            legendgroup=name,
            meta={"model": model, "part": "seed"},
        )
    figure.add_scatter(
        name=name,
        x=steps,
        y=[point.mean for point in points],
        mode="lines+markers",
        line={"color": style.colour, "dash": style.dash, "width": 2},
        marker={"color": style.colour, "symbol": style.marker, "size": 8},
        text=[
            escape(text.point_sentence(html.unescape(name), point, metric))
            for point in points
        ],
        hoverinfo="text",
        customdata=[[model, row.variance.task] for _ in points],
        **group,
    )


def _add_marks(figure: go.Figure, mark: str, points: Sequence[Any], row: Row) -> None:
    symbol, place = MARKS[mark]
    figure.add_scatter(
        name=mark,
        x=[point.step for point in points],
        y=[point.mean for point in points],
        mode="markers",
        marker={
            "color": Style(place=place).colour,
            "symbol": symbol,
            "size": 15,
            "line": {"width": 1.5},
        },
        hoverinfo="skip",
        meta={"model": row.variance.model, "part": "mark"},
        legendgroup=mark,
        showlegend=not any(trace.name == mark for trace in figure.data),
    )


def _add_chance(figure: go.Figure, chance: float, name: str) -> None:
    figure.add_shape(
        type="line",
        xref="paper",
        x0=0,
        x1=1,
        y0=chance,
        y1=chance,
        line={"color": LIGHT["muted"], "width": 1.5, "dash": "dot"},
        name=f"chance {name}",
        showlegend=True,
    )


def _seed_order(seed: int | None) -> tuple[bool, int]:
    return seed is not None, seed or 0
