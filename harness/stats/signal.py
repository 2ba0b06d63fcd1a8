"""Which benchmark tells models apart? Signal, noise, and the decisions they allow."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.ranks import ONE_CHECKPOINT, rank_correlations, ties_made_equal
from harness.stats.resample import RNGLike, SeedLike, check_scores
from harness.stats.series import last_step

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
SignalMethod = Literal["range", "rel-std", "mean-distance"]
Scale = Literal["mean", "chance", "score"]

SIGNAL_NAMES: dict[SignalMethod, str] = {
    "range": "range over models",
    "rel-std": "SD over models",
    "mean-distance": "mean distance of two models",
}

SCALE_NAMES: dict[Scale, str] = {
    "mean": "relative to the mean",
    "chance": "relative to the mean above chance",
    "score": "in score units",
}

NO_CHANCE = ("no-chance-level", "this metric has no score of a guesser")

N_LAST = 5
"""Checkpoints whose SD is the noise, where none are named: DataDecide's."""

FEW_MODELS_TO_GAIN = 15
"""With fewer models the gain takes too few values for an interval to hold its level."""

N_RESAMPLES = 10_000
"""Simulated samples behind an interval: ends to about 1 % of themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalNoise:
    """Signal, noise and their ratio for one task and one metric."""

    signal: Estimate
    """How far models lie apart."""

    noise: Estimate
    """How far the last checkpoints of one run lie apart."""

    snr: Estimate
    """Signal over noise."""

    decision_accuracy: Estimate
    """How often these models' order is that of their larger ones."""

    snr_of_equals: float
    """What `snr` would be on average if all models were equal: noise has a range."""

    n_models: int
    n_runs: int
    """Training runs, of all models and seeds, with a noise of their own."""

    n_last: int
    """Checkpoints behind the noise of each run, at most."""

    cautions: tuple[Caution, ...] = ()
    """What concerns the runs; each estimate carries its own besides."""

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All estimates, in the order of the table."""
        return self.signal, self.noise, self.snr, self.decision_accuracy

    @property
    def all_cautions(self) -> tuple[Caution, ...]:
        """Its own and its estimates' cautions, each once."""
        return tuple(
            dict.fromkeys(
                [*self.cautions, *(c for e in self.estimates for c in e.cautions)]
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        equals = self.snr_of_equals
        return {
            **{estimate.quantity: estimate.to_dict() for estimate in self.estimates},
            "snr_of_equals": None if math.isnan(equals) else equals,
            "n_models": self.n_models,
            "n_runs": self.n_runs,
            "n_last": self.n_last,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one tidy row: each estimate with its ends, counts, caution codes."""
        import pandas as pd

        row: dict[str, Any] = {}
        for estimate in self.estimates:
            row[estimate.quantity] = estimate.value
            row[f"{estimate.quantity}_low"] = estimate.interval.low
            row[f"{estimate.quantity}_high"] = estimate.interval.high
        row["snr_of_equals"] = self.snr_of_equals
        row |= {"n_models": self.n_models, "n_runs": self.n_runs, "n_last": self.n_last}
        row["cautions"] = " ".join(dict.fromkeys(c.code for c in self.all_cautions))
        return pd.DataFrame([row])


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragingGain:
    """What averaging the last checkpoints does for decision accuracy."""

    last: Estimate
    averaged: Estimate
    gain: Estimate
    n_last: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "last": self.last.to_dict(),
            "averaged": self.averaged.to_dict(),
            "gain": self.gain.to_dict(),
            "n_last": self.n_last,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubtaskFilter:
    """Subtasks by their own signal-to-noise ratio, and what the best ones give."""

    order: tuple[int, ...]
    """Subtasks, the one of the largest ratio first."""

    snr: Floats
    """Ratio of each subtask, in the order given; shape (n_subtasks,)."""

    snr_of_first: Floats
    """Ratio of the mean score of the first k of `order`; k = 1, 2, …"""

    chosen: tuple[int, ...]
    """The first k with the largest ratio: chosen by these numbers, so flattered."""

    gain: Estimate
    """Ratio of the chosen over ratio of all, on models that chose neither."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "order": list(self.order),
            "snr": _listed(self.snr),
            "snr_of_first": _listed(self.snr_of_first),
            "chosen": list(self.chosen),
            "gain": self.gain.to_dict(),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each subtask, in `order`: ratio, ratio so far, chosen."""
        import pandas as pd

        order = list(self.order)
        return pd.DataFrame(
            {
                "subtask": order,
                "snr": self.snr[order],
                "snr_of_first": self.snr_of_first,
                "is_chosen": [k < len(self.chosen) for k in range(len(order))],
            }
        )


def signal_noise(
    scores: Floats,
    *,
    n_last: int = N_LAST,
    signal: SignalMethod = "range",
    scale: Scale = "mean",
    chance: float = math.nan,
    runs: Floats | None = None,
    larger: Floats | None = None,
    confidence_level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    rng: RNGLike | SeedLike | None = None,
) -> SignalNoise:
    """Return how far models lie apart, how far checkpoints do, and the ratio.

    ``noise = mean over models of mean over seeds of SD(last n) / |mean(last n)|``,
    with SD over the last `n_last` checkpoints of one run (ddof 1): within each run,
    never pooled over models, whose differences are the signal. ``signal =
    (max - min) / |mean|`` over the models' scores at the last checkpoint, each
    averaged over its seeds. `scale` says what both are divided by: the ``mean`` by
    magnitude, since log-likelihoods are negative; ``mean - chance``, which does not
    move when a constant is added to all scores; or nothing, ``score``, which does not
    either, and needs no chance level.

    Intervals take checkpoints and models as normal and independent, the divisor as
    known. That of the noise is for the mean of these runs' true SDs, that of the
    signal for the signal that as many models of this kind show on average, and that
    of the ratio for the ratio of the two: the estimate divided by quantiles of what
    simulated runs and models give, where the truth is 1. With one run it is the
    chi-square interval, and the ratio's with ``rel-std`` that of F. Resampled models
    would not do: they never lie further apart than those at hand.

    Parameters
    ----------
    scores : ndarray, shape (n_models, n_seeds, n_steps)
        Of one task and metric, steps ascending; ``nan`` where not evaluated.
    n_last : int
        Checkpoints behind the noise, up to the last step; at least 2.
    signal : {"range", "rel-std", "mean-distance"}
        ``max - min``, the SD (ddof 1), or the mean of ``|m_j - m_k|`` over pairs.
    scale : {"mean", "chance", "score"}
        What signal and noise are divided by.
    chance : float
        Score of a guesser, for ``chance``.
    runs : ndarray, shape (n_models, n_seeds, n_steps), optional
        Runs that give the noise instead of `scores`, such as one long run beside many
        models of one checkpoint each.
    larger : ndarray, shape (n_models,), optional
        Scores of the same models at a larger scale, for `decision_accuracy`.

    Raises
    ------
    DesignError
        ``bad-n-last``, ``unknown-method``, ``unequal-lengths``.

    Notes
    -----
    The SD of n checkpoints is too small on average, by 6 % for n = 5; the interval
    knows, the value is as published. The official code uses ddof 0.

    Cautions: ``unequal-last-steps``; of the signal ``one-model``,
    ``range-of-n-models`` (a range grows with the number of models, and its interval
    is for normal ones: of light tails it covers up to 100 %, of heavy ones as little
    as 77), ``skewed-models`` (8 or more; in simulations it covers as little as 77 %);
    of the noise ``one-checkpoint``, ``few-checkpoints`` (fewer than 5),
    ``still-moving`` (the last checkpoints rise or fall together, which the noise
    includes), ``carried-over`` (neighbours correlate: where by 1/2, 5 checkpoints
    cover 69 % and do not show it, 30 cover 79 and do); of the ratio
    ``constant-over-checkpoints``, ``signal-within-noise`` (equal models could show it;
    of such the interval covers up to 99 %); of all three ``no-chance-level``,
    ``scale-near-zero`` (what is divided by is within three standard errors of 0); of
    the decisions those of `decision_accuracy` and ``no-larger-models``.

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), section 3 and appendix A. Range as a
    multiple of the SD: L. H. C. Tippett, Biometrika 17 (1925) 364. Correlation of
    neighbours: P. A. P. Moran, Biometrika 35 (1948) 255.
    """
    rng = np.random.default_rng(rng)
    if n_last < 2:
        raise DesignError(
            f"noise over the last {n_last} checkpoints has no SD; give n_last of 2 "
            "or more, such as 5",
            code="bad-n-last",
        )
    _check_name(signal, SIGNAL_NAMES, "signal")
    _check_name(scale, SCALE_NAMES, "scale")
    scores, noisy = (
        ties_made_equal(np.asarray(x, dtype=np.float64))
        for x in (scores, scores if runs is None else runs)
    )
    column, cautions = _last_column(scores)
    last = scores[..., column]
    is_here = ~np.isnan(last)
    has_score = is_here.any(1)
    models = _mean_over_runs(last[..., None])[has_score]
    if runs is None:
        noisy = scores[..., : column + 1]
    window = _last_present(noisy, n_last)
    zero = chance if scale == "chance" else 0.0
    signal_estimate, spread = _signal(
        models, signal, scale, zero, confidence_level, n_resamples, rng
    )
    noise_estimate, wobble = _noise(
        window, n_last, scale, zero, confidence_level, n_resamples, rng
    )
    equals = math.nan
    if len(spread):
        seeds_of = is_here[has_score].sum(1)
        equals = float(spread.mean()) / math.sqrt(seeds_of.mean())
    snr = _ratio(signal_estimate, noise_estimate, spread, wobble, equals)
    return SignalNoise(
        signal=signal_estimate,
        noise=noise_estimate,
        snr=snr,
        decision_accuracy=_decisions(last, larger, confidence_level),
        snr_of_equals=equals,
        n_models=len(models),
        n_runs=noise_estimate.n,
        n_last=n_last,
        cautions=cautions,
    )


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
    return Estimate(
        quantity="decision_accuracy",
        value=value,
        se=math.sqrt(variance),
        interval=_wilson(value, effective, confidence_level),
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
    scores; a model's seeds are averaged. Its interval is ``gain ± t SE`` with the
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
    Cautions: those of `decision_accuracy`; of the gain ``few-models``, fewer than 15:
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
    window = _last_present(np.asarray(scores, dtype=np.float64), n_last)
    small = [_mean_over_runs(part) for part in (window[..., -1:], window)]
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
        cautions = []
        if last.n < FEW_MODELS_TO_GAIN:
            text = f"{last.n} models are few; the interval may not hold its level"
            cautions.append(Caution("few-models", text))
        if se == 0:
            text = "no model left out changes the gain; more models would"
            cautions.append(Caution("constant-over-models", text))
        gain = Estimate(
            quantity="averaging_gain",
            value=value,
            se=se or math.nan,
            interval=Interval(value - half, value + half) if se else gain.interval,
            confidence_level=confidence_level,
            n=last.n,
            method=f"{method}; jackknife t interval over models",
            cautions=tuple(cautions),
        )
    return AveragingGain(last=last, averaged=averaged, gain=gain, n_last=n_last)


def total_variation(
    scores: Floats, *, improvement: bool = True, confidence_level: float = 0.95
) -> Estimate:
    """Return how much a score moves from checkpoint to checkpoint beyond its rise.

    ``TV = (sum of |U(t) - U(t-1)| - (U(T) - U(0))) / T`` over the T moves of a run,
    averaged over runs: twice the mean fall per step, so 0 where a score never falls.
    Without `improvement` the second term is left out, and a steady rise counts.

    The interval is Student's t over runs, as draws from those that could be trained.

    Parameters
    ----------
    scores : ndarray, shape (..., n_steps)
        Any leading axes are runs; a missing step joins its neighbours.
    improvement : bool
        Whether the rise from first to last is taken off.

    Notes
    -----
    Cautions: ``one-checkpoint``; ``one-run`` (no interval).

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), appendix A.3.
    """
    from scipy.special import stdtrit

    rows = np.asarray(scores, dtype=np.float64)
    moves = [np.diff(row[~np.isnan(row)]) for row in rows.reshape(-1, rows.shape[-1])]
    values = np.array(
        [
            (np.abs(move).sum() - improvement * move.sum()) / len(move)
            for move in moves
            if len(move)
        ]
    )
    n = len(values)
    rise = " less the mean rise" if improvement else ""
    method = f"mean move between checkpoints{rise}, mean over runs"
    if n == 0:
        return undefined(
            "total_variation",
            n=0,
            method=method,
            code="one-checkpoint",
            text=ONE_CHECKPOINT,
        )
    value = float(values.mean())
    if n == 1:
        text = "an interval over runs needs at least 2 training runs, has 1"
        return Estimate(
            quantity="total_variation",
            value=value,
            n=1,
            method=method,
            cautions=(Caution("one-run", text),),
        )
    se = float(values.std(ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, 0.5 + confidence_level / 2)) * se
    return Estimate(
        quantity="total_variation",
        value=value,
        se=se,
        interval=Interval(value - half, value + half),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; t interval over runs",
    )


def tolerance_probability(n_checkpoints: int, tolerance: float) -> float:
    """Return how often the SD of n checkpoints is within `tolerance` of the truth.

    ``P((1 - k)^2 (n - 1) < chi2 < (1 + k)^2 (n - 1))`` with n - 1 degrees of freedom
    and k the tolerance as a share of the true SD: exact for independent normal
    checkpoints.

    Notes
    -----
    The source (appendix A.3.2) has 9 as the fewest checkpoints with
    ``P(chi2 < 4 (n - 1)) > .95``; 2 give .9545 already.
    """
    from scipy.special import chdtr

    if n_checkpoints < 2 or tolerance <= 0:
        raise DesignError(
            f"an SD of {n_checkpoints} checkpoints to within {tolerance:g} of itself "
            "is no question; give 2 or more checkpoints and a tolerance above 0",
            code="bad-tolerance",
        )
    df = n_checkpoints - 1
    low, high = max(1 - tolerance, 0.0), 1 + tolerance
    return float(chdtr(df, high**2 * df) - chdtr(df, low**2 * df))


def checkpoints_needed(tolerance: float, *, confidence_level: float = 0.95) -> int:
    """Return the fewest checkpoints whose SD is that near the truth, that often.

    The smallest n with ``tolerance_probability(n, tolerance) >= confidence_level``.

    Raises
    ------
    DesignError
        ``bad-tolerance``: not above 0.
    """
    high = 2
    while tolerance_probability(high, tolerance) < confidence_level:
        high *= 2
    low = max(high // 2, 2)
    while low < high:
        middle = (low + high) // 2
        if tolerance_probability(middle, tolerance) < confidence_level:
            low = middle + 1
        else:
            high = middle
    return high


def filter_subtasks(
    scores: Floats,
    *,
    n_last: int = N_LAST,
    signal: SignalMethod = "range",
    scale: Scale = "mean",
    chance: float = math.nan,
    confidence_level: float = 0.95,
    n_splits: int = 200,
    rng: RNGLike | SeedLike | None = None,
) -> SubtaskFilter:
    """Return which subtasks, best first, give the largest signal-to-noise ratio.

    Subtasks are sorted by their own ratio and taken in that order; the score of the
    first k is their mean, and the k of the largest ratio is chosen.

    A maximum over k flatters itself, the winner's curse. So models are split at random
    into halves: one chooses, the other is measured, ``gain = SNR(chosen) / SNR(all)``,
    and the median over splits is the gain. Its interval is the middle
    `confidence_level` of the splits: how far halves of these models disagree, which
    is wider than what all of them leave open.

    Parameters
    ----------
    scores : ndarray, shape (n_subtasks, n_models, n_seeds, n_steps)
        The last `n_last` steps without missing ones.
    n_last, signal, scale, chance
        As for `signal_noise`.

    Raises
    ------
    DesignError
        ``missing-scores``, ``unknown-method``, ``bad-n-last``.

    Notes
    -----
    Cautions: ``few-models``, fewer than 4, which cannot be split into pairs: no gain;
    ``winners-curse``, where the chosen are no better on the other models: at least
    half of the splits show no gain.

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), section 5, which chooses and measures
    on the same models.
    """
    rng = np.random.default_rng(rng)
    _check_name(signal, SIGNAL_NAMES, "signal")
    _check_name(scale, SCALE_NAMES, "scale")
    window = np.asarray(scores, dtype=np.float64)[..., -n_last:]
    if window.shape[-1] < 2:
        raise DesignError(
            f"noise over the last {window.shape[-1]} checkpoints has no SD; give 2 or "
            "more",
            code="bad-n-last",
        )
    check_scores(np.moveaxis(window, 0, -1))
    zero = chance if scale == "chance" else 0.0

    def choose(part: Floats) -> tuple[Floats, npt.NDArray[np.intp], Floats]:
        own = _ratios(part, signal, scale, zero)
        order = np.argsort(-own, stable=True)
        return own, order, _ratios(_means_of_first(part[order]), signal, scale, zero)

    own, order, so_far = choose(window)
    n_models = window.shape[1]
    name = "ratio of the chosen subtasks over that of all"
    if n_models < 4:
        text = f"needs 4 models, to choose with some and measure others, has {n_models}"
        gain = undefined(
            "filter_gain", n=n_models, method=name, code="few-models", text=text
        )
    else:
        gains = np.empty(n_splits)
        for i in range(n_splits):
            shuffled = rng.permutation(n_models)
            mine, others = np.array_split(shuffled, 2)
            _, by_mine, ratios = choose(window[:, mine])
            k = int(np.argmax(ratios))
            theirs = _means_of_first(window[by_mine][:, others])[[k, -1]]
            one, all_ = _ratios(theirs, signal, scale, zero)
            gains[i] = one / all_
        tail = (1 - confidence_level) / 2
        low, middle, high = np.quantile(gains, [tail, 0.5, 1 - tail])
        text = (
            f"on other models the chosen subtasks gain in {(gains > 1).mean():.0%} of "
            "splits; that they do better here is the luck of having been chosen"
        )
        gain = Estimate(
            quantity="filter_gain",
            value=float(middle),
            interval=Interval(float(low), float(high)),
            confidence_level=confidence_level,
            n=n_models,
            method=f"{name}, on models that did not choose; median and spread over "
            f"{n_splits} random halves",
            cautions=(Caution("winners-curse", text),) if middle <= 1 else (),
        )
    best = int(np.argmax(so_far)) + 1
    return SubtaskFilter(
        order=tuple(order.tolist()),
        snr=own,
        snr_of_first=so_far,
        chosen=tuple(order[:best].tolist()),
        gain=gain,
    )


def _signal(
    models: Floats,
    signal: SignalMethod,
    scale: Scale,
    zero: float,
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[Estimate, Floats]:
    """Return the signal, and what models of SD 1 would show, simulated."""
    n = len(models)
    method = f"{SIGNAL_NAMES[signal]}, {SCALE_NAMES[scale]}"
    if n < 2 or math.isnan(zero):
        few = "one-model", f"needs at least 2 models, has {n}"
        code, text = few if n < 2 else NO_CHANCE
        nothing = undefined("signal", n=n, method=method, code=code, text=text)
        return nothing, np.empty(0)
    sd = float(models.std(ddof=1))
    divisor = _divisor(models[None], scale, zero).item()
    value = _spread(models[None], signal).item() / divisor
    cautions = _near_zero(models.mean() - zero, sd / math.sqrt(n), scale)
    cautions += _skewed(models)
    if signal == "range":
        text = (
            f"the range grows with the number of models, here {n}, and its interval "
            "holds for normal ones alone"
        )
        cautions += (Caution("range-of-n-models", text),)
    spread = _spread(rng.normal(size=(n_resamples, n)), signal)
    pivot = spread / spread.mean()
    estimate = Estimate(
        quantity="signal",
        value=value,
        interval=_divided(value, pivot, confidence_level),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; interval of normal models",
        cautions=cautions,
    )
    return estimate, spread


def _noise(
    window: Floats,
    n_last: int,
    scale: Scale,
    zero: float,
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[Estimate, Floats]:
    """Return the noise, and what runs of these SDs would show of it, simulated."""
    n_at = np.sum(~np.isnan(window), axis=-1)
    usable = n_at >= 2
    n = int(usable.sum())
    method = (
        f"SD of the last {n_last} checkpoints (ddof=1), mean over models and seeds, "
        f"{SCALE_NAMES[scale]}"
    )
    if n == 0 or math.isnan(zero):
        code, text = ("one-checkpoint", ONE_CHECKPOINT) if n == 0 else NO_CHANCE
        nothing = undefined("noise", n=n, method=method, code=code, text=text)
        return nothing, np.empty(0)
    runs, df = window[usable], n_at[usable] - 1
    sds = np.nanstd(runs, axis=-1, ddof=1)
    means = np.nanmean(runs, axis=-1)
    divisor = _divisor(means[:, None], scale, zero)
    if not divisor.all():
        reason = _near_zero(0.0, 0.0, scale)[0]
        nothing = undefined(
            "noise", n=n, method=method, code=reason.code, text=reason.text
        )
        return nothing, np.empty(0)
    relative = sds / divisor
    # A model's seeds are averaged first: one with more seeds does not count more.
    per_model = usable.sum(1)
    weights = (usable / np.maximum(per_model, 1)[:, None])[usable]
    weights = weights / weights.sum()
    value = float((weights * relative).sum())
    cautions: tuple[Caution, ...] = ()
    worst = int(np.argmin(np.abs(means - zero) / np.where(sds > 0, sds, 1)))
    cautions += _near_zero(
        means[worst] - zero, sds[worst] / math.sqrt(df[worst] + 1), scale
    )
    if (df < 4).any():
        text = (
            f"{(df < 4).sum()} of {n} runs have fewer than 5 checkpoints to tell their "
            f"noise by, the fewest {df.min() + 1}"
        )
        cautions += (Caution("few-checkpoints", text),)
    cautions += _still_moving(runs) or _carried_over(runs)
    if value == 0:
        text = "the last checkpoints of every run have the same score"
        caution = Caution("constant-over-checkpoints", text)
        found = Estimate(
            quantity="noise",
            value=0.0,
            n=n,
            method=method,
            cautions=(*cautions, caution),
        )
        return found, np.empty(0)
    shares = weights * relative / value
    wobble = np.zeros(n_resamples)
    for share, freedom in zip(shares.tolist(), df.tolist(), strict=True):
        wobble += share * np.sqrt(rng.chisquare(freedom, n_resamples) / freedom)
    estimate = Estimate(
        quantity="noise",
        value=value,
        interval=_divided(value, wobble, confidence_level),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; interval of normal checkpoints",
        cautions=cautions,
    )
    return estimate, wobble


def _ratio(
    signal: Estimate, noise: Estimate, spread: Floats, wobble: Floats, equals: float
) -> Estimate:
    method = "signal / noise; interval of normal models and checkpoints"
    for part, simulated in ((signal, spread), (noise, wobble)):
        if len(simulated) == 0:
            reason = part.cautions[-1]
            return undefined(
                "snr", n=signal.n, method=method, code=reason.code, text=reason.text
            )
    value = signal.value / noise.value
    interval = _divided(value, spread / spread.mean() / wobble, signal.confidence_level)
    cautions = tuple(dict.fromkeys([*signal.cautions, *noise.cautions]))
    if interval.low <= equals:
        text = (
            f"{signal.n} equal models would show {equals:.3g} on average, by noise "
            "alone; the interval does not exclude it"
        )
        cautions += (Caution("signal-within-noise", text),)
    return Estimate(
        quantity="snr",
        value=value,
        interval=interval,
        confidence_level=signal.confidence_level,
        n=signal.n,
        method=method,
        cautions=cautions,
    )


def _last_column(scores: Floats) -> tuple[int, tuple[Caution, ...]]:
    rows = scores.reshape(-1, scores.shape[-1])
    return (rows.shape[1] - 1, ()) if np.isnan(rows).all() else last_step(rows)


def _decisions(
    last: Floats, larger: Floats | None, confidence_level: float
) -> Estimate:
    if larger is None:
        return undefined(
            "decision_accuracy",
            n=0,
            method="share of pairs of models in the order of the larger ones",
            code="no-larger-models",
            text="needs the same models at a larger scale, to be decided between",
        )
    small = _mean_over_runs(last[..., None])
    return decision_accuracy(small, larger, confidence_level=confidence_level)


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


def _wilson(share: float, n: float, confidence_level: float) -> Interval:
    from scipy.special import ndtri

    z2 = float(ndtri(0.5 + confidence_level / 2)) ** 2
    middle = share + z2 / (2 * n)
    half = math.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + z2 / n) for sign in (-1, 1))
    # Exact at the ends, where rounding would leave 1e-18 beyond them.
    return Interval(0.0 if share == 0 else low, 1.0 if share == 1 else high)


def _last_present(scores: Floats, n_last: int) -> Floats:
    """Return the last steps that each run has, right-aligned: (models, seeds, n)."""
    order = np.argsort(~np.isnan(scores), axis=-1, stable=True)
    return np.take_along_axis(scores, order[..., -n_last:], axis=-1)


def _mean_over_runs(window: Floats) -> Floats:
    """Return each model's mean over seeds of means over steps; ``nan`` without one."""
    for _ in range(2):
        known = ~np.isnan(window)
        n = known.sum(-1)
        total = np.where(known, window, 0).sum(-1)
        window = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return window


