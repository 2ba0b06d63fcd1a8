"""How is a report put on a page? One HTML file that asks no server for anything."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as escape_html

from harness import __version__
from harness.frames import CONDITION
from harness.report import text
from harness.report.figures import (
    NAME,
    ROW_HEIGHT,
    Dots,
    Looks,
    curve_groups,
    dots_figure,
    escape,
    styles,
    theme_map,
    trend_figure,
)
from harness.report.gather import Failure, ReportData, Row
from harness.stats.estimate import Estimate
from harness.stats.scores import METRICS, UNKNOWN_METRIC
from harness.stats.variance import MetricVariance

PLOTLY_JS = "4.1.1"
"""Version of the vendored bundle; the one that plotly.py writes figures for."""

BUNDLE = f"plotly-cartesian-{PLOTLY_JS}.min.js"

KINDS = ("discrete", "continuous")

QUANTITIES = {
    "mean": "Mean µ",
    "item_half_width": "Item half-width",
    "item_se_last": "Item standard error, last checkpoint",
    "seed_sd": "Seed SD, averaged (E)",
    "seed_sd_last": "Seed SD, last checkpoint",
    "snr": "Signal to noise (SNR)",
    "snr_above_chance": "SNR above chance",
    "monotonicity": "Monotonicity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Where an interval stands in its cell, in percent of the cell's width."""

    low: float
    high: float
    value: float
    chance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table, as it is shown."""

    text: str
    value: float | None = None
    """The number in full, to sort by and to download; ``None`` for words."""

    detail: str = ""
    """A second, smaller line."""

    reason: str = ""
    """Why a number is not defined."""

    badges: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Codes of cautions, each a link to its text."""

    bar: Bar | None = None
    model: str | None = None
    """Set where a column, not the row, belongs to a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a table, with what the page's filters go by."""

    cells: tuple[Cell, ...]
    task: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the page."""

    caption: str
    headings: tuple[tuple[str, bool], ...]
    """Heading, and whether its column holds numbers."""

    lines: tuple[Line, ...]
    models: tuple[str, ...] = ()
    """Model of each heading; empty where columns belong to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure of the page, with the sentence above it and the table below."""

    name: str
    kind: str
    """``trend`` or ``dots``: what the page's filters do with it."""

    title: str
    sentence: str
    figure: go.Figure | None
    """``None`` where nothing is defined, which the sentence then says."""

    table: Table | None
    about: str = ""
    """What the title leaves to the heading above it, for who hears it alone."""

    rows: tuple[tuple[str, str, str], ...] = ()
    """Label, model and task of each row of dots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelView:
    """The trend figures of rows that belong together."""

    title: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    badges: tuple[str, ...]
    drawn: tuple[Drawn, ...]
    notes: tuple[str, ...]
    """What is not drawn, and why."""


def render(data: ReportData) -> str:
    """Return the report as one HTML page; the same page for the same data."""
    panels = _panel_views(data)
    noise = _noise_views(data)
    drawn = [*(one for panel in panels for one in panel.drawn), *noise]
    script = _template_text("page.js")
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
        chips=_chips(data),
        cautions=_cautions(data),
        filters={
            "tasks": sorted({row.variance.task for row in data.rows}),
            "models": sorted({row.variance.model for row in data.rows}),
        },
        scoreboard=_scoreboard(data),
        panels=panels,
        noise=noise,
        noise_table=_noise_table(data),
        methods=_methods(data),
        facts=_facts(data),
        failures=_failures(data.failures),
        checkpoints=_checkpoints(data),
        tasks=_tasks(data),
        csp=content_security_policy(bundle, script),
        style=Markup(_template_text("page.css")),  # ours, not the data's
        bundle=Markup(bundle),
        script=Markup(script),
        figures=script_json(
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
        "kind": drawn.kind,
        "data": figure["data"],
        "layout": figure["layout"],
        "rows": [
            {"label": escape(label), "model": model, "task": task}
            for label, model, task in drawn.rows
        ],
        "rowHeight": ROW_HEIGHT,
    }


# ---- summary -------------------------------------------------------------------


def _chips(data: ReportData) -> list[tuple[str, str, str]]:
    """Return (number, noun, class) of what the report counts."""
    p = data.provenance
    rows = data.variance
    partial = sum(row.is_partial for row in rows)
    chips = [
        (len({row.model for row in rows}), "model", ""),
        (p.n_checkpoints, "checkpoint", ""),
        (len({row.task for row in rows}), "task", ""),
        (p.n_responses, "response", ""),
        (p.n_done, "trial done" if p.n_done == 1 else "trials done", ""),
    ]
    if p.n_failed:
        noun = "trial failed" if p.n_failed == 1 else "trials failed"
        chips.append((p.n_failed, noun, "warn"))
    if partial:
        chips.append((partial, "partial row", "warn"))
    cautions = len(_cautions(data))
    if cautions:
        chips.append((cautions, "caution", "warn"))
    out = []
    for n, noun, kind in chips:
        number, _, rest = text.count(n, noun).partition(" ")
        out.append((number, noun if noun.startswith("trial") else rest, kind))
    return out


def _cautions(data: ReportData) -> list[tuple[str, str, tuple[str, ...]]]:
    whole = [(c.code, c.text, ()) for c in data.cautions]
    return [*whole, *text.caution_list(data.variance)]


def _badges(row: Row) -> tuple[str, ...]:
    badges = []
    if row.variance.is_partial:
        badges.append(
            f"partial: {row.variance.n_items:,} of {row.variance.n_items_total:,} items"
        )
    if row.n_failed:
        badges.append(f"{text.count(row.n_failed, 'trial')} failed")
    return tuple(badges)


# ---- scoreboard ----------------------------------------------------------------


def _scoreboard(data: ReportData) -> Table:
    rows = {(_condition(r.variance), r.variance.model): r for r in data.rows}
    failed: Counter[tuple[Any, str]] = Counter()
    asked: dict[tuple[Any, ...], Any] = {_condition(v): v for v in data.variance}
    # Where a model has rows, under whatever settings, its failures are badges on them.
    known_rows = {(c[:-1], model) for c, model in rows}
    for failure in data.failures:
        condition = _condition(failure)
        if (condition[:-1], failure.model) not in known_rows:
            failed[condition, failure.model] += failure.n_failed
            asked.setdefault(condition, failure)
    conditions = sorted(asked)
    models = tuple(sorted({model for _, model in [*rows, *failed]}))
    names = text.labels([asked[c] for c in conditions], with_model=False)
    lines = []
    for condition, name in zip(conditions, names, strict=True):
        known = [rows[condition, m] for m in models if (condition, m) in rows]
        chance = known[0].variance.chance if known else math.nan
        metric = known[0].variance.discrete.metric if known else ""
        cells = [
            Cell(text=name, detail=metric),
            _number(chance, text.score, "this metric has no score of a guesser"),
        ]
        for model in models:
            row = rows.get((condition, model))
            cells.append(_score_cell(row, failed[condition, model], model))
        lines.append(Line(cells=tuple(cells), task=str(condition[0])))
    return Table(
        caption="Mean score at the last checkpoint, with its interval over items",
        headings=(
            ("Task", False),
            ("Chance", True),
            *((text.clean(m), True) for m in models),
        ),
        lines=tuple(lines),
        models=("", "", *models),
    )


def _score_cell(row: Row | None, n_failed: int, model: str) -> Cell:
    if row is None and not n_failed:
        return Cell(text=text.UNDEFINED, reason="not evaluated", model=model)
    if row is None:
        badge = f"{text.count(n_failed, 'trial')} failed"
        return Cell(text="no result", badges=(badge,), model=model)
    mean = row.variance.discrete.mean
    return Cell(
        text=text.score(mean.value),
        value=None if math.isnan(mean.value) else mean.value,
        detail=text.interval(mean),
        reason="" if not math.isnan(mean.value) else mean.cautions[0].text,
        badges=(*_badges(row), *_verdict(row)),
        bar=_bar(row.variance.discrete, row.variance.chance),
        model=model,
    )


def _verdict(row: Row) -> tuple[str, ...]:
    if text.is_at_chance(row.variance):
        return ("at chance",)
    return ("seeds leave it open",) if text.is_open_over_seeds(row.variance) else ()


def _bar(part: MetricVariance, chance: float) -> Bar | None:
    bounds = METRICS.get(part.metric, UNKNOWN_METRIC)
    low, high = part.mean.interval
    if not math.isfinite(bounds.high - bounds.low) or math.isnan(low):
        return None

    def place(value: float) -> float:
        return 100 * (value - bounds.low) / (bounds.high - bounds.low)

    return Bar(
        low=place(low),
        high=place(high),
        value=place(part.mean.value),
        chance=None if math.isnan(chance) else place(chance),
    )


def _condition(row: Any) -> tuple[Any, ...]:
    return (*(getattr(row, name) for name in CONDITION), row.settings)


# ---- trend ---------------------------------------------------------------------


def _panel_views(data: ReportData) -> list[PanelView]:
    look = styles(data.rows)
    views: list[PanelView] = []
    for panel in data.panels:
        for group in curve_groups(panel):
            views.append(_panel_view(group, look, f"trend-{len(views)}"))
    return views


def _panel_view(rows: Sequence[Row], look: Looks, name: str) -> PanelView:
    tasks = tuple(dict.fromkeys(row.variance.task for row in rows))
    models = tuple(dict.fromkeys(row.variance.model for row in rows))
    title = " and ".join(text.clean(task) for task in tasks)
    drawn: list[Drawn] = []
    notes: list[str] = []
    for kind in KINDS:
        some = [row for row in rows if row.metric(kind) is not None]
        if not some:
            notes.append("No likelihood was stored, so there is no continuous score.")
            continue
        variances = [row.variance for row in some]
        steps = {p.step for row in some for p in row.trend(kind) if p.step is not None}
        if len(steps) < 2:
            notes.append(
                f"The {kind} score has one step only, so there is no curve; "
                f"{text.FILLS['one-checkpoint']}."
            )
            continue
        drawn.append(
            Drawn(
                name=f"{name}-{kind}",
                kind="trend",
                title=f"{kind.capitalize()} score",
                about=f"{title}: ",
                sentence=text.trend_sentence(variances, kind),
                figure=trend_figure(some, kind, look),
                table=_trend_table(some, kind, title),
            )
        )
    return PanelView(
        title=title,
        tasks=tasks,
        models=models,
        badges=tuple(dict.fromkeys(b for row in rows for b in _badges(row))),
        drawn=tuple(drawn),
        notes=tuple(notes),
    )


def _trend_table(rows: Sequence[Row], kind: str, title: str) -> Table:
    names = text.labels([row.variance for row in rows])
    lines = []
    for row, name in zip(rows, names, strict=True):
        for point in row.trend(kind):
            seeds = ", ".join(
                f"{text.seed_name(seed)}: {text.score(value)}"
                for seed, value in point.scores
            )
            lines.append(
                Line(
                    cells=(
                        Cell(text=name),
                        Cell(
                            text=text.step_name(point.step),
                            value=point.step,
                        ),
                        _number(point.mean, text.score, ""),
                        _number(point.sd, text.spread, "1 seed has no SD"),
                        _number(
                            point.item_half_width, text.spread, "scores do not vary"
                        ),
                        Cell(text=seeds),
                    ),
                    task=row.variance.task,
                    model=row.variance.model,
                )
            )
    return Table(
        caption=f"{title}: {kind} score at each step",
        headings=(
            ("Curve", False),
            ("Step", True),
            ("Mean", True),
            ("SD over seeds", True),
            ("Items ±", True),
            ("Each seed", False),
        ),
        lines=tuple(lines),
    )


# ---- noise ---------------------------------------------------------------------


def _noise_views(data: ReportData) -> list[Drawn]:
    if not data.rows:
        return []
    rows = data.variance
    labels = text.labels(rows, limit=NAME)
    models = [(row.model, row.task) for row in rows]
    marked = tuple((label, *model) for label, model in zip(labels, models, strict=True))

    def of(kind: str, quantity: str) -> list[Estimate | None]:
        parts = (row.metric(kind) for row in data.rows)
        return [getattr(part, quantity) if part else None for part in parts]

    def dots(name: str, kind: str, quantity: str, place: int) -> Dots:
        style = {"snr": text.ratio, "monotonicity": text.correlation}
        return Dots(
            name=name,
            estimates=tuple(of(kind, quantity)),
            format=style.get(quantity, text.spread),
            place=place,
        )

    def split(one: Dots) -> list[Dots]:
        """Give the rows at chance marks of their own."""
        at_chance = [text.is_at_chance(row) for row in rows]
        here, there = (
            tuple(
                e if flag is wanted else None
                for e, flag in zip(one.estimates, at_chance, strict=True)
            )
            for wanted in (False, True)
        )
        hollow = replace(
            one, name=f"{one.name}, at chance", estimates=there, is_open=True
        )
        plain = replace(one, estimates=here)
        return [some for some in (plain, hollow) if any(some.estimates)]

    def drawn(
        name: str, title: str, sentence: str, kinds: Sequence[Dots], **axis: Any
    ) -> Drawn:
        estimates = [e for one in kinds for e in one.estimates if e]
        is_empty = all(math.isnan(e.value) for e in estimates)
        return Drawn(
            name=f"noise-{name}",
            kind="dots",
            title=title,
            sentence=f"Not defined: {estimates[0].cautions[0].text}."
            if is_empty
            else sentence,
            figure=None if is_empty else dots_figure(labels, models, kinds, **axis),
            table=None,
            rows=marked,
        )

    spreads, ratios, ranks = text.noise_sentences(rows)
    return [
        drawn(
            "spread",
            "Seed SD and item standard error at the last checkpoint",
            spreads,
            (
                dots("seed SD", "discrete", "seed_sd_last", 0),
                dots("item standard error", "discrete", "item_se_last", 1),
            ),
            x_title="units of the discrete score",
        ),
        drawn(
            "snr",
            "Signal to noise, discrete and continuous",
            ratios,
            [
                *split(dots("discrete", "discrete", "snr", 0)),
                *split(dots("continuous", "continuous", "snr", 1)),
            ],
            x_title="mean / SD over seeds (log scale)",
            is_log=True,
        ),
        drawn(
            "monotonicity",
            "Monotonicity, discrete and continuous",
            ranks,
            (
                dots("discrete", "discrete", "monotonicity", 0),
                dots("continuous", "continuous", "monotonicity", 1),
            ),
            x_title="rank correlation of score and step",
            x_range=(-1.05, 1.05),
        ),
    ]


def _noise_table(data: ReportData) -> Table:
    lines = []
    for row in data.rows:
        v = row.variance
        discrete, continuous = v.discrete, v.continuous
        codes = tuple(dict.fromkeys(c.code for c in text.shown_cautions(v)))
        lines.append(
            Line(
                cells=(
                    Cell(
                        text=text.clean(v.task),
                        detail=_condition_detail(v),
                        badges=_badges(row),
                    ),
                    Cell(text=text.clean(v.model)),
                    Cell(
                        text=discrete.metric,
                        detail=continuous.metric if continuous else "",
                    ),
                    Cell(text=f"{v.n_items:,}", value=v.n_items),
                    _number(v.chance, text.score, "no score of a guesser"),
                    replace(
                        _estimate(discrete.mean, text.score, text.interval),
                        badges=("at chance",) if text.is_at_chance(v) else (),
                    ),
                    _estimate(discrete.item_half_width, text.spread),
                    _estimate(discrete.item_se_last, text.spread),
                    _estimate(discrete.seed_sd_last, text.spread, text.spread_interval),
                    _estimate(discrete.seed_sd, text.spread),
                    _estimate(discrete.snr, text.ratio, text.ratio_interval),
                    _estimate(
                        discrete.snr_above_chance, text.ratio, text.ratio_interval
                    ),
                    _maybe(continuous, "snr", text.ratio, text.ratio_interval),
                    _estimate(discrete.monotonicity, text.correlation),
                    _maybe(continuous, "monotonicity", text.correlation),
                    Cell(text=str(v.n_seeds), value=v.n_seeds),
                    Cell(text=str(v.n_checkpoints), value=v.n_checkpoints),
                    Cell(text="" if codes else "none", links=codes),
                ),
                task=v.task,
                model=v.model,
            )
        )
    return Table(
        caption="Variance table: how much of each score is noise",
        headings=(
            ("Task", False),
            ("Model", False),
            ("Metrics", False),
            ("Items", True),
            ("Chance", True),
            ("Mean µ", True),
            ("Items ±", True),
            ("Item SE, last", True),
            ("Seed SD, last", True),
            ("Seed SD, avg.", True),
            ("SNR discrete", True),
            ("SNR above chance", True),
            ("SNR contin.", True),
            ("Monot. discrete", True),
            ("Monot. contin.", True),
            ("Seeds", True),
            ("Steps", True),
            ("Cautions", False),
        ),
        lines=tuple(lines),
    )


def _condition_detail(row: Any) -> str:
    parts = [row.formulation] if row.formulation else []
    parts.append(f"{row.num_fewshot}-shot")
    return " · ".join([*parts, *text.asked_words(row)])


def _maybe(
    part: MetricVariance | None,
    quantity: str,
    style: Callable[[float], str],
    detail: Callable[[Estimate], str] | None = None,
) -> Cell:
    if part is None:
        return Cell(text=text.UNDEFINED, reason="no likelihood was stored")
    return _estimate(getattr(part, quantity), style, detail)


def _estimate(
    estimate: Estimate,
    style: Callable[[float], str],
    detail: Callable[[Estimate], str] | None = None,
) -> Cell:
    if math.isnan(estimate.value):
        return Cell(text=text.UNDEFINED, reason=estimate.cautions[0].text)
    return Cell(
        text=style(estimate.value),
        value=estimate.value,
        detail=detail(estimate) if detail else "",
    )


def _number(value: float, style: Callable[[float], str], reason: str) -> Cell:
    if math.isnan(value):
        return Cell(text=text.UNDEFINED, reason=reason)
    return Cell(text=style(value), value=value)


# ---- method and provenance -----------------------------------------------------


def _methods(data: ReportData) -> list[tuple[str, tuple[str, ...]]]:
    """Return each quantity with the methods by which its values were computed."""
    found: dict[str, dict[str, None]] = {}
    for row in data.rows:
        for part in (row.metric(kind) for kind in KINDS):
            for estimate in part.estimates if part else ():
                if math.isnan(estimate.value):
                    continue
                found.setdefault(estimate.quantity, {})[estimate.method] = None
    return [(QUANTITIES.get(name, name), tuple(some)) for name, some in found.items()]


def _facts(data: ReportData) -> list[tuple[str, str]]:
    p = data.provenance
    facts = [
        (name.replace("_", " "), ", ".join(map(text.clean, values)) or text.UNDEFINED)
        for name, values in p.settings
    ]
    facts += [
        (f"version of {text.clean(name)}", ", ".join(map(text.clean, values)))
        for name, values in p.versions
    ]
    facts += [
        (name, moment.strftime("%Y-%m-%d %H:%M:%S UTC"))
        for name, moment in (("started", p.started_at), ("finished", p.finished_at))
        if moment
    ]
    return [
        *facts,
        ("trials", f"{p.n_trials:,}: {p.n_done:,} done, {p.n_failed:,} failed"),
        ("attempts", f"{p.n_attempts:,}"),
        ("requests", f"{p.n_requests:,}"),
        ("truncated prompts", f"{p.n_truncated:,}"),
        ("time of all trials, workers added up", text.duration(p.seconds)),
        (
            "of it in the models' forward passes",
            f"{text.duration(p.forward_seconds)} "
            f"({text.share(p.forward_seconds, p.seconds)})",
        ),
        ("of it reading checkpoints", text.duration(p.load_seconds)),
    ]


def _failures(failures: Sequence[Failure]) -> Table:
    return Table(
        caption="Failed trials, with their errors",
        headings=(
            ("Task", False),
            ("Model", False),
            ("Failed", True),
            ("Code", False),
            ("Error", False),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=text.clean(f.task), detail=_condition_detail(f)),
                    Cell(text=text.clean(f.model)),
                    Cell(text=f"{f.n_failed} of {f.n_trials}", value=f.n_failed),
                    Cell(text=text.clean(f.error_code)),
                    Cell(text=text.shortened(f.error, 400)),
                ),
                task=f.task,
                model=f.model,
            )
            for f in failures
        ),
    )


def _checkpoints(data: ReportData) -> Table:
    return Table(
        caption="Checkpoints and digests of their weights",
        headings=(
            ("Model", False),
            ("Training seed", True),
            ("Step", True),
            ("Weights", False),
            ("Revision", False),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=text.clean(model)),
                    Cell(text=text.seed_name(seed), value=seed),
                    Cell(text=text.step_name(step), value=step),
                    Cell(text=text.clean(weights) or text.UNDEFINED),
                    Cell(text=text.clean(revision) or text.UNDEFINED),
                ),
                model=model,
            )
            for model, seed, step, weights, revision in data.provenance.checkpoints
        ),
    )


def _tasks(data: ReportData) -> Table:
    return Table(
        caption="Tasks and digests of their content",
        headings=(
            ("Task", False),
            ("Formulation", False),
            ("Version", False),
            ("Digest", False),
        ),
        lines=tuple(
            Line(
                cells=tuple(Cell(text=text.clean(v) or text.UNDEFINED) for v in task),
                task=task[0],
            )
            for task in data.provenance.tasks
        ),
    )
