"""How far do templates move a score, beyond what chance alone would?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.components import seed_components
from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.intervals import check_level
from harness.stats.repeats import (
    ComponentTable,
    check_counts,
    component_over_items,
    negative_component,
)
from harness.stats.resample import check_scores

Floats = npt.NDArray[np.float64]

ALIKE = "templates differ less than chance alone predicts; more items would tell"

OTHERWISE = {
    "negative-component": Caution("negative-component", ALIKE),
    "shape-of-seeds": Caution(
        "shape-of-templates",
        "the interval takes templates as normal; with heavy or lopsided tails, such as "
        "one in ten that fails, it covers as little as 77 %",
    ),
}
"""What is said otherwise of templates than of seeds, by the code of the caution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSpread(ComponentTable):
    """How far templates move the score of one model.

    Attributes
    ----------
    spread : Estimate
        Largest less smallest template mean, FormatSpread's. Biased upwards by chance,
        and larger the more templates there are: an observation, without an interval.
    spread_of_equals : float
        What it would be on average were all templates equally good: chance alone.
    corrected_spread : Estimate
        ``spread * sqrt(template_share)``: what is left of it without chance, to within
        about as much as chance adds.
    template_variance : Estimate
        Variance between templates that no number of items would remove; negative where
        they differ less than chance predicts.
    corrected_sd : Estimate
        Its square root: the SD between templates without chance. Not defined where the
        variance is negative, though its interval is: from 0.
    template_share : Estimate
        Share of the observed variance between template means that is the templates'.
    best, worst : int
        Which template has the largest and the smallest mean; the first of those that
        tie.
    """

    spread: Estimate
    spread_of_equals: float
    corrected_spread: Estimate
    template_variance: Estimate
    corrected_sd: Estimate
    template_share: Estimate
    best: int
    worst: int
    n_templates: int
    n_items: int
    n_repeats: int
    cautions: tuple[Caution, ...] = ()


def template_spread(
    scores: Floats, *, confidence_level: float = 0.95
) -> TemplateSpread:
    """Return how far templates move a score, with and without chance.

    The model is that of `harness.stats.components.seed_components` with templates for
    seeds: ``score[t, i, k] = mu + template[t] + item[i] + interaction[t, i] +
    error[t, i, k]``, the same items put to every template. Chance is what is left of
    a template's mean: ``residual / n_items``, which items suit a template and the luck
    of its answers::

        spread_of_equals = d(n_templates) * sqrt(residual / n_items)
        corrected_spread = spread * sqrt(template_share)

    with d the mean range of normal draws (`normal_range`). The second shrinks all means
    towards their mean until their variance is that of the templates alone.

    Parameters
    ----------
    scores : ndarray, shape (n_templates, n_items) or (n_templates, n_items, n_repeats)
        The same items in the same order for each template. No missing values.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``too-few-replicates``, ``too-few-items`` (fewer than 2), ``missing-scores``,
        ``bad-confidence-level``.

    Notes
    -----
    Intervals take templates as normal draws from those that could have been written,
    and credit nothing but their number; see `seed_components` for what they cover.
    `corrected_spread` has none: the range of these very templates is not theirs, and
    ``normal_range(n) * corrected_sd`` bounds that of n others.

    Cautions: those of `seed_components`, of templates: ``negative-component``,
    ``constant-over-templates``, ``value-outside-interval``, ``few-discordant-items``,
    ``near-bound``, ``shape-of-templates``.

    References
    ----------
    M. Sclar et al., arXiv 2310.11324 (2023), for the spread. T. A. Louis, JASA 79
    (1984) 393, for shrinking until the variance is right.
    """
    check_level(confidence_level)
    scores = np.asarray(scores, dtype=np.float64)
    check_counts(len(scores), scores.shape[1], "template")
    found = seed_components(scores, confidence_level=confidence_level)
    means = scores.reshape(len(scores), -1).mean(-1)
    return _spread(
        means,
        math.sqrt(found.residual.value / found.n_items),
        variance=_of_templates(found.seed),
        sd=_of_templates(found.corrected_sd),
        share=_of_templates(found.seed_share),
        n_items=found.n_items,
        n_repeats=found.n_repeats,
    )


