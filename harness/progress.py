"""Where is the work now? Progress on standard error: rich on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.sweep import Progress

PLAIN_SECONDS = 30.0
PLAIN_STEPS = 10
"""Without a terminal a line comes at every tenth of the work, or after 30 s."""


class Display(Protocol):
    """Shows how far a piece of work is; a context manager."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def advance(self, done: float, total: float, what: str) -> None:
        """Show that `done` of `total` is finished, last of all `what`."""


def display(title: str) -> Display:
    """Return a display that fits standard error."""
    return RichDisplay(title) if sys.stderr.isatty() else PlainDisplay(title)


class PlainDisplay:
    """One line now and then, for logs."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.began = time.monotonic()
        self.shown_at = self.began
        self.shown_step = 0
        self.pace: list[tuple[float, float]] = []
        """When the first and the last of the work were done, and what share it was.

        What came before the first, such as starting Ray, says nothing of the pace."""

    def __enter__(self) -> PlainDisplay:
        print(f"{self.title} …", file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def advance(self, done: float, total: float, what: str) -> None:
        """Print a line if the last one is old or far enough behind."""
        share, now = done / total if total else 1.0, time.monotonic()
        if share > (self.pace[-1][1] if self.pace else 0):
            self.pace[1:] = [(now, share)]
        # Not a difference of shares: 0.3 - 0.2 is less than 0.1.
        step = int(PLAIN_STEPS * done // total) if total else PLAIN_STEPS
        if step <= self.shown_step and now - self.shown_at < PLAIN_SECONDS:
            return
        self.shown_at, self.shown_step = now, step
        print(
            f"{self.title}: {share:4.0%}  {what}  "
            f"({now - self.began:.0f} s{self._left(share, now)})",
            file=sys.stderr,
            flush=True,
        )

    def _left(self, share: float, now: float) -> str:
        if len(self.pace) < 2 or share >= 1:
            return ""
        (began, first), (at, last) = self.pace
        left = (at - began) / (last - first) * (1 - last) - (now - at)
        return f", about {left:.0f} s left" if left > 0 else ""


class RichDisplay:
    """A bar with the time that is left, for a terminal."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        def whole(width: int) -> Column:
            return Column(min_width=width, no_wrap=True)

        # What is being done gets the room that is left; the rest is never cut.
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self.bar = Progress(
            TextColumn("[bold]{task.description}", table_column=whole(len(title))),
            BarColumn(bar_width=16, table_column=whole(16)),
            TaskProgressColumn(table_column=whole(4)),
            TimeElapsedColumn(table_column=whole(7)),
            TimeRemainingColumn(table_column=whole(7)),
            TextColumn("{task.fields[what]}", markup=False, table_column=rest),
            console=Console(stderr=True),
            transient=False,
            expand=True,
        )
        self.task = self.bar.add_task(title, total=None, what="")

    def __enter__(self) -> RichDisplay:
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def advance(self, done: float, total: float, what: str) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=done, total=total, what=what)


def trial_text(progress: Progress) -> str:
    """Say in a few words what the last finished trial came to, with its interval."""
    import numpy as np

    from harness.report.text import clean, score
    from harness.stats.intervals import mean_intervals

    answers = progress.outcome.answers
    said = f"{progress.n_finished}/{progress.n_total} trials  {progress.trial}"
    if answers is None:
        return clean(f"{said}: failed [{progress.outcome.error_code}]")
    scores = [dict(m or ()) for m in answers.rows["metrics"].to_pylist()]
    metric = next((name for m in scores for name in m), None)
    if metric is None:
        return clean(said)
    values = np.array([m[metric] for m in scores if metric in m], dtype=float)
    low, high = map(float, mean_intervals(values))
    name, mean = metric.split(",")[0], float(values.mean())
    return clean(f"{said}: {name} {score(mean)} [{score(low)}, {score(high)}]")
