"""How do numbers and findings read? The only place that rounds."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from harness.errors import InputError
from harness.stats.estimate import Caution, Estimate
from harness.stats.variance import (
    MetricVariance,
    TaskVariance,
    formulation_pairs,
    variance_frame,
)

if TYPE_CHECKING:
    from rich.console import Console

    from harness.report.gather import TrendPoint

MINUS = "\N{MINUS SIGN}"
UNDEFINED = "\N{EN DASH}"
"""Stands where a number is not defined; never a 0."""

RISES, DRIFTS = 0.8, 0.4
"""Monotonicity from which a curve is said to climb, and to climb unsteadily."""

MAX_SENTENCES = 6
"""Of one kind in a summary; the table has the rest."""

FILLS = {
    "one-seed": "list checkpoints of more training seeds in the suite and run it again",
    "one-checkpoint": "list more steps of each run in the suite and run it again",
}
"""What to do about a caution; the page and the terminal print it after the reason."""


class Asked(Protocol):
    """Anything that belongs to one model under one condition."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def formulation(self) -> str: ...  # noqa: D102
    @property
    def num_fewshot(self) -> int: ...  # noqa: D102
    @property
    def template(self) -> str: ...  # noqa: D102


# ---- numbers -------------------------------------------------------------------


def score(value: float) -> str:
    """Return a score: three decimals, fewer where it is large."""
    return _fixed(value, 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1)


def spread(value: float) -> str:
    """Return an SD or a half-width: two significant digits."""
    if math.isnan(value) or value == 0:
        return _fixed(value, 0)
    return _fixed(value, max(0, 1 - math.floor(math.log10(abs(value)))))


def ratio(value: float) -> str:
    """Return a signal-to-noise ratio: about three significant digits."""
    return _fixed(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)


def correlation(value: float) -> str:
    """Return a rank correlation: two decimals."""
    return _fixed(value, 2)


def interval(estimate: Estimate) -> str:
    """Return the interval in brackets, as a score; empty where there is none."""
    low, high = estimate.interval
    return "" if math.isnan(low) else f"[{score(low)}, {score(high)}]"


def spread_interval(estimate: Estimate) -> str:
    """Return the interval of an SD in brackets; empty where there is none."""
    low, high = estimate.interval
    return "" if math.isnan(low) else f"[{spread(low)}, {spread(high)}]"


def ratio_interval(estimate: Estimate) -> str:
    """Return the interval of a ratio in brackets; empty where there is none."""
    low, high = estimate.interval
    return "" if math.isnan(low) else f"[{ratio(low)}, {ratio(high)}]"


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent."""
    return f"{100 * part / whole:.0f} %" if whole > 0 else UNDEFINED


def count(n: int, noun: str) -> str:
    """Return a number and its noun, ``1 seed`` or ``2 seeds``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _fixed(value: float, decimals: int) -> str:
    if math.isnan(value):
        return UNDEFINED
    text = f"{abs(value):,.{decimals}f}"
    is_zero = not text.strip("0.,")
    return f"{MINUS}{text}" if value < 0 and not is_zero else text


# ---- names ---------------------------------------------------------------------


