"""What is a table or a figure of the page made of?"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.report import text
from harness.stats.estimate import Estimate

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from harness.report.gather import Row
    from harness.stats.variance import MetricVariance


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Where an interval stands in its cell, in percent of the cell's width."""

    low: float
    high: float
    value: float
    chance: float | None


Place = tuple[float, float]
"""Across and down, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A curve as small as a word: scores, their levels, and what is marked on it."""

    width: int
    height: int
    line: tuple[Place, ...]
    levels: tuple[tuple[Place, ...], ...]
    bad: Place | None
    """The first bad point."""

    changed: tuple[Place, ...]
    """Points at which a setting changed."""

    words: str
    """What who does not see it hears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table, as it is shown."""

    text: str
    value: float | None = None
    """The number in full, to sort by and to download; ``None`` for words."""

    detail: str = ""
    """A second, smaller line."""

    reason: str = ""
    """Why a number is not defined."""

    badges: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Codes of cautions, each a link to its text."""

    bar: Bar | None = None
    spark: Spark | None = None
    model: str | None = None
    """Set where a column, not the row, belongs to a model."""

    tone: str = ""
    """``better`` or ``worse``, where its colour says so too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a table, with what the page's filters go by."""

    cells: tuple[Cell, ...]
    task: str = ""
    model: str = ""
    candidate: str = ""
    """Set where the row is of a candidate beside the baseline."""

    verdict: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the page."""

    caption: str
    headings: tuple[tuple[str, bool], ...]
    """Heading, and whether its column holds numbers."""

    lines: tuple[Line, ...]
    models: tuple[str, ...] = ()
    """Model of each heading; empty where columns belong to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the things that a figure can show, by its menu."""

    label: str
    y_title: str
    traces: tuple[dict[str, Any], ...]
    """What the figure's traces get, one for each, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """What a figure can show, one at a time."""

    name: str
    choices: tuple[Choice, ...]
    names: tuple[str, ...] = ()
    """What the text of each point begins with; the same in all choices."""

    picks: str = ""
    """Name of the figure whose choice a point picks, with its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure of the page, with the sentence above it and the table below."""

    name: str
    kind: str
    """``trend``, ``dots``, ``cloud``, ``menu``, or one that a script adds."""

    title: str
    sentence: str
    figure: go.Figure | None
    """``None`` where nothing is defined, which the sentence then says."""

    table: Table | None
    about: str = ""
    """What the title leaves to the heading above it, for who hears it alone."""

    rows: tuple[tuple[str, str, str], ...] = ()
    """Label, model and task of each row of dots."""

    extra: Mapping[str, Any] = field(default_factory=dict)
    """What the page's script needs of it beside the figure."""

    menu: Menu | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelView:
    """The trend figures of rows that belong together."""

    title: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    badges: tuple[str, ...]
    drawn: tuple[Drawn, ...]
    notes: tuple[str, ...]
    """What is not drawn, and why."""

    formulations: Table | None = None
    """Choice against cloze, where both were asked."""

    findings: tuple[str, ...] = ()
    """What that table shows."""


def number_cell(value: float, style: Callable[[float], str], reason: str) -> Cell:
    """Return a number, or why there is none."""
    if math.isnan(value):
        return Cell(text=text.UNDEFINED, reason=reason)
    return Cell(text=style(value), value=value)


def estimate_cell(
    estimate: Estimate,
    style: Callable[[float], str],
    detail: Callable[[Estimate], str] | None = None,
) -> Cell:
    """Return an estimate, or why it is not defined."""
    if math.isnan(estimate.value):
        return Cell(text=text.UNDEFINED, reason=estimate.cautions[0].text)
    return Cell(
        text=style(estimate.value),
        value=estimate.value,
        detail=detail(estimate) if detail else "",
    )


def part_cell(
    part: MetricVariance | None,
    quantity: str,
    style: Callable[[float], str],
    detail: Callable[[Estimate], str] | None = None,
) -> Cell:
    """Return an estimate of a metric that there may not be."""
    if part is None:
        return Cell(text=text.UNDEFINED, reason="no likelihood was stored")
    return estimate_cell(getattr(part, quantity), style, detail)


def condition_detail(row: Any) -> str:
    """Return how a task was asked, in words."""
    parts = [row.formulation] if row.formulation else []
    if row.num_fewshot is not None:
        parts.append(f"{row.num_fewshot}-shot")
    return " · ".join([*parts, *text.asked_words(row)])


def row_badges(row: Row) -> tuple[str, ...]:
    """Return what a row lacks."""
    badges = []
    if row.variance.is_partial:
        badges.append(
            f"partial: {row.variance.n_items:,} of {row.variance.n_items_total:,} items"
        )
    if row.n_failed:
        badges.append(f"{text.count(row.n_failed, 'trial')} failed")
    return tuple(badges)


def packed(values: npt.NDArray[Any]) -> dict[str, str]:
    """Return an array as plotly writes it: its type, and its bytes in base64."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return {
        "dtype": f"{values.dtype.kind}{values.dtype.itemsize}",
        "bdata": base64.b64encode(little.tobytes()).decode(),
    }
