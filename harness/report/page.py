"""How is a report put on a page? One HTML file that asks no server for anything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as escape_html

from harness import __version__
from harness.report import text
from harness.report.cells import Drawn, Menu
from harness.report.figures.dots import ROW_HEIGHT
from harness.report.figures.style import escape, theme_map
from harness.report.gather import ReportData
from harness.report.views.items import items_views
from harness.report.views.ledger import ledger_view
from harness.report.views.method import checkpoints, facts, failures, methods, tasks
from harness.report.views.noise import noise_table, noise_views
from harness.report.views.prompts import prompt_view
from harness.report.views.scoreboard import scoreboard
from harness.report.views.signal import signal_view
from harness.report.views.subsets import subset_view
from harness.report.views.summary import cautions, chips
from harness.report.views.trend import panel_views

PLOTLY_JS = "4.1.1"
"""Version of the vendored bundle; the one that plotly.py writes figures for."""

BUNDLE = f"plotly-cartesian-{PLOTLY_JS}.min.js"


def render(data: ReportData) -> str:
    """Return the report as one HTML page; the same page for the same data."""
    panels = panel_views(data)
    noise = noise_views(data)
    items = items_views(data)
    ledger = ledger_view(data)
    prompts = prompt_view(data)
    signal = signal_view(data)
    subsets = subset_view(data)
    drawn = [
        *(one for panel in panels for one in panel.drawn),
        *noise,
        *(ledger.drawn if ledger else ()),
        *(one for view in items for one in view.drawn),
        *(prompts.drawn if prompts else ()),
        *(signal.drawn if signal else ()),
        *(one for panel in (subsets.panels if subsets else ()) for one in panel.drawn),
    ]
    script = "".join(
        map(
            _template_text,
            ("items.js", "suites.js", "ledger.js", "prompts.js", "page.js"),
        )
    )
    bundle = bundle_text()
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = _code
    return environment.get_template("page.html.j2").render(
        data=data,
        text=text,
        version=__version__,
        findings=text.findings(data.variance),
        chips=chips(data),
        cautions=cautions(data),
        filters={
            "tasks": sorted({row.variance.task for row in data.rows}),
            "models": sorted({row.variance.model for row in data.rows}),
        },
        scoreboard=scoreboard(data),
        panels=panels,
        noise=noise,
        noise_table=noise_table(data),
        ledger=ledger,
        items=items,
        prompts=prompts,
        signal=signal,
        subsets=subsets,
        methods=methods(data),
        facts=facts(data),
        failures=failures(data.failures),
        checkpoints=checkpoints(data),
        tasks=tasks(data),
        csp=content_security_policy(bundle, script),
        style=Markup(_template_text("page.css")),  # ours, not the data's
        bundle=Markup(bundle),
        script=Markup(script),
        figures=packed_json(
            {one.name: _spec(one, one.figure) for one in drawn if one.figure}
        ),
        theme=script_json(theme_map()),
    )


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