def clean(name: str) -> str:
    """Return a name that cannot steer a terminal or turn a line of text around."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def labels(
    rows: Sequence[Asked], *, with_model: bool = True, limit: int = sys.maxsize
) -> list[str]:
    """Return short names: the task, and only what tells rows of one task apart.

    Tasks, templates and models of more than `limit` characters lose their middle.
    """
    out = []
    several_models = len({row.model for row in rows}) > 1
    for row in rows:
        peers = [other for other in rows if other.task == row.task]
        parts = [row.task]
        if row.formulation and len({p.formulation for p in peers}) > 1:
            parts.append(row.formulation)
        if len({p.num_fewshot for p in peers}) > 1:
            parts.append(f"{row.num_fewshot}-shot")
        if len({p.template for p in peers}) > 1:
            parts.append(row.template)
        if with_model and several_models:
            parts.append(row.model)
        out.append(" · ".join(shortened(part, limit) for part in parts))
    return unique(out)


def shortened(words: str, limit: int) -> str:
    """Return words on one line, without their middle where they are too long."""
    line = clean(" ".join(words.split()))
    if len(line) <= limit:
        return line
    tail = limit // 3
    return f"{line[: limit - tail - 1]}…{line[-tail:]}"


def unique(names: Iterable[str]) -> list[str]:
    """Tell equal names apart: cleaning or shortening may have made two of them one."""
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(f"{name} #{seen[name]}" if seen[name] > 1 else name)
    return out


def step_name(step: int | None) -> str:
    """Return a step, or what to call a checkpoint that has none."""
    return "unnamed step" if step is None else str(step)


def seed_name(seed: int | None) -> str:
    """Return a training seed, or what to call a checkpoint that has none."""
    return "unnamed" if seed is None else str(seed)


# ---- findings ------------------------------------------------------------------


def findings(rows: Sequence[TaskVariance]) -> tuple[str, ...]:
    """Return what the variance table shows, in plain sentences."""
    if not rows:
        return ()
    sentences = [_scope(rows)]
    pairs = formulation_pairs(rows)
    sentences += _limited([_pair(*pair) for pair in pairs], "formulation pair")
    in_pairs = {id(row) for pair in pairs for row in pair}
    alone = [row for row in rows if id(row) not in in_pairs]
    names = dict(zip(map(id, rows), labels(rows), strict=True))
    sentences += _chance([row for row in alone if is_at_chance(row)], names)
    if not pairs:
        sentences += _limited([_single(row) for row in alone], "row")
    sentences += _noise_range(rows, names)
    sentences += _ranking(rows, names)
    sentences += _metric_kinds(rows)
    sentences += _not_defined(rows, names)
    return tuple(sentences)


def is_at_chance(row: TaskVariance) -> bool:
    """Return whether guessing would explain the mean: chance is in its interval."""
    low, high = row.discrete.mean.interval
    return low <= row.chance <= high


def trend_word(monotonicity: Estimate) -> str:
    """Return how the score moves over steps, in words."""
    value = monotonicity.value
    if math.isnan(value):
        return f"has no defined trend ({monotonicity.cautions[0].text})"
    if value >= RISES:
        word = "climbs steadily"
    elif value >= DRIFTS:
        word = "climbs with setbacks"
    elif value > -DRIFTS:
        word = "shows no clear trend"
    else:
        word = "falls"
    return f"{word} (monotonicity {correlation(value)})"


def trend_sentence(rows: Sequence[TaskVariance], kind: str) -> str:
    """Return what a trend figure shows, a clause for each of its curves."""
    names = labels(rows)
    if len(rows) == 1:
        names = ["It"]
    clauses = []
    for row, name in zip(rows, names, strict=True):
        part = row.discrete if kind == "discrete" else row.continuous
        if part is None:
            clauses.append(f"{name} has no continuous score")
        elif row.n_checkpoints < 2:
            clauses.append(
                f"{name} has one checkpoint ({score(part.mean.value)}), so no trend"
            )
        else:
            clauses.append(f"{name} {trend_word(part.monotonicity)}")
    return "; ".join(clauses) + "."


def noise_sentences(rows: Sequence[TaskVariance]) -> tuple[str, str, str]:
    """Return what the figures of spread, signal to noise and monotonicity show."""
    names = dict(zip(map(id, rows), labels(rows), strict=True))
    spreads = " ".join(_noise_range(rows, names)) or (
        f"{count(len(rows), 'row')}; a seed SD to compare needs at least two rows that "
        "have one."
    )
    snr = " ".join(_metric_kinds(rows)) or (
        "No row has both a discrete and a continuous signal to noise."
    )
    steady = [r for r in rows if r.discrete.monotonicity.value >= RISES]
    known = [r for r in rows if not math.isnan(r.discrete.monotonicity.value)]
    rank = (
        f"The discrete score climbs steadily (at least {correlation(RISES)}) in "
        f"{len(steady)} of {count(len(known), 'row')}."
        if known
        else "No row has a monotonicity."
    )
    return (
        f"{spreads} The SD is one standard deviation, the half-width about two "
        "standard errors; the bars are intervals.",
        f"{snr} A score at chance can have a high signal to noise; the table also has "
        "it above chance.",
        rank,
    )


def shown_cautions(row: TaskVariance) -> tuple[Caution, ...]:
    """Return the cautions of a row and of the estimates that tables show, once each."""
    estimates = [*row.discrete.estimates]
    if row.continuous:
        estimates += [row.continuous.snr, row.continuous.monotonicity]
    own = (caution for estimate in estimates for caution in estimate.cautions)
    return tuple(dict.fromkeys([*row.cautions, *own]))


def caution_list(
    rows: Sequence[TaskVariance],
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return (code, text, labels of the rows) of all cautions, each text once."""
    found: dict[tuple[str, str], list[str]] = {}
    for row, name in zip(rows, labels(rows), strict=True):
        for caution in shown_cautions(row):
            text = caution.text
            if caution.code in FILLS:
                text = f"{text}: {FILLS[caution.code]}"
            found.setdefault((caution.code, text), []).append(name)
    return tuple((code, text, tuple(names)) for (code, text), names in found.items())


