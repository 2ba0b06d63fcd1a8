"""How are estimates drawn? Dots and intervals, one row for each label."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from harness.report import text
from harness.report.figures.style import LIGHT, Style, axis, escape, layout
from harness.stats.estimate import Estimate

ROW_HEIGHT = 34
"""Pixels of a row of dots; the page's script makes it taller on narrow screens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """One kind of mark in a figure with a row for each label."""

    name: str
    estimates: tuple[Estimate | None, ...]
    """One for each label; ``None`` where the row has no such metric."""

    format: Callable[[float], str]
    place: int
    """Which of the styles."""

    is_open: bool = False
    """Whether its marks are hollow; they stand where those of the same style would."""


def dots_figure(
    labels: Sequence[str],
    models: Sequence[tuple[str, str]],
    dots: Sequence[Dots],
    *,
    x_title: str,
    is_log: bool = False,
    x_range: tuple[float, float] | None = None,
) -> go.Figure:
    """Draw estimates as dots and intervals, one row for each label.

    A row of which nothing is defined keeps its place and says why: a missing row
    would read as a missing task.

    Parameters
    ----------
    labels : sequence of str
        One for each row; all different.
    models : sequence of (model, task)
        What the rows belong to, for the page's filters.
    """
    if len(set(labels)) != len(labels):
        raise ValueError("two rows have the same label, and would be drawn as one")
    figure = go.Figure()
    rows = [escape(label) for label in labels]
    for one in dots:
        style = Style(place=one.place)
        places = [
            i for i, e in enumerate(one.estimates) if _is_drawable(e, is_log=is_log)
        ]
        some = [one.estimates[i] for i in places]
        figure.add_scatter(
            name=escape(one.name),
            x=[e.value for e in some if e],
            y=[rows[i] for i in places],
            customdata=[list(models[i]) for i in places],
            mode="markers",
            orientation="h",
            marker={
                "color": style.colour,
                "symbol": f"{style.marker}-open" if one.is_open else style.marker,
                "size": 10,
            },
            offsetgroup=str(one.place),
            error_x={
                "array": [_above(e) for e in some if e],
                "arrayminus": [_below(e, is_log=is_log) for e in some if e],
                "color": style.colour,
                "thickness": 1.5,
                "width": 4,
            },
            text=[
                escape(_dot_text(labels[i], one, e))
                for i, e in zip(places, some, strict=True)
                if e
            ],
            hoverinfo="text",
        )
    annotations = [
        {
            "text": escape(reason),
            "x": 0.01,
            "xref": "paper",
            "xanchor": "left",
            "y": rows[i],
            "showarrow": False,
            "font": {"color": LIGHT["muted"], "size": 12},
            "align": "left",
        }
        for i, reason in _undefined(dots, len(labels), is_log=is_log).items()
    ]
    figure.update_layout(
        **layout(),
        annotations=annotations,
        xaxis={
            "title": {"text": escape(x_title)},
            "type": "log" if is_log else "linear",
            "range": list(x_range) if x_range else None,
            "dtick": "D2" if is_log else None,
            "zeroline": False,
            "side": "bottom",
            **axis(),
            # Not to the sides: an end label and its margin would chase each other.
            "automargin": "height",
        },
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": rows,
            # The first row on top, and all rows even if nothing is drawn in them.
            "range": [len(rows) - 0.5, -0.5],
            **axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        # Marks of one row stand side by side, where they would hide each other.
        scattermode="group",
        scattergap=0.45,
        height=110 + ROW_HEIGHT * len(rows),
    )
    return figure


def _is_drawable(estimate: Estimate | None, *, is_log: bool) -> bool:
    if estimate is None or math.isnan(estimate.value):
        return False
    return estimate.value > 0 or not is_log


def _above(estimate: Estimate) -> float | None:
    high = estimate.interval.high
    return None if math.isnan(high) else high - estimate.value


def _below(estimate: Estimate, *, is_log: bool) -> float | None:
    low = estimate.interval.low
    # A log axis has no place for an end at or below zero; hover and table tell it.
    if math.isnan(low) or (is_log and low <= 0):
        return None
    return estimate.value - low


def _dot_text(label: str, one: Dots, estimate: Estimate) -> str:
    low, high = estimate.interval
    ends = "" if math.isnan(low) else f" [{one.format(low)}, {one.format(high)}]"
    return f"{label}: {one.name} {one.format(estimate.value)}{ends}, n={estimate.n}"


def _undefined(dots: Sequence[Dots], n_rows: int, *, is_log: bool) -> dict[int, str]:
    reasons = {}
    for i in range(n_rows):
        here = [one.estimates[i] for one in dots]
        if any(_is_drawable(e, is_log=is_log) for e in here):
            continue
        first = next((e for e in here if e is not None), None)
        if first is None:
            reasons[i] = "no such score was stored"
        elif math.isnan(first.value):
            reasons[i] = f"not defined: {first.cautions[0].text}"
        else:
            reasons[i] = f"{text.ratio(first.value)}: has no place on this axis"
    return reasons
