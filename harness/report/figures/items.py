"""How are items drawn? Against each other, on the scale of abilities, by curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from harness.report.figures.style import DASHES, LIGHT, Style, axis, escape, layout
from harness.stats.irt.curves import ItemCurve
from harness.stats.irt.information import InformationCurve

Floats = npt.NDArray[np.float64]

MAX_POINTS = 2_000
"""Items that are drawn as points; more are drawn as a density until filtered."""

COLUMNS = 4
"""Of the small multiples, on a wide screen."""

MAX_CURVES = 12

MAX_ERROR = 5
"""How many times the least standard error its axis holds."""

POINTS = 41
"""Of a fitted curve and its band, from one edge of the axis to the other."""

GAP = 0.05
"""Between small multiples, as a share of the figure's width."""

ROW_HEIGHT = 190
"""Pixels of a row of small multiples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Items that are marked alike."""

    name: str
    place: int
    """Which of the styles."""

    items: tuple[int, ...]
    """Places among the items of the task, in the order the arrow keys take."""


def explorer_figure(
    marks: Sequence[Marks], x: Floats, y: Floats, *, x_title: str, y_title: str
) -> go.Figure:
    """Draw every item as a point, marked by what is odd about it.

    The page's script writes the hover texts and swaps the axes. Of more than
    `MAX_POINTS` items it shows the density, until the reader has chosen some.
    """
    figure = go.Figure()
    for one in marks:
        style = Style(place=one.place)
        at = np.array(one.items, dtype=np.int32)
        figure.add_scatter(
            name=escape(one.name),
            x=x[at].astype(np.float32),
            y=y[at].astype(np.float32),
            customdata=at,
            mode="markers",
            marker={
                "color": style.colour,
                "symbol": style.marker,
                "size": 7 if one.place == 0 else 10,
                "opacity": 0.75,
                "line": {"width": 0},
            },
            # The page fades the others when some are chosen.
            unselected={"marker": {"opacity": 0.12}},
            hoverinfo="text",
            showlegend=len(marks) > 1,
            meta={"part": "points"},
        )
    if len(x) > MAX_POINTS:
        figure.add_histogram2d(
            x=x.astype(np.float32),
            y=y.astype(np.float32),
            nbinsx=40,
            nbinsy=40,
            # One item must stand out from none.
            colorscale=[
                [0, LIGHT["paper"]],
                [1e-6, LIGHT["grid"]],
                [1, LIGHT["series"][0]],
            ],
            colorbar={"title": {"text": "items"}, "thickness": 12},
            hovertemplate="%{z} items<extra></extra>",
            meta={"part": "density"},
        )
    figure.update_layout(
        **layout(),
        xaxis={"title": {"text": escape(x_title)}, "zeroline": False, **axis()},
        yaxis={
            "title": {"text": escape(y_title)},
            "zeroline": True,
            "zerolinecolor": LIGHT["muted"],
            **axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=420,
    )
    return figure


def difficulty_figure(difficulty: Floats) -> go.Figure:
    """Draw how many items are how difficult, by their mean score."""
    figure = go.Figure()
    _add_histogram(figure, difficulty)
    figure.update_layout(
        **layout(),
        xaxis={
            "title": {"text": "difficulty: mean score of the item"},
            "zeroline": False,
            **axis(),
        },
        yaxis={"title": {"text": "items"}, "zeroline": False, **axis()},
        showlegend=False,
        bargap=0.04,
        height=260,
    )
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Able:
    """The checkpoints of one model, on the scale of abilities."""

    model: str
    ability: tuple[float, ...]
    texts: tuple[str, ...]


def wright_figure(
    able: Sequence[Able], difficulty: Floats, curve: InformationCurve
) -> go.Figure:
    """Draw checkpoints, items and test information over one scale of ability."""
    figure = go.Figure()
    names = [escape(one.model) for one in able]
    for place, (one, name) in enumerate(zip(able, names, strict=True)):
        figure.add_scatter(
            name=name,
            x=list(one.ability),
            y=[name] * len(one.ability),
            yaxis="y",
            mode="markers",
            marker={
                "symbol": "line-ns-open",
                "color": Style(place=place).colour,
                "size": 16,
                "line": {"width": 1.5},
            },
            text=[escape(words) for words in one.texts],
            hoverinfo="text",
            showlegend=False,
        )
    _add_histogram(figure, difficulty, yaxis="y2", name="items")
    lines = (
        ("information", curve.information, "y3", 0, "%{y:.3g} per squared unit"),
        ("standard error", curve.se, "y4", 1, "SE %{y:.2g}"),
    )
    for name, values, y_axis, place, hover in lines:
        figure.add_scatter(
            name=name,
            x=curve.ability.astype(np.float32),
            y=np.where(np.isfinite(values), values, np.nan).astype(np.float32),
            yaxis=y_axis,
            mode="lines",
            line={
                "color": Style(place=place).colour,
                "width": 2,
                "dash": DASHES[place],
            },
            hovertemplate=f"ability %{{x:.2f}}: {hover}<extra></extra>",
        )
    height = 480 + 34 * len(able)
    ends = 340 / height, 175 / height
    gap, legend = 30 / height, 50 / height
    error = Style(place=1).colour
    figure.update_layout(
        **layout(),
        xaxis={
            "title": {"text": "ability and difficulty (logits)"},
            "zeroline": False,
            "anchor": "y3",
            "range": _around([*difficulty, *(a for one in able for a in one.ability)]),
            **axis(),
        },
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
            "range": [len(names) - 0.5, -0.5],
            "domain": [ends[0] + gap, 1],
            **axis(),
        },
        yaxis2={
            "title": {"text": "items"},
            "zeroline": False,
            "domain": [ends[1] + legend, ends[0]],
            **axis(),
        },
        yaxis3={
            "title": {"text": "information"},
            "zeroline": False,
            "rangemode": "tozero",
            "domain": [0, ends[1]],
            **axis(),
        },
        yaxis4={
            "title": {"text": "standard error", "font": {"color": error}},
            "zeroline": False,
            # Where items tell nothing it grows without bound; the table has it.
            "range": [0, MAX_ERROR * float(curve.se.min())],
            "overlaying": "y3",
            "side": "right",
            "tickmode": "auto",
            "nticks": 4,
            **axis(),
            "showgrid": False,
        },
        legend={"orientation": "h", "x": 0, "y": ends[1], "yanchor": "bottom"},
        bargap=0.04,
        height=height,
    )
    return figure


