"""Who met whom at which task? Choices side by side over the same items."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.frames import SETTINGS
from harness.records import digest
from harness.stats.clusters import Codes, cluster_codes
from harness.stats.comparable import Mismatch, mismatches
from harness.stats.compare.contestants import (
    Condition,
    Contestant,
    closest,
    condition_words,
)
from harness.stats.compare.difference import Items
from harness.stats.compare.results import Choice
from harness.stats.scores import METRICS, UNKNOWN_METRIC

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_SHARED = 0.95
"""Share of the smaller side's items that must be on the other side, too."""

UNSCORED = "gave answers that could not be scored"
"""Why a choice is not compared, where it was asked all the same."""

Uncompared = tuple[str, str]
"""What has no row, and why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """All choices at one task, under the baseline's condition.

    Attributes
    ----------
    members : tuple of Contestant or None
        One for each choice, the baseline first; ``None`` where it was not asked.
    scores : tuple of ndarray, shape (n_seeds, n_items)
        Of each member, at the items that any of them was asked; ``nan`` where not
        scored.
    keys, places : tuple
        Of these items.
    labels : tuple of str, optional
        Cluster of each item; ``None`` where none is known of the task.
    has_common_labels : bool
        Whether a cluster of this name is the same at every task, as those that were
        given for a comparison are.
    mismatches : tuple of tuple of Mismatch
        Of each member, against the baseline.
    """

    members: tuple[Contestant | None, ...]
    scores: tuple[Floats, ...]
    keys: tuple[str, ...]
    places: npt.NDArray[np.intp]
    labels: tuple[str, ...] | None
    has_common_labels: bool
    mismatches: tuple[tuple[Mismatch, ...], ...]

    @property
    def baseline(self) -> Contestant:
        """The first of the members, which is always there."""
        one = self.members[0]
        if one is None:  # pragma: no cover
            raise ValueError("a round has a baseline")
        return one

    @property
    def bounds(self) -> tuple[float, float]:
        """What scores can be."""
        metric = METRICS.get(self.baseline.metric.metric, UNKNOWN_METRIC)
        return metric.low, metric.high

    @property
    def comparable(self) -> tuple[int, ...]:
        """Places of the members that were asked the same as the baseline."""
        return tuple(
            place
            for place, found in enumerate(self.mismatches)
            if self.members[place] is not None and not any(m.blocks for m in found)
        )

    def scored(self, *places: int) -> Flags:
        """Return the items that all checkpoints of these members scored."""
        masks = [~np.isnan(self.scores[place]).any(0) for place in places]
        return np.asarray(np.logical_and.reduce(masks))

    def items(self, chosen: Flags) -> Items:
        """Return what the chosen items are: how many, and their clusters."""
        n = int(chosen.sum())
        return Items(n=n, codes=self.codes(chosen))

    def codes(self, chosen: Flags) -> Codes | None:
        """Return the clusters of the chosen items, as numbers from 0."""
        if self.labels is None or not chosen.any():
            return None
        labels = np.array(self.labels, dtype=object)[chosen]
        return cluster_codes(labels, len(labels))


def rounds(
    asked: Sequence[Sequence[Contestant]],
    choices: Sequence[Choice],
    *,
    was_asked: Callable[[Choice], Collection[Condition]],
    allow: Collection[str] = (),
    clusters: Mapping[str, Any] | None = None,
    unread: Mapping[tuple[str, str], str] | None = None,
) -> tuple[tuple[Round, ...], tuple[Uncompared, ...], bool]:
    """Return a round for each condition of the baseline, what is in none, and why.

    Of the last it is said whether it is for want of scores alone.

    A candidate meets the baseline under the same condition, or, where it was asked the
    task under another one alone, under that: what differs is then told as mismatches.

    Parameters
    ----------
    asked : sequence of sequence of Contestant
        From `harness.stats.compare.contestants.contestants`.
    was_asked : callable
        Returns the conditions of a choice's answers, those without a score, too.
    allow : collection of str
        As `harness.stats.comparable.mismatches` takes it.
    clusters : mapping of item id to cluster, optional
        Instead of those that are stored.
    unread : mapping of (model, task) to str, optional
        Why answers are not there.

    Raises
    ------
    DesignError
        ``bad-option``; ``missing-clusters``: `clusters` has some of a task's items, or
        none of any.
    """
    own, *others = asked
    found, uncompared, whys = [], [], set()
    conditions = dict.fromkeys(one.condition for one in own)
    met: set[int] = set()
    for condition in conditions:
        variants = [one for one in own if one.condition == condition]
        baseline = max(variants, key=lambda one: _n_alike(one, others))
        members: list[Contestant | None] = [baseline]
        for choice, candidates in zip(choices[1:], others, strict=True):
            one = closest(baseline, candidates, taken=conditions)
            if one is None or one.metric.metric != baseline.metric.metric:
                reason = (
                    _unread(choice, baseline.table.task, unread)
                    or (UNSCORED if condition in was_asked(choice) else "")
                    or "was not asked it"
                )
                if one is not None:
                    reason = (
                        f"is scored by {one.metric.metric}, the baseline by "
                        f"{baseline.metric.metric}; name one metric for both"
                    )
                uncompared.append((_name(condition), f"{choice.name} {reason}"))
                whys.add(reason)
                one = None
            members.append(one)
            met.add(id(one))
        found.append(_round(tuple(members), allow, clusters))
    if clusters is not None and found and all(one.labels is None for one in found):
        raise _unmatched(clusters, found)
    for candidates in others:
        lone = {
            (_name(one.condition), one.choice.name): one.table.task
            for one in candidates
            if id(one) not in met and one.condition not in conditions
        }
        for (name, candidate), task in lone.items():
            reason = _unread(choices[0], task, unread)
            if not reason and name in map(_name, was_asked(choices[0])):
                reason = UNSCORED
            reason = reason or f"was not asked what {candidate} was"
            uncompared.append((name, f"{choices[0].name}, the baseline, {reason}"))
            whys.add(reason)
    if not own:
        told = {name for name, _ in uncompared}
        uncompared += [
            (name, f"{choices[0].name}, the baseline, {UNSCORED}")
            for name in map(_name, sorted(was_asked(choices[0]), key=str))
            if name not in told
        ]
        whys.add(UNSCORED)
    return tuple(found), tuple(uncompared), bool(uncompared) and whys == {UNSCORED}


def _round(
    members: tuple[Contestant | None, ...],
    allow: Collection[str],
    clusters: Mapping[str, Any] | None,
) -> Round:
    baseline, *others = members
    if baseline is None:  # pragma: no cover
        raise ValueError("a round has a baseline")
    there = [one for one in members if one is not None]
    keys, places = baseline.keys, baseline.places
    if any(one.keys != keys for one in there):
        place_of: dict[str, int] = {}
        for one in there:
            for key, place in zip(one.keys, one.places, strict=True):
                place_of.setdefault(key, place)
        keys, places = tuple(place_of), tuple(place_of.values())
    scores = tuple(
        np.empty((0, len(keys))) if one is None else _on(keys, one) for one in members
    )
    return Round(
        members=members,
        scores=scores,
        keys=keys,
        places=np.array(places, dtype=np.intp),
        labels=_labels(keys, places, there, clusters),
        has_common_labels=clusters is not None,
        mismatches=(
            (),
            *(
                () if one is None else _unlike(baseline, one, scores[0], mine, allow)
                for one, mine in zip(others, scores[1:], strict=True)
            ),
        ),
    )


def _on(keys: tuple[str, ...], one: Contestant) -> Floats:
    """Return a contestant's scores at these items."""
    if one.keys == keys:
        return one.scores
    column = {key: place for place, key in enumerate(keys)}
    out = np.full((len(one.scores), len(keys)), np.nan)
    out[:, [column[key] for key in one.keys]] = one.scores
    return out


