"""Which tasks tell models apart? Signal against noise, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any

from harness.report import text
from harness.report.cells import (
    Cell,
    Drawn,
    Line,
    Table,
    condition_detail,
    estimate_cell,
    number_cell,
    packed,
)
from harness.report.figures.signal import Mark, decision_figure, signal_figure
from harness.report.figures.style import NAME
from harness.report.gather import ReportData
from harness.stats.decisions import N_LAST
from harness.stats.estimate import Estimate
from harness.stats.signal_table import TaskSignal
from harness.stats.suites import Suite, suites

FILLS = {
    "one-model": "list checkpoints of a second model in the suite and run it again",
    "one-checkpoint": text.FILLS["one-checkpoint"],
    "scale-near-zero": "`evalvar snr STORE --scale score` has them",
    "few-checkpoints": "list 5 or more steps of each run in the suite and run it again",
}
"""What to do about a task that has no place in the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteView:
    """Tasks whose mean the reader can look at, whichever of them are chosen."""

    metric: str
    sentence: str
    """What the mean of all of them shows, and what they share."""

    labels: tuple[str, ...]
    data: dict[str, Any]
    """Each run's model, how many steps, and scores of tasks × runs × steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalView:
    """The section on signal and noise."""

    drawn: tuple[Drawn, ...]
    missing: tuple[str, ...]
    """What has no place in the figure, and why."""

    cautions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Code, text and names of the rows."""

    methods: tuple[str, ...]
    suites: tuple[SuiteView, ...]
    alone: tuple[str, ...]
    """What can be averaged with nothing, and why."""

    has_decisions: bool
    """Whether larger models were named, and so decisions can be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A row of the table with its names."""

    row: TaskSignal
    kind: str
    label: str
    """In figures, where the kind has a mark of its own."""

    name: str
    """In words, with the metric."""


def signal_view(data: ReportData) -> SignalView | None:
    """Return the section; ``None`` where there is nothing to show."""
    refused = [r for r in data.refusals if r.analysis == "signal"]
    if not data.signals and not refused:
        return None
    rows = _named(data)
    reasons: dict[str, list[str]] = {}
    for one in rows:
        if reason := _lacks(one.row):
            reasons.setdefault(reason, []).append(one.name)
    for refusal in refused:
        name = f"{text.condition_name(refusal.who)} ({refusal.who.metric})"
        reasons.setdefault(text.clean(refusal.text), []).append(name)
    missing = tuple(
        f"{', '.join(names)}: {reason}." for reason, names in reasons.items()
    )
    named = {id(one.row): one.name for one in rows}
    found, left_out = suites(data.signals)
    alone: dict[str, list[str]] = {}
    for row, reason in left_out:
        alone.setdefault(reason, []).append(named[id(row)])
    drawn = (_scatter(rows), *_decisions(rows)) if rows else ()
    return SignalView(
        drawn=drawn,
        missing=missing,
        cautions=_cautions(rows),
        methods=_methods(rows),
        suites=tuple(_suite(one) for one in found if len(one.steps) == N_LAST),
        alone=tuple(f"{', '.join(names)}: {why}." for why, names in alone.items())
        if found
        else (),
        has_decisions=any(one.row.averaging for one in rows),
    )


def _named(data: ReportData) -> list[_Named]:
    """Return the rows, each condition's discrete metric before its continuous one."""
    metrics = {(_key(row), row.discrete.metric) for row in data.variance}
    groups: dict[Any, dict[str, list[TaskSignal]]] = {}
    for row in data.signals:
        is_discrete = (_key(row.who), row.who.metric) in metrics
        kinds = groups.setdefault(_key(row.who), {"discrete": [], "continuous": []})
        kinds["discrete" if is_discrete else "continuous"].append(row)
    pairs = [
        dict(zip(kinds, pair, strict=True))
        for kinds in groups.values()
        for pair in zip_longest(*kinds.values())
    ]
    whos = [next(row.who for row in pair.values() if row) for pair in pairs]
    labels = text.task_labels(whos, limit=NAME)
    names = text.task_labels(whos)
    return [
        _Named(row=row, kind=kind, label=label, name=f"{name} ({row.who.metric})")
        for pair, label, name in zip(pairs, labels, names, strict=True)
        for kind, row in pair.items()
        if row
    ]


