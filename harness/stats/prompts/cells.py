"""What does each system prompt score on each user prompt, and how surely?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution
from harness.stats.repeats import squares_over_repeats
from harness.stats.resample import check_scores

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Mode = Literal["p1", "unbiased"]

MODE_NAMES: dict[Mode, str] = {
    "p1": "p1 as published, plug-in noise",
    "unbiased": "unbiased noise",
}
"""Each mode in the words the report prints."""

PLUG_IN_RESPONSES = 10
"""With fewer to a cell the plug-in leaves more than a tenth of the noise in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Mean rewards of system prompts on user prompts that all of them answered.

    Attributes
    ----------
    means : ndarray, shape (n_system, n_user)
        Mean over responses.
    within : ndarray, shape (n_system, n_user)
        Variance of a response within its cell: with ddof=1, or in mode ``p1`` with
        ddof=0, which is ``p (1 - p)`` for 0 and 1.
    counts : ndarray, shape (n_system, n_user)
        Responses in each cell.
    system, user : ndarray of int
        Which rows and columns of the rewards these are.
    """

    means: Floats
    within: Floats
    counts: Floats
    system: Codes
    user: Codes
    cautions: tuple[Caution, ...] = ()

    @property
    def noise(self) -> Floats:
        """The variance of each mean over other responses: ``within / counts``."""
        return np.asarray(self.within / self.counts)

    @property
    def fewest(self) -> int:
        """How many responses the cell with the fewest has."""
        return int(self.counts.min())


def reward_cells(
    rewards: Floats,
    *,
    mode: Mode = "unbiased",
    user_prompts: Sequence[int] | Codes | None = None,
) -> Cells:
    """Return means and variances of the cells that can be compared.

    System prompts without any response are left out; then user prompts that lack
    responses of one of the others, since means over unlike user prompts differ for
    that reason alone. A cell needs one response, or in mode ``unbiased`` two.

    Parameters
    ----------
    rewards : ndarray, shape (n_system, n_user, n_responses)
        0 and 1 or any number; ``nan`` is missing, so cells may differ in size.
    mode : {"unbiased", "p1"}
        How the variance within a cell is estimated.
    user_prompts : sequence of int, optional
        Which columns; all by default.

    Raises
    ------
    DesignError
        ``responses-shape``, ``missing-scores`` (not finite), ``unknown-method``,
        ``subset-size``, ``too-few-replicates`` (fewer than 2 system prompts),
        ``items-differ`` (no user prompt with responses enough to all).

    Notes
    -----
    Cautions: ``missing-system-prompts``, ``items-not-shared``, ``few-responses``
    (mode ``p1``, below 10).
    """
    rewards = _checked(rewards, mode)
    chosen = _chosen(user_prompts, rewards.shape[1])
    if user_prompts is not None:
        rewards = rewards[:, chosen]
    least = 1 if mode == "p1" else 2
    system = np.arange(len(rewards))
    cautions: list[Caution] = []
    n_responses = rewards.shape[-1]
    # A product with ones sums short rows eight times as fast as `mean` does.
    sums: Floats = rewards @ np.ones(n_responses)
    counts: Floats = np.full(sums.shape, float(n_responses))
    known: Floats | None = None
    if not np.isfinite(sums.sum()):
        known = 1.0 - np.isnan(rewards)
        rewards = np.where(known == 1, rewards, 0)
        if not np.isfinite(rewards.sum()):
            check_scores(rewards.transpose(0, 2, 1))
        sums, counts = (table @ np.ones(n_responses) for table in (rewards, known))
        system = np.flatnonzero(counts.sum(1) > 0)
        if n_without := len(counts) - len(system):
            text = (
                f"{n_without} of {len(counts)} system prompts have no response and are "
                "left out"
            )
            cautions.append(Caution("missing-system-prompts", text))
    _check_system(len(system))
    shared = np.asarray((counts[system] >= least).all(axis=0))
    if not shared.any():
        raise DesignError(
            f"none of {len(shared)} user prompts has {least} or more responses to each "
            f"of {len(system)} system prompts; sample as many to each"
            + (", or take mode='p1'" if least == 2 else ""),
            code="items-differ",
        )
    if not shared.all():
        text = (
            f"{int((~shared).sum())} of {len(shared)} user prompts lack "
            f"{'a response' if least == 1 else 'two responses'} to some system prompt "
            "and are left out"
        )
        cautions.append(Caution("items-not-shared", text))
    if known is not None:
        kept = np.ix_(system, shared)
        rewards, known, sums, counts = (t[kept] for t in (rewards, known, sums, counts))
    means: Floats = sums / counts
    if known is not None:
        rewards = np.where(known == 1, rewards, means[..., None])
    squares = squares_over_repeats(rewards, means)
    within = squares / (counts if mode == "p1" else counts - 1)
    fewest = int(counts.min())
    if mode == "p1" and fewest < PLUG_IN_RESPONSES:
        part = {1: "all", 2: "half"}.get(fewest, f"1/{fewest}")
        text = (
            f"with {fewest} response{'s' if fewest > 1 else ''} to a cell the plug-in "
            f"leaves {part} of their noise in the variance among system prompts; "
            "mode='unbiased' takes it off, from 2 responses on"
        )
        cautions.append(Caution("few-responses", text))
    return Cells(
        means=means,
        within=within,
        counts=counts,
        system=system,
        user=chosen[shared],
        cautions=tuple(cautions),
    )


def _checked(rewards: Floats, mode: Mode) -> Floats:
    if mode not in get_args(Mode):
        raise DesignError(
            f"there is no mode {mode!r}; choose 'unbiased' or 'p1'",
            code="unknown-method",
        )
    rewards = np.asarray(rewards, dtype=np.float64)
    if rewards.ndim != 3 or 0 in rewards.shape:
        raise DesignError(
            f"rewards have the shape {rewards.shape}; give system prompts × user "
            "prompts × responses, one or more of each",
            code="responses-shape",
        )
    return rewards


def _chosen(user_prompts: Sequence[int] | Codes | None, n_user: int) -> Codes:
    if user_prompts is None:
        return np.arange(n_user)
    chosen = np.asarray(user_prompts, dtype=np.intp).reshape(-1)
    is_there = (chosen >= 0) & (chosen < n_user)
    if not len(chosen) or not is_there.all() or len(np.unique(chosen)) < len(chosen):
        raise DesignError(
            f"{chosen.tolist()[:3]} … are no subset of {n_user} user prompts; give one "
            f"or more of 0 to {n_user - 1}, each once",
            code="subset-size",
        )
    return chosen


def _check_system(n_system: int) -> None:
    if n_system < 2:
        raise DesignError(
            f"a variance between system prompts needs 2 or more that were answered, "
            f"got {n_system}; add system prompts to the suite's templates",
            code="too-few-replicates",
        )