def _unlike(
    baseline: Contestant,
    one: Contestant,
    first: Floats,
    second: Floats,
    allow: Collection[str],
) -> tuple[Mismatch, ...]:
    """Return what differs, with items judged by how many have a partner."""
    found = mismatches(baseline.facts, one.facts, allow=allow)
    mine, theirs = (~np.isnan(scores).any(0) for scores in (first, second))
    n_shared = int((mine & theirs).sum())
    n_least = min(int(mine.sum()), int(theirs.sum()))
    if n_shared == mine.sum() == theirs.sum():
        return found
    is_few = n_shared < LEAST_SHARED * n_least
    if not is_few and not any(m.what == "items" and m.blocks for m in found):
        return found
    share = n_shared / n_least if n_least else 0
    is_allowed = "items" in allow
    shared = Mismatch(
        what="items",
        first=str(int(mine.sum())),
        second=str(int(theirs.sum())),
        blocks=is_few and not is_allowed,
        text=f"items differ: {mine.sum()} against {theirs.sum()}; {n_shared} are "
        f"shared, {100 * share:.3g} % of the smaller side's"
        + (f" and less than {100 * LEAST_SHARED:g} %" if is_few else "")
        + (" (allowed)" if is_few and is_allowed else ""),
    )
    rest = [m for m in found if m.what != "items"]
    return tuple(sorted((shared, *rest), key=lambda m: not m.blocks))


