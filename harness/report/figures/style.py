"""How does a figure look? Colours, marks, axes; the same thing alike everywhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from harness.report import text

if TYPE_CHECKING:
    from harness.report.gather import Row

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

TINT = 0.5
"""Share of a colour in a ground that text stands on."""

MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star")

DASHES = ("solid", "dash", "dot", "dashdot")

NAME = 28
"""Characters of a task's or model's name in a figure; tables have all of it."""


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
        """Its marker, which says the same as its colour while there are enough."""
        return MARKERS[(self.place + self.place // len(MARKERS)) % len(MARKERS)]

    @property
    def dash(self) -> str:
        """Its dash; curves of one colour differ in it."""
        return DASHES[(self.place + self.place // len(MARKERS)) % len(DASHES)]


Looks = Mapping[tuple[str, str, str], Style]
"""The style of each model, formulation and settings."""


def styles(rows: Sequence[Row]) -> Looks:
    """Return the style of each model, formulation and settings, cloze first."""
    keys = {look_of(row) for row in rows}
    # Descending: cloze before choice before neither, so that cloze is always blue.
    ordered = sorted(keys, key=lambda key: (key[0], key[2]))
    ordered.sort(key=lambda key: key[1], reverse=True)
    return {key: Style(place=place) for place, key in enumerate(ordered)}


def look_of(row: Row) -> tuple[str, str, str]:
    """Return what decides how a row looks."""
    return row.variance.model, row.variance.formulation, row.variance.settings


def theme_map() -> dict[str, str]:
    """Return what each colour of a light figure is on a dark ground."""
    colours = {LIGHT[name]: DARK[name] for name in ("ink", "muted", "grid", "paper")}
    for light, dark in zip(LIGHT["series"], DARK["series"], strict=True):
        # Grey is a series and the muted ink; both have the same grey in the dark.
        colours[light] = dark
        colours[translucent(light)] = translucent(dark)
        colours[tint(light)] = tint(dark, DARK)
    return {str(light): str(dark) for light, dark in colours.items()}


def tint(colour: str, ground: Mapping[str, Any] = LIGHT) -> str:
    """Return a colour mixed with the paper, on which ink can be read."""
    mixed = (
        round(TINT * int(colour[i : i + 2], 16) + (1 - TINT) * int(paper, 16))
        for i, paper in ((k, ground["paper"][k : k + 2]) for k in (1, 3, 5))
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


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


def axis() -> dict[str, Any]:
    """Return what all axes share."""
    return {
        "gridcolor": LIGHT["grid"],
        "linecolor": LIGHT["grid"],
        "tickfont": {"color": LIGHT["ink"]},
        "automargin": True,
        "fixedrange": False,
    }


def layout() -> dict[str, Any]:
    """Return what all figures share."""
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
