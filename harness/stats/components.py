"""How much of the spread between seeds is training, and how much is items?"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import UNDEFINED, Caution, Estimate, Interval, undefined
from harness.stats.intervals import (
    HALL,
    interval_cautions,
    is_binary,
    mean_intervals,
)
from harness.stats.ranks import ties_made_equal
from harness.stats.resample import check_scores
from harness.stats.series import near_bound

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

FEW_ITEMS_OF_TWO = 100
"""Two seeds that differ in fewer items of 0 and 1 tie too often: intervals cover less
than 93 %."""

FEW_ITEMS = 5
"""The same for three seeds and more, of which all would have to tie."""

FEW_COUNTING_ITEMS = 20
"""Fewer items that make the variance of a component, as of nearly certain answers,
leave its interval with 20 to 88 % instead of 95, and of 30 ordinary items up to 99."""

SAME = 1e-12
"""Means that differ by less, relative to the largest score, differ by rounding."""

WILLIAMS = "interval of Williams and Tukey, normal seeds"


class _Table:
    """The two ways out of a result whose fields are estimates and counts."""

    __slots__ = ()

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All estimates, in the order of the fields."""
        values = (getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]
        return tuple(value for value in values if isinstance(value, Estimate))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        rows = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        rows["cautions"] = [{"code": c.code, "text": c.text} for c in rows["cautions"]]
        return {
            name: value.to_dict() if isinstance(value, Estimate) else value
            for name, value in rows.items()
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each estimate, with the columns of its own."""
        import pandas as pd

        return pd.concat([e.to_frame() for e in self.estimates], ignore_index=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedComponents(_Table):
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
        ``sqrt(seed)``: the seed SD without item sampling, for display; 0 where `seed`
        is negative, which the caution then says.
    icc_single : Estimate
        ICC(2,1): ``seed / (seed + item + residual)``, how far one item's score tells
        seeds apart.
    icc_mean : Estimate
        ICC(2,k): ``seed / (seed + (item + residual) / n_items)``, how far the mean
        score does, were each seed asked items of its own.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatComponents(_Table):
    """Variance components of repeated answers of one checkpoint.

    Attributes
    ----------
    item : Estimate
        Variance between items of their true mean scores; negative where repeats
        explain more than all of what is seen.
    repeat : Estimate
        Variance between answers to an item, averaged over items.
    icc_single : Estimate
        ICC(1): ``item / (item + repeat)``, how far one answer tells items apart.
    icc_mean : Estimate
        ICC(1,k): ``item / (item + repeat / n_repeats)``, how far an item's mean does.
    """

    item: Estimate
    repeat: Estimate
    icc_single: Estimate
    icc_mean: Estimate
    n_items: int
    n_repeats: int
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
    means, are alike; ``constant-over-items``; ``one-repeat``;
    ``few-discordant-items``, where seeds differ in too few items of 0 and 1 for
    normal means; ``near-bound``, where 0 or 1 is so few seed SDs away that seeds are
    skewed.

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
    _check_counts(n_seeds, n_items)
    if not np.isfinite(scores.sum()):
        check_scores(scores.transpose(0, 2, 1))
    # A product with ones sums short rows eight times as fast as `mean` does.
    cells = scores @ np.ones(n_repeats) / n_repeats
    error = None
    if n_repeats > 1:
        error = _within(scores, cells).mean(0)
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
    Cautions: those of `seed_components`.
    """
    scores = np.asarray(scores, dtype=np.float64)
    _check_counts(len(scores), scores.shape[-1])
    check_scores(scores)
    return _components(scores, None, 1, confidence_level)


def repeat_components(
    scores: Floats, *, confidence_level: float = 0.95
) -> RepeatComponents:
    """Split the variance of repeated answers into items and repeats.

    The model is ``score[i, k] = x[i] + error[i, k]``, items independent, repeats of an
    item independent with a variance of the item's own::

        repeat = mean over items of v[i]
        item = Var over items of mean_score[i] - repeat / n_repeats

    with ``v[i]`` the variance over repeats (``K / (K - 1) p (1 - p)`` for 0 and 1).

    Parameters
    ----------
    scores : ndarray, shape (n_items, n_repeats)
        In score units, without missing values.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``too-few-replicates`` or ``too-few-items`` (fewer than 2), ``missing-scores``.

    Notes
    -----
    Intervals are over items and need no distribution: Hall's for the components, for
    the ICCs Student's t of the ratio's linear part.

    Cautions: ``negative-component``; ``constant-over-items``, where items do not
    differ in a part; of the components those of
    `harness.stats.intervals.score_interval`; ``few-items``, where few of them make
    the variance.

    See Also
    --------
    predicted_se : the standard error that another design would have.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), on resampling answers: the split; the unbiased
    estimators are those of one-way ANOVA.
    """
    scores = np.asarray(scores, dtype=np.float64)
    n_items, n_repeats = scores.shape
    _check_counts(n_repeats, n_items, "repeat")
    check_scores(scores.T)
    means = scores.mean(-1)
    repeat = _within(scores, means)
    spread = (means - means.mean()) ** 2 * n_items / (n_items - 1)
    item = spread - repeat / n_repeats
    parts = {
        "item_variance": (item, "variance of item means less that of repeats"),
        "repeat_variance": (repeat, "variance over repeats, mean over items"),
    }
    found = [
        _over_items(quantity, values, what, confidence_level)
        for quantity, (values, what) in parts.items()
    ]
    singles = [
        _ratio_over_items(quantity, item, item + repeat / k, name, confidence_level)
        for quantity, k, name in (
            ("icc_single", 1, "ICC(1)"),
            ("icc_mean", n_repeats, f"ICC(1,k), k = {n_repeats} repeats"),
        )
    ]
    return RepeatComponents(
        item=found[0],
        repeat=found[1],
        icc_single=singles[0],
        icc_mean=singles[1],
        n_items=n_items,
        n_repeats=n_repeats,
        cautions=_negative(found[0], "items differ less than repeats alone predict"),
    )


def predicted_se(
    components: RepeatComponents, *, n_items: int, n_repeats: int
) -> float:
    """Return the standard error of a mean score, were the design another.

    ``sqrt((item + repeat / n_repeats) / n_items)``: a D-study. At the design that was
    run it is the standard error of the mean over items of item means.

    Parameters
    ----------
    n_items, n_repeats : int
        1 or more; items drawn as those were, and the same sampling of answers.

    Returns
    -------
    float
        Score units; ``nan`` where the components predict a negative variance.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), the variance with K answers.
    """
    variance = components.item.value + components.repeat.value / n_repeats
    return math.sqrt(variance / n_items) if variance >= 0 else math.nan


def robust_seed_sd(last: Floats, *, confidence_level: float = 0.95) -> Estimate:
    """Return the standard deviation over seeds with an interval for heavy tails.

    Bonett's interval, whose width follows the kurtosis g of the seeds about their
    trimmed mean::

        c s^2 exp(-+ z c sqrt((g - (n - 3) / n) / (n - 1))),   c = n / (n - z)

    It assumes no distribution, but few seeds say little of their tails. By simulation
    it covers 96 to 99.6 % with 5 seeds and 89 to 97 % with 10, where seeds are normal,
    uniform, t of 5 df, Laplace, exponential, or normal with one in ten failed;
    chi-square's covers 82 to 98 and 77 to 99 %. With 5 seeds it is 2.5 times as wide,
    with 10 hardly wider. Below 5 none is both honest and of any use.

    Parameters
    ----------
    last : ndarray, shape (n_seeds,)
        Scores at one checkpoint; ``nan`` where not evaluated.
    confidence_level : float
        Above 0 and below 1.

    Notes
    -----
    Cautions: ``one-seed``, ``constant-over-seeds``; ``few-seeds``, below 5: there is
    no interval.

    References
    ----------
    D. G. Bonett, Comput. Statist. Data Anal. 50 (2006) 775.
    """
    from scipy.special import ndtri

    values = np.sort(last[~np.isnan(last)])
    n = len(values)
    method = "SD over seeds (ddof=1); interval of Bonett (2006)"
    if n < 2:
        return undefined(
            "seed_sd_last",
            n=n,
            method=method,
            code="one-seed",
            text=f"needs at least 2 training seeds, has {n}",
        )
    if np.ptp(values) <= SAME * np.abs(values).max():
        return undefined(
            "seed_sd_last",
            n=n,
            method=method,
            code="constant-over-seeds",
            text=f"all {n} seeds have the same score; more items would tell them apart",
        )
    sd = float(values.std(ddof=1))
    estimate = Estimate(
        quantity="seed_sd_last",
        value=sd,
        confidence_level=confidence_level,
        n=n,
        method=method,
    )
    if n < 5:
        few = f"an interval that allows for heavy tails needs 5 seeds, has {n}"
        return replace(estimate, cautions=(Caution("few-seeds", few),))
    z = float(ndtri(0.5 + confidence_level / 2))
    n_cut = min(int(n / (2 * math.sqrt(n - 4))), (n - 1) // 2)
    middle = values[n_cut : n - n_cut].mean()
    kurtosis = n * ((values - middle) ** 4).sum() / ((n - 1) * sd**2) ** 2
    c = n / (n - z)
    half = z * c * math.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    low, high = (sd * math.sqrt(c * math.exp(sign * half)) for sign in (-1, 1))
    return replace(estimate, interval=Interval(low, high))


def _components(
    cells: Floats, error: Floats | None, n_repeats: int, confidence_level: float
) -> SeedComponents:
    """Return components of (seeds, steps, items) means, averaged over steps."""
    n_seeds, n_steps, n_items = cells.shape
    size = SAME * np.abs(cells).max()
    means = cells.mean(-1)
    between = means.var(0, ddof=1)
    between[np.ptp(means, axis=0) <= size] = 0
    ms_seed = n_items * float(between.mean())
    # An item's part in each component, so that all but the seeds' are means over items.
    inside = cells - means[..., None]
    common = inside.mean(0)
    within = ((inside - common) ** 2).sum(0) / (n_seeds - 1)
    is_apart = np.ptp(cells, axis=0) > size
    within[~is_apart.any(-1)] = 0
    unbiased = n_items / (n_items - 1)
    residual_parts = unbiased * within.mean(0)
    item_parts = unbiased * (common**2 - within / n_seeds).mean(0)
    ms_residual = float(residual_parts.mean())

    squares = _Squares(
        seed=ms_seed,
        residual=ms_residual,
        item=n_seeds * float(item_parts.mean()) + ms_residual,
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
        quantity: _over_items(quantity, values, what, confidence_level)
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
    negative = _negative(seed, "seeds differ less than their items alone predict")
    cautions = (*negative, *_doubts(cells, is_apart, seed))

    def doubted(estimate: Estimate) -> Estimate:
        return replace(estimate, cautions=(*estimate.cautions, *cautions))

    return SeedComponents(
        seed=doubted(seed),
        item=found["item_variance"],
        residual=found["residual_variance"],
        interaction=found["interaction_variance"],
        error=found["error_variance"],
        seed_share=doubted(squares.seed_share()),
        corrected_sd=doubted(_root(seed)),
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
        if self.seed == self.residual == 0:
            return replace(estimate, cautions=(self._alike(),))
        df = self.n_seeds - 1
        tail = (1 - self.confidence_level) / 2
        low, high = (
            (self.seed - f * self.residual) * df / (self.n_items * chdtri(df, p))
            for f, p in zip(self._f_ends(), (tail, 1 - tail), strict=True)
        )
        return replace(estimate, interval=Interval(float(low), float(high)))

    def seed_share(self) -> Estimate:
        name = f"ICC(3,k), k = {self.n_items} items; F interval, normal seeds"
        if self.seed == 0:
            return self._undefined("seed_share", name)
        low, high = (1 - f * self.residual / self.seed for f in self._f_ends())
        return replace(
            self._estimate("seed_share", 1 - self.residual / self.seed, name),
            interval=Interval(low, high),
        )

    def icc_single(self) -> Estimate:
        name = "ICC(2,1); interval of McGraw and Wong, normal seeds"
        value, interval = self._icc()
        if math.isnan(value):
            return self._undefined("icc_single", name)
        return replace(
            self._estimate("icc_single", value, name), interval=Interval(*interval)
        )

    def icc_mean(self) -> Estimate:
        k = self.n_items
        name = f"ICC(2,k), k = {k} items; interval of McGraw and Wong, normal seeds"
        value, interval = self._icc()
        if math.isnan(value):
            return self._undefined("icc_mean", name)
        # Spearman and Brown's formula: k items instead of one.
        value, low, high = (k * r / (1 + (k - 1) * r) for r in (value, *interval))
        return replace(
            self._estimate("icc_mean", value, name), interval=Interval(low, high)
        )

    def _icc(self) -> tuple[float, tuple[float, float]]:
        """Return ICC(2,1), seeds as targets and items as judges, and its interval."""
        from scipy.special import fdtri

        n, k = self.n_seeds, self.n_items
        noise = k * self.item + (k * n - k - n) * self.residual
        total = n * self.seed + noise
        if self.seed == 0 or total <= 0:
            return math.nan, (math.nan, math.nan)
        value = n * (self.seed - self.residual) / total
        if noise == 0:
            return value, (value, value)
        # Satterthwaite's df of the variance that items and residual make: not below
        # that of items, as a negative share would have it.
        a = k * value / (n * (1 - value))
        b = 1 + a * (n - 1)
        parts = a * self.item, b * self.residual
        squares = parts[0] ** 2 / (k - 1), parts[1] ** 2 / ((n - 1) * (k - 1))
        v = max(sum(parts) ** 2 / sum(squares), k - 1)
        tail = (1 - self.confidence_level) / 2
        low_f = float(fdtri(n - 1, v, 1 - tail))
        high_f = float(fdtri(v, n - 1, 1 - tail))
        low = n * (self.seed - low_f * self.residual) / (low_f * noise + n * self.seed)
        high = (
            n * (high_f * self.seed - self.residual) / (noise + n * high_f * self.seed)
        )
        return value, (low, high)

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

    def _undefined(self, quantity: str, method: str) -> Estimate:
        caution = self._alike()
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


def _within(scores: Floats, means: Floats) -> Floats:
    """Return the variance over repeats of each cell, by two passes."""
    deviation = scores - means[..., None]
    squares = np.einsum("...k,...k->...", deviation, deviation)
    return np.asarray(squares / (scores.shape[-1] - 1))


def _over_items(
    quantity: str, parts: Floats, what: str, confidence_level: float
) -> Estimate:
    """Return the mean of what each item adds to a component."""
    interval, cautions = UNDEFINED, _flat(parts)
    if not cautions:
        low, high = mean_intervals(parts, confidence_level=confidence_level)
        interval = Interval(float(low), float(high))
        # Items with the same answers add the same, but for rounding.
        cautions = interval_cautions("hall", ties_made_equal(parts), None)
        cautions = cautions or _few_that_count(parts)
    return Estimate(
        quantity=quantity,
        value=float(parts.mean()),
        se=float(parts.std(ddof=1) / math.sqrt(len(parts))),
        interval=interval,
        confidence_level=confidence_level,
        n=len(parts),
        method=f"{what}; {HALL}",
        cautions=cautions,
    )


def _flat(parts: Floats) -> tuple[Caution, ...]:
    if np.ptp(parts) > 0:
        return ()
    text = f"all {len(parts)} items add the same, so their spread is not known"
    return (Caution("constant-over-items", text),)


def _ratio_over_items(
    quantity: str, above: Floats, below: Floats, name: str, confidence_level: float
) -> Estimate:
    from scipy.special import stdtrit

    n = len(above)
    if below.mean() <= 0:
        return undefined(
            quantity,
            n=n,
            method=name,
            code="constant-over-items",
            text="answers do not vary; other items would tell",
        )
    value = float(above.mean() / below.mean())
    linear = (above - value * below) / below.mean()
    cautions = _few_that_count(linear)
    se = float(linear.std(ddof=1) / math.sqrt(n))
    half = float(stdtrit(n - 1, 0.5 + confidence_level / 2)) * se
    return Estimate(
        quantity=quantity,
        value=value,
        se=se,
        interval=Interval(value - half, value + half),
        confidence_level=confidence_level,
        n=n,
        method=f"{name}; t interval over items, linearised",
        cautions=cautions,
    )


def _few_that_count(parts: Floats) -> tuple[Caution, ...]:
    """Tell where few items make the variance: n over the kurtosis of their parts."""
    squares = (parts - parts.mean()) ** 2
    n_counting = float(squares.sum() ** 2 / max(float(squares @ squares), 1e-300))
    if n_counting >= FEW_COUNTING_ITEMS:
        return ()
    text = (
        f"{len(parts)} items vary as if {n_counting:.3g} of them alone did; below "
        f"{FEW_COUNTING_ITEMS} the interval does not hold its level, so ask more items"
    )
    return (Caution("few-items", text),)


def _root(seed: Estimate) -> Estimate:
    low, high = (math.sqrt(max(end, 0)) for end in seed.interval)
    return replace(
        seed,
        quantity="corrected_sd",
        value=math.sqrt(max(seed.value, 0)),
        interval=Interval(low, high),
        method=f"square root of the seed variance, 0 if negative; {WILLIAMS}",
    )


def _negative(component: Estimate, text: str) -> tuple[Caution, ...]:
    if component.value >= 0:
        return ()
    return (Caution("negative-component", f"{text}: {component.value:.3g}"),)


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


def _check_counts(n_replicates: int, n_items: int, word: str = "seed") -> None:
    if n_replicates < 2:
        raise DesignError(
            f"variance components need at least 2 {word}s, got {n_replicates}; "
            f"add {word}s to the suite's design",
            code="too-few-replicates",
        )
    if n_items < 2:
        raise DesignError(
            f"variance components need at least 2 items, got {n_items}; "
            "give the items that all share, or ask more",
            code="too-few-items",
        )
