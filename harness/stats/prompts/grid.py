"""What does each system prompt score on each user prompt, and on all of them?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution, Estimate
from harness.stats.intervals import score_interval
from harness.stats.prompts.cells import reward_cells

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Order = Literal["difficulty", "variance"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptGrid:
    """Mean rewards of system prompts on user prompts, the best system prompt first.

    Attributes
    ----------
    system : ndarray of int, shape (n_system,)
        Which rows of the rewards these are, by falling mean; the first of ties first.
    user : ndarray of int, shape (n_user,)
        Which columns.
    means : ndarray, shape (n_system, n_user)
        Mean over responses.
    scores : tuple of Estimate
        Of each system prompt the mean over user prompts, with its interval for others
        that could have been asked.
    difficulty : ndarray, shape (n_user,)
        Mean over system prompts.
    variance : ndarray, shape (n_user,)
        Among system prompts (ddof=0), less what responses alone predict of it.
    fewest_responses, most_responses : int
        To one system prompt on one user prompt. With one to some, their randomness is
        unknown, and still in `variance`.
    """

    system: Codes
    user: Codes
    means: Floats
    scores: tuple[Estimate, ...]
    difficulty: Floats
    variance: Floats
    fewest_responses: int
    most_responses: int
    cautions: tuple[Caution, ...] = ()

    def columns(self, by: Order, most: int) -> tuple[Codes, ...]:
        """Return places among user prompts in order, in groups alike in size.

        The easiest come first, or those of the largest variance; there are `most`
        groups, or as many as user prompts.
        """
        key = self.difficulty if by == "difficulty" else self.variance
        order = np.argsort(-key, kind="stable")
        return tuple(np.array_split(order, min(most, len(order))))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "system_prompts": self.system.tolist(),
            "user_prompts": self.user.tolist(),
            "means": self.means.tolist(),
            "scores": [e.to_dict() for e in self.scores],
            "difficulty": self.difficulty.tolist(),
            "variance": self.variance.tolist(),
            "fewest_responses": self.fewest_responses,
            "most_responses": self.most_responses,
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each cell: ``system_prompt``, ``user_prompt``, ``mean``."""
        import pandas as pd

        return pd.DataFrame(
            {
                "system_prompt": self.system.repeat(len(self.user)),
                "user_prompt": np.tile(self.user, len(self.system)),
                "mean": self.means.ravel(),
            }
        )


def prompt_grid(
    rewards: Floats,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    confidence_level: float = 0.95,
) -> PromptGrid:
    """Return the mean reward of each system prompt on each user prompt they share.

    Parameters
    ----------
    rewards : ndarray, shape (n_system, n_user, n_responses)
        0 and 1 or any number; ``nan`` is missing. One response to a cell is enough.
    bounds : tuple of float
        What rewards can be; intervals are cut off there.
    confidence_level : float
        Above 0 and below 1.

    Raises
    ------
    DesignError
        ``bad-confidence-level``, and those of
        `harness.stats.prompts.cells.reward_cells`.

    Notes
    -----
    Intervals take user prompts as independent draws and are each system prompt's own,
    see `harness.stats.intervals.score_interval`. Since all have the same user prompts,
    two that overlap may differ for sure.

    Cautions: ``missing-system-prompts``, ``items-not-shared``.
    """
    cells = reward_cells(rewards, mode="p1")
    order = np.argsort(-cells.means.mean(1), kind="stable")
    means = cells.means[order]
    n_system = len(means)
    variance = means.var(0)
    if cells.fewest > 1:
        # The plug-in's noise of a mean, made unbiased.
        noise = cells.within / (cells.counts - 1)
        variance -= (n_system - 1) / n_system * noise.mean(0)
    return PromptGrid(
        system=cells.system[order],
        user=cells.user,
        means=means,
        scores=tuple(
            score_interval(row, bounds=bounds, confidence_level=confidence_level)
            for row in means
        ),
        difficulty=means.mean(0),
        variance=variance,
        fewest_responses=cells.fewest,
        most_responses=int(cells.counts.max()),
        cautions=tuple(c for c in cells.cautions if c.code != "few-responses"),
    )
