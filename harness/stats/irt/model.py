"""What does an item response model say? Its parameters, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.stats.estimate import Caution, or_none

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
ModelName = Literal["rasch", "1pl", "2pl", "3pl"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ItemModel:
    """Items on the scale of abilities.

    ``P(right | theta) = c + (1 - c) / (1 + exp(-a (theta - b)))`` with
    discrimination a, difficulty b and guessing c; abilities of the respondents
    (checkpoints) are normal with mean 0 and SD `ability_sd`.

    Attributes
    ----------
    model : {"rasch", "1pl", "2pl", "3pl"}
        ``rasch``: a = 1, `ability_sd` estimated; ``1pl``: one common a,
        `ability_sd` = 1 (the same model, in other units); ``2pl``: an a for each
        item; ``3pl``: a guessing level for each item too.
    item_ids : tuple of str
        The items, in the order of the arrays.
    discrimination, difficulty, guessing : ndarray, shape (n_items,)
        a per unit of ability, b in units of ability, c a probability.
    ability_sd : float
        Of the respondents' normal distribution.
    """

    model: ModelName
    item_ids: tuple[str, ...]
    discrimination: Floats
    difficulty: Floats
    guessing: Floats
    ability_sd: float = 1.0

    def probabilities(self, ability: Floats) -> Floats:
        """Return P(right), shape (len(ability), n_items)."""
        from scipy.special import expit

        z = self.discrimination * (np.asarray(ability)[:, None] - self.difficulty)
        return np.asarray(self.guessing + (1 - self.guessing) * expit(z))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IrtFit:
    """An item response model fitted to responses, and how sure it is.

    Attributes
    ----------
    items : ItemModel
        The items that could be fitted.
    discrimination_se, difficulty_se, guessing_se : ndarray, shape (n_items,)
        Standard errors; ``nan`` where a parameter is fixed or has none. A difficulty
        without one is not determined: it serves the curve, and belongs in no mean.
    covariance : ndarray, shape (n_items, 3, 3)
        Of discrimination, difficulty and guessing, to first order: the errors squared,
        and what a band round a curve needs besides. 0 of what the model fixes;
        ``nan`` of an item that is held, or whose curve is not determined. Of a
        difficulty alone that is not determined it is large, since the curve may be
        known all the same.
    ability, ability_se : ndarray, one for each row of the responses
        Of each respondent, under the fitted items: mean and SD of the posterior, or
        its mode for a joint fit; ``nan`` for one who answered none of them.
        The items are taken as known: so the error is that of one respondent among
        these, not that of their distance from the mean of others.
    log_likelihood : float
        Marginal log-likelihood of the responses at the estimates, natural log;
        ``nan`` for a joint fit, which has none.
    dropped : tuple of str
        Items without variation (all right, all wrong or unanswered): they have no
        finite difficulty, are counted here, and are in no array.
    method : str
        How it was fitted, in the words the report prints.
    n_respondents, n_independent : int
        Those who answered, and how many of them count as independent.
    ability_sd_se : float
        Standard error of the abilities' SD; ``nan`` where the model fixes it at 1.
    """

    items: ItemModel
    discrimination_se: Floats
    difficulty_se: Floats
    guessing_se: Floats
    covariance: Floats
    ability: Floats
    ability_se: Floats
    log_likelihood: float
    n_respondents: int
    n_iterations: int
    dropped: tuple[str, ...]
    method: str
    cautions: tuple[Caution, ...] = ()
    n_independent: int | None = None
    ability_sd_se: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; a ``nan`` becomes ``None``."""
        items = self.items
        arrays = {
            "discrimination": items.discrimination,
            "discrimination_se": self.discrimination_se,
            "difficulty": items.difficulty,
            "difficulty_se": self.difficulty_se,
            "guessing": items.guessing,
            "guessing_se": self.guessing_se,
            "ability": self.ability,
            "ability_se": self.ability_se,
        }
        return {
            "model": items.model,
            "method": self.method,
            "n_respondents": self.n_respondents,
            "n_independent": self.n_independent,
            "n_items": len(items.item_ids),
            "n_iterations": self.n_iterations,
            "log_likelihood": or_none(self.log_likelihood),
            "ability_sd": items.ability_sd,
            "ability_sd_se": or_none(self.ability_sd_se),
            "item_ids": list(items.item_ids),
            **{k: [or_none(v) for v in array.tolist()] for k, array in arrays.items()},
            "covariance": [
                [[or_none(v) for v in row] for row in block]
                for block in self.covariance.tolist()
            ],
            "dropped": list(self.dropped),
            "cautions": [{"code": c.code, "text": c.text} for c in self.cautions],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one tidy row for each item: its parameters and their errors."""
        import pandas as pd

        items = self.items
        return pd.DataFrame(
            {
                "item_id": list(items.item_ids),
                "discrimination": items.discrimination,
                "discrimination_se": self.discrimination_se,
                "difficulty": items.difficulty,
                "difficulty_se": self.difficulty_se,
                "guessing": items.guessing,
                "guessing_se": self.guessing_se,
            }
        )
