"""What do more user prompts, and more responses, change?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, undefined
from harness.stats.intervals import check_level
from harness.stats.prompts.cells import MODE_NAMES, Cells, Mode, reward_cells
from harness.stats.prompts.jackknife import (
    OVER_SYSTEM,
    LeftOut,
    Moments,
    left_out_interval,
    ratio,
    without_each,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Design = Literal["fixed-m", "fixed-km", "over-m"]

DESIGN_NAMES: dict[Design, str] = {
    "fixed-m": "more user prompts, as many responses to each",
    "fixed-km": "more user prompts, as many responses in all",
    "over-m": "all user prompts, more responses to each",
}
"""Each curve in the words the report prints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What K user prompts with M responses each would show, mean over subsets.

    Attributes
    ----------
    design : {"fixed-m", "fixed-km", "over-m"}
        Which curve it is on.
    n_user : int
        K.
    n_responses : float
        M, to each system prompt on each user prompt; a fraction where responses in all
        are no multiple of K.
    among_system_prompts, among_responses : Estimate
        Mean over all subsets of K user prompts, in squared reward units (ddof=0).
    snr : Estimate
        The ratio of those two means; not the mean of their ratios over subsets.
    """

    design: Design
    n_user: int
    n_responses: float
    among_system_prompts: Estimate
    among_responses: Estimate
    snr: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCurves:
    """The two variances and their ratio over numbers of prompts and responses.

    Attributes
    ----------
    points : tuple of CurvePoint
        Curve by curve, in the order of `DESIGN_NAMES`.
    per_prompt : Estimate
        A: variance among system prompts on one user prompt, mean over user prompts.
    common : Estimate
        B: covariance of two user prompts, mean over their pairs, which is what endless
        user prompts would leave. Over K of them it is ``A / K + (1 - 1 / K) B``.
    n_responses : int
        M of ``fixed-m``.
    n_total : int
        K M of ``fixed-km``.
    """

    points: tuple[CurvePoint, ...]
    per_prompt: Estimate
    common: Estimate
    mode: Mode
    n_system: int
    n_user: int
    n_responses: int
    n_total: int
    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "mode": self.mode,
            "n_system": self.n_system,
            "n_user": self.n_user,
            "n_responses": self.n_responses,
            "n_total": self.n_total,
            "confidence_level": self.confidence_level,
            "per_prompt": self.per_prompt.to_dict(),
            "common": self.common.to_dict(),
            "points": [
                {
                    "design": point.design,
                    "n_user": point.n_user,
                    "n_responses": point.n_responses,
                    **{e.quantity: e.to_dict() for e in _estimates(point)},
                }
                for point in self.points
            ],
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each quantity at each point.

        Columns: ``design``, ``n_user``, ``n_responses``, and those of an estimate.
        """
        import pandas as pd

        frames = [
            estimate.to_frame().assign(
                design=point.design,
                n_user=point.n_user,
                n_responses=point.n_responses,
            )
            for point in self.points
            for estimate in _estimates(point)
        ]
        frame = pd.concat(frames, ignore_index=True)
        first = ["design", "n_user", "n_responses"]
        return frame[first + [name for name in frame.columns if name not in first]]


def _estimates(point: CurvePoint) -> tuple[Estimate, ...]:
    return point.among_system_prompts, point.among_responses, point.snr


