"""Which benchmark tells models apart? Signal, noise, and their ratio."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.decisions import (
    N_LAST,
    decision_accuracy,
    fewer_checkpoints,
    last_column,
    last_present,
    mean_over_runs,
)
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.ranks import ONE_CHECKPOINT, rank_correlations, ties_made_equal
from harness.stats.resample import RNGLike, SeedLike

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


CARRIED = 0.5
"""A correlation of neighbouring checkpoints that must not go unseen."""

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
        Checkpoints behind the noise, up to the last step; at least 2. Where runs have
        fewer, all that they have.
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

    Cautions: ``unequal-last-steps``; of the signal ``one-model``, ``models-tie`` (the
    signal and the ratio are 0, without an interval),
    ``range-of-n-models`` (a range grows with the number of models, and its interval
    is for normal ones: of light tails it covers up to 100 %, of heavy ones as little
    as 77), ``skewed-models`` (8 or more; in simulations it covers as little as 77 %);
    of the noise ``one-checkpoint``, ``few-checkpoints`` (fewer than 5),
    ``fewer-checkpoints`` (than asked, where more than 5 were),
    ``still-moving`` (the last checkpoints rise or fall together, which the noise
    includes), ``carried-over`` (neighbours correlate: where by 1/2, 30 checkpoints
    cover 79 %), ``unseen-carry-over`` (runs and checkpoints, 5 or more, are too few to
    show that, as 5 of 10 runs are, which cover 67 %); of the ratio
    ``constant-over-checkpoints``, ``signal-within-noise`` (equal models could show it;
    of such the interval covers up to 99 %); of all three ``no-chance-level``,
    ``scale-near-zero`` (what is divided by is within three standard errors of 0); of
    the decisions those of `decision_accuracy` and ``no-larger-models``.

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), section 3 and appendix A. Range as a
    multiple of the SD: L. H. C. Tippett, Biometrika 17 (1925) 364. Correlation of
    neighbours: P. A. P. Moran, Biometrika 35 (1948) 255; F. H. C. Marriott, J. A. Pope,
    Biometrika 41 (1954) 390.
    """
    rng = np.random.default_rng(rng)
    if n_last < 2:
        raise DesignError(
            f"noise over the last {n_last} checkpoints has no SD; give n_last of 2 "
            "or more, such as 5",
            code="bad-n-last",
        )
    check_name(signal, SIGNAL_NAMES, "signal")
    check_name(scale, SCALE_NAMES, "scale")
    scores, noisy = (
        ties_made_equal(np.asarray(x, dtype=np.float64))
        for x in (scores, scores if runs is None else runs)
    )
    column, cautions = last_column(scores)
    last = scores[..., column]
    is_here = ~np.isnan(last)
    has_score = is_here.any(1)
    models = mean_over_runs(last[..., None])[has_score]
    if runs is None:
        noisy = scores[..., : column + 1]
    window = last_present(noisy, n_last)
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
        n_last=int(np.sum(~np.isnan(window), axis=-1).max(initial=0)),
        cautions=cautions,
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
    divisor = scale_of(models[None], scale, zero).item()
    cautions = _near_zero(models.mean() - zero, sd / math.sqrt(n), scale, "the models")
    if divisor == 0:
        (reason,) = cautions
        nothing = undefined(
            "signal", n=n, method=method, code=reason.code, text=reason.text
        )
        return nothing, np.empty(0)
    spread = spread_of_models(rng.normal(size=(n_resamples, n)), signal)
    if np.ptp(ties_made_equal(models)) == 0:
        text = (
            f"all {n} models have the same score, so how far they lie apart has no "
            "interval; more items would tell them apart"
        )
        tie = Estimate(
            quantity="signal",
            value=0.0,
            confidence_level=confidence_level,
            n=n,
            method=method,
            cautions=(*cautions, Caution("models-tie", text)),
        )
        return tie, spread
    value = spread_of_models(models[None], signal).item() / divisor
    cautions += _skewed(models)
    if signal == "range":
        text = (
            f"the range grows with the number of models, here {n}, and its interval "
            "holds for normal ones alone"
        )
        cautions += (Caution("range-of-n-models", text),)
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
    n_used = int(n_at[usable].max(initial=0)) or n_last
    method = (
        f"SD of the last {n_used} checkpoints (ddof=1), mean over models and seeds, "
        f"{SCALE_NAMES[scale]}"
    )
    if n == 0 or math.isnan(zero):
        code, text = ("one-checkpoint", ONE_CHECKPOINT) if n == 0 else NO_CHANCE
        nothing = undefined("noise", n=n, method=method, code=code, text=text)
        return nothing, np.empty(0)
    runs, df = window[usable], n_at[usable] - 1
    sds = np.nanstd(runs, axis=-1, ddof=1)
    means = np.nanmean(runs, axis=-1)
    divisor = scale_of(means[:, None], scale, zero)
    if not divisor.all():
        reason = _near_zero(0.0, 0.0, scale, "one run")[0]
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
        means[worst] - zero, sds[worst] / math.sqrt(df[worst] + 1), scale, "one run"
    )
    if (df < 4).any():
        text = (
            f"{(df < 4).sum()} of {n} runs have fewer than 5 checkpoints to tell their "
            f"noise by, the fewest {df.min() + 1}"
        )
        cautions += (Caution("few-checkpoints", text),)
    if n_last > 5:  # up to 5, the caution above says it
        cautions += fewer_checkpoints(df + 1, n_last)
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
    cautions = tuple(dict.fromkeys([*signal.cautions, *noise.cautions]))
    if value == 0:
        return Estimate(
            quantity="snr",
            value=0.0,
            confidence_level=signal.confidence_level,
            n=signal.n,
            method="signal / noise",
            cautions=cautions,
        )
    interval = _divided(value, spread / spread.mean() / wobble, signal.confidence_level)
    if interval.low <= equals:
        text = (
            f"{signal.n} equal models would show {equals:.3g} on average, by noise "
            "alone; the ratio is not shown to be above that"
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
    small = mean_over_runs(last[..., None])
    return decision_accuracy(small, larger, confidence_level=confidence_level)


def spread_of_models(values: Floats, signal: SignalMethod) -> Floats:
    """Return how far apart the last axis lies."""
    if signal == "range":
        return np.asarray(np.ptp(values, axis=-1))
    if signal == "rel-std":
        return np.asarray(values.std(axis=-1, ddof=1))
    n = values.shape[-1]
    # Sorted, each value is above i others and below the n - 1 - i that are left.
    above = 2 * np.arange(n) - n + 1
    return np.asarray(np.sort(values, axis=-1) @ above * (2 / (n * (n - 1))))


def scale_of(values: Floats, scale: Scale, zero: float) -> Floats:
    """Return what a spread of `values` is divided by, over the last axis."""
    mean = values.mean(-1)
    return np.ones_like(mean) if scale == "score" else np.asarray(np.abs(mean - zero))


def _divided(value: float, pivot: Floats, confidence_level: float) -> Interval:
    """Return the interval of an estimate that is `pivot` times the truth."""
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(pivot, [tail, 1 - tail])
    return Interval(value / float(high), value / float(low))


def _near_zero(gap: float, se: float, scale: Scale, whose: str) -> tuple[Caution, ...]:
    if scale == "score" or abs(gap) > 3 * se:
        return ()
    above = " above chance" if scale == "chance" else ""
    text = (
        f"the mean{above} of {whose}, {gap:.3g} ± {se:.2g}, is no scale; take scores "
        "as they are"
    )
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
        return _unseen(n, 3 * math.sqrt(variance))
    text = (
        f"neighbouring checkpoints correlate ({float(found.mean()):.2f}), so that they "
        "lie nearer together than far ones and their interval is too narrow; use "
        "checkpoints farther apart"
    )
    return (Caution("carried-over", text),)


def _unseen(n: npt.NDArray[np.intp], least: float) -> tuple[Caution, ...]:
    """Tell where a correlation of `CARRIED` would not exceed `least` on average.

    Of n checkpoints its mean is about ``rho - (1 + 4 rho) / n`` (Marriott and Pope
    1954), which is ``rho - 4 rho / n`` above that of random orders.
    """
    shown = float((CARRIED * (1 - 4 / n)).mean())
    if n.min() < 5 or shown >= least:  # below 5, `few-checkpoints` says it
        return ()
    text = (
        f"the last {n.max()} checkpoints of so few runs cannot show whether neighbours "
        f"correlate; if by {CARRIED:g}, the noise is too small, and its interval, of 5 "
        "checkpoints, holds the truth 67 % of the time; use more"
    )
    return (Caution("unseen-carry-over", text),)


def check_name(name: str, names: Collection[str], what: str) -> None:
    """Refuse an option that has no such name."""
    if name not in names:
        raise DesignError(
            f"there is no {what} {name!r}; choose one of {', '.join(names)}",
            code="unknown-method",
        )
