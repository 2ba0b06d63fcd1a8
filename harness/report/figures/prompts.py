"""How are templates drawn? A map over items, and curves over prompts and answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from harness.report import text
from harness.report.figures.style import LIGHT, Style, axis, escape, layout
from harness.stats.estimate import Estimate, or_none

ROW_HEIGHT = 26
"""Pixels of a template."""

MAP, MEANS = (0, 0.68), (0.72, 1)
"""Which parts of the width the map and the means beside it have."""

UPPER, LOWER = (0.42, 1), (0, 0.34)
"""Which parts of the height variances and their ratio have."""


def map_figure(
    names: Sequence[str],
    scores: Sequence[Estimate],
    sentences: Sequence[str],
    *,
    colours: tuple[float, float],
    metric: str,
) -> go.Figure:
    """Draw what `map_traces` fills: a row for each template, its mean beside it.

    Parameters
    ----------
    names : sequence of str
        The templates from top to bottom; all different.
    colours : (float, float)
        Scores at the ends of the scale of colours.
    """
    rows = [escape(name) for name in names]
    style = Style(place=0)
    figure = go.Figure()
    figure.add_heatmap(
        y=rows,
        colorscale="Cividis",
        zmin=colours[0],
        zmax=colours[1],
        colorbar={
            "title": {"text": escape(f"mean {metric}"), "side": "top"},
            "orientation": "h",
            "x": sum(MAP) / 2,
            "len": MAP[1],
            "y": 1,
            "yanchor": "bottom",
            "thickness": 10,
            "ypad": 4,
            "outlinewidth": 0,
        },
        hovertemplate="%{y}, %{x}: %{z}<extra></extra>",
    )
    figure.add_scatter(
        x=[e.value for e in scores],
        y=rows,
        xaxis="x2",
        yaxis="y2",
        mode="markers",
        marker={"color": style.colour, "symbol": style.marker, "size": 9},
        error_x={
            "array": [or_none(e.interval.high - e.value) for e in scores],
            "arrayminus": [or_none(e.value - e.interval.low) for e in scores],
            "color": style.colour,
            "thickness": 1.5,
            "width": 4,
        },
        text=[escape(words) for words in sentences],
        hoverinfo="text",
        showlegend=False,
    )
    categories = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": rows,
        "range": [len(rows) - 0.5, -0.5],
        **axis(),
    }
    figure.update_layout(
        **layout(),
        xaxis={
            "domain": list(MAP),
            "type": "category",
            "showticklabels": False,
            "ticks": "",
            **axis(),
            "showgrid": False,
        },
        xaxis2={
            "domain": list(MEANS),
            "anchor": "y2",
            "title": {"text": "mean"},
            "zeroline": False,
            "nticks": 5,
            **axis(),
        },
        yaxis={"title": {"text": ""}, **categories, "showgrid": False},
        yaxis2={"anchor": "x2", **categories, "showticklabels": False},
        height=150 + ROW_HEIGHT * len(rows),
    )
    return figure


def map_traces(
    columns: Sequence[str], means: Sequence[Sequence[float | None]]
) -> tuple[dict[str, Any], ...]:
    """Return what the traces of `map_figure` get for one order of the items."""
    names = [escape(name) for name in columns]
    return {"x": names, "z": [list(row) for row in means]}, {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One quantity over numbers of prompts or answers."""

    name: str
    place: int
    """Which of the styles."""

    estimates: tuple[Estimate, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An axis that figures share, so that they can be held against each other."""

    is_log: bool
    range: tuple[float, float] | None
    """In decades where it is a log axis; ``None`` where nothing is known."""


def side(series: Sequence[Series], *lines: float) -> Side:
    """Return an axis for all of them and their ends: log, if it has places for all."""
    values = [
        value
        for one in series
        for e in one.estimates
        for value in (e.value, *e.interval)
    ]
    known = [value for value in [*values, *lines] if not math.isnan(value)]
    if not known:
        return Side(is_log=False, range=None)
    least, most = min(known), max(known)
    is_log = least > 0
    if is_log:
        least, most = math.log10(least), math.log10(most)
    more = 0.05 * (most - least) or 1
    return Side(is_log=is_log, range=(least - more, most + more))


def curve_figure(
    numbers: Sequence[float],
    variances: Sequence[Series],
    ratio: Series,
    *,
    x_title: str,
    floor: float,
    sides: tuple[Side, Side],
) -> go.Figure:
    """Draw two variances with their floor above, and their ratio below.

    Parameters
    ----------
    numbers : sequence of float
        User prompts or responses, one for each estimate.
    floor : float
        What is left of the variance among system prompts over endless user prompts.
    sides : (Side, Side)
        Axes of variances and of their ratio.
    """
    figure = go.Figure()
    for one in variances:
        _add_series(figure, numbers, one, "y")
    if not math.isnan(floor):
        figure.add_scatter(
            name="floor: what all items have in common",
            x=[min(numbers), max(numbers)],
            y=[floor, floor],
            mode="lines",
            line={"color": LIGHT["muted"], "dash": "dot", "width": 1.5},
            hoverinfo="skip",
        )
    _add_series(figure, numbers, ratio, "y2")
    axes: list[dict[str, Any]] = [
        {
            "title": {"text": f"{what}{' (log)' if one.is_log else ''}"},
            "type": "log" if one.is_log else "linear",
            "dtick": "D2" if one.is_log else None,
            "range": list(one.range) if one.range else None,
            "nticks": 6,
            "exponentformat": "none",
            "zeroline": not one.is_log,
            "zerolinecolor": LIGHT["muted"],
            **axis(),
        }
        for what, one in zip(("variance", "SNR"), sides, strict=True)
    ]
    figure.update_layout(
        **layout(),
        xaxis={
            "title": {"text": escape(f"{x_title} (log)")},
            "type": "log",
            "tickvals": list(numbers),
            "ticktext": [f"{number:,.4g}" for number in numbers],
            "anchor": "y2",
            "zeroline": False,
            **axis(),
        },
        yaxis={"domain": list(UPPER), **axes[0]},
        yaxis2={"domain": list(LOWER), **axes[1]},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=480,
    )
    return figure


def _add_series(
    figure: go.Figure, numbers: Sequence[float], one: Series, panel: str
) -> None:
    style = Style(place=one.place)
    ends = [
        (number, *e.interval)
        for number, e in zip(numbers, one.estimates, strict=True)
        if not math.isnan(e.interval.low)
    ]
    figure.add_scatter(
        x=[end[0] for end in [*ends, *reversed(ends)]],
        y=[
            *(text.place(high) for _, _, high in ends),
            *(text.place(low) for _, low, _ in reversed(ends)),
        ],
        yaxis=panel,
        fill="toself",
        fillcolor=style.band,
        line={"width": 0, "color": style.band},
        mode="lines",
        hoverinfo="skip",
        legendgroup=one.name,
        showlegend=False,
    )
    figure.add_scatter(
        name=escape(one.name),
        x=list(numbers),
        y=[text.place(e.value) for e in one.estimates],
        yaxis=panel,
        mode="lines+markers",
        line={"color": style.colour, "dash": style.dash, "width": 2},
        marker={"color": style.colour, "symbol": style.marker, "size": 8},
        text=[escape(words) for words in one.sentences],
        hoverinfo="text",
        legendgroup=one.name,
    )
