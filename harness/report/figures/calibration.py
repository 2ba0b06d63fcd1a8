"""How are verdicts on equal models drawn? Shares of p-values beside the diagonal."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from harness.report.figures.style import LIGHT, Style, axis, escape, layout


def shares_figure(
    p_values: Sequence[float],
    shares: Sequence[float],
    sentences: Sequence[str],
    *,
    band: float,
    nominal: float,
) -> go.Figure:
    """Draw which share of p-values lies up to p, and where it may lie by chance.

    Parameters
    ----------
    p_values, shares : sequence of float
        Ascending.
    band : float
        How far a share may be from the diagonal.
    """
    style = Style(place=0)
    ends = (0.0, 1.0)
    figure = go.Figure()
    # Ends of the band are cut off where shares end.
    corners = [0.0, min(band, 1.0), max(1 - band, 0.0), 1.0]
    upper = sorted({*ends, *corners})
    figure.add_scatter(
        name="by chance",
        x=[*upper, *reversed(upper)],
        y=[min(x + band, 1) for x in upper] + [max(x - band, 0) for x in upper[::-1]],
        fill="toself",
        fillcolor=Style(place=4).band,
        line={"width": 0, "color": Style(place=4).band},
        mode="lines",
        hoverinfo="skip",
    )
    figure.add_scatter(
        name="as it should be",
        x=list(ends),
        y=list(ends),
        mode="lines",
        line={"color": LIGHT["muted"], "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        name="pairs of equal models",
        x=list(p_values),
        y=list(shares),
        mode="lines+markers",
        line={"color": style.colour, "width": 2, "shape": "hv"},
        marker={"color": style.colour, "size": 4},
        text=[escape(words) for words in sentences],
        hoverinfo="text",
    )
    figure.add_shape(
        type="line",
        x0=nominal,
        x1=nominal,
        yref="paper",
        y0=0,
        y1=1,
        line={"color": LIGHT["muted"], "width": 1.5, "dash": "dash"},
        name=f"found to differ: p below {nominal:g}",
        showlegend=True,
    )
    figure.update_layout(
        **layout(),
        xaxis={"title": {"text": "p-value"}, "range": [-0.02, 1.02], "zeroline": False}
        | axis(),
        yaxis={
            "title": {"text": "share of pairs up to it"},
            "range": [-0.02, 1.02],
            "zeroline": False,
        }
        | axis(),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        height=380,
    )
    return figure
