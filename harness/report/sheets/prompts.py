"""How do templates read? What they do to scores, and to the order of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import DesignError
from harness.report.sheets.sheet import NOTES, Footnotes, Sheet
from harness.report.text import (
    MAX_SENTENCES,
    UNDEFINED,
    checkpoint_name,
    clean,
    correlation,
    correlation_interval,
    count,
    generation_words,
    percent,
    percent_interval,
    ratio,
    score,
    shortened,
    spread,
    spread_interval,
)
from harness.stats.facets import FacetScores
from harness.stats.prompt_table import TaskPrompts
from harness.stats.prompts.curves import CurvePoint, Design
from harness.stats.template_table import TaskOrder, TaskTemplates

if TYPE_CHECKING:
    import pandas as pd

WHO = (("task", False), ("form", False), ("seed", True), ("step", True))

TEMPLATE_COLUMNS = (
    *WHO,
    ("items", True),
    ("templates", True),
    ("best", False),
    ("mean", True),
    ("worst", False),
    ("mean", True),
    ("max −\nmin", True),
    ("of\nequals", True),
    ("SD", True),
    ("interval", False),
    ("share\n%", True),
    ("reliable\nn", True),
    ("few-answers\nerror", True),
    (NOTES, False),
)

VARIANCE_COLUMNS = (
    *WHO,
    ("items", True),
    ("templates", True),
    ("answers", True),
    ("observed", True),
    ("among\nanswers", True),
    ("among\ntemplates", True),
    ("interval", False),
    ("share\n%", True),
    ("of one\nitem", True),
    ("SNR of\none item", True),
    ("SNR of\nall", True),
    ("SNR at equal\nanswers", True),
    ("consistency", True),
    ("interval", False),
    (NOTES, False),
)

ORDER_COLUMNS = (
    ("task", False),
    ("form", False),
    ("models", True),
    ("templates", True),
    ("items", True),
    ("reversed\n%", True),
    ("interval", False),
    ("by chance\n%", True),
    ("tau", True),
    ("W", True),
    ("interval", False),
    (NOTES, False),
)

TEMPLATE_REMARK = (
    "max − min of equals: its mean were all templates equally good, by chance alone; "
    "SD: between templates, without chance; share: of the variance of template means, "
    "what is the templates'; reliable n: templates for a mean within {epsilon} of the "
    "mean over endless ones in all but {delta} % of cases"
)
BUDGET_REMARK = (
    "few-answers error: of the quantiles over templates that PromptEval estimates from "
    "as many answers as two templates have, root mean square; in brackets of means "
    "over what is seen"
)
VARIANCE_REMARK = (
    "variances of mean scores between these templates (p1, equation 5, {mode}); of one "
    "item: what is among templates on a single item, mean over items; SNR: among "
    "templates over among answers, ratio of means; at equal answers: of one item with "
    "all the answers; consistency: share of what is among templates on one item that "
    "all items have in common"
)

Refused = Sequence[tuple[FacetScores, DesignError]]


def template_sheet(rows: Sequence[TaskTemplates], refused: Refused = ()) -> Sheet:
    """Return a part for each model, a line for each checkpoint and task."""
    notes = Footnotes()
    cells = [(row.who.model, _template_cells(row, notes)) for row in rows]
    first = rows[0].reliable
    told = TEMPLATE_REMARK.format(
        epsilon=score(first.epsilon), delta=percent(first.delta)
    )
    remarks = [*refusals(refused), told]
    if any(row.budget for row in rows):
        remarks.append(BUDGET_REMARK)
    return Sheet(
        columns=TEMPLATE_COLUMNS,
        parts=_by_model(cells),
        label="model",
        notes=notes.texts,
        remarks=tuple(remarks),
        sentences=template_sentences(rows),
        frame=lambda: template_frame(rows),
    )


def variance_sheet(rows: Sequence[TaskPrompts], refused: Refused = ()) -> Sheet:
    """Return p1's decomposition, a line for each checkpoint and task."""
    notes = Footnotes()
    cells = [(row.scores.model, _variance_cells(row, notes)) for row in rows]
    told = VARIANCE_REMARK.format(mode=rows[0].variance.mode)
    return Sheet(
        columns=VARIANCE_COLUMNS,
        parts=_by_model(cells),
        label="model",
        notes=notes.texts,
        remarks=(*refusals(refused), told),
        frame=lambda: variance_frame(rows),
    )


