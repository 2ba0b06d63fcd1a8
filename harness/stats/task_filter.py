"""Which subtasks are worth averaging? The best first, judged on other models."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.resample import RNGLike, SeedLike, check_scores

if TYPE_CHECKING:
    import pandas as pd

from harness.stats.decisions import N_LAST, fewer_checkpoints
from harness.stats.signal import (
    SCALE_NAMES,
    SIGNAL_NAMES,
    Scale,
    SignalMethod,
    check_name,
    scale_of,
    signal_noise,
    spread_of_models,
)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubtaskFilter:
    """Subtasks by their own signal-to-noise ratio, and what the best ones give."""

    order: tuple[int, ...]
    """Subtasks, the one of the largest ratio first."""

    snr: tuple[Estimate, ...]
    """Ratio of each subtask, in the order given."""

    snr_of_first: tuple[Estimate, ...]
    """Ratio of the mean score of the first k of `order`; k = 1, 2, …"""

    chosen: tuple[int, ...]
    """The first k with the largest ratio: chosen by these numbers, so flattered."""

    gain: Estimate
    """Ratio of the chosen over ratio of all, on models that chose neither."""

    n_last: int
    """Checkpoints behind the noise of each run."""

    cautions: tuple[Caution, ...] = ()
    """What concerns the runs; the gain carries its own besides."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "order": list(self.order),
            "snr": [one.to_dict() for one in self.snr],
            "snr_of_first": [one.to_dict() for one in self.snr_of_first],
            "chosen": list(self.chosen),
            "gain": self.gain.to_dict(),
            "n_last": self.n_last,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each subtask, in `order`.

        Columns: ``subtask``, ``snr``, ``snr_low``, ``snr_high``, the same of
        ``snr_of_first``, ``is_chosen``.
        """
        import pandas as pd

        ratios = {
            "snr": [self.snr[i] for i in self.order],
            "snr_of_first": self.snr_of_first,
        }
        columns: dict[str, list[Any]] = {"subtask": list(self.order)}
        for name, found in ratios.items():
            columns[name] = [one.value for one in found]
            columns[f"{name}_low"] = [one.interval.low for one in found]
            columns[f"{name}_high"] = [one.interval.high for one in found]
        columns["is_chosen"] = [k < len(self.chosen) for k in range(len(self.order))]
        return pd.DataFrame(columns)


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
    first k is their mean, and the k of the largest ratio is chosen. Each ratio is
    `signal_noise`'s, with its interval and cautions.

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
    Cautions: ``fewer-checkpoints`` (than asked); of the ratios those of
    `signal_noise`, and of the first k, but for all, ``chosen-by-itself``; of the gain
    ``few-models``, fewer than 4, which cannot be split into pairs: no gain;
    ``winners-curse``, where the chosen are no better on the other models: at least
    half of the splits show no gain.

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), section 5, which chooses and measures
    on the same models.
    """
    rng = np.random.default_rng(rng)
    check_name(signal, SIGNAL_NAMES, "signal")
    check_name(scale, SCALE_NAMES, "scale")
    window = np.asarray(scores, dtype=np.float64)[..., -n_last:]
    if window.shape[-1] < 2:
        raise DesignError(
            f"noise over the last {window.shape[-1]} checkpoints has no SD; give 2 or "
            "more",
            code="bad-n-last",
        )
    check_scores(np.moveaxis(window, 0, -1))
    zero = chance if scale == "chance" else 0.0

    def choose(part: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
        order = np.argsort(-_ratios(part, signal, scale, zero), stable=True)
        return order, _ratios(_means_of_first(part[order]), signal, scale, zero)

    order, so_far = choose(window)
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
            by_mine, ratios = choose(window[:, mine])
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

    def ratio(part: Floats) -> Estimate:
        return signal_noise(
            part,
            n_last=n_last,
            signal=signal,
            scale=scale,
            chance=chance,
            confidence_level=confidence_level,
            rng=rng,
        ).snr

    *firsts, everything = map(ratio, _means_of_first(window[order]))
    return SubtaskFilter(
        order=tuple(order.tolist()),
        snr=tuple(map(ratio, window)),
        snr_of_first=(*map(_chosen_by_itself, firsts), everything),
        chosen=tuple(order[:best].tolist()),
        gain=gain,
        n_last=window.shape[-1],
        cautions=fewer_checkpoints(
            np.full(window.shape[1] * window.shape[2], window.shape[-1]), n_last
        ),
    )


def _ratios(window: Floats, signal: SignalMethod, scale: Scale, zero: float) -> Floats:
    """Return signal over noise of scores (..., n_models, n_seeds, n_last)."""
    models = window[..., -1].mean(-1)
    spread = spread_of_models(models, signal) / scale_of(models, scale, zero)
    noise = window.std(-1, ddof=1) / scale_of(window, scale, zero)
    size = noise.mean((-2, -1))
    return np.asarray(spread / np.where(size > 0, size, np.nan))


def _means_of_first(window: Floats) -> Floats:
    counts = np.arange(1, len(window) + 1)
    return np.asarray(window.cumsum(0) / counts[:, None, None, None])


def _chosen_by_itself(estimate: Estimate) -> Estimate:
    text = (
        "the ratio that chose these subtasks is the one that is told: it is flattered, "
        "and its interval does not know; the gain is measured on other models"
    )
    caution = Caution("chosen-by-itself", text)
    return replace(estimate, cautions=(*estimate.cautions, caution))
