"""How much of the noise of a score is each source, and what would more of it buy?"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, or_none, undefined
from harness.stats.intervals import check_level
from harness.stats.ledger.design import Design, design, members
from harness.stats.ledger.intervals import component_interval
from harness.stats.ledger.squares import Squares, is_balanced, squares
from harness.stats.repeats import (
    SAME,
    component_over_items,
    negative_component,
    with_interval,
    without_rounding,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

ITEM, REPEAT = "item", "repeat"

MANY_ITEMS = 20
"""From so many items on, intervals of their components are over them; below, effects
are taken as normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One source of noise: a facet, or what some facets make only together.

    Attributes
    ----------
    name : str
        Such as ``item``, ``item × template``, ``item in task`` or ``repeat``.
    facets : tuple of str
        All whose levels must be drawn anew for it to be drawn anew. An item in a task
        has both, and a repeat all that vary.
    variance : Estimate
        The component, squared score units, not cut off at 0; ``nan`` with its caution
        where it is not estimated.
    n_levels : int
        Groups that the answers show of it.
    df : float
        Degrees of freedom of its mean square.
    contribution : float
        What it adds to the variance of the mean score as run; ``variance / n_levels``
        where levels have equally many answers.
    share : float
        `contribution` as a share of that of all effects estimated.
    """

    name: str
    facets: tuple[str, ...]
    variance: Estimate
    n_levels: int
    df: float
    contribution: float
    share: float

    @property
    def is_estimated(self) -> bool:
        """Whether the answers tell it at all."""
        return not math.isnan(self.variance.value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "name": self.name,
            "facets": list(self.facets),
            "variance": self.variance.to_dict(),
            "n_levels": self.n_levels,
            "df": self.df,
            "contribution": or_none(self.contribution),
            "share": or_none(self.share),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All sources of noise of one score.

    Attributes
    ----------
    effects : tuple of Effect
        Facets first, then interactions, the residual last of those estimated; then
        what is not estimated, each with the reason.
    mean : float
        Of all answers alike, score units.
    counts : mapping of str to float
        Levels of each facet as run; of one that is nested, or of repeats, the mean
        number in each of those that it is nested in.
    n : int
        Answers.
    method : str
        ``ANOVA``, or ``Henderson's first method`` where there is no balance.
    order : int
        How many facets the largest interactions have that are effects of their own.
    """

    effects: tuple[Effect, ...]
    mean: float
    counts: Mapping[str, float]
    n: int
    method: str
    order: int
    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    def effect(self, *facets: str) -> Effect:
        """Return the effect of exactly these facets, in any order.

        Raises
        ------
        DesignError
            ``unknown-facet``.
        """
        for effect in self.effects:
            if set(effect.facets) == set(facets):
                return effect
        raise DesignError(
            f"no effect of {', '.join(facets)} in this ledger; it has "
            f"{', '.join(effect.name for effect in self.effects)}",
            code="unknown-facet",
        )

    def predicted_variance(
        self, counts: Mapping[str, float] | None = None, *, fixed: Collection[str] = ()
    ) -> float:
        """Return the variance of the mean score, were the design another: a D-study.

        The sum over effects of component / product of the counts of its facets.

        Parameters
        ----------
        counts : mapping of str to float
            Levels of facets, 1 or more, ``inf`` for all there are; as run where not
            given. Of a nested facet, in each of those that it is nested in.
        fixed : collection of str
            Facets of which no other levels are meant: effects of these alone drop out,
            their interactions with others stay.

        Returns
        -------
        float
            Squared score units. Not cut off at 0. ``nan`` where a component of the
            sum could not be told. Facets of one level add nothing: the variance is
            that at this level.

        Raises
        ------
        DesignError
            ``unknown-facet``; ``bad-count``; ``facet-not-estimated``: another count of
            a facet with one level, of which nothing is known.
        """
        counts = counts or {}
        check_facets(fixed, self.counts)
        check_counts(counts, self.counts, self._not_estimated)
        return math.fsum(
            effect.contribution
            * math.prod(self.counts[f] / counts.get(f, self.counts[f]) for f in facets)
            for effect, facets in ((e, e.facets) for e in self.effects)
            if not set(facets) <= {*fixed, *self._not_estimated}
        )

    @property
    def _not_estimated(self) -> set[str]:
        return {e.name for e in self.effects if e.n_levels == 1}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "effects": [effect.to_dict() for effect in self.effects],
            "mean": self.mean,
            "counts": dict(self.counts),
            "n": self.n,
            "method": self.method,
            "order": self.order,
            "confidence_level": self.confidence_level,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each effect.

        Columns: ``effect``, ``variance``, ``low``, ``high``, ``n_levels``, ``df``,
        ``contribution``, ``share``, ``method``, ``cautions`` (codes, separated by
        spaces).
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "effect": e.name,
                "variance": e.variance.value,
                "low": e.variance.interval.low,
                "high": e.variance.interval.high,
                "n_levels": e.n_levels,
                "df": e.df,
                "contribution": e.contribution,
                "share": e.share,
                "method": e.variance.method,
                "cautions": " ".join(c.code for c in e.variance.cautions),
            }
            for e in self.effects
        )


