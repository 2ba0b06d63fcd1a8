"""How much of each score is noise? The variance table and its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.report import text
from harness.report.cells import (
    Cell,
    Drawn,
    Line,
    Table,
    condition_detail,
    estimate_cell,
    number_cell,
    part_cell,
    row_badges,
)
from harness.report.figures.dots import Dots, dots_figure
from harness.report.figures.style import NAME
from harness.report.gather import ReportData
from harness.stats.estimate import Estimate


def noise_views(data: ReportData) -> list[Drawn]:
    """Return the figures of noise."""
    if not data.rows:
        return []
    rows = data.variance
    labels = text.labels(rows, limit=NAME)
    models = [(row.model, row.task) for row in rows]
    marked = tuple((label, *model) for label, model in zip(labels, models, strict=True))

    def of(kind: str, quantity: str) -> list[Estimate | None]:
        parts = (row.metric(kind) for row in data.rows)
        return [getattr(part, quantity) if part else None for part in parts]

    def dots(name: str, kind: str, quantity: str, place: int) -> Dots:
        style = {"snr": text.ratio, "monotonicity": text.correlation}
        return Dots(
            name=name,
            estimates=tuple(of(kind, quantity)),
            format=style.get(quantity, text.spread),
            place=place,
        )

    def split(one: Dots) -> list[Dots]:
        """Give the rows at chance marks of their own."""
        at_chance = [text.is_at_chance(row) for row in rows]
        here, there = (
            tuple(
                e if flag is wanted else None
                for e, flag in zip(one.estimates, at_chance, strict=True)
            )
            for wanted in (False, True)
        )
        hollow = replace(
            one, name=f"{one.name}, at chance", estimates=there, is_open=True
        )
        plain = replace(one, estimates=here)
        return [some for some in (plain, hollow) if any(some.estimates)]

    def drawn(
        name: str, title: str, sentence: str, kinds: Sequence[Dots], **axis: Any
    ) -> Drawn:
        estimates = [e for one in kinds for e in one.estimates if e]
        is_empty = all(math.isnan(e.value) for e in estimates)
        return Drawn(
            name=f"noise-{name}",
            kind="dots",
            title=title,
            sentence=f"Not defined: {estimates[0].cautions[0].text}."
            if is_empty
            else sentence,
            figure=None if is_empty else dots_figure(labels, models, kinds, **axis),
            table=None,
            rows=marked,
        )

    spreads, ratios, ranks = text.noise_sentences(rows)
    return [
        drawn(
            "spread",
            "Seed SD and item standard error at the last checkpoint",
            spreads,
            (
                dots("seed SD", "discrete", "seed_sd_last", 0),
                dots("item standard error", "discrete", "item_se_last", 1),
            ),
            x_title="units of the discrete score",
        ),
        drawn(
            "snr",
            "Signal to noise, discrete and continuous",
            ratios,
            [
                *split(dots("discrete", "discrete", "snr", 0)),
                *split(dots("continuous", "continuous", "snr", 1)),
            ],
            x_title="mean / SD over seeds (log scale)",
            is_log=True,
        ),
        drawn(
            "monotonicity",
            "Monotonicity, discrete and continuous",
            ranks,
            (
                dots("discrete", "discrete", "monotonicity", 0),
                dots("continuous", "continuous", "monotonicity", 1),
            ),
            x_title="rank correlation of score and step",
            x_range=(-1.05, 1.05),
        ),
    ]


def noise_table(data: ReportData) -> Table:
    """Return the variance table."""
    lines = []
    for row in data.rows:
        v = row.variance
        discrete, continuous = v.discrete, v.continuous
        codes = tuple(dict.fromkeys(c.code for c in text.shown_cautions(v)))
        lines.append(
            Line(
                cells=(
                    Cell(
                        text=text.clean(v.task),
                        detail=condition_detail(v),
                        badges=row_badges(row),
                    ),
                    Cell(text=text.clean(v.model)),
                    Cell(
                        text=discrete.metric,
                        detail=continuous.metric if continuous else "",
                    ),
                    Cell(text=f"{v.n_items:,}", value=v.n_items),
                    number_cell(v.chance, text.score, "no score of a guesser"),
                    replace(
                        estimate_cell(discrete.mean, text.score, text.interval),
                        badges=("at chance",) if text.is_at_chance(v) else (),
                    ),
                    estimate_cell(discrete.item_half_width, text.spread),
                    estimate_cell(discrete.item_se_last, text.spread),
                    estimate_cell(
                        discrete.seed_sd_last, text.spread, text.spread_interval
                    ),
                    estimate_cell(discrete.seed_sd, text.spread, text.spread_interval),
                    estimate_cell(
                        discrete.seed_share, text.percent, text.percent_interval
                    ),
                    estimate_cell(
                        discrete.corrected_sd, text.spread, text.spread_interval
                    ),
                    estimate_cell(discrete.snr, text.ratio, text.ratio_interval),
                    estimate_cell(
                        discrete.snr_above_chance, text.ratio, text.ratio_interval
                    ),
                    part_cell(continuous, "snr", text.ratio, text.ratio_interval),
                    estimate_cell(
                        discrete.monotonicity,
                        text.correlation,
                        text.correlation_interval,
                    ),
                    part_cell(
                        continuous,
                        "monotonicity",
                        text.correlation,
                        text.correlation_interval,
                    ),
                    Cell(text=str(v.n_seeds), value=v.n_seeds),
                    Cell(text=str(v.n_checkpoints), value=v.n_checkpoints),
                    Cell(text="" if codes else "none", links=codes),
                ),
                task=v.task,
                model=v.model,
            )
        )
    return Table(
        caption="Variance table: how much of each score is noise",
        headings=(
            ("Task", False),
            ("Model", False),
            ("Metrics", False),
            ("Items", True),
            ("Chance", True),
            ("Mean µ", True),
            ("Items ±", True),
            ("Item SE, last", True),
            ("Seed SD, last", True),
            ("Seed SD, avg.", True),
            ("Train seed %", True),
            ("Seed SD without items", True),
            ("SNR discrete", True),
            ("SNR above chance", True),
            ("SNR contin.", True),
            ("Monot. discrete", True),
            ("Monot. contin.", True),
            ("Seeds", True),
            ("Steps", True),
            ("Cautions", False),
        ),
        lines=tuple(lines),
    )
