"""What does a design cost, and which is the cheapest that is sure enough?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Estimate
from harness.stats.power.difference import noncentrality
from harness.stats.power.noise import Counts, Noise

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

ITEM = "item"

MOST = 32
"""Levels of a facet other than items up to which designs are searched."""

ENDLESS = 2.0**40
"""Items that nobody has."""

N_TRIED = 64
"""Numbers of items that are tried before the least is looked for between two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What answers cost, in seconds of one worker.

    Attributes
    ----------
    load : float
        Reading one checkpoint.
    item : float
        Putting one item into words and tokens, once for all its repeats.
    answer : float
        One answer.
    levels : mapping of str to float
        What each further level of a facet costs by itself, such as the training of
        another seed.
    """

    load: float
    item: float
    answer: float
    levels: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, counts: Mapping[str, Any], now: Counts) -> Any:
        """Return what a design costs beyond what is stored of it; arrays go through.

        ``checkpoints load + prompts item + answers answer``, of the checkpoints that
        are asked something more, and of the prompts and answers that are not stored.
        More seeds or steps alone leave the checkpoints that there are as they were.

        Parameters
        ----------
        counts : mapping of str to float or ndarray
            Levels of each facet, none less than `now`; of facets left out, as now.
        now : mapping of str to float
            Levels that are stored, all with each other.
        """
        full = {**now, **counts}
        checkpoints, prompts, repeats = _sizes(full)
        checkpoints_now, prompts_now, repeats_now = _sizes(now)
        is_deeper = (prompts > prompts_now) | (repeats > repeats_now)
        loads = np.where(is_deeper, checkpoints, checkpoints - checkpoints_now)
        # More repeats alone put their items anew as well.
        stored = checkpoints_now * prompts_now
        put = checkpoints * prompts - np.where(repeats > repeats_now, 0, stored)
        answers = checkpoints * prompts * repeats - stored * repeats_now
        seconds = loads * self.load + put * self.item + answers * self.answer
        for facet, each in self.levels.items():
            seconds = seconds + each * (full.get(facet, 1) - now.get(facet, 1))
        return seconds


def measured_cost(
    trials: pd.DataFrame, *, of: Mapping[str, object]
) -> dict[str, float]:
    """Return the seconds of `Cost` by the timings of trials that were done.

    Parameters
    ----------
    trials : DataFrame
        Of one model. Columns ``load_seconds``, ``build_seconds``, ``seconds``,
        ``n_items`` and ``repeats`` of `harness.frames.TRIALS`, and those of `of`.
    of : mapping of str to object
        Columns, such as ``task`` and ``num_fewshot``, and their values in trials whose
        items and answers are meant; a checkpoint is loaded for all of them alike.

    Returns
    -------
    dict
        ``load``, ``item`` and ``answer``.

    Raises
    ------
    DesignError
        ``no-timings``.
    """
    own = trials[np.all([trials[name] == value for name, value in of.items()], axis=0)]
    items = float(own["n_items"].sum())
    answers = float((own["n_items"] * own["repeats"]).sum())
    if not answers:
        raise DesignError(
            f"no trial of {', '.join(f'{k} {v}' for k, v in of.items() if v != '')} "
            "was timed; give --cost load=, item= and answer=",
            code="no-timings",
        )
    loads = trials["load_seconds"][trials["load_seconds"] > 0]
    build = float(own["build_seconds"].sum())
    rest = float((own["seconds"] - own["load_seconds"]).sum()) - build
    return {
        "load": float(loads.mean()) if len(loads) else 0.0,
        "item": build / items,
        "answer": rest / answers,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Numbers of levels, and what they come to.

    Attributes
    ----------
    counts : mapping of str to float
        Levels of each facet.
    se : Estimate
        Predicted standard error.
    detectable : Estimate
        Smallest true value that a test finds.
    seconds : float
        Cost beyond what is stored.
    """

    counts: Counts
    se: Estimate
    detectable: Estimate
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "counts": dict(self.counts),
            "se": self.se.to_dict(),
            "detectable": self.detectable.to_dict(),
            "seconds": self.seconds,
        }


