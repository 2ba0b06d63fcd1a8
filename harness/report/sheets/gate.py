"""How does a gate read? A verdict in words, and a row for each gated comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.gate.policy import EVERY_TASK, TIERS, Policy, Tier
from harness.gate.results import CHANGED, STATES, Cell, GateResult, MissingTask, State
from harness.report.sheets.calibration import TITLES, calibration_lines
from harness.report.sheets.sheet import NOTES, Footnotes, Sheet
from harness.report.text import (
    UNDEFINED,
    between,
    clean,
    condition_name,
    count,
    p_value,
    percent,
    percent_interval,
    score,
    signed,
    signed_interval,
    spread,
)
from harness.stats.estimate import Caution

SIGNS: dict[State, str] = {
    "regression": "▼",
    "known": "▽",
    "inconclusive": "?",
    "recovered": "△",
    "improved": "▲",
    "no worse": "≈",
    "passed": "~",
}
"""Stands before the word of each state, so that no colour is needed to read it."""

MISSING = "∅ missing"
BROKEN = "✗ broken"

VERDICTS = {"passed": "Passed", "failed": "Failed", "inconclusive": "Inconclusive"}

COLUMNS = (
    ("task", False),
    ("form", False),
    ("baseline", True),
    ("candidate", True),
    ("difference", True),
    ("interval\nwith noise", False),
    ("predicted", False),
    ("p", True),
    ("items", True),
    ("state", False),
    (NOTES, False),
)

LEGEND = (
    "interval with noise: of the difference, allowing for how much checkpoints of "
    "equal quality differ; predicted: from the checkpoints before it; p: how often a "
    "quiet night looks as bad, corrected for the number of tasks in the tier"
)

COUNTED = {"regression"}
"""States whose words have a plural."""

ANSWERED = {"no-training-seeds"}
"""Cautions that the interval with noise makes up for."""

MOST_NAMED = 5
"""Tasks that a sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedRow:
    """One line of the table, and whether a summary shows it."""

    tier: Tier
    is_changed: bool
    cells: tuple[str, ...]


def gated_rows(result: GateResult, notes: Footnotes) -> tuple[GatedRow, ...]:
    """Return all lines: comparisons, missing tasks and the mean, tier by tier."""
    rows = []
    for tier in TIERS:
        cells = [cell for cell in result.in_order() if cell.tier == tier]
        means = [one.mean for one in result.tiers if one.tier == tier and one.mean]
        lines = [(c.state in CHANGED, cell_row(c, notes)) for c in cells]
        absent = [one for one in result.missing if one.tier == tier]
        lines += [(True, _missing_row(one, notes)) for one in absent]
        lines += [(mean.state in CHANGED, cell_row(mean, notes)) for mean in means]
        rows += [
            GatedRow(tier=tier, is_changed=is_changed, cells=line)
            for is_changed, line in lines
        ]
    return tuple(rows)


def gate_sheet(result: GateResult) -> Sheet:
    """Return a part for each tier, and the verdict in sentences."""
    notes = Footnotes()
    rows = gated_rows(result, notes)
    return Sheet(
        columns=COLUMNS,
        parts=in_tiers(rows),
        label="tier",
        frame=result.to_frame,
        notes=tuple(map(clean, notes.texts)),
        remarks=(legend(result), *environment_lines(result)),
        sentences=(
            verdict_sentence(result),
            counts_sentence(result),
            *tier_sentences(result),
            *other_sentences(result),
        ),
    )


def legend(result: GateResult) -> str:
    """Say what the columns hold."""
    return f"{LEGEND}; intervals are of {_percent(result.policy.look_confidence_level)}"


def in_tiers(
    rows: Sequence[GatedRow],
) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    """Return rows as the parts of a sheet, one for each tier."""
    return tuple(
        (tier, tuple(row.cells for row in rows if row.tier == tier))
        for tier in TIERS
        if any(row.tier == tier for row in rows)
    )


