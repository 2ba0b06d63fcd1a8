"""How do numbers and findings read? The only place that rounds."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from harness.stats.estimate import Caution, Estimate
from harness.stats.tables import formulation_pairs
from harness.stats.variance import TaskVariance

if TYPE_CHECKING:
    from harness.report.gather import TrendPoint
    from harness.stats.compare.results import TaskDifference, Verdict
    from harness.stats.formulation_table import TaskFormulation
    from harness.stats.signal import SignalNoise
    from harness.stats.subsets.quality import SubsetEvaluation, SubsetQuality

MINUS = "\N{MINUS SIGN}"
UNDEFINED = "\N{EN DASH}"
"""Stands where a number is not defined; never a 0."""

RISES, DRIFTS = 0.8, 0.4
"""Monotonicity from which a curve is said to climb, and to climb unsteadily."""

AT_CHANCE = "\N{ALMOST EQUAL TO}"
"""Stands before a mean that guessing explains."""

HUGE, MAX_DECIMALS = 1e9, 9
"""From there on, and with more decimals, a number is written with a power of ten."""

FIGURES = re.compile(r"-?\d[\d.,e-]*")
"""What may differ between two cautions that say the same."""

MAX_SENTENCES = 6
"""Of one kind in a summary; the table has the rest."""

PARTIAL = " (partial run)"
"""Stands behind a task of which not all items were asked."""

HELD_OUT = {"model": "model", "run": "training run", "group": "group"}
"""What subsets are judged on, as a word."""

SIGNS: Mapping[Verdict, str] = {
    "better": "▲",
    "worse": "▼",
    "no worse": "≈",
    "unclear": "~",
    "too few data": "…",
    "not comparable": "≠",
}
"""Stands beside the word of each verdict, so that no colour is needed to read it."""

FILLS = {
    "one-seed": "list checkpoints of more training seeds in the suite and run it again",
    "one-checkpoint": "list more steps of each run in the suite and run it again",
}
"""What to do about a caution; the page and the terminal print it after the reason."""


ALARMS = frozenset({"identical-models"})
"""Cautions without which no number of a comparison is to be read."""


class Condition(Protocol):
    """Anything that says what was asked, and how."""

    @property
    def task(self) -> str: ...  # noqa: D102
    @property
    def formulation(self) -> str: ...  # noqa: D102
    @property
    def num_fewshot(self) -> int: ...  # noqa: D102
    @property
    def template(self) -> str: ...  # noqa: D102
    @property
    def generation(self) -> str: ...  # noqa: D102
    @property
    def settings(self) -> str: ...  # noqa: D102


class Asked(Condition, Protocol):
    """Anything that belongs to one model under one condition."""

    @property
    def model(self) -> str: ...  # noqa: D102


# ---- numbers -------------------------------------------------------------------


def score(value: float) -> str:
    """Return a score: three decimals, fewer where it is large."""
    return _fixed(value, 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1)


def spread(value: float) -> str:
    """Return an SD or a half-width: two significant digits."""
    if not math.isfinite(value) or value == 0:
        return _fixed(value, 0)
    return _fixed(value, max(0, 1 - math.floor(math.log10(abs(value)))))


def ratio(value: float) -> str:
    """Return a signal-to-noise ratio: about three significant digits."""
    return _fixed(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)


def correlation(value: float) -> str:
    """Return a rank correlation: two decimals."""
    return _fixed(value, 2)


def between(low: float, high: float, style: Callable[[float], str]) -> str:
    """Return an interval in brackets; empty where there is none."""
    return "" if math.isnan(low) else f"[{style(low)}, {style(high)}]"


def interval(estimate: Estimate) -> str:
    """Return the interval in brackets, as a score; empty where there is none."""
    return between(*estimate.interval, score)


def spread_interval(estimate: Estimate) -> str:
    """Return the interval of an SD in brackets; empty where there is none."""
    return between(*estimate.interval, spread)


def ratio_interval(estimate: Estimate) -> str:
    """Return the interval of a ratio in brackets; empty where there is none."""
    return between(*estimate.interval, ratio)


def percent_interval(estimate: Estimate) -> str:
    """Return the interval of a share in percent; empty where there is none."""
    return between(*estimate.interval, percent)


def correlation_interval(estimate: Estimate) -> str:
    """Return the interval of a correlation in brackets; empty where there is none."""
    return between(*estimate.interval, correlation)


def crossing(estimate: Estimate) -> str:
    """Return the step where curves cross, with its interval; it may have no end."""
    if math.isnan(estimate.value):
        return UNDEFINED
    return f"{estimate.value:.0f} {crossing_interval(estimate)}"


def crossing_interval(estimate: Estimate) -> str:
    """Return the interval of a step in brackets; it may have no end."""
    low, high = estimate.interval
    end = "open" if math.isinf(high) else f"{high:.0f}"
    return f"[{low:.0f}, {end}]"


def place(value: float) -> float | None:
    """Return where a point is drawn: four significant digits, finer than a pixel.

    What is not defined has no place.
    """
    return None if math.isnan(value) else float(f"{value:.4g}")


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def p_value(value: float) -> str:
    """Return a p-value: two significant digits, down to one in ten thousand."""
    return "< 0.0001" if value < 1e-4 else spread(value)


def signed(value: float) -> str:
    """Return a difference of scores: its sign, and as many decimals as a score."""
    words = score(value)
    return f"+{words}" if value > 0 and words.strip("0.,") else words


def signed_interval(interval: tuple[float, float]) -> str:
    """Return an interval of differences in brackets; empty where there is none."""
    return between(*interval, signed)


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent."""
    return f"{100 * part / whole:.0f} %" if whole > 0 else UNDEFINED


