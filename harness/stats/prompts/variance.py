"""Is the spread between system prompts real, or is it the answers' randomness?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.intervals import check_level
from harness.stats.prompts.cells import MODE_NAMES, Mode, reward_cells
from harness.stats.prompts.jackknife import LeftOut, Moments, ratio
from harness.stats.repeats import negative_component

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptVariance:
    """The variance between mean rewards of system prompts, and what makes it.

    Variances are in squared reward units, of these N system prompts (ddof=0, as in the
    paper); ``N / (N - 1)`` times them is the variance between all that could be.

    Attributes
    ----------
    observed : Estimate
        Variance of the mean rewards as they are seen.
    among_responses : Estimate
        The part that other responses to the same prompts would change.
    among_system_prompts : Estimate
        What is left: that system prompts truly differ. Negative where they differ
        less than responses alone predict.
    share : Estimate
        ``among_system_prompts / observed``.
    user_prompts : ndarray of int, shape (n_user,)
        The columns of the rewards that are averaged over.
    per_prompt, per_prompt_responses, difficulty : ndarray, shape (n_user,)
        For each of them alone: variance among system prompts, variance among
        responses, and mean reward.
    n_system, n_user : int
        Prompts that are compared.
    fewest_responses, most_responses : int
        To one system prompt on one user prompt.
    """

    observed: Estimate
    among_responses: Estimate
    among_system_prompts: Estimate
    share: Estimate
    user_prompts: Codes
    per_prompt: Floats
    per_prompt_responses: Floats
    difficulty: Floats
    mode: Mode
    n_system: int
    n_user: int
    fewest_responses: int
    most_responses: int
    confidence_level: float
    cautions: tuple[Caution, ...] = ()

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The four estimates."""
        return (
            self.observed,
            self.among_responses,
            self.among_system_prompts,
            self.share,
        )

    @property
    def tau_squared(self) -> Floats:
        """`per_prompt` between all system prompts that could be (ddof=1)."""
        return np.asarray(self.per_prompt * self.n_system / (self.n_system - 1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        return {
            "mode": self.mode,
            "n_system": self.n_system,
            "n_user": self.n_user,
            "fewest_responses": self.fewest_responses,
            "most_responses": self.most_responses,
            "confidence_level": self.confidence_level,
            **{e.quantity: e.to_dict() for e in self.estimates},
            "per_prompt": self.prompt_frame().to_dict("records"),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row for each estimate, with the columns of its own."""
        import pandas as pd

        return pd.concat([e.to_frame() for e in self.estimates], ignore_index=True)

    def prompt_frame(self) -> pd.DataFrame:
        """Return a row for each user prompt.

        Columns: ``user_prompt`` (its column in the rewards), ``difficulty``,
        ``among_system_prompts``, ``among_responses``, ``tau_squared``.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "user_prompt": self.user_prompts,
                "difficulty": self.difficulty,
                "among_system_prompts": self.per_prompt,
                "among_responses": self.per_prompt_responses,
                "tau_squared": self.tau_squared,
            }
        )


def prompt_variance(
    rewards: Floats,
    *,
    mode: Mode = "unbiased",
    user_prompts: Sequence[int] | Codes | None = None,
    confidence_level: float = 0.95,
) -> PromptVariance:
    """Split the variance between system prompts' mean rewards into its two parts.

    With N system prompts, U user prompts, ``x[n, u]`` the mean of ``K[n, u]``
    responses and ``v[n, u]`` the variance of one within its cell::

        observed = 1/N sum_n (x[n] - x)^2,  x[n] = 1/U sum_u x[n, u]
        among_responses = (N - 1) / N^2 sum_n 1/U^2 sum_u v[n, u] / K[n, u]
        among_system_prompts = observed - among_responses

    In mode ``p1`` v is the plug-in ``p (1 - p)``, ddof=0, as published: its expectation
    is ``(K - 1) / K`` of the variance, so that a share of 1/K of the noise is left in.
    In mode ``unbiased`` v has ddof=1, and `among_system_prompts` is unbiased for any
    reward and any numbers of responses. Responses are independent given the prompts.

    Parameters
    ----------
    rewards : ndarray, shape (n_system, n_user, n_responses)
        0 and 1 or any number; ``nan`` is missing, so cells may differ in size.
    mode : {"unbiased", "p1"}
        As above.
    user_prompts : sequence of int, optional
        Which columns of `rewards` to average over; all by default.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``bad-confidence-level``, and those of
        `harness.stats.prompts.cells.reward_cells`.

    Notes
    -----
    Intervals are for other system prompts, drawn as these were, and other responses,
    on these user prompts; see `harness.stats.prompts.jackknife.left_out_interval`.

    Cautions: those of `reward_cells` and of intervals; ``negative-component``;
    ``constant-over-system-prompts``.

    See Also
    --------
    harness.stats.prompts.components.prompt_components : for other user prompts too.

    References
    ----------
    Z. Gao et al., arXiv 2604.08801 (2026), equations 4 and 5.
    """
    check_level(confidence_level)
    cells = reward_cells(rewards, mode=mode, user_prompts=user_prompts)
    n_system, n_user = cells.means.shape
    left_out = LeftOut.of(cells)
    scale = (n_system - 1) / n_system

    def estimate(name: str, what: str, field: str, seen: str) -> Estimate:
        return left_out.estimate(
            name,
            lambda m: scale * attrgetter(field)(m),
            f"{what}, {MODE_NAMES[mode]}",
            seen=lambda m: scale * attrgetter(seen)(m),
            confidence_level=confidence_level,
        )

    observed = estimate("observed", "variance of mean rewards", "mean", "mean")
    responses = estimate(
        "among_responses",
        "variance of a mean reward over responses",
        "noise_of_mean",
        "noise_of_mean",
    )
    among = estimate(
        "among_system_prompts", "observed less among responses", "among", "mean"
    )
    negative = negative_component(
        among, "system prompts differ less than their responses alone predict"
    )
    of_one = scale * cells.noise.mean(0)
    return PromptVariance(
        observed=observed,
        among_responses=responses,
        among_system_prompts=among,
        share=_share(left_out, confidence_level),
        user_prompts=cells.user,
        per_prompt=cells.means.var(0) - of_one,
        per_prompt_responses=of_one,
        difficulty=cells.means.mean(0),
        mode=mode,
        n_system=n_system,
        n_user=n_user,
        fewest_responses=cells.fewest,
        most_responses=int(cells.counts.max()),
        confidence_level=confidence_level,
        cautions=tuple(dict.fromkeys([*cells.cautions, *negative, *among.cautions])),
    )


def _share(left_out: LeftOut, confidence_level: float) -> Estimate:
    """Return ``1 - noise / observed``, by the logarithm of what it is less than 1."""
    name = "share"
    what = "among system prompts / observed"
    if left_out.all.mean == 0:
        return undefined(
            name,
            n=len(left_out.system.mean),
            method=what,
            code="constant-over-system-prompts",
            text="all system prompts have the same mean reward; more responses would "
            "tell them apart",
        )

    def noise_share(m: Moments) -> Floats:
        return ratio(m.noise_of_mean, m.mean)

    rest = left_out.estimate(
        name, noise_share, what, seen=noise_share, confidence_level=confidence_level
    )
    low, high = rest.interval
    return replace(rest, value=1 - rest.value, interval=Interval(1 - high, 1 - low))
