"""How sure would a score, or a difference of two models, be under another design?"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.ledger.ledger import (
    REPEAT,
    Effect,
    Ledger,
    check_counts,
    check_facets,
)
from harness.stats.power.difference import noncentrality

if TYPE_CHECKING:
    import pandas as pd

Counts = Mapping[str, float]
Of = Literal["score", "difference"]

MODEL = "model"
"""Facet of a ledger of several models."""

INDEPENDENT = frozenset({"train_seed", REPEAT})
"""Facets whose levels two models do not share: another model is another training."""

MOVER = "sum of components; interval by MOVER (Zou, Donner 2008)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of noise.

    Attributes
    ----------
    name : str
        As the ledger calls it.
    facets : tuple of str
        What averages it out: it adds ``variance / product of their counts``.
    variance, low, high : float
        Component and its interval, squared score units, not cut off at 0.
    """

    name: str
    facets: tuple[str, ...]
    variance: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What makes a mean score, or the difference of two, uncertain.

    Attributes
    ----------
    of : {"score", "difference"}
    sources : tuple of Source
        What other levels of the facets would change; what is fixed is not among it.
    counts : mapping of str to float
        Levels of each facet as run; for a difference, of each model.
    fixed : tuple of str
        Facets of which no other levels are meant.
    unknown : tuple of str
        Facets of one level: what is said holds at this level.
    """

    of: Of
    sources: tuple[Source, ...]
    counts: Counts
    fixed: tuple[str, ...]
    unknown: tuple[str, ...]
    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    @property
    def facets(self) -> tuple[str, ...]:
        """The facets of which more levels can be had, and would change something."""
        used = {facet for source in self.sources for facet in source.facets}
        return tuple(f for f in self.counts if f in used and f not in self.fixed)

    @property
    def shared(self) -> tuple[str, ...]:
        """The facets that two models have in common, and may be found alike over."""
        shared = (s.facets for s in self.sources if not INDEPENDENT & {*s.facets})
        used = {facet for facets in shared for facet in facets}
        return tuple(f for f in self.counts if f in used)

    def variance(self, counts: Mapping[str, Any] | None = None) -> Any:
        """Return the variance under `counts`, which are as run where not given.

        Counts may be arrays, of shapes that go together; so is the result then. Not
        cut off at 0.
        """
        full = self._full(counts)
        return sum(
            (s.variance / math.prod(full[f] for f in s.facets) for s in self.sources),
            start=0.0,
        )

    def se(self, counts: Counts | None = None) -> Estimate:
        """Return the standard error under `counts`, which are as run where not given.

        ``sqrt(sum over sources of component / product of the counts of its facets)``.

        Raises
        ------
        DesignError
            ``unknown-facet``, ``facet-not-estimated``, ``bad-count``.

        Notes
        -----
        The interval is that of the components, put together as if they were
        independent: rather too wide, as errors of components that share a mean square
        go opposite ways.

        Cautions: ``negative-component``, ``confounded-effects``, ``no-noise``.

        References
        ----------
        R. L. Brennan, *Generalizability Theory*, 2001, chapter 4. G. Y. Zou, A. Donner,
        Statist. Med. 27 (2008) 1693, for the interval.
        """
        quantity = f"se of {self.of}"
        full = self._full(counts)
        n = math.floor(min((full[f] for f in self.facets), default=0))
        value = float(self.variance(counts))
        if not value > 0:
            caution = self._why_not(value)
            return undefined(
                quantity, n=n, method=MOVER, code=caution.code, text=caution.text
            )
        low, high = self._interval(full, value)
        return Estimate(
            quantity=quantity,
            value=math.sqrt(value),
            interval=Interval(math.sqrt(max(low, 0)), math.sqrt(high)),
            confidence_level=self.confidence_level,
            n=n,
            method=MOVER,
            cautions=self.cautions,
        )

    def df(self, counts: Mapping[str, Any] | None = None) -> Any:
        """Return the degrees of freedom that a test of such a design has.

        Satterthwaite's, ``sum(v)^2 / sum(v^2 / df)`` over sources, with ``df`` the
        product of levels less one. 0 where a facet has one level, which leaves nothing
        to tell its noise by. Counts may be arrays, as in `variance`.
        """
        full = self._full(counts)
        total: Any = np.float64(0)
        squares: Any = np.float64(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            for source in self.sources:
                part = source.variance / math.prod(full[f] for f in source.facets)
                df = _df(source.facets, full, 2 if self.of == "difference" else 1)
                total = total + part
                squares = squares + np.where(part == 0, 0, np.divide(part**2, df))
            return np.where(squares > 0, total**2 / squares, np.inf)[()]

    def detectable(
        self, counts: Counts | None = None, *, power: float = 0.8
    ) -> Estimate:
        """Return the smallest true value that a test of such a design would find.

        The one that a two-sided t test at 1 less `confidence_level` tells from 0 with
        probability `power`: the standard error times the noncentrality of t with the
        degrees of freedom of `df`. With many of these it is Miller's
        ``(z[alpha/2] + z[beta]) se``.

        Notes
        -----
        Cautions: those of `se`; ``one-level-each``.

        References
        ----------
        E. Miller, arXiv 2411.00640 (2024), section 5.
        """
        se = self.se(counts)
        factor = float(noncentrality(self.df(counts), power, self.confidence_level))
        method = f"noncentral t, Satterthwaite's degrees of freedom, power {power}"
        quantity = f"detectable {self.of}"
        if math.isinf(factor) or math.isnan(se.value):
            text = "a facet of one level leaves a test nothing to go by; 2 would do"
            caution = Caution("one-level-each", text)
            if math.isnan(se.value):
                caution = se.cautions[0]
            return undefined(
                quantity, n=se.n, method=method, code=caution.code, text=caution.text
            )
        low, high = se.interval
        return Estimate(
            quantity=quantity,
            value=factor * se.value,
            interval=Interval(factor * low, factor * high),
            confidence_level=self.confidence_level,
            n=se.n,
            method=method,
            cautions=se.cautions,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "of": self.of,
            "sources": [
                {
                    "name": s.name,
                    "facets": list(s.facets),
                    **{
                        key: None if math.isnan(value) else value
                        for key, value in (
                            ("variance", s.variance),
                            ("low", s.low),
                            ("high", s.high),
                        )
                    },
                }
                for s in self.sources
            ],
            "counts": dict(self.counts),
            "fixed": list(self.fixed),
            "unknown": list(self.unknown),
            "confidence_level": self.confidence_level,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each source.

        Columns: ``of``, ``source``, ``facets`` (separated by spaces), ``variance``,
        ``low``, ``high``, and ``contribution``, what it adds to the variance as run.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "of": self.of,
                "source": s.name,
                "facets": " ".join(s.facets),
                "variance": s.variance,
                "low": s.low,
                "high": s.high,
                "contribution": s.variance
                / math.prod(self.counts[f] for f in s.facets),
            }
            for s in self.sources
        )

    def _interval(self, counts: Counts, value: float) -> tuple[float, float]:
        down = up = 0.0
        for source in self.sources:
            n = math.prod(counts[f] for f in source.facets)
            down += ((source.variance - source.low) / n) ** 2
            up += ((source.high - source.variance) / n) ** 2
        return value - math.sqrt(down), value + math.sqrt(up)

    def _why_not(self, value: float) -> Caution:
        if not self.sources:
            text = "nothing that varies is left to be uncertain about; fix fewer facets"
            return Caution("no-noise", text)
        if math.isnan(value):
            names = [s.name for s in self.sources if math.isnan(s.variance)]
            text = f"the answers do not tell {', '.join(names[:3])}; fill more cells"
            return Caution("confounded-effects", text)
        text = "the components add up to no positive variance; more levels would tell"
        return Caution("negative-component", text)

    def _full(self, counts: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the levels of every facet, as run where not given."""
        check_counts(counts or {}, self.counts, self.unknown)
        return {**self.counts, **(counts or {})}


