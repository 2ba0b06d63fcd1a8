"""On which items do two choices differ, and in which direction?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.stats.compare.results import Flips
from harness.stats.compare.rounds import Round
from harness.stats.intervals import is_binary


def flips_of(round_: Round, place: int) -> Flips:
    """Return the items on which a member differs from the baseline."""
    both = round_.scored(0, place)
    first, second = (
        round_.scores[p][:, both].mean(0) if both.any() else np.zeros(0)
        for p in (0, place)
    )
    d = second - first
    places = round_.places[both]
    order = np.argsort(-np.abs(d), kind="stable")
    worse, better = int((d < 0).sum()), int((d > 0).sum())
    counted = bool(is_binary(np.stack([first, second])).all())
    right = int(((first == 1) & (second == 1)).sum())
    return Flips(
        n_worse=worse,
        n_better=better,
        n_equal=len(d) - worse - better,
        n_lost=worse if counted else None,
        n_gained=better if counted else None,
        n_both=right if counted else None,
        n_neither=len(d) - worse - better - right if counted else None,
        lost=tuple(places[order[d[order] < 0]].tolist()),
        gained=tuple(places[order[d[order] > 0]].tolist()),
    )


def flips_over_tasks(parts: Sequence[Flips]) -> Flips:
    """Return how many there are at several tasks together; no item has a place."""

    def total(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if None in values else sum(values)

    names = ("n_worse", "n_better", "n_equal", "n_lost", "n_gained", "n_both")
    return Flips(**{name: total(name) for name in (*names, "n_neither")})


def n_unpaired(round_: Round, place: int) -> int:
    """Return how many items one of a member and the baseline scored alone."""
    mine, theirs = round_.scored(0), round_.scored(place)
    return int((mine ^ theirs).sum())
