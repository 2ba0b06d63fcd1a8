"""How is a table of results printed? In a terminal, as Markdown, as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import DesignError, InputError
from harness.report.text import FIGURES, FILLS, clean, condition_name
from harness.stats.estimate import Caution
from harness.stats.respondents import Respondents

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

NOTES = ""
"""Heading of the column that holds the numbers of notes."""

FOLDED = 12
"""Characters that a column of names keeps where the terminal is narrow."""

Column = tuple[str, bool]
"""A heading, which may fold at its line breaks, and whether it is set right."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """A table of results, with its notes and what they mean in words.

    Attributes
    ----------
    columns : tuple of (heading, is_number)
        The same for all parts.
    parts : tuple of (title, rows)
        Cells as they are shown; Markdown has the title in a column of its own.
    label : str
        What the titles are: ``model``, ``task``; empty where there are none.
    notes : tuple of str
        Numbered from 1, as the cells refer to them.
    remarks : tuple of str
        Unnumbered notes below the table.
    sentences : tuple of str
        What was found.
    alarms : tuple of str
        What stands above the table, since no number is to be read without it.
    frame : callable
        Returns the numbers in full, tidy, for CSV.
    """

    columns: tuple[Column, ...]
    parts: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    frame: Callable[[], pd.DataFrame]
    label: str = ""
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take from all that is shown what could steer a terminal."""
        parts = tuple(
            (clean(title), tuple(tuple(map(clean, row)) for row in rows))
            for title, rows in self.parts
        )
        object.__setattr__(self, "parts", parts)
        for name in ("notes", "remarks", "sentences", "alarms"):
            object.__setattr__(self, name, tuple(map(clean, getattr(self, name))))


STANDING = frozenset({"conservative-interval", "shape-of-seeds"})
"""Cautions that every interval of their kind carries: no row has them for a note."""

Refused = Sequence[tuple[Respondents, DesignError]]
"""Who cannot be analysed, and why."""


class Footnotes:
    """Notes numbered as they come; those that differ in figures only are one."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, None]] = {}

    def marks(self, cautions: Iterable[Caution]) -> str:
        """Return the raised numbers of these cautions."""
        numbers = []
        for caution in cautions:
            fill = f": {FILLS[caution.code]}" if caution.code in FILLS else ""
            kind = f"{caution.code} {FIGURES.sub('#', caution.text)}"
            self._texts.setdefault(kind, {})[f"{caution.text}{fill}"] = None
            numbers.append(list(self._texts).index(kind) + 1)
        return " ".join(_superscript(number) for number in dict.fromkeys(numbers))

    @property
    def texts(self) -> tuple[str, ...]:
        """The notes, the first of those alike with how many more there are."""
        notes = []
        for kind, (first, *others) in self._texts.items():
            also = f" (the first of {len(others) + 1} alike)" if others else ""
            notes.append(f"{first}{also} [{kind.partition(' ')[0]}]")
        return tuple(notes)


def standing(cautions: Iterable[Caution]) -> tuple[str, ...]:
    """Return what is said once below a table, of `STANDING`."""
    told = dict.fromkeys(c for c in cautions if c.code in STANDING)
    return tuple(f"{caution.text} [{caution.code}]" for caution in told)


def refusals(
    refused: Refused,
) -> tuple[str, ...]:
    """Say which tasks allow no such analysis, and why."""
    return tuple(
        f"{condition_name(who)}: {error} [{error.code}]" for who, error in refused
    )


def show(sheet: Sheet, *, console: Console | None = None) -> None:
    """Print a sheet on a terminal."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.text import Text

    console = console or Console()
    if not console.is_terminal:
        # A file or a pipe has no edge to fold at.
        console = Console(file=console.file, width=200)
    for alarm in sheet.alarms:
        console.print(Text(alarm, style="bold"))
    for title, rows in sheet.parts:
        table = _rich_table(sheet.columns, rows, title=title)
        # Where even folded names leave no room, lines run on: no number is cut.
        least = Measurement.get(console, console.options, table).minimum
        console.print(table, width=max(console.width, least), crop=False)
    notes = [
        f"{_superscript(number)} {note}" for number, note in enumerate(sheet.notes, 1)
    ]
    for line in (*sheet.remarks, *notes):
        console.print(Text(line))
    if sheet.sentences:
        console.print()
    for sentence in sheet.sentences:
        console.print(Text(sentence))


def as_text(sheet: Sheet, *, width: int = 120) -> str:
    """Return what `show` prints, as plain text of that width."""
    import io

    from rich.console import Console

    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    show(sheet, console=console)
    return file.getvalue()


def markup(sheet: Sheet, format_: str) -> str:
    """Return a sheet as ``md`` (rounded) or ``csv`` (full precision).

    Raises
    ------
    InputError
        ``unknown-format``.
    """
    if format_ == "csv":
        return _as_csv(sheet.frame())
    if format_ != "md":
        raise InputError(
            f"there is no format {format_!r}; choose md or csv", code="unknown-format"
        )
    columns = (((sheet.label, False),) if sheet.label else ()) + sheet.columns
    names = [name.replace("\n", " ") or "notes" for name, _ in columns]
    lines = [
        *(f"**{escaped(alarm)}**\n" for alarm in sheet.alarms),
        f"| {' | '.join(names)} |",
        f"|{'|'.join('--:' if right else '---' for _, right in columns)}|",
    ]
    for title, rows in sheet.parts:
        first = (title,) if sheet.label else ()
        lines += [
            f"| {' | '.join(escaped(cell) for cell in (*first, *row))} |"
            for row in rows
        ]
    lines.append("")
    lines += [f"- {escaped(remark)}" for remark in sheet.remarks]
    lines += [
        f"- {_superscript(n)} {escaped(note)}" for n, note in enumerate(sheet.notes, 1)
    ]
    lines += ["", *(f"{escaped(sentence)}\n" for sentence in sheet.sentences)]
    return "\n".join(lines)


def _as_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV, its texts as those that `export` writes."""
    from harness.export.tables import harmless

    safe = frame.copy()
    for name in frame.select_dtypes(exclude=["number", "bool"]):
        safe[name] = [
            harmless(clean(value)) if isinstance(value, str) else value
            for value in frame[name]
        ]
    return str(safe.to_csv(index=False))


def _rich_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, title: str
) -> Table:
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=None,
        header_style="bold",
        padding=(0, 1, 0, 0),
    )
    for place, (name, is_number) in enumerate(columns):
        cells = [*name.split("\n"), *(row[place] for row in rows)]
        longest = max(map(cell_len, cells))
        # Names fold where there is no room; a number that folds is another number.
        table.add_column(
            name,
            justify="right" if is_number else "left",
            overflow="fold",
            min_width=longest if is_number else min(longest, FOLDED),
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def escaped(text: str) -> str:
    """Escape what Markdown, or the HTML inside it, would take for markup."""
    return text.translate(_MD_ESCAPES)


_MD_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{c: f"\\{c}" for c in "\\`*_{}[]|#~"}}
)