def _scope(rows: Sequence[TaskVariance]) -> str:
    models = sorted({clean(row.model) for row in rows})
    names = f" ({', '.join(models)})" if len(models) <= MAX_SENTENCES else ""
    seeds = _up_to([row.n_seeds for row in rows], "training seed")
    steps = _up_to([row.n_checkpoints for row in rows], "step")
    tasks = count(len({row.task for row in rows}), "task")
    return (
        f"{count(len(models), 'model')}{names}, {seeds} and {steps} each, on {tasks}."
    )


def _up_to(counts: Sequence[int], noun: str) -> str:
    most = count(max(counts), noun)
    return most if min(counts) == max(counts) else f"up to {most}"


def _at_last(part: MetricVariance) -> str:
    mean = part.mean
    if math.isnan(mean.value):
        return f"has no mean ({mean.cautions[0].text})"
    return f"scores {score(mean.value)} {interval(mean)}".rstrip()


def _against_chance(row: TaskVariance) -> str:
    if math.isnan(row.chance) or math.isnan(row.discrete.mean.interval.low):
        return ""
    if is_at_chance(row):
        return f", no more than guessing explains (chance {score(row.chance)})"
    side = "above" if row.discrete.mean.value > row.chance else "below"
    return f", {side} chance ({score(row.chance)})"


def _noise(row: TaskVariance) -> str:
    sd, width = row.discrete.seed_sd, row.discrete.item_half_width
    seeds = (
        f"training seeds differ by SD {spread(sd.value)}"
        if not math.isnan(sd.value)
        else f"the spread over seeds is not defined ({sd.cautions[0].text})"
    )
    items = (
        f"items leave ±{spread(width.value)}"
        if not math.isnan(width.value)
        else f"the interval over items is not defined ({width.cautions[0].text})"
    )
    snr = row.discrete.snr.value
    there = "" if math.isnan(snr) else f" (signal to noise at the last {ratio(snr)})"
    # E is an average: early checkpoints at chance hide how far seeds part later.
    return f"averaged over checkpoints, {seeds}{there} and {items}"


def _pair(choice: TaskVariance, cloze: TaskVariance) -> str:
    task = clean(cloze.task)
    if choice.task != cloze.task:
        task = f"{task} against {clean(choice.task)}"
    partial = " (partial run)" if choice.is_partial or cloze.is_partial else ""
    return (
        f"{clean(cloze.model)}, {task}{partial}: at the last checkpoint cloze "
        f"{_at_last(cloze.discrete)}{_against_chance(cloze)}, and "
        f"{trend_word(cloze.discrete.monotonicity)}; {_noise(cloze)}. By letter, on "
        f"the same {count(choice.n_items, 'item')}, it "
        f"{_at_last(choice.discrete)}{_against_chance(choice)}, and "
        f"{trend_word(choice.discrete.monotonicity)}."
    )


def _single(row: TaskVariance) -> str:
    partial = " (partial run)" if row.is_partial else ""
    return (
        f"{clean(row.model)}, {clean(row.task)}{partial}: at the last checkpoint it "
        f"{_at_last(row.discrete)}{_against_chance(row)}, and "
        f"{trend_word(row.discrete.monotonicity)}; {_noise(row)}."
    )


def _chance(rows: Sequence[TaskVariance], names: dict[int, str]) -> list[str]:
    if not rows:
        return []
    return [
        f"Guessing explains {_listed([names[id(row)] for row in rows])}: chance lies "
        "inside the interval over items."
    ]