def percent(value: float) -> str:
    """Return a share in whole percent; what is negative stays so."""
    return _fixed(100 * value, 0)


def count(n: int, noun: str) -> str:
    """Return a number and its noun, ``1 seed`` or ``2 seeds``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def items_asked(n: int, *, is_partial: bool) -> str:
    """Return how many items were asked, and whether they are but a part."""
    return f"{n:,}{' part.' if is_partial else ''}"


def _fixed(value: float, decimals: int) -> str:
    if math.isnan(value):
        return UNDEFINED
    is_long = HUGE <= abs(value) < math.inf or decimals > MAX_DECIMALS
    text = f"{abs(value):.1e}" if is_long else f"{abs(value):,.{decimals}f}"
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
    several_models = with_model and len({row.model for row in rows}) > 1
    return unique(
        " · ".join(
            shortened(part, limit)
            for part in _parts(row, rows) + ([row.model] if several_models else [])
        )
        for row in rows
    )


def task_labels(rows: Sequence[Condition], *, limit: int = sys.maxsize) -> list[str]:
    """Return short names as `labels` does, of rows that hold all models."""
    return unique(
        " · ".join(shortened(part, limit) for part in _parts(row, rows)) for row in rows
    )


def _parts(
    row: Condition, rows: Sequence[Condition], *, with_formulation: bool = True
) -> list[str]:
    """Return the task's name, and what tells its row from others of that task."""
    peers = [other for other in rows if other.task == row.task]
    parts = [row.task]
    if with_formulation and len({p.formulation for p in peers}) > 1:
        parts.append(row.formulation)
    if len({p.num_fewshot for p in peers}) > 1:
        parts.append(f"{row.num_fewshot}-shot")
    if len({p.template for p in peers}) > 1:
        parts.append(row.template)
    if len({p.generation for p in peers}) > 1:
        parts.append(generation_words(row.generation))
    parts.append(row.settings)
    return [part for part in parts if part]


def condition_name(row: Condition) -> str:
    """Return the task with all that tells it from others of that task."""
    task = [row.task, f"{row.num_fewshot}-shot" if row.num_fewshot else ""]
    return clean(" ".join(filter(None, [*task, *(f"({w})" for w in asked_words(row))])))