def _key(row: Any) -> tuple[Any, ...]:
    return row.task, row.formulation, row.num_fewshot, row.template, row.generation


def _lacks(row: TaskSignal) -> str:
    """Return why a row has no place in the figure; empty where it has one."""
    found = row.signal_noise
    for estimate in (found.signal, found.noise):
        if math.isnan(estimate.value):
            reason = estimate.cautions[0]
            break
        if estimate.value == 0:
            return f"its {estimate.quantity} is 0, which a log axis has no place for"
    else:
        few = [c for c in found.noise.cautions if c.code == "few-checkpoints"]
        if not few:
            return ""
        reason = few[0]
    fill = FILLS.get(reason.code)
    return f"{reason.text}; {fill}" if fill else reason.text


def _scatter(rows: Sequence[_Named]) -> Drawn:
    shown = [one for one in rows if not _lacks(one.row)]
    marks = {id(one): _mark(one) for one in shown}
    arrows = [
        (marks[id(one)], marks[id(other)])
        for one, other in pairwise(shown)
        if one.label == other.label
    ]
    sentence = text.signal_sentence(
        [one.name for one in shown], [one.row.signal_noise for one in shown]
    )
    return Drawn(
        name="signal-noise",
        kind="cloud",
        title="Signal against noise",
        sentence=sentence,
        figure=signal_figure(list(marks.values()), arrows) if marks else None,
        table=_table(rows),
    )


def _mark(one: _Named) -> Mark:
    found = one.row.signal_noise
    told = ", ".join(
        f"{name} {style(e.value)} {text.between(*e.interval, style)}".rstrip()
        for name, e, style in (
            ("signal", found.signal, text.spread),
            ("noise", found.noise, text.spread),
            ("SNR", found.snr, text.ratio),
        )
    )
    return Mark(
        label=one.label,
        sentence=f"{one.name}: {told}, SNR of equals "
        f"{text.ratio(found.snr_of_equals)}, {text.count(one.row.n_items, 'item')}",
        task=one.row.who.task,
        kind=one.kind,
        x=found.noise.value,
        y=found.signal.value,
        n_items=one.row.n_items,
    )


def _decisions(rows: Sequence[_Named]) -> tuple[Drawn, ...]:
    """Return the figure of decisions, where larger models were named."""
    judged = [one for one in rows if one.row.averaging]
    if not judged:
        return ()
    marks = [
        Mark(
            label=one.label,
            sentence=f"{one.name}: SNR {text.ratio(found.snr.value)}, decisions right "
            f"{text.percent(right.value)} % {text.percent_interval(right)}",
            task=one.row.who.task,
            kind=one.kind,
            x=found.snr.value,
            y=right.value,
            n_items=one.row.n_items,
        )
        for one in judged
        for found in [one.row.signal_noise]
        for right in [found.decision_accuracy]
        if found.snr.value > 0 and not math.isnan(right.value)
    ]
    sentence = (
        "How often the order of two small models is that of the larger ones that they "
        "stand for; half of the decisions are right by luck."
    )
    if not marks:
        reason = judged[0].row.signal_noise.decision_accuracy.cautions
        sentence = f"Not drawn: {reason[0].text}." if reason else "Not drawn: no SNR."
    return (
        Drawn(
            name="signal-decisions",
            kind="cloud",
            title="Decision accuracy against signal to noise",
            sentence=sentence,
            figure=decision_figure(marks) if marks else None,
            table=_decision_table(judged),
        ),
    )


