"""Green or red, what broke, and why? The views of a gate's verdict."""

from __future__ import annotations

import math
from typing import Any

from harness.gate.results import STATES, GateResult, State
from harness.gate.results import Cell as Gated
from harness.report import text
from harness.report.cells import Cell, Drawn, Line, Table, condition_detail, number_cell
from harness.report.figures.compare import GREY, ForestRow, Mark, forest_figure
from harness.report.figures.style import NAME
from harness.report.section import Section
from harness.report.sheets.gate import (
    BROKEN,
    MISSING,
    SIGNS,
    environment_lines,
    legend,
    missing_words,
    other_sentences,
    policy_words,
    state_word,
    tier_sentences,
    verdict_sentence,
)
from harness.report.views.compare import Flipping, flips_section, forest

PLACES: dict[State, tuple[int, str]] = {
    "regression": (1, "triangle-down"),
    "known": (1, "triangle-down-open"),
    "recovered": (0, "triangle-up-open"),
    "improved": (0, "triangle-up"),
    "no worse": (2, "square"),
    "passed": (GREY, "circle-open"),
}
"""Style and marker of each state that has a place; what is inconclusive is text."""

MARKS = {
    str(state): Mark(words=f"{SIGNS[state]} {state}", place=place, symbol=symbol)
    for state, (place, symbol) in PLACES.items()
}

NOT_ASKED = "the policy lets items alone decide"
"""Why history predicts nothing, where it was not asked."""

TONES = {"regression": "worse", "known": "worse", "improved": "better"}


def gate_summary(result: GateResult) -> Section:
    """Return the verdict in words, and what it rests on."""
    counts = [(state, n) for state in STATES if (n := result.counts[state])]
    chips = [
        (f"{n:,}", state_word(state), "warn" if state in ("regression",) else "")
        for state, n in counts
    ]
    if result.missing:
        chips.append((f"{len(result.missing):,}", MISSING, "warn"))
    return Section(
        name="gate",
        title="Verdict",
        view={
            "status": result.status,
            "verdict": verdict_sentence(result),
            "chips": chips,
            "sentences": [*tier_sentences(result), *other_sentences(result)],
            "environment": environment_lines(result),
            "facts": _facts(result),
        },
    )


def _facts(result: GateResult) -> list[tuple[str, str]]:
    return [
        ("candidate", text.clean(str(result.candidate))),
        ("baseline", ", ".join(text.clean(str(one)) for one in result.baselines)),
        ("judged on", result.on.isoformat()),
        ("checkpoints since the baseline", f"{result.look:,}"),
        ("policy", policy_words(result.policy)),
    ]


def gated_section(result: GateResult) -> Section:
    """Return each gated comparison, as a forest and a table."""
    cells = list(result.in_order())
    labels = text.task_labels(cells, limit=NAME)
    names = text.task_labels(cells)
    rows = [
        _forest_row(cell, label, name)
        for cell, label, name in zip(cells, labels, names, strict=True)
    ]
    metrics = ", ".join(dict.fromkeys(cell.metric for cell in cells))
    drawn = Drawn(
        name="gate-forest",
        kind="forest",
        title="Candidate less baseline, task by task",
        sentence=_sentence(cells, names),
        figure=forest_figure(
            f"candidate − baseline ({metrics})",
            MARKS,
            "interval with checkpoints' noise",
        )
        if cells
        else None,
        table=_table(result, cells, names),
        extra={"candidates": [forest(str(result.candidate), rows, MARKS)]},
    )
    return Section(
        name="gated",
        title="Comparisons",
        view={"drawn": drawn, "legend": legend(result), "methods": _methods(cells)},
        drawn=(drawn,),
        scripts=("compare.js",),
    )


def gate_flips(result: GateResult) -> list[Section]:
    """Return where differences come from; nothing where no item changed."""
    cells = list(result.in_order())
    labels = text.task_labels(cells, limit=NAME)
    names = text.task_labels(cells)
    return flips_section(
        [
            Flipping(
                label=label, name=name, row=cell.against_baseline, state=cell.state
            )
            for cell, label, name in zip(cells, labels, names, strict=True)
        ]
    )


def _forest_row(cell: Gated, label: str, name: str) -> tuple[ForestRow, dict[str, Any]]:
    row = cell.against_baseline
    return ForestRow(
        label=label,
        sentence=_cell_sentence(cell, name),
        task=cell.task,
        mark=cell.state,
        value=row.difference.value,
        interval=row.difference.interval,
        outer=cell.with_noise,
        delta=cell.delta,
    ), {
        "state": cell.state,
        "n": row.n_items,
        "note": f"{state_word(cell.state)}: {'; '.join(cell.reasons)}",
    }


