"""How are comparisons drawn? Differences in rows, flips as bars, pairs as a map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from harness.report import text
from harness.report.figures.style import LIGHT, Style, axis, escape, layout, tint
from harness.stats.compare.results import PairTable
from harness.stats.estimate import Interval

GREY = 4
"""The style that is no model's."""

AVERAGE = "diamond"

STEPS = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How one verdict is drawn."""

    words: str
    place: int
    """Which of the styles."""

    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One difference of a forest.

    Attributes
    ----------
    mark : str
        Which of the forest's marks it has; one that the forest has not is not drawn.
    interval : Interval
        Of this difference alone.
    outer : Interval
        That allows for more: for several tasks, or for checkpoints' noise.
    """

    label: str
    sentence: str
    task: str
    mark: str
    value: float
    interval: Interval
    outer: Interval
    delta: float | None
    is_average: bool = False


def forest_figure(x_title: str, marks: Mapping[str, Mark], outer: str) -> go.Figure:
    """Draw what `forest_traces` fills: a row for each difference.

    Parameters
    ----------
    outer : str
        What the outer interval is called.
    """
    figure = go.Figure()
    figure.add_bar(
        name="±δ",
        orientation="h",
        width=1,
        marker={"color": Style(place=GREY).band, "line": {"width": 0}},
        hoverinfo="skip",
    )
    figure.add_scatter(
        name=escape(outer),
        mode="lines",
        line={"color": LIGHT["muted"], "width": 1},
        hoverinfo="skip",
    )
    for mark in marks.values():
        colour = Style(place=mark.place).colour
        _add_points(figure, mark.words, colour, mark.symbol, 12)
    _add_points(figure, "average of tasks", str(LIGHT["ink"]), AVERAGE, 13)
    figure.update_layout(**_rows_layout(x_title))
    figure.update_xaxes(zerolinewidth=1.5)
    return figure


def _rows_layout(x_title: str) -> dict[str, Any]:
    """Return the layout of rows of names on both sides of 0."""
    return {
        **layout(),
        "xaxis": {
            "title": {"text": escape(x_title)},
            "zeroline": True,
            "zerolinecolor": LIGHT["muted"],
            "side": "bottom",
            **axis(),
            "automargin": "height",
        },
        "yaxis": {
            "type": "category",
            "categoryorder": "array",
            # A numeric axis would draw its zero line through a row, like an interval.
            "zeroline": False,
            **axis(),
        },
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "height": 400,
    }


def is_drawn(row: ForestRow, marks: Mapping[str, Mark]) -> bool:
    """Return whether a row has a place on the axis; others are text."""
    return row.mark in marks and not math.isnan(row.value)


def forest_traces(
    rows: Sequence[ForestRow], marks: Mapping[str, Mark]
) -> tuple[dict[str, Any], ...]:
    """Return what the traces of `forest_figure` get, in their order."""
    drawn = [one for one in rows if is_drawn(one, marks)]
    banded = [one for one in rows if one.delta is not None]
    outer = [one for one in drawn if not math.isnan(one.outer.low)]
    return (
        {
            "x": [2 * (one.delta or 0) for one in banded],
            "base": [-(one.delta or 0) for one in banded],
            "y": [escape(one.label) for one in banded],
        },
        # Ends of each row, and a gap.
        {
            "x": [
                text.place(end) if math.isfinite(end) else None
                for one in outer
                for end in (*one.outer, math.nan)
            ],
            "y": [escape(one.label) for one in outer for _ in range(3)],
        },
        *(
            _points([o for o in drawn if o.mark == name and not o.is_average])
            for name in marks
        ),
        _points([one for one in drawn if one.is_average]),
    )