def prompt_curves(
    rewards: Floats,
    *,
    mode: Mode = "unbiased",
    n_users: Sequence[int] | None = None,
    n_responses: Sequence[int] | None = None,
    n_total: int | None = None,
    confidence_level: float = 0.95,
) -> PromptCurves:
    """Return how the variances change with user prompts K and responses M.

    The mean over all subsets of K of the user prompts, in closed form::

        among_system_prompts(K) = A / K + (1 - 1 / K) B
        among_responses(K, M) = (N - 1) / N^2 sum_n mean_u v[n, u] / (K M)
        snr(K, M) = among_system_prompts / among_responses

    with A the mean over user prompts of the variance among system prompts, B the mean
    covariance of two of them, and v the variance of a response as in
    `harness.stats.prompts.variance.prompt_variance`. So more user prompts leave less
    variance among system prompts where ``A > B``, down to B; at fixed M the ratio
    rises with K where ``B > 0``, at fixed K M it falls where ``A > B``. For user
    prompts that are draws from others, A and B are ``(N - 1) / N`` times ``system +
    interaction`` and ``system`` of `prompt_components`.

    Parameters
    ----------
    rewards : ndarray, shape (n_system, n_user, n_responses)
        0 and 1 or any number; ``nan`` is missing.
    n_users : sequence of int, optional
        K; powers of 2 and all, if not given.
    n_responses : sequence of int, optional
        M of ``over-m``; powers of 2 and as many as a cell has, if not given.
    n_total : int, optional
        K M of ``fixed-km``; as many as there are.

    Raises
    ------
    DesignError
        ``subset-size`` (of `n_users`), ``too-few-replicates`` (numbers below 1),
        ``bad-confidence-level``, and those of
        `harness.stats.prompts.cells.reward_cells`.

    Notes
    -----
    M of ``fixed-m`` is the number of responses to a cell; where cells differ, that of
    the smallest. Intervals are for other system prompts on these user prompts.

    Cautions: ``few-user-prompts``, where there is one only; ``no-response-noise``;
    those of `reward_cells` and intervals.

    References
    ----------
    Z. Gao et al., arXiv 2604.08801 (2026), which draws such curves and leaves open
    whether ratios or means were averaged first; the closed form is ours.
    """
    check_level(confidence_level)
    cells = reward_cells(rewards, mode=mode)
    n_system, n_user = cells.means.shape
    m = cells.fewest
    total = n_user * m if n_total is None else n_total
    sizes = _numbers(n_users, n_user)
    responses = _numbers(n_responses, m)
    _check(sizes, n_user, [*responses, total])
    curve = _Curve(cells, MODE_NAMES[mode], confidence_level)
    designs: list[tuple[Design, int, float]] = [
        *(("fixed-m", k, m) for k in sizes),
        *(("fixed-km", k, total / k) for k in sizes),
        *(("over-m", n_user, m) for m in responses),
    ]
    per_prompt = curve.estimate("per_prompt_variance", "per_prompt", "one", "A")
    cautions = [*cells.cautions, *per_prompt.cautions]
    if n_user == 1:
        text = "one user prompt has no others to share with; 2 would tell"
        common = undefined(
            "common_variance",
            n=n_system,
            method="B",
            code="few-user-prompts",
            text=text,
        )
        cautions.append(Caution("few-user-prompts", text))
    else:
        common = curve.estimate("common_variance", "common", "mean", "B")
    return PromptCurves(
        points=tuple(curve.point(*design) for design in designs),
        per_prompt=per_prompt,
        common=common,
        mode=mode,
        n_system=n_system,
        n_user=n_user,
        n_responses=m,
        n_total=total,
        confidence_level=confidence_level,
        cautions=tuple(dict.fromkeys(cautions)),
    )


class _Curve:
    """Points of the curves of one table."""

    def __init__(self, cells: Cells, name: str, confidence_level: float) -> None:
        n_system = len(cells.means)
        self.scale = (n_system - 1) / n_system
        self.left_out = LeftOut.of(cells)
        within = self.scale * cells.within.mean(1)
        self.within, self.within_out = float(within.mean()), without_each(within)
        self.name, self.confidence_level = name, confidence_level

    def estimate(self, quantity: str, of: str, seen: str, what: str) -> Estimate:
        return self.left_out.estimate(
            quantity,
            lambda m: self.scale * attrgetter(of)(m),
            f"{what}, {self.name}",
            seen=lambda m: self.scale * attrgetter(seen)(m),
            confidence_level=self.confidence_level,
        )

    def point(self, design: Design, n_user: int, n_responses: float) -> CurvePoint:
        def among(m: Moments) -> Floats:
            return self.scale * m.of_size(n_user)

        n_total = n_user * n_responses
        value, out = float(among(self.left_out.all)), among(self.left_out.system)
        noise, noise_out = self.within / n_total, self.within_out / n_total
        moments = self.left_out.all
        return CurvePoint(
            design=design,
            n_user=n_user,
            n_responses=n_responses,
            among_system_prompts=self._estimate(
                "among_system_prompts",
                value,
                out,
                self.scale * float(moments.noise) / n_user,
                "mean over subsets",
            ),
            among_responses=self._estimate(
                "among_responses", noise, noise_out, 0, "mean over subsets"
            ),
            snr=self._snr(value, out, noise, noise_out),
        )

    def _snr(
        self, value: float, out: Floats, noise: float, noise_out: Floats
    ) -> Estimate:
        what = "ratio of means over subsets"
        if noise == 0:
            return undefined(
                "snr",
                n=len(out),
                method=what,
                code="no-response-noise",
                text="responses to the same prompts are alike, so that there is no "
                "noise to compare with; sampled responses would have some",
            )
        # The ratio and 1 is that of what is seen to noise, which cannot be negative.
        return self._estimate("snr", value / noise, ratio(out, noise_out), 1, what)

    def _estimate(
        self, quantity: str, value: float, out: Floats, offset: float, what: str
    ) -> Estimate:
        estimate = Estimate(
            quantity=quantity,
            value=value,
            n=len(out),
            confidence_level=self.confidence_level,
            method=f"{what}, {self.name}; {OVER_SYSTEM}",
        )
        return left_out_interval(estimate, [out], offset=offset)


def _numbers(given: Sequence[int] | None, most: int) -> list[int]:
    """Return what was given, or powers of 2 below the most, and the most."""
    if given is not None:
        return [int(number) for number in given]
    return [*(2**i for i in range(most.bit_length()) if 2**i < most), most]


def _check(sizes: list[int], n_user: int, numbers: list[int]) -> None:
    if not sizes or min(sizes) < 1 or max(sizes) > n_user:
        raise DesignError(
            f"curves over {sizes[:3]} … user prompts were asked for; a subset has at "
            f"least 1 and at most all {n_user}",
            code="subset-size",
        )
    if min(numbers) < 1:
        raise DesignError(
            f"{min(numbers)} responses were asked for; give 1 or more",
            code="too-few-replicates",
        )
