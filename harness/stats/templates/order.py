"""How often would another template have put two models in the other order?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.components import seed_components
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import check_level
from harness.stats.pairs import all_pairs
from harness.stats.ranks import ties_made_equal
from harness.stats.resample import check_scores

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-9
"""Share of the margin by which a difference may miss it."""

FEW_TEMPLATES = 5
"""Fewer leave the jackknife over templates too little to go by."""

ENOUGH_MODELS = 5
"""Of fewer, whose order may turn half of the time, intervals cover 80 to 100 %."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TemplateOrder:
    """How far the order of models depends on the template.

    Attributes
    ----------
    names : tuple of str
        Of the models.
    difference : ndarray, shape (n_models, n_models)
        Mean over templates of the row's score less the column's.
    reversed : ndarray, shape (n_models, n_models)
        Share of pairs of templates of which one puts the row ahead and the other the
        column, by at least the margin; ``nan`` on the diagonal, as in all tables.
    reversed_clearly : ndarray, shape (n_models, n_models)
        The same with both differences significant; ``nan`` without items.
    against_mean : ndarray, shape (n_models, n_models)
        Share of templates that order the two otherwise than the mean over templates;
        ``nan`` where the means tie.
    by_chance : ndarray, shape (n_models, n_models)
        What `reversed` would be on average did templates move both models alike.
    without_chance : ndarray, shape (n_models, n_models)
        What it would be with items without end; ``nan`` where the variance between
        templates of the difference is negative.
    reversal : Estimate
        `reversed`, averaged over pairs of models: how often two models change order.
    reversal_by_chance : float
        `by_chance`, averaged over pairs of models; ``nan`` where it is not known.
    tau : Estimate
        Kendall's tau-b of the models' order under two templates, averaged over pairs
        of templates.
    concordance : Estimate
        Kendall's W of all templates: 1 where all order the models alike, 0 where they
        have nothing in common.
    margin : float
        Score units.
    """

    names: tuple[str, ...]
    difference: Floats
    reversed: Floats
    reversed_clearly: Floats
    against_mean: Floats
    by_chance: Floats
    without_chance: Floats
    reversal: Estimate
    reversal_by_chance: float
    tau: Estimate
    concordance: Estimate
    margin: float
    n_models: int
    n_templates: int
    n_items: int | None
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        chance = self.reversal_by_chance
        return {
            "names": list(self.names),
            **{name: _nested(getattr(self, name)) for name in TABLES},
            "reversal": self.reversal.to_dict(),
            "reversal_by_chance": None if chance != chance else chance,
            "tau": self.tau.to_dict(),
            "concordance": self.concordance.to_dict(),
            "margin": self.margin,
            "n_models": self.n_models,
            "n_templates": self.n_templates,
            "n_items": self.n_items,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each pair of models, the first before the second."""
        import pandas as pd

        pair = np.triu_indices(self.n_models, 1)
        names = np.array(self.names, dtype=object)
        return pd.DataFrame(
            {
                "first": names[pair[0]],
                "second": names[pair[1]],
                **{name: getattr(self, name)[pair] for name in TABLES},
                "n_templates": self.n_templates,
            }
        )


TABLES = (
    "difference",
    "reversed",
    "reversed_clearly",
    "against_mean",
    "by_chance",
    "without_chance",
)


def template_order(
    scores: Floats,
    *,
    names: Sequence[str] | None = None,
    margin: float = 0.0,
    n_items: int | None = None,
    confidence_level: float = 0.95,
) -> TemplateOrder:
    """Return how often two models change order under another template.

    For a pair of models, ``d[t]`` the difference of their means under template t::

        reversed = share of pairs t < t' with d[t] d[t'] < 0, both |d| >= margin
        by_chance = 2 Phi((D - margin) / s) Phi((-D - margin) / s)

    with D the mean of d over templates and s the SD that a template's difference has
    by chance: ``sqrt(residual / n_items)`` of `seed_components` of the differences of
    items, templates as seeds, which share their items. `without_chance` has the SD
    between templates of the difference for s. Both take differences as normal.

    Parameters
    ----------
    scores : ndarray, shape (n_models, n_templates, n_items) or (n_models, n_templates)
        The same items for all, repeats averaged; or means only.
    names : sequence of str, optional
        Of the models; their numbers, counted from 0, if left out.
    margin : float
        By how much a model must be ahead; ties are no order at any margin.
    n_items : int, optional
        Answers of 0 or 1 behind each mean, where only means are given: chance is then
        binomial, as of other items for each.
    confidence_level : float
        Of the intervals; a difference is significant beyond it.

    Raises
    ------
    DesignError
        ``too-few-respondents``, ``too-few-replicates``, ``too-few-items`` (fewer than
        2), ``missing-scores``, ``unequal-lengths``, ``scores-not-bounded``,
        ``bad-confidence-level``.

    Notes
    -----
    Intervals are Student's t of a jackknife over templates, as draws from those that
    could have been written, cut off where the scale ends; models and items are these.
    Significance is that of `harness.stats.pairs.all_pairs`: McNemar's for 0 and 1.

    Cautions: ``items-of-their-own``, ``no-items`` (means only, and no number of items:
    chance is not known), ``few-templates`` (fewer than 5: no interval),
    ``constant-over-templates`` (no template orders otherwise: no interval),
    ``tied-models``, where a template has all models level: it is no order and left out;
    ``few-models`` (fewer than 5: in simulations intervals cover 80 to 100 %).

    References
    ----------
    M. Sclar et al., arXiv 2310.11324 (2023), on orders that formats reverse. M. G.
    Kendall, B. Babington Smith, Ann. Math. Statist. 10 (1939) 275, for W.
    """
    check_level(confidence_level)
    scores = np.asarray(scores, dtype=np.float64)
    has_items = scores.ndim == 3
    n_models, n_templates = scores.shape[:2]
    names = tuple(names) if names is not None else tuple(map(str, range(n_models)))
    _check(scores, names, has_items, n_items)
    means = ties_made_equal(scores.mean(-1) if has_items else scores)
    first, second = np.triu_indices(n_models, 1)
    apart = means[first] - means[second]
    # A difference of the margin, but for rounding, counts.
    least = margin * (1 - ROUNDING)
    ahead = (apart > 0) & (apart >= least)
    behind = (apart < 0) & (apart <= -least)
    cautions: list[Caution] = []
    clearly = np.full(len(first), np.nan)
    chance, true = clearly.copy(), clearly.copy()
    if has_items:
        p_values = np.stack(
            [all_pairs(scores[:, t]).p_value[first, second] for t in range(n_templates)]
        ).T
        is_clear = p_values < 1 - confidence_level
        clearly = _share_of_pairs(ahead & is_clear, behind & is_clear)
        chance, true = _expected(scores, first, second, margin)
        n_items = scores.shape[2]
    elif n_items is not None:
        noise = (means * (1 - means)).mean(1) / (n_items - 1)
        total = apart.var(1, ddof=1)
        by_chance = noise[first] + noise[second]
        chance = _normal_share(apart.mean(1), by_chance, margin)
        true = _normal_share(apart.mean(1), total - by_chance, margin)
        text = (
            "chance is taken as binomial, as of other items for each model and "
            "template; of the same items less is chance than this says"
        )
        cautions.append(Caution("items-of-their-own", text))
    else:
        text = "how much is chance is not known of means alone; give scores of items"
        cautions.append(Caution("no-items", text))
    mean = apart.mean(1)
    against = np.where(mean[:, None] > 0, behind, ahead).mean(1)
    against = np.where(mean == 0, np.nan, against)
    reversed_ = _share_of_pairs(ahead, behind)
    signs = np.sign(apart)
    is_order = (signs != 0).any(0)
    if n_tied := int((~is_order).sum()):
        text = f"{n_tied} of {n_templates} templates have all models level"
        cautions.append(Caution("tied-models", text))
    both = ahead.T.astype(np.float64) @ behind
    both = (both + both.T) / len(first)

    def table(values: Floats, sign: int = 1) -> Floats:
        out = np.full((n_models, n_models), np.nan)
        out[first, second], out[second, first] = values, sign * values
        return out

    def told(estimate: Estimate) -> Estimate:
        if n_models >= ENOUGH_MODELS or math.isnan(estimate.interval.low):
            return estimate
        text = f"{n_models} models are few; the interval may not hold its level"
        return _cautioned(estimate, Caution("few-models", text))

    return TemplateOrder(
        names=names,
        difference=table(mean, -1),
        reversed=table(reversed_),
        reversed_clearly=table(clearly),
        against_mean=table(against),
        by_chance=table(chance),
        without_chance=table(true),
        reversal=told(_over_pairs("reversal", both, confidence_level, (0, 1))),
        reversal_by_chance=float(chance.mean()),
        tau=told(
            _over_pairs("tau", _taus(signs[:, is_order]), confidence_level, (-1, 1))
        ),
        concordance=told(_concordance(means[:, is_order], confidence_level)),
        margin=margin,
        n_models=n_models,
        n_templates=n_templates,
        n_items=n_items,
        cautions=tuple(cautions),
    )


def _check(
    scores: Floats, names: tuple[str, ...], has_items: bool, n_items: int | None
) -> None:
    n_models, n_templates = scores.shape[:2]
    if n_models < 2:
        raise DesignError(
            f"an order needs at least 2 models, got {n_models}; evaluate another on "
            "the same templates",
            code="too-few-respondents",
        )
    if len(names) != n_models:
        raise DesignError(
            f"{n_models} models and {len(names)} names; give one name for each",
            code="unequal-lengths",
        )
    if n_templates < 2:
        raise DesignError(
            f"another order needs at least 2 templates, got {n_templates}; add "
            "templates to the suite's design",
            code="too-few-replicates",
        )
    if has_items:
        n_items = scores.shape[2]
    if n_items is not None and n_items < 2:
        raise DesignError(
            f"chance needs at least 2 items, got {n_items}; give the items that all "
            "share, or ask more",
            code="too-few-items",
        )
    check_scores(scores)
    if not has_items and n_items and (scores.min() < 0 or scores.max() > 1):
        raise DesignError(
            f"means of answers of 0 and 1 lie from 0 to 1, these from "
            f"{scores.min():.3g} to {scores.max():.3g}; give scores of items",
            code="scores-not-bounded",
        )


def _share_of_pairs(ahead: npt.NDArray[np.bool_], behind: Any) -> Floats:
    """Return the share of pairs of templates of which one is ahead, one behind."""
    n = ahead.shape[1]
    return np.asarray(2 * ahead.sum(1) * behind.sum(1) / (n * (n - 1)))


def _expected(
    scores: Floats, first: Any, second: Any, margin: float
) -> tuple[Floats, Floats]:
    """Return how often each pair of models would swap by chance alone, and without."""
    chance, true = np.empty(len(first)), np.empty(len(first))
    for pair, (a, b) in enumerate(zip(first, second, strict=True)):
        difference = scores[a] - scores[b]
        parts = seed_components(difference)
        mean = np.array(difference.mean())
        noise = parts.residual.value / parts.n_items
        chance[pair] = _normal_share(mean, np.array(noise), margin)
        true[pair] = _normal_share(mean, np.array(parts.seed.value), margin)
    return chance, true


def _normal_share(mean: Floats, variance: Floats, margin: float) -> Floats:
    """Return how often two normal differences lie on either side of 0."""
    from scipy.special import ndtr

    # Without variance the sign is that of the mean for good; a negative one is none.
    sd = np.sqrt(np.where(variance >= 0, variance, np.nan))
    sd = np.where(sd == 0, 1e-300, sd)
    share = 2 * ndtr((mean - margin) / sd) * ndtr((-mean - margin) / sd)
    return np.asarray(np.where((sd == 1e-300) & (mean == 0), 0, share))


def _taus(signs: Floats) -> Floats:
    """Return tau-b of any two templates from the signs of (pairs of models, templates).

    ``sum of s s' / sqrt(untied untied')``.
    """
    untied = np.sqrt((signs != 0).sum(0))
    return np.asarray(signs.T @ signs / np.outer(untied, untied))


def _over_pairs(
    quantity: str, table: Floats, confidence_level: float, ends: tuple[int, int]
) -> Estimate:
    """Return the mean of a table over pairs of templates, with a jackknife."""
    n = len(table)
    if n < 2:
        return _no_order(quantity, n)
    apart = table - np.diag(np.diagonal(table))
    total = apart.sum()
    without = (total - 2 * apart.sum(1)) / max((n - 1) * (n - 2), 1)
    value = float(total / (n * (n - 1)))
    return _jackknifed(quantity, value, without, confidence_level, ends)


def _concordance(means: Floats, confidence_level: float) -> Estimate:
    """Return Kendall's W, corrected for ties: ``12 S / (R^2 (M^3 - M) - R sum T)``."""
    from scipy.stats import rankdata

    m, n = means.shape
    if n < 2:
        return _no_order("concordance", n)
    ranks = rankdata(means, axis=0)
    ties = np.array(
        [((c**3) - c).sum() for c in (_tie_sizes(column) for column in means.T)]
    )

    def w(sums: Floats, n: int, ties: Floats) -> Floats:
        spread = ((sums - sums.mean(0)) ** 2).sum(0)
        return np.asarray(12 * spread / (n**2 * (m**3 - m) - n * ties))

    total = ranks.sum(1)
    value = float(w(total, n, ties.sum()))
    without = w(total[:, None] - ranks, n - 1, ties.sum() - ties)
    return _jackknifed("concordance", value, without, confidence_level, (0, 1))