def noise_of_score(ledger: Ledger, *, fixed: Collection[str] = ()) -> Noise:
    """Return what makes a model's mean score uncertain.

    Parameters
    ----------
    ledger : Ledger
        Of the model.
    fixed : collection of str
        Facets of which no other levels are meant, such as ``item`` for the score on
        these very items: what they alone make drops out.
    """
    return _noise(ledger, "score", ledger.effects, fixed, lambda _: 1)


def noise_of_difference(
    ledger: Ledger, *, correlation: float, fixed: Collection[str] = ()
) -> Noise:
    """Return what makes the difference of two models uncertain, from one of them.

    Both are put the same items, templates and few-shot seeds, and are of a kind. What
    these make alone, such as the difficulty of items, is shared but for ``1 -
    correlation`` of its variance; training seeds and repeats are each model's own, and
    all that they are part of counts twice.

    Parameters
    ----------
    ledger : Ledger
        Of one model.
    correlation : float
        Of the two models' item effects, 1 if an item is as hard for both; from
        elsewhere, as one model does not tell it. Likewise of templates'.

    Raises
    ------
    DesignError
        ``bad-correlation``.
    """
    if not -1 <= correlation <= 1:
        raise DesignError(
            f"a correlation of {correlation}: give one from -1 to 1",
            code="bad-correlation",
        )

    def doubled(effect: Effect) -> float:
        return 2 if INDEPENDENT & {*effect.facets} else 2 * (1 - correlation)

    return _noise(ledger, "difference", ledger.effects, fixed, doubled)


