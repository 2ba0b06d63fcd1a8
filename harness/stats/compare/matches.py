"""How do choices differ over the items that they share, and how surely?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harness.stats.compare.detectable import smallest_detectable
from harness.stats.compare.difference import (
    Answers,
    Moments,
    intervals,
    p_values,
    pair_moments,
)
from harness.stats.compare.looks import anytime_intervals, anytime_p_values
from harness.stats.compare.multiplicity import corrected as corrected_for
from harness.stats.compare.rounds import Round
from harness.stats.pairs import MCNEMAR, T_TEST, Correction

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ends = tuple[Floats, Floats]
"""Lower and upper ends of intervals."""

ANYTIME = "always valid p-value of a confidence sequence"
SEED_TEST = "level at which the interval over items and training seeds reaches 0"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rules:
    """By what differences are judged: options of `harness.stats.compare.compare`."""

    correction: Correction
    confidence_level: float
    delta: float | Mapping[str, float] | None
    min_items: int
    over_seeds: bool
    n_target: int | None = None
    """Items at which confidence sequences are narrowest; ``None`` where none are."""

    def delta_of(self, task: str) -> float | None:
        """Return the largest loss at a task that counts as no worse."""
        if isinstance(self.delta, Mapping):
            return self.delta.get(task)
        return self.delta


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """Members of a round over the items that they share, pair by pair."""

    members: tuple[int, ...]
    n_items: int
    moments: Moments
    """Of each two members, in the order of ``np.triu_indices``."""

    widest: float

    def pair(self, k: int) -> Match:
        """Return the first member and the one that is k places after the second."""
        return replace(
            self,
            members=(self.members[0], self.members[k + 1]),
            moments=self.moments[k : k + 1],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Differences with their p-values and intervals, an element for each."""

    moments: Moments
    p_values: Floats
    p_adjusted: Floats
    levels: Floats
    interval: Ends
    over_items: Ends
    corrected: Ends
    sequential: Ends | None
    detectable: Floats
    """What could be found; `nan` where nobody asks."""

    @property
    def tests(self) -> tuple[str, ...]:
        """What each p-value is of."""
        if self.sequential is not None:
            return (ANYTIME,) * len(self.moments)
        return tuple(
            SEED_TEST if math.isfinite(df) else MCNEMAR if counted else T_TEST
            for df, counted in zip(
                self.moments.seed_df, self.moments.is_counted, strict=True
            )
        )

    def part(self, chosen: slice) -> Judged:
        """Return some of them."""
        pairs = {
            name: (low[chosen], high[chosen])
            for name, (low, high) in (
                ("interval", self.interval),
                ("over_items", self.over_items),
                ("corrected", self.corrected),
            )
        }
        return Judged(
            moments=self.moments[chosen],
            p_values=self.p_values[chosen],
            p_adjusted=self.p_adjusted[chosen],
            levels=self.levels[chosen],
            detectable=self.detectable[chosen],
            sequential=None
            if self.sequential is None
            else (self.sequential[0][chosen], self.sequential[1][chosen]),
            **pairs,
        )


def match_of(round_: Round, members: tuple[int, ...], rules: Rules) -> Match:
    """Return members of a round over the items that all of them scored."""
    chosen = round_.scored(*members)
    return Match(
        members=members,
        n_items=int(chosen.sum()),
        moments=pair_moments(
            [_answers(round_, place, chosen) for place in members],
            round_.items(chosen),
            over_seeds=rules.over_seeds,
        ),
        widest=round_.bounds[1] - round_.bounds[0],
    )


def _answers(round_: Round, place: int, chosen: Flags) -> Answers:
    member = round_.members[place]
    run = None if member is None else member.run
    return Answers(scores=round_.scores[place][:, chosen], run=run)


def judge_matches(
    matches: Sequence[Match],
    families: Sequence[int],
    rules: Rules,
    *,
    is_told: bool = False,
) -> list[Judged]:
    """Return each match judged, corrected within its family; all at once.

    What could be found takes as long as all else, so that `is_told` asks for it.
    """
    if not matches:
        return []
    moments = Moments.together([one.moments for one in matches])
    sizes = [len(one.moments) for one in matches]
    n_items, widest, family = (
        np.repeat(np.array(values, dtype=np.float64), sizes)
        for values in (
            [one.n_items for one in matches],
            [one.widest for one in matches],
            families,
        )
    )
    level = rules.confidence_level
    n_target = rules.n_target
    if n_target is None:
        p = p_values(moments)
    else:
        p = anytime_p_values(moments, n_target=n_target)
    is_tested = n_items >= rules.min_items
    adjusted, levels = np.full(len(p), np.nan), np.full(len(p), level)
    for one in np.unique(family):
        here = np.flatnonzero(is_tested & (family == one))
        adjusted[here], levels[here] = corrected_for(
            p[here], correction=rules.correction, confidence_level=level
        )
    whole = Judged(
        moments=moments,
        p_values=p,
        p_adjusted=adjusted,
        levels=levels,
        interval=intervals(moments, level, widest=widest),
        over_items=intervals(moments.for_these_seeds, level, widest=widest),
        corrected=intervals(moments, levels, widest=widest)
        if n_target is None
        else anytime_intervals(moments, levels, n_target=n_target, widest=widest),
        sequential=None
        if n_target is None
        else anytime_intervals(moments, level, n_target=n_target, widest=widest),
        detectable=smallest_detectable(
            moments, levels, n_target=n_target, widest=widest
        )
        if is_told
        else np.full(len(p), np.nan),
    )
    ends = np.cumsum([0, *sizes])
    return [whole.part(slice(start, stop)) for start, stop in pairwise(ends)]