def asked_words(row: Condition) -> list[str]:
    """Return template, generation overrides and settings, where there are any."""
    template = "" if row.template == "default" else row.template
    words = (template, generation_words(row.generation), row.settings)
    return [clean(some) for some in words if some]


def generation_words(generation: str) -> str:
    """Return overrides of generation arguments in words, such as ``temperature 0.7``.

    What is not the JSON that a sweep writes is returned as it is.
    """
    try:
        pairs = dict(json.loads(generation or "{}"))
    except (TypeError, ValueError):
        return generation
    return ", ".join(
        f"{name.replace('_', ' ')} {json.dumps(value, ensure_ascii=False)}"
        for name, value in pairs.items()
    )


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


def checkpoint_name(model: str, seed: int | None, step: int | None) -> str:
    """Return a checkpoint in words, by what it has names for."""
    seeds = [] if seed is None else [f"seed {seed}"]
    steps = [] if step is None else [f"step {step}"]
    return " ".join([clean(model), *seeds, *steps])


# ---- findings ------------------------------------------------------------------


def findings(rows: Sequence[TaskVariance]) -> tuple[str, ...]:
    """Return what the variance table shows, in plain sentences."""
    if not rows:
        return ()
    names = dict(zip(map(id, rows), labels(rows), strict=True))
    pairs = formulation_pairs(rows)
    in_pairs = {id(row) for pair in pairs for row in pair}
    alone = [row for row in rows if id(row) not in in_pairs]
    untold = [*(row for pair in pairs[MAX_SENTENCES:] for row in pair)]
    untold += alone[MAX_SENTENCES:]
    return (
        _scope(rows),
        *_noise_range(rows, names),
        *_ranking(rows, names),
        *_metric_kinds(rows),
        *_limited([_pair(*pair, rows) for pair in pairs], "formulation pair"),
        *_limited([_single(row, rows) for row in alone], "row"),
        *_limited([s for row in rows if (s := _against_published(row, names))], "row"),
        *_chance([row for row in untold if is_at_chance(row)], names),
        *_not_defined(rows, names),
    )


def is_at_chance(row: TaskVariance) -> bool:
    """Return whether guessing would explain the mean: chance is in its interval.

    The interval is over items, so that this is said of these very checkpoints.
    """
    low, high = row.discrete.mean.interval
    return low <= row.chance <= high


def is_open_over_seeds(row: TaskVariance) -> bool:
    """Return whether seeds leave open on which side of chance a model stands.

    Of such a row that is not at chance, these checkpoints are above or below chance,
    and others of the same model need not be. With one seed nothing is known of it.
    """
    low, high = row.discrete.snr_above_chance.interval
    return low <= 0 <= high


def trend_word(monotonicity: Estimate, n_seeds: int = 0) -> str:
    """Return how the score moves over steps, in words.

    `n_seeds` is how many seeds there are; fewer may have a rank correlation.
    """
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
    n = monotonicity.n
    where = f" in {n} of {n_seeds} seeds" if n < n_seeds else ""
    return f"{word}{where} (monotonicity {correlation(value)})"


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
            clauses.append(f"{name} {trend_word(part.monotonicity, row.n_seeds)}")
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
    at_chance = sum(map(is_at_chance, rows))
    hollow = (
        f" {count(at_chance, 'row')} at chance, with hollow marks: nothing stands "
        "above chance there, and a high ratio only says that the seeds agree; the "
        "table has the ratio above chance beside it."
        if at_chance
        else ""
    )
    return (
        f"{spreads} Both are one standard deviation, at the last checkpoint; the bars "
        "are intervals.",
        f"{snr}{hollow}",
        rank,
    )


def formulation_sentences(rows: Sequence[TaskFormulation]) -> tuple[str, ...]:
    """Return how choice and cloze differ, a sentence for each pair."""
    sentences = [_formulation(row) for row in rows]
    return tuple(_limited(sentences, "formulation pair"))


