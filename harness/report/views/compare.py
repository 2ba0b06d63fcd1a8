"""Which differences are real? The views of a comparison, whichever page has them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.report import text
from harness.report.cells import (
    Cell,
    Choice,
    Drawn,
    Line,
    Menu,
    Table,
    condition_detail,
    number_cell,
)
from harness.report.figures.compare import (
    GREY,
    ForestRow,
    Mark,
    flips_axis,
    flips_figure,
    flips_traces,
    forest_figure,
    forest_range,
    forest_traces,
    is_drawn,
    pairs_figure,
    pairs_traces,
)
from harness.report.figures.style import NAME, escape
from harness.report.section import Section
from harness.stats.compare.results import (
    Comparison,
    PairTable,
    Side,
    TaskDifference,
    Verdict,
)
from harness.stats.estimate import Interval

PLACES: Mapping[Verdict, tuple[int, str]] = {
    "better": (0, "triangle-up"),
    "worse": (1, "triangle-down"),
    "no worse": (2, "square"),
    "unclear": (GREY, "circle-open"),
}

MARKS = {
    str(name): Mark(words=f"{text.SIGNS[name]} {name}", place=place, symbol=symbol)
    for name, (place, symbol) in PLACES.items()
}
"""How each verdict is drawn that has a place; others are rows of text."""

MAX_FLIPPED = 40
"""Places of items, on either side, that the page keeps of a task and candidate."""

NOTE = 90
"""Characters of what stands in a row that has no place; the table has all of it."""

MAX_PAIRS = 500
"""Rows of the table of pairs; of more, it has those of the average alone."""

ENOUGH_DISCORDANT = 10
"""Flipped items below which a reader is told that the test is an exact one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One difference with its names."""

    label: str
    name: str
    """In full, for tables."""

    asked: Any
    """What tells its condition from others."""

    row: TaskDifference
    is_average: bool = False


def compare_sections(comparison: Comparison) -> list[Section]:
    """Return differences, flips and pairs; those of which there is something."""
    rows = _rows(comparison)
    sections = [
        _differences(comparison, rows),
        *flips_section(
            [
                Flipping(label=one.label, name=one.name, row=one.row)
                for one in rows
                if not one.is_average
            ]
        ),
    ]
    if len(comparison.choices) > 2 and rows:
        sections.append(_pairs(comparison))
    return sections


def candidates(comparison: Comparison) -> tuple[str, ...]:
    """Return names of all choices but the baseline."""
    return comparison.names[1:]


def _rows(comparison: Comparison) -> list[_Row]:
    labels = text.task_labels(comparison.tasks, limit=NAME)
    names = text.task_labels(comparison.tasks)
    rows = [
        _Row(label=label, name=name, asked=task, row=row)
        for task, label, name in zip(comparison.tasks, labels, names, strict=True)
        for row in task.differences
    ]
    if comparison.average:
        name = f"average of {text.count(len(comparison.tasks), 'task')}"
        rows += [
            _Row(
                label=name,
                name=name,
                asked=comparison.average,
                row=row,
                is_average=True,
            )
            for row in comparison.average.differences
        ]
    return rows


# ---- the forest ----------------------------------------------------------------


def _differences(comparison: Comparison, rows: Sequence[_Row]) -> Section:
    names = [name for name in candidates(comparison) if _of(rows, name)]
    metrics = ", ".join(dict.fromkeys(task.metric for task in comparison.tasks))
    drawn = Drawn(
        name="difference-forest",
        kind="forest",
        title="Differences, task by task",
        sentence=_forest_sentence(comparison, rows),
        figure=forest_figure(
            f"candidate − {text.shortened(comparison.baseline, NAME)} ({metrics})",
            MARKS,
            "interval after correction",
        )
        if any(_is_judged(one.row) for one in rows)
        else None,
        table=_difference_table(comparison, rows),
        menu=_candidate_menu(names),
        extra={
            "candidates": [
                forest(
                    name,
                    sorted(
                        map(_forest_row, _of(rows, name)),
                        key=lambda pair: _by_lower_bound(pair[0]),
                    ),
                    MARKS,
                )
                for name in names
            ]
        },
    )
    return Section(
        name="differences",
        title="Differences",
        view={
            "drawn": drawn,
            "findings": difference_findings(comparison),
            "missing": _listed_by_reason(comparison.uncompared),
            "mismatches": _mismatches(rows),
            "cautions": _cautions(comparison, rows),
            "methods": _methods(comparison, rows),
        },
        drawn=(drawn,),
        scripts=("compare.js",),
    )


def _of(rows: Iterable[_Row], candidate: str) -> list[_Row]:
    return [one for one in rows if one.row.candidate.name == candidate]


def _candidate_menu(names: Sequence[str]) -> Menu | None:
    """Return a menu of candidates, where there are several; traces are their own."""
    if len(names) < 2:
        return None
    return Menu(
        name="Candidate",
        choices=tuple(
            Choice(label=text.clean(n), y_title="", traces=()) for n in names
        ),
    )


def _forest_row(one: _Row) -> tuple[ForestRow, dict[str, Any]]:
    row = one.row
    return ForestRow(
        label=one.label,
        sentence=text.difference_sentence(one.name, row),
        task=row.task,
        mark=row.verdict,
        value=row.difference.value,
        interval=row.difference.interval,
        outer=row.corrected,
        delta=row.delta,
        is_average=one.is_average,
    ), {
        "verdict": row.verdict,
        "n": row.n_items,
        "note": f"{text.SIGNS[row.verdict]} {_note(row)}",
    }


def forest(
    name: str,
    rows: Sequence[tuple[ForestRow, dict[str, Any]]],
    marks: Mapping[str, Mark],
) -> dict[str, Any]:
    """Return what the page's script needs to draw the rows of one candidate.

    Parameters
    ----------
    rows : sequence of (ForestRow, dict)
        Each with what it is filtered by, and its note if it has no place.
    """
    shown = [row for row, _ in rows]
    return {
        "name": name,
        "rows": [
            {
                **also,
                "label": escape(row.label),
                **({} if row.is_average else {"task": row.task}),
                "last": row.is_average,
                "value": text.place(row.value),
                "note": ""
                if is_drawn(row, marks)
                else escape(text.shortened(also["note"], NOTE)),
            }
            for row, also in rows
        ],
        "range": forest_range(shown, marks),
        "traces": list(forest_traces(shown, marks)),
    }


def _by_lower_bound(row: ForestRow) -> tuple[bool, bool, float]:
    """Return an order: what is surely better on top, what is not drawn below."""
    low = row.interval.low
    return row.is_average, math.isnan(low), 0.0 if math.isnan(low) else -low


def _note(row: TaskDifference) -> str:
    return f"{row.verdict}: {row.reason}" if row.reason else row.verdict


def difference_findings(comparison: Comparison) -> list[str]:
    """Return what each candidate is, beside the baseline, in plain sentences."""
    told = _alarms(comparison)
    for name in candidates(comparison):
        rows = [r for r in comparison.differences if r.candidate.name == name]
        if not rows:
            continue
        average = comparison.average.differences if comparison.average else ()
        mean = next((r for r in average if r.candidate.name == name), None)
        words = (
            f"{text.clean(name)} against {text.clean(comparison.baseline)}: "
            f"{text.verdict_counts(rows)} of {text.count(len(rows), 'task')}"
        )
        if mean is not None and not math.isnan(mean.difference.value):
            words += (
                f"; on average over tasks {text.signed(mean.difference.value)} "
                f"{text.signed_interval(mean.difference.interval)}, {mean.verdict}"
            )
        told.append(f"{words}.")
    return told


def _forest_sentence(comparison: Comparison, rows: Sequence[_Row]) -> str:
    if not rows:
        return "No task was put to both a candidate and the baseline."
    return " ".join([*_alarms(comparison), _forest_finding(comparison, rows)])


def _alarms(comparison: Comparison) -> list[str]:
    found = (c.text for c in comparison.cautions if c.code in text.ALARMS)
    return [f"{text.clean(words)}." for words in found]


def _forest_finding(comparison: Comparison, rows: Sequence[_Row]) -> str:
    surest = [one for one in rows if one.row.verdict in ("better", "worse")]
    own = [one for one in surest if not one.is_average]
    if not any(_is_judged(one.row) for one in rows):
        return f"No difference could be judged. {_why_unjudged(rows)}"
    level = f"{100 * comparison.confidence_level:g} %"
    if not own:
        return (
            f"No task shows a sure difference from {text.clean(comparison.baseline)}. "
            "That is not to say that there is none: the table has the smallest that "
            "could have been seen."
        )
    largest = max(own, key=lambda one: abs(one.row.difference.value))
    return (
        f"The largest sure difference: {text.clean(largest.row.candidate.name)} is "
        f"{largest.row.verdict} on {largest.name}, "
        f"{text.signed(largest.row.difference.value)} "
        f"{text.signed_interval(largest.row.corrected)} once all tasks are allowed "
        f"for. Thick lines are {level} intervals of one task alone, thin ones allow "
        "for all tasks, and verdicts are theirs."
    )


def _is_judged(row: TaskDifference) -> bool:
    return row.verdict in MARKS and not math.isnan(row.difference.value)


def _why_unjudged(rows: Sequence[_Row]) -> str:
    told = [
        text.clean(f"{one.name}, {one.row.candidate.name}: {_note(one.row)}")
        for one in rows
    ]
    more = len(told) - text.MAX_SENTENCES
    rest = f"; {more:,} more are in the table" if more > 0 else ""
    return f"{'; '.join(told[: text.MAX_SENTENCES])}{rest}."


def _difference_table(comparison: Comparison, rows: Sequence[_Row]) -> Table:
    baseline = text.clean(comparison.baseline)
    return Table(
        caption=f"Candidates less {baseline}, paired by item",
        headings=(
            ("Task", False),
            ("Candidate", False),
            ("Verdict", False),
            ("Difference", True),
            ("After correction", True),
            ("However often looked at", True),
            ("These checkpoints alone", True),
            (baseline, True),
            ("Candidate's score", True),
            ("Items", True),
            ("p", True),
            ("p, corrected", True),
            ("Could have seen", True),
            ("Cautions", False),
        ),
        lines=tuple(_difference_line(one) for one in rows),
    )


def _difference_line(one: _Row) -> Line:
    row = one.row
    is_judged = row.verdict in MARKS
    reason = row.difference.cautions[0].text if row.difference.cautions else row.reason

    def number(value: float, style: Callable[[float], str]) -> Cell:
        # A number beside "not comparable" would be read all the same.
        return number_cell(value if is_judged else math.nan, style, reason)

    def ends(interval: Interval) -> str:
        return text.signed_interval(interval) if is_judged else ""

    codes = dict.fromkeys(c.code for c in (*row.cautions, *row.difference.cautions))
    return Line(
        cells=(
            Cell(
                text=one.name,
                detail=""
                if one.is_average
                else f"{row.metric} · {condition_detail(one.asked)}",
            ),
            Cell(text=text.clean(row.candidate.name)),
            verdict_cell(row),
            replace(
                number(row.difference.value, text.signed),
                detail=ends(row.difference.interval),
            ),
            Cell(text=ends(row.corrected) or text.UNDEFINED),
            Cell(text=ends(row.sequential) or text.UNDEFINED)
            if row.sequential
            else Cell(text=text.UNDEFINED, reason="was not asked for"),
            Cell(text=ends(row.over_items) or text.UNDEFINED),
            _side_cell(row.baseline),
            _side_cell(row.candidate),
            Cell(
                text=f"{row.n_items:,}",
                value=row.n_items,
                detail=f"{row.n_unpaired:,} unpaired" if row.n_unpaired else "",
            ),
            number(row.p_value, text.p_value),
            number(row.p_adjusted, text.p_value),
            number(
                row.smallest_detectable
                if math.isfinite(row.smallest_detectable)
                else math.nan,
                text.spread,
            ),
            Cell(text=", ".join(codes)),
        ),
        task="" if one.is_average else row.task,
        candidate=row.candidate.name,
        verdict=row.verdict,
    )


def verdict_cell(row: TaskDifference) -> Cell:
    """Return a verdict as sign and word, with what it rests on."""
    return Cell(
        text=text.verdict(row),
        detail=row.reason,
        tone=row.verdict if row.verdict in ("better", "worse") else "",
    )


def _side_cell(side: Side) -> Cell:
    cell = number_cell(side.score.value, text.score, "no score")
    return Cell(
        text=cell.text,
        value=cell.value,
        reason=cell.reason,
        detail=text.interval(side.score),
        badges=side_badges(side),
    )


def side_badges(side: Side) -> tuple[str, ...]:
    """Return what a side lacks."""
    if not side.is_partial:
        return ()
    return (f"partial: {side.n_items:,} of {side.n_items_total:,} items",)


def _listed_by_reason(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    reasons: dict[str, list[str]] = {}
    for what, reason in pairs:
        reasons.setdefault(reason, []).append(text.clean(what))
    return tuple(
        f"{', '.join(names)}: {text.clean(reason)}."
        for reason, names in reasons.items()
    )


def _mismatches(rows: Sequence[_Row]) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """Return what differs between sides: text, whether it blocks, and where."""
    found: dict[tuple[str, bool], dict[str, None]] = {}
    for one in rows:
        if one.is_average:
            continue
        for mismatch in one.row.mismatches:
            where = found.setdefault((mismatch.text, mismatch.blocks), {})
            where[f"{one.name}, {text.clean(one.row.candidate.name)}"] = None
    ordered = sorted(found.items(), key=lambda pair: not pair[0][1])
    return tuple(
        (text.clean(words), blocks, tuple(w)) for (words, blocks), w in ordered
    )


def _cautions(
    comparison: Comparison, rows: Sequence[_Row]
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    whole = tuple((c.code, c.text, ()) for c in comparison.cautions)
    own = text.alike(
        (f"{one.name}, {text.clean(one.row.candidate.name)}", caution)
        for one in rows
        for caution in (*one.row.cautions, *one.row.difference.cautions)
    )
    return (*whole, *own)


CORRECTIONS = {
    "holm": "Holm's, over each candidate's tasks: the chance that any of its "
    "verdicts of better or worse is wrong stays at the level",
    "bh": "Benjamini and Hochberg's, over each candidate's tasks: of its verdicts of "
    "better or worse, the expected share that is wrong stays at the level",
    "none": "none: each verdict may be wrong at the level, so that of many some are",
}


def _methods(comparison: Comparison, rows: Sequence[_Row]) -> tuple[str, ...]:
    methods = dict.fromkeys(
        one.row.difference.method
        for one in rows
        if not math.isnan(one.row.difference.value)
    )
    tests = dict.fromkeys(
        one.row.test for one in rows if not math.isnan(one.row.p_value)
    )
    return (
        *(f"Difference: {method}." for method in methods),
        *(f"Test: {test}." for test in tests),
        f"Correction: {CORRECTIONS[comparison.correction]}.",
        *(
            [f"Looking again is allowed for: {comparison.looks}."]
            if comparison.looks
            else []
        ),
        f"Fewer than {text.count(comparison.min_items, 'item')} are too few data.",
    )


# ---- flips ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipping:
    """One difference whose items are counted."""

    label: str
    name: str
    row: TaskDifference
    state: str = ""
    """Of a gate."""


def flips_section(rows: Sequence[Flipping]) -> list[Section]:
    """Return where differences come from; nothing where no item changed."""
    rows = [one for one in rows if one.row.n_items]
    if not any(one.row.flips.n_worse or one.row.flips.n_better for one in rows):
        return []
    names = list(dict.fromkeys(one.row.candidate.name for one in rows))
    drawn = Drawn(
        name="flip-bars",
        kind="flips",
        title="Items that flipped",
        sentence=_flips_sentence(rows),
        figure=flips_figure(),
        table=_flips_table(rows),
        menu=_candidate_menu(names),
        extra={
            "candidates": [
                _bars(name, [one for one in rows if one.row.candidate.name == name])
                for name in names
            ]
        },
    )
    return [
        Section(
            name="flips",
            title="Flips",
            view={"drawn": drawn},
            drawn=(drawn,),
            scripts=("compare.js",),
        )
    ]


def _flipped(row: TaskDifference) -> tuple[int, int]:
    """Return items lost and gained."""
    return row.flips.n_worse, row.flips.n_better


def _flip_words(row: TaskDifference) -> tuple[str, str]:
    return ("lost", "gained") if row.flips.is_counted else ("worse", "better")


def _flip_sentence(one: Flipping) -> str:
    flips = one.row.flips
    lost, gained = _flip_words(one.row)
    told = f"{one.name}: {lost} {flips.n_worse:,}, {gained} {flips.n_better:,}"
    if flips.is_counted:
        told += f", both right {flips.n_both:,}, neither {flips.n_neither:,}"
    else:
        told += f", the same {flips.n_equal:,}"
    if math.isnan(one.row.p_value):
        return told
    test = f" ({one.row.test})" if flips.is_counted else ""
    return f"{told}, p {text.p_value(one.row.p_value)}{test}"


def _is_few(row: TaskDifference) -> bool:
    return (
        row.flips.is_counted
        and row.flips.n_worse + row.flips.n_better < ENOUGH_DISCORDANT
        and "exact" in row.test
    )


def _bars(name: str, rows: Sequence[Flipping]) -> dict[str, Any]:
    ordered = sorted(rows, key=lambda one: -sum(_flipped(one.row)))
    counts = [_flipped(one.row) for one in ordered]
    is_counted = all(one.row.flips.is_counted for one in ordered)
    return {
        "name": name,
        "rows": [
            {
                "label": escape(one.label),
                "task": one.row.task,
                **_filtered(one),
                "name": one.name,
                "words": list(_flip_words(one.row)),
                "counts": list(pair),
                "items": [
                    list(places[:MAX_FLIPPED])
                    for places in (one.row.flips.lost, one.row.flips.gained)
                ],
            }
            for one, pair in zip(ordered, counts, strict=True)
        ],
        "axis": flips_axis(counts),
        "traces": list(
            flips_traces(
                [one.label for one in ordered],
                counts,
                ("lost", "gained") if is_counted else ("worse", "better"),
                [_flip_sentence(one) for one in ordered],
                [one.row.task for one in ordered],
            )
        ),
    }


def _filtered(one: Flipping) -> dict[str, str]:
    """Return what the page's filters go by; a gate's are states."""
    return {"state": one.state} if one.state else {"verdict": one.row.verdict}


def _flips_sentence(rows: Sequence[Flipping]) -> str:
    most = max(rows, key=lambda one: sum(_flipped(one.row)))
    return (
        "A difference of zero may hide many items that changed. Most did on "
        f"{_flip_sentence(most)}."
    )


def _flips_table(rows: Sequence[Flipping]) -> Table:
    def number(value: int | None) -> Cell:
        if value is None:
            return Cell(text=text.UNDEFINED, reason="scores are not right or wrong")
        return Cell(text=f"{value:,}", value=value)

    return Table(
        caption="Items by which side answers them right, or better",
        headings=(
            ("Task", False),
            ("Candidate", False),
            ("Lost", True),
            ("Gained", True),
            ("Both right", True),
            ("Neither", True),
            ("The same", True),
            ("p", True),
            ("Test", False),
            ("First places lost", False),
            ("First places gained", False),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=one.name),
                    Cell(text=text.clean(one.row.candidate.name)),
                    number(flips.n_worse),
                    number(flips.n_better),
                    number(flips.n_both),
                    number(flips.n_neither),
                    number(flips.n_equal),
                    number_cell(one.row.p_value, text.p_value, "no test"),
                    Cell(
                        text=one.row.test,
                        detail=f"fewer than {ENOUGH_DISCORDANT} flipped: exact test"
                        if _is_few(one.row)
                        else "",
                    ),
                    Cell(text=_places(flips.lost)),
                    Cell(text=_places(flips.gained)),
                ),
                task=one.row.task,
                candidate=one.row.candidate.name,
                **_filtered(one),
            )
            for one in rows
            for flips in [one.row.flips]
        ),
    )


def _places(places: Sequence[int]) -> str:
    some = ", ".join(str(place) for place in places[:8])
    return f"{some}, …" if len(places) > 8 else some


# ---- pairs ---------------------------------------------------------------------


def _pairs(comparison: Comparison) -> Section:
    labels = text.task_labels(comparison.tasks, limit=NAME)
    known = [
        (label, task.task, task.pairs)
        for task, label in zip(comparison.tasks, labels, strict=True)
        if task.pairs is not None
    ]
    if comparison.average and comparison.average.pairs:
        name = f"average of {text.count(len(comparison.tasks), 'task')}"
        known.insert(0, (name, "", comparison.average.pairs))
    metrics = ", ".join(dict.fromkeys(task.metric for task in comparison.tasks))
    level = comparison.confidence_level
    drawn = Drawn(
        name="pair-map",
        kind="pairs",
        title="Every choice against every other",
        sentence=_pairs_sentence(known, level),
        figure=pairs_figure(f"row − column ({metrics})") if known else None,
        table=_pairs_table(known),
        menu=Menu(
            name="Task",
            choices=tuple(
                Choice(label=label, y_title="", traces=(_map(label, table, level),))
                for label, _, table in known
            ),
        )
        if known
        else None,
        extra={
            "tasks": [task for _, task, _ in known],
            "names": [list(table.pairs.names) for _, _, table in known],
        },
    )
    return Section(
        name="pairs",
        title="Pairs",
        view={"drawn": drawn, "level": level},
        drawn=(drawn,),
        scripts=("compare.js",),
    )


def _short(names: Sequence[str]) -> list[str]:
    return text.unique(text.shortened(name, NAME) for name in names)


def _map(label: str, table: PairTable, level: float) -> dict[str, Any]:
    names = table.pairs.names
    words = [
        [
            "" if i == j else _pair_sentence(label, table, i, j, level)
            for j in range(len(names))
        ]
        for i in range(len(names))
    ]
    return pairs_traces(table, _short(names), words, level)


def _pair_sentence(label: str, table: PairTable, i: int, j: int, level: float) -> str:
    first, second = (text.clean(table.pairs.names[at]) for at in (i, j))
    difference = float(table.pairs.difference[i, j])
    ends = (float(table.low[i, j]), float(table.high[i, j]))
    p_value = float(table.p_adjusted[i, j])
    if math.isnan(difference):
        return f"{label}: {first} and {second} cannot be compared"
    sure = "" if p_value < 1 - level else ", unclear"
    return (
        f"{label}: {first} − {second} {text.signed(difference)} "
        f"{text.signed_interval(ends)}, p {text.p_value(p_value)} corrected{sure}"
    )


def _pairs_sentence(known: Sequence[tuple[str, str, PairTable]], level: float) -> str:
    if not known:
        return "No task was put to two choices that can be compared."
    label, _, table = known[0]
    n = len(table.pairs.names)
    sure = sum(
        bool(table.p_adjusted[i, j] < 1 - level) for i in range(n) for j in range(i)
    )
    pairs = text.count(n * (n - 1) // 2, "pair")
    return (
        f"{label[:1].upper()}{label[1:]}: {sure:,} of {pairs} differ surely. A tilde "
        "marks a difference that is unclear, once corrected for all tasks and pairs."
    )


def _pairs_table(known: Sequence[tuple[str, str, PairTable]]) -> Table:
    n_pairs = sum(len(t.pairs.names) * (len(t.pairs.names) - 1) // 2 for *_, t in known)
    shown = known if n_pairs <= MAX_PAIRS else known[:1]
    lines = []
    for label, task, table in shown:
        names = table.pairs.names
        for i in range(len(names)):
            for j in range(i + 1, len(names)):
                difference = float(table.pairs.difference[i, j])
                none = "not comparable"
                lines.append(
                    Line(
                        cells=(
                            Cell(text=label),
                            Cell(text=text.clean(names[i])),
                            Cell(text=text.clean(names[j])),
                            number_cell(difference, text.signed, none),
                            Cell(
                                text=text.signed_interval(
                                    (float(table.low[i, j]), float(table.high[i, j]))
                                )
                                or text.UNDEFINED
                            ),
                            number_cell(
                                float(table.p_adjusted[i, j]), text.p_value, none
                            ),
                        ),
                        task=task,
                    )
                )
    return Table(
        caption="All pairs, first less second"
        if len(shown) == len(known)
        else "All pairs of the average, first less second; hover boxes, and "
        "evalvar compare --json, have those of single tasks",
        headings=(
            ("Task", False),
            ("First", False),
            ("Second", False),
            ("Difference", True),
            ("Interval, corrected", True),
            ("p, corrected", True),
        ),
        lines=tuple(lines),
    )


def verdict_chips(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Return (number, noun, class) of what a comparison counts."""
    counts = Counter(row.verdict for row in comparison.differences)
    chips = [
        (len(comparison.choices), "choice", ""),
        (len(comparison.tasks), "task", ""),
    ]
    out = []
    for n, noun, kind in chips:
        number, _, rest = text.count(n, noun).partition(" ")
        out.append((number, rest, kind))
    for name in text.SIGNS:
        if n := counts[name]:
            warn = "warn" if name in ("worse", "not comparable", "too few data") else ""
            out.append((f"{n:,}", f"{text.SIGNS[name]} {name}", warn))
    return out
