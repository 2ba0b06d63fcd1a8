"""Which few user prompts tell system prompts apart?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, combinations, islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.prompts.cells import Cells
from harness.stats.repeats import SAME

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
SearchMethod = Literal["exhaustive", "greedy"]

SEARCH_NAMES: dict[SearchMethod, str] = {
    "exhaustive": "every subset examined",
    "greedy": "greedy from the best pair and single prompts, swaps while any helps",
}
"""Each way to search in the words the report prints."""

BUDGET = 1_000_000
"""Subsets that are all examined; with more of them the search is greedy."""

STARTS = 10
"""Single prompts that a greedy search starts from, those with the highest scores,
beside the best pair. Of random tables (12 user prompts, 5 chosen) one start finds the
best of all subsets in 76 %, all of them in 99 %."""

BLOCK = 2**20
"""Entries of Q that are added up at a time: 8 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Search:
    """The subset with the highest score that was found.

    Attributes
    ----------
    columns : ndarray of int
        Of the matrix, ascending.
    score : float
        ``1/k^2`` times the sum of Q over it: a variance in squared reward units.
    method : {"exhaustive", "greedy"}
        Whether it is the highest of all subsets, or the best that was met.
    n_subsets : int
        How many were examined.
    """

    columns: Codes
    score: float
    method: SearchMethod
    n_subsets: int


def score_matrix(cells: Cells) -> Floats:
    """Return Q, whose mean over rows and columns of a subset is p1's Score(S).

    ``Q = Cov_n(x; ddof=0) - diag((N - 1) / N^2 sum_n v[n, u] / K[n, u])``, so that
    ``1/k^2 sum over u, w in T of Q[u, w]`` is what
    `harness.stats.prompts.variance.prompt_variance` calls `among_system_prompts` of T:
    a variance, in squared reward units, that the paper calls a score.

    References
    ----------
    Z. Gao et al., arXiv 2604.08801 (2026), algorithm 1; the matrix is ours.
    """
    n = len(cells.means)
    apart = cells.means - cells.means.mean(0)
    q: Floats = apart.T @ apart / n
    np.fill_diagonal(q, q.diagonal() - (n - 1) / n * cells.noise.mean(0))
    return q


def subset_score(q: Floats, columns: Codes) -> Floats:
    """Return the score of each subset: columns of shape (..., k), scores of (...)."""
    k = columns.shape[-1]
    sums = q[columns[..., :, None], columns[..., None, :]].sum((-2, -1))
    return np.asarray(sums / k**2)


def best_subset(q: Floats, size: int, *, budget: int = BUDGET) -> Search:
    """Return the `size` columns with the highest score.

    All subsets are examined where there are `budget` of them or fewer; of equal
    scores the first in lexicographic order is taken. Beyond, columns are added one by
    one to the best pair, each the one that raises the score most; then the swap of
    one chosen for one other that raises it most is made, while there is one.

    Raises
    ------
    DesignError
        ``subset-size``.
    """
    n = len(q)
    if not 1 <= size <= n:
        raise DesignError(
            f"a subset of {size} user prompts was asked for; it must have at least 1 "
            f"and at most all {n}",
            code="subset-size",
        )
    n_subsets = math.comb(n, size)
    if n_subsets <= max(budget, 1):
        return Search(
            columns=(best := _exhaustive(q, size)),
            score=float(subset_score(q, best)),
            method="exhaustive",
            n_subsets=n_subsets,
        )
    singles = np.argsort(-q.diagonal(), kind="stable")[:STARTS, None]
    starts = [*singles, _best_pair(q)] if size > 1 else [singles[0]]
    found = [_greedy(q, start.tolist(), size) for start in starts]
    slack = _slack(q, size)
    scores = np.array([float(subset_score(q, columns)) for columns, _ in found])
    best = found[int((scores >= scores.max() - slack).argmax())][0]
    return Search(
        columns=best,
        score=float(subset_score(q, best)),
        method="greedy",
        n_subsets=sum(n_subsets for _, n_subsets in found) + math.comb(n, 2),
    )


def _slack(q: Floats, size: int) -> float:
    """Return by how much scores that are equal may differ by rounding."""
    return SAME * float(np.abs(q).max()) * size


def _exhaustive(q: Floats, size: int) -> Codes:
    if size == 2:
        return _best_pair(q)
    # A score that is larger by rounding alone is none that is larger.
    slack = _slack(q, size)
    best, found = -math.inf, np.arange(size)
    subsets = combinations(range(len(q)), size)
    n_rows = max(1, BLOCK // size**2)
    while rows := list(islice(subsets, n_rows)):
        flat = np.fromiter(chain.from_iterable(rows), dtype=np.intp)
        block = flat.reshape(-1, size)
        scores = subset_score(q, block)
        if scores.max() > best + slack:
            first = int((scores >= scores.max() - slack).argmax())
            best, found = float(scores[first]), block[first]
    return found


def _best_pair(q: Floats) -> Codes:
    own = q.diagonal()
    scores = own[:, None] + own + 2 * q
    scores[np.tril_indices(len(q))] = -np.inf
    first = int((scores >= scores.max() - _slack(q, 2)).argmax())
    return np.array(divmod(first, len(q)), dtype=np.intp)


def _greedy(q: Floats, chosen: list[int], size: int) -> tuple[Codes, int]:
    """Return where a start leads, and how many subsets were examined on the way."""
    n, own = len(q), q.diagonal()
    slack = _slack(q, size) * size
    toward = q[chosen].sum(0)
    n_subsets = 0
    while len(chosen) < size:
        gain = own + 2 * toward
        gain[chosen] = -np.inf
        n_subsets += n - len(chosen)
        chosen.append(int((gain >= gain.max() - slack).argmax()))
        toward += q[chosen[-1]]
    while True:
        rest = np.setdiff1d(np.arange(n), chosen)
        n_subsets += len(rest) * size
        lost = own[chosen] - 2 * toward[chosen]
        won = own[rest] + 2 * toward[rest]
        gain = lost[:, None] + won - 2 * q[chosen][:, rest]
        if gain.max() <= slack:
            return np.sort(np.array(chosen, dtype=np.intp)), n_subsets
        out, into = divmod(int((gain >= gain.max() - slack).argmax()), len(rest))
        toward += q[rest[into]] - q[chosen[out]]
        chosen[out] = int(rest[into])
