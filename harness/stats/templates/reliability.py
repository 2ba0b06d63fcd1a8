"""How many resampled prompts does a mean score need to be reliable?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.resample import RNGLike, SeedLike, check_scores

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

EPSILON, DELTA = 0.01, 0.1
"""How near the mean over all, and how often not: those of the source."""

EPSILON_LOW = 1e-6
"""No score is known so well; below, numbers of templates lose their sense."""

N_SUBSETS = 5_000
"""Subsets drawn of each size, where not all are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReliableNumber:
    """How many resamplings bring a mean score near the mean over all of them.

    Attributes
    ----------
    n_needed : int
        The smallest size whose subsets are near enough, by the rule of the source.
    n_analytic : float
        ``(z s / epsilon)^2``, for resamplings without end, with the SD estimated from
        those at hand (ddof=1); round it up.
    mean, sd : float
        Over all resamplings; the SD is that of the population (ddof=0), as published.
    deviation : ndarray, shape (n_resamplings,)
        The ``1 - delta / 2`` quantile of ``|mean of k - mean of all|`` for k from 1.
    """

    n_needed: int
    n_analytic: float
    mean: float
    sd: float
    deviation: Floats
    epsilon: float
    delta: float
    n_resamplings: int
    n_subsets: int
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "deviation": self.deviation.tolist()}

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each size."""
        import pandas as pd

        return pd.DataFrame(
            {
                "n": np.arange(1, self.n_resamplings + 1),
                "deviation": self.deviation,
                "is_reliable": self.deviation < self.epsilon,
            }
        )


def reliable_number(
    means: Floats,
    *,
    epsilon: float = EPSILON,
    delta: float = DELTA,
    n_subsets: int = N_SUBSETS,
    rng: RNGLike | SeedLike | None = None,
) -> ReliableNumber:
    """Return how many resamplings make a mean score (epsilon, delta)-reliable.

    ReliableEval's rule: the smallest k for which the ``1 - delta / 2`` quantile of
    ``|mean of k - mean of all|`` is below `epsilon`, over subsets of k without
    replacement: all of them for k of 1 and 2, and, where the source draws, for k with
    no more than `n_subsets`; else so many at random. A resampling
    is one score of the whole data set; with a template for each, the templates are
    draws from those that could have been written.

    `n_analytic` is what the same asks of a normal mean over resamplings without end:
    ``P(|mean of n - mu| < epsilon) = 1 - delta``, as if the SD were known; of 8
    resamplings it is not, and so many then are near enough in .86 instead of .90 of
    cases. The rule is stricter by its quantile
    (of the absolute deviation at ``1 - delta / 2``, which a normal mean meets at
    ``z(1 - delta / 4)``), and laxer since it draws from a finite set, whose every mean
    is that of all in the end.

    Parameters
    ----------
    means : ndarray, shape (n_resamplings,)
        Score units.
    epsilon : float
        Score units, above 0.
    delta : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``too-few-replicates`` (fewer than 2), ``missing-scores``, ``bad-tolerance``.

    Notes
    -----
    Cautions: ``resamplings-run-out``, where more than half of them are needed, which
    says more of their number than of the templates.

    References
    ----------
    G. Lior et al., ReliableEval, arXiv 2505.22169 (2025), and its code. The analytic
    companion is ours.
    """
    from scipy.special import ndtri

    rng = np.random.default_rng(rng)
    means = np.asarray(means, dtype=np.float64)
    n = len(means)
    if n < 2:
        raise DesignError(
            f"a reliable number needs at least 2 resamplings, got {n}; add templates "
            "to the suite's design",
            code="too-few-replicates",
        )
    check_scores(means)
    if not EPSILON_LOW <= epsilon < math.inf or not 0 < delta < 1:
        raise DesignError(
            f"within {epsilon:g} in all but {delta:g} of cases is no question; give "
            f"an epsilon of {EPSILON_LOW:g} or more and a delta between 0 and 1",
            code="bad-tolerance",
        )
    apart = means - means.mean()
    # Cut short at every length, one order at random gives a subset of each size.
    orders = rng.permuted(np.tile(apart, (n_subsets, 1)), axis=1)
    sums = np.cumsum(orders, axis=1, out=orders)
    deviation = np.quantile(np.abs(sums), 1 - delta / 2, axis=0) / np.arange(1, n + 1)
    for k in range(1, n):
        if k <= 2 or math.comb(n, k) <= n_subsets:
            some = _subsets(n, k)
            means_of_all = apart[some].mean(1)
            deviation[k - 1] = np.quantile(np.abs(means_of_all), 1 - delta / 2)
    deviation[-1] = 0
    n_needed = int(np.argmax(deviation < epsilon)) + 1
    without_end = float(ndtri(1 - delta / 2) * means.std(ddof=1) / epsilon) ** 2
    cautions = []
    if n_needed > n / 2:
        text = (
            f"{n_needed} of {n} resamplings are needed, and subsets so large share "
            "most of what they are compared with; run more, or trust the analytic "
            "number"
        )
        cautions.append(Caution("resamplings-run-out", text))
    return ReliableNumber(
        n_needed=n_needed,
        n_analytic=without_end,
        mean=float(means.mean()),
        sd=float(means.std()),
        deviation=deviation,
        epsilon=epsilon,
        delta=delta,
        n_resamplings=n,
        n_subsets=n_subsets,
        cautions=tuple(cautions),
    )


def _subsets(n: int, k: int) -> npt.NDArray[np.intp]:
    """Return all subsets of k of n numbers, one a row."""
    if k == 2:
        return np.column_stack(np.triu_indices(n, 1))
    return np.array(list(combinations(range(n), k)), dtype=np.intp)
