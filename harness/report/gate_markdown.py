"""How does a gate read as Markdown? For a job's summary or a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from harness.gate.results import GateResult
from harness.report.sheets.gate import (
    COLUMNS,
    GatedRow,
    counts_sentence,
    environment_lines,
    gated_rows,
    in_tiers,
    legend,
    other_sentences,
    tier_sentences,
    verdict_sentence,
)
from harness.report.sheets.sheet import Footnotes, Sheet, escaped, markup
from harness.report.text import clean, count

MOST_CHANGED = 20
"""Changed rows that stand before the list of all."""

MAX_BYTES = 900_000
"""Under what GitHub shows of a job's summary (1024 KiB), beyond which it drops all."""

HEADINGS = {
    "passed": "✓ Gate passed",
    "failed": "▼ Gate failed",
    "inconclusive": "? Gate inconclusive",
}

MENTION = re.compile(r"(?<![\w`])@")
"""What would notify whoever has the name behind it."""


def gate_markdown(
    result: GateResult, *, command: str, max_bytes: int = MAX_BYTES
) -> str:
    """Return verdict, counts, changed rows, all rows, environment, and the command.

    Where that is more than `max_bytes`, rows of the list of all are left out, then
    changed rows and lines of the environment; a line says how many.

    Parameters
    ----------
    command : str
        What makes the same verdict again.
    max_bytes : int
        At least 10,000: enough for the verdict and the line of what was left out.
    """
    notes = Footnotes()
    rows = gated_rows(result, notes)
    summary = _Summary(
        result=result,
        rows=rows,
        changed=[row for row in rows if row.is_changed],
        environment=environment_lines(result),
        notes=tuple(map(clean, notes.texts)),
        command=command,
    )
    sizes = [
        len(rows),
        min(len(summary.changed), MOST_CHANGED),
        len(summary.environment),
    ]
    text = summary.text(*sizes)
    for place, most in enumerate(sizes):
        if len(text.encode()) <= max_bytes:
            break
        least = 0
        while least < most:  # the most of it that there is room for
            sizes[place] = (least + most + 1) // 2
            if len(summary.text(*sizes).encode()) > max_bytes:
                most = sizes[place] - 1
            else:
                least = sizes[place]
        sizes[place] = least
        text = summary.text(*sizes)
    return text


class _Summary(NamedTuple):
    """What is written, of which parts may be left out."""

    result: GateResult
    rows: Sequence[GatedRow]
    changed: Sequence[GatedRow]
    environment: Sequence[str]
    notes: Sequence[str]
    command: str

    def text(self, n_rows: int, n_changed: int, n_environment: int) -> str:
        result = self.result
        lines = [
            f"## {HEADINGS[result.status]}",
            f"**{_safe(verdict_sentence(result))}**",
            _safe(counts_sentence(result)),
            "\n".join(f"- {_safe(sentence)}" for sentence in self._sentences()),
        ]
        if n_changed:
            lines.append(self._table(self.changed[:n_changed], is_first=True))
        if left := len(self.changed) - n_changed:
            lines.append(f"_{left} more that changed: see all comparisons._")
        if n_rows:
            all_ = count(len(self.rows), "comparison")
            lines += [
                f"<details><summary>All {all_}</summary>",
                self._table(self.rows[:n_rows], is_first=not n_changed),
            ]
        if left := len(self.rows) - n_rows:
            lines.append(
                f"_… {left} of {len(self.rows)} comparisons are left out: there is no "
                "room for more. `--format json` has all._"
            )
        lines += ["</details>"] if n_rows else []
        if self.environment:
            told = [f"- {_safe(line)}" for line in self.environment[:n_environment]]
            if left := len(self.environment) - n_environment:
                told.append(f"- _… {left} more are left out_")
            lines.append("What differs beside the weights:\n\n" + "\n".join(told))
        longest = max(map(len, re.findall("`+", self.command)), default=0)
        fence = "`" * max(3, longest + 1)
        lines.append(f"To see it again:\n\n{fence}sh\n{clean(self.command)}\n{fence}\n")
        return "\n\n".join(lines)

    def _sentences(self) -> list[str]:
        return [*tier_sentences(self.result), *other_sentences(self.result)]

    def _table(self, rows: Sequence[GatedRow], *, is_first: bool) -> str:
        sheet = Sheet(
            columns=COLUMNS,
            parts=in_tiers(rows),
            label="tier",
            frame=self.result.to_frame,
            notes=tuple(self.notes) if is_first else (),
            remarks=(legend(self.result),) if is_first else (),
        )
        return MENTION.sub("&#64;", markup(sheet, "md")).strip()


def _safe(text: str) -> str:
    return MENTION.sub("&#64;", escaped(clean(text)))
