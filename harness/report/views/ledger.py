"""Where does the noise of each score come from, and what would another design find?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

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
from harness.report.figures.ledger import (
    Below,
    FoundCurve,
    Source,
    power_figure,
    power_traces,
    sources_figure,
    sources_traces,
)
from harness.report.figures.style import NAME
from harness.report.gather import ReportData
from harness.report.sheets.power import NOUNS, alike_over, sentence
from harness.stats.estimate import Estimate
from harness.stats.facets import LABELS, FacetScores
from harness.stats.ledger.ledger import ITEM, REPEAT, Effect
from harness.stats.ledger_table import TaskLedger
from harness.stats.power.difference import LEAST, MANY, noncentrality
from harness.stats.power.noise import Noise, noise_of_score
from harness.stats.power_table import Target, TaskPower

POWER = 0.8
"""With which a difference is to be found; that of `gather`."""

MATTERS = 0.01
"""Difference that matters until the reader says another: a point."""

SLIDERS = ("item", "train_seed", "template", "fewshot_seed", "repeat")

REST = "interactions, error"
"""What facets make only together, and what no repeats tell from it."""

PLACES = {
    "item": 0,
    "train_seed": 1,
    "template": 2,
    "fewshot_seed": 3,
    REST: 4,
    REPEAT: 5,
}
"""Style of each kind of source, in the order of the bars."""

STUB, GAP = 0.08, 0.03
"""Length of what is not estimated, and room before a mark, by the longest bar."""

TAGGED = 0.1
"""Share of the longest bar from which a source's is written on it."""

N_FACTORS = 257
"""Points at which the page has the factor of t; between them it interpolates."""

LEVELS = {REPEAT: (1, 2, 4, 8, 16), "train_seed": (2, 3, 5, 10, 20)}
"""Curves beside that of the design as run."""

MANTISSAS = (1, 2, 5)
"""Numbers of items that curves are computed at, in each decade."""

STOPS = (1, 1.5, 2, 3, 5, 7)
"""Numbers of items that the slider has, in each decade."""

OTHERS = (*range(1, 17), 20, 24, 32)
"""Levels of other facets that their sliders have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """The section on sources of noise and on what other designs would find."""

    drawn: tuple[Drawn, ...]
    plan: dict[str, Any]
    """What the page's script needs to predict the noise of other designs."""

    labels: tuple[str, ...]
    """Of the scores that `plan` is of, in its order."""

    sliders: tuple[tuple[str, str], ...]
    """Facets that the sliders are of, and their plurals."""

    matters: float
    sentences: tuple[str, ...]
    missing: tuple[str, ...]
    """Scores without a ledger or a prediction, and why."""

    cautions: tuple[tuple[str, str, tuple[str, ...]], ...]
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """A score as `text.labels` takes it: of all templates."""

    model: str
    task: str
    formulation: str
    num_fewshot: int
    generation: str
    settings: str
    template: str = ""


def _name(scores: FacetScores) -> _Name:
    return _Name(**{name: getattr(scores, name) for name in (*LABELS, "settings")})


def ledger_view(data: ReportData) -> LedgerView | None:
    """Return the section; ``None`` where no score has a ledger."""
    rows = data.ledgers
    if not rows:
        return None
    asked = [_name(row.scores) for row in rows]
    names = text.labels(asked)
    labels = text.labels(asked, limit=NAME)
    found = {_key(row.scores): row for row in data.powers}
    powers = [found.get(_key(row.scores)) for row in rows]
    who = tuple(
        (label, row.scores.model, row.scores.task)
        for label, row in zip(labels, rows, strict=True)
    )
    target = Target()
    return LedgerView(
        drawn=(_sources(rows, who), _power(powers, who)),
        plan=_plan(rows, powers),
        labels=tuple(labels),
        sliders=tuple((facet, f"{NOUNS[facet]}s") for facet in SLIDERS),
        matters=MATTERS,
        sentences=tuple(
            text.clean(sentence(row, target, POWER)) for row in data.powers
        ),
        missing=_missing(data),
        cautions=_cautions(rows, powers, names),
        methods=_methods(rows, powers),
    )


def _key(scores: FacetScores) -> tuple[_Name, str]:
    return _name(scores), scores.metric


