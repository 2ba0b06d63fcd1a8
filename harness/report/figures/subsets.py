"""How are subsets of items drawn? Precision against size, estimates against scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from harness.report.figures.style import LIGHT, Style, axis, escape, layout

RANDOM = Style(place=4)
"""Grey: what all others are held against."""

OTHERS = (0, 1, 2, 3, 5, 6, 7, 8)
"""Styles of the other ways to choose."""

UPPER, LOWER = (0.4, 1), (0, 0.28)
"""Which parts of the height the two panels of fidelity have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to choose and to read subsets, by one measure, over sizes."""

    name: str
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    sentences: tuple[str, ...]
    picks: tuple[int, ...]
    """Number of the choice of fidelity that each point picks."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    """Where most draws lie; drawn of ``random`` alone."""


def frontier_figure(
    names: Sequence[str], sizes: Sequence[int], n_items: int, *, is_banded: bool
) -> go.Figure:
    """Draw what `frontier_traces` fills: a line for each way, ``random`` first.

    Parameters
    ----------
    names : sequence of str
        The ways, ``random`` first.
    sizes : sequence of int
        Items in a subset.
    n_items : int
        Items in the full set.
    is_banded : bool
        Whether there is a band of draws and points are joined; not where few groups
        are held out one by one.
    """
    figure = go.Figure()
    figure.add_scatter(
        fill="toself",
        fillcolor=RANDOM.band,
        line={"width": 0, "color": RANDOM.band},
        mode="lines",
        hoverinfo="skip",
        name="random, most draws",
        showlegend=is_banded,
    )
    for place, name in enumerate(names):
        style = RANDOM if place == 0 else Style(place=OTHERS[(place - 1) % len(OTHERS)])
        figure.add_scatter(
            name=escape(name),
            mode="lines+markers" if is_banded else "markers",
            line={"color": style.colour, "dash": style.dash, "width": 2},
            marker={"color": style.colour, "symbol": style.marker, "size": 9},
            hoverinfo="text",
        )
    figure.add_scatter(
        name="all items",
        mode="lines",
        line={"color": LIGHT["ink"], "dash": "dot", "width": 1.5},
        hoverinfo="skip",
    )
    figure.update_layout(
        **layout(),
        xaxis={
            "title": {"text": f"items in the subset, of {n_items:,} (log scale)"},
            "type": "log",
            "tickvals": list(sizes),
            "ticktext": [f"{size:,}" for size in sizes],
            "zeroline": False,
            **axis(),
        },
        yaxis={"title": {"text": ""}, "zeroline": False, **axis()},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=380,
    )
    return figure


def frontier_traces(
    ways: Sequence[Way], reference: float | None, *, is_banded: bool
) -> tuple[dict[str, Any], ...]:
    """Return what the traces of `frontier_figure` get for one measure."""
    sizes = [size for way in ways for size in way.sizes]
    chance = ways[0]
    band: dict[str, Any] = {"x": [], "y": []}
    ends = list(zip(chance.sizes, chance.low, chance.high, strict=True))
    if is_banded and not any(math.isnan(low) for _, low, _ in ends):
        band["x"] = [size for size, _, _ in [*ends, *reversed(ends)]]
        band["y"] = [*(e[2] for e in ends), *(e[1] for e in reversed(ends))]
    lines = [
        {
            "x": list(way.sizes),
            "y": list(way.values),
            "text": [escape(sentence) for sentence in way.sentences],
            "customdata": list(way.picks),
        }
        for way in ways
    ]
    is_drawn = reference is not None and bool(sizes)
    span = [min(sizes), max(sizes)] if is_drawn else []
    return band, *lines, {"x": span, "y": [reference] * len(span)}


Places = tuple[float | None, ...]
"""Where points are drawn; ``None`` where one is not defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Estimates of checkpoints by one subset, beside their full scores."""

    held_out: Places
    above: Places
    below: Places
    """How far the intervals of those held out reach."""

    held_out_words: tuple[str, ...]
    learnt: Places
    """Estimates by a subset that was chosen with them."""

    learnt_words: tuple[str, ...]
    held_out_differences: Places
    learnt_differences: Places
    limits: Places
    """Mean of the differences of those held out, and the limits of agreement."""


def fidelity_figure(full: Sequence[float | None]) -> go.Figure:
    """Draw what `fidelity_traces` fills: estimates above, differences below."""
    figure = go.Figure()
    known = [value for value in full if value is not None]
    ends = [min(known), max(known)]
    held, learnt = Style(place=0), Style(place=1)
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"color": LIGHT["muted"], "width": 1, "dash": "dot"},
        name="equal",
        hoverinfo="skip",
    )
    for panel in ("y", "y2"):
        for name, style, symbol in (
            ("held out", held, "circle"),
            ("learnt from", learnt, "square-open"),
        ):
            figure.add_scatter(
                name=name,
                x=list(full),
                yaxis=panel,
                mode="markers",
                marker={
                    "color": style.colour,
                    "symbol": symbol,
                    "size": 7 if symbol == "circle" else 6,
                    "opacity": 0.8,
                },
                hoverinfo="text",
                showlegend=panel == "y",
                legendgroup=name,
                meta={"after": f", {name}"},
            )
    for dash in ("solid", "dash", "dash"):
        figure.add_scatter(
            x=ends,
            yaxis="y2",
            mode="lines",
            line={"color": held.colour, "width": 1.2, "dash": dash},
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_layout(
        **layout(),
        xaxis={
            "title": {"text": "score over all items"},
            "zeroline": False,
            "anchor": "y2",
            **axis(),
        },
        yaxis={"title": {"text": ""}, "zeroline": False, "domain": UPPER, **axis()},
        yaxis2={
            "title": {"text": "difference"},
            "zeroline": True,
            "zerolinecolor": LIGHT["muted"],
            "domain": LOWER,
            **axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=520,
    )
    return figure


def fidelity_traces(points: Points) -> tuple[dict[str, Any], ...]:
    """Return what the traces of `fidelity_figure` get for one subset."""
    held_words, learnt_words = list(points.held_out_words), list(points.learnt_words)
    return (
        {},
        {
            "y": list(points.held_out),
            "text": held_words,
            "error_y": {
                "array": list(points.above),
                "arrayminus": list(points.below),
                "color": Style(place=0).colour,
                "thickness": 0.8,
                "width": 0,
            },
        },
        {"y": list(points.learnt), "text": learnt_words},
        # The words are those of the panel above, which the page's script takes.
        {"y": list(points.held_out_differences), "like": 1},
        {"y": list(points.learnt_differences), "like": 2},
        *({"y": [value, value]} for value in points.limits),
    )
