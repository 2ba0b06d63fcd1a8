"""What is told of one difference? Its numbers, verdict and cautions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.stats.compare.matches import Ends, Judged, Match, Rules
from harness.stats.compare.results import Flips, Side, TaskDifference
from harness.stats.compare.rounds import Round
from harness.stats.compare.verdicts import judged
from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.intervals import PREVAILING_ITEMS, interval_cautions
from harness.stats.pairs import FEW_DISCORDANT, HALL, TANGO, discordant_cautions

SURE_SEEDS = 3
"""With fewer training seeds on a side, a 95 % interval may hold 90 to 99 %."""

OVER_SEEDS = "over items (Hall 1992) and training seeds (Welch's t), joined by MOVER"
EQUAL = "equal on every item: rule of three, of the widest difference of scores"


def difference_row(
    condition: Mapping[str, Any],
    sides: Sequence[Side],
    match: Match | None,
    found: Judged | None,
    rules: Rules,
    *,
    flips: Flips,
    n_unpaired: int,
    mismatches: tuple[Any, ...],
    cautions: tuple[Caution, ...],
) -> TaskDifference:
    """Return a candidate less the baseline: `match` over the items of both, judged.

    Without a match, the two were asked unlike questions.
    """
    delta = rules.delta_of(condition["task"])
    common = {
        **condition,
        "baseline": sides[0],
        "candidate": sides[1],
        "n_unpaired": n_unpaired,
        "flips": flips,
        "delta": delta,
        "mismatches": mismatches,
        "cautions": cautions,
    }
    if match is None or found is None:
        blocking = [m for m in mismatches if m.blocks]
        reason = "; ".join(m.text for m in blocking)
        return TaskDifference(
            **common,
            n_items=0,
            difference=undefined(
                "difference",
                n=0,
                method="none",
                code="not-comparable",
                text=f"the two sides answered unlike questions: {reason}",
            ),
            over_items=UNDEFINED,
            corrected=UNDEFINED,
            p_value=math.nan,
            p_adjusted=math.nan,
            test="none",
            smallest_detectable=math.nan,
            verdict="not comparable",
            reason=_differ([m.what for m in blocking]),
        )
    moments = found.moments
    counted = bool(moments.is_counted[0])
    over_seeds = bool(np.isfinite(moments.seed_df[0]))
    corrected = _interval(found.corrected)
    verdict, reason = judged(corrected, delta=delta)
    few = _too_few(match.n_items, counted, float(found.levels[0]), rules)
    if few:
        verdict, reason = "too few data", few
    value = float(moments.difference[0])
    own = (*_seed_cautions(sides, over_seeds, rules), *_unpaired(n_unpaired))
    if math.isnan(value):
        own = (Caution("no-items", "no item was scored on both sides"), *own)
    return TaskDifference(
        **{**common, "cautions": (*own, *cautions)},
        n_items=match.n_items,
        difference=Estimate(
            quantity="difference",
            value=value,
            se=float(moments.se[0]),
            interval=_interval(found.interval),
            confidence_level=rules.confidence_level,
            n=int(moments.n_units[0]),
            method="paired by item; "
            + (
                EQUAL
                if moments.is_equal[0]
                else OVER_SEEDS
                if over_seeds
                else TANGO
                if counted
                else HALL
            ),
            cautions=own,
        ),
        over_items=_interval(found.over_items),
        corrected=corrected,
        sequential=None if found.sequential is None else _interval(found.sequential),
        p_value=float(found.p_values[0]),
        p_adjusted=float(found.p_adjusted[0]),
        test=found.tests[0],
        smallest_detectable=float(found.detectable[0]),
        verdict=verdict,
        reason=reason,
    )


def _differ(what: Sequence[str]) -> str:
    is_one = len(what) == 1 and not what[0].endswith("s")
    return f"{', '.join(what)} {'differs' if is_one else 'differ'}"


def _too_few(n: int, counted: bool, level: float, rules: Rules) -> str:
    """Return why so few items are not judged; empty where they are."""
    if n < rules.min_items:
        return f"{n} item{'s' * (n != 1)}; {rules.min_items} needed"
    if counted and 2.0 ** (1 - n) >= 1 - level:
        needed = math.floor(1 - math.log2(1 - level)) + 1
        return f"{n} items allow no p-value so small; {needed} needed"
    return ""


def _seed_cautions(
    sides: Sequence[Side], over_seeds: bool, rules: Rules
) -> tuple[Caution, ...]:
    n_seeds = min(side.n_seeds for side in sides)
    if over_seeds and n_seeds < SURE_SEEDS:
        text = (
            f"{n_seeds} training seeds say little of their spread: the interval may "
            f"hold 90 to 99 % instead of 95 %; {SURE_SEEDS} of each side would do"
        )
        return (Caution("few-seeds", text),)
    if over_seeds or not rules.over_seeds:
        return ()
    lone = [side.name for side in sides if side.n_seeds < 2]
    why = f"{lone[0]} has one" if len(lone) == 1 else f"{' and '.join(lone)} have one"
    text = (
        f"what another training seed would change is not in the interval, since {why}; "
        "it is for these checkpoints, and 3 seeds of each side would tell more"
    )
    return (Caution("no-training-seeds", text),)


def _unpaired(n: int) -> tuple[Caution, ...]:
    if not n:
        return ()
    text = f"{n} items were scored on one side only and are in no score here"
    return (Caution("items-not-shared", text),)


def cautions_of(round_: Round, place: int, flips: Flips) -> tuple[Caution, ...]:
    """Return what the two sides' tables say, and that few items differ; each once."""
    members = (round_.members[0], round_.members[place])
    own = [c for one in members if one is not None for c in one.cautions]
    n_apart = flips.n_worse + flips.n_better
    n = n_apart + flips.n_equal
    if place in round_.comparable and n:
        own += discordant_cautions(n_apart, n)
        if FEW_DISCORDANT <= n_apart < PREVAILING_ITEMS and not flips.is_counted:
            chosen = round_.scored(0, place)
            first, second = (round_.scores[p][:, chosen].mean(0) for p in (0, place))
            own += interval_cautions("hall", second - first, round_.codes(chosen))
    return tuple(dict.fromkeys(own))


def _interval(ends: Ends) -> Interval:
    return Interval(float(ends[0][0]), float(ends[1][0]))