def check_facets(facets: Iterable[str], known: Collection[str]) -> None:
    """Refuse facets that a ledger does not have (``unknown-facet``)."""
    for facet in facets:
        if facet not in known:
            raise DesignError(
                f"{facet!r} is no facet here; there are {', '.join(known)}",
                code="unknown-facet",
            )


def check_counts(
    counts: Mapping[str, Any], known: Mapping[str, float], unknown: Collection[str]
) -> None:
    """Refuse levels, or arrays of levels, of which nothing can be predicted.

    Parameters
    ----------
    counts : mapping of str to float or ndarray
        Of each facet.
    known : mapping of str to float
        Levels as run of every facet.
    unknown : collection of str
        Facets of which the answers tell no variance.

    Raises
    ------
    DesignError
        ``unknown-facet``, ``bad-count``, ``facet-not-estimated``.
    """
    check_facets(counts, known)
    for facet, count in counts.items():
        if not np.all(np.asarray(count) >= 1):
            raise DesignError(
                f"{count} levels of {facet}: give 1 or more, or inf",
                code="bad-count",
            )
        if facet in unknown and np.any(count != known[facet]):
            raise DesignError(
                f"what other numbers of {facet} would change is not known, since "
                "the answers do not tell its variance; run 2 levels of it first",
                code="facet-not-estimated",
            )


