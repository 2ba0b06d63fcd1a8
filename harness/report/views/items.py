"""Which items are noisy, broken or informative? Each task's items, linked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
from harness.report.figures.items import (
    MAX_CURVES,
    MAX_POINTS,
    Able,
    Marks,
    curves_figure,
    difficulty_figure,
    explorer_figure,
    outline,
    visible,
    wright_figure,
)
from harness.report.figures.style import NAME, Style, escape
from harness.report.gather import ReportData
from harness.report.sheets.items import item_flags, pruning_sentences, worst_first
from harness.stats.irt.curves import MIN_PER_BIN, ItemCurve
from harness.stats.irt_table import TaskIrt
from harness.stats.item_table import TaskItems
from harness.stats.items import ENOUGH
from harness.stats.respondents import Respondents

Floats = npt.NDArray[np.float64]

ROWS = 30
"""Items in the table as it is sent; the page's script has all of them."""

MAX_STORED_CURVES = 600
"""Items whose curve is in the page; of more, those that fit worst."""

POINTS = 21
"""Of a fitted curve that is kept for when its item is chosen."""

POINTS_IN_TABLE = 5

SHADES = 250
"""Steps of probability in which curves are kept: each is half a pixel."""

MAX_ANSWERS = 8_000_000
"""Answers that are kept in the page: 1 MB of right or wrong."""

MAX_LEVELS = 250
"""Scores that an answer can have, if answers are to be kept in the page."""

SPREAD = 1e-3
"""SD of ability below which a fit has put all checkpoints in one place."""

MORE_RUNS = "list checkpoints of more models or training seeds in the suite, run again"

QUANTITIES = {
    "mean": "mean at the last checkpoint",
    "seed_sd": "seed SD, averaged",
    "monotonicity": "monotonicity",
    "item_half_width": "item half-width",
}