def _noise_range(rows: Sequence[TaskVariance], names: dict[int, str]) -> list[str]:
    known = [r for r in rows if not math.isnan(r.discrete.seed_sd.value)]
    if len(known) < 2:
        return []
    least = min(known, key=lambda r: r.discrete.seed_sd.value)
    most = max(known, key=lambda r: r.discrete.seed_sd.value)
    wider = [r for r in known if r.discrete.item_half_width.value > _sd(r)]
    return [
        "Averaged over checkpoints, another training seed moves a score by SD "
        f"{spread(_sd(least))} ({names[id(least)]}) to {spread(_sd(most))} "
        f"({names[id(most)]}); in {len(wider)} of {len(known)} rows "
        "the half-width over items is larger than that SD."
    ]


def _ranking(rows: Sequence[TaskVariance], names: dict[int, str]) -> list[str]:
    ranked = sorted(
        (r for r in rows if not math.isnan(r.discrete.snr_above_chance.value)),
        key=lambda r: r.discrete.snr_above_chance.value,
    )
    if len(ranked) < 2:
        return []
    last, first = ranked[0], ranked[-1]
    left_out = len(rows) - len(ranked)
    return [
        "Measured above chance, "
        f"{names[id(first)]} has the highest signal to noise "
        f"({ratio(first.discrete.snr_above_chance.value)}) and {names[id(last)]} the "
        f"lowest ({ratio(last.discrete.snr_above_chance.value)})"
        + (
            f"; {count(left_out, 'row')} cannot be ranked so."
            if left_out
            else "; of few seeds both are rough."
        )
    ]


def _metric_kinds(rows: Sequence[TaskVariance]) -> list[str]:
    both = [
        (r.discrete.snr.value, r.continuous.snr.value)
        for r in rows
        if r.continuous is not None
        and not math.isnan(r.discrete.snr.value)
        and not math.isnan(r.continuous.snr.value)
    ]
    if not both:
        return []
    higher = sum(continuous > discrete for discrete, continuous in both)
    return [
        f"The continuous score has a higher signal to noise than the discrete one in "
        f"{higher} of {count(len(both), 'row')}."
    ]


def _not_defined(rows: Sequence[TaskVariance], names: dict[int, str]) -> list[str]:
    missing: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for estimate in (row.discrete.seed_sd, row.discrete.monotonicity):
            if math.isnan(estimate.value):
                caution = estimate.cautions[0]
                quantity = {"seed_sd": "seed SD"}.get(
                    estimate.quantity, estimate.quantity
                )
                key = (quantity, caution.code, caution.text)
                missing.setdefault(key, []).append(names[id(row)])
    sentences = []
    for (quantity, code, text), where in missing.items():
        rows_of = "any row" if len(where) == len(rows) else _listed(where)
        fill = f" To fill it, {FILLS[code]}." if code in FILLS else ""
        sentences.append(f"There is no {quantity} for {rows_of}: {text}.{fill}")
    return sentences


def _sd(row: TaskVariance) -> float:
    return row.discrete.seed_sd.value


def _listed(names: Sequence[str]) -> str:
    if len(names) > MAX_SENTENCES:
        rest = len(names) - MAX_SENTENCES
        return ", ".join(names[:MAX_SENTENCES]) + f" and {rest} more"
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]


def _limited(sentences: Sequence[str], noun: str) -> list[str]:
    if len(sentences) <= MAX_SENTENCES:
        return list(sentences)
    rest = len(sentences) - MAX_SENTENCES
    return [*sentences[:MAX_SENTENCES], f"{count(rest, noun)} more stand in the table."]


def point_sentence(name: str, point: TrendPoint, metric: str) -> str:
    """Return one point of a trend, as its hover box and the live text say it."""
    parts = [f"{name}, step {step_name(point.step)}: {metric} {score(point.mean)}"]
    if not math.isnan(point.sd):
        parts.append(f"SD {spread(point.sd)} over {len(point.scores)} seeds")
    else:
        parts.append("1 seed, no SD")
    if not math.isnan(point.item_half_width):
        parts.append(f"items ±{spread(point.item_half_width)}")
    return ", ".join(parts)


# ---- terminal and files --------------------------------------------------------