def state_word(state: State) -> str:
    """Return a state with its sign."""
    return f"{SIGNS[state]} {state}"


def cell_row(cell: Cell, notes: Footnotes) -> tuple[str, ...]:
    """Return one comparison as the cells of `COLUMNS`."""
    row, look = cell.against_baseline, cell.against_history
    low, high = row.baseline.score.interval
    predicted = UNDEFINED
    if look is not None:
        predicted = f"{score(look.expected)} {between(*look.prediction, score)}"
    shown = [*row.cautions, *(look.cautions if look else ())]
    shown = [caution for caution in shown if caution.code not in ANSWERED]
    if cell.no_prediction:
        text = f"history predicts nothing: {cell.no_prediction}"
        shown.append(Caution("no-prediction", text))
    why = "; ".join(cell.reasons)
    reason = Caution(cell.state.replace(" ", "-"), f"{cell.task}: {why}")
    return (
        condition_name(cell),
        cell.formulation or UNDEFINED,
        f"{score(row.baseline.score.value)} ±{spread((high - low) / 2)}",
        score(row.candidate.score.value),
        signed(row.difference.value),
        signed_interval(cell.with_noise),
        predicted,
        p_value(cell.p_adjusted),
        f"{row.n_items:,}",
        state_word(cell.state),
        notes.marks([*([reason] if cell.state in CHANGED else []), *shown]),
    )


def _missing_row(one: MissingTask, notes: Footnotes) -> tuple[str, ...]:
    word = BROKEN if one.is_broken else MISSING
    mark = notes.marks([Caution("missing-task", f"{one.task}: {missing_words(one)}")])
    return (clean(one.task), *[UNDEFINED] * 8, word, mark)


def policy_words(policy: Policy) -> str:
    """Return what tells a policy from others: its digest, or that it is the default."""
    if policy.digest == EVERY_TASK.digest:
        return "none: every task is critical"
    return policy.digest


def missing_words(one: MissingTask) -> str:
    """Say why a task has no comparison, and until when that is accepted."""
    mark = one.acknowledged
    if mark is None:
        return one.reason
    until = "for good" if mark.until is None else f"until {mark.until}"
    return f"{one.reason}; acknowledged {until}: {mark.reason}"


def verdict_sentence(result: GateResult) -> str:
    """Say in one sentence what became of the candidate, and why."""
    against = " and ".join(map(str, result.baselines)) or "nothing"
    what = f"{VERDICTS[result.status]}: {result.candidate} against {against}"
    red = [c for c in result.in_order() if c.decision == "fail"]
    lost = [one for one in result.missing if one.decision == "fail"]
    means = [t.mean for t in result.tiers if t.mean and t.decision == "fail"]
    red += [mean for mean in means if mean.state == "regression"]
    told = [f"{condition_name(c)} lost {score(-_difference(c))}" for c in red]
    told += [
        f"{one.task} is {'broken' if one.is_broken else 'missing'}" for one in lost
    ]
    if result.status == "inconclusive":
        open_ = [c for c in result.in_order() if c.decision == "inconclusive"]
        told = [] if result.cells else ["nothing was compared"]
        told += [f"{condition_name(c)} ({c.reasons[0]})" for c in open_]
        told += [
            f"{one.task} ({one.reason})"
            for one in result.missing
            if one.decision == "inconclusive"
        ]
    if not told:
        n_known = result.counts["known"]
        told = [f"no new regression; {n_known} known" if n_known else "no regression"]
    shown = "; ".join(told[:MOST_NAMED])
    more = f"; and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return clean(f"{what}: {shown}{more}.")


def alarms(result: GateResult) -> tuple[tuple[str, str], ...]:
    """Return name and reason of all that fails the gate."""
    means = [tier.mean for tier in result.tiers if tier.mean is not None]
    cells = [*result.in_order(), *(m for m in means if m.state == "regression")]
    told = [
        (
            condition_name(cell),
            f"{cell.reasons[0]}: lost {score(-_difference(cell))} "
            f"{signed_interval(cell.with_noise)}",
        )
        for cell in cells
        if cell.decision == "fail"
    ]
    told += [(m.task, m.reason) for m in result.missing if m.decision == "fail"]
    return tuple((clean(title), clean(text)) for title, text in told)