def noise_between_models(ledger: Ledger, *, fixed: Collection[str] = ()) -> Noise:
    """Return what makes the difference of two models uncertain, from several.

    Parameters
    ----------
    ledger : Ledger
        With a facet ``model``, which training seeds are nested in. All that models have
        in common cancels; what they are part of counts twice. The difference is that
        between two models as unlike as these are on average.
    """
    others = (effect for effect in ledger.effects if MODEL in effect.facets)
    return _noise(ledger, "difference", others, fixed, lambda _: 2)


def _noise(
    ledger: Ledger,
    of: Of,
    effects: Iterable[Effect],
    fixed: Collection[str],
    times: Callable[[Effect], float],
) -> Noise:
    check_facets(fixed, ledger.counts)
    unknown = tuple(effect.name for effect in ledger.effects if effect.n_levels == 1)
    sources = tuple(
        _source(effect, ledger.counts, times(effect))
        for effect in effects
        if not {*effect.facets} <= {MODEL, *fixed, *unknown}
    )
    cautions = ledger.cautions
    for effect in ledger.effects:
        pooled = (
            c for c in effect.variance.cautions if c.code == "pooled-interactions"
        )
        cautions = (*cautions, *pooled)
    if negative := [source.name for source in sources if source.variance < 0]:
        text = (
            f"{', '.join(negative[:3])}: below 0, as estimates near 0 may be; a "
            "prediction that leans on it is rough"
        )
        cautions = (*cautions, Caution("negative-component", text))
    return Noise(
        of=of,
        sources=sources,
        counts={facet: n for facet, n in ledger.counts.items() if facet != MODEL},
        fixed=tuple(fixed),
        unknown=unknown,
        confidence_level=ledger.confidence_level,
        cautions=cautions,
    )


def _source(effect: Effect, counts: Counts, times: float) -> Source:
    variance, (low, high) = effect.variance.value, effect.variance.interval
    if variance == 0 and math.isnan(low):  # nothing that varies could be told apart
        low = high = 0.0
    elif variance:
        # Uneven numbers of answers average out less than as many even ones.
        as_run = math.prod(counts[facet] for facet in effect.facets)
        times *= effect.contribution * as_run / variance
    return Source(
        name=effect.name,
        facets=tuple(facet for facet in effect.facets if facet != MODEL),
        variance=times * variance,
        low=times * low,
        high=times * high,
    )


def _df(facets: Collection[str], counts: Mapping[str, Any], n_models: int) -> Any:
    """Return degrees of freedom of a source's mean square under a design."""
    own = n_models if INDEPENDENT & {*facets} else 1
    others = [counts[f] for f in facets if f != REPEAT]
    apart = math.prod(n - 1 for n in others)
    if REPEAT in facets:
        repeats = counts[REPEAT]
        apart = np.where(repeats > 1, math.prod(others) * (repeats - 1), apart)
    return own * apart
