"""What was asked of both sides and has no comparison all the same, and why?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.frames import CONDITION
from harness.stats.compare.contestants import (
    asked_conditions,
    condition_words,
    contestants,
)
from harness.stats.tables import plain

if TYPE_CHECKING:
    import pandas as pd

    from harness.stats.compare.results import Comparison

PLAINEST = "0-shot"
"""What a condition is called that has nothing to be told."""


class Unmet(NamedTuple):
    """A task that no row of a comparison is of, under one condition."""

    task: str
    reason: str
    is_own: bool
    """Whether it is the candidate that lacks what the baseline has."""


def unmet(responses: pd.DataFrame, comparison: Comparison) -> tuple[Unmet, ...]:
    """Return what the baseline was asked and a comparison has no row of.

    Parameters
    ----------
    responses : DataFrame
        That `comparison` is of, of a baseline and one candidate.
    """
    baseline, candidate = comparison.choices
    asked = tuple(asked_conditions(responses, one) for one in comparison.choices)
    rows = {
        tuple(plain(getattr(row, name)) for name in CONDITION)
        for row in comparison.differences
    }
    lone = sorted(asked[0] - rows, key=str)
    if not lone:
        return ()
    of_them = responses["task"].isin([task for task, *_ in lone]).to_numpy(dtype=bool)
    scored = [
        {one.condition for one in side}
        for side in contestants(responses[of_them], comparison.choices)
    ]
    several = [task for task, *_ in asked[0] | asked[1]]
    found = []
    for condition in lone:
        is_own = condition in scored[0] and condition not in scored[1]
        if condition not in scored[0]:
            why = f"the answers of {baseline.name} could not be scored"
        elif condition not in asked[1]:
            why = f"{candidate.name} was not asked it"
        elif condition not in scored[1]:
            why = f"the answers of {candidate.name} could not be scored"
        else:
            why = f"{candidate.name} and {baseline.name} are scored by unlike metrics"
        if several.count(condition[0]) > 1:
            why = f"{condition_words(condition) or PLAINEST}: {why}"
        found.append(Unmet(task=condition[0], reason=why, is_own=is_own))
    return tuple(found)
