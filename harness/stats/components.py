"""How much of the spread between seeds is training, and how much is items?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.intervals import is_binary
from harness.stats.repeats import (
    SAME,
    ComponentTable,
    check_counts,
    component_over_items,
    negative_component,
    variance_over_repeats,
    with_interval,
    without_rounding,
)
from harness.stats.resample import check_scores
from harness.stats.series import conservative, near_bound, shape_of_seeds

Floats = npt.NDArray[np.float64]

FEW_ITEMS_OF_TWO = 100
"""Two seeds that differ in fewer items of 0 and 1 tie too often: intervals cover less
than 93 %."""

FEW_ITEMS = 5
"""The same for three seeds and more, of which all would have to tie."""

WILLIAMS = "interval of Williams and Tukey, normal seeds"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedComponents(ComponentTable):
    """Variance components of scores of seeds on the same items.

    Variances are in squared score units and may be negative, since they are unbiased
    only if not cut off at zero; so may the ends of their intervals be.

    Attributes
    ----------
    seed : Estimate
        Variance between training seeds that no number of items would remove.
    item : Estimate
        Variance between items, common to all seeds. It moves all seeds alike.
    residual : Estimate
        What is left of the score of a seed on an item (its mean over repeats): that
        seeds know other items, and chance. Over `n_items` this is item sampling.
    interaction, error : Estimate
        The two parts of `residual`: which items a seed knows, and the variance of a
        repeat. ``residual = interaction + error / n_repeats``. Not defined without
        repeats.
    seed_share : Estimate
        Share of the observed variance between seed means that is training seed:
        ``seed / (seed + residual / n_items)``, ICC(3,k) of psych with seeds as targets
        and items as judges. The rest is item sampling.
    corrected_sd : Estimate
        ``sqrt(seed)``: the seed SD without item sampling. Not defined where `seed` is
        negative, though its interval is: from 0, where that of `seed` reaches above 0.
        Nor is it where seed means tie, nor are shares.
    icc_single : Estimate
        ICC(2,1): ``seed / (seed + item + residual)``, how far one item's score tells
        seeds apart.
    icc_mean : Estimate
        ICC(2,k): ``seed / (seed + (item + residual) / n_items)``, how far the mean
        score does, were each seed asked items of its own. Not defined where negative
        components leave no denominator above 0; an interval that reaches this far has
        ``-inf`` as its lower end.
    """

    seed: Estimate
    item: Estimate
    residual: Estimate
    interaction: Estimate
    error: Estimate
    seed_share: Estimate
    corrected_sd: Estimate
    icc_single: Estimate
    icc_mean: Estimate
    n_seeds: int
    n_items: int
    n_repeats: int
    n_steps: int
    cautions: tuple[Caution, ...] = ()


def seed_components(
    scores: Floats, *, confidence_level: float = 0.95
) -> SeedComponents:
    """Split the variance of scores at one checkpoint into seed, item and residual.

    The model is ``score[s, i, k] = mu + seed[s] + item[i] + interaction[s, i] +
    error[s, i, k]`` with independent zero-mean effects, the same items put to every
    seed. Estimates are those of ANOVA (expected mean squares), and need no
    distribution::

        residual = MS_res
        seed = (MS_seed - MS_res) / n_items
        item = (MS_item - MS_res) / n_seeds

    where mean squares are of means over repeats. They equal REML's where none of
    those is negative.

    Parameters
    ----------
    scores : ndarray, shape (n_seeds, n_items) or (n_seeds, n_items, n_repeats)
        The same items in the same order for each seed, in score units. No missing
        values: give the items that all seeds share.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``too-few-replicates`` or ``too-few-items`` (fewer than 2), ``missing-scores``.

    Notes
    -----
    Intervals that involve `seed` take seed means as normal, and credit seeds only;
    that of `seed` is Williams and Tukey's, that of `seed_share` F's, those of ICC(2,·)
    McGraw and Wong's. By simulation with 2 to 10 seeds, 30 to 10,000 items of 0 and 1
    and accuracies from .02 to .98, that of `seed` covers 93 to 97 % but where a caution
    stands. Seeds with heavy tails (a run that failed, say) are not covered by any
    interval from few seeds: see `robust_seed_sd`. Those of the other components are
    Hall's over items, and need no distribution but items enough that differ: they carry
    the cautions of `harness.stats.intervals.score_interval`.

    Cautions: ``negative-component``; ``constant-over-seeds``, where seeds, or their
    means, are alike, which leaves `seed` without an interval and the rest undefined;
    ``value-outside-interval``, where means lie so near together, or the level is so
    low, that there is none; ``constant-over-items``; ``one-repeat``;
    ``few-discordant-items``, where seeds differ in too few items of 0 and 1 for
    normal means; ``near-bound``, where 0 or 1 is so few seed SDs away that seeds are
    skewed; ``shape-of-seeds``, of all that involve `seed`.

    See Also
    --------
    mean_seed_components : the same, averaged over checkpoints.

    References
    ----------
    S. R. Searle, G. Casella, C. E. McCulloch, *Variance Components*, 1992, section
    4.3. J. S. Williams, Biometrika 49 (1962) 278. K. O. McGraw, S. P. Wong, Psychol.
    Methods 1 (1996) 30. P. E. Shrout, J. L. Fleiss, Psychol. Bull. 86 (1979)
    420, for the names of the ICCs.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim == 2:
        scores = scores[:, :, None]
    n_seeds, n_items, n_repeats = scores.shape
    check_counts(n_seeds, n_items)
    # A product with ones sums short rows eight times as fast as `mean` does.
    cells = scores @ np.ones(n_repeats) / n_repeats
    if not np.isfinite(cells.sum()):
        check_scores(scores.transpose(0, 2, 1))
    error = None
    if n_repeats > 1:
        error = variance_over_repeats(scores, cells).mean(0)
    return _components(cells[:, None], error, n_repeats, confidence_level)


