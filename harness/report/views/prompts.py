"""What do templates do? Each run's map over items, curves, and chosen items."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import DesignError
from harness.report import text
from harness.report.cells import (
    Cell,
    Choice,
    Drawn,
    Line,
    Menu,
    Table,
    estimate_cell,
)
from harness.report.figures.dots import Dots, dots_figure
from harness.report.figures.prompts import (
    Series,
    curve_figure,
    map_figure,
    map_traces,
    side,
)
from harness.report.figures.style import NAME
from harness.report.gather import ReportData
from harness.report.sheets.prompts import facet_name
from harness.stats.discriminative_table import TaskDiscriminative
from harness.stats.estimate import Estimate
from harness.stats.facets import FacetScores
from harness.stats.last_step_prompts import PromptedRun
from harness.stats.prompt_table import TaskPrompts
from harness.stats.prompts.curves import CurvePoint, Design
from harness.stats.prompts.grid import Order
from harness.stats.prompts.held_out import CHOICE_NAMES
from harness.stats.scores import METRICS, UNKNOWN_METRIC

MAX_COLUMNS = 2_000
"""Items that are drawn one by one; more are drawn in groups, as means."""

MAX_RUNS = 10
"""Of one model and task that are drawn."""

CURVES: dict[Design, str] = {
    "fixed-m": "More items, as many answers to each",
    "fixed-km": "More items, as many answers in all",
    "over-m": "All items, more answers to each",
}
"""Titles of the three figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run at its last step."""

    name: str
    drawn: tuple[Drawn, ...]
    curves: tuple[Drawn, ...]
    missing: tuple[str, ...]
    """What cannot be drawn, and what would fill it."""

    cautions: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPanel:
    """The runs of one model on one task."""

    name: str
    title: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    runs: tuple[RunView, ...]
    rest: str
    """Which runs are not drawn, and where they stand; empty where all are."""

    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptView:
    """The section on templates."""

    panels: tuple[PromptPanel, ...]
    missing: tuple[str, ...]
    """Tasks that say nothing of templates, and why."""

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        """All figures."""
        return tuple(
            one
            for panel in self.panels
            for run in panel.runs
            for one in (*run.drawn, *run.curves)
        )


def prompt_view(data: ReportData) -> PromptView | None:
    """Return the section; ``None`` where nothing was asked under two templates."""
    several = [
        (who, error)
        for who, error in data.unprompted
        if len(who.levels["template"]) > 1
    ]
    if not data.prompted and not several:
        return None
    groups: dict[tuple[str, str], list[PromptedRun]] = {}
    for row in data.prompted:
        groups.setdefault((row.scores.model, _task(row.scores)), []).append(row)
    reasons: dict[str, dict[str, None]] = {}
    for who, error in data.unprompted:
        name = f"{text.clean(who.model)}, {_task(who)}"
        reason = text.clean(str(error)) if (who, error) in several else "one template"
        reasons.setdefault(reason, {})[name] = None
    return PromptView(
        panels=tuple(_panel(rows, place) for place, rows in enumerate(groups.values())),
        missing=tuple(f"{'; '.join(names)}: {why}." for why, names in reasons.items()),
    )


def _task(who: FacetScores) -> str:
    form = f" ({text.clean(who.formulation)})" if who.formulation else ""
    return f"{facet_name(who)}{form}"


def _run_name(who: FacetScores) -> str:
    (seed,), (step,) = who.levels["train_seed"], who.levels["step"]
    if seed is None and step is None:
        return text.clean(who.model)
    return f"seed {text.seed_name(seed)}, step {text.step_name(step)}"


def _panel(rows: Sequence[PromptedRun], place: int) -> PromptPanel:
    who, name = rows[0].scores, f"prompts-{place}"
    rest = len(rows) - MAX_RUNS
    return PromptPanel(
        name=name,
        title=f"{text.clean(who.model)}, {_task(who)}",
        tasks=(who.task,),
        models=(who.model,),
        runs=tuple(
            _run(row, f"{name}-{number}") for number, row in enumerate(rows[:MAX_RUNS])
        ),
        rest=f"{text.count(rest, 'run')} more: the command below has them."
        if rest > 0
        else "",
        command=_command("prompts", who),
    )


def _command(verb: str, who: FacetScores) -> str:
    words = ["evalvar", *verb.split(), "STORE"]
    words += ["--model", who.model, "--task", who.task]
    if who.formulation:
        words += ["--formulation", who.formulation]
    return text.clean(shlex.join(words))


def _run(row: PromptedRun, name: str) -> RunView:
    about = f"{_task(row.scores)}, {_run_name(row.scores)}: "
    drawn = [_map(row, name, about)]
    curves: tuple[Drawn, ...] = ()
    missing = []
    if isinstance(row.split, DesignError):
        missing.append(
            f"Curves over items and answers: {text.clean(str(row.split))}. Several "
            "`repeats` in the suite, sampled, and `evalvar run SUITE` fill them"
        )
    else:
        curves = _curves(row.split, name, about)
    if row.chosen is None:
        missing.append(
            "Which items tell templates apart was not asked for; `evalvar report STORE "
            "--discriminative 2 -o REPORT.html` chooses so many, and judges them on "
            "answers that did not choose them"
        )
    elif isinstance(row.chosen, DesignError):
        missing.append(f"No items were chosen: {text.clean(str(row.chosen))}")
    else:
        drawn.append(_chosen(row.chosen, name, about))
    return RunView(
        name=_run_name(row.scores),
        drawn=tuple(drawn),
        curves=curves,
        missing=tuple(missing),
        cautions=text.alike(("", caution) for caution in row.cautions),
    )


# ---- template × item -----------------------------------------------------------


def _map(row: PromptedRun, name: str, about: str) -> Drawn:
    who, grid = row.scores, row.grid
    names = text.unique(
        text.clean(who.levels["template"][place]) for place in grid.system
    )
    shown = text.unique(text.shortened(one, NAME) for one in names)
    bounds = METRICS.get(who.metric, UNKNOWN_METRIC)
    is_bounded = math.isfinite(bounds.low) and math.isfinite(bounds.high)
    ends = (bounds.low, bounds.high)
    return Drawn(
        name=f"{name}-map",
        kind="map",
        title="Templates on items",
        about=about,
        sentence=_map_sentence(row, names),
        figure=map_figure(
            shown,
            grid.scores,
            [
                f"{one}: mean {text.score(e.value)} {text.interval(e)}".rstrip()
                for one, e in zip(names, grid.scores, strict=True)
            ],
            colours=ends
            if is_bounded
            else (float(grid.means.min()), float(grid.means.max())),
            metric=who.metric,
        ),
        table=_map_table(row, names, about),
        menu=Menu(
            name="Items from left to right by",
            choices=(
                _order(row, "difficulty", "their mean, easiest first"),
                _order(
                    row,
                    "variance",
                    "the variance among templates, largest first"
                    + (
                        ""
                        if grid.fewest_responses > 1
                        else ", the answers' randomness included"
                    ),
                ),
            ),
        ),
    )


def _order(row: PromptedRun, by: Order, label: str) -> Choice:
    grid = row.grid
    groups = grid.columns(by, MAX_COLUMNS)
    ids = row.scores.levels["item"]
    columns, place = [], 0
    for group in groups:
        first, place = place + 1, place + len(group)
        columns.append(
            f"item {ids[grid.user[group[0]]]}"
            if len(group) == 1
            else f"items {first:,} to {place:,} of this order"
        )
    means = [[text.place(float(r[g].mean())) for g in groups] for r in grid.means]
    return Choice(
        label=label, y_title="", traces=map_traces(text.unique(columns), means)
    )


def _map_sentence(row: PromptedRun, names: Sequence[str]) -> str:
    grid = row.grid
    best, worst = grid.scores[0], grid.scores[-1]
    fewest, most = grid.fewest_responses, grid.most_responses
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    n = len(grid.user)
    told = (
        f"Template {names[0]} has the highest mean, {text.score(best.value)} "
        f"{text.interval(best)}".rstrip()
        + f", {names[-1]} the lowest, {text.score(worst.value)} "
        f"{text.interval(worst)}".rstrip()
        + f", of {text.count(len(names), 'template')} on {text.count(n, 'item')} with "
        f"{each} answer{'' if each == '1' else 's'} to each."
    )
    if n > MAX_COLUMNS:
        told += (
            f" A column is the mean of {n // MAX_COLUMNS} to "
            f"{-(-n // MAX_COLUMNS)} items next to each other."
        )
    return (
        f"{told} {_share_sentence(row)}Intervals are over items, each template's own: "
        "since all were put the same items, two that overlap may differ for sure."
    )


def _share_sentence(row: PromptedRun) -> str:
    """Say how much of what is between the means would stay with endless answers."""
    if isinstance(row.split, DesignError):
        return ""
    share = row.split.variance.share
    if math.isnan(share.value):
        return ""
    ends = text.percent_interval(share)
    return (
        f"Of the variance between these means {text.percent(share.value)} %"
        f"{f' {ends}' if ends else ''} is the templates', the rest the randomness of "
        "answers. "
    )


def _map_table(row: PromptedRun, names: Sequence[str], about: str) -> Table:
    n = len(row.grid.user)
    return Table(
        caption=f"{about}mean of each template over {text.count(n, 'item')}",
        headings=(
            ("Template", False),
            ("Mean", True),
            ("Interval", True),
            ("Items", True),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=name),
                    Cell(text=text.score(e.value), value=e.value),
                    Cell(text=text.interval(e) or text.UNDEFINED),
                    Cell(text=f"{e.n:,}", value=e.n),
                ),
                task=row.scores.task,
                model=row.scores.model,
            )
            for name, e in zip(names, row.grid.scores, strict=True)
        ),
    )


# ---- curves over items and answers ---------------------------------------------


def _curves(row: TaskPrompts, name: str, about: str) -> tuple[Drawn, ...]:
    found = row.curves
    floor = found.common.value
    parts = {
        design: [point for point in found.points if point.design == design]
        for design in CURVES
    }
    series = {design: _series(points) for design, points in parts.items()}
    sides = (
        side([one for *some, _ in series.values() for one in some], floor),
        side([some[-1] for some in series.values()]),
    )
    sentences = {
        "fixed-m": _more_items(row, parts["fixed-m"]),
        "fixed-km": _spread_thin(row, parts["fixed-km"]),
        "over-m": _more_answers(parts["over-m"]),
    }
    return tuple(
        Drawn(
            name=f"{name}-{design}",
            kind="curve",
            title=title,
            about=about,
            sentence=sentences[design],
            figure=curve_figure(
                [_number(point) for point in parts[design]],
                series[design][:2],
                series[design][2],
                x_title="answers to each" if design == "over-m" else "items",
                floor=math.nan if design == "over-m" else floor,
                sides=sides,
            ),
            table=_curve_table(row, parts[design], f"{about}{title.lower()}"),
        )
        for design, title in CURVES.items()
    )


def _number(point: CurvePoint) -> float:
    return point.n_responses if point.design == "over-m" else point.n_user


def _series(points: Sequence[CurvePoint]) -> tuple[Series, Series, Series]:
    def one(
        name: str, place: int, quantity: str, style: Callable[[float], str]
    ) -> Series:
        estimates: list[Estimate] = [getattr(point, quantity) for point in points]
        return Series(
            name=name,
            place=place,
            estimates=tuple(estimates),
            sentences=tuple(
                f"{_where(point)}: {name} {style(e.value)} "
                f"{text.between(*e.interval, style)}".rstrip()
                for point, e in zip(points, estimates, strict=True)
            ),
        )

    return (
        one("among templates", 0, "among_system_prompts", text.spread),
        one("among answers", 1, "among_responses", text.spread),
        one("SNR, ratio of means", 2, "snr", text.ratio),
    )


def _where(point: CurvePoint) -> str:
    each = f"{point.n_responses:,.4g}"
    return (
        f"{text.count(point.n_user, 'item')}, {each} "
        f"answer{'' if each == '1' else 's'} each"
    )


def _from_to(points: Sequence[CurvePoint]) -> str:
    """Return the SNR at both ends; empty where there is none."""
    first, last = points[0], points[-1]
    if len(points) < 2 or math.isnan(first.snr.value):
        return ""
    return (
        f"SNR {text.ratio(first.snr.value)} at {_number(first):,.4g}, "
        f"{text.ratio(last.snr.value)} at {_number(last):,.4g}. "
    )


def _more_items(row: TaskPrompts, points: Sequence[CurvePoint]) -> str:
    common = row.curves.common
    low, high = common.interval
    told = (
        f"what templates win on all items alike stays, {text.spread(common.value)} "
        f"{text.spread_interval(common)}".rstrip()
    )
    if low > 0:
        why = (
            f"More items help, if each is answered as often: {told}, while the "
            "answers' randomness averages out."
        )
    elif high < 0:
        why = (
            f"More items hurt, even if each is answered as often: {told}, and is below "
            "0: what a template wins on one item it loses on others, so that averaging "
            "hides it."
        )
    else:
        why = (
            f"Whether more items help cannot be told: {told}, which may be none, and "
            "then they average away the differences and the randomness alike."
        )
    return f"{_from_to(points)}{why}"


def _spread_thin(row: TaskPrompts, points: Sequence[CurvePoint]) -> str:
    own, total = row.components.interaction, row.curves.n_total
    low, high = own.interval
    of = f"with {text.count(total, 'answer')} to a template in all"
    if low > 0:
        why = (
            f"More items hurt, {of}: on each item other templates are ahead "
            f"(interaction {text.spread(own.value)} {text.spread_interval(own)}), "
            "which averages out over items, while the randomness of a mean stays what "
            "it was. Fewer items, each answered more often, show more of it."
        )
    elif high < 0:
        why = (
            f"More items do not hurt, {of}: templates differ on single items by no "
            "more than on all alike."
        )
    else:
        ends = text.spread_interval(own)
        why = (
            f"Whether more items hurt cannot be told, {of}: by how much templates "
            f"differ on single items beyond what all have in common, "
            f"{text.spread(own.value)}{f' {ends}' if ends else ''}, may be none."
        )
    return f"{_from_to(points)}{why}"


def _more_answers(points: Sequence[CurvePoint]) -> str:
    return (
        f"{_from_to(points)}More answers always help: what is among templates does not "
        "depend on them, and what is among answers is divided by their number."
    )


def _curve_table(row: TaskPrompts, points: Sequence[CurvePoint], caption: str) -> Table:
    def cell(estimate: Estimate, style: Callable[[float], str]) -> Cell:
        return estimate_cell(
            estimate, style, lambda e: text.between(*e.interval, style)
        )

    return Table(
        caption=caption,
        headings=(
            ("Items", True),
            ("Answers to each", True),
            ("Among templates", True),
            ("Among answers", True),
            ("SNR, ratio of means", True),
        ),
        lines=tuple(
            Line(
                cells=(
                    Cell(text=f"{point.n_user:,}", value=point.n_user),
                    Cell(text=f"{point.n_responses:,.4g}", value=point.n_responses),
                    cell(point.among_system_prompts, text.spread),
                    cell(point.among_responses, text.spread),
                    cell(point.snr, text.ratio),
                ),
                task=row.scores.task,
                model=row.scores.model,
            )
            for point in points
        ),
    )


# ---- the items that tell templates apart -----------------------------------------


def _chosen(row: TaskDiscriminative, name: str, about: str) -> Drawn:
    found, who = row.found, row.scores
    labels = [_choice_label(one.choice) for one in found.rows]
    scores = tuple(one.score for one in found.rows)
    is_known = not math.isnan(found.held_out.value)
    return Drawn(
        name=f"{name}-chosen",
        kind="dots",
        title="Items that tell templates apart, on answers that did not choose them",
        about=about,
        sentence=_chosen_sentence(row),
        figure=dots_figure(
            labels,
            [(who.model, who.task)] * len(labels),
            [
                Dots(
                    name="variance among templates",
                    estimates=scores,
                    format=text.spread,
                    place=0,
                )
            ],
            x_title="variance among templates, held out",
        )
        if is_known
        else None,
        table=Table(
            caption=f"{about}ways to choose "
            f"{text.count(len(found.user_prompts), 'item')}",
            headings=(
                ("Choice", False),
                ("Items", True),
                ("Variance among templates, held out", True),
                ("Interval", True),
            ),
            lines=tuple(
                Line(
                    cells=(
                        Cell(text=label, detail=CHOICE_NAMES[one.choice]),
                        Cell(text=f"{one.n_user:,}", value=one.n_user),
                        estimate_cell(one.score, text.spread),
                        Cell(text=text.spread_interval(one.score) or text.UNDEFINED),
                    ),
                    task=who.task,
                    model=who.model,
                )
                for label, one in zip(labels, found.rows, strict=True)
            ),
        ),
        rows=tuple((label, who.model, who.task) for label in labels),
    )


def _choice_label(choice: str) -> str:
    return {
        "discriminative": "chosen",
        "all": "all items",
        "random": "random, most draws",
        "raw-variance": "largest variance, as seen",
        "per-prompt": "largest variance, noise off",
        "difficulty": "as hard as those chosen",
    }[choice]


def _chosen_sentence(row: TaskDiscriminative) -> str:
    found = row.found
    ids = [row.scores.levels["item"][place] for place in found.user_prompts]
    some = text.clean(", ".join(ids[: text.MAX_SENTENCES]))
    more = len(ids) - text.MAX_SENTENCES
    some += f" and {more} more" if more > 0 else ""
    told = (
        f"Chosen: {some}, {text.count(len(ids), 'item')} of {found.n_user_total:,}. By "
        f"the answers that chose them the variance among templates is "
        f"{text.spread(found.score.value)}, which is too high, since they are the best "
        "of many"
    )
    if math.isnan(found.held_out.value):
        why = found.held_out.cautions[0].text
        return f"{told}; nothing could be held out: {why}."
    values = {one.choice: one.score.value for one in found.rows}
    sure = "surely more" if found.gain.interval.low > 0 else "not surely more"
    return (
        f"{told}; on others it is {text.spread(found.held_out.value)} "
        f"{text.spread_interval(found.held_out)}".rstrip()
        + f", {sure} than the {text.spread(values['random'])} of items drawn at random "
        f"(of such draws it beats {text.percent(found.beats_random)} %), and all items "
        f"together show {text.spread(values['all'])}."
    )
