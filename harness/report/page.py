"""How is a report put on a page? One HTML file that asks no server for anything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as escape_html

from harness import __version__
from harness.report import text
from harness.report.cells import Drawn, Menu
from harness.report.figures.dots import ROW_HEIGHT
from harness.report.figures.style import escape, theme_map
from harness.report.section import Section

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from harness.gate.results import GateResult
    from harness.report.gather import ReportData
    from harness.stats.calibration import Calibration
    from harness.stats.compare.results import Comparison

PLOTLY_JS = "4.1.1"
"""Version of the vendored bundle; the one that plotly.py writes figures for."""

BUNDLE = f"plotly-cartesian-{PLOTLY_JS}.min.js"


def render(data: ReportData) -> str:
    """Return the report as one HTML page; the same page for the same data."""
    from harness.report.pages.whole import whole_sections

    return page_of(whole_sections(data), title=data.title, kind="Evaluation variance")


def render_comparison(
    comparison: Comparison,
    *,
    title: str,
    calibration: Sequence[Calibration] | None = None,
) -> str:
    """Return a comparison as one HTML page; the same page for the same comparison.

    Parameters
    ----------
    calibration : sequence of Calibration, optional
        Of equal models in the same data; the page says nothing of it if left out.
    """
    from harness.report.pages.comparison import comparison_sections

    return page_of(
        comparison_sections(comparison, calibration), title=title, kind="Comparison"
    )


def render_gate(result: GateResult, *, title: str) -> str:
    """Return a gate's verdict as one HTML page; the same page for the same result."""
    from harness.report.pages.gate import gate_sections

    return page_of(gate_sections(result), title=title, kind="Gate")


def page_of(sections: Sequence[Section], *, title: str, kind: str) -> str:
    """Return a page of these sections, and a navigation of those that have a title."""
    environment = _environment()
    drawn = [one for section in sections for one in section.drawn]
    names = dict.fromkeys(name for section in sections for name in section.scripts)
    script = "".join(map(_template_text, ("parts.js", *names, "page.js")))
    bundle = bundle_text()
    parts = "\n".join(
        environment.get_template(f"{section.name}.html.j2").render(section.view)
        for section in sections
    )
    return environment.get_template("page.html.j2").render(
        title=text.clean(title),
        kind=kind,
        sections=sections,
        parts=Markup(parts),  # each escaped what it shows
        version=__version__,
        csp=content_security_policy(bundle, script),
        style=Markup(_template_text("page.css")),  # ours, not the data's
        bundle=Markup(bundle),
        script=Markup(script),
        figures=packed_json(
            {one.name: _spec(one, one.figure) for one in drawn if one.figure}
        ),
        theme=script_json(theme_map()),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = _code
    environment.filters["clean"] = text.clean
    return environment


def content_security_policy(*scripts: str) -> str:
    """Return a policy that allows exactly these scripts, and no request at all."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; "
        # Plotly writes its own <style>, which no hash can foresee.
        "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def script_json(value: Any) -> Markup:
    """Return JSON that cannot end the ``<script>`` it stands in."""
    dumped = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    for mark in "<>&\u2028\u2029":
        dumped = dumped.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(dumped)


def packed_json(value: Any) -> str:
    """Return JSON gzipped and in base64, a fifth as long as `script_json`."""
    dumped = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
        default=np.ndarray.tolist,  # plotly packs arrays, but not empty ones
    )
    return base64.b64encode(gzip.compress(dumped.encode(), mtime=0)).decode()


def _code(sentence: str) -> Markup:
    """Escape a sentence and set what stands in backticks as code."""
    parts = escape_html(sentence).split("`")
    if len(parts) % 2 == 0:
        return escape_html(sentence)
    marked = (p if i % 2 == 0 else f"<code>{p}</code>" for i, p in enumerate(parts))
    return Markup("".join(marked))


@cache
def bundle_text() -> str:
    """Return the vendored plotly.js."""
    return (files("harness.report") / "vendor" / BUNDLE).read_text(encoding="utf-8")


def _template_text(name: str) -> str:
    return (files("harness.report") / "templates" / name).read_text(encoding="utf-8")


def _spec(drawn: Drawn, made: go.Figure) -> dict[str, Any]:
    figure = made.to_plotly_json()
    return {
        **({"menu": _menu(drawn.menu)} if drawn.menu else {}),
        **drawn.extra,
        "kind": drawn.kind,
        "data": figure["data"],
        "layout": figure["layout"],
        "rows": [
            {"label": escape(label), "model": model, "task": task}
            for label, model, task in drawn.rows
        ],
        "rowHeight": ROW_HEIGHT,
    }


def _menu(menu: Menu) -> dict[str, Any]:
    return {
        "choices": [
            {"y": escape(one.y_title), "traces": list(one.traces)}
            for one in menu.choices
        ],
        "names": [escape(name) for name in menu.names],
        "picks": menu.picks,
    }