def mean_seed_components(
    scores: Floats, *, confidence_level: float = 0.95
) -> SeedComponents:
    """Return the components of `seed_components`, averaged over checkpoints.

    ``component = mean over steps t of component[t]``, so that ``seed + residual /
    n_items`` is the mean over steps of the variance between seeds, of which E of the
    paper averages the roots. The interval gives the other checkpoints of the same runs
    no credit, as if they repeated each other: it is too wide rather than too narrow.

    Parameters
    ----------
    scores : ndarray, shape (n_seeds, n_steps, n_items)
        Means over repeats, of the items that all checkpoints share.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``too-few-replicates``, ``too-few-items``, ``missing-scores``.

    Notes
    -----
    Cautions: those of `seed_components`; ``conservative-interval``.
    """
    scores = np.asarray(scores, dtype=np.float64)
    check_counts(len(scores), scores.shape[-1])
    check_scores(scores)
    return _components(scores, None, 1, confidence_level)


def _components(
    cells: Floats, error: Floats | None, n_repeats: int, confidence_level: float
) -> SeedComponents:
    """Return components of (seeds, steps, items) means, averaged over steps."""
    n_seeds, n_steps, n_items = cells.shape
    largest = np.abs(cells).max()
    size = SAME * largest
    means = cells.mean(-1)
    between = means.var(0, ddof=1)
    between[np.ptp(means, axis=0) <= size] = 0
    ms_seed = n_items * float(between.mean())
    # An item's part in each component, so that all but the seeds' are means over items.
    inside = cells - means[..., None]
    common = without_rounding(inside.mean(0), largest)
    within = ((inside - common) ** 2).sum(0) / (n_seeds - 1)
    # Twice, since both a score and its seed's mean may be off by as much.
    within[within <= 2 * size**2] = 0
    is_apart = np.ptp(cells, axis=0) > size
    unbiased = n_items / (n_items - 1)
    residual_parts = unbiased * within.mean(0)
    item_parts = unbiased * (common**2 - within / n_seeds).mean(0)
    ms_residual = float(residual_parts.mean())

    squares = _Squares(
        seed=ms_seed,
        residual=ms_residual,
        item=n_seeds * unbiased * float((common**2).mean()),
        n_seeds=n_seeds,
        n_items=n_items,
        confidence_level=confidence_level,
    )
    seed = squares.seed_variance()
    steps = " (mean over checkpoints)" if n_steps > 1 else ""
    parts = {
        "item_variance": (item_parts, f"ANOVA{steps}"),
        "residual_variance": (residual_parts, f"ANOVA{steps}"),
    }
    if error is not None:
        interaction = residual_parts - error / n_repeats
        parts["interaction_variance"] = interaction, "residual less error / n_repeats"
        parts["error_variance"] = error, "variance over repeats, mean over cells"
    found = {
        quantity: component_over_items(quantity, values, what, confidence_level)
        for quantity, (values, what) in parts.items()
    }
    for quantity in ("interaction_variance", "error_variance"):
        if quantity not in found:
            found[quantity] = undefined(
                quantity,
                n=n_items,
                method="ANOVA",
                code="one-repeat",
                text="interaction and error are one without repeats; 2 would do",
            )
    cautions = (
        *_negative(seed),
        *_doubts(cells, is_apart, seed),
        *shape_of_seeds(),
        *conservative(cells.shape[1]),
    )

    def doubted(estimate: Estimate) -> Estimate:
        own = dict.fromkeys([*estimate.cautions, *cautions])
        return replace(estimate, cautions=tuple(own))

    return SeedComponents(
        seed=doubted(seed),
        item=found["item_variance"],
        residual=found["residual_variance"],
        interaction=found["interaction_variance"],
        error=found["error_variance"],
        seed_share=doubted(squares.seed_share()),
        corrected_sd=doubted(squares.corrected_sd()),
        icc_single=doubted(squares.icc_single()),
        icc_mean=doubted(squares.icc_mean()),
        n_seeds=n_seeds,
        n_items=n_items,
        n_repeats=n_repeats,
        n_steps=n_steps,
        cautions=cautions,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Squares:
    """Mean squares of seeds × items, and what follows from them."""

    seed: float
    residual: float
    item: float
    n_seeds: int
    n_items: int
    confidence_level: float

    def seed_variance(self) -> Estimate:
        from scipy.special import chdtri

        estimate = self._estimate(
            "seed_variance",
            (self.seed - self.residual) / self.n_items,
            f"ANOVA; {WILLIAMS}",
        )
        if self.seed == 0:
            return replace(estimate, cautions=(self._alike(),))
        df = self.n_seeds - 1
        tail = (1 - self.confidence_level) / 2
        low, high = (
            (self.seed - f * self.residual) * df / (self.n_items * chdtri(df, p))
            for f, p in zip(self._f_ends(), (tail, 1 - tail), strict=True)
        )
        return with_interval(estimate, float(low), float(high))

    def corrected_sd(self) -> Estimate:
        name = f"square root of the seed variance; {WILLIAMS}"
        if self.seed == 0:
            return self._undefined("corrected_sd", name, self._alike())
        variance = self.seed_variance()
        low, high = variance.interval
        return replace(
            variance,
            quantity="corrected_sd",
            value=math.sqrt(variance.value) if variance.value >= 0 else math.nan,
            interval=Interval(math.sqrt(max(low, 0)), math.sqrt(high))
            if high >= 0
            else UNDEFINED,
            method=name,
            cautions=(*_negative(variance), *variance.cautions),
        )

    def seed_share(self) -> Estimate:
        name = f"ICC(3,k), k = {self.n_items} items; F interval, normal seeds"
        if self.seed == 0:
            return self._undefined("seed_share", name, self._alike())
        value, low, high = (
            1 - f * self.residual / self.seed for f in (1, *self._f_ends())
        )
        return with_interval(self._estimate("seed_share", value, name), low, high)

    def icc_single(self) -> Estimate:
        name = "ICC(2,1); interval of McGraw and Wong, normal seeds"
        if self.seed == 0:
            return self._undefined("icc_single", name, self._alike())
        value, low, high = self._icc()
        return with_interval(self._estimate("icc_single", value, name), low, high)

    def icc_mean(self) -> Estimate:
        k = self.n_items
        name = f"ICC(2,k), k = {k} items; interval of McGraw and Wong, normal seeds"
        if self.seed == 0:
            return self._undefined("icc_mean", name, self._alike())

        def of_mean(single: float) -> float:
            # Spearman and Brown's formula: k items instead of one. It rises from -inf
            # at its pole; beyond, the variance of a mean would be negative.
            below = 1 + (k - 1) * single
            return k * single / below if below > SAME else -math.inf

        value, low, high = (of_mean(single) for single in self._icc())
        if math.isinf(value):
            caution = Caution(
                "negative-component",
                "the components add up to no positive variance of a mean, of which it "
                "is a share; more seeds or items would tell",
            )
            return self._undefined("icc_mean", name, caution)
        return with_interval(self._estimate("icc_mean", value, name), low, high)

    def _icc(self) -> tuple[float, float, float]:
        """Return ICC(2,1), seeds as targets and items as judges, and its interval."""
        from scipy.special import fdtri

        n, k = self.n_seeds, self.n_items
        noise = k * self.item + (k * n - k - n) * self.residual
        value = n * (self.seed - self.residual) / (n * self.seed + noise)
        if value == 1:
            return value, value, value
        # Satterthwaite's df of the variance that items and residual make: not below
        # that of items, as a negative share would have it.
        a = k * value / (n * (1 - value))
        b = 1 + a * (n - 1)
        parts = a * self.item, b * self.residual
        squares = parts[0] ** 2 / (k - 1) + parts[1] ** 2 / ((n - 1) * (k - 1))
        v = max(sum(parts) ** 2 / squares if squares else 0, k - 1)
        tail = (1 - self.confidence_level) / 2
        low_f = float(fdtri(n - 1, v, 1 - tail))
        high_f = float(fdtri(v, n - 1, 1 - tail))
        low = n * (self.seed - low_f * self.residual) / (low_f * noise + n * self.seed)
        high = (
            n * (high_f * self.seed - self.residual) / (noise + n * high_f * self.seed)
        )
        return value, low, high

    def _f_ends(self) -> tuple[float, float]:
        from scipy.special import fdtri

        df = self.n_seeds - 1
        tail = (1 - self.confidence_level) / 2
        high, low = (
            float(fdtri(df, df * (self.n_items - 1), p)) for p in (1 - tail, tail)
        )
        return high, low

    def _estimate(self, quantity: str, value: float, method: str) -> Estimate:
        return Estimate(
            quantity=quantity,
            value=value,
            confidence_level=self.confidence_level,
            n=self.n_seeds,
            method=method,
        )

    def _undefined(self, quantity: str, method: str, caution: Caution) -> Estimate:
        return undefined(
            quantity,
            n=self.n_seeds,
            method=method,
            code=caution.code,
            text=caution.text,
        )

    def _alike(self) -> Caution:
        return Caution(
            "constant-over-seeds",
            f"all {self.n_seeds} seeds have the same mean score; "
            "more items would tell them apart",
        )


def _negative(seed: Estimate) -> tuple[Caution, ...]:
    text = (
        "seeds differ less than their items alone predict; more items would tell what "
        "training adds"
    )
    return negative_component(seed, text)


def _doubts(
    cells: Floats, is_apart: npt.NDArray[np.bool_], seed: Estimate
) -> tuple[Caution, ...]:
    """Return why the intervals of seeds may cover less, for scores of 0 and 1."""
    if not is_binary(cells.reshape(-1)):
        return ()
    cautions = []
    n_apart = float(is_apart.sum(-1).mean())
    needed = FEW_ITEMS_OF_TWO if len(cells) == 2 else FEW_ITEMS
    if n_apart < needed:
        cautions.append(
            Caution(
                "few-discordant-items",
                f"the {len(cells)} seeds differ in {n_apart:.3g} items; an interval "
                f"that covers as it says needs about {needed}, so ask more items",
            )
        )
    means = cells.mean((0, 2))
    closest = float(np.minimum(means, 1 - means).min())
    sd = math.sqrt(max(seed.value, 0))
    return (*cautions, *near_bound(closest, sd, (0, 1)))