def curves_figure(
    titles: Sequence[str],
    curves: Sequence[ItemCurve],
    texts: Sequence[Sequence[str]],
    ability: Floats,
) -> go.Figure:
    """Draw the curves of items, each with the shares that were right along it.

    Each item has four traces, in this order: the band round its curve, empty where
    there is none, the curve, what the curve expects of each bin, and what was observed.
    The page's script puts others in their place.
    `ability` is that of all checkpoints: what the axes span.
    """
    figure = go.Figure()
    fitted, expected, observed = (Style(place=place) for place in (0, 4, 1))
    axes: dict[str, Any] = {}
    notes = []
    for slot, (title, curve) in enumerate(zip(titles, curves, strict=True)):
        suffix = "" if slot == 0 else str(slot + 1)
        on = {
            "xaxis": f"x{suffix}",
            "yaxis": f"y{suffix}",
            "showlegend": slot == 0,
        }
        at = visible(curve, ability, POINTS)
        points = curve.ability[at]
        band = outline(curve, at)
        figure.add_scatter(
            name=f"{100 * curve.confidence_level:g} % band of the curve",
            x=np.concatenate([points, points[::-1]])[: len(band)].astype(np.float32),
            y=band.astype(np.float32),
            mode="lines",
            fill="toself",
            fillcolor=fitted.band,
            line={"width": 0, "color": fitted.band},
            hoverinfo="skip",
            **on,
        )
        figure.add_scatter(
            name="fitted curve",
            x=points.astype(np.float32),
            y=curve.probability[at].astype(np.float32),
            mode="lines",
            line={"color": fitted.colour, "width": 2, "shape": "spline"},
            hoverinfo="skip",
            **on,
        )
        figure.add_scatter(
            name="expected of the bin",
            x=curve.bin_ability.tolist(),
            y=curve.bin_expected.tolist(),
            mode="markers",
            marker={"color": expected.colour, "symbol": "line-ew-open", "size": 9},
            hoverinfo="skip",
            **on,
        )
        figure.add_scatter(
            name="observed share, with interval",
            x=curve.bin_ability.tolist(),
            y=curve.bin_observed.tolist(),
            mode="markers",
            marker={"color": observed.colour, "symbol": observed.marker, "size": 6},
            error_y={
                "array": (curve.bin_high - curve.bin_observed).tolist(),
                "arrayminus": (curve.bin_observed - curve.bin_low).tolist(),
                "color": observed.colour,
                "thickness": 1,
                "width": 0,
            },
            text=[escape(words) for words in texts[slot]],
            hoverinfo="text",
            **on,
        )
        x_domain, y_domain = _domains(slot, len(curves))
        axes[f"xaxis{suffix}"] = {
            "domain": x_domain,
            "anchor": f"y{suffix}",
            "range": _around(ability[~np.isnan(ability)]),
            "zeroline": False,
            "nticks": 5,
            **axis(),
        }
        axes[f"yaxis{suffix}"] = {
            "domain": y_domain,
            "anchor": f"x{suffix}",
            "range": [-0.03, 1.03],
            "zeroline": False,
            "nticks": 3,
            **axis(),
        }
        notes.append(
            {
                "text": escape(title),
                "xref": f"x{suffix} domain",
                "yref": f"y{suffix} domain",
                "x": 0,
                "y": 1,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 12, "color": LIGHT["ink"]},
            }
        )
    figure.update_layout(
        **layout(),
        **axes,
        annotations=notes,
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
        },
        height=80 + ROW_HEIGHT * -(-len(curves) // COLUMNS),
    )
    figure.update_layout(margin={"t": 64})
    return figure


