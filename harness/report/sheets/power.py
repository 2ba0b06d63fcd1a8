"""What to buy next, in words: a line for the design as run, and one for each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import DesignError
from harness.report.sheets.sheet import NOTES, Footnotes, Sheet
from harness.report.text import (
    MAX_SENTENCES,
    PARTIAL,
    UNDEFINED,
    clean,
    correlation,
    count,
    duration,
    generation_words,
    percent,
    spread,
    spread_interval,
)
from harness.stats.facets import FacetScores
from harness.stats.power.cost import Design, Gain
from harness.stats.power.noise import Noise
from harness.stats.power_table import Target, TaskPower

if TYPE_CHECKING:
    import pandas as pd

NOUNS = {
    "item": "item",
    "train_seed": "training seed",
    "step": "step",
    "template": "template",
    "fewshot_seed": "few-shot seed",
    "repeat": "repeat",
}
"""Facets in words."""

COLUMNS = (
    ("design", False),
    ("items", True),
    ("train\nseeds", True),
    ("temp-\nlates", True),
    ("shot\nseeds", True),
    ("re-\npeats", True),
    ("SE", True),
    ("interval", True),
    ("finds", True),
    ("narrower\n%", True),
    ("cost", True),
    (NOTES, False),
)

SHOWN = ("item", "train_seed", "template", "fewshot_seed", "repeat")

AS_RUN, TARGET = "as run", "cheapest"

Refused = Sequence[tuple[FacetScores, DesignError]]


def power_sheet(
    rows: Sequence[TaskPower], refused: Refused, *, target: Target, power: float
) -> Sheet:
    """Return a part for each model and task, a line for each design."""
    notes = Footnotes()
    parts = []
    for row in rows:
        marks = notes.marks(row.cautions)
        lines = tuple(
            _cells(name, design, shrunk, notes)
            for name, design, shrunk in _designs(row, target)
        )
        partial = PARTIAL if row.scores.is_partial else ""
        title = f"{scores_name(row.scores)}{partial} {marks}"
        parts.append((title.strip(), lines))
    return Sheet(
        columns=COLUMNS,
        parts=tuple(parts),
        label="task",
        notes=notes.texts,
        remarks=(_remark(target, power), *_refusals(refused)),
        sentences=tuple(_sentences(rows, target, power)),
        frame=lambda: power_frame(rows, target),
    )


def power_frame(rows: Sequence[TaskPower], target: Target) -> pd.DataFrame:
    """Return a tidy row for each model, task and design of what is asked for."""
    import pandas as pd

    frames = [row.to_frame() for row in rows]
    of = "score" if target.difference is None else "difference"
    return pd.concat([frame[frame["of"] == of] for frame in frames], ignore_index=True)


def scores_name(scores: FacetScores) -> str:
    """Return model and task, with all that tells them from others."""
    shots = f"{scores.num_fewshot}-shot" if scores.num_fewshot else ""
    parts = (scores.model, " ".join(filter(None, [scores.task, shots])))
    more = (generation_words(scores.generation), scores.settings)
    return clean(" · ".join(filter(None, [*parts, *more])))


def _asked(row: TaskPower, target: Target) -> Noise:
    return row.score if target.difference is None else row.difference


def _designs(row: TaskPower, target: Target) -> Iterator[tuple[str, Design, float]]:
    now = row.now if target.difference is None else row.difference_now
    yield AS_RUN, now, 0.0
    for gain in row.gains:
        yield gain_name(gain), gain.design, gain.narrower_by
    if row.wanted is not None:
        name = TARGET if target.seconds is None else "best"
        yield name, row.wanted, 1 - row.wanted.se.value / now.se.value


def gain_name(gain: Gain) -> str:
    """Return what is added, such as ``+2 training seeds``."""
    return f"+{count(gain.n_added, NOUNS[gain.facet])}"


def _cells(
    name: str, design: Design, shrunk: float, notes: Footnotes
) -> tuple[str, ...]:
    cautions = (*design.se.cautions, *design.detectable.cautions)
    return (
        name,
        *(_levels(design.counts, facet) for facet in SHOWN),
        spread(design.se.value),
        spread_interval(design.se),
        spread(design.detectable.value),
        UNDEFINED if name == AS_RUN else percent(shrunk),
        UNDEFINED if name == AS_RUN else duration(design.seconds),
        notes.marks(dict.fromkeys(cautions)),
    )


def _levels(counts: Mapping[str, float], facet: str) -> str:
    n = counts.get(facet)
    return UNDEFINED if n is None else f"{n:,.4g}" if n % 1 else f"{n:,.0f}"


def _remark(target: Target, power: float) -> str:
    of, whose = "the score", ""
    if target.difference is not None:
        of = "a difference of two models"
        whose = ", for this model alone: another asked the same costs its own"
    return (
        f"SE: predicted standard error of {of}, for other levels of what varies; "
        f"finds: smallest true difference of two models that a test tells from 0 in "
        f"{percent(power)} % of cases; cost: of one worker, beyond what is stored"
        f"{whose}"
    )


def _refusals(refused: Refused) -> tuple[str, ...]:
    return tuple(
        f"{scores_name(who)}: {error} [{error.code}]" for who, error in refused
    )


def _sentences(
    rows: Sequence[TaskPower], target: Target, power: float
) -> Iterator[str]:
    for row in rows[:MAX_SENTENCES]:
        yield sentence(row, target, power)
    if len(rows) > MAX_SENTENCES:
        rest = count(len(rows) - MAX_SENTENCES, "row")
        yield f"{rest} more: see the table."


def sentence(row: TaskPower, target: Target, power: float) -> str:
    """Return how sure one score is, what could be told apart, and what to buy."""
    asked = _asked(row, target)
    name = scores_name(row.scores)
    error = row.now.se if target.difference is None else row.difference_now.se
    what = "its score" if target.difference is None else "its difference to another"
    if math.isnan(error.value):
        told = (
            f"{name}: there is no standard error of {what} ({error.cautions[0].text})."
        )
    else:
        told = (
            f"{name}: the standard error of {what} is {spread(error.value)} "
            f"{spread_interval(error)}, for {_universe(row, asked)}."
        )
    found = row.now.detectable
    if not math.isnan(found.value):
        told += (
            f" Two models asked the same are told apart in {percent(power)} % of cases "
            f"if {spread(found.value)} apart, {_alike(row)}."
        )
    known = [gain for gain in row.gains if not math.isnan(gain.narrower_by)]
    if known:
        told += f" {_bought(known)}"
    if row.score.counts.get("item") == row.scores.n_items_total:
        told += f" All {count(row.scores.n_items_total, 'item')} of the task are asked."
    return told + _reached(row, target)


def _bought(known: Sequence[Gain]) -> str:
    verb = "narrow" if known[0].n_added > 1 else "narrows"
    told = [
        f"{count(gain.n_added, f'more {NOUNS[gain.facet]}')}{does} by "
        f"{percent(gain.narrower_by)} %"
        for gain, does in zip(
            known, [f" {verb} this", *[""] * len(known)], strict=False
        )
    ]
    return f"{', '.join(told)}."


def _universe(row: TaskPower, noise: Noise) -> str:
    """Say over what is generalised, and what is held."""
    varied = [f"{NOUNS[facet]}s" for facet in noise.facets]
    idle = {"repeat", "step"} | (
        {"fewshot_seed"} if not row.scores.num_fewshot else set()
    )
    held = [f"these {NOUNS[facet]}s" for facet in noise.fixed]
    held += [f"this {NOUNS[f]}" for f in noise.unknown if f in {*NOUNS} - idle]
    others = f"other {_listed(varied)}" if varied else "nothing else"
    return others + (f" under {_listed(held)}" if held else "")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]


def alike_over(row: TaskPower) -> str:
    """Return over what two models may be found alike, such as ``items``."""
    return _listed([f"{NOUNS[name]}s" for name in row.difference.shared or ("item",)])


def _alike(row: TaskPower) -> str:
    if row.n_models == 1:
        return (
            f"if over {alike_over(row)} they correlate by "
            f"{correlation(row.correlation)} (assumed)"
        )
    return f"judged by the {row.n_models} models here"


def _reached(row: TaskPower, target: Target) -> str:
    if target.se is None and target.difference is None and target.seconds is None:
        return ""
    if row.wanted is None:
        more = ""
        if "template" in _asked(row, target).facets and "template" in row.limits:
            more = " under these templates; `--cost template=SECONDS` allows for others"
        return f" No design within what the task holds reaches what is asked{more}."
    wanted = row.wanted
    levels = [
        count(math.ceil(wanted.counts[facet]), NOUNS[facet])
        for facet in SHOWN
        if facet in wanted.counts
    ]
    if not wanted.seconds and wanted.counts == dict(row.score.counts):
        return " The design as run reaches what is asked."
    verb = "The cheapest that does" if target.seconds is None else "The best for this"
    return (
        f" {verb} has {_listed(levels)}, for {duration(wanted.seconds)} more: standard "
        f"error {spread(wanted.se.value)}."
    )