def _spread(values: Floats, signal: SignalMethod) -> Floats:
    """Return how far apart the last axis lies."""
    if signal == "range":
        return np.asarray(np.ptp(values, axis=-1))
    if signal == "rel-std":
        return np.asarray(values.std(axis=-1, ddof=1))
    n = values.shape[-1]
    # Sorted, each value is above i others and below the n - 1 - i that are left.
    above = 2 * np.arange(n) - n + 1
    return np.asarray(np.sort(values, axis=-1) @ above * (2 / (n * (n - 1))))


def _divisor(values: Floats, scale: Scale, zero: float) -> Floats:
    mean = values.mean(-1)
    return np.ones_like(mean) if scale == "score" else np.asarray(np.abs(mean - zero))


def _divided(value: float, pivot: Floats, confidence_level: float) -> Interval:
    """Return the interval of an estimate that is `pivot` times the truth."""
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(pivot, [tail, 1 - tail])
    return Interval(value / float(high), value / float(low))


def _near_zero(gap: float, se: float, scale: Scale) -> tuple[Caution, ...]:
    if scale == "score" or abs(gap) > 3 * se:
        return ()
    above = " above chance" if scale == "chance" else ""
    text = f"a mean{above} of {gap:.3g} ± {se:.2g} is no scale; use score units"
    return (Caution("scale-near-zero", text),)