def _labels(
    keys: tuple[str, ...],
    places: Sequence[int],
    there: Sequence[Contestant],
    clusters: Mapping[str, Any] | None,
) -> tuple[str, ...] | None:
    task = there[0].table.task
    if clusters is None:
        known: dict[str, str] = {}
        for one in there:
            known = {**one.clusters, **known}
        if not known:
            return None
        # Of an item without one nothing is known: it stands alone.
        return tuple(known.get(key, f"\0{key}") for key in keys)
    ids = [key.partition(" ")[0] for key in keys]
    for given in _by_id(clusters, task, dict(zip(ids, places, strict=True))):
        missing = [item for item in ids if item not in given]
        if len(missing) == len(ids):
            continue
        if missing:
            raise DesignError(
                f"{len(missing)} of {len(ids)} items of {task} have no cluster, first "
                f"{missing[:3]}; an item on its own needs a cluster of its own",
                code="missing-clusters",
            )
        return tuple(str(given[item]) for item in ids)
    return None


def _by_id(
    clusters: Mapping[str, Any], task: str, place_of: Mapping[str, int]
) -> Iterator[Mapping[str, Any]]:
    """Yield clusters by the ids of items, for each way in which items may be named."""
    yield clusters
    # Names in a table of scores became digests within their task on import.
    yield {digest([task, name]): cluster for name, cluster in clusters.items()}
    yield {
        item: f"{task}\0{clusters[str(place)]}"
        for item, place in place_of.items()
        if str(place) in clusters
    }


def _unmatched(clusters: Mapping[str, Any], found: Sequence[Round]) -> DesignError:
    ids = [key.partition(" ")[0] for one in found for key in one.keys]
    return DesignError(
        f"none of {len(clusters)} items that have a cluster, first "
        f"{[*clusters][:3]}, is among the {len(ids)} that are compared, first "
        f"{ids[:3]}; name items as their source does, by item_id or by their place",
        code="missing-clusters",
    )


def _unread(
    choice: Choice, task: str, unread: Mapping[tuple[str, str], str] | None
) -> str:
    """Return why there are no answers of a choice, where it may be another reason."""
    known = unread or {}
    if (choice.model, task) in known:
        return f"has answers to it that could not be read: {known[choice.model, task]}"
    if ("", "") in known:
        return f"has no answers to it in what could be read; {known['', '']}"
    return ""


def _n_alike(one: Contestant, others: Sequence[Sequence[Contestant]]) -> int:
    """Return how many candidates have answers under the same settings."""
    return sum(
        any(
            other.condition == one.condition and _settings(other) == _settings(one)
            for other in candidates
        )
        for candidates in others
    )


def _settings(one: Contestant) -> tuple[Any, ...]:
    return tuple(getattr(one.table, name) for name in SETTINGS)


def _name(condition: Condition) -> str:
    """Return a task with what of its condition is not the plainest."""
    task, more = condition[0], condition_words(condition)
    return f"{task} ({more})" if more else str(task)
