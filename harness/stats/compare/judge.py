"""What do all rounds say? Each difference judged, corrected for the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.frames import CONDITION
from harness.stats.compare.all_pairs import pair_table, ranks_of
from harness.stats.compare.flips import flips_of, n_unpaired
from harness.stats.compare.matches import Match, Rules, judge_matches, match_of
from harness.stats.compare.results import Side, TaskComparison, TaskDifference
from harness.stats.compare.rounds import Round
from harness.stats.compare.rows import cautions_of, difference_row
from harness.stats.compare.sides import side_of


def judge_tasks(rounds: Sequence[Round], rules: Rules) -> tuple[TaskComparison, ...]:
    """Return what each round says, each difference corrected for the others.

    For each candidate the tests of all tasks are one family; in the tables of all pairs
    the family is tasks × pairs. Tests of fewer than `min_items` items do not count.
    """
    everyone = [match_of(round_, round_.comparable, rules) for round_ in rounds]
    duels = [
        (r, place, _duel(round_, place, everyone[r], rules))
        for r, round_ in enumerate(rounds)
        for place in range(1, len(round_.members))
        if round_.members[place] is not None
    ]
    matches = [match for *_, match in duels if match is not None]
    families = [place for _, place, match in duels if match is not None]
    found = iter(judge_matches(matches, families, rules, is_told=True))
    tables = judge_matches(everyone, [0] * len(everyone), rules)
    sides = [
        {
            place: side_of(round_, place, rules, round_.scored(place))
            for place, member in enumerate(round_.members)
            if member is not None
        }
        for round_ in rounds
    ]

    def over_shared(r: int, places: tuple[int, ...]) -> tuple[Side, ...]:
        chosen = rounds[r].scored(*places)
        n = int(chosen.sum())
        return tuple(
            sides[r][place]
            if n in (0, sides[r][place].n_items)
            else side_of(rounds[r], place, rules, chosen)
            for place in places
        )

    rows: list[list[TaskDifference]] = [[] for _ in rounds]
    for r, place, match in duels:
        flips = flips_of(rounds[r], place)
        rows[r].append(
            difference_row(
                _condition(rounds[r]),
                (sides[r][0], sides[r][place])
                if match is None
                else over_shared(r, (0, place)),
                match,
                None if match is None else next(found),
                rules,
                flips=flips,
                n_unpaired=n_unpaired(rounds[r], place),
                mismatches=rounds[r].mismatches[place],
                cautions=cautions_of(rounds[r], place, flips),
            )
        )
    return tuple(
        TaskComparison(
            **_condition(round_),
            sides=tuple(sides[r].values()),
            differences=tuple(rows[r]),
            ranks=ranks_of(over_shared(r, everyone[r].members), tables[r], rules),
            pairs=pair_table(
                [sides[r][m] for m in everyone[r].members], everyone[r], tables[r]
            ),
        )
        for r, round_ in enumerate(rounds)
    )


def _duel(round_: Round, place: int, everyone: Match, rules: Rules) -> Match | None:
    """Return a candidate against the baseline over the items that these two share."""
    if place not in round_.comparable:
        return None
    if int(round_.scored(0, place).sum()) > everyone.n_items:
        return match_of(round_, (0, place), rules)
    return everyone.pair(everyone.members.index(place) - 1)


def _condition(round_: Round) -> dict[str, Any]:
    table = round_.baseline.table
    own = {name: getattr(table, name) for name in CONDITION}
    return {**own, "metric": round_.baseline.metric.metric, "settings": table.settings}
