"""How much do answers to the same item vary? Items, repeats, and other designs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import HALL, interval_cautions, mean_intervals
from harness.stats.ranks import ties_made_equal
from harness.stats.resample import check_scores

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

FEW_COUNTING_ITEMS = 20
"""Fewer items that make the variance of a component, as of nearly certain answers,
leave its interval with 20 to 88 % instead of 95, and of 30 ordinary items up to 99."""

BLOCK = 2**14
"""Deviations at a time, 128 KB: to lay out all takes longer than to square them."""

SAME = 1e-12
"""Scores and means that differ by less, relative to the largest, differ by rounding."""


class ComponentTable:
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
class RepeatComponents(ComponentTable):
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
    differ in a part, or for `icc_mean` in their means; of the components those of
    `harness.stats.intervals.score_interval`, and ``value-outside-interval``;
    ``few-items``, where few of them make the variance.

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
    check_counts(n_repeats, n_items, "repeat")
    check_scores(scores.T)
    means = scores.mean(-1)
    repeat = variance_over_repeats(scores, means)
    apart = without_rounding(means - means.mean(), np.abs(scores).max())
    spread = apart**2 * n_items / (n_items - 1)
    item = spread - repeat / n_repeats
    parts = {
        "item_variance": (item, "variance of item means less that of repeats"),
        "repeat_variance": (repeat, "variance over repeats, mean over items"),
    }
    found = [
        component_over_items(quantity, values, what, confidence_level)
        for quantity, (values, what) in parts.items()
    ]
    singles = [
        _ratio_over_items(quantity, item, below, name, confidence_level)
        for quantity, below, name in (
            ("icc_single", item + repeat, "ICC(1)"),
            ("icc_mean", spread, f"ICC(1,k), k = {n_repeats} repeats"),
        )
    ]
    return RepeatComponents(
        item=found[0],
        repeat=found[1],
        icc_single=singles[0],
        icc_mean=singles[1],
        n_items=n_items,
        n_repeats=n_repeats,
        cautions=negative_component(
            found[0], "items differ less than repeats alone predict"
        ),
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


def variance_over_repeats(scores: Floats, means: Floats) -> Floats:
    """Return the variance over repeats of each cell, by two passes."""
    squares = squares_over_repeats(scores, means)
    return np.asarray(squares / (scores.shape[-1] - 1))


def squares_over_repeats(scores: Floats, means: Floats) -> Floats:
    """Return sums over repeats of squared deviations from the mean of each cell."""
    n = scores.shape[-1]
    cells, centres = scores.reshape(-1, n), means.reshape(-1, 1)
    squares, ones = np.empty(len(cells)), np.ones(n)
    n_cells = max(1, BLOCK // n)
    for start in range(0, len(cells), n_cells):
        part = slice(start, start + n_cells)
        deviations = cells[part] - centres[part]
        deviations *= deviations
        # A product with ones sums short rows eight times as fast as `sum` does.
        np.matmul(deviations, ones, out=squares[part])
    squares[squares <= (SAME * np.abs(means).max()) ** 2] = 0
    return squares.reshape(means.shape)


def without_rounding(differences: Floats, size: float) -> Floats:
    """Return differences of scores up to `size` with those of rounding made 0."""
    return np.where(np.abs(differences) <= SAME * size, 0, differences)


def component_over_items(
    quantity: str, parts: Floats, what: str, confidence_level: float
) -> Estimate:
    """Return the mean of what each item adds to a component.

    Parameters
    ----------
    parts : ndarray, shape (n_items,)
        Squared score units; independent, of any distribution.
    what : str
        The estimator, for `method`.

    Notes
    -----
    Cautions: ``constant-over-items``, ``few-items``, ``value-outside-interval`` (there
    is none: the level is low, say) and those of
    `harness.stats.intervals.score_interval`.
    """
    estimate = Estimate(
        quantity=quantity,
        value=float(parts.mean()),
        se=float(parts.std(ddof=1) / math.sqrt(len(parts))),
        confidence_level=confidence_level,
        n=len(parts),
        method=f"{what}; {HALL}",
        cautions=_flat(parts),
    )
    if estimate.cautions:
        return estimate
    low, high = mean_intervals(parts, confidence_level=confidence_level)
    # Items with the same answers add the same, but for rounding.
    cautions = interval_cautions("hall", ties_made_equal(parts), None)
    cautions = cautions or _few_that_count(parts)
    return with_interval(replace(estimate, cautions=cautions), float(low), float(high))


def with_interval(estimate: Estimate, low: float, high: float) -> Estimate:
    """Return the estimate with its interval, or with the reason why it has none."""
    if low <= estimate.value <= high:
        return replace(estimate, interval=Interval(low, high))
    text = (
        f"no interval: with equal tails it is {low:.3g} to {high:.3g} and leaves the "
        "value out, as where seeds hardly differ or the level is low; more items, or "
        "a higher level, would do"
    )
    outside = Caution("value-outside-interval", text)
    return replace(estimate, cautions=(outside, *estimate.cautions))


def check_counts(n_replicates: int, n_items: int, word: str = "seed") -> None:
    """Refuse tables in which one way of the two cannot vary.

    Raises
    ------
    DesignError
        ``too-few-replicates`` or ``too-few-items`` (fewer than 2).
    """
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


def negative_component(component: Estimate, text: str) -> tuple[Caution, ...]:
    """Return the caution that a variance came out negative, if it did."""
    if component.value >= 0:
        return ()
    return (Caution("negative-component", f"{text}: {component.value:.3g}"),)


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
            text="the variance that it is a share of is 0; other items would tell",
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


def _flat(parts: Floats) -> tuple[Caution, ...]:
    if np.ptp(parts) > 0:
        return ()
    text = f"all {len(parts)} items add the same, so their spread is not known"
    return (Caution("constant-over-items", text),)


def _few_that_count(parts: Floats) -> tuple[Caution, ...]:
    """Tell where few items make the variance: n over the kurtosis of their parts."""
    squares = (parts - parts.mean()) ** 2
    n_counting = float(squares.sum() ** 2 / max(float(squares @ squares), 1e-300))
    if n_counting >= FEW_COUNTING_ITEMS:
        return ()
    text = (
        f"{len(parts)} items vary as if {n_counting:.3g} of them alone did; below "
        f"{FEW_COUNTING_ITEMS} the interval need not hold its level, and does not "
        "where nearly all answers are alike; more items would tell"
    )
    return (Caution("few-items", text),)