def _missing(data: ReportData) -> tuple[str, ...]:
    asked = [_name(who) for who, _ in data.unpredicted]
    return tuple(
        f"{text.clean(one.model)}: {text.condition_name(one)}: {text.clean(str(e))}."
        for one, (_, e) in zip(asked, data.unpredicted, strict=True)
    )


def _cautions(
    rows: Sequence[TaskLedger],
    powers: Sequence[TaskPower | None],
    names: Sequence[str],
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    found = []
    for row, power, name in zip(rows, powers, names, strict=True):
        more = power.cautions if power else ()
        # A caution that both have is said once of each score.
        found += [(name, c) for c in dict.fromkeys((*row.cautions, *more))]
        found += [
            (name, caution)
            for effect in row.ledger.effects
            for caution in effect.variance.cautions
        ]
    return text.alike(found)


def _methods(
    rows: Sequence[TaskLedger], powers: Sequence[TaskPower | None]
) -> tuple[str, ...]:
    methods = [e.variance.method for row in rows for e in row.ledger.effects]
    known = [m for m in dict.fromkeys(methods) if m != "not estimated"]
    level = text.percent(rows[0].ledger.confidence_level)
    counts = Counter(row.ledger.n for row in rows)
    lines = [
        f"Components: {'; '.join(known)}. Intervals at {level} %. "
        f"{', '.join(text.count(n, 'answer') for n in sorted(counts))} a score, of "
        "the last step alone, so that training is no noise."
    ]
    lines += [
        f"Differences: {method}."
        for method in dict.fromkeys(p.now.detectable.method for p in powers if p)
    ]
    return tuple(lines)


# ---- sources -------------------------------------------------------------------


def _sources(rows: Sequence[TaskLedger], who: Sequence[tuple[str, str, str]]) -> Drawn:
    labels = [label for label, _, _ in who]
    sources, below = _bars(rows, labels)
    silent = [
        (place, "no noise that these answers show")
        for place, row in enumerate(rows)
        if not _total(row) > 0
    ]
    return Drawn(
        name="ledger-sources",
        kind="stack",
        title="Where the noise of a mean score comes from",
        sentence=_sources_sentence(rows),
        figure=sources_figure(labels, sources, below, silent),
        table=_sources_table(rows),
        rows=tuple(who),
        menu=Menu(
            name="Show",
            choices=tuple(
                Choice(
                    label=label,
                    y_title=title,
                    traces=sources_traces(sources, below, is_share=is_share),
                )
                for is_share, label, title in (
                    (True, "share", "% of the variance of the mean score"),
                    (False, "variance", "variance of the mean score"),
                )
            ),
        ),
    )


def _total(row: TaskLedger) -> float:
    return math.fsum(e.contribution for e in row.ledger.effects if e.is_estimated)


def _kind(effect: Effect) -> str:
    """Return which bar an effect is part of."""
    if effect.name == REPEAT:
        return REPEAT
    return effect.facets[0] if len(effect.facets) == 1 else REST


def _bars(
    rows: Sequence[TaskLedger], labels: Sequence[str]
) -> tuple[list[Source], Below]:
    found: dict[str, list[tuple[int, float, float, str]]] = {k: [] for k in PLACES}
    unknown: list[tuple[int, str]] = []
    negative: list[tuple[int, str]] = []
    ends = []
    for place, (row, label) in enumerate(zip(rows, labels, strict=True)):
        total, end = _total(row), 0.0
        for kind in PLACES:
            own = [e for e in row.ledger.effects if e.is_estimated and _kind(e) == kind]
            part = math.fsum(max(e.contribution, 0) for e in own)
            if part > 0 and total > 0:
                words = f"{label}: {'; '.join(map(_effect_words, own))}"
                found[kind].append((place, part / total, part, words))
                end += part
        ends.append((end / total if total > 0 else 0.0, end))
        lacking = [e.name for e in row.ledger.effects if not e.is_estimated]
        if lacking:
            names = ", ".join(map(_in_words, lacking))
            unknown.append((place, f"{label}: not estimated: {names}"))
        low = [e for e in row.ledger.effects if e.variance.value < 0]
        if low:
            words = "; ".join(map(_effect_words, low))
            negative.append((place, f"{label}, drawn as 0: {words}"))
    longest = tuple(max(lengths) for lengths in zip(*ends, strict=True))
    sources = [
        Source(
            name=REST if kind == REST else f"{NOUNS[kind]}s",
            place=PLACES[kind],
            rows=tuple(place for place, *_ in own),
            shares=tuple(100 * share for _, share, _, _ in own),
            parts=tuple(part for _, _, part, _ in own),
            tags=tuple(
                text.percent(share) if share >= TAGGED * longest[0] else ""
                for _, share, _, _ in own
            ),
            sentences=tuple(words for *_, words in own),
        )
        for kind, own in found.items()
        if own
    ]
    if unknown:
        sources.append(
            Source(
                name="not estimated (of unknown length)",
                place=None,
                rows=tuple(place for place, _ in unknown),
                shares=(100 * STUB * longest[0],) * len(unknown),
                parts=(STUB * longest[1],) * len(unknown),
                tags=("",) * len(unknown),
                sentences=tuple(words for _, words in unknown),
            )
        )
    stubs = {place for place, _ in unknown}
    room = [GAP + STUB * (place in stubs) for place, _ in negative]
    return sources, Below(
        rows=tuple(place for place, _ in negative),
        shares=tuple(
            100 * (ends[place][0] + more * longest[0])
            for (place, _), more in zip(negative, room, strict=True)
        ),
        parts=tuple(
            ends[place][1] + more * longest[1]
            for (place, _), more in zip(negative, room, strict=True)
        ),
        sentences=tuple(words for _, words in negative),
    )


def _effect_words(effect: Effect) -> str:
    """Return an effect's share, and how far its levels differ."""
    share = "" if math.isnan(effect.share) else f" {text.percent(effect.share)} %"
    variance = effect.variance
    return (
        f"{_in_words(effect.name)}{share}, component {text.spread(variance.value)} "
        f"{text.spread_interval(variance)}".rstrip()
        + f", {text.count(effect.n_levels, 'level')}"
    )


def _sources_sentence(rows: Sequence[TaskLedger]) -> str:
    most: Counter[str] = Counter()
    lacking: Counter[str] = Counter()
    for row in rows:
        effects = row.ledger.effects
        lacking.update(e.name for e in effects if not e.is_estimated)
        known = [e for e in effects if e.share > 0]
        if known:
            most[max(known, key=lambda e: e.share).name] += 1

    def told(counts: Counter[str]) -> str:
        return ", ".join(
            _in_words(name) if n == len(rows) else f"{_in_words(name)} ({n:,})"
            for name, n in counts.most_common()
        )

    first = (
        f"What adds most to the variance of the mean, of {_scores(len(rows))}: "
        f"{told(most)}."
        if most
        else "These answers show no noise."
    )
    rest = f" Not estimated, and so not 0: {told(lacking)}." if lacking else ""
    return first + rest


def _scores(n: int) -> str:
    return "this score" if n == 1 else f"{n:,} scores"


def _in_words(name: str) -> str:
    """Return an effect's name with its facets in words."""
    for facet, noun in NOUNS.items():
        name = name.replace(facet, noun)
    return name


def _sources_table(rows: Sequence[TaskLedger]) -> Table:
    return Table(
        caption="Sources of noise of each mean score, at the last step",
        headings=(
            ("Task", False),
            ("Model", False),
            ("Source", False),
            ("Levels", True),
            ("SD", True),
            ("Component", True),
            ("Variance of the mean", True),
            ("Share %", True),
            ("Cautions", False),
        ),
        lines=tuple(
            Line(
                cells=(*_who_cells(row.scores), *_effect_cells(effect)),
                task=row.scores.task,
                model=row.scores.model,
            )
            for row in rows
            for effect in row.ledger.effects
        ),
    )


def _who_cells(scores: FacetScores) -> tuple[Cell, Cell]:
    parts = [scores.formulation, f"{scores.num_fewshot}-shot"]
    parts += [text.generation_words(scores.generation), scores.settings]
    detail = text.clean(" · ".join(part for part in parts if part))
    return (
        Cell(text=text.clean(scores.task), detail=detail),
        Cell(text=text.clean(scores.model)),
    )


def _effect_cells(effect: Effect) -> tuple[Cell, ...]:
    variance = effect.variance
    why = variance.cautions[0].text if variance.cautions else "no noise at all"
    sd = math.sqrt(max(variance.value, 0)) if effect.is_estimated else math.nan
    codes = dict.fromkeys(caution.code for caution in variance.cautions)
    return (
        Cell(text=_in_words(effect.name)),
        Cell(text=f"{effect.n_levels:,}", value=effect.n_levels),
        number_cell(sd, text.spread, why),
        estimate_cell(variance, text.spread, text.spread_interval),
        number_cell(effect.contribution, text.spread, why),
        number_cell(100 * effect.share, lambda v: text.percent(v / 100), why),
        Cell(text=", ".join(codes) or "none"),
    )


# ---- what designs find ---------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What designs of one score find: those as run, but for items and one facet."""

    facet: str
    """Which tells the curves apart; empty where none can."""

    levels: tuple[float, ...]
    """Of each curve, the design as run first; one ``nan`` without a facet."""

    estimates: tuple[tuple[Estimate, ...], ...]
    """Of each curve at each number of items."""


def _power(
    powers: Sequence[TaskPower | None],
    who: Sequence[tuple[str, str, str]],
) -> Drawn:
    known = [power for power in powers if power and _has_items(power)]
    items = _items([power.difference.counts[ITEM] for power in known])
    found = [
        _found(power.difference, items) if power and _has_items(power) else None
        for power in powers
    ]
    n_curves = max((len(one.levels) for one in found if one), default=0)
    choices = [
        {
            "facet": one.facet if one else "",
            "traces": power_traces(
                _curves(one) if one else (),
                n_curves,
                items,
                _now(power) if power and one else None,
            ),
        }
        for power, one in zip(powers, found, strict=True)
        if known
    ]
    return Drawn(
        name="ledger-power",
        kind="power",
        title="Which differences of two models could be found",
        sentence=_power_sentence(known),
        figure=power_figure(n_curves) if known else None,
        table=_power_table(powers, found, items) if known else None,
        rows=tuple(who),
        extra={"choices": choices},
    )


def _has_items(power: TaskPower) -> bool:
    return ITEM in power.difference.facets


def _items(counts: Sequence[float]) -> list[int]:
    """Return round numbers of items around all that were asked."""
    if not counts:
        return []
    low, high = min(counts) / 5, max(counts) * 10
    return [int(n) for n in _round(MANTISSAS, max(low, 5), high)]


def _round(mantissas: Sequence[float], low: float, high: float) -> Iterator[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return (
        m * 10.0**decade
        for decade, m in product(decades, mantissas)
        if low <= m * 10.0**decade <= high
    )


def _found(noise: Noise, items: Sequence[int]) -> _Found:
    facet = next((name for name in LEVELS if name in noise.facets), "")
    levels: list[float] = [noise.counts[facet] if facet else math.nan]
    levels += [n for n in LEVELS.get(facet, ()) if n not in levels]
    return _Found(
        facet=facet,
        levels=tuple(levels),
        estimates=tuple(
            tuple(
                noise.detectable(
                    {ITEM: n, **({facet: level} if facet else {})}, power=POWER
                )
                for n in items
            )
            for level in levels
        ),
    )


def _curves(found: _Found) -> list[FoundCurve]:
    return [
        FoundCurve(
            name=_curve_name(found, place),
            level=None if math.isnan(level) else level,
            values=tuple(text.place(e.value) for e in estimates),
        )
        for place, (level, estimates) in enumerate(
            zip(found.levels, found.estimates, strict=True)
        )
    ]


def _curve_name(found: _Found, place: int) -> str:
    as_run = "" if place else "as run"
    if not found.facet:
        return as_run
    level = found.levels[place]
    words = f"{level:,.4g} {NOUNS[found.facet]}{'' if level == 1 else 's'}"
    return f"{words} ({as_run})" if as_run else words


def _now(power: TaskPower) -> tuple[float, float | None]:
    return power.difference.counts[ITEM], text.place(power.now.detectable.value)


def _power_sentence(known: Sequence[TaskPower]) -> str:
    if not known:
        return "Not defined: more than one item is needed, of models that share items."
    values = [power.now.detectable.value for power in known]
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        why = known[0].now.detectable.cautions[0].text
        return f"As run, no difference is sure to be found: {why}."
    low, high = text.spread(min(defined)), text.spread(max(defined))
    span = low if low == high else f"{low} to {high}"
    n_small = sum(value <= MATTERS for value in defined)
    assumed = [power for power in known if power.n_models == 1]
    told = (
        f"Two models that are asked the same are told apart in {text.percent(POWER)} % "
        f"of cases if {span} apart, as run; a difference of {text.spread(MATTERS)} "
        f"would {_found_at(n_small, len(known))}."
    )
    if assumed:
        told += (
            f" For {_scores(len(assumed))}, how alike two models are over "
            f"{alike_over(assumed[0])} is assumed: a correlation of "
            f"{text.correlation(assumed[0].correlation)}."
        )
    return told


def _found_at(n: int, n_scores: int) -> str:
    if n_scores == 1:
        return "be found" if n else "not be found"
    return f"be found at {n} of {n_scores:,} scores"


def _power_table(
    powers: Sequence[TaskPower | None],
    found: Sequence[_Found | None],
    items: Sequence[int],
) -> Table:
    lines = []
    for power, one in zip(powers, found, strict=True):
        if power is None or one is None:
            continue
        for place, estimates in enumerate(one.estimates):
            lines.append(
                Line(
                    cells=(
                        *_who_cells(power.scores),
                        Cell(text=_curve_name(one, place)),
                        _correlation_cell(power),
                        *_as_run_cells(power, is_first=place == 0),
                        *(estimate_cell(e, text.spread) for e in estimates),
                    ),
                    task=power.scores.task,
                    model=power.scores.model,
                )
            )
    return Table(
        caption="Smallest difference of two models that is found in "
        f"{text.percent(POWER)} % of cases, by numbers of items",
        headings=(
            ("Task", False),
            ("Model", False),
            ("Design", False),
            ("Correlation of two models", True),
            ("Items as run", True),
            ("Found as run", True),
            *((f"{n:,} items", True) for n in items),
        ),
        lines=tuple(lines),
    )


def _correlation_cell(power: TaskPower) -> Cell:
    cell = number_cell(power.correlation, text.correlation, "items do not differ")
    return Cell(
        text=cell.text,
        value=cell.value,
        reason=cell.reason,
        detail="assumed" if power.n_models == 1 else f"{power.n_models} models",
    )


def _as_run_cells(power: TaskPower, *, is_first: bool) -> tuple[Cell, Cell]:
    if not is_first:
        same = Cell(text="", reason="")
        return same, same
    n = power.difference.counts[ITEM]
    return (
        Cell(text=f"{n:,.0f}", value=n),
        estimate_cell(power.now.detectable, text.spread, text.spread_interval),
    )


# ---- what if -------------------------------------------------------------------


def _plan(
    rows: Sequence[TaskLedger], powers: Sequence[TaskPower | None]
) -> dict[str, Any]:
    level = rows[0].ledger.confidence_level
    factors = noncentrality(np.geomspace(LEAST, MANY, N_FACTORS), POWER, level)
    return {
        "least": LEAST,
        "most": MANY,
        "factors": [float(f"{factor:.6g}") for factor in factors],
        "nouns": {facet: [noun, f"{noun}s"] for facet, noun in NOUNS.items()},
        "plans": [
            {
                "model": row.scores.model,
                "task": row.scores.task,
                "score": _noise_json(score),
                "difference": _noise_json(power.difference) if power else None,
                "alike": _alike(power) if power else "",
                "unknown": [f for f in score.unknown if f in NOUNS],
                "levels": {
                    facet: _stops(row, facet, score.counts[facet])
                    for facet in SLIDERS
                    if facet in score.facets
                },
            }
            for row, power, score in zip(
                rows, powers, (noise_of_score(row.ledger) for row in rows), strict=True
            )
        ],
    }


def _alike(power: TaskPower) -> str:
    """Say how alike two models are taken to be, and whether that was seen."""
    if math.isnan(power.correlation):
        return ""
    seen = "assumed" if power.n_models == 1 else f"from {power.n_models} models"
    rho = text.correlation(power.correlation)
    return f"Correlation of two models over {alike_over(power)}: {rho} ({seen})."


def _noise_json(noise: Noise) -> dict[str, Any]:
    return {
        "counts": dict(noise.counts),
        "sources": [
            [list(s.facets), None if math.isnan(s.variance) else s.variance]
            for s in noise.sources
        ],
    }


def _stops(row: TaskLedger, facet: str, now: float) -> list[float]:
    """Return what a slider can be put to; the design as run is among it."""
    if facet != ITEM:
        return sorted({*map(float, OTHERS), now})
    total = row.scores.n_items_total
    stops = _round(STOPS, max(now / 10, 2), 10 * max(now, total))
    return sorted({*map(round, stops), now, float(total)})