_HEADINGS = (
    "task",
    "form",
    "items",
    "chance",
    "mean",
    "items\n±",
    "seed\nSD",
    "SNR\ndisc",
    "SNR\ncont",
    "mono\ndisc",
    "mono\ncont",
    "seeds",
    "steps",
    "",
)


def show_variance(
    rows: Sequence[TaskVariance], *, console: Console | None = None
) -> None:
    """Print the variance table, its notes, and sentences that say what was found."""
    from rich.console import Console

    console = console or Console()
    if not console.is_terminal:
        # A file or a pipe has no edge to fold at.
        console = Console(file=console.file, width=200)
    models = list(dict.fromkeys(row.model for row in rows))
    notes: list[str] = []
    for model in models:
        some = [row for row in rows if row.model == model]
        console.print(_rich_table(some, notes, title=model))
    for number, note in enumerate(notes, 1):
        console.print(f"{_superscript(number)} {note}", highlight=False, markup=False)
    console.print()
    for sentence in findings(rows):
        console.print(sentence, highlight=False, markup=False)


def variance_table_text(rows: Sequence[TaskVariance], *, width: int = 120) -> str:
    """Return what `show_variance` prints, as plain text of that width."""
    import io

    from rich.console import Console

    file = io.StringIO()
    show_variance(
        rows,
        console=Console(file=file, width=width, force_terminal=True, color_system=None),
    )
    return file.getvalue()


def variance_markup(rows: Sequence[TaskVariance], format_: str) -> str:
    """Return the variance table as ``md`` (rounded) or ``csv`` (full precision).

    Raises
    ------
    InputError
        ``unknown-format``.
    """
    if format_ == "csv":
        return str(variance_frame(rows).to_csv(index=False))
    if format_ != "md":
        raise InputError(
            f"there is no format {format_!r}; choose md or csv", code="unknown-format"
        )
    notes: list[str] = []
    lines = [
        "| model | "
        + " | ".join(name.replace("\n", " ") or "notes" for name in _HEADINGS)
        + " |",
        "|---|---|---|" + "--:|" * (len(_HEADINGS) - 3) + "---|",
    ]
    for row in rows:
        cells = [_md(clean(row.model)), *map(_md, _cells(row, notes))]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    lines += [f"- {_superscript(n)} {_md(note)}" for n, note in enumerate(notes, 1)]
    lines += ["", *(f"{_md(sentence)}\n" for sentence in findings(rows))]
    return "\n".join(lines)


def _rich_table(
    rows: Sequence[TaskVariance], notes: list[str], *, title: str
) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(clean(title), style="bold"),
        title_justify="left",
        box=None,
        header_style="bold",
        padding=(0, 1, 0, 0),
    )
    for place, name in enumerate(_HEADINGS):
        is_text = place < 2 or place == len(_HEADINGS) - 1
        table.add_column(
            name,
            justify="left" if is_text else "right",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in _cells(row, notes)))
    return table


def _cells(row: TaskVariance, notes: list[str]) -> list[str]:
    discrete, continuous = row.discrete, row.continuous
    marks = []
    for caution in shown_cautions(row):
        fill = f": {FILLS[caution.code]}" if caution.code in FILLS else ""
        note = f"{caution.text}{fill} [{caution.code}]"
        if note not in notes:
            notes.append(note)
        marks.append(_superscript(notes.index(note) + 1))
    shots = f" {row.num_fewshot}-shot" if row.num_fewshot else ""
    template = f" ({clean(row.template)})" if row.template != "default" else ""
    return [
        f"{clean(row.task)}{shots}{template}",
        row.formulation or UNDEFINED,
        f"{row.n_items}{' part.' if row.is_partial else ''}",
        score(row.chance),
        score(discrete.mean.value),
        spread(discrete.item_half_width.value),
        spread(discrete.seed_sd.value),
        ratio(discrete.snr.value),
        ratio(continuous.snr.value) if continuous else UNDEFINED,
        correlation(discrete.monotonicity.value),
        correlation(continuous.monotonicity.value) if continuous else UNDEFINED,
        str(row.n_seeds),
        str(row.n_checkpoints),
        " ".join(marks),
    ]


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _md(text: str) -> str:
    """Escape what Markdown, or the HTML inside it, would take for markup."""
    return text.translate(_MD_ESCAPES)


_MD_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{c: f"\\{c}" for c in "\\`*_{}[]|#~"}}
)