def visible(curve: ItemCurve, ability: Floats, n: int) -> npt.NDArray[np.intp]:
    """Return the places of some `n` points, over all that the axis spans."""
    ends = np.searchsorted(curve.ability, _around(ability[~np.isnan(ability)]))
    first, last = max(ends[0] - 1, 0), min(ends[1], len(curve.ability) - 1)
    return np.unique(np.rint(np.linspace(first, last, n)).astype(np.intp))


def outline(curve: ItemCurve, at: npt.NDArray[np.intp]) -> Floats:
    """Return the band's upper end and, backwards, its lower; empty without a band."""
    if np.isnan(curve.low).any():
        return np.empty(0)
    return np.concatenate([curve.high[at], curve.low[at][::-1]])


def _around(values: Sequence[float] | Floats) -> list[float]:
    """Return an axis that holds all values, and a little more."""
    low, high = min(values), max(values)
    more = 0.05 * (high - low)
    return [low - more, high + more]


def _domains(slot: int, n: int) -> tuple[list[float], list[float]]:
    """Return where a small multiple stands, in shares of the figure."""
    n_rows = -(-n // COLUMNS)
    row, column = divmod(slot, COLUMNS)
    width = (1 - GAP * (COLUMNS - 1)) / COLUMNS
    left = column * (width + GAP)
    high = 1 - row / n_rows
    return [left, min(left + width, 1)], [high - 0.68 / n_rows, high]


def _add_histogram(figure: go.Figure, values: Floats, **more: Any) -> None:
    figure.add_histogram(
        x=values[~np.isnan(values)].astype(np.float32),
        nbinsx=40,
        marker={"color": LIGHT["series"][0], "line": {"width": 0}},
        opacity=0.75,
        hovertemplate="%{y} items between %{x}<extra></extra>",
        showlegend=False,
        **more,
    )