def _skewed(models: Floats) -> tuple[Caution, ...]:
    apart = models - models.mean()
    sd = float(models.std())
    skewness = float((apart**3).mean()) / sd**3 if sd > 0 else 0.0
    # Twice the standard error of the skewness of normal models.
    if len(models) < 8 or abs(skewness) < 2 * math.sqrt(6 / len(models)):
        return ()
    text = (
        f"the models' scores have a skewness of {skewness:.2f}; the interval takes "
        "them as normal and may be too narrow"
    )
    return (Caution("skewed-models", text),)


def _still_moving(runs: Floats) -> tuple[Caution, ...]:
    """Tell where the last checkpoints rise or fall together, by their mean tau."""
    taus = rank_correlations(runs, method="tau-a")
    known = ~np.isnan(taus)
    if not known.any():
        return ()
    n = np.sum(~np.isnan(runs[known]), axis=1)
    variance = (2 * (2 * n + 5) / (9 * n * (n - 1))).sum() / len(n) ** 2
    tau = float(taus[known].mean())
    if abs(tau) < 3 * math.sqrt(variance):
        return ()
    text = (
        f"the last checkpoints still {'rise' if tau > 0 else 'fall'} (mean tau "
        f"{tau:.2f}), which the noise includes; use fewer or later ones"
    )
    return (Caution("still-moving", text),)