def counts_sentence(result: GateResult) -> str:
    """Say how many comparisons have which state."""
    counts = [
        count(n, state) if state in COUNTED else f"{n} {state}"
        for state in STATES
        if (n := result.counts[state])
    ]
    if result.missing:
        counts.append(f"{len(result.missing)} missing")
    many = count(len(result.cells) + len(result.missing), "comparison")
    return f"{many}: {', '.join(counts)}." if counts else f"{many}."


def tier_sentences(result: GateResult) -> tuple[str, ...]:
    """Say what each tier came to, and its level."""
    return tuple(
        f"{tier.tier}: {tier.reason}, of {count(tier.n_cells, 'comparison')}; on quiet "
        f"nights red at most {_percent(tier.level)}."
        if tier.n_cells
        else f"{tier.tier}: {tier.reason}."
        for tier in result.tiers
    )


def other_sentences(result: GateResult) -> tuple[str, ...]:
    """Say what else must be known: what stands aside, confirmation, calibration."""
    told = []
    if result.ungated:
        names = ", ".join(result.ungated[:MOST_NAMED])
        more = "…" if len(result.ungated) > MOST_NAMED else ""
        told.append(f"In no tier, and not judged: {names}{more}.")
    told += confirmation_sentences(result)
    told += [f"{line}." for line in calibration_lines(result.calibration)]
    told += alarm_sentences(result)
    told += [f"{caution.text}." for caution in result.cautions]
    return tuple(map(clean, told))


def alarm_sentences(result: GateResult) -> list[str]:
    """Say how often the paired look would be red between equal models."""
    told = []
    for one in result.alarms:
        rate = ""
        if not math.isnan(one.rate.value):
            level = percent(one.rate.confidence_level)
            rate = (
                f" ({percent(one.rate.value)} %, {level} % interval "
                f"{percent_interval(one.rate)} %)"
            )
        told.append(
            f"By this policy, {TITLES[one.draws]}: of "
            f"{count(one.n_comparisons, 'comparison')} of equal models the paired look "
            f"would be red in {one.n_red:,}{rate}, where {percent(one.nominal)} % may "
            "be. It is an upper bound of false alarms at one task: red needs history "
            "and noise too."
        )
    return told


def confirmation_sentences(result: GateResult) -> list[str]:
    """Say what measuring again came to."""
    found = result.confirmation
    if found is None:
        return []
    told = []
    if found.n_trials:
        told.append(
            f"Measured again with fresh seeds ({count(found.n_trials, 'trial')}"
            + (f", {found.n_failed} failed" if found.n_failed else "")
            + f"): {', '.join(found.tasks)}; judged on all answers together."
        )
    if found.one_sided:
        told.append(
            f"{', '.join(found.one_sided)}: the suite does not ask the baseline, so "
            "that only the candidate has fresh examples; where these are harder than "
            "the old ones, that counts against it."
        )
    if found.cleared:
        told.append(f"Red no more: {', '.join(found.cleared)}.")
    if found.already:
        told.append(
            f"{', '.join(found.already)}: measured again before, and judged on all "
            "answers together; it is done once."
        )
    if found.unchangeable:
        told.append(
            f"{', '.join(found.unchangeable)}: no seed changes an answer, so that "
            "measuring again would repeat it; the cells stand as they are."
        )
    return told


def environment_lines(result: GateResult) -> tuple[str, ...]:
    """Say what differs between the sides beside the weights."""
    return tuple(
        clean(f"{one.text}{' (blocks)' if one.blocks else ''}: {_few(one.tasks)}")
        for one in result.environment
    )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _difference(cell: Cell) -> float:
    return cell.against_baseline.difference.value


def _percent(level: float) -> str:
    return f"{100 * level:.3g} %"