def order_sheet(rows: Sequence[TaskOrder]) -> Sheet:
    """Return how far the order of models depends on the template, task by task."""
    notes = Footnotes()
    return Sheet(
        columns=ORDER_COLUMNS,
        parts=(("", tuple(_order_cells(row, notes) for row in rows)),),
        notes=notes.texts,
        sentences=order_sentences(rows),
        frame=lambda: order_frame(rows),
    )


def template_frame(rows: Sequence[TaskTemplates]) -> pd.DataFrame:
    """Return a tidy row for each quantity of each checkpoint and task."""
    return _tidy([(row.who, row.spread.to_frame()) for row in rows])


def variance_frame(rows: Sequence[TaskPrompts]) -> pd.DataFrame:
    """Return a tidy row for each quantity of each checkpoint and task."""
    import pandas as pd

    return _tidy(
        [
            (
                row.scores,
                pd.concat([row.variance.to_frame(), row.components.to_frame()]),
            )
            for row in rows
        ]
    )


def order_frame(rows: Sequence[TaskOrder]) -> pd.DataFrame:
    """Return a tidy row for each pair of models at each task."""
    return _tidy([(row.who, row.order.to_frame()) for row in rows])


def template_sentences(rows: Sequence[TaskTemplates]) -> tuple[str, ...]:
    """Say of each row what is between its templates, and what of that is chance."""
    told = [_template_sentence(row) for row in rows[:MAX_SENTENCES]]
    if (rest := len(rows) - MAX_SENTENCES) > 0:
        told.append(f"{count(rest, 'row')} more stand in the table.")
    return tuple(told)


def order_sentences(rows: Sequence[TaskOrder]) -> tuple[str, ...]:
    """Say how often another template would put another model ahead."""
    told = []
    for row in rows[:MAX_SENTENCES]:
        found = row.order
        told.append(
            f"{facet_name(row.who)}: two templates disagree on which of two models is "
            f"ahead in {percent(found.reversal.value)} % of cases"
            f"{_bracketed(percent_interval(found.reversal))}; chance alone would make "
            f"{percent(found.reversal_by_chance)} %."
        )
    return tuple(told)


def facet_name(scores: FacetScores) -> str:
    """Return a task with all that tells it from others of that task."""
    shots = f"{scores.num_fewshot}-shot" if scores.num_fewshot else ""
    words = (generation_words(scores.generation), scores.settings)
    return clean(
        " ".join(filter(None, [scores.task, shots, *(f"({w})" for w in words if w)]))
    )


def refusals(refused: Refused) -> tuple[str, ...]:
    """Say which tasks allow no such analysis, and why; of many checkpoints once."""
    found: dict[tuple[str, str], tuple[DesignError, int]] = {}
    for who, error in refused:
        key = f"{clean(who.model)}, {facet_name(who)}", str(error)
        found[key] = error, found.get(key, (error, 0))[1] + 1
    return tuple(
        f"{name}{f' ({n} checkpoints)' if n > 1 else ''}: {text} [{error.code}]"
        for (name, text), (error, n) in found.items()
    )


def _by_model(
    cells: Sequence[tuple[str, tuple[str, ...]]],
) -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    return tuple(
        (model, tuple(line for name, line in cells if name == model))
        for model in dict.fromkeys(name for name, _ in cells)
    )


def _who(scores: FacetScores) -> tuple[str, ...]:
    (seed,), (step,) = scores.levels["train_seed"], scores.levels["step"]
    return (
        facet_name(scores),
        scores.formulation or UNDEFINED,
        UNDEFINED if seed is None else str(seed),
        UNDEFINED if step is None else str(step),
    )