def variance_ledger(
    scores: Floats,
    codes: Mapping[str, Codes],
    *,
    within: Mapping[str, Collection[str]] | None = None,
    order: int | None = None,
    confidence_level: float = 0.95,
) -> Ledger:
    """Split the variance of scores into all facets and their interactions.

    The model is ``score = mean + sum over effects of effect[its levels] + residual``,
    with independent zero-mean effects of all facets and of their combinations, whether
    crossed or nested, which is seen from `codes`. Components are those of ANOVA
    (expected mean squares), or of Henderson's first method where answers are missing:
    unbiased whatever the distributions, and not cut off at 0. ANOVA's equal REML's
    where none is negative.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Score units; ``nan`` where an answer is missing.
    codes : mapping of str to ndarray of int, shape (n,)
        Which level of each facet an answer belongs to. The same number is the same
        level, whatever the other facets are, but for `within` and for ``repeat``, whose
        numbers mean nothing: answers alike in all other facets are repeats. ``item``
        is the facet of many levels that need not be normal.
    within : mapping of str to collection of str
        Facets whose numbers start anew in each level of others. Where numbers are
        unique, nesting shows by itself.
    order : int, optional
        Interactions of more facets are left in the residual. If not given, all are
        effects that the answers tell apart, which with balance is all.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``unequal-lengths``, ``missing-scores`` (none is left, or not finite),
        ``too-few-replicates`` (nothing varies), ``bad-confidence-level``.

    Notes
    -----
    Intervals of effects of 20 items and more are Hall's over items, which need no
    distribution; others take effects as normal, and without balance mean squares as
    independent.

    Cautions: ``one-level``, ``one-repeat``, ``confounded-facets`` and
    ``confounded-effects`` in place of what is not estimated; ``negative-component``;
    ``unbalanced``; ``pooled-interactions``; ``constant-over-items``,
    ``value-outside-interval`` and those of `harness.stats.repeats`.

    References
    ----------
    S. R. Searle, G. Casella, C. E. McCulloch, *Variance Components*, 1992. R. L.
    Brennan, *Generalizability Theory*, 2001, for the D-study. Messing, arXiv
    2604.11581 (2026), for language models.
    """
    check_level(confidence_level)
    scores, codes = _check(scores, codes)
    found = design(
        scores, {k: v for k, v in codes.items() if k != REPEAT}, within or {}
    )
    closed = found.closed()[1:]
    is_repeated = found.size(found.everything) < found.n
    ranks = {e: _rank(found, e) for e in closed}
    candidates = [e for e in closed if is_repeated or e != found.everything]
    balanced = is_balanced(found)
    item = found.names.index(ITEM) if ITEM in found.names else None
    if item is not None and found.n_levels[item] < MANY_ITEMS:
        item = None
    top = max((ranks[e] for e in candidates), default=1)

    def fit(limit: int) -> Squares:
        kept = tuple(e for e in candidates if ranks[e] <= limit)
        return squares(found, kept, item=item, balanced=balanced)

    limits = range(top, 0, -1) if order is None else [min(order, top)]
    parts = next(filter(_is_settled, map(fit, limits)), None) or fit(limits[-1])
    kept = parts.effects
    # Its own effect, repeats or none, unless interactions are pooled with it.
    whole = closed[-1:] if len(kept) == len(candidates) else ()
    maker = _Maker(
        design=found,
        squares=parts,
        item=item,
        size=float(np.abs(scores).max()),
        is_repeated=is_repeated,
        n_pooled=len(candidates) - len(kept),
        balanced=balanced,
        confidence_level=confidence_level,
    )
    counts = {name: _count(found, name) for name in codes if name != REPEAT}
    if is_repeated or REPEAT in codes:
        counts[REPEAT] = found.n / found.size(found.everything)
    return Ledger(
        effects=_with_shares([*maker.estimated(), *maker.others(REPEAT in codes)]),
        mean=found.mean,
        counts=counts,
        n=found.n,
        method=maker.method,
        order=max((ranks[e] for e in (*kept, *whole)), default=0),
        confidence_level=confidence_level,
        cautions=maker.cautions(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Turns sums of squares into effects."""

    design: Design
    squares: Squares
    item: int | None
    size: float
    is_repeated: bool
    n_pooled: int
    balanced: bool
    confidence_level: float

    @property
    def method(self) -> str:
        return "ANOVA" if self.balanced else "Henderson's first method"

    def cautions(self) -> tuple[Caution, ...]:
        if self.balanced:
            return ()
        text = (
            f"the {self.design.n} answers do not spread evenly over all levels: "
            "components are unbiased, their intervals approximate"
        )
        return (Caution("unbalanced", text),)

    def estimated(self) -> Iterator[Effect]:
        """Yield the effects of the model, the residual last."""
        found = self.design
        for row, facets in enumerate(self.squares.effects):
            weights = found.cells[facets].counts / found.n
            yield self._effect(
                row,
                name_of(found, facets),
                found.names_of(facets),
                n_levels=found.size(facets),
                scale=float(weights @ weights),
            )
        names = found.names_of(found.everything)
        if self.is_repeated:
            names = (*names, REPEAT)
        residual = self._effect(
            len(self.squares.effects),
            self._residual_name(),
            names,
            n_levels=found.n,
            scale=1 / found.n,
        )
        if self.n_pooled:
            text = (
                f"holds {self.n_pooled} interactions of more facets, which more of one "
                "facet would not average out as it does repeats"
            )
            pooled = Caution("pooled-interactions", text)
            variance = residual.variance
            variance = replace(variance, cautions=(*variance.cautions, pooled))
            residual = replace(residual, variance=variance)
        yield residual

    def _residual_name(self) -> str:
        if self.n_pooled:
            return "residual"
        if self.is_repeated:
            return REPEAT
        return f"{name_of(self.design, self.design.everything)} + error"

    def others(self, has_repeat: bool) -> Iterator[Effect]:
        """Yield what is not estimated, with the reasons."""
        for name in self.design.constant:
            text = f"one {name} tells nothing of how others would score; 2 would do"
            yield _without_estimate(name, Caution("one-level", text))
        for name, other in self.design.confounded.items():
            text = (
                f"each {name} has a {other} of its own, so that the two are one here, "
                f"counted as {other}; cross them"
            )
            yield _without_estimate(name, Caution("confounded-facets", text))
        if has_repeat and not self.is_repeated:
            text = "interaction and error are one without repeats; 2 would do"
            yield _without_estimate(REPEAT, Caution("one-repeat", text))

    def _effect(
        self,
        row: int,
        name: str,
        facets: tuple[str, ...],
        *,
        n_levels: int,
        scale: float,
    ) -> Effect:
        variance = self._variance(row, f"{name} variance", n_levels)
        if variance.value < 0:
            text = f"{name} differs less than the other effects alone predict"
            cautions = (*variance.cautions, *negative_component(variance, text))
            variance = replace(variance, cautions=cautions)
        return Effect(
            name=name,
            facets=facets,
            variance=variance,
            n_levels=n_levels,
            df=float(self.squares.df[row]),
            contribution=variance.value * scale,
            share=math.nan,
        )

    def _variance(self, row: int, quantity: str, n_levels: int) -> Estimate:
        found = self.squares
        value = float(found.components[row])
        if math.isnan(value):
            return undefined(
                quantity,
                n=n_levels,
                method=self.method,
                code="confounded-effects",
                text="the answers do not tell it from other effects; fill more cells",
            )
        facets = (*found.effects, self.design.everything)[row]
        if found.parts is not None and self.item in set(members(facets)):
            parts = without_rounding(found.parts[row], self.size**2)
            return component_over_items(
                quantity, parts, self.method, self.confidence_level
            )
        estimate = Estimate(
            quantity=quantity,
            value=value if abs(value) > SAME * self.size**2 else 0.0,
            confidence_level=self.confidence_level,
            n=n_levels,
            method=self.method,
        )
        weights = found.weights[row]
        used = np.abs(weights) > SAME * np.abs(weights).max()
        squares, df = found.mean_squares[used], found.df[used]
        if not used.any() or not (squares > SAME * self.size**2).all():
            text = (
                "mean squares that are 0, or that answers so incomplete do not make, "
                "give no interval; more of its levels, or fuller cells, would"
            )
            return replace(estimate, cautions=(Caution("no-interval", text),))
        low, high, name = component_interval(
            weights[used], squares, df, confidence_level=self.confidence_level
        )
        method = f"{self.method}; {name}, normal effects"
        return with_interval(replace(estimate, method=method), low, high)


def name_of(design: Design, facets: int) -> str:
    """Return a closed set's name: ``seed × item``, or ``item in task``."""
    outer = design.outer(facets)
    inner = design.names_of(facets & ~outer)
    around = design.names_of(outer)
    name = " × ".join(inner)
    return f"{name} in {' × '.join(around)}" if around else name


def _check(
    scores: Floats, codes: Mapping[str, Codes]
) -> tuple[Floats, dict[str, Codes]]:
    scores = np.asarray(scores, dtype=np.float64)
    for name, values in codes.items():
        if len(values) != len(scores):
            raise DesignError(
                f"{len(scores)} scores, but {len(values)} levels of {name}; give one "
                "for each score",
                code="unequal-lengths",
            )
    is_known = ~np.isnan(scores)
    if np.isinf(scores).any() or not is_known.any():
        raise DesignError(
            f"of {len(scores)} scores {int(np.isinf(scores).sum())} are infinite and "
            f"{int((~is_known).sum())} missing; give finite ones",
            code="missing-scores",
        )
    given = {name: np.asarray(values) for name, values in codes.items()}
    if is_known.sum() < 2:
        raise DesignError(
            "one score does not vary; a ledger needs 2 levels of one facet at least",
            code="too-few-replicates",
        )
    if is_known.all():
        return scores, given
    return scores[is_known], {name: v[is_known] for name, v in given.items()}


def _is_settled(squares: Squares) -> bool:
    """Return whether the answers tell all effects apart, and their errors."""
    return bool(np.isfinite([squares.components, *squares.weights]).all())


def _rank(design: Design, facets: int) -> int:
    """Return how many facets it takes to tell all of a closed set."""
    inside = list(members(facets))
    return next(
        size
        for size in range(1, len(inside) + 1)
        for chosen in combinations(inside, size)
        if design.closure(sum(1 << f for f in chosen)) == facets
    )


def _count(design: Design, name: str) -> float:
    """Return the levels of a facet, in each of those that it is nested in."""
    if name not in design.names:
        return 1.0
    closed = design.closure(1 << design.names.index(name))
    around = closed & ~(1 << design.names.index(name))
    return design.size(closed) / design.size(around)


def _without_estimate(name: str, reason: Caution) -> Effect:
    return Effect(
        name=name,
        facets=(name,),
        variance=undefined(
            f"{name} variance",
            n=1,
            method="not estimated",
            code=reason.code,
            text=reason.text,
        ),
        n_levels=1,
        df=0.0,
        contribution=math.nan,
        share=math.nan,
    )


def _with_shares(effects: Iterable[Effect]) -> tuple[Effect, ...]:
    effects = list(effects)
    total = math.fsum(e.contribution for e in effects if e.is_estimated)
    if total <= 0:
        return tuple(effects)
    return tuple(replace(e, share=e.contribution / total) for e in effects)