def _formulation(row: TaskFormulation) -> str:
    found = row.comparison
    tasks = dict.fromkeys(clean(task) for task in (row.cloze.task, row.choice.task))
    difference = found.difference
    low, high = difference.interval
    if math.isnan(low) or low <= 0 <= high:
        side = "which need not be a difference"
    else:
        side = f"so by {'letter' if low > 0 else 'text'} these runs score more"
        wide = found.difference_over_seeds
        if wide.interval.low <= 0 <= wide.interval.high:
            side += f", though other seeds need not {interval(wide)}"
        elif not math.isnan(wide.interval.low):
            side += f"; with other seeds and items too {interval(wide)}"
    cross = found.crossing
    if math.isnan(cross.value):
        ahead = "By letter it does not end ahead"
    else:
        ahead = f"By letter it is ahead for good from step {crossing(cross)}"
    return (
        f"{clean(row.cloze.model)}, {' against '.join(tasks)}: choice less cloze is "
        f"{score(difference.value)} {interval(difference)} at the last checkpoint, "
        f"paired by {count(found.n_items, 'item')}, {side}. {ahead}."
    )


def signal_sentence(names: Sequence[str], rows: Sequence[SignalNoise]) -> str:
    """Return which task tells models apart best, and where equal models could."""
    known = [
        (found.snr.value, name, found)
        for name, found in zip(names, rows, strict=True)
        if not math.isnan(found.snr.value)
    ]
    if not known:
        return "No task has a signal and a noise to put in relation."
    _, name, best = max(known, key=lambda one: one[0])
    hollow = sum(
        any(c.code == "signal-within-noise" for c in found.snr.cautions)
        for _, _, found in known
    )
    doubt = (
        f"In {hollow} of {count(len(known), 'row')} models that are equal could show "
        "as much, by noise alone."
        if hollow
        else "In no row would models that are equal show as much, by noise alone."
    )
    return (
        f"{name} has the highest signal to noise, {ratio(best.snr.value)} "
        f"{ratio_interval(best.snr)}, of {count(len(known), 'row')}. {doubt}"
    )


def subset_sentence(found: SubsetEvaluation) -> str:
    """Return how far random and the best other subsets are off, size by size."""
    rows = [row for row in found.rows if row.method != "full"]
    chance = [row for row in rows if row.method == "random"]
    best = [_least_error(rows, row.n_items) for row in chance]
    ways = {(row.method, row.estimator) for row in rows if row.method != "random"}
    there = {
        (row.method, row.estimator)
        for row in rows
        if row.method != "random" and not math.isnan(row.mae.value)
    }
    told = (
        f"On {HELD_OUT[found.unit]}s held out, scores by "
        f"{_listed([f'{r.n_items:,}' for r in chance])} of "
        f"{count(found.n_items_total, 'item')} drawn at random are off by "
        f"{_listed([spread(r.mae.value) for r in chance])} on average."
    )
    known = [one for one in best if one]
    if known:
        n = len(there)
        of = "Of another way" if n == 1 else f"The best of {n} other ways"
        told = f"{told} {of}: {'; '.join(known)}."
    if lost := sorted(subset_name(*way) for way in ways - there):
        told = f"{told} Not defined here: {_listed(lost)}; the cautions say why."
    return told


def _least_error(rows: Sequence[SubsetQuality], n_items: int) -> str:
    others = [
        row
        for row in rows
        if row.n_items == n_items
        and row.method != "random"
        and not math.isnan(row.mae.value)
    ]
    if not others:
        return ""
    best = min(others, key=lambda row: row.mae.value)
    return (
        f"at {n_items:,}, {subset_name(best.method, best.estimator)} by "
        f"{spread(best.mae.value)}, nearer than {percent(best.beats_random)} % of "
        "random subsets"
    )


