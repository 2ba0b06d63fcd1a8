"""Do system prompts differ alike on all user prompts, or on each in another way?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution, Estimate, undefined
from harness.stats.intervals import check_level
from harness.stats.prompts.cells import Cells, Mode, reward_cells
from harness.stats.prompts.jackknife import (
    OVER_BOTH,
    LeftOut,
    Moments,
    left_out_interval,
    without_each,
)
from harness.stats.repeats import ComponentTable, check_counts, negative_component

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptComponents(ComponentTable):
    """Variance components of rewards of system prompts on user prompts.

    Variances are in squared reward units, between all prompts that could be, and may
    be negative, since they are unbiased only if not cut off at zero.

    Attributes
    ----------
    system : Estimate
        σ²_α: that some system prompts are better on all user prompts. No number of
        user prompts averages it out.
    user : Estimate
        σ²_β: that some user prompts are harder for all system prompts.
    interaction : Estimate
        σ²_γ: that some system prompts are better on some user prompts. Over U user
        prompts it is divided by U.
    response : Estimate
        σ²_ε: of one response to the same prompts, mean over cells.
    consistency : Estimate
        ρ_sys, ``system / (system + interaction)``: 1 where system prompts differ by as
        much on all user prompts, 0 where what they win on one says nothing of the
        next, below 0 where it speaks against it.
    """

    system: Estimate
    user: Estimate
    interaction: Estimate
    response: Estimate
    consistency: Estimate
    n_system: int
    n_user: int
    fewest_responses: int
    most_responses: int
    confidence_level: float
    cautions: tuple[Caution, ...] = ()


def prompt_components(
    rewards: Floats,
    *,
    user_prompts: Sequence[int] | Codes | None = None,
    confidence_level: float = 0.95,
) -> PromptComponents:
    """Split the variance of rewards into system prompt, user prompt, both, and chance.

    The model is ``r[n, u, k] = mu + system[n] + user[u] + interaction[n, u] +
    response[n, u, k]`` with independent zero-mean effects; the variance of a response
    may differ from cell to cell. With x the means of cells, ``MS`` their mean squares
    and noise the mean over cells of ``v[n, u] / K[n, u]``::

        system = (MS_system - MS_both) / U = mean over u < w of Cov_n(x[u], x[w])
        user = (MS_user - MS_both) / N
        interaction = MS_both - noise
        response = mean over cells of v[n, u]

    Means of cells weigh alike whatever their numbers of responses (an unweighted means
    analysis), so that all are unbiased for unequal numbers too. With equal ones they
    are the ANOVA estimates, and REML's where none is negative.

    Parameters
    ----------
    rewards : ndarray, shape (n_system, n_user, n_responses)
        0 and 1 or any number; ``nan`` is missing. With one response to some cell
        `interaction` and `response` are one, and `system` and `user` still known.
    user_prompts : sequence of int, optional
        Which columns; all by default.

    Raises
    ------
    DesignError
        ``too-few-items`` (fewer than 2 user prompts), ``bad-confidence-level``, and
        those of `harness.stats.prompts.cells.reward_cells`.

    Notes
    -----
    Intervals are for other system prompts and other user prompts, drawn as these were;
    see `harness.stats.prompts.jackknife.left_out_interval`.

    Cautions: ``one-repeat``, ``negative-component``, and those of `reward_cells` and
    `left_out_interval`; ``undefined-consistency``, where neither component is above 0.

    References
    ----------
    S. R. Searle, G. Casella, C. E. McCulloch, *Variance Components*, 1992, section 4.3.
    F. Yates, J. Amer. Statist. Assoc. 29 (1934) 51: unweighted means. R. L. Brennan,
    *Generalizability Theory*, 2001, chapter 3.
    """
    check_level(confidence_level)
    cells = _cells(rewards, user_prompts)
    n_system, n_user = cells.means.shape
    check_counts(n_system, n_user, "system prompt")
    systems, users = LeftOut.of(cells), LeftOut.of(_transposed(cells))
    # Seen from user prompts, leaving a row out is leaving a system prompt out.
    users = replace(
        users,
        system=users.user,
        user=users.system,
        both=replace(
            users.both,
            one=users.both.one.T,
            mean=users.both.mean.T,
            noise=users.both.noise.T,
        ),
    )

    def estimate(
        left_out: LeftOut,
        name: str,
        of: Callable[[Moments], Floats],
        seen: Callable[[Moments], Floats],
        what: str,
    ) -> Estimate:
        return left_out.estimate(
            name,
            of,
            what,
            seen=seen,
            over_user=True,
            confidence_level=confidence_level,
        )

    mean, common = attrgetter("mean"), attrgetter("common")
    what = "mean covariance of two"
    found = {
        "system": estimate(
            systems, "system_variance", common, mean, f"{what} user prompts"
        ),
        "user": estimate(
            users, "user_variance", common, mean, f"{what} system prompts"
        ),
    }
    cautions = [c for c in cells.cautions if c.code != "few-responses"]
    if cells.fewest == 1:
        text = "interaction and response are one without repeats; 2 would do"
        for name in ("interaction", "response", "consistency"):
            quantity = name if name == "consistency" else f"{name}_variance"
            found[name] = undefined(
                quantity, n=n_system, method="ANOVA", code="one-repeat", text=text
            )
    else:
        found["interaction"] = estimate(
            systems,
            "interaction_variance",
            lambda m: m.per_prompt - m.common,
            lambda m: m.one - m.common,
            "mean square of both less noise",
        )
        found["response"] = _response(cells, confidence_level)
        found["consistency"] = _consistency(systems, confidence_level)
    for name, text in NEGATIVE.items():
        cautions += negative_component(found[name], text)
    return PromptComponents(
        **found,
        n_system=n_system,
        n_user=n_user,
        fewest_responses=cells.fewest,
        most_responses=int(cells.counts.max()),
        confidence_level=confidence_level,
        cautions=tuple(dict.fromkeys([*cautions, *found["system"].cautions])),
    )


NEGATIVE = {
    "system": "what system prompts win on one user prompt they lose on others",
    "interaction": "system prompts differ less between user prompts than their "
    "responses alone predict",
}
"""What it says that a component is below 0."""


def _cells(rewards: Floats, user_prompts: Sequence[int] | Codes | None) -> Cells:
    """Return cells with their noise, or without where none can be seen."""
    rewards = np.asarray(rewards, dtype=np.float64)
    once = rewards.ndim == 3 and not any(
        (~np.isnan(row)).sum(-1).max(initial=0) > 1 for row in rewards
    )
    mode: Mode = "p1" if once else "unbiased"
    return reward_cells(rewards, mode=mode, user_prompts=user_prompts)


def _transposed(cells: Cells) -> Cells:
    return replace(
        cells, means=cells.means.T, within=cells.within.T, counts=cells.counts.T
    )


def _response(cells: Cells, confidence_level: float) -> Estimate:
    within = cells.within
    estimate = Estimate(
        quantity="response_variance",
        value=float(within.mean()),
        confidence_level=confidence_level,
        n=len(within),
        method=f"variance within a cell, mean over cells; {OVER_BOTH}",
    )
    left_out = [
        without_each(within.mean(1)),
        without_each(within.mean(0)),
        without_each(without_each(within).T).T,
    ]
    return left_out_interval(estimate, left_out, offset=0)


def _consistency(systems: LeftOut, confidence_level: float) -> Estimate:
    if systems.all.per_prompt <= 0:
        return undefined(
            "consistency",
            n=len(systems.system.mean),
            method="system / (system + interaction)",
            code="undefined-consistency",
            text="system prompts do not differ on single user prompts beyond chance, "
            "so that there is nothing to share out; more responses would tell",
        )

    moments = systems.all
    value = moments.common / moments.per_prompt

    def share(m: Moments) -> Floats:
        # Linear in what a prompt changes: without some, both parts may be none.
        return np.asarray(
            value + (m.common - value * m.per_prompt) / moments.per_prompt
        )

    # With it, U times the variance of means over that on single user prompts.
    floor = 1 / (moments.n_user - 1)
    return systems.estimate(
        "consistency",
        share,
        "system / (system + interaction), linearised",
        seen=lambda m: share(m) + floor,
        over_user=True,
        confidence_level=confidence_level,
    )
