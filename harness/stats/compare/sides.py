"""How well does each choice do, at a task and on average?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.stats.compare.difference import Answers, Items
from harness.stats.compare.matches import Rules
from harness.stats.compare.results import Choice, Side
from harness.stats.compare.rounds import Flags, Round
from harness.stats.estimate import Estimate, Interval
from harness.stats.intervals import HALL, hall_interval, score_interval


def side_of(round_: Round, place: int, rules: Rules, chosen: Flags) -> Side:
    """Return a member of a round, with its score over some of the items it has."""
    member = round_.members[place]
    if member is None:  # pragma: no cover
        raise ValueError("a side is a choice that was asked")
    n_items = int(round_.scored(place).sum())
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
        n_items=n_items,
        n_items_total=max(member.table.n_items_total, n_items),
        n_repeats=member.n_repeats,
    )


def side_over_tasks(
    choice: Choice,
    answers: Answers,
    items: Items,
    kept: Sequence[Round],
    place: int,
    rules: Rules,
) -> Side:
    """Return a choice over all tasks, by its answers to the items of all."""
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
