"""What is a page made of? Sections, each with its template, figures and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.report.cells import Drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page, which other pages may have too."""

    name: str
    """Its anchor, and what its template is called."""

    title: str = ""
    """In the navigation; what has none is not there."""

    view: Mapping[str, Any] = field(default_factory=dict)
    """What its template shows."""

    drawn: tuple[Drawn, ...] = ()
    """The figures in it."""

    scripts: tuple[str, ...] = ()
    """Names of the scripts that its figures need beside the page's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the rows and figures of a page can be narrowed to."""

    tasks: tuple[str, ...]
    models: tuple[str, ...]
    verdicts: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    model_word: str = "Model"
    has_text: bool = False
    """Whether rows can be found by words in their names."""

    has_trend: bool = False
    """Whether there are curves of single seeds to show."""

    @property
    def section(self) -> Section:
        """A bar of controls; it is in no navigation."""
        return Section(name="filters", view={"filters": self})
