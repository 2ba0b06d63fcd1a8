"""What do all rounds say together? Differences, corrections, ranks, the average."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.frames import CONDITION
from harness.stats.clusters import cluster_codes
from harness.stats.compare.difference import (
    Answers,
    Items,
    Moments,
    intervals,
    p_values,
    pair_moments,
)
from harness.stats.compare.looks import anytime_intervals, anytime_p_values
from harness.stats.compare.multiplicity import corrected
from harness.stats.compare.ranks import rank_ranges
from harness.stats.compare.results import (
    AVERAGE,
    Choice,
    Flips,
    PairTable,
    RankRange,
    Side,
    TaskComparison,
    TaskDifference,
)
from harness.stats.compare.rounds import Round, Uncompared
from harness.stats.compare.verdicts import judged
from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.intervals import (
    HALL,
    PREVAILING_ITEMS,
    hall_interval,
    interval_cautions,
    is_binary,
    score_interval,
)
from harness.stats.pairs import (
    FEW_DISCORDANT,
    MCNEMAR,
    T_TEST,
    TANGO,
    AllPairs,
    Correction,
    discordant_cautions,
)
from harness.stats.pairs import HALL as HALL_OF_PAIRS

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

POWER = 0.8
"""Probability of finding the smallest detectable difference."""

SURE_SEEDS = 3
"""With fewer training seeds on a side, a 95 % interval may hold 90 to 99 %."""

OVER_SEEDS = "over items (Hall 1992) and training seeds (Welch's t), joined by MOVER"
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
class _Match:
    """Members of a round over the items that they share, pair by pair."""

    members: tuple[int, ...]
    n_items: int
    moments: Moments
    """Of each two members, in the order of ``np.triu_indices``."""

    widest: float

    def pair(self, k: int) -> _Match:
        """Return the first member and the one that is k places after the second."""
        return replace(
            self,
            members=(self.members[0], self.members[k + 1]),
            moments=self.moments[k : k + 1],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Judged:
    """Differences with their p-values and intervals, an element for each."""

    moments: Moments
    p_values: Floats
    p_adjusted: Floats
    levels: Floats
    interval: tuple[Floats, Floats]
    over_items: tuple[Floats, Floats]
    simultaneous: tuple[Floats, Floats]
    sequential: tuple[Floats, Floats] | None

    def part(self, chosen: slice) -> _Judged:
        """Return some of them."""
        pairs = {
            name: (low[chosen], high[chosen])
            for name, (low, high) in (
                ("interval", self.interval),
                ("over_items", self.over_items),
                ("simultaneous", self.simultaneous),
            )
        }
        return _Judged(
            moments=self.moments[chosen],
            p_values=self.p_values[chosen],
            p_adjusted=self.p_adjusted[chosen],
            levels=self.levels[chosen],
            sequential=None
            if self.sequential is None
            else (self.sequential[0][chosen], self.sequential[1][chosen]),
            **pairs,
        )


def judge_tasks(rounds: Sequence[Round], rules: Rules) -> tuple[TaskComparison, ...]:
    """Return what each round says, each difference corrected for the others.

    For each candidate the tests of all tasks are one family; in the tables of all pairs
    the family is tasks × pairs. Tests of fewer than `min_items` items do not count.
    """
    everyone = [_match(round_, round_.comparable, rules) for round_ in rounds]
    duels = [
        (r, place, _duel(round_, place, everyone[r], rules))
        for r, round_ in enumerate(rounds)
        for place in range(1, len(round_.members))
        if round_.members[place] is not None
    ]
    matches = [match for *_, match in duels if match is not None]
    families = [place for _, place, match in duels if match is not None]
    found = iter(_judge(matches, families, rules))
    tables = _judge(everyone, [0] * len(everyone), rules)
    sides = [
        {
            place: _side(round_, place, rules)
            for place, member in enumerate(round_.members)
            if member is not None
        }
        for round_ in rounds
    ]
    rows: list[list[TaskDifference]] = [[] for _ in rounds]
    for r, place, match in duels:
        flips = _flips(rounds[r], place)
        rows[r].append(
            _difference(
                _condition(rounds[r]),
                (sides[r][0], sides[r][place]),
                match,
                None if match is None else next(found),
                rules,
                flips=flips,
                n_unpaired=_n_unpaired(rounds[r], place),
                mismatches=rounds[r].mismatches[place],
                cautions=_own_cautions(rounds[r], place, flips),
            )
        )
    return tuple(
        TaskComparison(
            **_condition(round_),
            sides=tuple(sides[r].values()),
            differences=tuple(rows[r]),
            ranks=_ranks([sides[r][m] for m in everyone[r].members], tables[r], rules),
            pairs=_pair_table(
                [sides[r][m] for m in everyone[r].members], everyone[r], tables[r]
            ),
        )
        for r, round_ in enumerate(rounds)
    )


def judge_average(
    rounds: Sequence[Round], choices: Sequence[Choice], rules: Rules
) -> tuple[TaskComparison | None, tuple[Uncompared, ...]]:
    """Return the mean over tasks, each weighing the same, and why there is none.

    It is of the tasks at which all choices can be compared, but for choices that can be
    at none. Tasks are taken as given; items, clusters that tasks share, and training
    seeds are not: a seed's effects on several tasks go together.
    """
    active = tuple(
        place
        for place in range(len(choices))
        if any(place in round_.comparable for round_ in rounds)
    )
    kept = [
        round_
        for round_ in rounds
        if set(active) <= set(round_.comparable) and round_.scored(*active).sum() > 1
    ]
    if len(kept) < 2 or len(active) < 2:
        if len(rounds) < 2:
            return None, ()
        reason = "fewer than 2 tasks are such that all can be compared"
        return None, ((AVERAGE, reason),)
    metrics = tuple(dict.fromkeys(r.baseline.metric.metric for r in kept))
    if len({round_.bounds for round_ in kept}) > 1:
        reason = f"tasks are scored in unlike units: {', '.join(metrics)}"
        return None, ((AVERAGE, reason),)
    chosen = [round_.scored(*active) for round_ in kept]
    items = _items_of_tasks(kept, chosen)
    answers = [_over_tasks(kept, chosen, place) for place in active]
    match = _Match(
        members=active,
        n_items=items.n,
        moments=pair_moments(answers, items, over_seeds=rules.over_seeds),
        widest=kept[0].bounds[1] - kept[0].bounds[0],
    )
    (table,) = _judge([match], [0], rules)
    sides = [
        _side_over_tasks(choices[place], one, items, kept, place, rules)
        for place, one in zip(active, answers, strict=True)
    ]
    condition: dict[str, Any] = {
        "task": AVERAGE,
        "formulation": "",
        "num_fewshot": 0,
        "template": "",
        "generation": "",
        "metric": ", ".join(metrics),
    }
    duels = _judge(
        [match.pair(k) for k in range(len(active) - 1)], range(len(active) - 1), rules
    )
    differences = tuple(
        _difference(
            condition,
            (sides[0], sides[k + 1]),
            match.pair(k),
            duels[k],
            rules,
            flips=_flips_over_tasks([_flips(r, active[k + 1]) for r in kept]),
            n_unpaired=sum(_n_unpaired(r, active[k + 1]) for r in kept),
            mismatches=(),
            cautions=(),
        )
        for k in range(len(active) - 1)
    )
    left_out = [_name_of(r) for r in rounds if r not in kept]
    why_not = f"{', '.join(left_out)}: not all choices can be compared at it"
    return (
        TaskComparison(
            **condition,
            sides=tuple(sides),
            differences=differences,
            ranks=_ranks(sides, table, rules),
            pairs=_pair_table(sides, match, table),
        ),
        ((AVERAGE, f"is without {why_not}"),) if left_out else (),
    )


# ---- matches -------------------------------------------------------------------


def _match(round_: Round, members: tuple[int, ...], rules: Rules) -> _Match:
    chosen = round_.scored(*members)
    return _Match(
        members=members,
        n_items=int(chosen.sum()),
        moments=pair_moments(
            [_answers(round_, place, chosen) for place in members],
            round_.items(chosen),
            over_seeds=rules.over_seeds,
        ),
        widest=round_.bounds[1] - round_.bounds[0],
    )


def _duel(round_: Round, place: int, everyone: _Match, rules: Rules) -> _Match | None:
    """Return a candidate against the baseline over the items that these two share."""
    if place not in round_.comparable:
        return None
    if int(round_.scored(0, place).sum()) > everyone.n_items:
        return _match(round_, (0, place), rules)
    return everyone.pair(everyone.members.index(place) - 1)


def _answers(round_: Round, place: int, chosen: Flags) -> Answers:
    member = round_.members[place]
    run = None if member is None else member.run
    return Answers(scores=round_.scores[place][:, chosen], run=run)


def _items_of_tasks(kept: Sequence[Round], chosen: Sequence[Flags]) -> Items:
    """Return the items of all tasks; clusters, or questions, may be in several."""
    tasks = np.repeat(np.arange(len(kept)), [int(some.sum()) for some in chosen])
    labels: list[str] = []
    for round_, some in zip(kept, chosen, strict=True):
        own = round_.keys if round_.labels is None else round_.labels
        labels += np.array(own, dtype=object)[some].tolist()
    codes = None
    if len(set(labels)) < len(labels):
        codes = cluster_codes(np.array(labels, dtype=object), len(labels))
    return Items(n=len(tasks), codes=codes, tasks=tasks)


def _over_tasks(kept: Sequence[Round], chosen: Sequence[Flags], place: int) -> Answers:
    """Return one choice's scores at the items of all tasks, by the seeds that all have.

    Without 2 such seeds, the mean over each task's own.
    """
    members = [round_.members[place] for round_ in kept]
    own = [() if member is None else member.train_seeds for member in members]
    shared = [seed for seed in own[0] if all(seed in seeds for seeds in own)]
    parts = []
    for round_, some, seeds in zip(kept, chosen, own, strict=True):
        scores = round_.scores[place][:, some]
        rows = [seeds.index(seed) for seed in shared]
        parts.append(scores[rows] if len(shared) > 1 else scores.mean(0, keepdims=True))
    first = members[0]
    model = None if first is None else first.choice.model
    return Answers(scores=np.concatenate(parts, axis=1), run=(model, tuple(shared)))


def _judge(
    matches: Sequence[_Match], families: Sequence[int], rules: Rules
) -> list[_Judged]:
    """Return each match judged, corrected within its family; all at once."""
    if not matches:
        return []
    moments = Moments.together([match.moments for match in matches])
    sizes = [len(match.moments) for match in matches]
    n_items, widest, family = (
        np.repeat(np.array(values, dtype=np.float64), sizes)
        for values in (
            [match.n_items for match in matches],
            [match.widest for match in matches],
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
        adjusted[here], levels[here] = corrected(
            p[here], correction=rules.correction, confidence_level=level
        )
    whole = _Judged(
        moments=moments,
        p_values=p,
        p_adjusted=adjusted,
        levels=levels,
        interval=intervals(moments, level, widest=widest),
        over_items=intervals(moments.for_these_seeds, level, widest=widest),
        simultaneous=intervals(moments, levels, widest=widest)
        if n_target is None
        else anytime_intervals(moments, levels, n_target=n_target, widest=widest),
        sequential=None
        if n_target is None
        else anytime_intervals(moments, level, n_target=n_target, widest=widest),
    )
    ends = np.cumsum([0, *sizes])
    return [whole.part(slice(start, stop)) for start, stop in pairwise(ends)]


# ---- rows ----------------------------------------------------------------------


def _difference(
    condition: Mapping[str, Any],
    sides: tuple[Side, Side],
    match: _Match | None,
    found: _Judged | None,
    rules: Rules,
    *,
    flips: Flips,
    n_unpaired: int,
    mismatches: tuple[Any, ...],
    cautions: tuple[Caution, ...],
) -> TaskDifference:
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
            simultaneous=UNDEFINED,
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
    simultaneous = _interval(found.simultaneous)
    verdict, reason = judged(simultaneous, delta=delta)
    few = _too_few(match.n_items, counted, float(found.levels[0]), rules)
    if few:
        verdict, reason = "too few data", few
    se = float(moments.se[0])
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
            se=se,
            interval=_interval(found.interval),
            confidence_level=rules.confidence_level,
            n=int(moments.n_units[0]),
            method="paired by item; "
            + (OVER_SEEDS if over_seeds else TANGO if counted else HALL_OF_PAIRS),
            cautions=own,
        ),
        over_items=_interval(found.over_items),
        simultaneous=simultaneous,
        sequential=None if found.sequential is None else _interval(found.sequential),
        p_value=float(found.p_values[0]),
        p_adjusted=float(found.p_adjusted[0]),
        test=ANYTIME
        if rules.n_target
        else SEED_TEST
        if over_seeds
        else MCNEMAR
        if counted
        else T_TEST,
        smallest_detectable=_detectable(simultaneous, se),
        verdict=verdict,
        reason=reason,
    )


def _differ(what: Sequence[str]) -> str:
    is_one = len(what) == 1 and not what[0].endswith("s")
    return f"{', '.join(what)} {'differs' if is_one else 'differ'}"


def _too_few(n: int, counted: bool, level: float, rules: Rules) -> str:
    """Return why so few items are not judged; empty where they are."""
    if n < rules.min_items:
        return f"{n} items; {rules.min_items} needed"
    if counted and 2.0 ** (1 - n) >= 1 - level:
        needed = math.floor(1 - math.log2(1 - level)) + 1
        return f"{n} items allow no p-value so small; {needed} needed"
    return ""


def _detectable(interval: Interval, se: float) -> float:
    """Return the difference at which the interval leaves 0 out 4 times in 5."""
    from scipy.special import ndtri

    return (interval.high - interval.low) / 2 + float(ndtri(POWER)) * se


def _seed_cautions(
    sides: tuple[Side, Side], over_seeds: bool, rules: Rules
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
    text = f"{n} items were scored on one side only and are left out"
    return (Caution("items-not-shared", text),)


def _own_cautions(round_: Round, place: int, flips: Flips) -> tuple[Caution, ...]:
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


def _n_unpaired(round_: Round, place: int) -> int:
    mine, theirs = round_.scored(0), round_.scored(place)
    return int((mine ^ theirs).sum())


def _flips(round_: Round, place: int) -> Flips:
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


def _flips_over_tasks(parts: Sequence[Flips]) -> Flips:
    def total(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if None in values else sum(values)

    names = ("n_worse", "n_better", "n_equal", "n_lost", "n_gained", "n_both")
    return Flips(**{name: total(name) for name in (*names, "n_neither")})


def _side(round_: Round, place: int, rules: Rules) -> Side:
    member = round_.members[place]
    if member is None:  # pragma: no cover
        raise ValueError("a side is a choice that was asked")
    chosen = round_.scored(place)
    scores = round_.scores[place][:, chosen]
    means = scores.mean(1) if chosen.any() else np.full(len(scores), np.nan)
    return Side(
        name=member.choice.name,
        model=member.choice.model,
        step=member.choice.step,
        train_seeds=member.train_seeds,
        score=score_interval(
            scores.mean(0),
            clusters=round_.codes(chosen),
            confidence_level=rules.confidence_level,
            bounds=round_.bounds,
        ),
        seed_sd=float(means.std(ddof=1)) if len(means) > 1 else math.nan,
        n_items=int(chosen.sum()),
        n_items_total=max(member.table.n_items_total, int(chosen.sum())),
        n_repeats=member.n_repeats,
    )


def _side_over_tasks(
    choice: Choice,
    answers: Answers,
    items: Items,
    kept: Sequence[Round],
    place: int,
    rules: Rules,
) -> Side:
    rows = answers.scores.mean(0, keepdims=True)
    units = items.units(items.residuals(rows))
    value = float(items.means(rows)[0])
    ends = hall_interval(
        value + units[0], confidence_level=rules.confidence_level, df=items.df
    )
    means = items.means(answers.scores)
    members = [one for round_ in kept if (one := round_.members[place]) is not None]
    n_units = items.n_units
    seeds = answers.run[1] if isinstance(answers.run, tuple) else ()
    low, high = kept[0].bounds
    return Side(
        name=choice.name,
        model=choice.model,
        step=choice.step,
        train_seeds=seeds if len(seeds) > 1 else members[0].train_seeds,
        score=Estimate(
            quantity="mean",
            value=value,
            se=float(np.sqrt((units**2).sum() / (n_units * (n_units - 1)))),
            interval=Interval(max(float(ends[0]), low), min(float(ends[1]), high)),
            confidence_level=rules.confidence_level,
            n=n_units,
            method=f"mean of {len(kept)} tasks that weigh the same; {HALL}",
        ),
        seed_sd=float(means.std(ddof=1)) if len(means) > 1 else math.nan,
        n_items=items.n,
        n_items_total=sum(
            max(one.table.n_items_total, len(one.keys)) for one in members
        ),
        n_repeats=min(one.n_repeats for one in members),
    )


def _ranks(
    sides: Sequence[Side], found: _Judged, rules: Rules
) -> tuple[RankRange, ...]:
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


def _pair_table(
    sides: Sequence[Side], match: _Match, found: _Judged
) -> PairTable | None:
    m = len(sides)
    if m < 2:
        return None
    moments = found.moments
    se = moments.se
    z = np.divide(moments.difference, se, out=np.full_like(se, np.nan), where=se > 0)
    low, high = found.simultaneous
    better = _square(moments.n_better, m, sign=0, other=moments.n_worse)
    kinds = {
        ANYTIME
        if found.sequential
        else SEED_TEST
        if math.isfinite(df)
        else MCNEMAR
        if counted
        else T_TEST: None
        for df, counted in zip(moments.seed_df, moments.is_counted, strict=True)
    }
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
            test="; ".join(kinds),
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


def _condition(round_: Round) -> dict[str, Any]:
    table = round_.baseline.table
    own = {name: getattr(table, name) for name in CONDITION}
    return {**own, "metric": round_.baseline.metric.metric, "settings": table.settings}


def _name_of(round_: Round) -> str:
    return round_.baseline.table.task


def _interval(ends: tuple[Floats, Floats]) -> Interval:
    return Interval(float(ends[0][0]), float(ends[1][0]))
