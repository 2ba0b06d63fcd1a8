"""Do small models decide as large ones would? Pairs ordered alike, and averaging."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import wilson_interval
from harness.stats.ranks import ties_made_equal
from harness.stats.series import last_step

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

N_LAST = 5
"""Checkpoints whose SD is the noise, where none are named: DataDecide's."""

FEW_MODELS_TO_GAIN = 15
"""With fewer models the gain takes too few values for an interval to hold its level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragingGain:
    """What averaging the last checkpoints does for decision accuracy."""

    last: Estimate
    averaged: Estimate
    gain: Estimate
    n_last: int
    """Checkpoints that are averaged of each run, at most."""

    cautions: tuple[Caution, ...] = ()
    """What concerns the runs; each estimate carries its own besides."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "last": self.last.to_dict(),
            "averaged": self.averaged.to_dict(),
            "gain": self.gain.to_dict(),
            "n_last": self.n_last,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }


def decision_accuracy(
    small: Floats, large: Floats, *, confidence_level: float = 0.95
) -> Estimate:
    """Return the share of pairs of models that both scales order alike.

    ``DA = mean over pairs of [sign(a_j - a_k) = sign(b_j - b_k)]``: how often the
    better of two small models is the better of the two large ones. Without ties
    ``DA = (1 + tau) / 2``, with Kendall's tau of the two scales.

    Pairs share models, so that M models are fewer than M (M - 1) / 2 observations.
    The interval is Wilson's with as many as give the variance that leaving out one
    model at a time shows (jackknife), at least M, since even unrelated scales are worth
    more than 1.1 M, and at most all pairs. Models are draws from those that could be
    built.

    Parameters
    ----------
    small, large : ndarray, shape (n_models,)
        Scores of the same models; ``nan`` where one was not evaluated.

    Raises
    ------
    DesignError
        ``unequal-lengths``.

    Notes
    -----
    Cautions: ``one-model``; ``few-models``, fewer than 6: in simulations it covers
    from 87 to 100 %; ``few-disagreements``, fewer pairs than models: up to 99 %;
    ``tied-pairs``: a tie at one scale counts as wrong, at both as right.

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), section 3. B. Efron, C. Stein, Ann.
    Statist. 9 (1981) 586, for the jackknife.
    """
    agrees, n_tied = _agreement(small, large)
    n = len(agrees)
    method = "share of pairs of models in the order of the larger ones"
    if n < 2:
        text = f"needs at least 2 models at both scales, has {n}"
        return undefined(
            "decision_accuracy", n=n, method=method, code="one-model", text=text
        )
    n_pairs = n * (n - 1) // 2
    cautions = []
    if n < 6:
        text = f"{n} models are few; the interval may not hold its level"
        cautions.append(Caution("few-models", text))
    if n_tied:
        text = f"{n_tied} of {n_pairs} pairs tie at one scale or at both"
        cautions.append(Caution("tied-pairs", text))
    n_agree = int(agrees.sum()) // 2
    if n_pairs - n_agree < n:
        text = (
            f"{n_pairs - n_agree} pairs disagree; the interval is wider than it need be"
        )
        cautions.append(Caution("few-disagreements", text))
    value = n_agree / n_pairs
    variance = _jackknife_variance(_shares_without(agrees))
    effective = value * (1 - value) / variance if variance > 0 else 0.0
    effective = min(max(effective, n), n_pairs)
    low, high = wilson_interval(
        np.array(value), effective, confidence_level=confidence_level
    )
    return Estimate(
        quantity="decision_accuracy",
        value=value,
        se=math.sqrt(variance),
        interval=Interval(float(low), float(high)),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; Wilson interval, pairs counted by a jackknife over models",
        cautions=tuple(cautions),
    )


