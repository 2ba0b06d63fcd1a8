"""What does the page say first? What it counts, and what to beware of."""

from __future__ import annotations

from harness.report import text
from harness.report.gather import ReportData


def chips(data: ReportData) -> list[tuple[str, str, str]]:
    """Return (number, noun, class) of what the report counts."""
    p = data.provenance
    rows = data.variance
    partial = sum(row.is_partial for row in rows)
    counts = [
        (len({row.model for row in rows}), "model", ""),
        (p.n_checkpoints, "checkpoint", ""),
        (len({row.task for row in rows}), "task", ""),
        (p.n_responses, "response", ""),
        (p.n_done, "trial done" if p.n_done == 1 else "trials done", ""),
    ]
    if p.n_failed:
        noun = "trial failed" if p.n_failed == 1 else "trials failed"
        counts.append((p.n_failed, noun, "warn"))
    if partial:
        counts.append((partial, "partial row", "warn"))
    if n_cautions := len(cautions(data)):
        counts.append((n_cautions, "caution", "warn"))
    out = []
    for n, noun, kind in counts:
        number, _, rest = text.count(n, noun).partition(" ")
        out.append((number, noun if noun.startswith("trial") else rest, kind))
    return out


def cautions(data: ReportData) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return code, text and places of each caution."""
    whole = [(c.code, c.text, ()) for c in data.cautions]
    return [*whole, *text.caution_list(data.variance)]
