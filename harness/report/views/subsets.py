"""How few items would do? Subset methods on models held out, beside random ones."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.report import text
from harness.report.cells import (
    Cell,
    Choice,
    Drawn,
    Line,
    Menu,
    Table,
    estimate_cell,
    number_cell,
)
from harness.report.figures.subsets import (
    Places,
    Points,
    Way,
    fidelity_figure,
    fidelity_traces,
    frontier_figure,
    frontier_traces,
)
from harness.report.gather import ReportData
from harness.stats.estimate import Estimate
from harness.stats.subset_table import TaskSubsets
from harness.stats.subsets.agreement import Agreement, limits_of_agreement
from harness.stats.subsets.quality import SubsetEvaluation, SubsetQuality

Floats = npt.NDArray[np.float64]

MAX_POINTS = 60
"""Checkpoints drawn in a figure of fidelity; of more, every so many."""

SHOWN: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("mae", "mean absolute error", text.spread),
    ("item_half_width", "half-width of the interval", text.spread),
    ("seed_sd", "seed SD, averaged (E)", text.spread),
    ("rank_correlation", "Kendall's tau with all items, over models", text.correlation),
    ("monotonicity", "monotonicity", text.correlation),
)
"""Measures of the frontier's menu."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetPanel:
    """The subsets of one task."""

    title: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    facts: str
    drawn: tuple[Drawn, ...]
    cautions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Code, text and names of the subsets; no name where it is of all."""

    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetView:
    """The section on subsets."""

    panels: tuple[SubsetPanel, ...]
    missing: tuple[str, ...]
    """Tasks whose subsets cannot be judged, and why."""


def subset_view(data: ReportData) -> SubsetView | None:
    """Return the section; ``None`` where no sizes were asked for."""
    refused = [r for r in data.refusals if r.analysis == "subsets"]
    if not data.subsets and not refused:
        return None
    names = text.task_labels([row.who for row in data.subsets])
    return SubsetView(
        panels=tuple(
            _panel(row, name, f"subset-{place}")
            for place, (row, name) in enumerate(zip(data.subsets, names, strict=True))
        ),
        missing=tuple(
            f"{text.condition_name(r.who)}: {text.clean(r.text)}." for r in refused
        ),
    )


def _panel(row: TaskSubsets, title: str, name: str) -> SubsetPanel:
    found = row.evaluation
    cautions = [("", caution) for caution in row.cautions]
    cautions += [
        (_label(quality), caution)
        for quality in found.rows
        for estimate in quality.estimates
        for caution in estimate.cautions
    ]
    return SubsetPanel(
        title=title,
        tasks=(row.who.task,),
        models=tuple(dict.fromkeys(row.who.models)),
        facts=_facts(row),
        drawn=(_frontier(row, title, name), _fidelity(row, title, name)),
        cautions=text.alike(cautions),
        command=_command(row),
    )


def _facts(row: TaskSubsets) -> str:
    found = row.evaluation
    parts = "one by one" if found.n_folds == found.n_groups else "in parts"
    return (
        f"{text.count(found.n_groups, text.HELD_OUT[found.unit])} with "
        f"{text.count(len(found.full), 'checkpoint')}, held out {parts} "
        f"({found.n_folds}); {row.who.metric} over "
        f"{text.count(found.n_items_total, 'item')} that all have answered."
    )


def _command(row: TaskSubsets) -> str:
    sizes = dict.fromkeys(r.n_items for r in _subsets(row.evaluation))
    words = ["evalvar", "subset", "evaluate", "STORE", "--task", row.who.task]
    if row.who.formulation:
        words += ["--formulation", row.who.formulation]
    words += ["--sizes", ",".join(map(str, sizes))]
    return text.clean(shlex.join(words))


def _subsets(found: SubsetEvaluation) -> list[SubsetQuality]:
    """Return the rows but for the full set, in the order of the menu."""
    return [row for row in found.rows if row.method != "full"]


def _frontier(row: TaskSubsets, title: str, name: str) -> Drawn:
    found = row.evaluation
    rows = _subsets(found)
    is_banded = all(c.code != "few-groups" for c in found.cautions)
    ways = list(dict.fromkeys((r.method, r.estimator) for r in rows))
    sizes = sorted({r.n_items for r in rows})
    choices = []
    for measure, label, style in SHOWN:
        some = [_way(rows, way, measure, label, style) for way in ways]
        reference = getattr(found.rows[0], measure)
        is_empty = not any(way.sizes for way in some)
        why = getattr(rows[0], measure).cautions
        choices.append(
            Choice(
                label=f"{label} (not defined: {why[0].text})" if is_empty else label,
                y_title="not defined" if is_empty else label,
                traces=frontier_traces(
                    some,
                    None if math.isnan(reference.value) else reference.value,
                    is_banded=is_banded,
                ),
            )
        )
    return Drawn(
        name=f"{name}-frontier",
        kind="menu",
        title="How few items for which precision",
        about=f"{title}: ",
        sentence=text.subset_sentence(found),
        figure=frontier_figure(
            [text.subset_name(*way) for way in ways],
            sizes,
            found.n_items_total,
            is_banded=is_banded,
        ),
        table=_table(row, title),
        menu=Menu(name="Show", choices=tuple(choices), picks=f"{name}-fidelity"),
    )


def _way(
    rows: Sequence[SubsetQuality],
    way: tuple[str, str],
    measure: str,
    label: str,
    style: Callable[[float], str],
) -> Way:
    name = text.subset_name(*way)
    own: list[tuple[int, SubsetQuality, Estimate]] = [
        (number, r, getattr(r, measure))
        for number, r in enumerate(rows)
        if (r.method, r.estimator) == way
    ]
    known = [one for one in own if not math.isnan(one[2].value)]
    known.sort(key=lambda one: one[1].n_items)
    return Way(
        name=name,
        sizes=tuple(r.n_items for _, r, _ in known),
        values=tuple(e.value for _, _, e in known),
        sentences=tuple(
            f"{name}, {text.count(r.n_items, 'item')}: {label} {style(e.value)} "
            f"{text.between(*e.interval, style)}".rstrip()
            for _, r, e in known
        ),
        picks=tuple(number for number, _, _ in known),
        low=tuple(e.interval.low for _, _, e in known),
        high=tuple(e.interval.high for _, _, e in known),
    )


def _fidelity(row: TaskSubsets, title: str, name: str) -> Drawn:
    found = row.evaluation
    n = len(found.full)
    stride = math.ceil(n / MAX_POINTS)
    # Counted from the end, so that the last step of a run is among them.
    drawn = np.arange(n - 1, -1, -stride)[::-1]
    names = tuple(
        f"{row.who.models[i]}, seed {text.seed_name(row.who.train_seeds[i])}, step "
        f"{text.step_name(row.who.steps[i])}: full {text.score(found.full[i])}, "
        "estimated "
        for i in drawn
    )
    rows = _subsets(found)
    agreements = [_agreement(found, r) for r in rows]
    some = f" Of the checkpoints 1 in {stride} is drawn." if stride > 1 else ""
    return Drawn(
        name=f"{name}-fidelity",
        kind="menu",
        title="Estimates against full scores",
        about=f"{title}: ",
        sentence="Above, what a subset estimates for each checkpoint, with the "
        "interval of those held out; below, how far it is off, with the mean and 2 SD "
        "to either side of it for those held out. Those learnt from helped to choose "
        f"the subset, and flatter it.{some}",
        figure=fidelity_figure([text.place(value) for value in found.full[drawn]]),
        table=_agreement_table(title, rows, agreements),
        menu=Menu(
            name="Subset",
            choices=tuple(
                Choice(
                    label=_label(r),
                    y_title="estimated",
                    traces=fidelity_traces(_points(found, r, agreement, drawn)),
                )
                for r, agreement in zip(rows, agreements, strict=True)
            ),
            names=names,
        ),
    )


def _label(row: SubsetQuality) -> str:
    name = text.subset_name(row.method, row.estimator)
    label = f"{name}, {text.count(row.n_items, 'item')}"
    if math.isnan(row.mae.value):
        label += " (not all defined)"
    return label


def _agreement(found: SubsetEvaluation, row: SubsetQuality) -> Agreement:
    everyone = np.arange(len(found.full))
    return limits_of_agreement(row.values[found.fold, everyone], found.full)


def _points(
    found: SubsetEvaluation,
    row: SubsetQuality,
    agreement: Agreement,
    drawn: npt.NDArray[np.intp],
) -> Points:
    fold, full = found.fold[drawn], found.full[drawn]
    held, low, high = (part[fold, drawn] for part in (row.values, row.low, row.high))
    # Each respondent is learnt from in all parts but its own; one of them is drawn.
    learnt = row.values[(fold + 1) % found.n_folds, drawn]
    return Points(
        held_out=_places(held),
        above=_places(high - held),
        below=_places(held - low),
        held_out_words=tuple(
            f"{text.score(value)} {text.between(a, b, text.score)}".rstrip()
            for value, a, b in zip(held, low, high, strict=True)
        ),
        learnt=_places(learnt),
        learnt_words=tuple(text.score(value) for value in learnt),
        held_out_differences=_places(held - full),
        learnt_differences=_places(learnt - full),
        limits=tuple(map(text.place, (agreement.mean, agreement.low, agreement.high))),
    )


def _places(values: Floats) -> Places:
    return tuple(text.place(value) for value in values)


def _table(row: TaskSubsets, title: str) -> Table:
    def cell(estimate: Estimate, style: Callable[[float], str]) -> Cell:
        return estimate_cell(
            estimate, style, lambda e: text.between(*e.interval, style)
        )

    total = row.evaluation.n_items_total
    lines = []
    for r in row.evaluation.rows:
        codes = dict.fromkeys(c.code for e in r.estimates for c in e.cautions)
        lines.append(
            Line(
                cells=(
                    Cell(text=r.method, detail=r.estimator),
                    Cell(
                        text=f"{r.n_items:,}",
                        value=r.n_items,
                        detail=text.share(r.n_items, total),
                    ),
                    Cell(text=str(r.n_draws), value=r.n_draws),
                    cell(r.bias, text.spread),
                    cell(r.mae, text.spread),
                    number_cell(
                        100 * r.beats_random, lambda v: text.percent(v / 100), "control"
                    ),
                    cell(r.seed_sd, text.spread),
                    cell(r.half_width, text.spread),
                    cell(r.item_half_width, text.spread),
                    cell(r.coverage, text.percent),
                    cell(r.monotonicity, text.correlation),
                    cell(r.rank_correlation, text.correlation),
                    Cell(text=", ".join(codes) or "none"),
                ),
            )
        )
    return Table(
        caption=f"{title}: subsets on {text.HELD_OUT[row.evaluation.unit]}s held out",
        headings=(
            ("Method", False),
            ("Items", True),
            ("Draws", True),
            ("Bias", True),
            ("Mean abs. error", True),
            ("Better than random %", True),
            ("Seed SD, avg. (E)", True),
            ("± of full score", True),
            ("± of all items", True),
            ("Covers %", True),
            ("Monot.", True),
            ("Tau over models", True),
            ("Cautions", False),
        ),
        lines=tuple(lines),
    )


def _agreement_table(
    title: str,
    rows: Sequence[SubsetQuality],
    agreements: Sequence[Agreement],
) -> Table:
    def number(value: float) -> Cell:
        return number_cell(value, text.spread, "needs 2 checkpoints")

    return Table(
        caption=f"{title}: differences of estimate and full score, of those held out",
        headings=(
            ("Method", False),
            ("Items", True),
            ("Checkpoints", True),
            ("Mean difference", True),
            ("SD", True),
            ("Mean − 2 SD", True),
            ("Mean + 2 SD", True),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=r.method, detail=r.estimator),
                    Cell(text=f"{r.n_items:,}", value=r.n_items),
                    Cell(text=f"{a.n:,}", value=a.n),
                    number(a.mean),
                    number(a.sd),
                    number(a.low),
                    number(a.high),
                ),
            )
            for r, a in zip(rows, agreements, strict=True)
        ),
    )