def forest_range(rows: Sequence[ForestRow], marks: Mapping[str, Mark]) -> list[float]:
    """Return the ends of an axis that holds 0 and all that is drawn."""
    ends = [
        end
        for one in rows
        if is_drawn(one, marks)
        for end in (one.value, *one.interval, *one.outer)
        if math.isfinite(end)
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    edge = 0.05 * (high - low) or 0.01
    return [low - edge, high + edge]


def _add_points(
    figure: go.Figure, name: str, colour: str, symbol: str, size: int
) -> None:
    figure.add_scatter(
        name=escape(name),
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": size},
        error_x={"color": colour, "thickness": 2.5, "width": 0},
        hoverinfo="text",
    )


def _points(rows: Sequence[ForestRow]) -> dict[str, Any]:
    return {
        "x": [text.place(one.value) for one in rows],
        "y": [escape(one.label) for one in rows],
        "text": [escape(one.sentence) for one in rows],
        "customdata": [["", "" if one.is_average else one.task] for one in rows],
        "error_x": {
            "array": [text.place(one.interval.high - one.value) for one in rows],
            "arrayminus": [text.place(one.value - one.interval.low) for one in rows],
        },
    }


def flips_figure() -> go.Figure:
    """Draw what `flips_traces` fills: lost to the left, gained to the right."""
    figure = go.Figure()
    for name, place in (("lost", 1), ("gained", 0)):
        figure.add_bar(
            name=name,
            orientation="h",
            width=0.6,
            marker={"color": Style(place=place).colour, "line": {"width": 0}},
            textposition="outside",
            textfont={"color": LIGHT["ink"], "size": 12},
            cliponaxis=False,
            hoverinfo="text",
        )
    figure.update_layout(**_rows_layout("items"), barmode="relative")
    return figure


def flips_traces(
    labels: Sequence[str],
    counts: Sequence[tuple[int, int]],
    words: tuple[str, str],
    sentences: Sequence[str],
    tasks: Sequence[str],
) -> tuple[dict[str, Any], ...]:
    """Return what the traces of `flips_figure` get: the lost, then the gained."""
    rows = [escape(label) for label in labels]
    return tuple(
        {
            "name": words[side],
            "x": [sign * pair[side] for pair in counts],
            "y": rows,
            "text": [f"{words[side]} {pair[side]:,}" for pair in counts],
            "hovertext": [escape(words) for words in sentences],
            "customdata": [["", task] for task in tasks],
        }
        for side, sign in ((0, -1), (1, 1))
    )


def flips_axis(counts: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return range and ticks of an axis whose two sides both count from 0."""
    most = max([1, *(n for pair in counts for n in pair)])
    scale = 10 ** max(0, math.floor(math.log10(most)) - 1)
    step = next(s * scale for s in STEPS if most / (s * scale) <= 4)
    ticks = range(0, most + step, step)
    return {
        "range": [-1.5 * most, 1.5 * most],
        "tickvals": [*(-tick for tick in ticks[:0:-1]), *ticks],
        "ticktext": [f"{t:,}" for t in (*ticks[:0:-1], *ticks)],
    }


def pairs_figure(colour_title: str) -> go.Figure:
    """Draw what `pairs_traces` fills: row minus column, as a map."""
    worse, better = (tint(Style(place=place).colour) for place in (1, 0))
    figure = go.Figure()
    figure.add_heatmap(
        colorscale=[[0, worse], [0.5, LIGHT["paper"]], [1, better]],
        zmid=0,
        texttemplate="%{text}",
        textfont={"color": LIGHT["ink"]},
        hoverinfo="text",
        hoverongaps=False,
        xgap=1,
        ygap=1,
        colorbar={
            "title": {"text": escape(colour_title), "side": "top"},
            "orientation": "h",
            "y": 1,
            "yanchor": "bottom",
            "thickness": 10,
            "ypad": 4,
            "outlinewidth": 0,
        },
    )
    category = {"type": "category", "categoryorder": "array", "zeroline": False}
    figure.update_layout(
        **layout(),
        xaxis={"title": {"text": ""}, **category, **axis(), "showgrid": False},
        yaxis={
            "title": {"text": ""},
            "autorange": "reversed",
            **category,
            **axis(),
            "showgrid": False,
        },
        height=400,
    )
    return figure


def pairs_traces(
    table: PairTable, names: Sequence[str], words: Sequence[Sequence[str]], level: float
) -> dict[str, Any]:
    """Return what the map of `pairs_figure` gets for one task.

    Parameters
    ----------
    names : sequence of str
        Short names of the choices.
    words : sequence of sequence of str
        What each cell's hover box says; empty on the diagonal.
    level : float
        The confidence level; cells that are not sure at it have a tilde.
    """
    shown = [escape(name) for name in names]
    difference = table.pairs.difference
    n = len(names)
    cells = [
        [i != j and not math.isnan(difference[i, j]) for j in range(n)]
        for i in range(n)
    ]
    most = max(
        (
            abs(float(difference[i, j]))
            for i in range(n)
            for j in range(n)
            if cells[i][j]
        ),
        default=1.0,
    )
    return {
        "x": shown,
        "y": shown,
        "z": [
            [
                text.place(float(difference[i, j])) if cells[i][j] else None
                for j in range(n)
            ]
            for i in range(n)
        ],
        "zmin": -most or -1,
        "zmax": most or 1,
        "text": [
            [
                _pair_words(
                    float(difference[i, j]), float(table.p_adjusted[i, j]), level
                )
                if cells[i][j]
                else ""
                for j in range(n)
            ]
            for i in range(n)
        ],
        "hovertext": [[escape(cell) for cell in row] for row in words],
    }


def _pair_words(difference: float, p_adjusted: float, level: float) -> str:
    sure = p_adjusted < 1 - level
    return text.signed(difference) if sure else f"~ {text.signed(difference)}"