def spread_of_means(
    means: Floats, n_items: int, *, confidence_level: float = 0.95
) -> TemplateSpread:
    """Return how far templates move a score of which only means are known.

    Means are shares of `n_items` answers of 0 or 1, so that chance is binomial::

        template_variance = Var_t(mean_t; ddof=1) - mean_t(mean_t (1 - mean_t)) /
                            (n_items - 1)

    which is unbiased if each template was put to items of its own. Of the same items,
    chance is less, since hard ones are hard under every template, so that this is the
    least that the variance can be expected to be.

    Parameters
    ----------
    means : ndarray, shape (n_templates,)
        From 0 to 1.
    n_items : int
        Answers behind each.

    Raises
    ------
    DesignError
        ``too-few-replicates``, ``too-few-items`` (fewer than 2), ``missing-scores``,
        ``scores-not-bounded``, ``bad-confidence-level``.

    Notes
    -----
    The interval is Hall's over templates, and needs no distribution but templates
    enough; see `harness.stats.repeats.component_over_items`.

    Cautions: ``items-of-their-own``, always; ``negative-component``;
    ``constant-over-templates``; those of `component_over_items`, of templates.
    """
    check_level(confidence_level)
    means = np.asarray(means, dtype=np.float64)
    n = len(means)
    check_counts(n, n_items, "template")
    check_scores(means)
    if means.min() < 0 or means.max() > 1:
        raise DesignError(
            f"means of answers of 0 and 1 lie from 0 to 1, these from "
            f"{means.min():.3g} to {means.max():.3g}; give scores of items",
            code="scores-not-bounded",
        )
    noise = means * (1 - means) / (n_items - 1)
    parts = (means - means.mean()) ** 2 * n / (n - 1) - noise
    variance = _of_templates(
        component_over_items(
            "template_variance", parts, "variance less binomial", confidence_level
        ),
        unit="item",
    )
    apart = Caution(
        "items-of-their-own",
        "chance is taken as binomial, as of other items for each template; of the same "
        "items templates differ more than this says",
    )
    negative = negative_component(variance, ALIKE)
    variance = replace(variance, cautions=(*variance.cautions, *negative, apart))
    observed = float(means.var(ddof=1))
    low, high = variance.interval
    sd = replace(
        variance,
        quantity="corrected_sd",
        value=math.sqrt(max(variance.value, 0)),
        se=math.nan,
        interval=Interval(math.sqrt(max(low, 0)), math.sqrt(high))
        if high >= 0
        else UNDEFINED,
        method=f"square root of the template variance; {variance.method}",
    )
    if observed == 0:
        share = undefined(
            "template_share",
            n=n,
            method="template variance over that of means",
            code="constant-over-templates",
            text=f"all {n} templates have the same mean score",
        )
        sd = replace(share, quantity="corrected_sd", method=sd.method)
    else:
        share = replace(
            variance,
            quantity="template_share",
            value=variance.value / observed,
            se=math.nan,
            interval=UNDEFINED,
            method="template variance over that of means",
        )
    return _spread(
        means,
        math.sqrt(float(noise.mean())),
        variance=variance,
        sd=sd,
        share=share,
        n_items=n_items,
        n_repeats=1,
    )


def normal_range(n: int) -> float:
    """Return the mean range of n normal draws of SD 1.

    ``integral of 1 - Phi(x)^n - (1 - Phi(x))^n``; 1.128 for 2, 3.078 for 10, the
    constants d2 of control charts.

    References
    ----------
    L. H. C. Tippett, Biometrika 17 (1925) 364.
    """
    from scipy.special import ndtr

    # Beyond 12 SDs nothing is left; of so smooth a function trapezoids are exact.
    x = np.linspace(-12, 12, 2_401)
    below = ndtr(x)
    return float((1 - below**n - ndtr(-x) ** n).sum() * (x[1] - x[0]))


def range_of_some(means: Floats, n: int) -> float:
    """Return the mean range of n of the means, over all choices of n.

    ``sum over i of x_(i) (C(i - 1, n - 1) - C(R - i, n - 1)) / C(R, n)`` with x in
    ascending order: what the spread would have been with fewer templates, exactly.

    Parameters
    ----------
    means : ndarray, shape (n_templates,)
    n : int
        From 1 to `n_templates`.

    Raises
    ------
    DesignError
        ``too-few-replicates``: more than there are.
    """
    from scipy.special import gammaln

    ordered = np.sort(np.asarray(means, dtype=np.float64))
    n_all = len(ordered)
    if not 1 <= n <= n_all:
        raise DesignError(
            f"the range of {n} templates cannot be had from {n_all}; choose 1 to "
            f"{n_all}",
            code="too-few-replicates",
        )
    place = np.arange(n_all)
    with np.errstate(invalid="ignore"):
        log = gammaln(place + 1) - gammaln(n) - gammaln(place - n + 2)
    log -= gammaln(n_all + 1) - gammaln(n + 1) - gammaln(n_all - n + 1)
    is_largest = np.where(place >= n - 1, np.exp(log), 0)
    return float(((is_largest - is_largest[::-1]) * ordered).sum())


def _spread(
    means: Floats,
    noise_sd: float,
    *,
    variance: Estimate,
    sd: Estimate,
    share: Estimate,
    n_items: int,
    n_repeats: int,
) -> TemplateSpread:
    n = len(means)
    value = float(np.ptp(means))
    spread = Estimate(
        quantity="spread",
        value=value,
        n=n,
        method=f"largest less smallest mean of {n} templates",
        confidence_level=variance.confidence_level,
    )
    corrected = replace(
        share,
        quantity="corrected_spread",
        value=value * math.sqrt(max(share.value, 0)),
        interval=UNDEFINED,
        method="spread times the root of the template share",
    )
    if variance.value < 0:
        corrected, sd = (replace(e, value=math.nan) for e in (corrected, sd))
    return TemplateSpread(
        spread=spread,
        spread_of_equals=normal_range(n) * noise_sd,
        corrected_spread=corrected,
        template_variance=variance,
        corrected_sd=sd,
        template_share=share,
        best=int(means.argmax()),
        worst=int(means.argmin()),
        n_templates=n,
        n_items=n_items,
        n_repeats=n_repeats,
        cautions=variance.cautions,
    )


def _of_templates(estimate: Estimate, unit: str = "seed") -> Estimate:
    """Return an estimate about seeds in the words of templates."""

    def said(words: str) -> str:
        return words.replace(unit, "template")

    return replace(
        estimate,
        quantity=said(estimate.quantity),
        method=said(estimate.method),
        cautions=tuple(
            OTHERWISE.get(c.code, Caution(said(c.code), said(c.text)))
            for c in estimate.cautions
        ),
    )
