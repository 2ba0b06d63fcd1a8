"""How surprising is a loss on a quiet night? Two looks, and both together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TINY = 1e-300
"""Smaller shares are as good as none."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


class Look(NamedTuple):
    """A candidate beside what it is measured by.

    Attributes
    ----------
    z : ndarray
        Standard normal on a quiet night; negative where the candidate is worse.
    sd : ndarray
        SD on a quiet night of the difference that `z` stands for.
    """

    z: Floats
    sd: Floats

    @property
    def p_value(self) -> Floats:
        """One-sided: how often a quiet night looks as bad."""
        from scipy.special import ndtr

        return np.asarray(ndtr(self.z))


def against_baseline(
    p_value: npt.ArrayLike,
    difference: npt.ArrayLike,
    se: npt.ArrayLike,
    noise_sd: npt.ArrayLike,
    df: npt.ArrayLike,
) -> Look:
    """Return how a paired difference looks once checkpoints' noise is allowed for.

    Two checkpoints of equal quality differ by ``sqrt(2)`` times the SD between such
    checkpoints. That SD was seen on the same items and so holds what is particular to
    a checkpoint and an item, as the paired standard error does: the variance of the
    difference is the larger of ``se**2`` and ``2 * noise_sd**2``, not their sum. The
    p-value is the larger of two: that of the paired test, and that of
    ``difference / (sqrt(2) noise_sd)`` in Student's distribution with the noise's
    degrees of freedom.

    Parameters
    ----------
    p_value : array_like
        Two-sided, of the paired test over items (and seeds).
    difference, se : array_like
        Candidate minus baseline, and its standard error.
    noise_sd : array_like
        SD between checkpoints of equal quality, in units of the score; 0 for none.
    df : array_like
        Degrees of freedom behind `noise_sd`; infinite for a number that is known.
    """
    from scipy.special import ndtri, stdtr

    p_value, difference, se, noise_sd, df = np.broadcast_arrays(
        *(
            np.asarray(one, dtype=float)
            for one in (p_value, difference, se, noise_sd, df)
        )
    )
    noise = np.sqrt(2) * noise_sd
    sd = np.maximum(se, noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(np.where(noise > 0, difference / noise, np.inf))
    share = np.maximum(p_value / 2, stdtr(df, -t))
    z = -ndtri(np.clip(share, TINY, 0.5))
    return Look(np.sign(difference) * z, sd)


def against_history(
    score: npt.ArrayLike,
    expected: npt.ArrayLike,
    prediction_sd: npt.ArrayLike,
    df: npt.ArrayLike,
) -> Look:
    """Return how a score looks beside what the checkpoints before it predict.

    ``(score - expected) / prediction_sd`` has Student's distribution if nothing
    changed, with the degrees of freedom of the SD between those checkpoints.

    Parameters
    ----------
    expected, prediction_sd : array_like
        The prediction, and the SD of a next score around it: that of a checkpoint and
        that of the prediction together.
    """
    from scipy.special import ndtri, stdtr

    score, expected, prediction_sd, df = (
        np.asarray(one, dtype=float) for one in (score, expected, prediction_sd, df)
    )
    change = score - expected
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(change == 0, 0.0, change / prediction_sd)
    z = -ndtri(np.clip(stdtr(df, -np.abs(t)), TINY, 0.5))
    return Look(np.sign(t) * z, prediction_sd)


def both(
    baseline: Look, history: Look, noise_sd: npt.ArrayLike, df: npt.ArrayLike
) -> Floats:
    """Return how often on quiet nights both looks are as bad as the better one is.

    The candidate's own noise is in both, so they go together: their correlation is
    ``noise_sd**2 / (sd_1 * sd_2)``. With ``q`` the larger of the two p-values it is
    ``P(p_1 <= q and p_2 <= q)``, by a t copula with the noise's degrees of freedom.
    A test at level α on it is red on a share α of quiet nights, over baselines as they
    come; after a baseline that happens to be high, more often, though never more often
    than a single look at ``q``.

    References
    ----------
    Dunnett and Sobel (1954), Biometrika 41, section 2: the bivariate t integral, here
    from the correlation to 1.
    """
    from scipy.special import ndtr, stdtr, stdtrit

    noise_sd, df = np.asarray(noise_sd, dtype=float), np.asarray(df, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.clip(noise_sd**2 / (baseline.sd * history.sd), 0, 1 - 1e-9)
    worst = np.maximum(baseline.z, history.z)
    t = stdtrit(df, np.clip(ndtr(worst), TINY, 1 - 1e-16))
    start = np.arcsin(np.nan_to_num(correlation))[..., None]
    angle = start + (np.pi / 2 - start) * (NODES + 1) / 2
    # Of two equal bounds: a² (1 - sin) / cos² = a² / (1 + sin).
    density = (1 + 2 * t[..., None] ** 2 / (df[..., None] * (1 + np.sin(angle)))) ** (
        -df[..., None] / 2
    )
    gap = (np.pi / 2 - start[..., 0]) / 2 * (density @ WEIGHTS) / (2 * np.pi)
    return np.asarray(np.clip(stdtr(df, t) - gap, 0, 1))
