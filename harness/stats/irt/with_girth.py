"""Item models by girth, within its range. The only module that imports girth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.irt.likelihood import Answers, Curves, settle
from harness.stats.irt.marginal import Fitted, Kind, start

Floats = npt.NDArray[np.float64]

NODES = 61
"""Gauss-Legendre nodes asked for; girth's own default is 41."""

REACH = 4.5
"""girth integrates over abilities from minus to plus so many SD."""

MOST_PASSES = 200
"""Iterations asked for; girth does not tell whether it converged."""

MISSING = -99999
"""What girth takes for an answer that was not given."""

FARTHEST_DIFFICULTY = 6.0
LEAST_SLOPE, STEEPEST_SLOPE = 0.2, 5.0
"""girth searches within these, and an answer on a bound is no answer."""

NEAR = 0.03
"""A search that ends so near to a bound wanted to go beyond; its table of starting
points is as coarse as that."""


def fit_with_girth(answers: Answers, kind: Kind) -> Fitted:
    """Return girth's estimates, with our posteriors and log-likelihood at them.

    ``onepl_mml`` for a common slope, ``twopl_mml`` else; each by marginal likelihood
    on a fixed grid, which is wrong for long tests (and near 1,000 items underflows,
    without a word). Difficulties are set so that the share of right answers comes out,
    which is maximum likelihood only where no responses are missing.

    Parameters
    ----------
    answers : Answers
        Of items that vary: girth gives constant ones difficulties of the wrong sign.

    Raises
    ------
    DesignError
        ``grid-too-coarse``, where its nodes are farther apart than the SD of the
        narrowest posterior: from some 80 items on.
    """
    from girth import onepl_mml, twopl_mml

    _check_grid(answers, Curves(*start(answers, kind)))
    right = answers.right.astype(np.int64)
    if answers.asked is not None:
        right[answers.asked == 0] = MISSING
    options = {
        "quadrature_n": NODES,
        "quadrature_bounds": (-REACH, REACH),
        "max_iteration": MOST_PASSES,
    }
    fit = onepl_mml if kind.common_slope else twopl_mml
    found = fit(right.T, options=options)  # items × respondents there
    difficulty = np.asarray(found["Difficulty"], dtype=np.float64)
    slope = np.broadcast_to(np.float64(found["Discrimination"]), difficulty.shape)
    curves = Curves(slope.copy(), -slope * difficulty)
    _check_grid(answers, curves)
    expected = settle(answers, curves)
    return Fitted(
        curves=curves,
        ability=expected.ability,
        ability_sd=expected.ability_sd,
        log_likelihood=expected.log_likelihood,
        n_iterations=0,
        converged=True,
        held=(np.abs(difficulty) > FARTHEST_DIFFICULTY - NEAR)
        | (slope < LEAST_SLOPE + NEAR)
        | (slope > STEEPEST_SLOPE - NEAR),
    )


def _check_grid(answers: Answers, curves: Curves) -> None:
    nodes = REACH * np.polynomial.legendre.leggauss(NODES)[0]
    step = float(np.diff(nodes).max())
    narrowest = settle(answers, curves).narrowest
    if step > narrowest:
        raise DesignError(
            f"girth's {NODES} nodes are {step:.2f} SD of ability apart, but "
            f"{len(curves.slope)} items tell abilities to {narrowest:.2f}; use "
            "method='marginal', whose nodes adapt",
            code="grid-too-coarse",
        )