def averaging_gain(
    scores: Floats,
    larger: Floats,
    *,
    n_last: int = N_LAST,
    confidence_level: float = 0.95,
) -> AveragingGain:
    """Return what averaging the last checkpoints adds to decision accuracy.

    ``gain = DA(mean of the last n) - DA(last)``, both against the same `larger`
    scores; a model's seeds are averaged. The last checkpoint is that of
    `harness.stats.signal.signal_noise`: the last that all runs have, with the same
    runs behind both. The interval is ``gain ± t SE`` with the
    jackknife over models of the difference, and t with n_models - 1 degrees of
    freedom.

    Parameters
    ----------
    scores : ndarray, shape (n_models, n_seeds, n_steps)
        Steps ascending; ``nan`` where not evaluated.
    larger : ndarray, shape (n_models,)
        Scores of the same models at a larger scale.

    Raises
    ------
    DesignError
        ``bad-n-last``, ``unequal-lengths``.

    Notes
    -----
    Cautions: ``unequal-last-steps``, ``fewer-checkpoints`` (than asked); those of
    `decision_accuracy`; of the gain ``few-models``, fewer than 15:
    it covers from 80 to 99 %; ``constant-over-models``, where no model left out changes
    it: no interval.

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), section 5.
    """
    from scipy.special import stdtrit

    if n_last < 2:
        raise DesignError(
            f"the last {n_last} checkpoints cannot be averaged; give n_last of 2 or "
            "more",
            code="bad-n-last",
        )
    scores = ties_made_equal(np.asarray(scores, dtype=np.float64))
    column, cautions = last_column(scores)
    at_last = scores[..., column, None]
    window = last_present(scores[..., : column + 1], n_last)
    window = np.where(np.isnan(at_last), np.nan, window)
    n_at = np.sum(~np.isnan(window), axis=-1)
    cautions += fewer_checkpoints(n_at[n_at > 0], n_last)
    n_last = int(n_at.max(initial=0))
    small = [mean_over_runs(part) for part in (at_last, window)]
    last, averaged = (
        decision_accuracy(x, larger, confidence_level=confidence_level) for x in small
    )
    method = f"mean of the last {n_last} checkpoints against the last one"
    gain = undefined(
        "averaging_gain",
        n=last.n,
        method=method,
        code="one-model",
        text=f"needs at least 2 models at both scales, has {last.n}",
    )
    if last.n >= 2:
        without = [_shares_without(_agreement(x, larger)[0]) for x in small]
        se = math.sqrt(_jackknife_variance(without[1] - without[0]))
        half = float(stdtrit(last.n - 1, 0.5 + confidence_level / 2)) * se
        value = averaged.value - last.value
        of_gain = []
        if last.n < FEW_MODELS_TO_GAIN:
            text = f"{last.n} models are few; the interval may not hold its level"
            of_gain.append(Caution("few-models", text))
        if se == 0:
            text = "no model left out changes the gain; more models would"
            of_gain.append(Caution("constant-over-models", text))
        gain = Estimate(
            quantity="averaging_gain",
            value=value,
            se=se or math.nan,
            interval=Interval(value - half, value + half) if se else gain.interval,
            confidence_level=confidence_level,
            n=last.n,
            method=f"{method}; jackknife t interval over models",
            cautions=tuple(of_gain),
        )
    return AveragingGain(
        last=last, averaged=averaged, gain=gain, n_last=n_last, cautions=cautions
    )


def _agreement(small: Floats, large: Floats) -> tuple[Flags, int]:
    """Return which pairs of models, both ways, agree; and how many pairs tie."""
    small, large = (np.asarray(x, dtype=np.float64) for x in (small, large))
    if small.shape != large.shape:
        raise DesignError(
            f"{small.size} small and {large.size} large models are given; give one "
            "score for each model at both scales, nan where there is none",
            code="unequal-lengths",
        )
    kept = ~np.isnan(small) & ~np.isnan(large)
    signs = [
        np.sign(x[:, None] - x)
        for x in (ties_made_equal(v[kept]) for v in (small, large))
    ]
    agrees = np.asarray(signs[0] == signs[1])
    tied = (signs[0] == 0) | (signs[1] == 0)
    np.fill_diagonal(agrees, False)
    np.fill_diagonal(tied, False)
    return agrees, int(tied.sum()) // 2


def _shares_without(agrees: Flags) -> Floats:
    """Return the share of pairs that agree without each model in turn."""
    n = len(agrees)
    if n < 3:
        return np.zeros(n)
    return np.asarray((agrees.sum() - 2 * agrees.sum(1)) / ((n - 1) * (n - 2)))


def _jackknife_variance(without: Floats) -> float:
    n = len(without)
    return float(((without - without.mean()) ** 2).sum()) * (n - 1) / n


def last_column(scores: Floats) -> tuple[int, tuple[Caution, ...]]:
    """Return `harness.stats.series.last_step` of (models, seeds, steps), any missing.

    Notes
    -----
    Cautions: ``unequal-last-steps``.
    """
    rows = scores.reshape(-1, scores.shape[-1])
    return (rows.shape[1] - 1, ()) if np.isnan(rows).all() else last_step(rows)


def last_present(scores: Floats, n_last: int) -> Floats:
    """Return the last steps that each run has, right-aligned: (models, seeds, n)."""
    order = np.argsort(~np.isnan(scores), axis=-1, stable=True)
    return np.take_along_axis(scores, order[..., -n_last:], axis=-1)


def fewer_checkpoints(n_at: npt.NDArray[np.intp], n_last: int) -> tuple[Caution, ...]:
    """Return the caution that runs have fewer checkpoints than asked, if any has.

    Parameters
    ----------
    n_at : ndarray, shape (n_runs,)
        Checkpoints that each has.
    n_last : int
        As many were asked for.
    """
    n_fewer = int((n_at < n_last).sum())
    if not n_fewer:
        return ()
    text = (
        f"{n_fewer} of {len(n_at)} runs have fewer checkpoints than the last {n_last} "
        f"that were asked for, the fewest {n_at.min()}; all that they have are used"
    )
    return (Caution("fewer-checkpoints", text),)


def mean_over_runs(window: Floats) -> Floats:
    """Return each model's mean over seeds of means over steps; ``nan`` without one."""
    for _ in range(2):
        known = ~np.isnan(window)
        n = known.sum(-1)
        total = np.where(known, window, 0).sum(-1)
        window = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return window
