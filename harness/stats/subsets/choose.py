"""Which few items stand for all? Subsets, chosen on answers that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.irt.information import item_information
from harness.stats.irt.model import ItemModel
from harness.stats.resample import check_scores
from harness.stats.subsets.calibrate import Calibration, calibrate

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
RNGLike = np.random.Generator | np.random.BitGenerator
SeedLike = int | np.integer[Any] | Sequence[int] | np.random.SeedSequence
SubsetMethod = Literal[
    "random", "stratified", "anchors-correct", "anchors-irt", "information"
]

METHOD_NAMES: dict[SubsetMethod, str] = {
    "random": "items at random",
    "stratified": "an item at random from each stratum of neighbours in difficulty",
    "anchors-correct": "anchors: k-means on who answered right",
    "anchors-irt": "anchors: k-means on item parameters",
    "information": "most information over the abilities of the models",
}
"""Each method in the words the report prints; the first two learn nothing that could
fail on another model, and are the control."""

N_QUANTILES = 20
"""Abilities at which information is weighed."""

MAX_ROUNDS = 30
"""Rounds of k-means; by then only single items change their cluster."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subset:
    """A few items that stand for all.

    Attributes
    ----------
    method : str
        How it was chosen: a key of `METHOD_NAMES`.
    items : ndarray, shape (n_items,)
        Their columns in the full table, ascending.
    weights : ndarray, shape (n_items,)
        What share of the full set each stands for; they sum to 1.
    item_ids : tuple of str
        Their names, in the same order.
    n_items_total : int
        Items of the full set.
    fitted_on : tuple of str
        The respondents whose answers decided; empty for ``random``.
    """

    method: SubsetMethod
    items: Codes
    weights: Floats
    item_ids: tuple[str, ...]
    n_items_total: int
    fitted_on: tuple[str, ...]
    cautions: tuple[Caution, ...] = ()

    @property
    def n_items(self) -> int:
        """How many items were chosen."""
        return len(self.items)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "method": self.method,
            "n_items": self.n_items,
            "n_items_total": self.n_items_total,
            "items": self.items.tolist(),
            "item_ids": list(self.item_ids),
            "weights": self.weights.tolist(),
            "fitted_on": list(self.fitted_on),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each chosen item: item, item_id, weight."""
        import pandas as pd

        return pd.DataFrame(
            {"item": self.items, "item_id": self.item_ids, "weight": self.weights}
        )


def choose_subset(
    scores: Floats,
    n_items: int,
    *,
    method: SubsetMethod,
    calibration: Calibration | None = None,
    strata: Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    respondents: Sequence[str] | None = None,
    rng: RNGLike | SeedLike | None = None,
) -> Subset:
    """Choose `n_items` of all items, with weights that stand for the rest.

    ``random``
        Each subset is as likely; weights ``1 / n_items``.
    ``stratified``
        Items are ranked by `strata`, then by mean score; the ranking is cut into
        `n_items` equal blocks, one item is drawn from each and weighs as much as its
        block. Unbiased for any model, as ``random`` is.
    ``anchors-correct``, ``anchors-irt``
        Items are clustered by k-means; of each cluster the item nearest to its centre
        is taken and weighs as much as the cluster. Points are the columns of `scores`,
        or the parameters ``(a, a b, c)`` of the calibrated items.
    ``information``
        Greedy: the item that adds most to ``sum over q of log(1/sd^2 + I(theta_q))``,
        with I the Fisher information of the items chosen so far and theta_q 20
        quantiles of the respondents' abilities. Hence what matters is the precision
        that is still missing, and where. Weights are ``1 / n_items``, but the items
        are none that a mean would represent: read them with ``p-irt``.

    Anchors and information assume that items order new models as they ordered these.

    Parameters
    ----------
    scores : ndarray, shape (n_respondents, n_items_total)
        Of the respondents that may be learnt from; no missing values.
    n_items : int
        From 1 to all.
    calibration : Calibration, optional
        Of the same `scores`, for ``anchors-irt`` and ``information``; made by
        `calibrate` where it is needed and not given.
    strata : sequence of str, optional
        A label for each item, such as its subtask, for ``stratified``.
    item_ids : sequence of str, optional
        Names of the items; their column numbers otherwise.
    respondents : sequence of str, optional
        Names of the rows; their numbers otherwise.

    Raises
    ------
    DesignError
        ``subset-size``, ``missing-scores``, ``unknown-method``, and those of
        `calibrate`.

    References
    ----------
    F. Maia Polo et al., tinyBenchmarks, arXiv 2402.14992 (2024), section 3; it may
    take one item for two centres, here an anchor is of its own cluster. A. Kipnis et
    al., metabench, arXiv 2407.12844 (2024), takes the most informative item at each
    of its quantiles. G. L. Nemhauser, L. A. Wolsey, M. L. Fisher, Math. Programming 14
    (1978) 265: greedy reaches at least 63 % of the best such sum.
    """
    rng = np.random.default_rng(rng)
    n_respondents, n_total = scores.shape
    _check_method(method)
    check_size(n_items, n_total)
    check_scores(scores)
    weights = np.full(n_items, 1 / n_items)
    cautions: tuple[Caution, ...] = ()
    if method == "random":
        items = rng.choice(n_total, n_items, replace=False)
    elif method == "stratified":
        items, weights = _stratified(scores.mean(0), n_items, strata, rng)
    elif method == "anchors-correct":
        items, weights = _anchors(scores.T, n_items, rng)
    else:
        calibration = calibration or calibrate(scores)
        cautions = calibration.cautions
        if method == "anchors-irt":
            items, weights = _anchors(_parameters(calibration.items), n_items, rng)
        else:
            items = _informative(calibration, n_items)
    order = np.argsort(items)
    items = items[order]
    rows = respondents if respondents is not None else map(str, range(n_respondents))
    return Subset(
        method=method,
        items=items,
        weights=weights[order],
        item_ids=tuple(
            str(i) if item_ids is None else item_ids[i] for i in items.tolist()
        ),
        n_items_total=n_total,
        fitted_on=() if method == "random" else tuple(rows),
        cautions=cautions,
    )


def check_size(n_items: int, n_items_total: int) -> None:
    """Refuse a size that a subset cannot have (``subset-size``)."""
    if not 1 <= n_items <= n_items_total:
        raise DesignError(
            f"a subset of {n_items} items was asked for; it must have at least 1 and "
            f"at most all {n_items_total}",
            code="subset-size",
        )


def _check_method(method: str) -> None:
    if method not in METHOD_NAMES:
        raise DesignError(
            f"there is no subset method {method!r}; choose one of "
            f"{', '.join(METHOD_NAMES)}",
            code="unknown-method",
        )


def _stratified(
    difficulty: Floats,
    n_items: int,
    strata: Sequence[str] | None,
    rng: np.random.Generator,
) -> tuple[Codes, Floats]:
    n_total = len(difficulty)
    label = np.zeros(n_total) if strata is None else np.asarray(strata)
    # Ties in random order: neighbours in the file may be alike.
    order = np.lexsort((rng.random(n_total), difficulty, label))
    starts = np.arange(n_items + 1) * n_total // n_items
    sizes = np.diff(starts)
    return order[starts[:-1] + rng.integers(sizes)], sizes / n_total


def _parameters(items: ItemModel) -> Floats:
    """Return the items as points; a b, not b, which runs away where a is small."""
    a, b = items.discrimination, items.difficulty
    return np.column_stack([a, a * b, items.guessing])


def _anchors(
    points: Floats, n_items: int, rng: np.random.Generator
) -> tuple[Codes, Floats]:
    labels, distance = _clusters(np.ascontiguousarray(points), n_items, rng)
    nearest_first = np.lexsort((distance, labels))
    _, first, counts = np.unique(
        labels[nearest_first], return_index=True, return_counts=True
    )
    return nearest_first[first], counts / len(points)


def _clusters(
    points: Floats, n_clusters: int, rng: np.random.Generator
) -> tuple[Codes, Floats]:
    """Return each point's cluster and its squared distance to that cluster's centre.

    k-means by Lloyd's algorithm from k-means++ centres; no cluster is empty.
    """
    sizes = (points**2).sum(1)
    centres = points[_spread_out(points, sizes, n_clusters, rng)]
    labels = np.full(len(points), -1)
    for _ in range(MAX_ROUNDS):
        old = labels
        distances = (centres**2).sum(1) - 2 * points @ centres.T
        labels = distances.argmin(1)
        nearest = sizes + distances[np.arange(len(points)), labels]
        labels = _none_empty(labels, nearest, n_clusters)
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        starts = np.cumsum(counts) - counts
        centres = np.add.reduceat(points[order], starts, axis=0) / counts[:, None]
        if (labels == old).all():
            break
    return labels, ((points - centres[labels]) ** 2).sum(1)


def _spread_out(
    points: Floats, sizes: Floats, n: int, rng: np.random.Generator
) -> Codes:
    """Return points for first centres, each drawn by its distance from those before.

    D. Arthur, S. Vassilvitskii, SODA (2007) 1027: k-means++.
    """
    nearest = np.full(len(points), np.inf)
    chance = np.ones(len(points))
    chosen = np.empty(n, dtype=np.intp)
    for k in range(n):
        total = chance.cumsum()
        # Where all points are taken, or equal to one that is, any will do.
        at = total.searchsorted(rng.random() * total[-1], side="right")
        chosen[k] = min(at, len(points) - 1)
        centre = points[chosen[k]]
        distance = sizes + sizes[chosen[k]] - 2 * points @ centre
        nearest = np.minimum(nearest, np.maximum(distance, 0))
        chance = nearest
    return chosen


def _none_empty(labels: Codes, nearest: Floats, n_clusters: int) -> Codes:
    """Give each empty cluster the point that is worst off where it is."""
    labels = labels.copy()
    counts = np.bincount(labels, minlength=n_clusters)
    for empty in np.flatnonzero(counts == 0):
        point = np.where(counts[labels] > 1, nearest, -np.inf).argmax()
        counts[labels[point]] -= 1
        counts[empty] = 1
        labels[point] = empty
    return labels


def _informative(calibration: Calibration, n_items: int) -> Codes:
    at = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    gain = item_information(calibration.items, np.quantile(calibration.ability, at))
    total = np.full((N_QUANTILES, 1), calibration.items.ability_sd**-2)
    chosen = np.empty(n_items, dtype=np.intp)
    is_free = np.ones(gain.shape[1], dtype=bool)
    for k in range(n_items):
        worth = np.log1p(gain / total).sum(0)
        chosen[k] = np.where(is_free, worth, -np.inf).argmax()
        is_free[chosen[k]] = False
        total = total + gain[:, chosen[k], None]
    return chosen
