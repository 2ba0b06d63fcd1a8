"""What differs between the sides beside the weights?"""

from __future__ import annotations

from collections.abc import Sequence

from harness.gate.results import Cell, Hidden


def environment(cells: Sequence[Cell]) -> tuple[Hidden, ...]:
    """Return what differs between the sides, each once with its tasks."""
    found: dict[tuple[str, str, str, bool], tuple[str, list[str]]] = {}
    for cell in cells:
        for one in cell.against_baseline.mismatches:
            key = (one.what, one.first, one.second, one.blocks)
            found.setdefault(key, (one.text, []))[1].append(cell.task)
    return tuple(
        Hidden(
            what=what,
            first=first,
            second=second,
            blocks=blocks,
            text=text,
            tasks=tuple(dict.fromkeys(tasks)),
        )
        for (what, first, second, blocks), (text, tasks) in sorted(
            found.items(), key=lambda one: (not one[0][3], one[0])
        )
    )