def _tie_sizes(values: Floats) -> Floats:
    return np.unique(values, return_counts=True)[1].astype(np.float64)


def _jackknifed(
    quantity: str,
    value: float,
    without: Floats,
    confidence_level: float,
    ends: tuple[int, int],
) -> Estimate:
    from scipy.special import stdtrit

    n = len(without)
    estimate = Estimate(
        quantity=quantity,
        value=value,
        confidence_level=confidence_level,
        n=n,
        method=METHODS[quantity],
    )
    if n < FEW_TEMPLATES:
        text = f"an interval over templates needs at least {FEW_TEMPLATES}, has {n}"
        return _cautioned(estimate, Caution("few-templates", text))
    if np.ptp(ties_made_equal(without)) == 0:
        text = f"leaving out any of {n} templates changes nothing"
        return _cautioned(estimate, Caution("constant-over-templates", text))
    se = math.sqrt(float(without.var() * (n - 1)))
    half = float(stdtrit(n - 1, 0.5 + confidence_level / 2)) * se
    low, high = max(value - half, ends[0]), min(value + half, ends[1])
    return Estimate(
        quantity=quantity,
        value=value,
        se=se,
        interval=Interval(low, high),
        confidence_level=confidence_level,
        n=n,
        method=f"{METHODS[quantity]}; jackknife t interval over templates",
    )


METHODS = {
    "reversal": "share of pairs of templates that order two models otherwise, mean "
    "over pairs of models",
    "tau": "Kendall's tau-b of two templates, mean over pairs of templates",
    "concordance": "Kendall's W over templates, corrected for ties",
}


def _cautioned(estimate: Estimate, caution: Caution) -> Estimate:
    return replace(estimate, cautions=(caution,))


def _no_order(quantity: str, n: int) -> Estimate:
    return undefined(
        quantity,
        n=n,
        method=METHODS[quantity],
        code="tied-models",
        text=f"{n} templates tell any models apart; 2 would do, or more items",
    )


def _nested(values: Floats) -> list[list[float | None]]:
    return [[None if v != v else v for v in line] for line in values.tolist()]
