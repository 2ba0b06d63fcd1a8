"""How does a comparison read? A part for each candidate, and who ranks where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.report.sheets.calibration import calibration_lines
from harness.report.sheets.sheet import NOTES, STANDING, Footnotes, Sheet
from harness.report.text import (
    ALARMS,
    UNDEFINED,
    clean,
    condition_name,
    count,
    score,
    signed,
    signed_interval,
    spread,
    verdict,
    verdict_counts,
)
from harness.stats.calibration import Calibration
from harness.stats.compare.results import (
    Comparison,
    RankRange,
    Side,
    TaskComparison,
    TaskDifference,
)
from harness.stats.estimate import Caution

CORRECTIONS = {"holm": "Holm", "bh": "Benjamini–Hochberg", "none": "uncorrected"}

FEW_TASKS = 6
"""Up to so many tasks each has its own ranks in the terminal; of more, the average."""

UNJUDGED = ("too few data", "not comparable")


def compare_sheets(
    comparison: Comparison,
    *,
    calibration: Sequence[Calibration] | None = None,
    next_command: str = "",
) -> list[Sheet]:
    """Return differences from the baseline, and ranks where there are 3 or more.

    Parameters
    ----------
    calibration : sequence of Calibration, optional
        Of equal models in the same data; nothing is said of it if left out.
    next_command : str
        What shows more of what is unclear.
    """
    sheets = [_difference_sheet(comparison, calibration, next_command)]
    if len(comparison.choices) > 2:
        sheets.append(_rank_sheet(comparison))
    return sheets


def _difference_sheet(
    comparison: Comparison,
    calibration: Sequence[Calibration] | None,
    next_command: str,
) -> Sheet:
    notes = Footnotes()
    rows = _rows(comparison)
    candidates = comparison.names[1:]
    parts = []
    for name in candidates:
        own = [row for row in rows if row.candidate.name == name]
        if own:
            title = f"{clean(name)} against {clean(comparison.baseline)}"
            parts.append((title, tuple(_cells(row, notes) for row in own)))
    return Sheet(
        columns=_columns(comparison),
        parts=tuple(parts),
        label="candidate",
        notes=notes.texts,
        remarks=(
            *_remarks(comparison),
            *(
                ()
                if calibration is None or not rows
                else calibration_lines(calibration)
            ),
        ),
        sentences=(*_sentences(comparison), *_next(rows, next_command)),
        alarms=tuple(_told_of_all(c) for c in comparison.cautions if c.code in ALARMS),
        frame=comparison.to_frame,
    )


def _rows(comparison: Comparison) -> tuple[TaskDifference, ...]:
    last = () if comparison.average is None else comparison.average.differences
    return (*comparison.differences, *last)


def _columns(comparison: Comparison) -> tuple[tuple[str, bool], ...]:
    level = f"{100 * comparison.confidence_level:.4g} %"
    after = CORRECTIONS[comparison.correction]
    return (
        ("task", False),
        ("form", False),
        ("items", True),
        ("baseline", True),
        ("±", True),
        ("candidate", True),
        ("±", True),
        ("differ-\nence", True),
        (f"interval\n({level}, {after})", False),
        ("could\nsee", True),
        ("verdict", False),
        (NOTES, False),
    )


def _cells(row: TaskDifference, notes: Footnotes) -> tuple[str, ...]:
    is_shown = row.verdict not in UNJUDGED
    words = verdict(row)
    if not is_shown:
        words += f": {clean(row.reason)}"
    told = [] if row.verdict == "too few data" else _told(row)
    return (
        condition_name(row),
        row.formulation or UNDEFINED,
        _n_items(row),
        *_score(row.baseline),
        *_score(row.candidate),
        signed(row.difference.value) if is_shown else "",
        signed_interval(row.corrected) if is_shown else "",
        spread(row.smallest_detectable) if is_shown else "",
        words,
        notes.marks(told),
    )


def _told(row: TaskDifference) -> Iterable[Caution]:
    yield from (c for c in row.cautions if c.code not in STANDING)
    for one in row.mismatches:
        yield Caution(one.what.replace(" ", "-"), clean(one.text))


def _n_items(row: TaskDifference) -> str:
    n = row.n_items or min(row.baseline.n_items, row.candidate.n_items)
    is_partial = row.baseline.is_partial or row.candidate.is_partial
    return f"{n:,}{' part.' if is_partial else ''}"


def _score(side: Side) -> tuple[str, str]:
    low, high = side.score.interval
    return score(side.score.value), spread((high - low) / 2)


def _remarks(comparison: Comparison) -> tuple[str, ...]:
    if not comparison.tasks:
        return _left_out(comparison)
    remarks = [
        "interval and verdict: after the correction, over each candidate's tasks; the "
        "average is one test",
        "could see: a true difference that these answers find 4 times in 5",
    ]
    if comparison.looks:
        remarks.append(f"looking again is allowed for: {comparison.looks}")
    if comparison.fixed:
        remarks.append("intervals are for these very checkpoints, not for other seeds")
    metrics: dict[str, dict[str, None]] = {}
    for task in comparison.tasks:
        metrics.setdefault(task.metric, {})[clean(task.task)] = None
    words = [
        metric + (f" ({', '.join(tasks)})" if len(metrics) > 1 else "")
        for metric, tasks in metrics.items()
    ]
    remarks.append(f"metric: {'; '.join(words)}")
    return (*remarks, *_left_out(comparison))


def _left_out(comparison: Comparison) -> tuple[str, ...]:
    """Return what was found in the data as a whole, and what has no row."""
    return (
        *(_told_of_all(c) for c in comparison.cautions if c.code not in ALARMS),
        *(f"{clean(what)}: {clean(reason)}" for what, reason in comparison.uncompared),
    )


def _told_of_all(caution: Caution) -> str:
    return f"{caution.text} [{caution.code}]"


def _sentences(comparison: Comparison) -> tuple[str, ...]:
    baseline = clean(comparison.baseline)
    sentences = []
    for name in comparison.names[1:]:
        rows = [row for row in comparison.differences if row.candidate.name == name]
        if not rows:
            told = f"{clean(name)}: there is no task to compare it with {baseline} at."
            sentences.append(told)
            continue
        n_tested = sum(row.p_adjusted == row.p_adjusted for row in rows)
        how = CORRECTIONS[comparison.correction]
        if comparison.correction != "none":
            how += f" over {count(n_tested, 'task')}"
        sentences.append(
            f"{clean(name)} against {baseline}: {verdict_counts(rows)} · {how}"
        )
    return tuple(sentences)


def _next(rows: Sequence[TaskDifference], command: str) -> tuple[str, ...]:
    if not command or all(row.verdict != "unclear" for row in rows):
        return ()
    return (f"What more items or seeds would tell: {command}",)


def _rank_sheet(comparison: Comparison) -> Sheet:
    tasks: list[TaskComparison] = []
    if comparison.average is not None:
        tasks.append(comparison.average)
    if len(comparison.tasks) <= FEW_TASKS or not tasks:
        tasks += comparison.tasks[:FEW_TASKS]
    return Sheet(
        columns=(("ranks", False), ("model", False), ("score", True), ("±", True)),
        parts=tuple(
            (condition_name(task), tuple(_rank_cells(rank) for rank in task.ranks))
            for task in tasks
        ),
        label="task",
        remarks=(
            "ranks: which each may truly have; those that share one cannot be told "
            "apart",
        ),
        frame=comparison.to_frame,
    )


def _rank_cells(rank: RankRange) -> tuple[str, ...]:
    low, high = rank.score.interval
    ranks = f"{rank.low}" if rank.low == rank.high else f"{rank.low}–{rank.high}"
    return ranks, clean(rank.name), score(rank.score.value), spread((high - low) / 2)