def subset_name(method: str, estimator: str) -> str:
    """Return how a subset is chosen and read; the plain mean goes without saying."""
    return method if estimator == "weighted" else f"{method}, {estimator}"


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


def alike(
    found: Iterable[tuple[str, Caution]],
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return (code, text, names) of cautions; those that differ in figures are one."""
    first: dict[str, Caution] = {}
    names: dict[str, dict[str, None]] = {}
    others: dict[str, set[str]] = {}
    for name, caution in found:
        kind = f"{caution.code} {FIGURES.sub('#', caution.text)}"
        first.setdefault(kind, caution)
        names.setdefault(kind, {})[name] = None
        others.setdefault(kind, set()).add(caution.text)
    return tuple(
        (
            caution.code,
            caution.text + (" (figures of the first)" if len(others[kind]) > 1 else ""),
            tuple(names[kind]),
        )
        for kind, caution in first.items()
    )


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


def _at_last(row: TaskVariance) -> str:
    """Return what the checkpoints of a row score; a claim on them, not on the model."""
    mean, n = row.discrete.mean, row.discrete.seed_sd_last.n
    if math.isnan(mean.value):
        return f"there is no mean ({mean.cautions[0].text})"
    runs = "this run ends at" if n == 1 else f"these {n} runs end at a mean of"
    scores = f"{runs} {score(mean.value)} {interval(mean)}".rstrip()
    return f"{scores}{_against_chance(row)}"


def _against_chance(row: TaskVariance) -> str:
    if math.isnan(row.chance) or math.isnan(row.discrete.mean.interval.low):
        return ""
    if is_at_chance(row):
        return f", no more than guessing explains (chance {score(row.chance)})"
    side = "above" if row.discrete.mean.value > row.chance else "below"
    doubt = (
        ", though another set of seeds might not be" if is_open_over_seeds(row) else ""
    )
    return f", {side} chance ({score(row.chance)}){doubt}"


def _against_published(row: TaskVariance, names: dict[int, str]) -> str:
    """Say how the seed SD compares with a published one, where there is one."""
    if row.published is None or math.isnan(row.published.ratio.value):
        return ""
    figure, multiple = row.published.figure, row.published.ratio
    others = [c for c in multiple.cautions if c.code == "other-items"]
    return (
        f"The seed SD of {names[id(row)]}, averaged, is {ratio(multiple.value)} "
        f"{ratio_interval(multiple)} times the published one on {figure.benchmark}, "
        f"{spread(row.published.published)} for {figure.models} in {figure.source}"
        + (f"; {others[0].text}." if others else ".")
    )


def _noise(row: TaskVariance) -> str:
    # Not E: early checkpoints at chance hide how far seeds have parted by the last.
    sd, error = row.discrete.seed_sd_last, row.discrete.item_se_last
    seeds = (
        f"SD {spread(sd.value)} over seeds"
        if not math.isnan(sd.value)
        else f"no SD over seeds ({sd.cautions[0].text})"
    )
    items = (
        f"standard error {spread(error.value)} over items"
        if not math.isnan(error.value)
        else f"no standard error over items ({error.cautions[0].text})"
    )
    return f"{seeds}, {items}"


def _trend(row: TaskVariance) -> str:
    return f"the score {trend_word(row.discrete.monotonicity, row.n_seeds)}"


def _pair(
    choice: TaskVariance, cloze: TaskVariance, rows: Sequence[TaskVariance]
) -> str:
    task = _subject(cloze, rows, with_formulation=False)
    if choice.task != cloze.task:
        task = f"{task} against {clean(choice.task)}"
    partial = PARTIAL if choice.is_partial or cloze.is_partial else ""
    return (
        f"{task}{partial}: as cloze, {_at_last(cloze)}; {_noise(cloze)}; "
        f"{_trend(cloze)}. By letter, on the same {count(choice.n_items, 'item')}, "
        f"{_at_last(choice)}; {_trend(choice)}."
    )


def _single(row: TaskVariance, rows: Sequence[TaskVariance]) -> str:
    partial = PARTIAL if row.is_partial else ""
    return (
        f"{_subject(row, rows)}{partial}: {_at_last(row)}; {_noise(row)}; "
        f"{_trend(row)}."
    )


def _subject(
    row: TaskVariance, rows: Sequence[TaskVariance], *, with_formulation: bool = True
) -> str:
    own = [other for other in rows if other.model == row.model]
    parts = _parts(row, own, with_formulation=with_formulation)
    return f"{clean(row.model)}, {clean(' · '.join(parts))}"


def _chance(rows: Sequence[TaskVariance], names: dict[int, str]) -> list[str]:
    if not rows:
        return []
    return [
        f"Guessing explains {_listed([names[id(row)] for row in rows])}: chance lies "
        "inside the interval over items."
    ]


def _noise_range(rows: Sequence[TaskVariance], names: dict[int, str]) -> list[str]:
    known = [r for r in rows if not math.isnan(_sd(r))]
    if len(known) < 2:
        return []
    least, most = min(known, key=_sd), max(known, key=_sd)
    both = [r for r in known if not math.isnan(r.discrete.item_se_last.value)]
    noisier = [r for r in both if _sd(r) > r.discrete.item_se_last.value]
    return [
        "At the last checkpoint another training seed moves a score by SD "
        f"{spread(_sd(least))} ({names[id(least)]}) to {spread(_sd(most))} "
        f"({names[id(most)]}); in {len(noisier)} of {count(len(both), 'row')} that is "
        "more than another draw of items would, by their standard error."
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
        for quantity, estimate in (
            ("seed SD at the last checkpoint", row.discrete.seed_sd_last),
            ("monotonicity", row.discrete.monotonicity),
        ):
            if math.isnan(estimate.value):
                caution = estimate.cautions[0]
                key = (quantity, caution.code, caution.text)
                missing.setdefault(key, []).append(names[id(row)])
    sentences = []
    for (quantity, code, text), where in missing.items():
        rows_of = "any row" if len(where) == len(rows) else _listed(where)
        fill = f" To fill it, {FILLS[code]}." if code in FILLS else ""
        sentences.append(f"There is no {quantity} for {rows_of}: {text}.{fill}")
    return sentences


def _sd(row: TaskVariance) -> float:
    return row.discrete.seed_sd_last.value


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


# ---- comparisons ---------------------------------------------------------------


def verdict(row: TaskDifference) -> str:
    """Return a verdict in words, with its sign; of no worse, by how much."""
    loss = ""
    if row.verdict == "no worse" and row.delta is not None:
        loss = f" (by no more than {spread(row.delta)})"
    return f"{SIGNS[row.verdict]} {row.verdict}{loss}"


def difference_sentence(name: str, row: TaskDifference) -> str:
    """Return one difference, as its hover box and the live text say it."""
    sides = (row.candidate, row.baseline)
    scores = " against ".join(f"{clean(s.name)} {score(s.score.value)}" for s in sides)
    told = [f"{name}: {verdict(row)}"]
    if not math.isnan(row.difference.value):
        level = f"{100 * row.difference.confidence_level:g} %"
        ends = signed_interval(row.difference.interval)
        told.append(
            f"difference {signed(row.difference.value)}"
            + (f" {ends} ({level})" if ends else "")
        )
        if ends := signed_interval(row.corrected):
            told.append(f"after correction {ends}")
        if row.sequential and (ends := signed_interval(row.sequential)):
            told.append(f"however often looked at {ends}")
    told += [scores, count(row.n_items, "item")]
    if row.reason:
        told.append(row.reason)
    return ", ".join(told)


def verdict_counts(rows: Sequence[TaskDifference]) -> str:
    """Return how many differences have each verdict; those that none has are left out.

    As in ``2 better, 1 worse and 3 unclear``.
    """
    counts = Counter(row.verdict for row in rows)
    return _listed([f"{counts[name]} {name}" for name in SIGNS if counts[name]])
