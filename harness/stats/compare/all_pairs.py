"""How does each choice differ from every other? All pairs, and ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.stats.compare.matches import Judged, Match, Rules
from harness.stats.compare.ranks import rank_ranges
from harness.stats.compare.results import PairTable, RankRange, Side
from harness.stats.pairs import AllPairs

Floats = npt.NDArray[np.float64]


def ranks_of(
    sides: Sequence[Side], found: Judged, rules: Rules
) -> tuple[RankRange, ...]:
    """Return which ranks each side may truly have, the best score first."""
    m = len(sides)
    difference = _square(found.moments.difference, m, sign=-1)
    low, high = rank_ranges(
        difference,
        _square(found.p_adjusted, m, sign=1),
        confidence_level=rules.confidence_level,
    )
    order = sorted(range(m), key=lambda k: -sides[k].score.value)
    return tuple(
        RankRange(
            name=sides[k].name,
            score=sides[k].score,
            low=int(low[k]),
            high=int(high[k]),
        )
        for k in order
    )


def pair_table(sides: Sequence[Side], match: Match, found: Judged) -> PairTable | None:
    """Return every side less every other; ``None`` of fewer than 2."""
    m = len(sides)
    if m < 2:
        return None
    moments = found.moments
    se = moments.se
    z = np.divide(moments.difference, se, out=np.full_like(se, np.nan), where=se > 0)
    low, high = found.corrected
    better = _square(moments.n_better, m, sign=0, other=moments.n_worse)
    return PairTable(
        pairs=AllPairs(
            names=tuple(side.name for side in sides),
            difference=_square(moments.difference, m, sign=-1),
            se=_square(se, m, sign=1),
            z=_square(z, m, sign=-1),
            n_better=better,
            p_value=_square(found.p_values, m, sign=1),
            n=match.n_items,
            method="paired difference over the items that all have",
            test="; ".join(dict.fromkeys(found.tests)),
        ),
        p_adjusted=_square(found.p_adjusted, m, sign=1),
        low=_square(low, m, sign=0, other=-high),
        high=_square(high, m, sign=0, other=-low),
    )


def _square(
    values: Floats, m: int, *, sign: int, other: Floats | None = None
) -> Floats:
    """Return values of pairs as a table of row minus column; ``nan`` on the diagonal.

    They are of the later of two less the earlier: below the diagonal. Above it stands
    `other`, or the same with this sign.
    """
    out = np.full((m, m), np.nan)
    first, second = np.triu_indices(m, 1)
    out[second, first] = values
    out[first, second] = sign * values if other is None else other
    return out
