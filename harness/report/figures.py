"""How is a report drawn? Plain values in, plotly figures out; no arithmetic."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from harness.report import text
from harness.report.gather import Panel, Row
from harness.stats.estimate import Estimate

LIGHT = {
    "ink": "#1b1f24",
    "muted": "#57606a",
    "grid": "#e3e6ea",
    "paper": "#ffffff",
    "series": ("#0072B2", "#B34A00", "#00795a", "#8f4a86", "#57606a", "#7a6200"),
}
DARK = {
    "ink": "#e6e8eb",
    "muted": "#a3abb5",
    "grid": "#30363d",
    "paper": "#14161a",
    "series": ("#56B4E9", "#F0864A", "#35c29b", "#e39ac4", "#a3abb5", "#dfbb3e"),
}
"""Okabe-Ito hues, darker or lighter until they stand at 4.5:1 on their ground.

Blue and orange come first because they stay apart under every colour blindness;
dash and marker repeat what colour says."""

BAND_ALPHA = 0.16
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot")
MAX_CURVES = 6
"""In one figure; with more, each model has its own."""

NAME = 28
"""Characters of a task's or model's name in a figure; tables have all of it."""

ROW_HEIGHT = 34
"""Pixels of a row of dots; the page's script makes it taller on narrow screens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How one curve looks: the same model and formulation, the same look everywhere."""

    place: int

    @property
    def colour(self) -> str:
        """Its colour on a light ground."""
        return LIGHT["series"][self.place % len(LIGHT["series"])]

    @property
    def band(self) -> str:
        """Its colour as a translucent fill."""
        return translucent(self.colour)

    @property
    def marker(self) -> str:
        """Its marker, which says the same as its colour."""
        return MARKERS[self.place % len(MARKERS)]

    @property
    def dash(self) -> str:
        """Its dash; curves of one colour differ in it."""
        return DASHES[(self.place + self.place // len(MARKERS)) % len(DASHES)]


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


Looks = Mapping[tuple[str, str, str], Style]
"""The style of each model, formulation and settings."""


def styles(rows: Sequence[Row]) -> Looks:
    """Return the style of each model, formulation and settings, cloze first."""
    keys = {_look(row) for row in rows}
    # Descending: cloze before choice before neither, so that cloze is always blue.
    ordered = sorted(keys, key=lambda key: (key[0], key[2]))
    ordered.sort(key=lambda key: key[1], reverse=True)
    return {key: Style(place=place) for place, key in enumerate(ordered)}


def curve_groups(panel: Panel) -> list[list[Row]]:
    """Return the rows of a panel by figure: all together, or each model its own."""
    if len(panel.rows) <= MAX_CURVES:
        return [list(panel.rows)]
    models = sorted({row.variance.model for row in panel.rows})
    return [[r for r in panel.rows if r.variance.model == model] for model in models]


def trend_figure(rows: Sequence[Row], kind: str, look: Looks) -> go.Figure:
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
        _add_curve(figure, points, escape(name), part.metric, look[_look(row)], row)
        # The chance level of a row is that of its discrete metric.
        chance = row.variance.chance
        if kind == "discrete" and not math.isnan(chance):
            chances[text.score(chance)] = chance
    for name, chance in sorted(chances.items()):
        _add_chance(figure, chance, name)
    metrics = dict.fromkeys(p.metric for p in (r.metric(kind) for r in rows) if p)
    figure.update_layout(
        **_layout(),
        xaxis={"title": {"text": "training step"}, "zeroline": False, **_axis()},
        yaxis={
            "title": {"text": escape(" / ".join(metrics))},
            "zeroline": False,
            **_axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=340,
    )
    return figure


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
        **_layout(),
        annotations=annotations,
        xaxis={
            "title": {"text": escape(x_title)},
            "type": "log" if is_log else "linear",
            "range": list(x_range) if x_range else None,
            "dtick": "D2" if is_log else None,
            "zeroline": False,
            "side": "bottom",
            **_axis(),
            # Not to the sides: an end label and its margin would chase each other.
            "automargin": "height",
        },
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": rows,
            # The first row on top, and all rows even if nothing is drawn in them.
            "range": [len(rows) - 0.5, -0.5],
            **_axis(),
        },
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        # Marks of one row stand side by side, where they would hide each other.
        scattermode="group",
        scattergap=0.45,
        height=110 + ROW_HEIGHT * len(rows),
    )
    return figure


def theme_map() -> dict[str, str]:
    """Return what each colour of a light figure is on a dark ground."""
    colours = {LIGHT[name]: DARK[name] for name in ("ink", "muted", "grid", "paper")}
    for light, dark in zip(LIGHT["series"], DARK["series"], strict=True):
        # Grey is a series and the muted ink; both have the same grey in the dark.
        colours[light] = dark
        colours[translucent(light)] = translucent(dark)
    return {str(light): str(dark) for light, dark in colours.items()}


def translucent(colour: str) -> str:
    """Return a hexadecimal colour as the fill of a band."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND_ALPHA})"


def escape(label: str) -> str:
    """Return a label that plotly shows as it is written.

    It reads labels as a small HTML of its own, and legends and titles as templates
    too, in which ``%{`` begins a variable.
    """
    return html.escape(text.clean(label), quote=False).replace("%{", "%&#123;")


def _look(row: Row) -> tuple[str, str, str]:
    return row.variance.model, row.variance.formulation, row.variance.settings


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


def _seed_order(seed: int | None) -> tuple[bool, int]:
    return seed is not None, seed or 0


def _axis() -> dict[str, Any]:
    return {
        "gridcolor": LIGHT["grid"],
        "linecolor": LIGHT["grid"],
        "tickfont": {"color": LIGHT["ink"]},
        "automargin": True,
        "fixedrange": False,
    }


def _layout() -> dict[str, Any]:
    return {
        # An empty template: the default one is 7 kB of colours in every figure.
        "template": go.layout.Template(),
        "font": {
            "family": "system-ui, sans-serif",
            "size": 13,
            "color": LIGHT["ink"],
        },
        "paper_bgcolor": LIGHT["paper"],
        "plot_bgcolor": LIGHT["paper"],
        "margin": {"l": 12, "r": 12, "t": 36, "b": 12},
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": LIGHT["paper"],
            "bordercolor": LIGHT["muted"],
            "font": {"color": LIGHT["ink"]},
            "align": "left",
        },
        "dragmode": False,
    }
