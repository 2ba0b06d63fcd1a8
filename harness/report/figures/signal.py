"""How are signal and noise drawn? A point for each task, ratios as diagonals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from harness.report.figures.style import LIGHT, Style, axis, escape, layout

SMALLEST, LARGEST = 8, 20
"""Pixels across of a point; its area goes with the items."""

MARGIN = 0.15
"""Decades between the outermost points and the edge."""

EDGE = 1e-6

NARROW_SPAN = 1.2
"""Decades of ratios up to which diagonals stand at 1, 2 and 5, not at 1 alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One task by one metric."""

    label: str
    sentence: str
    """What its hover box says."""

    task: str
    kind: str
    """``discrete`` or ``continuous``: which of the styles."""

    x: float
    y: float
    n_items: int


def signal_figure(
    marks: Sequence[Mark], arrows: Sequence[tuple[Mark, Mark]]
) -> go.Figure:
    """Draw signal against noise, both on log axes, with diagonals of equal ratio.

    Parameters
    ----------
    marks : sequence of Mark
        All above 0 on both axes, at least one.
    arrows : sequence of (Mark, Mark)
        From a task's discrete metric to its continuous one.
    """
    figure = go.Figure()
    x_range, y_range = (_range([getattr(m, name) for m in marks]) for name in "xy")
    notes = []
    for ratio, start, end in _diagonals(x_range, y_range):
        figure.add_scatter(
            x=[10 ** start[0], 10 ** end[0]],
            y=[10 ** start[1], 10 ** end[1]],
            mode="lines",
            line={"color": LIGHT["muted"], "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
        notes.append(
            {
                "text": f"SNR {ratio:g}",
                "x": end[0],
                # At the very edge plotly would take it to be outside.
                "y": end[1] - EDGE,
                "xanchor": "right",
                "yanchor": "top",
                "showarrow": False,
                "font": {"color": LIGHT["muted"], "size": 11},
            }
        )
    for one, other in arrows:
        figure.add_scatter(
            x=[one.x, other.x],
            y=[one.y, other.y],
            customdata=[["", one.task], ["", one.task]],
            mode="lines+markers",
            line={"color": LIGHT["muted"], "width": 1},
            marker={
                "symbol": ["circle", "arrow"],
                "size": [0, 10],
                "angleref": "previous",
                "standoff": 6,
                "color": LIGHT["muted"],
            },
            hoverinfo="skip",
            showlegend=False,
        )
    _add_marks(figure, marks, [end for _, end in arrows])
    figure.update_layout(
        **layout(),
        annotations=notes,
        xaxis={
            "title": {"text": "noise (relative SD)"},
            "type": "log",
            "dtick": "D2",
            "range": list(x_range),
            **axis(),
        },
        yaxis={
            "title": {"text": "signal (relative spread)"},
            "type": "log",
            "dtick": "D2",
            "range": list(y_range),
            **axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=480,
    )
    return figure


def decision_figure(marks: Sequence[Mark]) -> go.Figure:
    """Draw decision accuracy against the ratio of signal and noise."""
    figure = go.Figure()
    _add_marks(figure, marks, [])
    figure.update_layout(
        **layout(),
        xaxis={
            "title": {"text": "signal to noise (log scale)"},
            "type": "log",
            "dtick": "D2",
            "range": list(_range([mark.x for mark in marks])),
            **axis(),
        },
        yaxis={
            "title": {"text": "decision accuracy"},
            "range": [-0.05, 1.12],
            "zeroline": False,
            **axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=340,
    )
    return figure


def _add_marks(figure: go.Figure, marks: Sequence[Mark], ends: Sequence[Mark]) -> None:
    most = max(mark.n_items for mark in marks)
    for place, kind in enumerate(("discrete", "continuous")):
        own = [mark for mark in marks if mark.kind == kind]
        style = Style(place=place)
        if not own:
            continue
        figure.add_scatter(
            name=kind,
            x=[mark.x for mark in own],
            y=[mark.y for mark in own],
            mode="markers+text",
            marker={
                "color": style.colour,
                "symbol": style.marker,
                "size": [
                    SMALLEST + (LARGEST - SMALLEST) * math.sqrt(mark.n_items / most)
                    for mark in own
                ],
                "opacity": 0.85,
                "line": {"width": 0},
            },
            # A label at both ends of an arrow would only hide the points.
            text=["" if mark in ends else escape(mark.label) for mark in own],
            textposition=[_beside(mark, marks) for mark in own],
            textfont={"size": 11, "color": LIGHT["ink"]},
            cliponaxis=False,
            hovertext=[escape(mark.sentence) for mark in own],
            hoverinfo="text",
            customdata=[["", mark.task] for mark in own],
        )


def _beside(mark: Mark, marks: Sequence[Mark]) -> str:
    """Return where a label stands: to the inner side, where there is room."""
    low, high = _range([other.x for other in marks])
    place = (math.log10(mark.x) - low) / (high - low)
    return f"top {'right' if place < 0.25 else 'left' if place > 0.6 else 'center'}"


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a log axis, in decades."""
    low, high = math.log10(min(values)), math.log10(max(values))
    # Points all alike still need an axis of some length.
    edge = max(MARGIN, (1 - (high - low)) / 2 if high - low < 1 - 2 * MARGIN else 0)
    return low - edge, high + edge


def _diagonals(
    x: tuple[float, float], y: tuple[float, float]
) -> Iterable[tuple[float, tuple[float, float], tuple[float, float]]]:
    """Return round ratios, and where each enters and leaves the figure, in decades."""
    low, high = y[0] - x[1], y[1] - x[0]
    steps = (1, 2, 5) if high - low <= 2 * NARROW_SPAN else (1,)
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for step in steps:
            shift = decade + math.log10(step)
            start, end = max(x[0], y[0] - shift), min(x[1], y[1] - shift)
            if end - start > MARGIN:
                ratio = step * 10.0**decade
                yield ratio, (start, start + shift), (end, end + shift)
