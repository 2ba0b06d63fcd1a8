"""How are sources of noise drawn, and what designs find? Stacked bars, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from harness.report.figures.dots import ROW_HEIGHT
from harness.report.figures.style import LIGHT, Style, axis, escape, layout

Places = tuple[float | None, ...]
"""Where points are drawn; ``None`` where one is not defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of source, in those rows that have it."""

    name: str
    place: int | None
    """Which of the styles; ``None`` for what is not estimated, which is hatched."""

    rows: tuple[int, ...]
    shares: tuple[float, ...]
    """Lengths in percent of the variance of the mean, none below 0."""

    parts: tuple[float, ...]
    """Lengths as variances of the mean."""

    tags: tuple[str, ...]
    """What stands on the bars, in percent."""

    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """Which rows have components below 0, and where their marks stand."""

    rows: tuple[int, ...]
    shares: tuple[float, ...]
    parts: tuple[float, ...]
    sentences: tuple[str, ...]


def sources_figure(
    labels: Sequence[str],
    sources: Sequence[Source],
    below: Below,
    reasons: Sequence[tuple[int, str]],
) -> go.Figure:
    """Draw a bar for each label, stacked of its sources, with what is not known last.

    Parameters
    ----------
    labels : sequence of str
        One for each row; all different.
    sources : sequence of Source
        From left to right.
    below : Below
        Marked, as a bar of no length is not seen.
    reasons : sequence of (row, text)
        Rows without any bar, and why.
    """
    figure = go.Figure()
    names = [escape(label) for label in labels]
    for source in sources:
        figure.add_bar(
            name=source.name,
            orientation="h",
            y=[names[row] for row in source.rows],
            customdata=list(source.rows),
            hovertext=[escape(words) for words in source.sentences],
            hoverinfo="text",
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="none",
            insidetextfont={"color": LIGHT["paper"], "size": 11},
            marker=_fill(source.place),
        )
    figure.add_scatter(
        name="below 0",
        y=[names[row] for row in below.rows],
        customdata=list(below.rows),
        hovertext=[escape(words) for words in below.sentences],
        hoverinfo="text",
        mode="markers",
        marker={"symbol": "triangle-left", "color": LIGHT["ink"], "size": 10},
        showlegend=bool(below.rows),
    )
    figure.update_layout(
        **layout(),
        annotations=[
            {
                "text": escape(reason),
                # Behind what is not estimated, which such a row has as well.
                "x": 0.1,
                "xref": "paper",
                "xanchor": "left",
                "y": names[row],
                "showarrow": False,
                "font": {"color": LIGHT["muted"], "size": 12},
            }
            for row, reason in reasons
        ],
        barmode="stack",
        bargap=0.4,
        xaxis={
            "title": {"text": ""},
            "zeroline": False,
            "rangemode": "tozero",
            **axis(),
            # Not to the sides: an end label and its margin would chase each other.
            "automargin": "height",
        },
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
            "range": [len(names) - 0.5, -0.5],
            **axis(),
        },
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        height=110 + ROW_HEIGHT * len(names),
    )
    return figure


def sources_traces(
    sources: Sequence[Source], below: Below, *, is_share: bool
) -> tuple[dict[str, Any], ...]:
    """Return what the traces of `sources_figure` get, as shares or as variances."""
    return (
        *(
            {
                "x": list(source.shares if is_share else source.parts),
                "text": list(source.tags) if is_share else [],
            }
            for source in sources
        ),
        {"x": list(below.shares if is_share else below.parts)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCurve:
    """Smallest differences that designs find, over items, with all else alike."""

    name: str
    level: float | None
    """Levels of the facet that tells curves apart; ``None`` where none does."""

    values: Places


def power_figure(n_curves: int) -> go.Figure:
    """Draw what `power_traces` fills: curves, the design as run, what matters."""
    figure = go.Figure()
    for place in range(n_curves):
        style = Style(place=place)
        figure.add_scatter(
            mode="lines+markers",
            line={
                "color": style.colour,
                "dash": style.dash,
                "width": 1.5 if place else 3,
            },
            marker={"color": style.colour, "symbol": style.marker, "size": 6},
            hoverinfo="text",
        )
    figure.add_scatter(
        name="now",
        mode="markers",
        marker={"color": LIGHT["ink"], "symbol": "circle", "size": 12},
        hoverinfo="text",
        cliponaxis=False,
    )
    figure.add_scatter(
        name="what matters (δ)",
        mode="lines",
        line={"color": LIGHT["ink"], "dash": "dash", "width": 1.2},
        hoverinfo="skip",
    )
    figure.update_layout(
        **layout(),
        xaxis={
            "title": {"text": "items (log scale)"},
            "type": "log",
            "dtick": "D2",
            "zeroline": False,
            **axis(),
        },
        yaxis={
            "title": {"text": "smallest difference found (log scale)"},
            "type": "log",
            "dtick": "D2",
            "zeroline": False,
            **axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=400,
    )
    return figure


def power_traces(
    curves: Sequence[FoundCurve],
    n_curves: int,
    items: Sequence[int],
    now: tuple[float, float | None] | None,
) -> tuple[dict[str, Any], ...]:
    """Return what the traces of `power_figure` get for one score.

    Parameters
    ----------
    curves : sequence of FoundCurve
        The design as run first; at most `n_curves`.
    items : sequence of int
        Where values of curves stand.
    now : (items, value), optional
        The design as run, if it is known.
    """
    drawn: list[dict[str, Any]] = [
        {
            "name": curve.name,
            "level": curve.level,
            "x": list(items),
            "y": list(curve.values),
        }
        for curve in curves
    ]
    drawn += [{"visible": False, "x": [], "y": []}] * (n_curves - len(curves))
    x, y = ([now[0]], [now[1]]) if now else ([], [])
    return (*drawn, {"x": x, "y": y}, {"x": [items[0], items[-1]]})


def _fill(place: int | None) -> dict[str, Any]:
    if place is not None:
        return {"color": Style(place=place).colour, "line": {"width": 0}}
    return {
        "color": LIGHT["paper"],
        "line": {"width": 1, "color": LIGHT["muted"]},
        "pattern": {
            "shape": "/",
            "fgcolor": LIGHT["muted"],
            "bgcolor": LIGHT["paper"],
            "size": 6,
        },
    }
