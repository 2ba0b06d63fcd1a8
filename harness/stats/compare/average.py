"""How do choices differ on average over tasks that weigh the same?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.stats.clusters import cluster_codes
from harness.stats.compare.all_pairs import pair_table, ranks_of
from harness.stats.compare.difference import Answers, Items, pair_moments
from harness.stats.compare.flips import flips_of, flips_over_tasks, n_unpaired
from harness.stats.compare.matches import Match, Rules, judge_matches
from harness.stats.compare.results import AVERAGE, Choice, TaskComparison
from harness.stats.compare.rounds import Round, Uncompared
from harness.stats.compare.rows import difference_row
from harness.stats.compare.sides import side_over_tasks

Flags = npt.NDArray[np.bool_]


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
    match = Match(
        members=active,
        n_items=items.n,
        moments=pair_moments(answers, items, over_seeds=rules.over_seeds),
        widest=kept[0].bounds[1] - kept[0].bounds[0],
    )
    (table,) = judge_matches([match], [0], rules)
    sides = [
        side_over_tasks(choices[place], one, items, kept, place, rules)
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
    duels = judge_matches(
        [match.pair(k) for k in range(len(active) - 1)],
        range(len(active) - 1),
        rules,
        is_told=True,
    )
    differences = tuple(
        difference_row(
            condition,
            (sides[0], sides[k + 1]),
            match.pair(k),
            duels[k],
            rules,
            flips=flips_over_tasks([flips_of(r, active[k + 1]) for r in kept]),
            n_unpaired=sum(n_unpaired(r, active[k + 1]) for r in kept),
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
            ranks=ranks_of(sides, table, rules),
            pairs=pair_table(sides, match, table),
        ),
        ((AVERAGE, f"is without {why_not}"),) if left_out else (),
    )


def _items_of_tasks(kept: Sequence[Round], chosen: Sequence[Flags]) -> Items:
    """Return the items of all tasks; questions may be in several, and their clusters.

    Tasks that share a question share their clusters' names, as do all where names were
    given for this comparison. Else a cluster is of its task: ``doc1`` here is no
    ``doc1`` there.
    """
    of = _data_sets(kept)
    tasks = np.repeat(np.arange(len(kept)), [int(some.sum()) for some in chosen])
    labels: list[str] = []
    for round_, some, data_set in zip(kept, chosen, of, strict=True):
        own: Sequence[str] = round_.keys
        if round_.labels is not None:
            space = "" if round_.has_common_labels else f"{data_set} "
            own = [f"{space}{label}" for label in round_.labels]
        labels += np.array(own, dtype=object)[some].tolist()
    codes = None
    if len(set(labels)) < len(labels):
        codes = cluster_codes(np.array(labels, dtype=object), len(labels))
    return Items(n=len(tasks), codes=codes, tasks=tasks)


def _data_sets(kept: Sequence[Round]) -> list[int]:
    """Return the first task that each shares a question with; else itself."""
    keys = [set(round_.keys) for round_ in kept]
    out: list[int] = []
    for place, mine in enumerate(keys):
        earlier = (out[k] for k in range(place) if not mine.isdisjoint(keys[k]))
        out.append(next(earlier, place))
    return out


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


def _name_of(round_: Round) -> str:
    return round_.baseline.table.task