def _suite(one: Suite) -> SuiteView:
    whole = one.signal_noise(range(len(one.tasks)))
    models = list(dict.fromkeys(model for model, _ in one.runs))
    told = "no SNR"
    if not math.isnan(whole.snr.value):
        told = (
            f"signal {text.spread(whole.signal.value)}, noise "
            f"{text.spread(whole.noise.value)}, SNR {text.ratio(whole.snr.value)} "
            f"{text.ratio_interval(whole.snr)}".rstrip()
        )
    return SuiteView(
        metric=one.metric,
        sentence=f"These {len(one.tasks)} tasks can be averaged, since the same "
        f"{text.count(len(one.runs), 'run')} of {len(models)} models answered them at "
        f"the same last {len(one.steps)} steps ({text.step_name(one.steps[0])} to "
        f"{text.step_name(one.steps[-1])}). Mean of all of them: {told}; models that "
        f"are all the same would show an SNR of {text.ratio(whole.snr_of_equals)}.",
        labels=tuple(text.task_labels([row.who for row in one.tasks])),
        data={
            "models": [models.index(model) for model, _ in one.runs],
            "steps": len(one.steps),
            "scores": packed(one.scores),
        },
    )


def _table(rows: Sequence[_Named]) -> Table:
    lines = []
    for one in rows:
        row, found = one.row, one.row.signal_noise
        codes = dict.fromkeys(c.code for c in row.cautions)
        lines.append(
            Line(
                cells=(
                    Cell(
                        text=text.clean(row.who.task), detail=condition_detail(row.who)
                    ),
                    Cell(text=row.who.metric),
                    _count(row.n_items),
                    _count(found.n_models),
                    _count(found.n_runs),
                    _count(found.n_last),
                    estimate_cell(found.signal, text.spread, text.spread_interval),
                    estimate_cell(found.noise, text.spread, text.spread_interval),
                    estimate_cell(found.snr, text.ratio, text.ratio_interval),
                    number_cell(
                        found.snr_of_equals, text.ratio, "needs a signal and a noise"
                    ),
                    estimate_cell(
                        found.decision_accuracy, text.percent, text.percent_interval
                    ),
                    estimate_cell(
                        row.total_variation, text.spread, text.spread_interval
                    ),
                    Cell(text=", ".join(codes) or "none"),
                ),
                task=row.who.task,
            )
        )
    return Table(
        caption="Signal and noise of each task",
        headings=(
            ("Task", False),
            ("Metric", False),
            ("Items", True),
            ("Models", True),
            ("Runs", True),
            ("Last n", True),
            ("Signal", True),
            ("Noise", True),
            ("SNR", True),
            ("SNR of equals", True),
            ("Decisions right %", True),
            ("Total variation", True),
            ("Cautions", False),
        ),
        lines=tuple(lines),
    )


def _decision_table(rows: Sequence[_Named]) -> Table:
    def cells(estimate: Estimate) -> Cell:
        return estimate_cell(estimate, text.percent, text.percent_interval)

    return Table(
        caption="Decisions by small models, judged by larger ones",
        headings=(
            ("Task", False),
            ("SNR", True),
            ("Last checkpoint %", True),
            ("Averaged %", True),
            ("Gain, points", True),
            ("Averaged over", True),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=one.name),
                    estimate_cell(
                        one.row.signal_noise.snr, text.ratio, text.ratio_interval
                    ),
                    cells(gain.last),
                    cells(gain.averaged),
                    cells(gain.gain),
                    _count(gain.n_last),
                ),
                task=one.row.who.task,
            )
            for one in rows
            if (gain := one.row.averaging)
        ),
    )


def _count(n: int) -> Cell:
    return Cell(text=f"{n:,}", value=n)


def _cautions(
    rows: Sequence[_Named],
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    return text.alike(
        (one.name, caution)
        for one in rows
        for caution in one.row.cautions
        # That no larger model was named is said once, with what to do.
        if caution.code != "no-larger-models"
    )


def _methods(rows: Sequence[_Named]) -> tuple[str, ...]:
    """Return how each quantity was computed, each way once."""
    found: dict[str, None] = {}
    for one in rows:
        for estimate in (*one.row.signal_noise.estimates, one.row.total_variation):
            if not math.isnan(estimate.value):
                name = estimate.quantity.replace("_", " ").replace("snr", "SNR")
                found[f"{name}: {estimate.method}"] = None
    return tuple(found)