def _cell_sentence(cell: Gated, name: str) -> str:
    row, look = cell.against_baseline, cell.against_history
    told = [
        f"{name}: {state_word(cell.state)}",
        f"{cell.tier}",
        f"difference {text.signed(row.difference.value)} "
        f"{text.signed_interval(row.difference.interval)}".rstrip(),
    ]
    if ends := text.signed_interval(cell.with_noise):
        told.append(f"with noise {ends}")
    if look is not None:
        told.append(
            f"score {text.score(look.score)}, predicted {text.score(look.expected)} "
            f"{text.between(*look.prediction, text.score)}"
        )
    return ", ".join([*told, text.count(row.n_items, "item"), *cell.reasons[:1]])


def _sentence(cells: list[Gated], names: list[str]) -> str:
    def named(state: State) -> list[str]:
        return [
            f"{name} ({text.signed(cell.against_baseline.difference.value)})"
            for cell, name in zip(cells, names, strict=True)
            if cell.state == state
        ]

    red, known = named("regression"), named("known")
    if not cells:
        return "No task was put to both candidate and baseline."
    if not red:
        if known:
            return f"No task is newly worse; known: {_listed(known)}."
        return "No task is surely worse than the baseline, the history and the noise."
    return f"Red: {_listed(red)}{f'; known: {_listed(known)}' if known else ''}."


def _listed(names: list[str]) -> str:
    more = len(names) - text.MAX_SENTENCES
    shown = ", ".join(names[: text.MAX_SENTENCES])
    return f"{shown}{f' and {more} more' if more > 0 else ''}"


def _table(result: GateResult, cells: list[Gated], names: list[str]) -> Table:
    lines = [_line(cell, name) for cell, name in zip(cells, names, strict=True)]
    lines += [_line(t.mean, f"mean of {t.tier}") for t in result.tiers if t.mean]
    lines += [
        Line(
            cells=(
                Cell(text=text.clean(one.task)),
                Cell(text=one.tier),
                Cell(
                    text=BROKEN if one.is_broken else MISSING,
                    detail=text.clean(missing_words(one)),
                    tone="worse" if one.decision == "fail" else "",
                ),
                *[Cell(text=text.UNDEFINED, reason="no comparison")] * 9,
            ),
            task=one.task,
        )
        for one in result.missing
    ]
    return Table(
        caption="Gated comparisons, the worst first",
        headings=(
            ("Task", False),
            ("Tier", False),
            ("State", False),
            ("Baseline", True),
            ("Candidate", True),
            ("Difference", True),
            ("With noise", True),
            ("δ", True),
            ("Predicted", True),
            ("Noise SD", True),
            ("p", True),
            ("p, corrected", True),
        ),
        lines=tuple(lines),
    )


def _line(cell: Gated, name: str) -> Line:
    row, look = cell.against_baseline, cell.against_history
    known = cell.acknowledged
    until = f" until {known.until.isoformat()}" if known and known.until else ""
    return Line(
        cells=(
            Cell(text=name, detail=f"{cell.metric} · {condition_detail(cell)}"),
            Cell(text=cell.tier),
            Cell(
                text=state_word(cell.state),
                detail="; ".join(map(text.clean, cell.reasons)),
                tone=TONES.get(cell.state, ""),
                badges=(
                    *((f"acknowledged{until}",) if known else ()),
                    *(("confirmed",) if cell.is_confirmed else ()),
                ),
            ),
            _score(row.baseline.score.value, text.interval(row.baseline.score)),
            _score(row.candidate.score.value, text.interval(row.candidate.score)),
            _signed(
                row.difference.value, text.signed_interval(row.difference.interval)
            ),
            Cell(text=text.signed_interval(cell.with_noise) or text.UNDEFINED),
            Cell(text=text.spread(cell.delta), value=cell.delta),
            Cell(text=text.UNDEFINED, reason=cell.no_prediction or NOT_ASKED)
            if look is None
            else _score(look.expected, text.between(*look.prediction, text.score)),
            number_cell(cell.noise.sd, text.spread, "noise is not known"),
            number_cell(cell.p_value, text.p_value, "no test"),
            number_cell(cell.p_adjusted, text.p_value, "no test"),
        ),
        task=cell.task,
        state=cell.state,
    )


def _score(value: float, detail: str) -> Cell:
    if math.isnan(value):
        return number_cell(value, text.score, "no score")
    return Cell(text=text.score(value), value=value, detail=detail)


def _signed(value: float, detail: str) -> Cell:
    if math.isnan(value):
        return number_cell(value, text.signed, "too few items")
    return Cell(text=text.signed(value), value=value, detail=detail)


def _methods(cells: list[Gated]) -> tuple[str, ...]:
    found = dict.fromkeys(
        [f"Difference: {cell.against_baseline.difference.method}." for cell in cells]
        + [f"Noise: {cell.noise.source}." for cell in cells]
        + [f"History: {c.against_history.method}." for c in cells if c.against_history]
    )
    return tuple(found)