def _carried_over(runs: Floats) -> tuple[Caution, ...]:
    """Tell where a checkpoint is nearer to the one before than to the others.

    By the lag-one correlation, whose mean over random orders is ``-1 / n`` and whose
    variance for normal scores is ``(n - 2)^2 / (n^2 (n - 1))`` (Moran 1948).
    """
    apart = runs - np.nanmean(runs, axis=-1, keepdims=True)
    squares = np.nansum(apart**2, axis=-1)
    n = np.sum(~np.isnan(runs), axis=-1)
    kept = (n > 2) & (squares > 0)
    if not kept.any():
        return ()
    apart, squares, n = apart[kept], squares[kept], n[kept]
    found = np.nansum(apart[:, 1:] * apart[:, :-1], axis=-1) / squares
    variance = ((n - 2) ** 2 / (n**2 * (n - 1))).sum() / len(n) ** 2
    excess = float((found + 1 / n).mean())
    if excess < 3 * math.sqrt(variance):
        return ()
    text = (
        f"neighbouring checkpoints correlate ({float(found.mean()):.2f}), so that they "
        "lie nearer together than far ones and their interval is too narrow; use "
        "checkpoints farther apart"
    )
    return (Caution("carried-over", text),)


def _ratios(window: Floats, signal: SignalMethod, scale: Scale, zero: float) -> Floats:
    """Return signal over noise of scores (..., n_models, n_seeds, n_last)."""
    models = window[..., -1].mean(-1)
    spread = _spread(models, signal) / _divisor(models, scale, zero)
    noise = window.std(-1, ddof=1) / _divisor(window, scale, zero)
    size = noise.mean((-2, -1))
    return np.asarray(spread / np.where(size > 0, size, np.nan))


def _means_of_first(window: Floats) -> Floats:
    counts = np.arange(1, len(window) + 1)
    return np.asarray(window.cumsum(0) / counts[:, None, None, None])


def _check_name(name: str, names: Collection[str], what: str) -> None:
    if name not in names:
        raise DesignError(
            f"there is no {what} {name!r}; choose one of {', '.join(names)}",
            code="unknown-method",
        )


def _listed(values: Floats) -> list[float | None]:
    return [None if v != v else v for v in values.tolist()]
