"""How often would the gate's paired look be red between equal models?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.gate.policy import Policy
from harness.stats.calibration import DRAWS, Calibration, Draws
from harness.stats.estimate import Estimate, Interval, undefined
from harness.stats.intervals import wilson_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedAlarms:
    """What the paired look says of equal models, each against each.

    Attributes
    ----------
    draws : {"repeats", "few-shot seeds", "training seeds"}
        What the two of a pair differ by.
    n_comparisons, n_red : int
        Each pair twice, either one as the candidate; and those that look red.
    nominal : float
        The share that may be: the level of a look.
    rate : Estimate
        ``n_red / n_comparisons``; `n` is the number of independent pairs.
    """

    draws: Draws
    n_comparisons: int
    n_red: int
    nominal: float
    rate: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "draws": self.draws,
            "n_comparisons": self.n_comparisons,
            "n_red": self.n_red,
            "nominal": self.nominal,
            "rate": self.rate.to_dict(),
        }


def paired_alarms(
    rows: Sequence[Calibration], policy: Policy
) -> tuple[PairedAlarms, ...]:
    """Judge pairs of equal models as the gate judges candidate and baseline.

    By its paired condition alone: worse at the one-sided level of a look, by ``delta``
    at least. Red needs more (`harness.gate.judge.judge`): the noise between
    checkpoints, what history predicts, and the correction for the number of tasks. So
    the rate is an upper bound of that at which a task without a loss is red.

    Of the two orders of a pair no more than one is red: with ``s`` the share of pairs
    that are in one, the rate is ``s / 2``, and its interval half of Wilson's for ``s``
    with the number of independent pairs.

    Parameters
    ----------
    rows : sequence of Calibration
        From `harness.stats.calibration.a_a`.
    """
    found = []
    for draws in DRAWS:
        own = [row for row in rows if row.draws == draws]
        if own:
            found.append(_alarms(own, policy))
    return tuple(found)


def _alarms(own: Sequence[Calibration], policy: Policy) -> PairedAlarms:
    whole = own[0]  # of all tasks, or the only one
    tasks = [row for row in own if row.task is not None]
    n_red = int(sum(_is_red(row, policy).sum() for row in tasks))
    n_pairs = whole.n_pairs
    level = whole.rate.confidence_level
    method = (
        "half of the share of pairs that look red in either order; Wilson score "
        f"interval of the share, for {whole.rate.n} independent pairs"
    )
    quantity = "rate of red paired looks"
    if math.isnan(whole.rate.value):
        caution = whole.rate.cautions[0]
        rate = undefined(
            quantity,
            n=whole.rate.n,
            method=method,
            code=caution.code,
            text=caution.text,
        )
    else:
        share = n_red / n_pairs
        low, high = wilson_interval(
            np.array(share), whole.rate.n, confidence_level=level
        )
        rate = Estimate(
            quantity=quantity,
            value=share / 2,
            se=math.sqrt(share * (1 - share) / whole.rate.n) / 2,
            interval=Interval(float(low) / 2, float(high) / 2),
            confidence_level=level,
            n=whole.rate.n,
            method=method,
        )
    return PairedAlarms(
        draws=whole.draws,
        n_comparisons=2 * n_pairs,
        n_red=n_red,
        nominal=1 - policy.confidence_level,
        rate=rate,
    )


def _is_red(row: Calibration, policy: Policy) -> npt.NDArray[np.bool_]:
    """Return which pairs look red in one of their orders."""
    assert row.task is not None  # noqa: S101  a row of one task
    is_worse = row.p_values / 2 <= 1 - policy.confidence_level
    is_large = np.abs(row.differences) >= policy.delta_of(row.task)
    return np.asarray(is_worse & is_large)