def _template_cells(row: TaskTemplates, notes: Footnotes) -> tuple[str, ...]:
    found, budget = row.spread, UNDEFINED
    if row.budget:
        error, naive = row.budget.error.mean(), row.budget.naive_error.mean()
        budget = f"{spread(float(error))} ({spread(float(naive))})"
    return (
        *_who(row.who),
        f"{found.n_items:,}{' part.' if row.who.is_partial else ''}",
        str(found.n_templates),
        shortened(row.templates[found.best], 20),
        score(float(row.means[found.best])),
        shortened(row.templates[found.worst], 20),
        score(float(row.means[found.worst])),
        spread(found.spread.value),
        spread(found.spread_of_equals),
        spread(found.corrected_sd.value),
        spread_interval(found.corrected_sd),
        percent(found.template_share.value),
        f"{math.ceil(row.reliable.n_analytic):,}",
        budget,
        notes.marks(row.cautions),
    )


def _variance_cells(row: TaskPrompts, notes: Footnotes) -> tuple[str, ...]:
    found, parts = row.variance, row.components
    curve = row.curves
    n = curve.n_user
    fewest, most = found.fewest_responses, found.most_responses
    return (
        *_who(row.scores),
        f"{found.n_user:,}{' part.' if row.scores.is_partial else ''}",
        str(found.n_system),
        str(most) if fewest == most else f"{fewest} to {most}",
        spread(found.observed.value),
        spread(found.among_responses.value),
        spread(found.among_system_prompts.value),
        spread_interval(found.among_system_prompts),
        percent(found.share.value),
        spread(curve.per_prompt.value),
        ratio(_point(row, "fixed-m", 1).snr.value),
        ratio(_point(row, "fixed-m", n).snr.value),
        ratio(_point(row, "fixed-km", 1).snr.value),
        correlation(parts.consistency.value),
        correlation_interval(parts.consistency),
        notes.marks(row.cautions),
    )


def _order_cells(row: TaskOrder, notes: Footnotes) -> tuple[str, ...]:
    found = row.order
    own = (found.reversal, found.tau, found.concordance)
    cautions = dict.fromkeys([*row.cautions, *(c for e in own for c in e.cautions)])
    return (
        facet_name(row.who),
        row.who.formulation or UNDEFINED,
        str(found.n_models),
        str(found.n_templates),
        f"{found.n_items:,}",
        percent(found.reversal.value),
        percent_interval(found.reversal),
        percent(found.reversal_by_chance),
        correlation(found.tau.value),
        correlation(found.concordance.value),
        correlation_interval(found.concordance),
        notes.marks(cautions),
    )


def _point(row: TaskPrompts, design: Design, n_user: int) -> CurvePoint:
    return next(
        point
        for point in row.curves.points
        if point.design == design and point.n_user == n_user
    )


def _template_sentence(row: TaskTemplates) -> str:
    found = row.spread
    (seed,), (step,) = row.who.levels["train_seed"], row.who.levels["step"]
    name = f"{checkpoint_name(row.who.model, seed, step)}, {facet_name(row.who)}"
    told = (
        f"{name}: {clean(row.templates[found.best])} and "
        f"{clean(row.templates[found.worst])} are {spread(found.spread.value)} apart, "
        f"where {count(found.n_templates, 'equal template')} would be "
        f"{spread(found.spread_of_equals)} by chance"
    )
    sd = found.corrected_sd
    if math.isnan(sd.value):
        high = sd.interval.high
        most = f"; it may be up to {spread(high)}" if high > 0 else ""
        return f"{told}; no SD between templates is left{most}."
    return (
        f"{told}; without it the SD between templates is {spread(sd.value)}"
        f"{_bracketed(spread_interval(sd))}."
    )


def _bracketed(interval: str) -> str:
    return f" {interval}" if interval else ""


def _tidy(parts: Sequence[tuple[FacetScores, pd.DataFrame]]) -> pd.DataFrame:
    """Return frames one below the other, with whose they are before each row."""
    import pandas as pd

    frames = []
    for who, part in parts:
        names = {
            "model": who.model,
            "task": who.task,
            "formulation": who.formulation,
            "num_fewshot": who.num_fewshot,
            "generation": who.generation,
            "settings": who.settings,
            "train_seed": who.levels["train_seed"][0],
            "step": who.levels["step"][0],
            "metric": who.metric,
        }
        if "first" in part:  # of models, at no one checkpoint
            for name in ("model", "train_seed", "step"):
                del names[name]
        frame = part.copy()
        for place, (name, value) in enumerate(names.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