def design_of(
    noise: Noise, cost: Cost, counts: Counts | None = None, *, power: float = 0.8
) -> Design:
    """Return what a design comes to; the one as run if no counts are given."""
    full = {**noise.counts, **(counts or {})}
    return Design(
        counts=full,
        se=noise.se(counts),
        detectable=noise.detectable(counts, power=power),
        seconds=float(cost.seconds(full, noise.counts)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What more levels of one facet do.

    Attributes
    ----------
    facet : str
    n_added : int
    narrower_by : float
        Share by which the standard error shrinks: ``1 - se / se now``.
    design : Design
        As run, but for these levels.
    """

    facet: str
    n_added: int
    narrower_by: float
    design: Design

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        share = None if math.isnan(self.narrower_by) else self.narrower_by
        return {
            "facet": self.facet,
            "n_added": self.n_added,
            "narrower_by": share,
            "design": self.design.to_dict(),
        }


def gains(
    noise: Noise,
    cost: Cost,
    limits: Mapping[str, float] | None = None,
    *,
    power: float = 0.8,
) -> tuple[Gain, ...]:
    """Return what some more of each facet would do, the most first.

    As many items as there are, and two levels of any other facet; fewer where `limits`
    leave no room, and none where there is none.

    Parameters
    ----------
    limits : mapping of str to float
        Most levels that can be had; without end where not given.
    """
    limits = limits or {}
    now = float(noise.variance())
    found = []
    for facet in noise.facets:
        count = noise.counts[facet]
        step = round(count) if facet == ITEM else 2
        added = int(min(step, limits.get(facet, math.inf) - count))
        if added < 1:
            continue
        counts = {facet: count + added}
        ratio = float(noise.variance(counts)) / now if now > 0 else math.nan
        found.append(
            Gain(
                facet=facet,
                n_added=added,
                narrower_by=1 - math.sqrt(ratio) if ratio >= 0 else math.nan,
                design=design_of(noise, cost, counts, power=power),
            )
        )
    return tuple(sorted(found, key=lambda gain: -gain.narrower_by))


def cheapest_design(
    noise: Noise,
    cost: Cost,
    *,
    se: float | None = None,
    difference: float | None = None,
    limits: Mapping[str, float] | None = None,
    power: float = 0.8,
) -> Design | None:
    """Return the cheapest design with no more standard error, or that finds so little.

    All numbers of levels are searched, from those that are stored to 32 or the limit;
    of items the least that do are computed.

    Parameters
    ----------
    se, difference : float
        Exactly one: largest standard error, or smallest true value to be found.
    limits : mapping of str to float
        Most levels of facets that can be had.
    power : float
        Probability of finding `difference`.

    Returns
    -------
    Design or None
        None where no design within the limits reaches it.

    Raises
    ------
    DesignError
        ``bad-target``, ``bad-power``.
    """
    target, level = _target(se, difference), noise.confidence_level
    limits = limits or {}
    counts = _grid(noise, limits)
    n_now = noise.counts.get(ITEM, 1.0)
    most = max(limits.get(ITEM, math.inf), n_now)
    # By z, of which no design does with less than by t.
    z = 1 if difference is None else noncentrality(math.inf, power, level)
    n_items = _items_for(noise, counts, float(target / z) ** 2)
    is_open = np.isfinite(n_items) & (n_items <= most)
    counts = {facet: n[is_open] for facet, n in counts.items()}
    counts[ITEM] = n_items[is_open]
    seconds = np.broadcast_to(
        cost.seconds(counts, noise.counts), n_items[is_open].shape
    )
    best: tuple[float, Counts] = math.inf, {}
    for place in np.lexsort((counts[ITEM], seconds)):
        if seconds[place] >= best[0]:
            break
        chosen = {facet: float(n[place]) for facet, n in counts.items()}
        if difference is not None:
            grown = _items_by_t(noise, chosen, target, power, most)
            if grown is None:
                continue
            chosen[ITEM] = grown
        price = float(cost.seconds(chosen, noise.counts))
        best = min(best, (price, chosen), key=lambda one: one[0])
    if not best[1]:
        return None
    known = {facet: n for facet, n in best[1].items() if facet in noise.counts}
    return design_of(noise, cost, known, power=power)


def best_design(
    noise: Noise,
    cost: Cost,
    *,
    seconds: float,
    limits: Mapping[str, float] | None = None,
    power: float = 0.8,
) -> Design:
    """Return the design with the least standard error for so many seconds more.

    Searched as in `cheapest_design`, whose parameters these are; of items as many as
    the rest of the seconds pays for.
    """
    limits = limits or {}
    counts = _grid(noise, limits)
    n_now = noise.counts.get(ITEM, 1.0)
    most = max(limits.get(ITEM, math.inf), n_now) if ITEM in noise.facets else n_now
    as_many, first, second = (
        np.atleast_1d(cost.seconds({**counts, ITEM: n_now + more}, noise.counts))
        for more in range(3)
    )
    # From the first item on, which may take loading, each costs as much.
    with np.errstate(divide="ignore", invalid="ignore"):
        more = 1 + np.floor((seconds - first) / (second - first))
    n_items = np.minimum(np.where(first <= seconds, n_now + more, n_now), most)
    variance = noise.variance({**counts, **_items(noise, n_items)})
    is_open = (as_many <= seconds) & (variance > 0)
    place = int(np.argmin(np.where(is_open, variance, np.inf)))
    chosen = {facet: float(n[place]) for facet, n in counts.items()}
    more_items = _items(noise, float(n_items[place]))
    return design_of(noise, cost, {**chosen, **more_items}, power=power)


def _target(se: float | None, difference: float | None) -> float:
    given = [target for target in (se, difference) if target is not None]
    if len(given) != 1 or not given[0] > 0:
        raise DesignError(
            f"a standard error of {se} and a difference of {difference} are asked for; "
            "give one of them, above 0",
            code="bad-target",
        )
    return given[0]


def _sizes(counts: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Return numbers of checkpoints, prompts of each, and answers to each prompt."""

    def product(*facets: str) -> Any:
        return math.prod(counts.get(facet, 1) for facet in facets)

    prompts = product("template", "fewshot_seed", ITEM)
    return product("train_seed", "step"), prompts, product("repeat")


def _grid(noise: Noise, limits: Mapping[str, float]) -> dict[str, Floats]:
    """Return all numbers of levels of all facets but items, with each other."""
    facets = [facet for facet in noise.facets if facet != ITEM]
    axes = []
    for facet in facets:
        now = noise.counts[facet]
        most = max(now, min(limits.get(facet, math.inf), max(MOST, now)))
        axes.append(now + np.arange(math.floor(most - now) + 1))
    mesh = np.meshgrid(*axes, indexing="ij") if axes else []
    return {facet: axis.ravel() for facet, axis in zip(facets, mesh, strict=True)}


def _items_for(noise: Noise, counts: dict[str, Floats], variance: float) -> Floats:
    """Return the least items with no more than `variance`; ``inf`` where none do."""
    n_now = noise.counts.get(ITEM, 1.0)
    shape = np.broadcast_shapes(*(n.shape for n in counts.values()), (1,))
    one = noise.variance({**counts, **_items(noise, 1.0)})
    rest = noise.variance({**counts, **_items(noise, math.inf)})
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.ceil((one - rest) / (variance - rest) * (1 - 1e-12))
    n_items = np.where(rest < variance, np.maximum(needed, n_now), np.inf)
    there = noise.variance({**counts, **_items(noise, n_now)})
    n_items = np.where(there <= variance, n_now, n_items)
    # A variance that is estimated to be none at all is no proof of one.
    reached = noise.variance({**counts, **_items(noise, n_items)})
    return np.broadcast_to(np.where(reached > 0, n_items, np.inf), shape).copy()


def _items(noise: Noise, n: Any) -> dict[str, Any]:
    return {ITEM: n} if ITEM in noise.facets else {}


def _items_by_t(
    noise: Noise, chosen: Counts, target: float, power: float, most: float
) -> float | None:
    """Return the least items from those chosen with which a t test finds `target`.

    Not every item helps: as their noise goes, so do the degrees of freedom.
    """

    def finds(n: Any) -> Any:
        counts = {f: m for f, m in {**chosen, ITEM: n}.items() if f in noise.facets}
        factor = noncentrality(noise.df(counts), power, noise.confidence_level)
        variance = noise.variance(counts)
        return factor <= target / np.sqrt(np.where(variance > 0, variance, np.inf))

    low = chosen[ITEM]
    high = min(most, ENDLESS) if ITEM in noise.facets else low
    tried = np.unique(np.ceil(np.geomspace(low, high, N_TRIED)))
    found = np.flatnonzero(finds(tried))
    if not len(found):
        return None
    low, high = tried[max(found[0] - 1, 0)], tried[found[0]]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return float(high)