Axes = tuple[tuple[str, str], ...]
"""Name and words of each quantity that can stand on an axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsView:
    """What the page shows of the items of one task."""

    name: str
    title: str
    task: str
    models: tuple[str, ...]
    notes: tuple[str, ...]
    """What is not shown, and why."""

    cautions: tuple[tuple[str, str], ...] = ()
    """Code and text."""

    x_axes: Axes = ()
    y_axes: Axes = ()
    filters: tuple[tuple[str, str, int], ...] = ()
    """Name, words and number of items of each kind that is odd."""

    explorer: Drawn | None = None
    sentences: tuple[str, ...] = ()
    """How stable discrimination is, and what pruning does."""

    stability: Table | None = None
    pruning: Table | None = None
    wright: Drawn | None = None
    information: Table | None = None
    curves: Drawn | None = None
    fitted: Table | None = None

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        """Its figures."""
        return tuple(d for d in (self.explorer, self.wright, self.curves) if d)


def items_views(data: ReportData) -> list[ItemsView]:
    """Return the items of each task, or why there are none."""
    fits = {id(row.who): row for row in data.irt}
    refused = {(r.analysis, id(r.who)): f"{r.text} [{r.code}]" for r in data.refusals}
    views: list[ItemsView] = []
    for row in data.items:
        name = f"items-{len(views)}"
        reason = refused.get(("irt", id(row.who)), "")
        views.append(_view(name, row, fits.get(id(row.who)), reason))
    for refusal in data.refusals:
        if refusal.analysis == "items":
            note = f"No item analysis: {refusal.text}. To fill it, {MORE_RUNS}."
            views.append(
                ItemsView(
                    name=f"items-{len(views)}",
                    **_heading(refusal.who),
                    notes=(note,),
                    cautions=((refusal.code, refusal.text),),
                )
            )
    return views


def _heading(who: Respondents) -> dict[str, Any]:
    return {
        "title": f"{text.clean(who.task)} ({condition_detail(who)})",
        "task": who.task,
        "models": tuple(dict.fromkeys(who.models)),
    }


def _view(name: str, row: TaskItems, fit: TaskIrt | None, reason: str) -> ItemsView:
    analysis = row.analysis
    notes = [] if fit else [f"No item response model: {reason}."]
    if fit and fit.fit.items.ability_sd < SPREAD:
        notes.append(
            "The fitted model puts all checkpoints at one ability (SD below "
            f"{SPREAD:g}): they do not differ on these items by more than chance, so "
            "that there is no scale to draw them on. "
            f"To fill it, {MORE_RUNS}, or give items that they differ on."
        )
        drawn_fit = None
    else:
        drawn_fit = fit
    heading = _heading(row.who)
    order = worst_first(row)
    seed_sd = item_seed_sd(row.who)
    columns = _columns(row, fit, seed_sd)
    cells = [_item_cells(row, fit, seed_sd, j) for j in range(len(order))]
    curves = _worst_curves(drawn_fit) if drawn_fit else {}
    x_axes = tuple((n, w) for n, w, _ in columns if n in ("difficulty", "b"))
    y_axes = tuple((n, w) for n, w, _ in columns if n not in ("difficulty", "b"))
    explorer = Drawn(
        name=f"{name}-explorer",
        kind="items",
        title="Difficulty and discrimination",
        about=f"{heading['title']}: ",
        sentence=_explorer_sentence(row),
        figure=explorer_figure(
            _marks(row, order),
            analysis.difficulty,
            analysis.item_rest,
            x_title=x_axes[0][1],
            y_title=y_axes[0][1],
        ),
        table=_item_table(row, fit, cells, order, heading["title"]),
        extra={
            "columns": {n: packed(v.astype(np.float32)) for n, _, v in columns},
            "axes": {n: words for n, words, _ in columns},
            "cells": [[cell.text for cell in line] for line in cells],
            "order": order,
            "filters": {n: places for n, _, places in _filters(row)},
            "maxPoints": MAX_POINTS,
            "answers": _answers(row.who),
            "curves": curves,
        },
    )
    return ItemsView(
        name=name,
        **heading,
        notes=tuple(notes),
        cautions=tuple(
            dict.fromkeys(
                (c.code, c.text)
                for c in (*row.cautions, *(fit.cautions if fit else ()))
            )
        ),
        x_axes=x_axes,
        y_axes=y_axes,
        filters=tuple((n, words, len(places)) for n, words, places in _filters(row)),
        explorer=explorer,
        sentences=_stability_sentences(row),
        stability=_stability_table(row, heading["title"]),
        pruning=_pruning_table(row, heading["title"]),
        wright=_wright(name, row, drawn_fit, heading["title"]),
        information=_information_table(drawn_fit, heading["title"]),
        curves=_curves(name, drawn_fit, heading["title"]) if drawn_fit else None,
        fitted=_fitted_table(drawn_fit, heading["title"]) if drawn_fit else None,
    )


# ---- the explorer --------------------------------------------------------------


def _columns(
    row: TaskItems, fit: TaskIrt | None, seed_sd: Floats
) -> list[tuple[str, str, Floats]]:
    """Return name, words and value for each item of what can stand on an axis."""
    analysis = row.analysis
    columns = [
        ("difficulty", "difficulty: mean score", analysis.difficulty),
        ("item_rest", "item-rest correlation", analysis.item_rest),
        ("point_biserial", "point-biserial correlation", analysis.point_biserial),
        ("seed_sd", "SD over training seeds", seed_sd),
    ]
    if fit:
        difficulty = _of_task(fit, fit.fit.items.difficulty)
        columns.insert(1, ("b", "difficulty b (logits, high is hard)", difficulty))
        if fit.fit.items.model in ("2pl", "3pl"):
            slope = _of_task(fit, fit.fit.items.discrimination)
            columns.append(("a", "discrimination a (per logit)", slope))
        columns.append(("outfit", "outfit", _of_task(fit, fit.item_fit.outfit)))
    return columns


def item_seed_sd(who: Respondents) -> Floats:
    """Return each item's SD over seeds, averaged over steps and models.

    ``nan`` where no model has two seeds at a step.
    """
    grid, _, _ = who.grid()
    seen = ~np.isnan(grid)
    n = seen.sum(1)
    mean = np.where(seen, grid, 0).sum(1) / np.maximum(n, 1)
    squares = np.where(seen, (grid - mean[:, None]) ** 2, 0).sum(1)
    is_known = n > 1
    sd = np.sqrt(squares / np.maximum(n - 1, 1))
    n_known = is_known.sum((0, 1))
    total = np.where(is_known, sd, 0).sum((0, 1))
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)


def _of_task(fit: TaskIrt, values: npt.NDArray[Any]) -> Floats:
    """Return values of fitted items as those of the task; ``nan`` for the others."""
    out = np.full(len(fit.who.item_ids), np.nan)
    out[fit.columns] = values
    return out


def _filters(row: TaskItems) -> list[tuple[str, str, list[int]]]:
    """Return name, words and items of everything that can be odd about an item."""
    analysis = row.analysis
    kinds = (
        ("sure", "surely negative", analysis.is_surely_negative),
        ("negative", "negative, be it by chance", analysis.is_negative),
        ("right", "all right", analysis.is_all_right),
        ("wrong", "all wrong", analysis.is_all_wrong),
        ("alike", "duplicates", _is_alike(row)),
    )
    return [
        (name, words, np.flatnonzero(is_so).tolist()) for name, words, is_so in kinds
    ]


def _is_alike(row: TaskItems) -> npt.NDArray[np.bool_]:
    analysis = row.analysis
    return np.asarray((analysis.same_id_as >= 0) | (analysis.same_responses_as >= 0))


def _marks(row: TaskItems, order: Sequence[int]) -> list[Marks]:
    analysis = row.analysis
    left = np.ones(len(analysis.item_ids), dtype=bool)
    marks = []
    for name, place, is_so in (
        ("surely negative", 1, analysis.is_surely_negative),
        ("all right or all wrong", 4, analysis.is_all_right | analysis.is_all_wrong),
        ("duplicate", 2, _is_alike(row)),
        ("other items", 0, left.copy()),
    ):
        here = is_so & left
        left &= ~here
        items = tuple(j for j in order if here[j])
        if items:
            marks.append(Marks(name=name, place=place, items=items))
    return marks


def _explorer_sentence(row: TaskItems) -> str:
    analysis = row.analysis
    known = analysis.item_rest[~np.isnan(analysis.item_rest)]
    middle = text.correlation(float(np.median(known)) if len(known) else math.nan)
    alpha = analysis.reliability
    reliable = (
        f"Cronbach's alpha {text.correlation(alpha.value)} "
        f"{text.correlation_interval(alpha)}".rstrip()
        if not math.isnan(alpha.value)
        else f"no reliability ({alpha.cautions[0].text})"
    )
    odd = [
        f"{len(places):,} {words}"
        for name, words, places in _filters(row)
        if places and name != "negative"
    ]
    n_negative = int(analysis.is_negative.sum())
    n_hidden = len(analysis.item_rest) - len(known)
    parts = [
        f"{text.count(len(analysis.item_ids), 'item')}, answered by "
        f"{text.count(analysis.n_respondents, 'checkpoint')} of "
        f"{text.count(analysis.n_independent, 'training run')}: median item-rest "
        f"correlation {middle}, {reliable}.",
        f"Flagged: {', '.join(odd)}." if odd else "No item is flagged.",
    ]
    if n_negative:
        parts.append(
            f"On {text.count(n_negative, 'item')} better checkpoints score lower, "
            "most of which may be chance."
        )
    if n_hidden:
        parts.append(
            f"{text.count(n_hidden, 'item')} without variation: no correlation, so in "
            "the table and not among these points."
        )
    if analysis.n_independent < ENOUGH:
        parts.append(
            f"Of {text.count(analysis.n_independent, 'independent run')} an item's "
            f"statistics are mostly noise; {ENOUGH} begin to be enough. Read the "
            "flags, and not the ranks."
        )
    return " ".join(parts)


def _item_table(
    row: TaskItems,
    fit: TaskIrt | None,
    cells: Sequence[tuple[Cell, ...]],
    order: Sequence[int],
    title: str,
) -> Table:
    n = len(cells)
    shown = f"the {ROWS} to look at first, of {n:,}" if n > ROWS else f"all {n:,}"
    headings = [
        ("Item", True),
        ("Id", False),
        ("Answers", True),
        ("Difficulty", True),
        ("Item-rest r", True),
        ("Interval", False),
        ("Point-biserial", True),
        ("SD over seeds", True),
        ("Flags", False),
    ]
    if fit:
        headings += [("b", True), ("SE of b", True), ("a", True)]
        headings += [("Infit", True), ("Outfit", True), ("Fit p", True)]
    return Table(
        caption=f"{title}: items, {shown}",
        headings=tuple(headings),
        lines=tuple(Line(cells=cells[j], task=row.who.task) for j in order[:ROWS]),
    )


def _item_cells(
    row: TaskItems, fit: TaskIrt | None, seed_sd: Floats, item: int
) -> tuple[Cell, ...]:
    analysis = row.analysis
    ends = float(analysis.low[item]), float(analysis.high[item])
    constant = "the item or the rest does not vary"
    cells = [
        _count_cell(row.who.item_indexes[item]),
        Cell(text=text.clean(analysis.item_ids[item])[:12]),
        _count_cell(int(analysis.n_answers[item])),
        _number(analysis.difficulty, item, text.score, "nobody answered it"),
        _number(analysis.item_rest, item, text.correlation, constant),
        Cell(text=text.between(*ends, text.correlation)),
        _number(analysis.point_biserial, item, text.correlation, constant),
        _number(seed_sd, item, text.spread, "no model has two training seeds"),
        Cell(text=", ".join(item_flags(row, item))),
    ]
    if fit:
        cells += _fit_cells(fit, item)
    return tuple(cells)


def _fit_cells(fit: TaskIrt, item: int) -> list[Cell]:
    """Return the parameters of an item, and how it fits."""
    dropped = "all right, all wrong or unanswered, so not fitted"
    untested = "too few answers to test"
    own = fit.fit
    at = np.flatnonzero(fit.columns == item)
    if not len(at):
        return [Cell(text=text.UNDEFINED, reason=dropped)] * 6
    place = int(at[0])
    return [
        _number(own.items.difficulty, place, text.score, dropped),
        _number(own.difficulty_se, place, text.spread, "it has none"),
        _number(own.items.discrimination, place, text.ratio, dropped),
        _number(fit.item_fit.infit, place, text.ratio, "no finite abilities"),
        _number(fit.item_fit.outfit, place, text.ratio, "no finite abilities"),
        _number(fit.item_fit.p_value, place, text.p_value, untested),
    ]


def _number(
    values: npt.NDArray[Any], place: int, style: Callable[[float], str], reason: str
) -> Cell:
    value = float(values[place])
    return number_cell(value if math.isfinite(value) else math.nan, style, reason)


def _count_cell(n: int) -> Cell:
    return Cell(text=str(n), value=n)


# ---- answers -------------------------------------------------------------------


def _answers(who: Respondents) -> dict[str, Any]:
    """Return each checkpoint's answers as small codes, or why they are left out.

    With two levels codes are bits, checkpoint by checkpoint; else bytes.
    """
    values, codes = np.unique(who.scores, return_inverse=True)
    if who.scores.size > MAX_ANSWERS or len(values) > MAX_LEVELS:
        return {
            "note": f"{who.scores.size:,} answers are not kept in the page; "
            "the store has them"
        }
    plain = {0.0: "wrong", 1.0: "right"}
    is_binary = set(values[~np.isnan(values)].tolist()) <= set(plain)
    levels = [
        "not asked"
        if math.isnan(value)
        else plain[value]
        if is_binary
        else text.score(value)
        for value in values.tolist()
    ]
    small = codes.reshape(who.scores.shape).astype(np.uint8)
    runs = [
        f"{text.clean(model)}, seed {text.seed_name(seed)}"
        for model, seed in zip(who.models, who.train_seeds, strict=True)
    ]
    run_names = list(dict.fromkeys(runs))
    steps = sorted(set(who.steps), key=lambda step: (step is not None, step or 0))
    return {
        "levels": levels,
        "bits": len(levels) <= 2,
        "codes": packed(np.packbits(small) if len(levels) <= 2 else small.ravel()),
        "runs": run_names,
        "steps": [text.step_name(step) for step in steps],
        "row": [run_names.index(run) for run in runs],
        "column": [steps.index(step) for step in who.steps],
    }


# ---- stability and pruning -----------------------------------------------------


def _stability_sentences(row: TaskItems) -> tuple[str, ...]:
    if row.stability is None:
        told = [
            f"Not judged: {caution.text}."
            for caution in row.cautions
            if caution.code in ("too-few-respondents", "one-model")
        ]
        return (*told, *pruning_sentences(row))
    random, ability = row.stability.random, row.stability.ability
    if math.isnan(random.value) or math.isnan(ability.value):
        lacking = random if math.isnan(random.value) else ability
        return (
            f"Stability of discrimination is not defined: {lacking.cautions[0].text}.",
            *pruning_sentences(row),
        )
    return (
        "Two random halves of the runs agree on which items discriminate with "
        f"r = {text.correlation(random.value)} {text.correlation_interval(random)}, "
        "the weaker and the stronger half with "
        f"{text.correlation(ability.value)} {text.correlation_interval(ability)}"
        + (
            ": what is chosen on weak models does not serve strong ones."
            if ability.value < random.interval.low
            else "."
        ),
        *pruning_sentences(row),
    )


def _stability_table(row: TaskItems, title: str) -> Table | None:
    if row.stability is None:
        return None
    parts = (
        ("random halves", row.stability.random),
        ("as many runs as all of them, by Spearman-Brown", row.stability.full_length),
        ("weaker and stronger half", row.stability.ability),
    )
    return Table(
        caption=f"{title}: do halves of the runs agree on which items discriminate?",
        headings=(("Halves", False), ("Correlation", True), ("Items", True)),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=words),
                    estimate_cell(part, text.correlation, text.correlation_interval),
                    _count_cell(part.n),
                ),
                task=row.who.task,
            )
            for words, part in parts
        ),
    )


def _pruning_table(row: TaskItems, title: str) -> Table | None:
    if not row.pruning:
        return None
    undefined = "not defined of these runs"
    lines = []
    for model, effect in row.pruning:
        for place, name in enumerate(effect.quantities):
            ends = effect.to_frame().loc[place, ["random_low", "random_high"]]
            low, high = map(float, ends)
            random = float(effect.random[:, place].mean())
            lines.append(
                Line(
                    cells=(
                        Cell(text=text.clean(model)),
                        Cell(text=QUANTITIES[name]),
                        _number(effect.full, place, text.score, undefined),
                        _number(effect.pruned, place, text.score, undefined),
                        number_cell(random, text.score, undefined),
                        Cell(text=text.between(low, high, text.score)),
                    ),
                    task=row.who.task,
                    model=model,
                )
            )
    first = row.pruning[0][1]
    return Table(
        caption=f"{title}: without the {text.share(first.share, 1)} of items that "
        "discriminate least among the other models",
        headings=(
            ("Held-out model", False),
            ("Quantity", False),
            ("All items", True),
            ("Pruned", True),
            ("Random, as many", True),
            ("Range of random", False),
        ),
        lines=tuple(lines),
    )


# ---- item response models ------------------------------------------------------


def _wright(name: str, row: TaskItems, fit: TaskIrt | None, title: str) -> Drawn:
    if fit is None:
        return Drawn(
            name=f"{name}-wright",
            kind="plain",
            title="How difficult the items are",
            about=f"{title}: ",
            sentence="There is no scale of ability to set items and checkpoints on; "
            "these are the items' mean scores.",
            figure=difficulty_figure(row.analysis.difficulty),
            table=None,
            extra={"explorer": f"{name}-explorer"},
        )
    who, own = fit.who, fit.fit
    able = []
    for model in dict.fromkeys(who.models):
        at = [r for r, other in enumerate(who.models) if other == model]
        able.append(
            Able(
                model=text.shortened(model, NAME),
                ability=tuple(float(own.ability[r]) for r in at),
                texts=tuple(_who_sentence(fit, r) for r in at),
            )
        )
    return Drawn(
        name=f"{name}-wright",
        kind="wright",
        title="Checkpoints and items on one scale, and what the items tell there",
        about=f"{title}: ",
        sentence=_wright_sentence(fit),
        figure=wright_figure(_distinct(able), own.items.difficulty, fit.information),
        table=_ability_table(fit, title),
        extra={"explorer": f"{name}-explorer", "shade": Style(place=0).band},
    )


def _distinct(able: Sequence[Able]) -> list[Able]:
    names = text.unique(one.model for one in able)
    return [
        Able(model=name, ability=one.ability, texts=one.texts)
        for one, name in zip(able, names, strict=True)
    ]


def _checkpoint_name(who: Respondents, place: int) -> str:
    return (
        f"{text.clean(who.models[place])}, seed "
        f"{text.seed_name(who.train_seeds[place])}, step "
        f"{text.step_name(who.steps[place])}"
    )


def _who_sentence(fit: TaskIrt, place: int) -> str:
    own = fit.fit
    return (
        f"{_checkpoint_name(fit.who, place)}: ability "
        f"{text.score(float(own.ability[place]))}, SE "
        f"{text.spread(float(own.ability_se[place]))}"
    )


def _wright_sentence(fit: TaskIrt) -> str:
    own, curve = fit.fit, fit.information
    best = int(np.argmax(curve.information))
    low, high = np.nanmin(own.ability), np.nanmax(own.ability)
    dropped = (
        f" {text.count(len(own.dropped), 'item')} without variation left out."
        if own.dropped
        else ""
    )
    return (
        f"Abilities from {text.score(float(low))} to {text.score(float(high))}, the "
        f"middle item at {text.score(float(np.median(own.items.difficulty)))}. The "
        f"{text.count(curve.n_items, 'item')} tell most at "
        f"{text.score(float(curve.ability[best]))}, where they leave a standard error "
        f"of {text.spread(float(curve.se[best]))}. {own.method[0].upper()}"
        f"{own.method[1:]}.{dropped}"
    )


def _ability_table(fit: TaskIrt, title: str) -> Table:
    who, own = fit.who, fit.fit
    order = np.argsort(-own.ability, kind="stable")
    unable = "it answered none of these items"
    return Table(
        caption=f"{title}: abilities, the most able checkpoint first",
        headings=(
            ("Model", False),
            ("Training seed", True),
            ("Step", True),
            ("Ability", True),
            ("SE", True),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=text.clean(who.models[r])),
                    Cell(
                        text=text.seed_name(who.train_seeds[r]),
                        value=who.train_seeds[r],
                    ),
                    Cell(text=text.step_name(who.steps[r]), value=who.steps[r]),
                    _number(own.ability, r, text.score, unable),
                    _number(own.ability_se, r, text.spread, unable),
                ),
                task=who.task,
                model=who.models[r],
            )
            for r in map(int, order)
        ),
    )


def _information_table(fit: TaskIrt | None, title: str) -> Table | None:
    if fit is None:
        return None
    curve = fit.information
    nothing = "the items tell nothing here"
    return Table(
        caption=f"{title}: test information, and the standard error it leaves",
        headings=(("Ability", True), ("Information", True), ("SE", True)),
        lines=tuple(
            Line(
                cells=(
                    _number(curve.ability, p, text.score, ""),
                    _number(curve.information, p, text.ratio, ""),
                    _number(curve.se, p, text.spread, nothing),
                ),
                task=fit.who.task,
            )
            for p in range(0, len(curve.ability), 8)
        ),
    )


def worst_fit_first(fit: TaskIrt) -> list[int]:
    """Return the fitted items by p-value, then by how far outfit is from 1."""
    p_value, outfit = fit.item_fit.p_value, fit.item_fit.outfit
    with np.errstate(divide="ignore"):
        far = np.abs(np.log(np.nan_to_num(outfit, nan=1.0, posinf=np.inf)))
    order = np.lexsort((-far, np.nan_to_num(p_value, nan=2.0)))
    return [int(place) for place in order]


def _curves(name: str, fit: TaskIrt, title: str) -> Drawn:
    chosen = worst_fit_first(fit)[:MAX_CURVES]
    curves = [fit.curve(place) for place in chosen]
    texts = [
        [_bin_text(fit, place, curve, b) for b in range(len(curve.bin_n))]
        for place, curve in zip(chosen, curves, strict=True)
    ]
    p_value = fit.item_fit.p_value
    tested = p_value[~np.isnan(p_value)]
    fits = (
        f"{int((tested < 0.01).sum())} of {len(tested)} items that could be tested "
        "do not fit at p < 0.01"
        if len(tested)
        else "no item has answers enough to be tested, so outfit decides"
    )
    alike = (
        " Checkpoints of a run are alike, so that p is too small."
        if fit.who.n_runs < fit.fit.n_respondents and len(tested)
        else ""
    )
    bins = (
        ""
        if any(len(curve.bin_n) for curve in curves)
        else f" No observed shares: {curves[0].cautions[0].text}."
    )
    return Drawn(
        name=f"{name}-curves",
        kind="curves",
        title="Do items behave as the model says? Curves of those that fit worst",
        about=f"{title}: ",
        sentence=f"Right answers against ability, fitted and observed in groups of at "
        f"least {MIN_PER_BIN} checkpoints; the band is where the curve may lie, point "
        f"by point; {fits}.{alike} An item, a box or a range chosen above is shown "
        f"here in their place.{bins}",
        figure=curves_figure(
            [_curve_title(fit, p) for p in chosen], curves, texts, fit.fit.ability
        ),
        table=_bins_table(fit, chosen, curves, title),
        extra={"explorer": f"{name}-explorer"},
    )


def _curve_title(fit: TaskIrt, place: int) -> str:
    p_value = float(fit.item_fit.p_value[place])
    outfit = float(fit.item_fit.outfit[place])
    words = f"item {fit.who.item_indexes[fit.columns[place]]}"
    if not math.isnan(p_value):
        words += f", p {text.p_value(p_value)}"
    elif not math.isnan(outfit):
        words += f", outfit {text.ratio(outfit)}"
    return words if _has_band(fit, place) else f"{words}, no band"


def _has_band(fit: TaskIrt, place: int) -> bool:
    return not np.isnan(fit.fit.covariance[place]).any()


def _bin_text(fit: TaskIrt, place: int, curve: ItemCurve, b: int) -> str:
    return f"item {fit.who.item_indexes[fit.columns[place]]}: {_share_text(curve, b)}"


def _share_text(curve: ItemCurve, b: int) -> str:
    ends = text.between(
        float(curve.bin_low[b]), float(curve.bin_high[b]), text.correlation
    )
    return (
        f"observed {text.correlation(float(curve.bin_observed[b]))} {ends}, "
        f"n={int(curve.bin_n[b])}"
    )


def _bins_table(
    fit: TaskIrt, chosen: Iterable[int], curves: Iterable[ItemCurve], title: str
) -> Table:
    lines = []
    for place, curve in zip(chosen, curves, strict=True):
        for b in range(len(curve.bin_n)):
            ends = float(curve.bin_low[b]), float(curve.bin_high[b])
            lines.append(
                Line(
                    cells=(
                        _count_cell(fit.who.item_indexes[fit.columns[place]]),
                        _number(curve.bin_ability, b, text.score, ""),
                        _number(curve.bin_expected, b, text.score, ""),
                        _number(curve.bin_observed, b, text.score, ""),
                        Cell(text=text.between(*ends, text.score)),
                        _count_cell(int(curve.bin_n[b])),
                    ),
                    task=fit.who.task,
                )
            )
    return Table(
        caption=f"{title}: shares of right answers by ability, items that fit worst",
        headings=(
            ("Item", True),
            ("Ability", True),
            ("Expected", True),
            ("Observed", True),
            ("Interval", False),
            ("Checkpoints", True),
        ),
        lines=tuple(lines),
    )


def _fitted_table(fit: TaskIrt, title: str) -> Table:
    lines = []
    for place in worst_fit_first(fit)[:MAX_CURVES]:
        curve = fit.curve(place)
        for p in map(int, visible(curve, fit.fit.ability, POINTS_IN_TABLE)):
            ends = float(curve.low[p]), float(curve.high[p])
            lines.append(
                Line(
                    cells=(
                        _count_cell(fit.who.item_indexes[fit.columns[place]]),
                        _number(curve.ability, p, text.score, ""),
                        _number(curve.probability, p, text.score, ""),
                        Cell(text=text.between(*ends, text.score))
                        if _has_band(fit, place)
                        else Cell(
                            text=text.UNDEFINED,
                            reason="its parameters have no standard errors",
                        ),
                    ),
                    task=fit.who.task,
                )
            )
    level = f"{100 * fit.confidence_level:g} %"
    return Table(
        caption=f"{title}: fitted curves with their {level} band, items that fit worst",
        headings=(
            ("Item", True),
            ("Ability", True),
            ("P(right)", True),
            ("Band", False),
        ),
        lines=tuple(lines),
    )


def _worst_curves(fit: TaskIrt) -> dict[str, Any]:
    """Return curves of as many items as the page keeps, for its script to draw."""
    chosen = worst_fit_first(fit)[:MAX_STORED_CURVES]
    levels: dict[tuple[str, float, float, float], int] = {}
    items = {}
    for place in chosen:
        curve = fit.curve(place)
        codes = [
            levels.setdefault(
                (
                    escape(_share_text(curve, b)),
                    float(curve.bin_observed[b]),
                    float(curve.bin_high[b] - curve.bin_observed[b]),
                    float(curve.bin_observed[b] - curve.bin_low[b]),
                ),
                len(levels),
            )
            for b in range(len(curve.bin_n))
        ]
        at = visible(curve, fit.fit.ability, POINTS)
        lines = np.append(outline(curve, at), curve.probability[at])
        items[str(fit.columns[place])] = {
            "title": escape(_curve_title(fit, place)),
            "x": _drawable(curve.ability[at]),
            # The band, if there is one, and then the curve.
            "lines": packed(np.rint(lines * SHADES).astype(np.uint8)),
            "bins": _drawable(curve.bin_ability),
            "expected": _drawable(curve.bin_expected),
            "observed": codes,
        }
    # Where all items were put to the same checkpoints, all have the same abilities.
    shared = {key: items[str(fit.columns[chosen[0]])][key] for key in ("x", "bins")}
    own = {
        name: {key: v for key, v in item.items() if v != shared.get(key)}
        for name, item in items.items()
    }
    return {
        **shared,
        "items": own,
        "levels": [list(level) for level in levels],
        "shades": SHADES,
    }


def _drawable(values: Floats) -> list[float]:
    """Return what a picture needs of numbers: three digits are less than a pixel."""
    return [float(f"{value:.3g}") for value in values]
