"""How sure is a mean score whose items come in clusters, such as one passage's?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Clusters = Sequence[Any] | npt.NDArray[Any]
ClusterKind = Literal["miller", "cr0", "cr1"]

CLUSTER_KINDS: dict[ClusterKind, str] = {
    "miller": "clustered standard error (Miller 2024)",
    "cr0": "clustered standard error (CR0)",
    "cr1": "clustered standard error (CR1)",
}


def clustered_se(
    scores: Floats, clusters: Clusters, *, kind: ClusterKind = "cr1"
) -> Floats:
    """Return the standard error of each mean when whole clusters were drawn.

    With residuals ``e = score - mean``, their sum ``E_c`` over each of G clusters, and
    n items::

        miller  sum e^2 / (n (n - 1)) + (sum E_c^2 - sum e^2) / n^2
        cr0     sum E_c^2 / n^2
        cr1     cr0 G / (G - 1)

    are its squares. Items of one cluster may depend on each other in any way; clusters
    are independent draws from those that could have been asked.

    Parameters
    ----------
    scores : ndarray, shape (..., n_items)
        One score for each item: average repeats first, they are no items.
    clusters : sequence, shape (n_items,)
        Which cluster each item belongs to: names, or numbers, which are faster when
        they are integers counted from 0.
    kind : {"cr1", "cr0", "miller"}
        `cr0` is too small for few clusters, `miller` as well, by a little less;
        `cr1` is not on average when clusters are of one size.

    Returns
    -------
    ndarray, shape (...)
        In score units. With one cluster there is none: ``nan`` by `cr1`, while the
        others answer about 0, since residuals that are all in it sum to 0.

    Raises
    ------
    DesignError
        ``unequal-lengths``, ``missing-clusters``, ``unknown-method``.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), on clustered questions. A. C. Cameron, D. L.
    Miller, J. Human Resources 50 (2015) 317: CR0 and CR1.
    """
    scores = np.asarray(scores, dtype=np.float64)
    codes = cluster_codes(clusters, scores.shape[-1])
    return se_by_codes(scores, codes, kind=kind)


def cluster_codes(clusters: Clusters, n_items: int) -> Codes:
    """Return the number of each item's cluster, counted from 0.

    Raises
    ------
    DesignError
        ``unequal-lengths``: not one cluster for each item; ``missing-clusters``.
    """
    import pandas as pd

    labels = np.asarray(clusters)
    if labels.shape != (n_items,):
        raise DesignError(
            f"{n_items} items and clusters of shape {labels.shape}; give one cluster "
            "for each item",
            code="unequal-lengths",
        )
    is_number = labels.dtype.kind in "iu" and n_items > 0
    # Numbers up to a few times the items need no table of those that occur.
    if is_number and labels.min() >= 0 and labels.max() < 4 * n_items:
        return labels.astype(np.intp, copy=False)
    codes, _ = pd.factorize(labels)
    if missing := np.flatnonzero(codes < 0).tolist():
        raise DesignError(
            f"{len(missing)} of {n_items} items have no cluster, first {missing[:3]}; "
            "an item on its own needs a cluster of its own",
            code="missing-clusters",
        )
    return codes


def count_clusters(codes: Codes) -> int:
    """Return how many clusters have items."""
    return int(np.count_nonzero(np.bincount(codes)))


def se_by_codes(scores: Floats, codes: Codes, *, kind: ClusterKind) -> Floats:
    """Return `clustered_se` of clusters that `cluster_codes` has numbered."""
    if kind not in CLUSTER_KINDS:
        raise DesignError(
            f"there is no clustered standard error {kind!r}; choose one of "
            f"{', '.join(CLUSTER_KINDS)}",
            code="unknown-method",
        )
    n = scores.shape[-1]
    if n == 0:
        return np.full(scores.shape[:-1], np.nan)
    n_clusters = count_clusters(codes)
    rows = scores.reshape(-1, n)
    between, within = np.empty(len(rows)), np.empty(len(rows))
    # A row at a time: its residuals stay in the cache, and there is no second table.
    for i, row in enumerate(rows):
        error = row - row.mean()
        sums = np.bincount(codes, weights=error)
        between[i], within[i] = sums @ sums, error @ error
    squares = between / n**2
    if kind == "cr1":
        squares *= n_clusters / (n_clusters - 1) if n_clusters > 1 else np.nan
    if kind == "miller":
        squares += within / n**2 / (n - 1) if n > 1 else np.nan
    return np.asarray(np.sqrt(squares).reshape(scores.shape[:-1]))


def effective_clusters(clusters: Clusters) -> float:
    """Return how many clusters of one size would tell as much as these.

    ``n^2 / sum n_c^2`` (Kish 1965): the number of clusters where all have as many
    items, fewer where a few have most. It is right for items that, within a cluster,
    are all but copies of each other.
    """
    sizes = np.bincount(cluster_codes(clusters, len(clusters))).astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes @ sizes)) if len(clusters) else 0.0


def cluster_df(scores: Floats, codes: Codes) -> float:
    """Return the degrees of freedom that the squared CR1 standard error has.

    ``(sum v)^2 / sum v^2 - 1`` (Satterthwaite), with ``v = m (1 + (m - 1) r)`` the
    variance of a cluster's sum of m items, r their correlation, from the ratio of
    clustered to independent variance, kept within 0 and 1. ``G - 1`` for clusters of
    one size, and far fewer where few of them hold most items.

    Parameters
    ----------
    scores : ndarray, shape (n_items,)
    codes : ndarray, shape (n_items,)
        From `cluster_codes`.

    References
    ----------
    R. M. Bell, D. F. McCaffrey, Survey Methodology 28 (2002) 169; G. W. Imbens,
    M. Kolesar, Rev. Econ. Statist. 98 (2016) 701: the degrees of freedom that equal
    correlation within clusters gives. This differs in taking residuals of different
    clusters as independent, and CR1 for CR2.
    """
    together = se_by_codes(scores, codes, kind="cr1") ** 2
    return float(df_of_variances(scores.var() / len(scores), together, codes))


def df_of_variances(
    alone: Floats | float, together: Floats | float, codes: Codes
) -> Floats:
    """Return `cluster_df` of means known by their variances alone.

    Parameters
    ----------
    alone, together : ndarray
        Squared standard errors: of independent items (ddof 0), and CR1.
    codes : ndarray, shape (n_items,)
        From `cluster_codes`.
    """
    m = np.bincount(codes)
    m = m[m > 0].astype(np.float64)
    alone = np.asarray(alone)
    excess = float(m @ m) / m.sum() - 1
    ratio = np.full(alone.shape, np.inf)
    np.divide(together, alone, out=ratio, where=alone > 0)
    r = np.clip((ratio - 1) / excess, 0, 1) if excess > 0 else np.ones_like(ratio)
    # v = m + m (m - 1) r, summed over clusters, and its square.
    extra = m * (m - 1)
    total = m.sum() + extra.sum() * r
    squares = m @ m + 2 * (m @ extra) * r + extra @ extra * r**2
    return np.asarray(total**2 / squares - 1)
